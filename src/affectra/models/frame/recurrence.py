"""Networks over time that only look back, and can be stopped and taken up again."""

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from affectra.errors import ConfigError

RecurrenceKind = Literal["lstm", "gru", "transformer"]
State = tuple[Tensor, ...]  # what is carried from one block of frames to the next
WINDOW = 100  # frames that a layer of the transformer looks back, itself among them; 10 s at 10 Hz (ours)


def recurrence(kind: RecurrenceKind, n_inputs: int, n_hidden: int, dropout: float) -> "Recurrence | CausalTransformer":
    """A network over time by name; each takes (batch, frame, n_inputs) and the state, and gives the same.

    Args:
        kind: "lstm" as in Tzirakis et al. 2021, or "gru" or "transformer" (ours).
        n_inputs: features of a frame.
        n_hidden: features of a frame that come out.
        dropout: within the transformer; the recurrent ones have none.

    Raises:
        ConfigError: unknown kind, or a size that cannot be.
    """
    if kind not in get_args(RecurrenceKind):
        raise ConfigError(f"recurrent is one of {', '.join(get_args(RecurrenceKind))}, found {kind!r}")
    if n_hidden < 1:
        raise ConfigError(f"recurrent: n_hidden is a number from 1 on, found {n_hidden}")
    return (
        CausalTransformer(n_inputs, n_hidden, dropout)
        if kind == "transformer"
        else Recurrence(kind, n_inputs, n_hidden)
    )


class Recurrence(nn.Module):
    """One layer of LSTM or GRU, forwards.

    The LSTM of the released code of Tzirakis et al. 2021 has peephole connections and clips its cells at 100; this one
    has neither: the paper speaks of an LSTM, and PyTorch's is many times as fast as one written out.

    Shape:
        - x: (batch, frame, n_inputs); state: None at the beginning
        - output: (batch, frame, n_hidden), and the state
    """

    def __init__(self, kind: Literal["lstm", "gru"], n_inputs: int, n_hidden: int) -> None:
        super().__init__()
        self.network = (nn.LSTM if kind == "lstm" else nn.GRU)(n_inputs, n_hidden, batch_first=True)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """States of the frames, and what the next block begins with."""
        is_lstm = isinstance(self.network, nn.LSTM)
        output, last = self.network(x, state if state is None or is_lstm else state[0])
        return output, last if is_lstm else (last,)


class CausalTransformer(nn.Module):
    """Two layers of attention in which a frame sees itself and the 99 frames before (ours).

    Normalisation comes before each part (Xiong et al. 2020). Distance in time enters as a learnt number per head and
    distance that is added to the scores (after Raffel et al. 2020, without their bins), so a frame is treated alike
    wherever in a recording it is. Frames are taken `WINDOW` at a time, with what the layers saw before as state:
    memory does not grow with the square of the length.

    Args:
        n_inputs: features of a frame.
        n_hidden: features within and out, a multiple of 4 (heads).
        dropout: of the attention's and the inner layers' outputs.

    Shape: as for `Recurrence`; the state holds up to 99 frames a layer.

    Raises:
        ConfigError: n_hidden that 4 heads cannot share.
    """

    def __init__(self, n_inputs: int, n_hidden: int, dropout: float) -> None:
        super().__init__()
        self.enter = nn.Linear(n_inputs, n_hidden)
        self.layers = nn.ModuleList(_Layer(n_hidden, dropout) for _ in range(2))
        self.norm = nn.LayerNorm(n_hidden)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Vectors of the frames, and what the next block begins with."""
        caches = list(state or (x.new_zeros(len(x), 0, self.enter.out_features) for _ in self.layers))
        outputs = []
        for block in self.enter(x).split(WINDOW, dim=1):
            for i, layer in enumerate(self.layers):
                seen = torch.cat([caches[i].to(block.dtype), block], dim=1)
                block = layer(seen, block.shape[1])
                caches[i] = seen[:, max(0, seen.shape[1] - WINDOW + 1) :]
            outputs.append(self.norm(block))
        return torch.cat(outputs, dim=1), tuple(caches)


class _Layer(nn.Module):
    """Attention and two connected layers, each added to what came in."""

    def __init__(self, n_hidden: int, dropout: float, n_heads: int = 4) -> None:
        super().__init__()
        if n_hidden % n_heads:
            raise ConfigError(f"recurrent 'transformer': n_hidden is a multiple of {n_heads}, found {n_hidden}")
        self.n_heads = n_heads
        self.norm = nn.LayerNorm(n_hidden)
        self.query, self.key_value = nn.Linear(n_hidden, n_hidden), nn.Linear(n_hidden, 2 * n_hidden)
        self.mix = nn.Linear(n_hidden, n_hidden)
        self.distance = nn.Parameter(torch.zeros(n_heads, WINDOW))
        self.connect = nn.Sequential(
            nn.LayerNorm(n_hidden), nn.Linear(n_hidden, 4 * n_hidden), nn.GELU(), nn.Linear(4 * n_hidden, n_hidden)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, seen: Tensor, n_new: int) -> Tensor:
        """(batch, frames before and new, n_hidden) -> (batch, n_new, n_hidden)."""
        new = seen[:, -n_new:]
        normed = self.norm(seen)
        query = self._heads(self.query(normed[:, -n_new:]))
        key, value = map(self._heads, self.key_value(normed).chunk(2, dim=-1))
        n_seen = seen.shape[1]
        ages = torch.arange(n_seen - n_new, n_seen)[:, None] - torch.arange(n_seen)  # (new, seen), frames back
        ages = ages.to(seen.device)
        scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[3]) + self.distance[:, ages.clamp(0, WINDOW - 1)]
        weights = scores.masked_fill((ages < 0) | (ages >= WINDOW), -torch.inf).softmax(-1)
        mixed = self.mix((weights @ value).transpose(1, 2).flatten(2))
        new = new + self.dropout(mixed)
        output: Tensor = new + self.dropout(self.connect(new))
        return output

    def _heads(self, x: Tensor) -> Tensor:
        """(batch, frame, feature) -> (batch, head, frame, feature of a head)."""
        return x.view(*x.shape[:2], self.n_heads, -1).transpose(1, 2)
