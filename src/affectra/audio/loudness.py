"""How loud a sound is to people (ITU-R BS.1770-5, one channel), and the same sound at a loudness of choice."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

BLOCK_S, STEP_S = 0.4, 0.1  # BS.1770: blocks that overlap by three quarters
SILENCE_LUFS = -70.0  # BS.1770: blocks below it do not count
RELATIVE_LU = -10.0  # BS.1770: nor do those so far below the mean of the rest
OFFSET_LU = -0.691  # BS.1770: makes a full-scale sine of 997 Hz in one channel -3.01


def loudness(samples: Array, sample_rate: int) -> float:
    """Gated loudness of a sound (sample,), LUFS; -inf of silence.

    A sound shorter than a block of 0.4 s is one block. The filters are those of BS.1770 for any rate, applied to the
    spectrum of the whole.

    Example:
        >>> sine = np.sin(2 * np.pi * 997 * np.arange(48_000) / 48_000).astype(np.float32)
        >>> round(loudness(sine, 48_000), 2)
        -3.01
    """
    n = len(samples)
    if n == 0:
        return -np.inf
    n_fft = 1 << (n + sample_rate // 5 - 1).bit_length()  # behind the end, the filters have died away within 0.2 s
    weighted = np.fft.irfft(np.fft.rfft(samples, n_fft) * _weighting(n_fft, sample_rate), n_fft)[:n]
    block, step = round(BLOCK_S * sample_rate), round(STEP_S * sample_rate)
    sums = np.concatenate([[0.0], np.cumsum(np.square(weighted, dtype=np.float64))])
    starts = np.arange(0, max(1, n - block + 1), step)
    lengths = np.minimum(block, n - starts)
    powers = (sums[starts + lengths] - sums[starts]) / lengths
    levels = OFFSET_LU + 10 * np.log10(np.maximum(powers, 1e-30))
    audible = powers[levels > SILENCE_LUFS]
    if not len(audible):
        return -np.inf
    gate = OFFSET_LU + 10 * np.log10(audible.mean()) + RELATIVE_LU
    audible = powers[levels > max(SILENCE_LUFS, gate)]
    return float(OFFSET_LU + 10 * np.log10(audible.mean()))


def at_loudness(samples: Array, sample_rate: int, lufs: float) -> Array:
    """A sound (sample,) made louder or softer until it has a loudness; silence stays as it is.

    Nothing is clipped: samples may leave [-1, 1].
    """
    found = loudness(samples, sample_rate)
    return samples if np.isinf(found) else (samples * np.float32(10 ** ((lufs - found) / 20))).astype(np.float32)


@lru_cache(maxsize=4)  # lengths are powers of two: few
def _weighting(n_fft: int, sample_rate: int) -> npt.NDArray[np.complex128]:
    """Response of the K weighting at each bin: a shelf for the head, and a high-pass."""
    turn = np.exp(-2j * np.pi * np.arange(n_fft // 2 + 1) / n_fft)  # z^-1
    response = np.ones(len(turn), dtype=np.complex128)
    for numerator, denominator in (_shelf(sample_rate), _high_pass(sample_rate)):
        response *= np.polyval(numerator[::-1], turn) / np.polyval(denominator[::-1], turn)
    return response


def _shelf(sample_rate: int) -> tuple[list[float], list[float]]:
    """BS.1770's first filter; its analogue form gives the published coefficients at 48 kHz and those of other rates."""
    frequency, gain_db, quality = 1681.974450955533, 3.999843853973347, 0.7071752369554196
    k, high = np.tan(np.pi * frequency / sample_rate), 10 ** (gain_db / 20)
    middle = high**0.4996667741545416
    scale = 1 + k / quality + k * k
    numerator = [high + middle * k / quality + k * k, 2 * (k * k - high), high - middle * k / quality + k * k]
    return [b / scale for b in numerator], [1.0, 2 * (k * k - 1) / scale, (1 - k / quality + k * k) / scale]


def _high_pass(sample_rate: int) -> tuple[list[float], list[float]]:
    """BS.1770's second filter, likewise."""
    frequency, quality = 38.13547087602444, 0.5003270373238773
    k = np.tan(np.pi * frequency / sample_rate)
    scale = 1 + k / quality + k * k
    return [1.0, -2.0, 1.0], [1.0, 2 * (k * k - 1) / scale, (1 - k / quality + k * k) / scale]
