"""A recording as one vector of how its spectrum moves: the covariance of cepstra and their changes; numpy alone."""

from functools import cached_property

import numpy as np
import numpy.typing as npt

from affectra.features.frames.spectral import Array, LogMelFrames, cosines
from affectra.features.frames.voice_statistics import NEPERS_PER_DB, spoken

SAMPLE_RATE = 16_000
WINDOW_LENGTH, HOP_LENGTH, N_FFT = 400, 160, 512  # 25 ms every 10 ms
N_FILTERS, N_BANDS = 64, 32  # mel filters from 60 to 7800 Hz, and pairs of them
# Ours, settled on RAVDESS actors 01-09 (docs/experiments.md).
N_COEFFICIENTS = 15  # beyond the mean level, whose movement the prosody tells
FLOOR_DB = 45.0  # below the loudest band
LEAST_VARIANCE = 0.5  # dB^2, added to each, so that a still recording has a logarithm
N_FEATURES = (2 * N_COEFFICIENTS + 1) * (N_COEFFICIENTS + 1)  # a triangle of 2 x 15 + 1 rows and columns


def log_covariance(rows: npt.NDArray[np.float64], least_variance: float) -> npt.NDArray[np.float64]:
    """The matrix logarithm of the covariance of rows (row, column) as a vector whose length is the matrix's norm.

    The logarithm makes the cone of covariances flat, so that a linear model may read them (Arsigny et al. 2007).

    Returns:
        (column x (column + 1) / 2,) the triangle row by row, what is off the diagonal times the root of two.

    Example:
        >>> log_covariance(np.array([[1.0, 0.0], [-1.0, 0.0]]), 1.0).round(3).tolist()
        [0.693, 0.0, 0.0]
    """
    centred = rows - rows.mean(0)
    covariance = centred.T @ centred / len(rows) + least_variance * np.eye(rows.shape[1])
    values, vectors = np.linalg.eigh(covariance)
    logarithm = (vectors * np.log(values)) @ vectors.T
    row, column = np.triu_indices(len(logarithm))
    flat: npt.NDArray[np.float64] = logarithm[row, column] * np.where(row == column, 1.0, np.sqrt(2))
    return flat


class CepstralCovarianceFrames:
    """The one vector (1, `N_FEATURES`) of a sound: level, room and microphone move the mean, which is taken out."""

    dtype = "float32"
    window_length: int | None = None
    hop_length: int | None = None
    sample_rate = SAMPLE_RATE
    n_features = N_FEATURES

    def frames(self, waveform: Array) -> Array:
        """The covariance of cepstra, the level's change and theirs, of what is spoken in a waveform (sample,)."""
        log_power = self._mel.frames(waveform).astype(np.float64)
        part = spoken(np.exp(log_power).mean(1))
        bands_db = log_power[part].reshape(-1, N_BANDS, N_FILTERS // N_BANDS).mean(2) / NEPERS_PER_DB
        bands_db = np.maximum(bands_db, bands_db.max() - FLOOR_DB)
        cepstra = bands_db @ cosines(N_BANDS, 1 + N_COEFFICIENTS)
        changes = np.gradient(cepstra, axis=0) if len(cepstra) > 1 else np.zeros_like(cepstra)
        rows = np.concatenate([cepstra[:, 1:], changes], 1)
        return log_covariance(rows, LEAST_VARIANCE).astype(np.float32)[None]

    @cached_property
    def _mel(self) -> LogMelFrames:
        return LogMelFrames(
            sample_rate=SAMPLE_RATE, window_length=WINDOW_LENGTH, hop_length=HOP_LENGTH, n_fft=N_FFT,
            n_filters=N_FILTERS, lowest_hz=60.0, highest_hz=7800.0,
        )  # fmt: skip
