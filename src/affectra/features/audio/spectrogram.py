"""Spectrograms: frames computed once per utterance, compressed per frame or per segment."""

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from affectra.errors import ConfigError
from affectra.features import segments
from affectra.features.frames.spectral import LOG_FLOOR, MU, taper

Window = Literal["hamming", "hann"]
Compression = Literal["mu-law", "log", "none"]
Peak = Literal["segment", "utterance"]
FRAMES_PER_CHUNK = 64  # input and output of a chunk's FFT stay in the cache of one core


def mu_law(x: Tensor, mu: float = MU) -> Tensor:
    """Compress [-1, 1] to [-1, 1]: `sgn(x) ln(1 + mu |x|) / ln(1 + mu)` (Li et al. 2018).

    Example:
        >>> mu_law(torch.tensor([-1.0, 0.0, 1.0]))
        tensor([-1.,  0.,  1.])
    """
    return torch.sign(x) * torch.log1p(mu * x.abs()) / math.log1p(mu)


class Spectrogram(nn.Module):
    """Magnitude spectrogram of short windows.

    Li et al. 2018, frequency processing: 40 ms Hamming windows every 10 ms, NFFT 1600, bins 0 to 399, magnitudes
    divided by the segment's peak and mu-law compressed. Gao et al. 2021: windows of 256 samples every 128, 129 bins,
    log magnitude.

    Args:
        sample_rate: of the waveform, Hz.
        window: shape of the (periodic) window.
        window_length: samples of a window.
        hop_length: samples between windows.
        n_fft: FFT length; windows are padded with zeros up to it.
        n_bins: how many bins are kept, from 0 Hz on.
        compression: "mu-law" (after division by the peak), "log" (natural) or "none".
        peak: over what the largest magnitude is taken for the mu-law.
        pool_bins: neighbouring bins that are averaged to one feature.

    Raises:
        ConfigError: lengths that do not fit together.
    """

    def __init__(
        self,
        *,
        sample_rate: int,
        window: Window,
        window_length: int,
        hop_length: int,
        n_fft: int,
        n_bins: int,
        compression: Compression,
        peak: Peak = "segment",
        pool_bins: int = 1,
    ) -> None:
        super().__init__()
        for name, value, known in (
            ("window", window, Window),
            ("compression", compression, Compression),
            ("peak", peak, Peak),
        ):
            if value not in get_args(known):
                raise ConfigError(f"spectrogram: {name} is one of {', '.join(get_args(known))}, found {value!r}")
        if not 0 < window_length <= n_fft or not 0 < n_bins <= n_fft // 2 + 1 or hop_length < 1:
            raise ConfigError(
                f"spectrogram: needs 0 < window_length <= n_fft, 0 < n_bins <= n_fft/2 + 1 and hop_length >= 1, found "
                f"window_length={window_length}, n_fft={n_fft}, n_bins={n_bins}, hop_length={hop_length}"
            )
        if sample_rate < 1000 or n_fft > sample_rate:
            raise ConfigError(
                f"spectrogram: needs sample_rate >= 1000 Hz and n_fft of at most a second, found {sample_rate}, {n_fft}"
            )
        if pool_bins < 1 or n_bins % pool_bins:
            raise ConfigError(f"spectrogram: pool_bins={pool_bins} does not divide n_bins={n_bins}")
        self.sample_rate, self.window_length, self.hop_length = sample_rate, window_length, hop_length
        self.n_fft, self.n_bins, self.pool_bins = n_fft, n_bins, pool_bins
        self.compression, self.peak = compression, peak
        self.n_features = n_bins // pool_bins
        self.register_buffer("taper", torch.from_numpy(taper(window, window_length)), persistent=False)
        self.taper: Tensor

    @property
    def is_framewise(self) -> bool:
        """Whether `frames` are final, so that statistics over an utterance or a corpus make sense."""
        return self.compression != "mu-law" or self.peak == "utterance"

    def n_frames(self, n_samples: int) -> int:
        """Frames of a waveform; together they cover every sample."""
        return segments.n_frames(n_samples, self.window_length, self.hop_length)

    @torch.no_grad()
    def frames(self, waveform: Tensor) -> Tensor:
        """Frames of one utterance, as they are cached.

        Args:
            waveform: (sample,) at `sample_rate`, the last window is padded with zeros.

        Returns:
            (frame, n_features): linear magnitudes where the compression needs the segment's peak, else compressed.
        """
        n = self.n_frames(len(waveform))
        padded = nn.functional.pad(waveform, (0, (n - 1) * self.hop_length + self.window_length - len(waveform)))
        magnitudes = self._magnitudes(padded.unfold(0, self.window_length, self.hop_length))
        if self.compression == "log":
            return magnitudes.clamp_min(LOG_FLOOR).log()
        if self.compression == "mu-law" and self.peak == "utterance":
            return mu_law(magnitudes / magnitudes.max().clamp_min(LOG_FLOOR))
        return magnitudes

    def _magnitudes(self, windows: Tensor) -> Tensor:
        """(window, sample) -> (window, n_features)."""
        n = min(len(windows), FRAMES_PER_CHUNK)
        padded, magnitudes = windows.new_zeros(n, self.n_fft), windows.new_empty(len(windows), self.n_features)
        for i in range(0, len(windows), n):
            chunk, kept = windows[i : i + n], magnitudes[i : i + n]
            into = padded[: len(chunk)]  # zeros behind the windows stay zeros from chunk to chunk
            torch.mul(chunk, self.taper, out=into[:, : self.window_length])
            spectrum = torch.fft.rfft(into)[:, : self.n_bins]
            if self.pool_bins == 1:
                torch.abs(spectrum, out=kept)
            else:
                torch.mean(spectrum.abs().reshape(len(chunk), self.n_features, self.pool_bins), 2, out=kept)
        return magnitudes

    def forward(self, segments: Tensor) -> Tensor:
        """Finish the features of cut segments: compression by the segment's peak where chosen, and the order of axes.

        Shape:
            - segments: (batch, time, n_features), zeros where padded
            - output: (batch, n_features, time), zeros where padded
        """
        features = segments.transpose(1, 2)
        if self.compression == "mu-law" and self.peak == "segment":
            peaks = features.amax(dim=(1, 2), keepdim=True).clamp_min(LOG_FLOOR)
            # `mu_law(features / peaks)` for magnitudes, which are not negative, in fewer passes over the segments
            features = (features * (MU / peaks)).log1p_().mul_(1 / math.log1p(MU))
        return features
