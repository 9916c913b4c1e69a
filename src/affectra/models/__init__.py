"""Models: networks from features to scores, by name; each returns an `Output`."""

from affectra.models.attention_cnn import AttentionCnn
from affectra.models.layers import Output
from affectra.registry import Registry

MODELS: Registry = Registry("model")
MODELS.register("attention-cnn")(AttentionCnn)

__all__ = ["MODELS", "AttentionCnn", "Output"]
