"""LEAF's energies of a few frames at the full rate, by one FFT: where the end of a signal cuts their windows."""

from typing import Any

import torch
from torch import Tensor, nn

from affectra.features.leaf.plan import next_length

CHUNK_SIGNALS = 8  # at a time: what becomes of them stays in one core's cache


def full_rate_energies(samples: Tensor, taps: Tensor, windows: Tensor, starts: list[int]) -> Tensor:
    """Energies of frames at the full rate; differentiable in taps and windows.

    Args:
        samples: (batch, sample) float32, what the frames reach.
        taps: (filter, tap), complex128.
        windows: (filter, frame, sample), zero outside the signal.
        starts: where each frame's window starts, in filtered samples; what is negative is cut off.

    Returns:
        (batch, filter, frame), float32.
    """
    length = windows.shape[2]
    size = next_length(samples.shape[1])
    responses = torch.fft.rfft(torch.stack([taps.real, taps.imag]), size).conj().to(torch.complex64)
    windows = windows.to(torch.float32)
    placed = [nn.functional.pad(windows[:, i], (start, size - length - start)) for i, start in enumerate(starts)]
    energies: Tensor = _FullRateEnergies.apply(samples, responses, torch.stack(placed, dim=2))  # type: ignore[no-untyped-call]
    return energies


class _FullRateEnergies(torch.autograd.Function):
    """(batch, sample), (2, filter, bin) and (filter, sample, frame) -> (batch, filter, frame).

    Going back it filters again rather than keep what was filtered.
    """

    @staticmethod
    def forward(ctx: Any, samples: Tensor, responses: Tensor, placed: Tensor) -> Tensor:
        ctx.save_for_backward(samples, responses, placed)
        parts = []
        for part in torch.split(samples, CHUNK_SIGNALS):
            _, (real, imaginary) = _filter(part, responses, placed.shape[1])
            parts.append(real.square_().addcmul_(imaginary, imaginary) @ placed)
        return torch.cat(parts, dim=1).transpose(0, 1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        samples, responses, placed = ctx.saved_tensors
        size = placed.shape[1]
        to_responses, to_placed = torch.zeros_like(responses), torch.zeros_like(placed)
        with torch.autocast(gradient.device.type, enabled=False):
            for part, incoming in zip(
                torch.split(samples, CHUNK_SIGNALS), torch.split(gradient, CHUNK_SIGNALS), strict=True
            ):
                spectra, filtered = _filter(part, responses, size)
                incoming = incoming.transpose(0, 1)
                squares = filtered[0].square().addcmul_(filtered[1], filtered[1])
                to_placed.baddbmm_(squares.transpose(1, 2), incoming)
                filtered *= incoming @ placed.transpose(1, 2)
                outgoing = torch.fft.rfft(filtered, norm="forward").mul_(spectra.conj()).sum(2)
                to_responses.add_(outgoing, alpha=4)  # 2 of the square, 2 for the frequencies below zero
        to_responses[..., 0] /= 2
        to_responses[..., -1] /= 2
        return None, to_responses, to_placed


def _filter(samples: Tensor, responses: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Spectra (signal, bin), and outputs (2, filter, signal, sample) of the taps' real and imaginary parts."""
    spectra = torch.fft.rfft(samples.double(), size).to(torch.complex64)  # as in `leaf_fast`
    return spectra, torch.fft.irfft(responses[:, :, None] * spectra, size)
