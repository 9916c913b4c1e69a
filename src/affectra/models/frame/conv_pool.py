"""Convolution, ReLU and max-pool over time in one, without ever keeping the map that is pooled."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from affectra.errors import ConfigError

BLOCK = 2**18  # values of the map that is pooled at once, 1 MiB: it stays in a core's cache
BLOCK_ELSEWHERE = 2**24  # on other devices, which want large blocks; not measured
NOTHING = 255  # in place of a position: ReLU has cut all of a window off, no gradient goes back


class ConvReluPool(nn.Module):
    """Convolution, ReLU and the maximum of each `pool` steps; a last, shorter window counts.

    What `max_pool1d(relu(conv1d(x)), pool, ceil_mode=True)` gives, to rounding, with the input padded by zeros so that
    the map is as long as the input: (kernel - 1) // 2 before and kernel // 2 behind. Only one place in a window has a
    gradient; where it is takes one byte.

    Args:
        n_in: channels in.
        n_out: channels out.
        kernel: steps the convolution sees at a time.
        pool: steps of a window, at most 255.

    Shape:
        - input: (batch, time, n_in)
        - output: (batch, ceil(time / pool), n_out), at least 0

    Raises:
        ConfigError: sizes below 1, or too large a pool.

    Example:
        >>> layer = ConvReluPool(n_in=1, n_out=50, kernel=8, pool=10)
        >>> layer(torch.randn(2, 2205, 1)).shape
        torch.Size([2, 221, 50])
    """

    def __init__(self, n_in: int, n_out: int, kernel: int, pool: int) -> None:
        super().__init__()
        if min(n_in, n_out, kernel, pool) < 1 or pool > NOTHING:
            raise ConfigError(
                f"convolution and pooling: channels and kernels are numbers from 1 on and pools from 1 to {NOTHING}, "
                f"found {n_in} -> {n_out} channels, kernel {kernel}, pool {pool}"
            )
        self.pool = pool
        convolution = nn.Conv1d(n_in, n_out, kernel)  # for its initial values
        self.weight, self.bias = convolution.weight, convolution.bias

    def forward(self, x: Tensor) -> Tensor:
        """The pooled map."""
        assert self.bias is not None
        return conv_relu_pool(x, self.weight, self.bias, self.pool)


def conv_relu_pool(x: Tensor, weight: Tensor, bias: Tensor, pool: int) -> Tensor:
    """The function of a `ConvReluPool`.

    Args:
        x: (batch, time, n_in).
        weight: (n_out, n_in, kernel), as in `torch.nn.functional.conv1d`.
        bias: (n_out,).
        pool: steps of a window.

    Returns:
        (batch, ceil(time / pool), n_out), in the precision of the weights. Of equal values the first in a window has
        the gradient, as in `max_pool1d`. It can be differentiated once.
    """
    learns = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (x, weight, bias))
    with torch.autocast(x.device.type, enabled=False):  # a maximum is as good as what it compares
        x = x.to(weight.dtype)
        result: Tensor = _ConvReluPool.apply(x, weight, bias, pool, learns)  # type: ignore[no-untyped-call]
    return result


class _ConvReluPool(torch.autograd.Function):
    """Window after window as rows of a matrix product, block by block.

    A window of `pool` outputs sees pool + kernel - 1 inputs. With these as one row, a matrix that holds the kernel
    `pool` times, each time one step further down, gives all outputs of the window side by side. It multiplies by zeros,
    and is faster still than a convolution: the rows of neighbours share little, and channels lie side by side, as
    finding a maximum over time wants it. ReLU keeps the order of values, so it may come after the maximum.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, pool: int, learns: bool) -> Tensor:
        n_batch, n_steps, _ = x.shape
        n_out, _, kernel = weight.shape
        blocks = _Blocks(x, n_out, kernel, pool)
        band, offsets = _band(weight, blocks.group), bias.repeat(blocks.group)
        first_counts_most = torch.arange(pool, 0, -1, dtype=x.dtype, device=x.device)[:, None].repeat(1, n_out)
        output = x.new_empty(n_batch, blocks.n_windows, n_out)
        places = torch.empty(output.shape if learns else 0, dtype=torch.uint8, device=x.device)
        for items, windows in blocks:
            rows = blocks.rows(x, items, windows)
            full = blocks.full(len(rows))
            torch.addmm(offsets, rows, band, out=full.view(len(rows), -1))
            if windows.stop * pool > n_steps:
                per_item = full.view(-1, windows.stop - windows.start, pool, n_out)
                per_item[:, -1, n_steps - windows.stop * pool :] = -torch.inf
            best = output[items, windows]  # a view: what follows fills the output
            best.copy_(full.amax(1).view(best.shape))
            if learns:
                # 0 at a maximum and -1 elsewhere, so the largest key is that of the first maximum
                full.sub_(best.reshape(-1, 1, n_out)).sign_()
                keys = torch.add(first_counts_most, full, alpha=pool, out=full)
                place = (pool - keys.amax(1)).view(best.shape)
                places[items, windows] = place.masked_fill_(best <= 0, NOTHING).to(torch.uint8)
            best.relu_()
        ctx.pool = pool
        ctx.save_for_backward(x, weight, places)
        return output

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None, None]:
        x, weight, places = ctx.saved_tensors
        pool, (n_out, n_in, kernel) = ctx.pool, weight.shape
        blocks = _Blocks(x, n_out, kernel, pool)
        band, group = _band(weight, blocks.group), blocks.group
        into_band, into_bias = torch.zeros_like(band), weight.new_zeros(n_out)
        into_x = torch.zeros_like(x) if ctx.needs_input_grad[0] else None
        for items, windows in blocks:
            place = places[items, windows].reshape(-1, 1, n_out)
            gradient = gradients[0][items, windows].reshape(-1, 1, n_out).masked_fill(place == NOTHING, 0)
            rows = blocks.rows(x, items, windows)
            full = blocks.full(len(rows)).zero_().scatter_(1, place.clamp(max=pool - 1).long(), gradient)
            full = full.view(len(rows), -1)
            into_band.addmm_(rows.t(), full)
            into_bias += gradient.sum((0, 1))
            if into_x is not None:
                blocks.add_rows(into_x, full @ band.t(), items, windows)
        shifted = into_band.view(group + kernel - 1, n_in, group, n_out)
        into_weight = torch.stack([shifted[j : j + kernel, :, j] for j in range(group)]).sum(0)
        return into_x, into_weight.permute(2, 1, 0), into_bias, None, None


def _band(weight: Tensor, group: int) -> Tensor:
    """The kernel `group` times, one step further down each: ((group + kernel - 1) * n_in, group * n_out)."""
    n_out, n_in, kernel = weight.shape
    band = weight.new_zeros(group + kernel - 1, n_in, group, n_out)
    for j in range(group):
        band[j : j + kernel, :, j] = weight.permute(2, 1, 0)
    return band.view(-1, group * n_out)


class _Blocks:
    """The windows of a batch, a few at a time: of several whole items, or a part of one.

    Args:
        x: the input, (batch, time, n_in).
        n_out: values of a step of the map that is pooled.
        kernel: steps of the input that one of the map sees.
        pool: steps of a window.

    Attributes:
        group: steps of the map that come from one row of inputs. One channel makes rows too short for a good matrix
            product, so all steps of a window share a row there, at the price of multiplying by zeros.
    """

    def __init__(self, x: Tensor, n_out: int, kernel: int, pool: int) -> None:
        self.n_batch, self.n_steps, n_in = x.shape
        self.kernel, self.pool, self.group = kernel, pool, pool if n_in == 1 else 1
        self.n_windows = -(-self.n_steps // pool)
        n_values = BLOCK if x.device.type == "cpu" else BLOCK_ELSEWHERE
        self.at_once = max(1, n_values // (pool * n_out))  # windows
        self._full = x.new_empty(min(self.at_once, self.n_batch * self.n_windows), pool, n_out)

    def full(self, n_rows: int) -> Tensor:
        """Room for the map of a block, (window, pool, n_out): always the same, for fresh memory costs more to get."""
        return self._full[: n_rows * self.group // self.pool]

    def __iter__(self) -> Iterator[tuple[slice, slice]]:
        n_items = max(1, self.at_once // max(1, self.n_windows))
        for item in range(0, self.n_batch, n_items):
            items = slice(item, min(item + n_items, self.n_batch))
            for window in range(0, self.n_windows, self.at_once):
                yield items, slice(window, min(window + self.at_once, self.n_windows))

    def rows(self, x: Tensor, items: slice, windows: slice) -> Tensor:
        """Give the input of each group of steps, item after item: (group, (group + kernel - 1) * n_in)."""
        steps, before, behind = self._steps(windows)
        padded = functional.pad(x[items, steps], (0, 0, before, behind))
        return padded.unfold(1, self.group + self.kernel - 1, self.group).transpose(2, 3).flatten(2).flatten(0, 1)

    def add_rows(self, into_x: Tensor, rows: Tensor, items: slice, windows: slice) -> None:
        """The way back of `rows`: gradients of what the groups see, added up where they overlap."""
        steps, before, _ = self._steps(windows)
        target = into_x[items, steps]
        n_batch, _, n_in = target.shape
        rows = rows.view(n_batch, -1, self.group + self.kernel - 1, n_in)
        n_groups, span = rows.shape[1:3]
        padded = rows.new_zeros(n_batch, (n_groups + -(-span // self.group) - 1) * self.group, n_in)
        for first in range(0, span, self.group):
            part = rows[:, :, first : first + self.group]
            shifted = padded[:, first : first + n_groups * self.group].view(n_batch, n_groups, self.group, n_in)
            shifted[:, :, : part.shape[2]] += part
        target += padded[:, before : before + target.shape[1]]

    def _steps(self, windows: slice) -> tuple[slice, int, int]:
        """Steps of the input that some windows see, and how many zeros stand before and behind them."""
        start = windows.start * self.pool - (self.kernel - 1) // 2
        stop = windows.stop * self.pool + self.kernel // 2
        return slice(max(start, 0), min(stop, self.n_steps)), max(-start, 0), max(stop - self.n_steps, 0)
