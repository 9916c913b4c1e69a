"""The waveform itself as a front end, for networks that learn from samples."""

import torch
from torch import Tensor, nn

from affectra.errors import ConfigError
from affectra.features import segments


class Waveform(nn.Module):
    """Windows of samples, unchanged; a frame's features are its samples.

    Args:
        sample_rate: of the waveform, Hz.
        window_length: samples of a frame.
        hop_length: samples between frames; equal to the window, so that no sample comes twice, unless given.

    Raises:
        ConfigError: sizes below 1.
    """

    is_framewise = True

    def __init__(self, *, sample_rate: int = 16_000, window_length: int = 160, hop_length: int | None = None) -> None:
        super().__init__()
        self.sample_rate, self.window_length = sample_rate, window_length
        self.hop_length = window_length if hop_length is None else hop_length
        if sample_rate < 1000 or window_length < 1 or self.hop_length < 1:
            raise ConfigError(
                "waveform: needs sample_rate >= 1000 Hz and window_length and hop_length >= 1, found "
                f"{sample_rate}, {window_length} and {self.hop_length}"
            )
        self.n_features = window_length

    def n_frames(self, n_samples: int) -> int:
        """Frames of a waveform; together they cover every sample unless the hop is longer than the window."""
        return segments.n_frames(n_samples, self.window_length, self.hop_length)

    @torch.no_grad()
    def frames(self, waveform: Tensor) -> Tensor:
        """Frames (frame, n_features) of one utterance (sample,), the last one padded with zeros."""
        missing = (self.n_frames(len(waveform)) - 1) * self.hop_length + self.window_length - len(waveform)
        return nn.functional.pad(waveform, (0, missing)).unfold(0, self.window_length, self.hop_length)

    def forward(self, segments: Tensor) -> Tensor:
        """Segments (batch, time, n_features) as (batch, n_features, time)."""
        return segments.transpose(1, 2)
