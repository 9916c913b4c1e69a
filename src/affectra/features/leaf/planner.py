"""Plans that follow LEAF's filters as they train."""

import torch
from torch import Tensor

from affectra.features.leaf.filters import gabor_taps, pooling_windows, used_pooling_widths, used_widths
from affectra.features.leaf.plan import Band, Plan, block_grid, choose_bands, lay_out

CENTER_STEP, WIDTH_STEP = 0.1, 0.02  # filters that differ by less, in widths and as a ratio, are planned alike


class Planner:
    """Plans for a bank of filters whose parameters move, most of them a little with every training step.

    A plan is that of parameters rounded to steps. So it is the same however training came there, in one go or resumed,
    and only filters that came to another step are planned anew.

    Args:
        window_length: samples of a window, and taps of a filter.
        hop_length: samples between frames.
    """

    def __init__(self, window_length: int, hop_length: int) -> None:
        self.grid = block_grid(window_length, hop_length)
        self._bands: dict[tuple[float, ...], Band] = {}  # of the last plan, by the steps of a filter
        self._plan: tuple[list[tuple[float, ...]], Plan] | None = None  # and each filter's steps

    def plan(self, centers: Tensor, widths: Tensor, pooling_widths: Tensor) -> Plan:
        """The plan for filters, each argument (filter,); see `gabor_taps` and `pooling_windows`."""
        steps = self._steps(*(p.detach().cpu().double() for p in (centers, widths, pooling_widths)))
        keys = [tuple(key) for key in steps.tolist()]
        if self._plan is None or self._plan[0] != keys:
            new = list({key: i for i, key in enumerate(keys) if key not in self._bands}.values())
            found = dict(zip((keys[i] for i in new), self._choose(steps[new]), strict=True))
            self._bands = {key: found[key] if key in found else self._bands[key] for key in keys}
            self._plan = keys, lay_out(self.grid, [self._bands[key] for key in keys])
        return self._plan[1]

    def _steps(self, centers: Tensor, widths: Tensor, pooling_widths: Tensor) -> Tensor:
        """Whole numbers (filter, 3) of steps of centre, width and pooling width."""
        length = self.grid.window_length
        log_widths = (used_widths(widths, length).log() / WIDTH_STEP).round()
        turns = centers * (log_widths * WIDTH_STEP).exp() / CENTER_STEP
        pooling = used_pooling_widths(pooling_widths, length).log() / WIDTH_STEP
        return torch.stack([turns.round(), log_widths, pooling.round()], dim=1)

    def _choose(self, steps: Tensor) -> list[Band]:
        widths, length = (steps[:, 1] * WIDTH_STEP).exp(), self.grid.window_length
        taps = gabor_taps(steps[:, 0] * CENTER_STEP / widths, widths, length)
        windows = pooling_windows((steps[:, 2] * WIDTH_STEP).exp(), length)
        return choose_bands(self.grid, taps.numpy(), windows.numpy())
