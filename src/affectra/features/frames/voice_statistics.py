"""A recording as one vector of how it sounds: spectrum, its movement, and prosody; numpy alone."""

from functools import cache, cached_property

import numpy as np
import numpy.typing as npt

from affectra.features.frames.spectral import Array, LogMelFrames, taper

SAMPLE_RATE = 16_000
WINDOW_LENGTH, HOP_LENGTH, N_FFT = 640, 320, 1024  # 40 ms every 20 ms
N_FILTERS, N_BANDS = 64, 32  # mel filters from 60 to 7800 Hz, and pairs of them
# Ours, chosen by training on one corpus and testing on another (docs/experiments.md).
TRIM_DB = 26.0  # below the mean level, what comes before and after is not part of the utterance
MARGIN_FRAMES = 3
FLOOR_DB = 35.0  # below the mean level, where rooms and recorders differ more than voices
LAGS = (1, 4)  # frames, 20 and 80 ms
PITCH_LENGTH, PITCH_N_FFT = 800, 2048  # 50 ms hold three periods of 60 Hz
LOWEST_HZ, HIGHEST_HZ = 70, 500
PITCH_CUT_HZ = 1000.0  # what is above tells voices apart, not their pitch
OCTAVE_COST = 0.02  # per octave of a longer period, so that it is not taken for two
VOICED = 0.55  # strength of the periodicity
JUMP = 0.3  # octaves between frames, more is a slip of the tracker
NEPERS_PER_DB = np.log(10) / 10  # of power
CHUNK = 256  # frames

PROSODY = (
    "pitch median", "pitch rise", "pitch fall", "pitch movement", "pitch slope", "voiced share", "periodicity",
    "level mean", "level deviation", "level movement", "level attack",
)  # fmt: skip
N_FEATURES = (2 + len(LAGS)) * N_BANDS + len(PROSODY)


def pitch(waveform: Array) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Pitch of each frame by the autocorrelation of what is below 1 kHz, divided by that of the window (Boersma 1993).

    Args:
        waveform: (sample,) at 16 kHz.

    Returns:
        (frame,) octaves above 100 Hz, and (frame,) strength of the periodicity in [0, 1]; frames as those of the
        log-mel spectrum, both centred alike.
    """
    n = 1 + max(0, -(-(len(waveform) - WINDOW_LENGTH) // HOP_LENGTH))
    ahead = (PITCH_LENGTH - WINDOW_LENGTH) // 2
    padded = np.zeros((n - 1) * HOP_LENGTH + PITCH_LENGTH, dtype=np.float32)
    part = waveform[: len(padded) - ahead]
    padded[ahead : ahead + len(part)] = part
    windows = np.lib.stride_tricks.sliding_window_view(padded, PITCH_LENGTH)[::HOP_LENGTH]
    of_window = np.fft.irfft(np.abs(np.fft.rfft(_PITCH_TAPER, PITCH_N_FFT)) ** 2)[:PITCH_LENGTH]
    lags, spectra, cosines = _low_transforms()
    share = np.maximum(of_window[lags] / of_window[0], 0.05)
    cost = OCTAVE_COST * np.log2(lags / lags[0])
    octaves, strengths = np.empty(n), np.empty(n)
    for i in range(0, n, CHUNK):
        frames = windows[i : i + CHUNK]
        frames = (frames - frames.mean(1, keepdims=True)) * _PITCH_TAPER
        spectrum = frames @ spectra
        power = spectrum[:, : len(cosines)] ** 2 + spectrum[:, len(cosines) :] ** 2
        correlation = power @ cosines
        periodicity = correlation[:, 1:] / (correlation[:, :1] + 1e-9) / share
        score = periodicity - cost
        edges = np.pad(score, ((0, 0), (1, 1)), constant_values=np.inf)
        is_peak = (score >= edges[:, :-2]) & (score >= edges[:, 2:])
        best = np.where(is_peak, score, -1.0).argmax(1)
        octaves[i : i + CHUNK] = np.log2(SAMPLE_RATE / lags[best] / 100)
        peak = np.where(is_peak, score, -1.0)[np.arange(len(best)), best] + cost[best]
        strengths[i : i + CHUNK] = np.clip(peak, 0.0, 1.0)
    return octaves, strengths


_PITCH_TAPER = taper("hann", PITCH_LENGTH)


@cache
def _low_transforms() -> tuple[npt.NDArray[np.intp], Array, Array]:
    """Parts of the Fourier transform that pitch needs: few bins and few lags, where products are quicker than FFTs.

    Returns:
        (lag,) samples; (sample, 2 * bin), which gives real and imaginary parts below `PITCH_CUT_HZ`; (bin, 1 + lag),
        which makes the power there the correlation at 0 and at the lags.
    """
    lags = np.arange(SAMPLE_RATE // HIGHEST_HZ, SAMPLE_RATE // LOWEST_HZ + 1)
    bins = np.arange(int(np.ceil(PITCH_CUT_HZ * PITCH_N_FFT / SAMPLE_RATE)))
    turn = 2 * np.pi / PITCH_N_FFT
    angles = turn * np.outer(np.arange(PITCH_LENGTH), bins)
    twice = np.where(bins == 0, 1, 2)[:, None]  # every bin but the first stands for its mirror image too
    cosines = twice * np.cos(turn * np.outer(bins, np.append(0, lags))) / PITCH_N_FFT
    return lags, np.hstack([np.cos(angles), np.sin(angles)]).astype(np.float32), cosines.astype(np.float32)


def spoken(power: npt.NDArray[np.float64]) -> slice:
    """The frames from the first to the last that is not far below the mean power (frame,), and a few around them."""
    loud = np.flatnonzero(power > power.mean() * 10 ** (-TRIM_DB / 10))
    if not len(loud):  # digital silence
        return slice(0, len(power))
    return slice(max(0, loud[0] - MARGIN_FRAMES), loud[-1] + MARGIN_FRAMES + 1)


def spectral_statistics(log_power: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Mean, deviation and movement of pairs of mel bands, relative to the mean level of the whole.

    Args:
        log_power: (frame, filter), natural logarithms.
    """
    level = np.log(np.exp(log_power).mean())
    relative = np.logaddexp(log_power - level, -FLOOR_DB * NEPERS_PER_DB)
    bands = relative.reshape(len(relative), N_BANDS, -1).mean(2)
    movements = [_root_mean_square(bands[lag:] - bands[:-lag]) for lag in LAGS]
    return np.concatenate([bands.mean(0), bands.std(0), *movements])


def _root_mean_square(differences: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Of each column; 0 where there are no rows, as in a recording of one frame."""
    root: npt.NDArray[np.float64] = np.sqrt((differences**2).sum(0) / max(1, len(differences)))
    return root


def prosody(
    power: npt.NDArray[np.float64], octaves: npt.NDArray[np.float64], strengths: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """The numbers of `PROSODY`: pitch in octaves over the voiced frames, level in nepers of power over all.

    Args:
        power: (frame,) mean over the bands.
        octaves: (frame,) pitch.
        strengths: (frame,) of the periodicity.
    """
    level = np.maximum(np.log(np.maximum(power, 1e-10) / max(power.mean(), 1e-10)), -6.0)
    voiced = ((strengths > VOICED) & (level > -4.0)) + 1e-4  # never all zero: where nothing is voiced, all count alike
    low, middle, high = (_quantile(octaves, voiced, share) for share in (0.1, 0.5, 0.9))
    steps = np.abs(np.diff(octaves))
    both = (voiced[1:] * voiced[:-1]) * (steps < JUMP) + 1e-6
    seconds = np.arange(len(octaves)) * HOP_LENGTH / SAMPLE_RATE
    away = seconds - _mean(seconds, voiced)
    slope = _mean(away * (octaves - middle), voiced) / (_mean(away**2, voiced) + 0.01)
    changes = np.diff(level)
    return np.array(
        [
            middle, high - middle, middle - low, _mean(steps, both), slope, voiced.mean(), _mean(strengths, voiced),
            level.mean(), level.std(),
            np.abs(changes).mean() if len(changes) else 0.0, np.maximum(changes, 0).mean() if len(changes) else 0.0,
        ]
    )  # fmt: skip


def _mean(values: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> float:
    total = weights.sum()
    return float((values * weights).sum() / total) if total else 0.0


def _quantile(values: npt.NDArray[np.float64], weights: npt.NDArray[np.float64], share: float) -> float:
    """The value below which this share of the weight lies."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, share * reached[-1])])


class VoiceStatisticsFrames:
    """The one vector (1, `N_FEATURES`) of a sound of any length; see `features.voice.VoiceStatistics`."""

    dtype = "float32"
    window_length: int | None = None
    hop_length: int | None = None
    sample_rate = SAMPLE_RATE
    n_features = N_FEATURES

    def frames(self, waveform: Array) -> Array:
        """Spectral statistics and prosody of what is spoken in a waveform (sample,) at 16 kHz."""
        log_power = self._mel.frames(waveform).astype(np.float64)
        power = np.exp(log_power).mean(1)
        part = spoken(power)
        octaves, strengths = pitch(waveform)
        numbers = [
            spectral_statistics(log_power[part]), prosody(power[part], octaves[part], strengths[part])
        ]  # fmt: skip
        return np.concatenate(numbers).astype(np.float32)[None]

    @cached_property
    def _mel(self) -> LogMelFrames:
        return LogMelFrames(
            sample_rate=SAMPLE_RATE, window_length=WINDOW_LENGTH, hop_length=HOP_LENGTH, n_fft=N_FFT,
            n_filters=N_FILTERS, lowest_hz=60.0, highest_hz=7800.0,
        )  # fmt: skip
