"""Normalisation of features: a named, recorded choice that travels with the checkpoint."""

from collections.abc import Iterable
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from affectra.errors import ConfigError

Mode = Literal["none", "utterance", "train", "speaker", "corpus"]
GROUPED = ("speaker", "corpus")  # statistics of a group of utterances, which a lone recording does not have
STILL = 1e-10  # a deviation below this share of the mean is rounding, not movement


class Statistics(NamedTuple):
    """Mean and standard deviation of each feature, both (feature,); the deviation of one that never moves is 1."""

    mean: npt.NDArray[np.float64]
    std: npt.NDArray[np.float64]


def measure(utterances: Iterable[npt.NDArray[np.floating]]) -> Statistics:
    """Statistics over all frames of utterances, each (frame, feature), one in memory at a time; needs at least one."""
    n, mean, m2 = 0, np.zeros(1), np.zeros(1)
    for frames in utterances:  # Chan et al. 1983: merge the moments of one utterance into those so far
        values = np.asarray(frames, dtype=np.float64)
        delta = values.mean(0) - mean
        m2 = m2 + values.var(0) * len(values) + delta**2 * n * len(values) / (n + len(values))
        mean = mean + delta * len(values) / (n + len(values))
        n += len(values)
    assert n, "no utterance to measure"
    std = np.sqrt(m2 / n)
    # Not a smallest deviation: functionals have units in which 1e-7 is much, and a still feature that moves in a test
    # must not explode (scikit-learn's StandardScaler decides the same).
    return Statistics(mean, np.where(std > STILL * np.abs(mean), std, 1.0))


class Normalization(nn.Module):
    """Zero mean and unit variance per feature, over nothing, each utterance, the training part, or a group.

    Args:
        mode: "none"; "utterance", statistics of the utterance itself; "train", statistics of the training part,
            fitted by `fit` and kept in the checkpoint; "speaker" and "corpus", statistics of all utterances of the same
            speaker or corpus, given with each utterance. The last two use unlabelled test utterances of those that
            training has not seen, which is transductive, and results say so. A lone recording, of whose speaker and
            corpus nothing else is known, is its own group.
        n_features: features of a frame.

    Raises:
        ConfigError: unknown mode.
    """

    def __init__(self, mode: Mode, n_features: int) -> None:
        super().__init__()
        if mode not in get_args(Mode):
            raise ConfigError(f"normalization is one of {', '.join(get_args(Mode))}, found {mode!r}")
        self.mode = mode
        if mode == "train":
            self.register_buffer("mean", torch.zeros(n_features))
            self.register_buffer("std", torch.ones(n_features))
        self.mean: Tensor
        self.std: Tensor

    def fit(self, utterances: Iterable[npt.NDArray[np.floating]]) -> None:
        """Set the training part's statistics from its utterances' frames, each (frame, feature), one at a time."""
        if self.mode == "train":
            statistics = measure(utterances)
            self.mean.copy_(torch.from_numpy(statistics.mean))
            self.std.copy_(torch.from_numpy(statistics.std))

    def of_utterance(
        self, frames: npt.NDArray[np.floating], group: Statistics | None = None
    ) -> npt.NDArray[np.float32]:
        """Frames (frame, feature) of an utterance before its segments are cut.

        Args:
            frames: of the whole utterance; with the statistics of a group any part of it will do.
            group: statistics of the utterance's speaker or corpus.
        """
        if self.mode in ("none", "train"):
            return frames.astype(np.float32)
        mean, std = group if group is not None and self.mode in GROUPED else measure([frames])
        return ((frames - mean) / std).astype(np.float32)

    def forward(self, segments: Tensor, n_frames: Tensor) -> Tensor:
        """Segments (batch, time, feature) after cutting; padding stays zero."""
        if self.mode != "train":
            return segments
        real = torch.arange(segments.shape[1], device=segments.device) < n_frames[:, None]
        return (segments - self.mean) / self.std * real[..., None]
