"""LEAF that learns with the network: what is cached is the samples, and its filters run in every batch."""

import torch
from torch import Tensor, nn

from affectra.features.leaf.leaf import Leaf


class LearnedLeaf(nn.Module):
    """A `Leaf` whose 280 parameters are trained with what reads it (Dutta & Ganapathy 2022).

    A frame is a hop of samples, so nothing of the waveform comes twice. Each batch is filtered with what stands behind
    its segments as zeros, and with zeros appended where a window would reach beyond them: how long a batch is padded
    changes no frame of the shorter utterances. With a hop of at least half a window, as the paper's 30 ms, the features
    are `Leaf`'s of the waveform and zeros up to the next whole hop; with a shorter hop only the last frames, whose
    windows `Leaf` cuts at the end of the signal, differ.

    Args:
        n_filters: filters.
        sample_rate: of the waveform, Hz.
        window_s: length of filters and pooling windows, s.
        hop_s: time between frames, s.
        pooling_bias: as `Leaf`'s.

    Shape:
        - segments: (batch, time, hop), as `frames` gives them, zeros where padded
        - output: (batch, n_filters, time)
    """

    is_framewise = False  # its frames are samples, which have no mean worth taking

    def __init__(
        self,
        *,
        n_filters: int = 40,
        sample_rate: int = 16_000,
        window_s: float = 0.025,
        hop_s: float = 0.010,
        pooling_bias: bool = False,
    ) -> None:
        super().__init__()
        self.leaf = Leaf(n_filters, sample_rate, window_s, hop_s, pooling_bias)
        self.sample_rate, self.n_features = sample_rate, n_filters
        self.hop_length = self.window_length = self.leaf.hop_length

    def n_frames(self, n_samples: int) -> int:
        """Frames of a waveform: one per started hop."""
        return self.leaf.n_frames(n_samples)

    @torch.no_grad()
    def frames(self, waveform: Tensor) -> Tensor:
        """Samples (frame, hop) of one utterance (sample,), as they are cached; the last frame ends in zeros."""
        n_frames = self.n_frames(len(waveform))
        padded = nn.functional.pad(waveform, (0, n_frames * self.hop_length - len(waveform)))
        return padded.view(n_frames, self.hop_length)

    def forward(self, segments: Tensor) -> Tensor:
        """Features of segments of samples; with gradients for LEAF's parameters."""
        # Leaf's windows end with the signal. Zeros behind keep the end out of reach of the last frame's window.
        reach = self.leaf.window_length // 2 + 1
        samples = nn.functional.pad(segments.flatten(1), (0, max(0, reach - self.hop_length)))
        features: Tensor = self.leaf(samples)
        return features[..., : segments.shape[1]]
