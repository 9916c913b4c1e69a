"""Log-mel energies and MFCC: fixed front ends on the mel scale."""

import torch
from torch import Tensor, nn

from affectra.errors import ConfigError
from affectra.features.audio.spectrogram import Spectrogram
from affectra.features.frames import spectral as numpy_frames
from affectra.features.frames.spectral import POWER_FLOOR, cosines


def mel_filters(n_filters: int, sample_rate: int, n_fft: int, lowest_hz: float, highest_hz: float) -> Tensor:
    """`numpy_frames.mel_filters` as a tensor: (filter, bin), float64."""
    return torch.from_numpy(numpy_frames.mel_filters(n_filters, sample_rate, n_fft, lowest_hz, highest_hz))


class LogMel(nn.Module):
    """Natural logarithm of the power in mel bands, of Hann windows.

    Args:
        sample_rate: of the waveform, Hz.
        window_length: samples of a window.
        hop_length: samples between windows.
        n_fft: FFT length.
        n_filters: mel bands.
        lowest_hz: lower corner of the lowest band.
        highest_hz: upper corner of the highest band.

    Raises:
        ConfigError: sizes that do not fit together, or a band without a bin of the FFT.
    """

    is_framewise = True

    def __init__(
        self,
        *,
        sample_rate: int = 16_000,
        window_length: int = 400,
        hop_length: int = 160,
        n_fft: int = 512,
        n_filters: int = 40,
        lowest_hz: float = 60.0,
        highest_hz: float = 7800.0,
    ) -> None:
        super().__init__()
        if not 0 <= lowest_hz < highest_hz <= sample_rate / 2 or n_filters < 1:
            raise ConfigError(
                "log-mel: needs n_filters >= 1 and 0 <= lowest_hz < highest_hz <= sample_rate/2, found "
                f"n_filters={n_filters}, lowest_hz={lowest_hz}, highest_hz={highest_hz}, sample_rate={sample_rate}"
            )
        self.spectrogram = Spectrogram(
            sample_rate=sample_rate, window="hann", window_length=window_length, hop_length=hop_length, n_fft=n_fft,
            n_bins=n_fft // 2 + 1, compression="none",
        )  # fmt: skip
        filters = mel_filters(n_filters, sample_rate, n_fft, lowest_hz, highest_hz)
        if filters.amax(1).min() == 0:
            raise ConfigError(f"log-mel: n_filters={n_filters} of n_fft={n_fft} leave a band without a bin; use fewer")
        self.register_buffer("filters", filters.T.float(), persistent=False)
        self.filters: Tensor
        self.sample_rate, self.window_length, self.hop_length = sample_rate, window_length, hop_length
        self.n_features = n_filters

    def n_frames(self, n_samples: int) -> int:
        """Frames of a waveform; together they cover every sample."""
        return self.spectrogram.n_frames(n_samples)

    @torch.no_grad()
    def frames(self, waveform: Tensor) -> Tensor:
        """Frames (frame, n_features) of one utterance (sample,), as they are cached."""
        power = self.spectrogram.frames(waveform).square()
        return (power @ self.filters).clamp_min(POWER_FLOOR).log()

    def forward(self, segments: Tensor) -> Tensor:
        """Segments (batch, time, n_features) as (batch, n_features, time)."""
        return segments.transpose(1, 2)


class Mfcc(LogMel):
    """Mel-frequency cepstral coefficients: the orthonormal DCT-II of log-mel energies; the first is the level.

    Args:
        n_coefficients: how many, from the first on.
        n_filters: mel bands.
        sample_rate: of the waveform, Hz.
        window_length: samples of a window.
        hop_length: samples between windows.
        n_fft: FFT length.
        lowest_hz: lower corner of the lowest band.
        highest_hz: upper corner of the highest band.

    Raises:
        ConfigError: as of `LogMel`, or more coefficients than bands.
    """

    def __init__(
        self,
        *,
        n_coefficients: int = 20,
        n_filters: int = 40,
        sample_rate: int = 16_000,
        window_length: int = 400,
        hop_length: int = 160,
        n_fft: int = 512,
        lowest_hz: float = 60.0,
        highest_hz: float = 7800.0,
    ) -> None:
        super().__init__(
            sample_rate=sample_rate, window_length=window_length, hop_length=hop_length, n_fft=n_fft,
            n_filters=n_filters, lowest_hz=lowest_hz, highest_hz=highest_hz,
        )  # fmt: skip
        if not 1 <= n_coefficients <= n_filters:
            raise ConfigError(f"mfcc: needs 1 <= n_coefficients <= n_filters={n_filters}, found {n_coefficients}")
        matrix = torch.from_numpy(cosines(n_filters, n_coefficients)).float()
        self.register_buffer("cosines", matrix, persistent=False)
        self.cosines: Tensor
        self.n_features = n_coefficients

    @torch.no_grad()
    def frames(self, waveform: Tensor) -> Tensor:
        """Frames (frame, n_features) of one utterance (sample,), as they are cached."""
        return super().frames(waveform) @ self.cosines
