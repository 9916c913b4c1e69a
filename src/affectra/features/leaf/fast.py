"""LEAF's energies by way of the spectrum: one FFT of a block for all filters, each brought back at its own rate.

With X the spectrum of a block of samples and H a filter's response, the filtered block at a reduced rate is the short
inverse FFT of the band of X H (a shift of the band is a rotation, which the squared modulus ignores), and all energies
of a block are one matrix product with the pooling windows, interpolated to that rate. The backward pass
computes the filtered blocks again, which is quicker than to fetch them and keeps the memory of training small.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from affectra.features.leaf.guard import Guard, dropped_weights, needs_full_rate
from affectra.features.leaf.plan import Group, Plan, band_bins

CHUNK_SAMPLES = 1 << 18  # blocks of that many samples together, and what is made of them, stay in one core's cache


class Bank:
    """A bank of filters ready for blocks.

    Its responses and bands are differentiable in the taps. A window has but one parameter, so the derivative of an
    energy by it is a second energy, below a window's slope, which costs less than going back to the window.

    Args:
        plan: of these filters, or of others close to them.
        taps: (filter, tap), complex128.
        windows: (filter, sample), float64.
        slopes: derivative of each window by its width, (filter, sample); None where no gradient is wanted.
    """

    def __init__(self, plan: Plan, taps: Tensor, windows: Tensor, slopes: Tensor | None) -> None:
        self.plan, self.taps, self.windows = plan, taps, windows
        length, device = plan.grid.block_length, taps.device
        self.responses = torch.fft.ifft(taps.conj(), length, norm="forward").to(torch.complex64)  # (filter, bin)
        sizes = [group.size * len(group.filters) for group in plan.groups]
        bands = torch.split(self.responses.flatten()[torch.from_numpy(band_bins(plan)).to(device)], sizes)
        self.bands = [band.view(-1, group.size) for band, group in zip(bands, plan.groups, strict=True)]
        shapes = [windows.detach()] if slopes is None else [windows.detach(), slopes.detach()]
        self.shapes = torch.stack(shapes, dim=1)  # (filter, window and slope, sample)

    @property
    def n_columns(self) -> int:
        """Energies of a block: below each frame's window, then below each one's slope."""
        return self.plan.grid.n_frames * self.shapes.shape[1]

    @cached_property
    def matrices(self) -> list[Tensor]:
        """Per group (filter, 2 size, column): windows where they stand, for real and imaginary parts squared."""
        matrices = []
        for group in self.plan.groups:
            n_frames, device = len(group.phases), self.shapes.device
            scale = (group.size / self.plan.grid.block_length) ** 2  # the short inverse FFT divides by less
            kernels = torch.from_numpy(group.kernels).to(device) * scale
            placed = torch.einsum("fsw,pwt->fpts", self.shapes[group.filters], kernels).to(torch.float32)
            matrix = placed.new_zeros(len(placed), group.size, 2, self.shapes.shape[1], n_frames)
            touched, frames = torch.from_numpy(group.touched).to(device), torch.arange(n_frames, device=device)[:, None]
            matrix[:, touched, :, :, frames] = placed[:, group.phases].permute(1, 2, 0, 3)[:, :, :, None]
            matrices.append(matrix.flatten(3).flatten(1, 2))
        return matrices

    @cached_property
    def weights(self) -> tuple[Tensor, Tensor]:
        """Of what is dropped; see `leaf_guard`."""
        return dropped_weights(self.plan, self.responses)

    @cached_property
    def full_rate(self) -> "_FullRate":
        """The filters at the full rate."""
        return _FullRate(self)


def block_energies(samples: Tensor, bank: Bank, widths: Tensor, n_frames: int, guard: Guard) -> Tensor:
    """Energies of the filters' outputs below windows, in float32.

    Args:
        samples: (batch, sample) float32, a chunk that starts where the first frame's reach does.
        bank: differentiable in its taps; the samples are not.
        widths: (filter,), what the windows' slopes are derivatives by.
        n_frames: how many frames.
        guard: says where the full rate is needed.

    Returns:
        (batch, filter, frame).
    """
    grid = bank.plan.grid
    step = grid.n_frames * grid.hop_length
    n_blocks = -(-n_frames // grid.n_frames)
    missing = (n_blocks - 1) * step + grid.block_length - grid.offset - samples.shape[1]
    padded = nn.functional.pad(samples, (grid.offset, missing))  # cuts what no frame reaches
    blocks = padded.unfold(1, grid.block_length, step)
    tensors = (widths, bank.responses, *bank.bands)
    keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    energies: Tensor = _BlockEnergies.apply(blocks, bank, guard, n_frames, keep, *tensors)  # type: ignore[no-untyped-call]
    return energies.permute(1, 0, 2, 3).flatten(2)[..., :n_frames]


class _BlockEnergies(torch.autograd.Function):
    """Blocks (batch, block, sample) -> energies (filter, batch, block, frame), with gradients for the bank."""

    @staticmethod
    def forward(ctx: Any, blocks: Tensor, bank: Bank, guard: Guard, n_frames: int, keep: bool, *_: Tensor) -> Tensor:
        plan, shape = bank.plan, blocks.shape[:2]
        order = [index for group in plan.groups for index in group.filters]
        columns = torch.empty(len(order), shape.numel(), bank.n_columns, device=blocks.device)
        chunks, dropped, (droppers, weights) = [], [], bank.weights
        for rows, spectra in _spectra(blocks):
            chunk = _Chunk(rows, spectra, plan)
            first = 0
            for group, band, matrix in zip(plan.groups, bank.bands, bank.matrices, strict=True):
                squares = torch.view_as_real(chunk.filtered(group, band)).flatten(2).square_()
                torch.bmm(squares, matrix, out=columns[first : first + len(band), rows])
                first += len(band)
            dropped.append(torch.view_as_real(spectra).flatten(1).square() @ weights)
            if not keep:
                chunk.values = spectra.new_empty(0)
            chunks.append(chunk)
        columns = columns[torch.tensor(order, device=blocks.device).argsort()]
        energies = columns.view(len(order), *shape, -1)[..., : plan.grid.n_frames]
        lost = columns.new_zeros(columns.shape[:2]).index_copy_(0, droppers, torch.cat(dropped).T)
        full = needs_full_rate(energies, lost.view(len(order), *shape), plan, guard, n_frames).flatten(1)
        for chunk, index, chosen in _chosen(chunks, full):
            columns[index, chosen + chunk.rows.start] = bank.full_rate.energies(chunk.spectra[chosen], index)
        if keep:
            ctx.bank, ctx.chunks, ctx.full, ctx.slopes = bank, chunks, full, columns[..., plan.grid.n_frames :]
        return energies

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        gradient = gradient.flatten(1, 2)
        with torch.autocast(gradient.device.type, enabled=False):
            to_widths = torch.einsum("frt,frt->f", gradient, ctx.slopes)
            return None, None, None, None, None, to_widths, *_gradients(ctx.chunks, ctx.full, ctx.bank, gradient)


def _gradients(chunks: "list[_Chunk]", full: Tensor, bank: Bank, gradient: Tensor) -> list[Tensor]:
    """Gradients for the bank's responses and bands.

    Args:
        chunks: what the forward pass has kept.
        full: (filter, row), what was computed again at the full rate; a row is a block of a signal.
        bank: the filters.
        gradient: (filter, row, frame), of the energies.
    """
    responses, *bands = (torch.zeros_like(tensor) for tensor in (bank.responses, *bank.bands))
    reduced = gradient.masked_fill(full[..., None], 0)
    incoming = [reduced[group.filters] for group in bank.plan.groups]
    matrices = [matrix[..., : gradient.shape[2]].transpose(1, 2) for matrix in bank.matrices]
    for chunk in chunks:
        conjugate = chunk.values.conj().resolve_conj()
        for i, group in enumerate(bank.plan.groups):
            filtered = chunk.filtered(group, bank.bands[i])
            torch.view_as_real(filtered).flatten(2).mul_(torch.bmm(incoming[i][:, chunk.rows], matrices[i]))
            outgoing = torch.fft.fft(filtered, norm="forward")
            for start, output in zip(group.starts, outgoing, strict=True):
                output.mul_(chunk.cut(conjugate, start, group.size))
            bands[i].add_(outgoing.sum(1), alpha=2)
    for chunk, index, rows in _chosen(chunks, full):
        incoming_rows = gradient[index, rows + chunk.rows.start]
        responses[index] += bank.full_rate.gradient(chunk.spectra[rows], incoming_rows, index)
    return [responses, *bands]


def _spectra(blocks: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Which rows (batch and block as one) and their spectra (row, bin), a chunk at a time."""
    batch, n_blocks, length = blocks.shape
    n_rows = max(1, CHUNK_SAMPLES // length)
    if n_blocks < n_rows:
        n_signals = n_rows // n_blocks
        for b in range(0, batch, n_signals):
            last = min(b + n_signals, batch)
            yield slice(b * n_blocks, last * n_blocks), _rfft(blocks[b:last].flatten(0, 1))
        return
    for b in range(batch):
        for i in range(0, n_blocks, n_rows):
            last = min(i + n_rows, n_blocks)
            yield slice(b * n_blocks + i, b * n_blocks + last), _rfft(blocks[b, i:last])


def _rfft(blocks: Tensor) -> Tensor:
    """Spectra in complex64, with their error near what is loud: in float32 a tone leaks 120 dB below everywhere."""
    spectra: Tensor = torch.fft.rfft(blocks.double())
    return spectra.to(torch.complex64)


class _Chunk:
    """Spectra (row, bin) of real blocks, continued below 0 Hz and above half the rate as far as the bands reach."""

    def __init__(self, rows: slice, spectra: Tensor, plan: Plan) -> None:
        starts = [start for group in plan.groups for start in group.starts]
        stops = [start + group.size for group in plan.groups for start in group.starts]
        n_bins = spectra.shape[1]
        below, above = max(0, -min(starts, default=0)), max(0, max(stops, default=0) - n_bins)
        parts = [spectra[:, 1 : 1 + below].flip(1).conj(), spectra]
        self.values = torch.cat([*parts, spectra[:, n_bins - 1 - above : n_bins - 1].flip(1).conj()], dim=1)
        self.rows, self.below, self.spectra = rows, below, spectra

    def cut(self, values: Tensor, start: int, size: int) -> Tensor:
        """A band of values laid out as these."""
        return values[:, self.below + start : self.below + start + size]

    def filtered(self, group: Group, bands: Tensor) -> Tensor:
        """The group's outputs at its rate: (filter, row, size), each rotating."""
        products = self.values.new_empty(len(bands), len(self.values), group.size)
        for start, band, product in zip(group.starts, bands, products, strict=True):
            torch.mul(self.cut(self.values, start, group.size), band, out=product)
        outputs: Tensor = torch.fft.ifft(products)
        return outputs


def _chosen(chunks: list[_Chunk], chosen: Tensor) -> Iterator[tuple[_Chunk, int, Tensor]]:
    """Chunk, filter and rows of the chunk where `chosen` (filter, row) says so."""
    for chunk in chunks:
        wanted = chosen[:, chunk.rows]
        for index in torch.nonzero(wanted.any(1))[:, 0].tolist():
            yield chunk, index, torch.nonzero(wanted[index])[:, 0]


class _FullRate:
    """Filters of a bank at the full rate, each made ready when it is first asked for."""

    def __init__(self, bank: Bank) -> None:
        self.responses, self.shapes, self.grid = bank.responses.detach(), bank.shapes, bank.plan.grid
        self._ready: dict[int, tuple[Tensor, Tensor]] = {}

    def _get(self, index: int) -> tuple[Tensor, Tensor]:
        """Responses (2, bin) of the real and the imaginary part of the taps; windows (column, sample) in a block."""
        if index not in self._ready:
            response = self.responses[index]
            mirrored = response.roll(-1).flip(0).conj()
            parts = torch.stack([(response + mirrored) / 2, (response - mirrored) / 2j])[:, : len(response) // 2 + 1]
            shapes, n_frames = self.shapes[index].to(torch.float32), self.grid.n_frames
            placed = shapes.new_zeros(len(shapes), n_frames, self.grid.block_length)
            for i in range(n_frames):
                start = self.grid.offset + i * self.grid.hop_length
                placed[:, i, start : start + shapes.shape[1]] = shapes
            self._ready[index] = parts, placed.flatten(0, 1)
        return self._ready[index]

    def _outputs(self, spectra: Tensor, index: int) -> tuple[Tensor, Tensor]:
        """Real and imaginary part (row, sample) of what the filter makes of blocks."""
        real, imaginary = self._get(index)[0]
        return torch.fft.irfft(spectra * real), torch.fft.irfft(spectra * imaginary)

    def energies(self, spectra: Tensor, index: int) -> Tensor:
        """Energies (row, column) of one filter."""
        real, imaginary = self._outputs(spectra, index)
        return real.square_().addcmul_(imaginary, imaginary) @ self._get(index)[1].T

    def gradient(self, spectra: Tensor, gradient: Tensor, index: int) -> Tensor:
        """Gradient (bin,) of a filter's response, from that of its energies (row, frame)."""
        incoming = gradient @ self._get(index)[1][: self.grid.n_frames]
        conjugate = spectra.conj().resolve_conj()
        halves = []
        for output in self._outputs(spectra, index):
            halves.append(torch.fft.rfft(output.mul_(incoming), norm="forward").mul_(conjugate).sum(0).mul_(2))
        real, imaginary = (torch.cat([half, half[1:-1].flip(0).conj()]) for half in halves)
        return real + 1j * imaginary
