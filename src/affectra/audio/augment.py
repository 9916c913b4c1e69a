"""Augmented copies of a training recording: another speed, room, channel and noise, drawn from its own content."""

import numpy as np
import numpy.typing as npt
import soxr
from scipy.signal import butter, fftconvolve, lfilter, sosfilt

from affectra.recipes.recipe import Augmentation

Samples = npt.NDArray[np.float32]
LEAST_POWER = 1e-12  # of a recording that is to have noise at a ratio to it


def augment(samples: Samples, sample_rate: int, plan: Augmentation, rng: np.random.Generator) -> Samples:
    """A copy of a recording as it might have sounded elsewhere; the emotion is meant to stay.

    In the order in which it would happen: a segment of it, spoken faster or slower (pitch and formants move along), by
    a microphone of another colour, in a room, with noise around, over a line that lets a band of frequencies through.

    Args:
        samples: (sample,) at `sample_rate`.
        sample_rate: in Hz.
        plan: how far each may go.
        rng: all that is random.
    """
    if not len(samples):
        return samples
    length = round(rng.uniform(*plan.stretch_s) * sample_rate)
    begin = int(rng.integers(0, max(1, len(samples) - length + 1)))
    copy = samples[begin : begin + length].astype(np.float64)
    copy = _spoken_faster(copy, 1 + rng.uniform(-plan.speed, plan.speed))
    copy = _coloured(copy, sample_rate, rng.normal(0, plan.tilt_db), rng.normal(0, plan.equalizer_db, 6))
    if rng.random() < plan.reverb_share:
        copy = _in_a_room(copy, sample_rate, float(np.exp(rng.uniform(np.log(0.15), np.log(0.9)))), rng)
    if rng.random() < plan.noise_share:
        copy = _in_noise(copy, rng.uniform(*plan.snr_db), rng)
    if rng.random() < plan.band_share:
        copy = _over_a_line(copy, sample_rate, rng)
    return copy.astype(np.float32)


def _spoken_faster(samples: npt.NDArray[np.float64], factor: float) -> npt.NDArray[np.float64]:
    faster: npt.NDArray[np.float64] = soxr.resample(samples, factor, 1.0)
    return faster if len(faster) else samples


def _coloured(
    samples: npt.NDArray[np.float64], sample_rate: int, tilt_db: float, waves_db: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Through a filter of so many dB an octave around 1 kHz, plus slow waves over the mel scale."""
    spectrum = np.fft.rfft(samples)
    hertz = np.fft.rfftfreq(len(samples), 1 / sample_rate)
    mel = np.log1p(hertz / 700) / np.log1p(sample_rate / 2 / 700)
    octaves = np.log2(np.maximum(hertz, 60.0) / 1000)
    orders = np.arange(1, len(waves_db) + 1)[:, None]
    gain_db = tilt_db * octaves + waves_db @ np.cos(np.pi * orders * mel) / np.sqrt(len(waves_db) / 2)
    coloured: npt.NDArray[np.float64] = np.fft.irfft(spectrum * 10 ** (gain_db / 20), len(samples))
    return coloured


def _in_a_room(
    samples: npt.NDArray[np.float64], sample_rate: int, decay_s: float, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Direct sound and noise that falls by 60 dB in `decay_s`, from 3 to 14 dB below it in all."""
    seconds = np.arange(round(decay_s * sample_rate)) / sample_rate
    tail = rng.standard_normal(len(seconds)) * 10 ** (-3 * seconds / decay_s)
    tail *= 10 ** (-rng.uniform(3, 14) / 20) / np.sqrt((tail**2).sum())
    tail[0] += 1
    wet: npt.NDArray[np.float64] = fftconvolve(samples, tail)[: len(samples)]
    return wet


def _over_a_line(
    samples: npt.NDArray[np.float64], sample_rate: int, rng: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Through a band from 50 to 350 Hz up to 3 to 8 kHz, as telephones and codecs of low rates leave it."""
    low, high = np.exp(rng.uniform(np.log([50.0, 3000.0]), np.log([350.0, 8000.0])))
    high = min(high, 0.49 * sample_rate)
    narrow: npt.NDArray[np.float64] = sosfilt(butter(4, [low, high], "bandpass", fs=sample_rate, output="sos"), samples)
    return narrow


def _in_noise(samples: npt.NDArray[np.float64], snr_db: float, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """With noise between white and brown, which swells and falls a few times a second."""
    noise = lfilter([1.0], [1.0, -rng.uniform(0, 0.98)], rng.standard_normal(len(samples)))
    swells = np.interp(
        np.arange(len(samples)), np.linspace(0, len(samples), 12), rng.uniform(0.5, 1.5, 12)
    )  # fmt: skip
    noise *= swells
    ratio = max((samples**2).mean(), LEAST_POWER) / max((noise**2).mean(), LEAST_POWER)
    noisy: npt.NDArray[np.float64] = samples + noise * np.sqrt(ratio * 10 ** (-snr_db / 10))
    return noisy
