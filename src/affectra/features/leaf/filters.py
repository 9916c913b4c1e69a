"""LEAF's filters from its parameters: Gabor filters, Gaussian pooling windows, bounds, initial values on the mel scale.

Zeghidour et al. 2021; the numbers are those of the public TensorFlow implementation.
"""

import math

import torch
from torch import Tensor

from affectra.features.audio.mel import mel_filters

LOWEST_HZ, HIGHEST_HZ = 60.0, 7800.0
HIGHEST_OF_NYQUIST = 0.975  # 7800 Hz of 8000 Hz; ours for lower sample rates
POOLING_WIDTH = 0.4  # of half a window; makes it look like a Hann window
HALF_WIDTH = math.sqrt(2 * math.log(2))  # of a Gaussian of unit deviation, at half its height
SMALLEST_TAP = 1e-20  # smaller ones change no sum, but numbers near 1e-38 take a CPU a hundred times longer


def initial_gabor(n_filters: int, sample_rate: int, window_length: int) -> tuple[Tensor, Tensor]:
    """Centres (rad per sample) and widths (samples) whose filters look like mel filters, each (filter,).

    The centre is the bin where a mel filter peaks, the width makes the filter as wide as the mel filter at half its
    magnitude. The published bins are those of a 512-point FFT for 401 taps; ours grow with the window, and further
    until no two filters peak in the same bin.
    """
    highest_hz = min(HIGHEST_HZ, HIGHEST_OF_NYQUIST * sample_rate / 2)
    n_fft = 1 << (window_length - 1).bit_length()
    while True:
        magnitudes = mel_filters(n_filters, sample_rate, n_fft, LOWEST_HZ, highest_hz).sqrt()
        peaks = magnitudes.argmax(1)
        if (peaks.diff() > 0).all() and magnitudes.amax(1).min() > 0:
            break
        n_fft *= 2
    n_bins = (magnitudes >= magnitudes.amax(1, keepdim=True) / 2).sum(1)
    return peaks * (2 * math.pi / n_fft), HALF_WIDTH * n_fft / (math.pi * n_bins)


def used_widths(widths: Tensor, length: int) -> Tensor:
    """Deviations of filters in samples, in float64 and within their bounds."""
    return widths.double().clamp(4 * HALF_WIDTH / math.pi, length * HALF_WIDTH / math.pi)


def used_pooling_widths(widths: Tensor, length: int) -> Tensor:
    """Deviations of windows as a part of half a window, in float64 and within their bounds."""
    return widths.double().clamp(2 / length, 0.5)


def gabor_taps(centers: Tensor, widths: Tensor, length: int) -> Tensor:
    """Complex impulse responses: a Gaussian of unit area times a rotation.

    Args:
        centers: (filter,), rad per sample, used within [0, pi].
        widths: (filter,), deviation in samples, used within [4, length] times `sqrt(2 ln 2) / pi`.
        length: taps; tap `length // 2` is the middle.

    Returns:
        (filter, tap), complex128 whatever the parameters are, since phases of hundreds of radians need it.
    """
    times = torch.arange(length, device=centers.device, dtype=torch.float64) - length // 2
    centers = centers.double().clamp(0, math.pi)[:, None]
    widths = used_widths(widths, length)[:, None]
    envelopes = torch.exp(-0.5 * (times / widths) ** 2) / (math.sqrt(2 * math.pi) * widths)
    envelopes = torch.where(envelopes > SMALLEST_TAP, envelopes, 0.0)
    return torch.polar(envelopes, centers * times)


def pooling_windows(widths: Tensor, length: int) -> Tensor:
    """Gaussian windows of height 1.

    Args:
        widths: (filter,), deviation as a part of half a window, used within [2 / length, 0.5].
        length: of a window, samples.

    Returns:
        (filter, sample), float64.
    """
    times = torch.linspace(-1, 1, length, device=widths.device, dtype=torch.float64)
    widths = used_pooling_widths(widths, length)[:, None]
    windows = torch.exp(-0.5 * (times / widths) ** 2)
    return torch.where(windows > SMALLEST_TAP, windows, 0.0)


def pooling_slopes(widths: Tensor, length: int) -> Tensor:
    """Derivative of `pooling_windows` by the width, (filter, sample); zero outside the bounds."""
    times = torch.linspace(-1, 1, length, device=widths.device, dtype=torch.float64)
    used = used_pooling_widths(widths, length)[:, None]
    slopes = pooling_windows(widths, length) * times**2 / used**3
    return torch.where(used == widths.double()[:, None], slopes, 0.0)
