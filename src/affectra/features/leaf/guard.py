"""Where LEAF's reduced rates are not exact enough for a signal: its errors compared with what energies are divided by.

PCEN divides each energy by a power of its running mean, so an error matters relative to that mean: a channel far from
a loud tone has little energy of its own, and what the filter's side lobes take from the tone is most of it. A plan
made for the filters alone cannot know, so each block is looked at.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from affectra.features.leaf.pcen import linear_scan
from affectra.features.leaf.plan import Plan, band_bins

TOLERANCE = 1e-4  # of the running mean; it changes the output by a third of that at most
SMALLEST_POWER = 1e-13  # response outside the band; what is that much louder drowns a filter in rounding anyway


class Guard(NamedTuple):
    """Steps that PCEN applies to energies, as far as the size of an error depends on them.

    Attributes:
        bias: (filter,), added to them.
        floor: they are raised to this at least.
        smoothing: (filter,), of the running mean they are divided by.
    """

    bias: Tensor
    floor: float
    smoothing: Tensor


def dropped_weights(plan: Plan, responses: Tensor) -> tuple[Tensor, Tensor]:
    """Weights from a block's spectrum to the energy that filters drop, wherever in the block that energy is.

    Returns:
        Filters (dropper,) that drop anything worth the name, and weights (2 bins, dropper) for squares of the real and
        imaginary parts of the bins from 0 Hz to half the rate in turn.
    """
    length, device = plan.grid.block_length, responses.device
    power = (responses.real.square() + responses.imag.square()) / length
    power.view(-1)[torch.from_numpy(band_bins(plan)).to(device)] = 0
    weights = power[:, : length // 2 + 1]
    weights[:, 1 : length // 2] += power[:, length // 2 + 1 :].flip(1)  # a real block has both signs alike
    filters = torch.nonzero(weights.amax(1) > SMALLEST_POWER / length)[:, 0]
    return filters, weights[filters, :, None].expand(-1, -1, 2).flatten(1).T


def needs_full_rate(energies: Tensor, dropped: Tensor, plan: Plan, guard: Guard, n_frames: int) -> Tensor:
    """Which blocks of which filters could be further off than `TOLERANCE`.

    Args:
        energies: (filter, batch, block, frame).
        dropped: (filter, batch, block), energy that filters drop in each block.
        plan: says how much of the energy around a frame may stray into it.
        guard: what the energies are compared with.
        n_frames: of all blocks together; what follows in the last one is no frame.

    Returns:
        (filter, batch, block), bool.
    """
    needed = torch.zeros(dropped.shape, dtype=torch.bool, device=dropped.device)
    folding = torch.from_numpy(plan.folding).to(energies)
    series = energies.flatten(2)[..., :n_frames]
    lowest, highest = series.aminmax(dim=2)  # (filter, batch): most filters are far from needing a closer look
    most = dropped.amax(2) + folding[:, None] * highest
    least = (lowest + guard.bias[:, None]).clamp_min(guard.floor)
    filters = torch.nonzero((most > TOLERANCE * least).any(1))[:, 0]
    if not len(filters):
        return needed
    series = series[filters]
    around = nn.functional.max_pool1d(series, 3, stride=1, padding=1)
    errors = dropped[filters].repeat_interleave(energies.shape[3], dim=2)[..., :n_frames]
    errors = torch.addcmul(errors, folding[filters, None, None], around)
    biased = series + guard.bias[filters, None, None]
    means = _running_means(biased.clamp_min(guard.floor), guard.smoothing[filters])
    off = (errors > TOLERANCE * means) & (biased + errors > guard.floor)  # else they are raised to the floor anyway
    off = nn.functional.pad(off, (0, energies.shape[2] * energies.shape[3] - n_frames))
    needed[filters] = off.view(*off.shape[:2], *energies.shape[2:]).any(3)
    return needed


def _running_means(levels: Tensor, smoothing: Tensor) -> Tensor:
    """Of levels (filter, batch, frame), from the first frame's on."""
    levels = levels.transpose(0, 1)
    return linear_scan(levels * smoothing[:, None], 1 - smoothing, levels[..., 0]).transpose(0, 1)
