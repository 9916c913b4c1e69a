"""The networks of a fold over dialogues, rebuilt from its folder: recognisers of turns, their context, the fusion."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from affectra.errors import CheckpointError
from affectra.features.cache import HALF, storage_of
from affectra.features.description import FILE, description_path, read_description, write_description
from affectra.features.specification import UtteranceOutput
from affectra.models.dialogue.dialogue_checkpoint import apply_head, load_head
from affectra.models.dialogue.turns import Dialogue
from affectra.models.recognizer import Recognizer, load_checkpoint

FUSION = "fusion"
MODALITIES = ("audio", "text")
T = TypeVar("T")  # what a stage says of turns
Turns = Mapping[str, UtteranceOutput]  # what a recogniser says of turns on their own, by key


def through_stages(
    modalities: Iterable[str],
    *,
    context: bool,
    fusion: bool,
    alone: Callable[[str], T],
    head: Callable[[str, Sequence[T]], T],
    having: Callable[[T, T], T],
) -> T:
    """The stages of a fold one after the other, in training and in use: each modality, its context, their fusion.

    Args:
        modalities: names, in the order that the fusion takes them.
        context: whether each modality has a network over its turns, named <modality>-context.
        fusion: whether there is a network over all modalities; without it there is one modality.
        alone: what a modality's recogniser says of turns on their own.
        head: what a network over dialogues says, given its name and what the stages before it say.
        having: the first, of the turns that the second has.

    Returns:
        What the last stage says.
    """
    each = []
    for name in modalities:
        found = by_itself = alone(name)
        if context:
            found = head(f"{name}-context", [by_itself])
            # To what puts modalities together, a turn lacks a modality with its context as without.
            found = having(found, by_itself) if fusion else found
        each.append(found)
    return head(FUSION, each) if fusion else each[0]


class TurnAnswer(NamedTuple):
    """Output of the last stage for one turn: probabilities (class,) and embedding (feature,)."""

    probabilities: npt.NDArray[np.float64]
    embedding: npt.NDArray[np.float32]


Answers = Mapping[str, TurnAnswer]  # by key


class _Head(NamedTuple):
    """A network over dialogues, and the features a turn of each of its modalities has."""

    network: nn.Module
    sizes: list[int]

    def apply(self, dialogues: Sequence[Dialogue], found: Sequence[Answers]) -> Answers:
        """Compute the output for every turn, including those that have no input."""
        vectors = [{key: answer.embedding for key, answer in of_modality.items()} for of_modality in found]
        probabilities, embeddings = apply_head(self.network, dialogues, vectors, self.sizes)
        return {key: TurnAnswer(row, embeddings[key]) for key, row in probabilities.items()}


class DialogueNetworks:
    """All networks of one fold.

    Args:
        folder: of a fold.

    Attributes:
        classes: in the order of the scores.
        synthetic: whether they were trained on synthetic speech alone.
        provenance: recipe, corpora, protocol and fold they come from.
        recognizers: of turns on their own, by modality.
        is_causal: whether the output for a turn never depends on a later one.

    Raises:
        CheckpointError: a file is missing or damaged, or does not fit the others.
    """

    def __init__(self, folder: Path) -> None:
        content = _read(folder)
        self.classes: tuple[str, ...] = tuple(content["classes"])
        self.synthetic: bool = content["synthetic"]
        self.provenance: Mapping[str, Any] = content["provenance"]
        names: list[str] = content["modalities"]
        self.recognizers: dict[str, Recognizer] = {name: load_checkpoint(folder / name) for name in names}
        for name, recognizer in self.recognizers.items():
            if recognizer.specification.classes != self.classes:
                raise CheckpointError(f"{folder / name}: has other classes than its fold; copy the fold again, whole")
        self._has_context: bool = content["context"]
        self._has_fusion: bool = content["fusion"]
        heads = _stages(content)[len(names) :]
        self._heads = {name: _Head(*load_head(folder / name)) for name in heads}
        is_causal = all(getattr(head.network, "causal", False) for head in self._heads.values())
        self.is_causal = is_causal or not self._has_context

    def embed(self, name: str, material: npt.NDArray[np.float32] | str) -> UtteranceOutput:
        """Apply a modality's recogniser to one turn: to samples (sample,) at the recogniser's rate, or to words."""
        recognizer = self.recognizers[name]
        front_end = recognizer.front_end
        frames = front_end.frames(material if isinstance(material, str) else torch.from_numpy(material)).numpy()
        return recognizer.recognize(frames.astype(storage_of(front_end).get("dtype", HALF)))  # as cached for training

    def answers(self, dialogue: Dialogue, turns: Mapping[str, Turns]) -> Answers:
        """Compute the output for each turn of a dialogue.

        Args:
            dialogue: turns in order; without a context each stands for itself.
            turns: by modality, what `embed` gave for the turns that have it.

        Returns:
            By key; a turn is left out that lacks the one modality there is, and has no context.
        """
        dialogues = [dialogue] if self._has_context else dialogue.alone()

        def alone(name: str) -> Answers:
            return {key: TurnAnswer(output.probabilities, output.embedding) for key, output in turns[name].items()}

        return through_stages(
            self.recognizers,
            context=self._has_context,
            fusion=self._has_fusion,
            alone=alone,
            head=lambda name, found: self._heads[name].apply(dialogues, found),
            having=lambda found, before: {key: found[key] for key in before},
        )


def write_dialogue(description: Mapping[str, Any], folder: Path) -> None:
    """Write the model.json of a fold, when all its networks are there.

    Args:
        description: task, classes, modalities, context, fusion, synthetic and provenance.
        folder: of the fold.
    """
    stages = _stages(description)
    write_description("dialogue", description, folder, [f"{stage}/{FILE}" for stage in stages])


def _stages(description: Mapping[str, Any]) -> list[str]:
    """The folders of a fold's networks."""
    names: list[str] = list(description["modalities"])
    heads = [f"{name}-context" for name in names if description["context"]] + [FUSION] * description["fusion"]
    return [*names, *heads]


def _read(folder: Path) -> dict[str, Any]:
    content, path = read_description("dialogue", folder, None), description_path("dialogue", folder)
    try:
        needed = {"classes": list, "modalities": list, "context": bool, "fusion": bool, "synthetic": bool}
        for name, kind in {**needed, "provenance": dict}.items():
            if not isinstance(content[name], kind):
                raise CheckpointError(f"{path}: damaged, {name} is {content[name]!r}; copy the fold again")
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: damaged, {type(error).__name__} {error}; copy the fold again") from error
    unknown = [name for name in content["modalities"] if name not in MODALITIES]
    if unknown or not content["modalities"] or (len(content["modalities"]) > 1 and not content["fusion"]):
        raise CheckpointError(
            f"{path}: damaged, modalities {content['modalities']} {'with' if content['fusion'] else 'without'} fusion; "
            "copy the fold again"
        )
    return content
