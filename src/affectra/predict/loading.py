"""A model of any kind from its folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Union

from affectra.features.description import kinds_at
from affectra.predict import model

if TYPE_CHECKING:
    from affectra.predict.conversation.model import DialogueModel
    from affectra.predict.frame_model import TraceModel


def load(name_or_dir: str | Path) -> Union[model.Model, "DialogueModel", "TraceModel"]:
    """Load a model: a shipped one by name, an exported one, a run directory (its folds are averaged), or a fold of one.

    An exported model is run by ONNX Runtime where that is installed; torch is then not needed.

    Returns:
        By the kind that its model.json names: of utterances a `Model`, of conversations a `DialogueModel`, over time a
        `TraceModel`.

    Raises:
        CheckpointError: no such model, or a damaged one.
    """
    kinds = kinds_at(model.folder_of(name_or_dir))
    if "dialogue" in kinds:
        from affectra.predict import conversation  # these need torch, which takes seconds to import

        return conversation.load(name_or_dir)
    if "time" in kinds:
        from affectra.predict import frame_model

        return frame_model.load(name_or_dir)
    return model.load(name_or_dir)
