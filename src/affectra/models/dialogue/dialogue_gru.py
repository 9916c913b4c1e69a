"""Bidirectional GRU with self-attention over the turns of a dialogue (Dutta & Ganapathy 2022, context)."""

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from affectra.errors import ConfigError
from affectra.models.dialogue.dialogue import (
    DIALOGUE_MODELS,
    N_SPEAKERS,
    DialogueOutput,
    check_features,
    key_mask,
    required_speakers,
)
from affectra.models.utterance.sequence import segment_mask

Compat = Literal["paper", "iiscleap"]


class TurnAttention(nn.Module):
    """Each turn's state as a mean of all turns' states, weighted by how alike they are.

        A = (O W)(O W)^T,  A^ij <- exp(A^ij) / sum_j exp(A^ij),  O^a = A O

    Dutta & Ganapathy 2022, multi-utterance self attention; neither scaled nor with projected values.

    Args:
        n_hidden: size of a state.
        compat: "iiscleap" computes what the released code does: W has a bias, the softmax goes over queries i, so that
            columns sum to one and not rows, the values are the projected states, and nothing is masked.

    Shape:
        - states: (dialogue, turn, n_hidden)
        - mask: (dialogue, 1 or turn, turn), which turns (last) a turn may look at
        - output: (dialogue, turn, n_hidden)
    """

    def __init__(self, n_hidden: int, compat: Compat = "paper") -> None:
        super().__init__()
        self.compat = compat
        self.project = nn.Linear(n_hidden, n_hidden, bias=compat == "iiscleap")

    def weights(self, states: Tensor, mask: Tensor) -> Tensor:
        """A after the softmax: (dialogue, query, key)."""
        projected = self.project(states)
        similarity: Tensor = projected @ projected.mT
        if self.compat == "iiscleap":
            return similarity.softmax(1)
        return similarity.masked_fill(~mask, -torch.inf).softmax(2)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Attended states."""
        values = self.project(states) if self.compat == "iiscleap" else states
        attended: Tensor = self.weights(states, mask) @ values
        return attended


@DIALOGUE_MODELS.register("dialogue-gru")
class DialogueGru(nn.Module):
    """A GRU over the turns of a dialogue, self-attention in each direction, and a linear layer.

    Dutta & Ganapathy 2022, for the turns u_1 ... u_S of a dialogue in one modality:

        [O_f; O_b] = BiGRU(u_1 ... u_S)
        e          = [A_f O_f; A_b O_b]      see `TurnAttention`; the embedding that the fusion reads
        scores     = W e + b                 for every turn

    Sequences are packed and padding is no key, so neither a batch's length nor its order changes a score. Two layers,
    which the paper does not say, are the released code's (iiscleap/multimodal_emotion_recognition). Ours: the causal
    variant, the speakers, and dropout, which the code declares and does not use.

    Args:
        n_features: of a turn.
        n_classes: scores per turn.
        n_hidden: size of each direction.
        n_layers: GRU layers.
        attention: False leaves it out, and e = [O_f; O_b] (the paper's Table 1).
        causal: for live use: the forward direction alone, and no turn sees a later one.
        compat: "paper", or "iiscleap" for what the released code computes: `TurnAttention`'s three differences, and a
            GRU whose backward direction starts in the padding. Its scores change with the padding.
        dropout: of turns, between layers and before the scores, in training.
        speaker_embedding: tell the GRU who speaks, by the order in which the dialogue's speakers first speak; as one
            number a speaker, of which its input weights make an embedding.

    Shape:
        - turns: (dialogue, turn, n_features), padded behind
        - n_turns: (dialogue,), real turns of each, at least 1
        - speakers: (dialogue, turn), any integers; needed with speaker_embedding alone
        - output: see `DialogueOutput`; the embedding has n_hidden numbers for each direction, `n_embedding` in all

    Raises:
        ConfigError: unknown or impossible options, or turns of another size.
    """

    is_fusion = False

    def __init__(
        self,
        n_features: int,
        n_classes: int,
        *,
        n_hidden: int = 100,
        n_layers: int = 2,
        attention: bool = True,
        causal: bool = False,
        compat: Compat = "paper",
        dropout: float = 0.0,
        speaker_embedding: bool = False,
    ) -> None:
        super().__init__()
        _check(n_hidden, n_layers, dropout, causal, compat)
        self.n_features, self.causal, self.compat = n_features, causal, compat
        self.speaker_embedding = speaker_embedding
        n_directions = 1 if causal else 2
        self.n_embedding = n_directions * n_hidden
        self.gru = nn.GRU(
            n_features + (N_SPEAKERS if speaker_embedding else 0),
            n_hidden,
            n_layers,
            batch_first=True,
            bidirectional=not causal,
            dropout=dropout if n_layers > 1 else 0.0,  # torch warns of a dropout that has no place
        )
        self.attention = nn.ModuleList(TurnAttention(n_hidden, compat) for _ in range(n_directions if attention else 0))
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(self.n_embedding, n_classes)

    def forward(self, turns: Tensor, n_turns: Tensor, speakers: Tensor | None = None) -> DialogueOutput:
        """Scores and embedding of every turn."""
        check_features("dialogue-gru", self.n_features, turns)
        n_padded = turns.shape[1]
        turns = self.dropout(turns.masked_fill(~segment_mask(n_turns, n_padded)[..., None], 0.0))
        if self.speaker_embedding:
            indices = required_speakers("dialogue-gru", speakers)
            turns = torch.cat([turns, nn.functional.one_hot(indices, N_SPEAKERS).to(turns.dtype)], dim=2)
        embedding = self._states(turns, n_turns)
        if len(self.attention):
            mask = key_mask(n_turns, n_padded, self.causal)
            directions = embedding.chunk(len(self.attention), dim=2)
            attended = [attend(states, mask) for attend, states in zip(self.attention, directions, strict=True)]
            embedding = torch.cat(attended, dim=2)
        return DialogueOutput(self.classify(self.dropout(embedding)), embedding)

    def _states(self, turns: Tensor, n_turns: Tensor) -> Tensor:
        """States of the GRU (dialogue, turn, feature), zeros where padded; not so as the released code has it."""
        if self.compat == "iiscleap":
            states: Tensor = self.gru(turns)[0]
            return states
        packed = pack_padded_sequence(turns, n_turns.cpu(), batch_first=True, enforce_sorted=False)
        states, _ = pad_packed_sequence(self.gru(packed)[0], batch_first=True, total_length=turns.shape[1])
        return states


def _check(n_hidden: int, n_layers: int, dropout: float, causal: bool, compat: str) -> None:
    """Raise a `ConfigError` for options that are unknown or do not go together."""
    if compat not in get_args(Compat):
        raise ConfigError(f"dialogue-gru: compat is one of {', '.join(get_args(Compat))}, found {compat!r}")
    if causal and compat == "iiscleap":
        raise ConfigError(
            "dialogue-gru: with compat iiscleap each weight depends on all turns, so it cannot be causal; choose "
            "compat: paper, or causal: false"
        )
    if min(n_hidden, n_layers) < 1 or not 0 <= dropout < 1:
        raise ConfigError(
            "dialogue-gru: n_hidden and n_layers are numbers from 1 on and dropout is a share from 0 to below 1, found "
            f"{n_hidden}, {n_layers} and {dropout}"
        )
