"""Transformer encoder over the turns of all modalities of a dialogue (Dutta & Ganapathy 2022, fusion)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

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

# Added to the similarity of an absent token: nothing is left of it beside a present one, and where none is present the
# softmax still has something to share out. Within the range of half precision; as in BERT.
ABSENT = -1e4


class EncoderLayer(nn.Module):
    """Self-attention and a feed-forward network, each with a residual and a layer normalisation behind it.

    Computes what `nn.TransformerEncoderLayer` with GELU does, the layer of BERT, by one path in training and in use and
    with masks that are not copied for each head.

    Args:
        n_hidden: size of a token.
        n_heads: attention heads; divides n_hidden.
        n_feedforward: size between the two feed-forward layers.
        dropout: of attention weights and of both residual branches, in training.

    Shape:
        - tokens: (batch, token, n_hidden)
        - mask: (batch, 1, 1 or token, token), added to the similarities
        - output: (batch, token, n_hidden)
    """

    def __init__(self, n_hidden: int, n_heads: int, n_feedforward: int, dropout: float) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.project = nn.Linear(n_hidden, 3 * n_hidden)  # queries, keys, values
        self.merge = nn.Linear(n_hidden, n_hidden)
        self.normalize_attention = nn.LayerNorm(n_hidden)
        self.feedforward = nn.Sequential(
            nn.Linear(n_hidden, n_feedforward), nn.GELU(), nn.Dropout(dropout), nn.Linear(n_feedforward, n_hidden)
        )
        self.normalize_feedforward = nn.LayerNorm(n_hidden)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Encoded tokens."""
        heads = self.project(tokens).unflatten(2, (3, self.n_heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = heads.unbind(0)  # each (batch, head, token, n_hidden / n_heads)
        share = self.dropout.p if self.training else 0.0
        seen = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=share)
        tokens = self.normalize_attention(tokens + self.dropout(self.merge(seen.transpose(1, 2).flatten(2))))
        encoded: Tensor = self.normalize_feedforward(tokens + self.dropout(self.feedforward(tokens)))
        return encoded


@DIALOGUE_MODELS.register("multimodal-transformer")
class MultimodalTransformer(nn.Module):
    """One token for each turn and modality, a transformer encoder over all of them, and a linear layer.

    Dutta & Ganapathy 2022, for a dialogue of S turns in M modalities:

        x^m_t  = W_m u^m_t + b_m                              M S tokens, modality after modality
        z      = TransformerEncoder(x^1_1 ... x^M_S)          no token looks at padding or at what is absent
        e_t    = [z^1_t; ...; z^M_t]
        scores = W e_t + b

    - The paper: hidden size, heads and layers.
    - The released code (iiscleap/multimodal_emotion_recognition): the projections, BERT's layers, the dropout of both,
      and that a token says neither its turn nor its modality. It leaves n_feedforward at BERT's 3072.
    - Ours: n_feedforward 4 n_hidden, the causal variant, all embeddings, absent modalities and modality dropout.

    Args:
        n_features: of a turn, for each modality.
        n_classes: scores per turn.
        n_hidden: size of a token.
        n_heads: attention heads; divides n_hidden.
        n_layers: encoder layers.
        n_feedforward: size within a layer's feed-forward network.
        dropout: of tokens before the encoder and behind it, in training.
        layer_dropout: within the encoder, in training.
        causal: for live use: no turn sees a later one.
        positions: add sinusoids of the turn's number to its tokens (Vaswani et al. 2017), for any number of turns.
        modality_embedding: add a learnt vector for each modality.
        speaker_embedding: add a learnt vector for each speaker, by the order in which they first speak.
        modality_dropout: share of the dialogues that lose one modality in training, drawn anew each time; none loses
            its last one.

    Shape:
        - modalities: for each (dialogue, turn, n_features[m]), padded behind
        - n_turns: (dialogue,), real turns of each, at least 1
        - speakers: (dialogue, turn), any integers; needed with speaker_embedding alone
        - present: (dialogue, modality, turn), False where a turn lacks a modality, whatever its features say; None: all
          are there. A turn that lacks all of them is judged by the others
        - output: see `DialogueOutput`; the embedding has `n_embedding` = M n_hidden numbers

    Raises:
        ConfigError: impossible options, or turns of another size.
    """

    is_fusion = True

    def __init__(
        self,
        n_features: Sequence[int],
        n_classes: int,
        *,
        n_hidden: int = 120,
        n_heads: int = 12,
        n_layers: int = 3,
        n_feedforward: int = 480,
        dropout: float = 0.2,
        layer_dropout: float = 0.1,
        causal: bool = False,
        positions: bool = False,
        modality_embedding: bool = False,
        speaker_embedding: bool = False,
        modality_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if min(n_hidden, n_heads, n_layers, n_feedforward, len(n_features)) < 1 or n_hidden % n_heads:
            raise ConfigError(
                "multimodal-transformer: sizes are numbers from 1 on, at least one modality, and n_heads divides "
                f"n_hidden, found n_hidden {n_hidden}, n_heads {n_heads}, n_layers {n_layers}, n_feedforward "
                f"{n_feedforward} and {len(n_features)} modalities"
            )
        if not all(0 <= share < 1 for share in (dropout, layer_dropout)) or not 0 <= modality_dropout <= 1:
            raise ConfigError(
                "multimodal-transformer: dropout, layer_dropout and modality_dropout are shares, found "
                f"{dropout}, {layer_dropout} and {modality_dropout}"
            )
        self.n_features = list(n_features)
        self.n_hidden, self.n_embedding = n_hidden, len(self.n_features) * n_hidden
        self.causal, self.positions, self.modality_dropout = causal, positions, modality_dropout
        self.project = nn.ModuleList(nn.Linear(n, n_hidden) for n in self.n_features)
        self.modality = nn.Embedding(len(self.n_features), n_hidden) if modality_embedding else None
        self.speaker = nn.Embedding(N_SPEAKERS, n_hidden) if speaker_embedding else None
        self.layers = nn.ModuleList(
            EncoderLayer(n_hidden, n_heads, n_feedforward, layer_dropout) for _ in range(n_layers)
        )
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(self.n_embedding, n_classes)

    def forward(
        self,
        modalities: Sequence[Tensor],
        n_turns: Tensor,
        speakers: Tensor | None = None,
        present: Tensor | None = None,
    ) -> DialogueOutput:
        """Scores and embedding of every turn."""
        self._check(modalities)
        n_padded = modalities[0].shape[1]
        there = segment_mask(n_turns, n_padded)[:, None].repeat(1, len(modalities), 1)
        if present is not None:
            there = there & present
        if self.training and self.modality_dropout:
            there = drop_modality(there, self.modality_dropout)
        tokens = self.dropout(self._tokens(modalities, there, speakers))
        mask = _added_mask(there, n_turns, self.causal, tokens.dtype)
        for layer in self.layers:
            tokens = layer(tokens, mask)
        embedding = torch.cat(tokens.chunk(len(modalities), dim=1), dim=2)
        return DialogueOutput(self.classify(self.dropout(embedding)), embedding)

    def _check(self, modalities: Sequence[Tensor]) -> None:
        if len(modalities) != len(self.n_features):
            raise ConfigError(
                f"multimodal-transformer: built for {len(self.n_features)} modalities, found {len(modalities)}; one "
                "that is missing is given as zeros, and as not present"
            )
        for i, (n, turns) in enumerate(zip(self.n_features, modalities, strict=True)):
            check_features(f"multimodal-transformer: modality {i + 1} of {len(self.n_features)}", n, turns)

    def _tokens(self, modalities: Sequence[Tensor], there: Tensor, speakers: Tensor | None) -> Tensor:
        """Tokens (dialogue, modality x turn, n_hidden); of what is absent only turn, modality and speaker are left."""
        added: Tensor | float = 0.0
        if self.positions:
            added = sinusoids(there.shape[2], self.n_hidden).to(modalities[0])
        if self.speaker is not None:
            added = added + self.speaker(required_speakers("multimodal-transformer", speakers))
        tokens = []
        for i, (project, turns) in enumerate(zip(self.project, modalities, strict=True)):
            known = there[:, i, :, None]
            token = project(turns.masked_fill(~known, 0.0)) * known + added  # filled first: absent may mean NaN
            tokens.append(token if self.modality is None else token + self.modality.weight[i])
        return torch.cat(tokens, dim=1)


def drop_modality(there: Tensor, share: float) -> Tensor:
    """Take one modality from some dialogues, drawn by torch's generator, but no dialogue's last one.

    Args:
        there: (dialogue, modality, turn).
        share: of the dialogues.
    """
    n_dialogues, n_modalities, _ = there.shape
    dropped = torch.randint(n_modalities, (n_dialogues,), device=there.device)
    is_hit = torch.rand(n_dialogues, device=there.device) < share
    lost = nn.functional.one_hot(dropped, n_modalities).bool() & is_hit[:, None]
    left = there & ~lost[..., None]
    return torch.where(left.flatten(1).any(1)[:, None, None], left, there)


def sinusoids(n_turns: int, n_hidden: int) -> Tensor:
    """Sines and cosines of the turn's number at wavelengths from 2 pi to 10000 x 2 pi turns: (turn, n_hidden).

    Example:
        >>> sinusoids(2, 4)[0]
        tensor([0., 1., 0., 1.])
    """
    rates = torch.exp(torch.arange(0, n_hidden, 2) * (-math.log(10_000) / n_hidden))
    phases = torch.arange(n_turns)[:, None] * rates
    return torch.stack([phases.sin(), phases.cos()], dim=2).flatten(1)[:, :n_hidden]


def _added_mask(there: Tensor, n_turns: Tensor, causal: bool, dtype: torch.dtype) -> Tensor:
    """Build the mask added to similarities (dialogue, 1, 1 or token, token): -inf at padding and later turns."""
    n_modalities, n_padded = there.shape[1:]
    allowed = key_mask(n_turns, n_padded, causal)
    allowed = allowed.repeat(1, n_modalities if causal else 1, n_modalities)[:, None]
    absent = torch.zeros(there.shape, dtype=dtype, device=there.device).masked_fill(~there, ABSENT)
    return absent.flatten(1)[:, None, None].masked_fill(~allowed, -torch.inf)
