"""Convolutional network over the tokens of an utterance (Kim 2014)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from affectra.errors import ConfigError
from affectra.models.layers import Output
from affectra.models.utterance.sequence import segment_mask


class TextCnn(nn.Module):
    """Convolutions of several widths over tokens, their maxima over time, and two linear layers.

    Kim 2014, "Convolutional neural networks for sentence classification": a feature is the maximum over the text of
    one filter's ReLU. Cheaper than a GRU, and on short turns with words learnt from little text no worse. Ours: the
    embedding between the maxima and the scores, what a dialogue's network reads.

    Args:
        n_features: of a token.
        n_classes: scores per utterance.
        widths: of the filters, in tokens.
        n_filters: of each width.
        n_embedding: size of the embedding.
        dropout: of the maxima and of the embedding, in training.

    Shape:
        - features: (batch, n_features, token)
        - n_frames: (batch,), real tokens of each utterance, the rest is padding; None: all are real
        - output: see `Output`; no attention maps

    Raises:
        ConfigError: sizes below one, or a dropout that is no share.
    """

    def __init__(
        self,
        n_features: int,
        n_classes: int,
        *,
        widths: Sequence[int] = (1, 2, 3),
        n_filters: int = 64,
        n_embedding: int = 100,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        if not widths or min(n_filters, n_embedding, *widths) < 1 or not 0 <= dropout < 1:
            raise ConfigError(
                "text-cnn: widths, n_filters and n_embedding are numbers from 1 on and dropout is a share from 0 to "
                f"below 1, found {list(widths)}, {n_filters}, {n_embedding} and {dropout}"
            )
        self.n_features = n_features
        # Zeros on both sides: every filter sees every token in each of its places, however short the text.
        self.convolutions = nn.ModuleList(nn.Conv1d(n_features, n_filters, w, padding=w - 1) for w in widths)
        self.embed = nn.Linear(n_filters * len(widths), n_embedding)
        self.dropout = nn.Dropout(dropout)
        self.classify = nn.Linear(n_embedding, n_classes)

    def forward(self, features: Tensor, n_frames: Tensor | None = None) -> Output:
        """Scores and embedding of each utterance."""
        if not features.shape[2]:
            features = features.new_zeros(len(features), self.n_features, 1)
        n_tokens = features.shape[2]
        if n_frames is None:
            n_frames = torch.full((len(features),), n_tokens, device=features.device)
        tokens = features * segment_mask(n_frames, n_tokens)[:, None]
        maxima = []
        for convolution in self.convolutions:
            map_ = convolution(tokens).relu()
            n_behind = map_.shape[2] - n_tokens  # width - 1
            last = n_frames.clamp_min(1) + n_behind  # places that touch a token
            maxima.append((map_ * segment_mask(last, map_.shape[2])[:, None]).amax(2))
        embedding = self.embed(self.dropout(torch.cat(maxima, dim=1))).relu()
        return Output(self.classify(self.dropout(embedding)), embedding, None)
