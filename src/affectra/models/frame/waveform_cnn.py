"""Convolutions on the samples of each short frame, one vector a frame (Tzirakis et al. 2021)."""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from affectra.errors import ConfigError
from affectra.models.frame.conv_pool import ConvReluPool

AT_ONCE = 256  # frames whose maps are in memory together: about 12 MiB with the paper's sizes

CnnCompat = Literal["glam-imperial"]


class WaveformCnn(nn.Module):
    """Three convolutions with ReLU, max-pooling and dropout on raw samples (Tzirakis et al. 2021, paralinguistic part).

    The paper's sizes are the defaults: 50 filters of 8 samples, pooled by 10; 125 of 6, by 5; 250 of 6, by 5; at
    22,050 Hz, so a frame of 100 ms has 2205 samples. Where dropout stands, after each pooling, is from the released
    code.

    Ours: each frame is convolved and pooled on its own with zeros around it, a last window that is not full counts,
    and what is left over time (9 steps of the paper's frame) is averaged in `n_positions` parts as equal as can be.
    So a frame's vector depends on its samples alone, and frames of any length have vectors of one size.

    compat="glam-imperial" is the released code: all frames of a sequence are convolved as one signal, and the last map,
    (time, channel) flattened, is cut into as many equal pieces as there are frames. Convolutions cross the frames'
    borders, and as the pooling by 250 divides neither 2205 nor 4410, so do the pieces (8.82 and 17.64 steps). The code
    knows sequences of 100 frames only. Here one of another length is completed by silent frames until the pooling
    divides it, so that a recording has the same vectors whatever it is padded to; no parts are averaged.

    Args:
        n_samples: of a frame. The released code's frames have 4410: 2205 of the target speaker, then 2205 of the
            partner, one half silent.
        channels: of each convolution.
        kernels: steps each sees at a time.
        pools: steps that become one after each.
        n_positions: parts of a frame in its vector, no more than steps are left; 3 (ours) are beginning, middle, end.
        dropout: share of values that are dropped after each pooling.
        compat: None, or "glam-imperial".

    Shape:
        - frames: (batch, frame, n_samples), samples from -1 to 1
        - n_frames: (batch,), real frames of each sequence, the rest is padding; None: all are real
        - output: (batch, frame, n_outputs), at least 0; zeros for padding

    Raises:
        ConfigError: lists of different lengths, sizes that cannot be, or more positions than steps.
    """

    parts: Tensor  # (position, step), means over each part

    def __init__(
        self,
        n_samples: int,
        *,
        channels: Sequence[int] = (50, 125, 250),
        kernels: Sequence[int] = (8, 6, 6),
        pools: Sequence[int] = (10, 5, 5),
        n_positions: int = 3,
        dropout: float = 0.5,
        compat: CnnCompat | None = None,
    ) -> None:
        super().__init__()
        if not len(channels) == len(kernels) == len(pools) > 0:
            raise ConfigError(
                "waveform CNN: channels, kernels and pools say one thing a convolution each, found "
                f"{len(channels)}, {len(kernels)} and {len(pools)} values"
            )
        if n_samples < 1 or not 0 <= dropout < 1:
            raise ConfigError(
                "waveform CNN: a frame has samples from 1 on and dropout is a share below 1, found "
                f"{n_samples} samples and dropout {dropout}"
            )
        self.n_samples, self.n_positions, self.compat = n_samples, n_positions, compat
        self.layers = nn.ModuleList(map(ConvReluPool, [1, *channels[:-1]], channels, kernels, pools))
        self.dropout = nn.Dropout(dropout)
        if compat is None:
            n_steps = n_samples
            for pool in pools:
                n_steps = -(-n_steps // pool)
            if not 1 <= n_positions <= n_steps:
                raise ConfigError(
                    f"waveform CNN: {n_samples} samples pooled by {list(pools)} leave {n_steps} steps, which can be "
                    f"from 1 to {n_steps} positions, found n_positions={n_positions}"
                )
            self.n_outputs = n_positions * channels[-1]
            parts = torch.zeros(n_positions, n_steps)
            for i, steps in enumerate(torch.arange(n_steps).tensor_split(n_positions)):
                parts[i, steps] = 1 / len(steps)
            self.register_buffer("parts", parts, persistent=False)
            return
        total = math.prod(pools)
        self.quantum = total // math.gcd(total, n_samples)  # so many frames leave no sample over
        if n_samples * channels[-1] % total:
            raise ConfigError(
                f"waveform CNN: compat={compat!r} cuts {n_samples} samples x {channels[-1]} channels / {total} values "
                "a frame, which is no whole number; change channels or pools"
            )
        self.n_outputs = n_samples * channels[-1] // total

    def forward(self, frames: Tensor, n_frames: Tensor | None = None) -> Tensor:
        """One vector a frame."""
        if frames.shape[2] != self.n_samples:
            raise ConfigError(f"waveform CNN: made for frames of {self.n_samples} samples, found {frames.shape[2]}")
        if self.compat is not None:
            return self._cut_sequences(frames, n_frames)
        if n_frames is None or bool((n_frames == frames.shape[1]).all()):
            return self._each_alone(frames.flatten(0, 1)).view(*frames.shape[:2], -1)
        real = torch.arange(frames.shape[1], device=frames.device) < n_frames[:, None]
        vectors = self._each_alone(frames[real])  # padding is not worth convolving
        padded = vectors.new_zeros(*frames.shape[:2], self.n_outputs)
        return padded.index_put((real,), vectors)

    def _each_alone(self, frames: Tensor) -> Tensor:
        """(frame, n_samples) -> (frame, n_outputs), some frames at a time, so that a long recording needs no more."""
        return torch.cat([self._frame_vectors(block) for block in torch.split(frames, AT_ONCE)])

    def _frame_vectors(self, frames: Tensor) -> Tensor:
        x = frames[..., None]  # (frame, step, channel)
        for layer in self.layers:
            x = self.dropout(layer(x))
        return (self.parts @ x).flatten(1)

    def _cut_sequences(self, frames: Tensor, n_frames: Tensor | None) -> Tensor:
        n_padded = frames.shape[1]
        if n_frames is None:
            n_frames = torch.full((len(frames),), n_padded, device=frames.device)
        x = functional.pad(frames, (0, 0, 0, -n_padded % self.quantum)).flatten(1)[..., None]
        # A sequence with its own silent frames ends before the batch does: what is behind is zero in every map, as it
        # is behind the longest.
        n_steps = (n_frames + self.quantum - 1) // self.quantum * self.quantum * self.n_samples
        x = x * _is_before(n_frames * self.n_samples, x)
        for layer in self.layers:
            assert isinstance(layer, ConvReluPool)
            n_steps = n_steps // layer.pool
            x = layer(x)
            x = self.dropout(x * _is_before(n_steps, x))
        vectors = x.flatten(1).view(len(frames), -1, self.n_outputs)[:, :n_padded]
        return vectors * _is_before(n_frames, vectors)


def _is_before(n_steps: Tensor, x: Tensor) -> Tensor:
    """1 for the first steps of each sequence and 0 behind: (batch, time, 1)."""
    return (torch.arange(x.shape[1], device=x.device) < n_steps[:, None]).to(x.dtype)[..., None]
