"""Samples as arrays: their layout and type checked, channels averaged, rates converted."""

from collections.abc import Iterable, Iterator

import numpy as np
import soxr

from affectra.errors import AudioError

# Ours. Below 1 kHz no speech is left: such a rate is a damaged header, and obeying it would inflate the samples.
_MIN_SAMPLE_RATE = 1000
_LOUDEST = 100.0  # floats far beyond full scale are integers that nobody scaled


def to_mono(samples: np.ndarray, sample_rate: int, target_rate: int) -> np.ndarray:
    """Down-mix and resample an array exactly as `read` does with a file.

    Args:
        samples: (sample,) or (sample, channel); floats with full scale 1, or integers, which are scaled to it.
        sample_rate: Hz of `samples`.
        target_rate: Hz of the result.

    Returns:
        float32 (sample,), `round(n * target_rate / sample_rate)` long.

    Raises:
        AudioError: another shape or type, no samples, NaN or infinite samples, a rate below 1000 Hz.

    Example:
        >>> to_mono(np.array([[0, 16384], [-32768, 0]], dtype=np.int16), 16000, 16000)
        array([ 0.25, -0.5 ], dtype=float32)
    """
    framed = with_channels(samples)
    check_rate(sample_rate, "samples")
    mono = down_mix(framed, "samples")
    blocks = list(resampled([mono], sample_rate, target_rate, "samples"))
    if not blocks:
        raise too_short("samples", target_rate)
    return np.concatenate(blocks)


def with_channels(samples: np.ndarray) -> np.ndarray:
    """A caller's array as float32 (sample, channel) with full scale 1."""
    samples = np.asarray(samples)
    if samples.ndim not in (1, 2) or samples.size == 0:
        raise AudioError(f"samples: shape {samples.shape}, expected (sample,) or (sample, channel), not empty")
    if samples.ndim == 2 and samples.shape[1] > samples.shape[0]:
        raise AudioError(
            f"samples: shape {samples.shape} has more channels than samples; transpose to (sample, channel)"
        )
    if samples.ndim == 1:
        samples = samples[:, np.newaxis]
    if samples.dtype.kind == "f":
        with np.errstate(over="ignore"):  # an overflow becomes infinite and is refused as such
            return samples.astype(np.float32)
    if samples.dtype.kind not in "iu":
        raise AudioError(f"samples: type {samples.dtype}, expected floats within [-1, 1] or integers")
    half = 2.0 ** (8 * samples.dtype.itemsize - 1)
    middle = half if samples.dtype.kind == "u" else 0.0
    return ((samples.astype(np.float64) - middle) / half).astype(np.float32)


def down_mix(framed: np.ndarray, place: str) -> np.ndarray:
    """Mean over channels, as a new array (sample,), after refusing NaN and infinity."""
    with np.errstate(over="ignore", invalid="ignore"):
        mono: np.ndarray = framed[:, 0].copy() if framed.shape[1] == 1 else framed.mean(axis=1)
    return finite(mono, place)


def finite(mono: np.ndarray, place: str) -> np.ndarray:
    """The samples themselves, after refusing NaN, infinity and integers that nobody scaled."""
    if not np.isfinite(mono).all():
        raise AudioError(f"{place}: NaN or infinite samples, expected finite ones; export the recording again")
    if len(mono) and (peak := float(np.abs(mono).max())) > _LOUDEST:
        raise AudioError(f"{place}: samples up to {peak:.0f}, expected within [-1, 1]; divide them by their full scale")
    return mono


def check_rate(sample_rate: float, place: str) -> None:
    """Raise an `AudioError` for a rate in Hz that no recording of speech has."""
    if not sample_rate >= _MIN_SAMPLE_RATE:
        raise AudioError(f"{place}: sample rate {sample_rate} Hz, expected at least {_MIN_SAMPLE_RATE} Hz")


def resampled(mono: Iterable[np.ndarray], source_rate: int, target_rate: int, place: str) -> Iterator[np.ndarray]:
    """Mono blocks at another rate; soxr's output does not depend on how the input is cut into blocks."""
    assert target_rate > 0, "a target rate is ours to choose"
    stream = None if source_rate == target_rate else soxr.ResampleStream(source_rate, target_rate, 1, dtype="float32")
    for block in mono:
        resampled = block if stream is None else stream.resample_chunk(block)
        if len(resampled):
            yield finite(resampled, place)
    rest = np.empty(0, np.float32) if stream is None else stream.resample_chunk(np.empty(0, np.float32), last=True)
    if len(rest):
        yield finite(rest, place)


def too_short(place: str, sample_rate: int) -> AudioError:
    """The error for a recording of which not one sample is left."""
    return AudioError(f"{place}: too short, not one sample is left at {sample_rate} Hz")
