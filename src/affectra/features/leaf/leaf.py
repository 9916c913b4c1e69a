"""LEAF: a filterbank whose filters, pooling and compression are learned."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from affectra.errors import AudioError, ConfigError
from affectra.features.leaf.direct import direct_energies
from affectra.features.leaf.edges import full_rate_energies
from affectra.features.leaf.fast import Bank, block_energies
from affectra.features.leaf.filters import POOLING_WIDTH, gabor_taps, initial_gabor, pooling_slopes, pooling_windows
from affectra.features.leaf.guard import Guard
from affectra.features.leaf.pcen import Normalized, Pcen
from affectra.features.leaf.planner import Planner

ENERGY_FLOOR = 1e-5
CHUNK_FRAMES = 1 << 13  # frames, of all signals of a batch together, that are in memory at once without gradients
SHORT_FRAMES = 8  # fewer of them are not worth a block


class Leaf(nn.Module):
    """Learnable front end: Gabor filters, squared modulus, Gaussian pooling, PCEN (Zeghidour et al. 2021).

    Equal to the published function within 1e-4, and its gradients within 1e-3, at a small part of the cost: filters
    are computed in blocks by way of the spectrum, each at a reduced rate (`leaf_fast`). The filters start as a mel
    filterbank from 60 to 7800 Hz (to 0.975 of half the sample rate, if that is less).

    Args:
        n_filters: filters.
        sample_rate: of the waveform, Hz.
        window_s: length of the filters and of the pooling windows, s.
        hop_s: time between frames, s.
        pooling_bias: add a learned bias to the pooled energies, at first 1, as leaf-pytorch and speechbrain do; the
            TensorFlow original has none.
        exact: always compute by direct convolution at the full rate.
        learnable: False fixes all parameters.

    Shape:
        - waveform: (batch, sample), in [-1, 1]
        - output: (batch, n_filters, frame), `frame = ceil(sample / hop)`, float32, or float64 where waveform or
          parameters are

    Example:
        >>> leaf = Leaf()
        >>> leaf(torch.zeros(2, 16_000)).shape
        torch.Size([2, 40, 100])
    """

    def __init__(
        self,
        n_filters: int = 40,
        sample_rate: int = 16_000,
        window_s: float = 0.025,
        hop_s: float = 0.010,
        pooling_bias: bool = False,
        exact: bool = False,
        *,
        learnable: bool = True,
    ) -> None:
        super().__init__()
        self.window_length = int(sample_rate * window_s + 1e-6) + 1  # one more, as published: 401 for 25 ms at 16 kHz
        self.hop_length = int(sample_rate * hop_s + 1e-6)
        if n_filters < 1 or sample_rate < 1000 or self.window_length < 16 or self.hop_length < 1:
            raise ConfigError(
                "leaf: needs n_filters >= 1, sample_rate >= 1000 Hz, a window of at least 16 samples and a hop of at "
                f"least one, found n_filters={n_filters}, sample_rate={sample_rate}, window_s={window_s}, hop_s={hop_s}"
            )
        self.sample_rate, self.n_features, self.exact = sample_rate, n_filters, exact
        centers, widths = initial_gabor(n_filters, sample_rate, self.window_length)
        self.centers = nn.Parameter(centers.float())  # rad per sample
        self.widths = nn.Parameter(widths.float())  # samples
        self.pooling_widths = nn.Parameter(torch.full((n_filters,), POOLING_WIDTH))
        self.bias = nn.Parameter(torch.ones(n_filters)) if pooling_bias else None
        self.pcen = Pcen(n_filters)
        self.requires_grad_(learnable)
        self._planner = Planner(self.window_length, self.hop_length)
        self._bank: tuple[tuple, Bank] | None = None  # and the state of the parameters it was made of

    def n_frames(self, n_samples: int) -> int:
        """Frames of a waveform: one per started hop."""
        return -(-n_samples // self.hop_length)

    def forward(self, waveform: Tensor) -> Tensor:
        """Features of waveforms; with gradients for the parameters, and, by the exact path, for the waveform."""
        if waveform.ndim != 2 or not waveform.shape[1]:
            raise AudioError(f"leaf: expects (batch, sample) with at least a sample, found {tuple(waveform.shape)}")
        n_frames = self.n_frames(waveform.shape[1])
        step = max(1, CHUNK_FRAMES // len(waveform))
        if n_frames <= step or torch.is_grad_enabled():
            return self.compress(self.energies(waveform, 0, n_frames)).output
        state, features = None, None
        for first in range(0, n_frames, step):
            energies = self.energies(waveform, first, min(step, n_frames - first))
            output, state = self.compress(energies, state)
            if features is None:
                features = output.new_empty(*output.shape[:2], n_frames)
            features[..., first : first + output.shape[2]] = output
        assert features is not None
        return features

    def compress(self, energies: Tensor, state: Tensor | None = None) -> Normalized:
        """Bias, floor and PCEN; `state` is what the frames before have left."""
        if self.bias is not None:
            energies = energies + self.bias.to(energies.dtype)[:, None]
        normalized: Normalized = self.pcen(energies.clamp_min(ENERGY_FLOOR), state)
        return normalized

    def energies(self, waveform: Tensor, first: int, n_frames: int) -> Tensor:
        """Energies (batch, filter, frame) of frames of a waveform from the `first` on, before bias and floor."""
        start = first * self.hop_length - 2 * self.padding
        stop = start + self.reach(n_frames)
        part = waveform[:, max(0, start) : stop]
        missing = stop - start - max(0, -start) - part.shape[1]
        samples = nn.functional.pad(part, (max(0, -start), missing))
        signal = -start - self.padding
        return self.chunk_energies(samples, n_frames, (signal, signal + waveform.shape[1]))

    @property
    def padding(self) -> int:
        """Samples before the middle of a filter, and of a window; frame t is about sample `t hop`."""
        return (self.window_length - 1) // 2

    def reach(self, n_frames: int) -> int:
        """Samples that frames depend on, half of it before and half after them."""
        return (n_frames - 1) * self.hop_length + 2 * self.window_length - 1

    def chunk_energies(self, samples: Tensor, n_frames: int, valid: tuple[int, int]) -> Tensor:
        """Energies of all frames of a chunk of the signal.

        Args:
            samples: (batch, sample), just what the frames reach, zero outside the signal.
            n_frames: how many.
            valid: first and one past the last filtered sample that is in the signal; may lie outside the chunk.

        Returns:
            (batch, filter, frame).
        """
        dtype = torch.promote_types(torch.promote_types(samples.dtype, self.centers.dtype), torch.float32)
        with torch.autocast(samples.device.type, enabled=False):
            if self.exact or samples.requires_grad or dtype == torch.float64:
                taps = gabor_taps(self.centers, self.widths, self.window_length)
                windows = pooling_windows(self.pooling_widths, self.window_length)
                return direct_energies(samples.to(dtype), taps, windows, self.hop_length, valid)
            return self._fast_energies(samples.to(dtype), n_frames, valid)

    def _fast_energies(self, samples: Tensor, n_frames: int, valid: tuple[int, int]) -> Tensor:
        """The frames whose windows an end of the signal cuts at the full rate, the others in blocks."""
        hop, length, bank = self.hop_length, self.window_length, self._ready_bank()
        n_head = min(n_frames, -(-max(0, valid[0]) // hop))
        n_tail = min(n_frames, max(0, n_frames - max(0, (valid[1] - length) // hop + 1)))
        n_inner = n_frames - n_head - n_tail
        if n_inner < SHORT_FRAMES:
            return self._cut_energies(samples, bank, [(0, n_frames)], valid)[0]
        inner = samples[:, n_head * hop : n_head * hop + self.reach(n_inner)]
        energies = block_energies(inner, bank, self.pooling_widths, n_inner, self._guard())
        pieces = [piece for piece in ((0, n_head), (n_frames - n_tail, n_tail)) if piece[1]]
        parts = self._cut_energies(samples, bank, pieces, valid) if pieces else []
        parts.insert(1 if n_head else 0, energies)
        return torch.cat(parts, dim=2)

    def _cut_energies(
        self, samples: Tensor, bank: Bank, pieces: list[tuple[int, int]], valid: tuple[int, int]
    ) -> list[Tensor]:
        """Energies (batch, filter, frame) of each piece (first frame, number), only of what is `valid`."""
        hop, length = self.hop_length, self.window_length
        within = torch.arange(length, device=samples.device)
        parts, windows, starts = [], [], []
        for first, n_frames in pieces:
            start, stop = first * hop, (first + n_frames - 1) * hop + length
            start, stop = max(start, valid[0]), max(start + 1, min(stop, valid[1]))  # filtered samples that count
            parts.append(samples[:, start : stop + length - 1])
            frames = torch.arange(first, first + n_frames, device=samples.device)
            places = frames[:, None] * hop + within
            windows.append(bank.windows[:, None] * ((places >= valid[0]) & (places < valid[1])))
            starts += [frame * hop - start for frame in frames.tolist()]
        longest = max(part.shape[1] for part in parts)
        stacked = torch.cat([nn.functional.pad(part, (0, longest - part.shape[1])) for part in parts])
        energies = full_rate_energies(stacked, bank.taps, torch.cat(windows, dim=1), starts)
        blocks = torch.split(energies, [n for _, n in pieces], dim=2)
        return [block[i * len(samples) : (i + 1) * len(samples)] for i, block in enumerate(blocks)]

    def _guard(self) -> Guard:
        bias = torch.zeros_like(self.centers) if self.bias is None else self.bias.detach().float()
        return Guard(bias, ENERGY_FLOOR, self.pcen.smoothing.detach().float().clamp(0, 1))

    def _ready_bank(self) -> Bank:
        """The filters as the parameters are now; kept while these do not change and no gradient is wanted."""
        parameters = [self.centers, self.widths, self.pooling_widths]
        if torch.is_grad_enabled() and any(p.requires_grad for p in parameters):
            return self._make_bank()
        state = tuple((p.data_ptr(), p._version, p.device, p.dtype) for p in parameters)
        if self._bank is None or self._bank[0] != state:
            with torch.inference_mode(False), torch.no_grad():
                self._bank = state, self._make_bank()
        return self._bank[1]

    def _make_bank(self) -> Bank:
        taps = gabor_taps(self.centers, self.widths, self.window_length)
        pooling = self.pooling_widths, self.window_length
        windows = pooling_windows(*pooling)
        plan = self._planner.plan(self.centers, self.widths, self.pooling_widths)
        wanted = torch.is_grad_enabled() and self.pooling_widths.requires_grad
        return Bank(plan, taps, windows, pooling_slopes(*pooling) if wanted else None)


def convert_leaf_pytorch(state: Mapping[str, Tensor], pooling_bias: bool) -> dict[str, Tensor]:
    """State of a `Leaf` from that of leaf-pytorch's.

    Args:
        state: by leaf-pytorch's names.
        pooling_bias: of the `Leaf` it is for; without, the bias must be zero.

    Raises:
        ConfigError: names are missing, or there is a bias and no place for it.
    """
    names = {
        "centers": "_complex_conv._kernel",
        "widths": "_complex_conv._kernel",
        "pooling_widths": "_pooling.weights",
        "bias": "_pooling._bias",
        "pcen.alpha": "_compression.alpha",
        "pcen.delta": "_compression.delta",
        "pcen.root": "_compression.root",
        "pcen.smoothing": "_compression.ema._weights",
    }
    missing = sorted(set(names.values()) - set(state))
    if missing:
        raise ConfigError(f"leaf: the state is not leaf-pytorch's; missing: {', '.join(missing)}")
    converted = {ours: state[theirs].detach().clone() for ours, theirs in names.items()}
    converted["centers"], converted["widths"] = converted["centers"].unbind(1)
    converted["pooling_widths"] = converted["pooling_widths"].flatten()
    if not pooling_bias and converted.pop("bias").any():
        raise ConfigError("leaf: the state has a pooling bias; build Leaf(pooling_bias=True) for it")
    return converted
