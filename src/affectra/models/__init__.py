"""Models: from features to scores, by name; each returns an `Output`.

Most are networks that training takes through epochs. One with a method `fit(vectors)` is fitted at once, to one vector
an utterance; see `Svm` and `Linear`. `DIALOGUE_MODELS` are over the turns of a dialogue, on embeddings of turns.
"""

from affectra.models.attention_cnn import AttentionCnn
from affectra.models.autoencoder_fusion import AutoencoderFusion
from affectra.models.cnn_blstm import CnnBlstm
from affectra.models.dialogue import DIALOGUE_MODELS
from affectra.models.dialogue_gru import DialogueGru
from affectra.models.layers import Output
from affectra.models.leaf_cnn import LeafCnn
from affectra.models.linear import Linear
from affectra.models.multimodal_transformer import MultimodalTransformer
from affectra.models.svm import Svm
from affectra.models.text_cnn import TextCnn
from affectra.models.text_gru import TextGru
from affectra.registry import Registry

MODELS: Registry = Registry("model")
MODELS.register("attention-cnn")(AttentionCnn)
MODELS.register("svm")(Svm)
MODELS.register("linear")(Linear)
MODELS.register("cnn-blstm")(CnnBlstm)
MODELS.register("autoencoder-fusion")(AutoencoderFusion)
MODELS.register("leaf-cnn")(LeafCnn)
MODELS.register("text-cnn")(TextCnn)
MODELS.register("text-gru")(TextGru)


def is_fitted_at_once(name: str) -> bool:
    """Whether the model called `name` has no epochs.

    Example:
        >>> is_fitted_at_once("svm"), is_fitted_at_once("attention-cnn")
        (True, False)
    """
    return hasattr(MODELS[name], "fit")


__all__ = [
    "DIALOGUE_MODELS", "MODELS", "AttentionCnn", "AutoencoderFusion", "CnnBlstm", "DialogueGru", "LeafCnn", "Linear",
    "MultimodalTransformer", "Output", "Svm", "TextCnn", "TextGru", "is_fitted_at_once",
]  # fmt: skip
