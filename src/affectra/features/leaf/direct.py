"""LEAF's energies straight from the definition: two convolutions at the full rate, exact and slow."""

import torch
from torch import Tensor, nn


def direct_energies(samples: Tensor, taps: Tensor, windows: Tensor, hop_length: int, valid: tuple[int, int]) -> Tensor:
    """Energy of each filter's output below each window.

    Args:
        samples: (batch, sample), a chunk with all that the frames reach: `(n_frames - 1) hop + 2 length - 1` samples,
            zeros where it reaches beyond the signal.
        taps: (filter, length), complex.
        windows: (filter, length).
        hop_length: samples between windows.
        valid: first and one past the last filtered sample within the signal; others count as zero.

    Returns:
        (batch, filter, frame), in the dtype of the samples; differentiable in all of the first three.
    """
    kernels = torch.cat([taps.real, taps.imag]).to(samples.dtype)
    filtered = nn.functional.conv1d(samples[:, None], kernels[:, None])
    energies = filtered[:, : len(taps)] ** 2 + filtered[:, len(taps) :] ** 2
    first, last = valid
    if first > 0 or last < energies.shape[-1]:
        places = torch.arange(energies.shape[-1], device=samples.device)
        energies = energies * ((places >= first) & (places < last))
    pooled: Tensor = nn.functional.conv1d(
        energies, windows.to(samples.dtype)[:, None], stride=hop_length, groups=len(windows)
    )
    return pooled
