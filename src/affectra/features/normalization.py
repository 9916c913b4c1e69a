"""Normalisation of features: a named, recorded choice that travels with the checkpoint."""

from collections.abc import Iterable
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from affectra.errors import ConfigError

Mode = Literal["none", "utterance", "train"]
SMALLEST_STD = 1e-5  # features that never move stay finite


class Normalization(nn.Module):
    """Zero mean and unit variance per feature, over nothing, each utterance, or the training part.

    Args:
        mode: "none"; "utterance", statistics of the utterance itself; "train", statistics of the training part,
            fitted by `fit` and kept in the checkpoint. Neither uses anything of another test utterance.
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
        if self.mode != "train":
            return
        n, mean, m2 = 0, np.zeros(len(self.mean)), np.zeros(len(self.mean))
        for frames in utterances:  # Chan et al. 1983: merge the moments of one utterance into those so far
            values = np.asarray(frames, dtype=np.float64)
            delta = values.mean(0) - mean
            m2 += values.var(0) * len(values) + delta**2 * n * len(values) / (n + len(values))
            mean += delta * len(values) / (n + len(values))
            n += len(values)
        self.mean.copy_(torch.from_numpy(mean))
        self.std.copy_(torch.from_numpy(np.sqrt(m2 / n)).clamp_min(SMALLEST_STD))

    def of_utterance(self, frames: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Frames (frame, feature) of a whole utterance before its segments are cut."""
        values = frames.astype(np.float32)
        if self.mode == "utterance":
            values = (values - values.mean(0)) / np.maximum(values.std(0), SMALLEST_STD)
        return values

    def forward(self, segments: Tensor, n_frames: Tensor) -> Tensor:
        """Segments (batch, time, feature) after cutting; padding stays zero."""
        if self.mode != "train":
            return segments
        real = torch.arange(segments.shape[1], device=segments.device) < n_frames[:, None]
        return (segments - self.mean) / self.std * real[..., None]
