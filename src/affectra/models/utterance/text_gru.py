"""Bidirectional GRU over the token vectors of an utterance (Dutta & Ganapathy 2022, text)."""

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from affectra.errors import ConfigError
from affectra.models.layers import Output
from affectra.models.utterance.sequence import segment_mask

TokenPooling = Literal["last", "mean", "attention"]


class TextGru(nn.Module):
    """Two bidirectional GRU layers over tokens, one vector from their states, and two linear layers.

    The paper (Dutta & Ganapathy 2022): 2 layers of 100 over the vectors of BERT's last four hidden layers; "the
    representations at the output of the GRU" are the utterance's embedding, of size 100. In the released code these are
    the last forward and the last backward state, 200 numbers that its own next stage has no place for; here a linear
    layer makes `n_embedding` of them, which is ours, as are the poolings "mean" and "attention". Sequences are packed,
    so the backward direction starts at an utterance's own last token. An utterance without tokens is one zero vector.

    Args:
        n_features: of a token.
        n_classes: scores per utterance.
        n_hidden: size of each direction.
        n_layers: GRU layers.
        n_embedding: size of the embedding.
        pooling: "last", the states after the last token in either direction; "mean" of the states; "attention", their
            mean with weights softmax(w h_t), one for each token.
        dropout: between layers and before the scores, in training; the released code has 0.2.

    Shape:
        - features: (batch, n_features, token)
        - n_frames: (batch,), real tokens of each utterance, the rest is padding; None: all are real
        - output: see `Output`; no attention maps
    """

    def __init__(
        self,
        n_features: int,
        n_classes: int,
        *,
        n_hidden: int = 100,
        n_layers: int = 2,
        n_embedding: int = 100,
        pooling: TokenPooling = "last",
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        if pooling not in get_args(TokenPooling):
            raise ConfigError(f"text-gru: pooling is one of {', '.join(get_args(TokenPooling))}, found {pooling!r}")
        if min(n_hidden, n_layers, n_embedding) < 1 or not 0 <= dropout < 1:
            raise ConfigError(
                "text-gru: n_hidden, n_layers and n_embedding are numbers from 1 on and dropout is a share from 0 to "
                f"below 1, found {n_hidden}, {n_layers}, {n_embedding} and {dropout}"
            )
        self.n_features, self.pooling = n_features, pooling
        between = dropout if n_layers > 1 else 0.0  # torch warns of a dropout that has no place
        self.gru = nn.GRU(n_features, n_hidden, n_layers, batch_first=True, bidirectional=True, dropout=between)
        # A constant added to all tokens leaves a softmax as it is: a bias there would never learn.
        self.attend = nn.Linear(2 * n_hidden, 1, bias=False) if pooling == "attention" else None
        self.embed = nn.Linear(2 * n_hidden, n_embedding)
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(n_embedding, n_classes)

    def forward(self, features: Tensor, n_frames: Tensor | None = None) -> Output:
        """Scores and embedding of each utterance."""
        tokens = features.transpose(1, 2)
        if n_frames is None:
            n_frames = torch.full((len(tokens),), tokens.shape[1], device=tokens.device)
        if not tokens.shape[1]:
            tokens = tokens.new_zeros(len(tokens), 1, tokens.shape[2])
        tokens = tokens.masked_fill(~segment_mask(n_frames, tokens.shape[1])[..., None], 0.0)
        n_tokens = n_frames.clamp_min(1)  # an utterance without tokens has the zero vector that stands there now
        packed = pack_padded_sequence(tokens, n_tokens.cpu(), batch_first=True, enforce_sorted=False)
        states, last = self.gru(packed)
        if self.pooling == "last":
            pooled = torch.cat([last[-2], last[-1]], dim=1)
        else:
            states, _ = pad_packed_sequence(states, batch_first=True)  # zeros where padded
            pooled = self._pool(states, n_tokens)
        embedding = self.embed(pooled)
        return Output(self.classify(self.dropout(embedding)), embedding, None)

    def _pool(self, states: Tensor, n_tokens: Tensor) -> Tensor:
        """One vector an utterance (batch, feature) of its states (batch, token, feature)."""
        if self.attend is None:
            return states.sum(1) / n_tokens[:, None]
        real = segment_mask(n_tokens, states.shape[1])
        weights = self.attend(states)[..., 0].masked_fill(~real, -torch.inf).softmax(1)
        return torch.einsum("bt,btf->bf", weights, states)
