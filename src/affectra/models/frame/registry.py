"""Models of continuous emotion, by name: from frames of 100 ms to dimensions over time."""

from typing import NamedTuple

from torch import Tensor

from affectra.registry import Registry

CONTINUOUS_MODELS: Registry = Registry("continuous model")


class ContinuousOutput(NamedTuple):
    """Output of a model of continuous emotion for a batch; zeros in all of it for padding.

    Attributes:
        predictions: (batch, frame, dimension), from -1 to 1.
        embedding: (batch, frame, feature), what the predictions were read from.
        attention: (batch, frame, 2), how much of the acoustic and of the semantic stream was taken, which add up to 1;
            None for a model that does not weigh the two.
    """

    predictions: Tensor
    embedding: Tensor
    attention: Tensor | None
