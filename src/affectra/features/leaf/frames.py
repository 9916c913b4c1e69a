"""LEAF as it starts, not learned: a front end whose frames are computed once and cached."""

import torch
from torch import Tensor, nn

from affectra.features.leaf.leaf import Leaf


class FixedLeaf(nn.Module):
    """Frames of a `Leaf` with its initial parameters: PCEN of a mel filterbank.

    Frames of a learned one would change with every training step, so they cannot be cached; see `Leaf`.

    Args:
        n_filters: filters.
        sample_rate: of the waveform, Hz.
        window_s: length of filters and pooling windows, s.
        hop_s: time between frames, s.
    """

    is_framewise = True

    def __init__(
        self, *, n_filters: int = 40, sample_rate: int = 16_000, window_s: float = 0.025, hop_s: float = 0.010
    ) -> None:
        super().__init__()
        self.leaf = Leaf(n_filters, sample_rate, window_s, hop_s, learnable=False)
        self.sample_rate, self.n_features = sample_rate, n_filters
        self.window_length, self.hop_length = self.leaf.window_length, self.leaf.hop_length

    def n_frames(self, n_samples: int) -> int:
        """Frames of a waveform: one per started hop."""
        return self.leaf.n_frames(n_samples)

    @torch.no_grad()
    def frames(self, waveform: Tensor) -> Tensor:
        """Frames (frame, n_features) of one utterance (sample,), as they are cached."""
        features: Tensor = self.leaf(waveform[None])
        return features[0].T

    def forward(self, segments: Tensor) -> Tensor:
        """Segments (batch, time, n_features) as (batch, n_features, time)."""
        return segments.transpose(1, 2)
