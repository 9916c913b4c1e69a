"""Front ends without torch: the constants, tapers and filters of all, and frames computed with numpy alone."""

import math
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from affectra.errors import require_extra
from affectra.features.segments import n_frames

MU = 255.0  # mu-law companding, Li et al. 2018
LOG_FLOOR = 1e-5  # linear magnitude; about -150 dB below a full-scale tone of a 40 ms window
POWER_FLOOR = 1e-10  # 140 dB below a full-scale tone of the default window of log-mel
FRAMES_PER_CHUNK = 128  # FFT input of a chunk stays in the cache of one core
PRODUCTS_PER_CHUNK = 1 << 18  # OpenBLAS starts no threads for so few; those of two streams would wait for each other
STILL = 1e-10  # a deviation below this share of the mean is rounding, not movement; as in `features.normalization`
HALF = "float16"  # frames are many, and what is left of a magnitude or its logarithm is enough
SHORTEST_S = 0.1  # openSMILE has no window below 61 ms; silence fills a shorter sound
N_FUNCTIONALS = {"ComParE_2016": 6373, "eGeMAPSv02": 88}

Array = npt.NDArray[np.float32]


class NumpyFrontEnd(Protocol):
    """A front end in numpy, from waveform to frames; names as of the torch front ends in `features`."""

    sample_rate: int
    n_features: int
    window_length: int | None
    hop_length: int | None
    dtype: str

    def frames(self, waveform: Array) -> Array:
        """Frames (frame, n_features) of a waveform (sample,) at `sample_rate`, not yet rounded to `dtype`."""
        ...


def taper(window: str, length: int) -> Array:
    """A periodic Hamming or Hann window.

    Example:
        >>> taper("hann", 4).tolist()
        [0.0, 0.5, 1.0, 0.5]
    """
    constant = {"hamming": 0.54, "hann": 0.5}[window]
    phase = 2 * np.pi * np.arange(length) / length
    return (constant - (1 - constant) * np.cos(phase)).astype(np.float32)


def mel_filters(
    n_filters: int, sample_rate: int, n_fft: int, lowest_hz: float, highest_hz: float
) -> npt.NDArray[np.float64]:
    """Triangles whose corners are equally spaced on the mel scale `2595 log10(1 + f / 700)`.

    Returns:
        (filter, bin), bins from 0 Hz to half the sample rate, peaks at most 1.
    """
    mels = np.linspace(_mel(lowest_hz), _mel(highest_hz), n_filters + 2)
    corners = 700 * (10 ** (mels / 2595) - 1)
    bins = np.linspace(0, sample_rate / 2, n_fft // 2 + 1)
    low, peak, high = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    triangles: npt.NDArray[np.float64] = np.minimum((bins - low) / (peak - low), (high - bins) / (high - peak))
    return np.maximum(triangles, 0)


def _mel(frequency_hz: float) -> float:
    return 2595 * math.log10(1 + frequency_hz / 700)


def cosines(n_filters: int, n_coefficients: int) -> npt.NDArray[np.float64]:
    """The orthonormal DCT-II as a matrix (band, coefficient)."""
    bands, orders = np.arange(n_filters), np.arange(n_coefficients)
    matrix: npt.NDArray[np.float64] = np.cos(math.pi / n_filters * (bands[:, None] + 0.5) * orders)
    matrix *= math.sqrt(2 / n_filters)
    matrix[:, 0] /= math.sqrt(2)
    return matrix


def _product(rows: Array, matrix: Array) -> Array:
    """`rows @ matrix`, some rows at a time."""
    n = max(1, PRODUCTS_PER_CHUNK // matrix.size)
    return np.concatenate([rows[i : i + n] @ matrix for i in range(0, len(rows), n)])


def standardized(frames: npt.NDArray[np.floating]) -> Array:
    """Frames (frame, feature) with zero mean and unit variance of each feature, over themselves."""
    values = frames.astype(np.float64)
    mean, std = values.mean(0), values.std(0)
    scaled: npt.NDArray[np.float64] = (values - mean) / np.where(std > STILL * np.abs(mean), std, 1.0)
    return scaled.astype(np.float32)


class SpectrogramFrames:
    """Frames of `features.spectrogram.Spectrogram`, whose options these are; peaks of segments are not its business."""

    dtype = HALF

    def __init__(
        self,
        *,
        sample_rate: int,
        window: str,
        window_length: int,
        hop_length: int,
        n_fft: int,
        n_bins: int,
        compression: str,
        peak: str,
        pool_bins: int,
    ) -> None:
        self.sample_rate = sample_rate
        self.window_length: int | None = window_length
        self.hop_length: int | None = hop_length
        self.n_features = n_bins // pool_bins
        self._length, self._hop, self._taper = window_length, hop_length, taper(window, window_length)
        self._n_fft, self._n_bins, self._pool_bins = n_fft, n_bins, pool_bins
        self._compression, self._peak = compression, peak

    def frames(self, waveform: Array) -> Array:
        """Linear magnitudes where the compression needs the segment's peak, else compressed."""
        n = n_frames(len(waveform), self._length, self._hop)
        padded = np.zeros((n - 1) * self._hop + self._length, dtype=np.float32)
        padded[: len(waveform)] = waveform
        windows = np.lib.stride_tricks.sliding_window_view(padded, self._length)[:: self._hop]
        magnitudes = np.empty((n, self.n_features), dtype=np.float32)
        for i in range(0, n, FRAMES_PER_CHUNK):
            magnitudes[i : i + FRAMES_PER_CHUNK] = self._magnitudes(windows[i : i + FRAMES_PER_CHUNK])
        if self._compression == "log":
            return np.log(np.maximum(magnitudes, LOG_FLOOR))
        if self._compression == "mu-law" and self._peak == "utterance":
            magnitudes /= max(magnitudes.max(), LOG_FLOOR)
            magnitudes = np.log1p(MU * magnitudes) / np.float32(math.log1p(MU))
        return magnitudes

    def _magnitudes(self, windows: Array) -> Array:
        spectrum = np.abs(np.fft.rfft(windows * self._taper, n=self._n_fft)[:, : self._n_bins])
        if self._pool_bins > 1:
            spectrum = spectrum.reshape(len(windows), self.n_features, self._pool_bins).mean(2)
        return spectrum.astype(np.float32, copy=False)


class LogMelFrames:
    """Frames of `features.mel.LogMel`, whose options these are."""

    dtype = HALF

    def __init__(
        self,
        *,
        sample_rate: int,
        window_length: int,
        hop_length: int,
        n_fft: int,
        n_filters: int,
        lowest_hz: float,
        highest_hz: float,
    ) -> None:
        self._spectrogram = SpectrogramFrames(
            sample_rate=sample_rate, window="hann", window_length=window_length, hop_length=hop_length, n_fft=n_fft,
            n_bins=n_fft // 2 + 1, compression="none", peak="segment", pool_bins=1,
        )  # fmt: skip
        self._filters = mel_filters(n_filters, sample_rate, n_fft, lowest_hz, highest_hz).T.astype(np.float32)
        self.sample_rate = sample_rate
        self.window_length: int | None = window_length
        self.hop_length: int | None = hop_length
        self.n_features = n_filters

    def frames(self, waveform: Array) -> Array:
        """Natural logarithms of the power in bands."""
        power = np.square(self._spectrogram.frames(waveform))
        return np.log(np.maximum(_product(power, self._filters), POWER_FLOOR))


class MfccFrames:
    """Frames of `features.mel.Mfcc`, whose options these are."""

    dtype = HALF

    def __init__(
        self,
        *,
        n_coefficients: int,
        n_filters: int,
        sample_rate: int,
        window_length: int,
        hop_length: int,
        n_fft: int,
        lowest_hz: float,
        highest_hz: float,
    ) -> None:
        self._mel = LogMelFrames(
            sample_rate=sample_rate, window_length=window_length, hop_length=hop_length, n_fft=n_fft,
            n_filters=n_filters, lowest_hz=lowest_hz, highest_hz=highest_hz,
        )  # fmt: skip
        self._cosines = cosines(n_filters, n_coefficients).astype(np.float32)
        self.sample_rate = sample_rate
        self.window_length: int | None = window_length
        self.hop_length: int | None = hop_length
        self.n_features = n_coefficients

    def frames(self, waveform: Array) -> Array:
        """Cepstral coefficients."""
        return _product(self._mel.frames(waveform), self._cosines)


class FunctionalsFrames:
    """The one vector of `features.functionals.Functionals`, whose options these are.

    Raises:
        ConfigError: openSMILE is not installed.
    """

    dtype = "float32"  # half precision ends at 65504
    window_length: int | None = None
    hop_length: int | None = None

    def __init__(self, *, feature_set: str, sample_rate: int) -> None:
        require_extra("opensmile", "baselines", "the front end functionals")
        self.sample_rate, self._feature_set = sample_rate, feature_set
        self.n_features = N_FUNCTIONALS[feature_set]

    def frames(self, waveform: Array) -> Array:
        """(1, n_features); what openSMILE leaves undefined is 0."""
        missing = max(0, round(SHORTEST_S * self.sample_rate) - len(waveform))
        values = self._smile(np.pad(waveform, (0, missing)), self.sample_rate)[:, :, 0]
        vector: Array = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float32, copy=False)
        return vector

    @cached_property
    def _smile(self) -> Any:
        import opensmile

        return opensmile.Smile(opensmile.FeatureSet[self._feature_set], opensmile.FeatureLevel.Functionals)
