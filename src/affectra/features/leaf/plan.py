"""Which part of the spectrum, and so which reduced rate, each LEAF filter needs to keep its energies exact enough.

A filter's energy below a window depends on pairs of frequencies: `E = sum H(f) X(f) conj(H(g) X(g)) W(f - g)`. Keeping
`size` bins around the filter's centre makes two errors. What lies outside is dropped; this matters for the wide side
lobes of a Gaussian that is cut off by its 401 taps. And the squared modulus is twice as wide as the band, so that at
the reduced rate far differences f - g fold back, and the window is interpolated there. Both are held at plan time
for signals that are about as loud everywhere; for others `leaf_fast` compares the errors with each block's energies.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

PEAK_TOLERANCE = 1e-7  # of the power response outside the band; smaller ones rarely matter
NOISE_TOLERANCE = 5e-6  # of a filter's energy in white noise that may be dropped
FOLD_TOLERANCE = 3e-7  # of the energy that folding and interpolation may change
REACH, BETA = 12, 2.6  # samples either side of the interpolation kernel, and deviation of its Gaussian
SMALLEST_SIZE = 32
GROUP_BLOCKS = 2  # a group computes at most as many values as this many blocks have samples, to stay in the cache

Floats = npt.NDArray[np.float64]


def kernel(x: npt.NDArray[np.floating]) -> Floats:
    """Interpolation between samples a unit apart: a sinc below a Gaussian, zero beyond `REACH`.

    A short kernel keeps loud samples out of quiet frames, whatever the rounding of their products.
    """
    values: Floats = np.sinc(x) * np.exp(-0.5 * (x / BETA) ** 2) * (np.abs(x) <= REACH)
    return values


class Grid(NamedTuple):
    """Where frames stand in a block.

    Attributes:
        block_length: samples of a block, even.
        window_length: samples of a window, and taps of a filter.
        hop_length: samples between frames.
        offset: first sample of the first frame's window, in the filtered block.
        n_frames: frames of a block.
    """

    block_length: int
    window_length: int
    hop_length: int
    offset: int
    n_frames: int


class Band(NamedTuple):
    """Frequency bins of a filter that are kept.

    Attributes:
        size: bins.
        start: the first of them, negative where the band reaches below 0 Hz.
        folding: part of the energy around a frame that may stray into it.
    """

    size: int
    start: int
    folding: float


class Group(NamedTuple):
    """Filters that keep equally many bins.

    Attributes:
        size: bins kept, and samples of a block at the reduced rate.
        filters: their indices.
        starts: first bin of each, negative where the band reaches below 0 Hz.
        kernels: (phase, window sample, touched), what interpolates a window for each of its few positions between two
            reduced samples.
        phases: (frame,), which of those.
        touched: (frame, touched), reduced samples below each interpolated window, around the end of the block.
    """

    size: int
    filters: list[int]
    starts: list[int]
    kernels: Floats
    phases: npt.NDArray[np.int64]
    touched: npt.NDArray[np.int64]


class Plan(NamedTuple):
    """How the filters of a bank are computed in blocks.

    Attributes:
        grid: frames of a block.
        groups: filters by the bins they keep, which may be all.
        folding: (filter,), part of the energy around a frame that may stray into it.
    """

    grid: Grid
    groups: list[Group]
    folding: Floats

    @property
    def n_values(self) -> int:
        """Complex values computed per block; at the full rate it would be filters times block length."""
        return sum(group.size * len(group.filters) for group in self.groups)


def next_length(at_least: int) -> int:
    """The smallest 2^a or 3 2^a not below a length: quick FFTs whose halves are whole.

    Example:
        >>> [next_length(n) for n in (801, 1025, 4096)]
        [1024, 1536, 4096]
    """
    power = 1 << (at_least - 1).bit_length()
    return power // 4 * 3 if power // 4 * 3 >= at_least else power


def block_grid(window_length: int, hop_length: int) -> Grid:
    """Blocks five times as long as a frame reaches, less only a fifth of the work is overlap.

    Half a window is left free, so that the end of a block does not stray around into its beginning.
    """
    reach = 2 * window_length - 1 + window_length // 2
    block_length = next_length(max(5 * (2 * window_length - 1), 2 * hop_length + reach))
    n_frames = (block_length - reach) // hop_length + 1
    spare = block_length - (n_frames - 1) * hop_length - 2 * window_length + 1
    return Grid(block_length, window_length, hop_length, spare // 2, n_frames)


def make_plan(grid: Grid, taps: npt.NDArray[np.complex128], windows: Floats) -> Plan:
    """The plan of `lay_out` for the bands of `choose_bands`."""
    return lay_out(grid, choose_bands(grid, taps, windows))


def choose_bands(grid: Grid, taps: npt.NDArray[np.complex128], windows: Floats) -> list[Band]:
    """The smallest band of each filter that holds the tolerances; whatever the other filters are.

    Args:
        grid: frames of a block.
        taps: (filter, tap).
        windows: (filter, sample).
    """
    length = grid.block_length
    magnitudes = np.abs(np.fft.ifft(taps.conj(), length, norm="forward"))
    spectra = np.abs(np.fft.rfft(windows, length)) / windows.sum(axis=1, keepdims=True)
    centers = magnitudes[:, : length // 2 + 1].argmax(axis=1)
    powers, pending = magnitudes**2, np.arange(len(taps))
    chosen = [Band(length, 0, 0.0)] * len(taps)  # the whole spectrum and the full rate: exact
    for size in _sizes(grid):
        starts = centers[pending] - size // 2
        bins = (starts[:, None] + np.arange(size)) % length
        holding = np.flatnonzero(_holds(powers[pending], bins))
        errors = _folding(magnitudes[pending[holding, None], bins[holding]], spectra[pending[holding]], length)
        passed = errors <= FOLD_TOLERANCE
        for place, error in zip(holding[passed].tolist(), errors[passed].tolist(), strict=True):
            chosen[pending[place]] = Band(size, int(starts[place]), error)
        pending = np.delete(pending, holding[passed])
        if not len(pending):
            break
    return chosen


def lay_out(grid: Grid, bands: Sequence[Band]) -> Plan:
    """Filters in groups of equal bands, the smallest first."""
    groups = []
    for size in sorted({band.size for band in bands}):
        filters = [index for index, band in enumerate(bands) if band.size == size]
        n = max(1, GROUP_BLOCKS * grid.block_length // size)
        for some in (filters[i : i + n] for i in range(0, len(filters), n)):
            groups.append(Group(size, some, [bands[index].start for index in some], *_interpolation(grid, size)))
    return Plan(grid, groups, np.array([band.folding for band in bands]))


@lru_cache
def _sizes(grid: Grid) -> list[int]:
    sizes = {base << power for base in (1, 3, 5, 7, 9) for power in range(3, grid.block_length.bit_length())}
    return sorted(size for size in sizes if SMALLEST_SIZE <= size <= grid.block_length // 2)


def _holds(powers: Floats, bins: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether little enough of responses lies outside their bands.

    Args:
        powers: (filter, bin), of the responses; changed.
        bins: (filter, size), of the bands.
    """
    bands = np.take_along_axis(powers, bins, axis=1)
    np.put_along_axis(powers, bins, 0.0, axis=1)
    peaks, sums = bands.max(axis=1), bands.sum(axis=1)
    outside = powers.max(axis=1), powers.sum(axis=1)
    held: npt.NDArray[np.bool_] = (outside[0] <= PEAK_TOLERANCE * peaks) & (outside[1] <= NOISE_TOLERANCE * sums)
    return held


def _folding(bands: Floats, spectra: Floats, length: int) -> Floats:
    """Largest change to the energy of a pair of tones in the band (filter,).

    Args:
        bands: (filter, bin), response within the band.
        spectra: (filter, half the bins of the whole + 1), of the windows, 1 at most.
        length: bins of the whole.
    """
    size = bands.shape[1]
    pairs = np.fft.irfft(np.abs(np.fft.rfft(bands, 2 * size)) ** 2)[:, :size]  # by their difference in bins
    reached = np.abs(spectra * _kernel_response(length, size))
    errors = np.abs(spectra - spectra * _kernel_response(length, size))[:, :size]
    reached = np.pad(reached, ((0, 0), (0, size)))  # beyond half the rate there is nothing
    for shift in range(size, length // 2 + size, size):  # what stands a multiple of the reduced rate away
        errors += reached[:, shift - size + 1 : shift + 1][:, ::-1]
        part = reached[:, shift : shift + size]
        errors[:, : part.shape[1]] += part
    changes: Floats = (pairs * errors).max(axis=1) / pairs[:, 0]
    return changes


@lru_cache
def _kernel_response(length: int, size: int) -> Floats:
    """Spectrum (half the bins + 1,) of the interpolation kernel."""
    places = (np.arange(length) - length // 2) * (size / length)
    response: Floats = np.fft.fft(np.fft.ifftshift(kernel(places))).real[: length // 2 + 1] * (size / length)
    return response


@lru_cache(maxsize=32)  # of a few banks in training, whose plans change with every step
def _interpolation(grid: Grid, size: int) -> tuple[Floats, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Kernels, phases and touched samples of a `Group`."""
    positions = (grid.offset + np.arange(grid.n_frames) * grid.hop_length) * size
    remainders, phases = np.unique(positions % grid.block_length, return_inverse=True)
    ratio = size / grid.block_length
    n_touched = math.ceil(grid.window_length * ratio) + 2 * REACH + 1
    samples = remainders[:, None, None] / grid.block_length + ratio * np.arange(grid.window_length)[:, None]
    touched = np.arange(n_touched) - REACH
    firsts = positions // grid.block_length
    return kernel(samples - touched), phases, (firsts[:, None] + touched) % size


def band_bins(plan: Plan) -> npt.NDArray[np.int64]:
    """Index in whole spectra (filter, bin), flattened, of all bands: by group, filter and bin."""
    length = plan.grid.block_length
    parts = [
        (np.array(group.starts)[:, None] + np.arange(group.size)) % length + np.array(group.filters)[:, None] * length
        for group in plan.groups
    ]
    return np.concatenate([np.zeros(0, np.int64), *(part.ravel() for part in parts)])
