"""Models: networks from features to scores, by name, and the checkpoint that rebuilds one with its preprocessing.

Takes features and options as arguments, never files or optimizers; gives an `Output`. Most are networks, trained
through epochs. One with a method `fit(vectors)` is fitted without epochs, to one vector an utterance; see `Svm` and
`Linear`. `DIALOGUE_MODELS` are over the turns of a dialogue, on embeddings of turns. Open `recognizer.py` first, then
`layers.py`; `utterance/`, `dialogue/`, `frame/` and `vector/` have the networks by what they answer for.
"""

from affectra.models.dialogue.dialogue import DIALOGUE_MODELS
from affectra.models.dialogue.dialogue_gru import DialogueGru
from affectra.models.dialogue.multimodal_transformer import MultimodalTransformer
from affectra.models.layers import Output
from affectra.models.utterance.attention_cnn import AttentionCnn
from affectra.models.utterance.autoencoder_fusion import AutoencoderFusion
from affectra.models.utterance.cnn_blstm import CnnBlstm
from affectra.models.utterance.leaf_cnn import LeafCnn
from affectra.models.utterance.text_cnn import TextCnn
from affectra.models.utterance.text_gru import TextGru
from affectra.models.vector.linear import Linear
from affectra.models.vector.svm import Svm
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


def fits_without_epochs(name: str) -> bool:
    """Whether the model called `name` has no epochs.

    Example:
        >>> fits_without_epochs("svm"), fits_without_epochs("attention-cnn")
        (True, False)
    """
    return hasattr(MODELS[name], "fit")


__all__ = [
    "DIALOGUE_MODELS", "MODELS", "AttentionCnn", "AutoencoderFusion", "CnnBlstm", "DialogueGru", "LeafCnn", "Linear",
    "MultimodalTransformer", "Output", "Svm", "TextCnn", "TextGru", "fits_without_epochs",
]  # fmt: skip
