"""Statistics of spectrum, movement and prosody of a whole utterance, for models that are to meet other corpora."""

import torch
from torch import Tensor, nn

from affectra.features.frames.voice_statistics import N_FEATURES, SAMPLE_RATE, VoiceStatisticsFrames


class VoiceStatistics(nn.Module):
    """One vector an utterance: 32 mel bands' means, deviations and movements, and 11 numbers of pitch and level.

    Ours. What differs between corpora and not between emotions is left out: silence before and after, the level of the
    recording, and what lies 35 dB below its mean.

    Attributes:
        hop_length: None, there is one vector for a sound of any length.
        window_length: None likewise.
    """

    hop_length = window_length = None
    is_framewise = True  # statistics over a corpus make sense
    sample_rate = SAMPLE_RATE
    n_features = N_FEATURES

    def __init__(self) -> None:
        super().__init__()
        self.storage = {"dtype": VoiceStatisticsFrames.dtype}
        self._statistics = VoiceStatisticsFrames()

    def n_frames(self, n_samples: int) -> int:
        """One, whatever the length."""
        del n_samples
        return 1

    def frames(self, waveform: Tensor) -> Tensor:
        """The vector (1, n_features) of a waveform (sample,) at `sample_rate`."""
        return torch.from_numpy(self._statistics.frames(waveform.numpy()))

    def forward(self, segments: Tensor) -> Tensor:
        """Segments (batch, 1, n_features) as (batch, n_features, 1)."""
        return segments.transpose(1, 2)
