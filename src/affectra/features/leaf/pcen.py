"""Per-channel energy normalisation, with its recursion over time as matrix products."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

FLOOR = 1e-12  # LEAF's, added to the smoothed energy
SCAN_LENGTH = 32  # frames of a block of the scan: two small matrix products instead of 32 steps


def linear_scan(inputs: Tensor, decay: Tensor, initial: Tensor) -> Tensor:
    """The recursion `h[t] = decay h[t-1] + inputs[t]` without a loop over time.

    Within a block of frames it is a product with a triangular matrix of powers of the decay; what the blocks hand on
    is the same recursion with the decay of a whole block.

    Args:
        inputs: (batch, channel, frame).
        decay: (channel,), in [0, 1].
        initial: (batch, channel), `h[-1]`.

    Returns:
        (batch, channel, frame).
    """
    batch, n_channels, n_frames = inputs.shape
    length = min(n_frames, SCAN_LENGTH)
    n_blocks = -(-n_frames // length)
    ages = torch.arange(length, device=inputs.device)
    powers = decay[:, None] ** (ages + 1)  # (channel, age): what is left of the state before the block
    lags = ages - ages[:, None]  # (input, output)
    triangles = torch.where(lags >= 0, decay[:, None, None] ** lags.clamp_min(0), 0.0)
    padded = nn.functional.pad(inputs, (0, n_blocks * length - n_frames)).transpose(0, 1)
    within = torch.bmm(padded.reshape(n_channels, batch * n_blocks, length), triangles)
    within = within.view(n_channels, batch, n_blocks, length)
    before = initial.T[..., None]  # (channel, batch, block)
    if n_blocks > 1:
        ends = linear_scan(within[..., :-1, -1].transpose(0, 1), decay**length, initial)
        before = torch.cat([before, ends.transpose(0, 1)], dim=2)
    outputs = torch.addcmul(within, before[..., None], powers[:, None, None])
    return outputs.flatten(2)[..., :n_frames].transpose(0, 1)


class Normalized(NamedTuple):
    """Energies normalised by PCEN, and the state for the frames that follow.

    Attributes:
        output: (batch, channel, frame).
        state: (batch, channel), the smoothed energy after the last frame, from which the frames that follow go on.
    """

    output: Tensor
    state: Tensor


class Pcen(nn.Module):
    """Divide each channel's energy by its own running mean and compress: all parameters are learned per channel.

    `M[t] = (1 - s) M[t-1] + s E[t]` with `M[-1] = E[0]`, then `(E / (1e-12 + M)^alpha + delta)^(1/r) - delta^(1/r)`
    with s in [0, 1], alpha <= 1 and r >= 1 (Wang et al. 2017, trainable as in Zeghidour et al. 2021).

    Args:
        n_channels: channels.

    Shape:
        - energies: (batch, channel, frame), positive
        - output: (batch, channel, frame)
    """

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.full((n_channels,), 0.96))
        self.delta = nn.Parameter(torch.full((n_channels,), 2.0))
        self.root = nn.Parameter(torch.full((n_channels,), 2.0))
        self.smoothing = nn.Parameter(torch.full((n_channels,), 0.04))

    def forward(self, energies: Tensor, state: Tensor | None = None) -> Normalized:
        """Normalise energies, from the start of a signal or from the `state` its earlier frames have left."""
        parameters = (self.alpha.clamp_max(1), self.delta, 1 / self.root.clamp_min(1), self.smoothing.clamp(0, 1))
        alpha, delta, exponent, smoothing = (parameter.to(energies.dtype)[:, None] for parameter in parameters)
        initial = energies[..., 0] if state is None else state
        compressed, smoothed = _Compression.apply(energies, initial, alpha, delta, exponent, smoothing)  # type: ignore[no-untyped-call]
        return Normalized(compressed - delta**exponent, smoothed[..., -1])


class _Compression(torch.autograd.Function):
    """`(E / (floor + M)^alpha + delta)^exponent`, and M; with half the passes over memory of its automatic gradient.

    Takes energies (batch, channel, frame), the mean before them (batch, channel) and parameters (channel, 1).
    """

    @staticmethod
    def forward(
        ctx: Any,
        energies: Tensor,
        initial: Tensor,
        alpha: Tensor,
        delta: Tensor,
        exponent: Tensor,
        smoothing: Tensor,
    ) -> tuple[Tensor, Tensor]:
        with torch.autocast(energies.device.type, enabled=False):
            smoothed = linear_scan(energies * smoothing, 1 - smoothing[:, 0], initial)
        gains = (FLOOR + smoothed).log_().mul_(-alpha).exp_()  # exp and log cost a third of a power
        sums = torch.addcmul(delta, energies, gains)
        ctx.save_for_backward(energies, initial, smoothed, gains, sums, alpha, exponent, smoothing)
        ctx.mark_non_differentiable(smoothed)
        return sums.log().mul_(exponent).exp_(), smoothed

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        energies, initial, smoothed, gains, sums, alpha, exponent, smoothing = ctx.saved_tensors
        logs = sums.log()
        to_sums = (logs * (exponent - 1)).exp_().mul_(gradient).mul_(exponent)
        to_exponent = (to_sums * sums).mul_(logs).sum((0, 2)) / exponent[:, 0]
        to_energies = to_sums * gains
        scaled = to_energies * energies
        floored = FLOOR + smoothed
        to_alpha = -(scaled * floored.log()).sum((0, 2))
        to_smoothed = scaled.div_(floored).mul_(-alpha)
        decay = 1 - smoothing[:, 0]
        with torch.autocast(energies.device.type, enabled=False):  # the recursion backwards
            carried = linear_scan(to_smoothed.flip(2), decay, torch.zeros_like(initial)).flip(2)
        before = torch.cat([initial[..., None], smoothed[..., :-1]], dim=2)
        to_smoothing = (carried * (energies - before)).sum((0, 2))
        to_energies.addcmul_(carried, smoothing)
        vectors = [vector[:, None] for vector in (to_alpha, to_sums.sum((0, 2)), to_exponent, to_smoothing)]
        return to_energies, carried[..., 0] * decay, *vectors
