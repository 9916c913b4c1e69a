"""Attention-pooling CNN on spectrograms (Li et al. 2018)."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from affectra.errors import ConfigError
from affectra.models.layers import AttentionForm, AttentionPool2d, GlobalPool2d, Output, time_mask
from affectra.models.utterance.convolutions import convolution, divided, masked

Pooling = Literal["attention", "mean_no_softmax", "softmax_mean", "average", "max"]


class AttentionCnn(nn.Module):
    """Two convolutions side by side, one tall and one wide, four 3x3 convolutions, and attention pooling.

    Li et al. 2018, the paper's model; channels and pooling positions, which the paper does not print, are those of two
    public re-implementations. Every convolution is followed by batch normalisation and ReLU and keeps its size.
    Padded frames are set to zero after each layer, so they never change a score.

    Args:
        n_features: frequency bins of the input.
        n_classes: scores per example.
        filter_a: (freq, time) of the first convolution.
        filter_b: (freq, time) of the one beside it.
        n_filters: channels of each of the two.
        channels: channels of the following 3x3 convolutions.
        pooled: after which of these a 2x2 maximum follows.
        pooling: how the last feature map becomes scores; see `AttentionPool2d` and `GlobalPool2d`.
        first_stride: stride of the two first convolutions; 2 makes all that follows four times cheaper.

    Shape:
        - features: (batch, n_features, time), any time
        - n_frames: (batch,), real frames of each example, the rest is padding; None: all are real
        - output: see `Output`; the maps have time / first_stride / 2^(number of maxima), rounded up each time
    """

    def __init__(
        self,
        n_features: int,
        n_classes: int,
        *,
        filter_a: Sequence[int],
        filter_b: Sequence[int],
        n_filters: int,
        channels: Sequence[int],
        pooled: Sequence[bool],
        pooling: Pooling = "attention",
        first_stride: int = 1,
    ) -> None:
        super().__init__()
        if len(channels) != len(pooled):
            raise ConfigError(f"attention-cnn: {len(channels)} channels but {len(pooled)} values in pooled")
        if pooling not in get_args(Pooling):
            raise ConfigError(f"attention-cnn: pooling is one of {', '.join(get_args(Pooling))}, found {pooling!r}")
        if any(len(size) != 2 for size in (filter_a, filter_b)):
            raise ConfigError("attention-cnn: filter_a and filter_b are pairs, frequency bins and frames")
        if min(n_filters, first_stride, *channels, *filter_a, *filter_b) < 1:
            raise ConfigError("attention-cnn: filters, channels and strides are numbers from 1 on")
        self.n_features = n_features
        self.first_stride = first_stride
        self.tall = convolution(1, n_filters, filter_a, first_stride)
        self.wide = convolution(1, n_filters, filter_b, first_stride)
        inputs = [2 * n_filters, *channels[:-1]]
        self.convolutions = nn.ModuleList(convolution(i, o, (3, 3), 1) for i, o in zip(inputs, channels, strict=True))
        self.pooled = list(pooled)
        self.maximum = nn.MaxPool2d(2, ceil_mode=True)  # a last odd column is kept, so padding it changes nothing
        if pooling in get_args(AttentionForm):
            self.pool: nn.Module = AttentionPool2d(channels[-1], n_classes, pooling)  # type: ignore[arg-type]
        else:
            self.pool = GlobalPool2d(channels[-1], n_classes, pooling)  # type: ignore[arg-type]

    def forward(self, features: Tensor, n_frames: Tensor | None = None) -> Output:
        """Scores, embedding and attention maps of a batch."""
        x = masked(features[:, None], n_frames)
        x = torch.cat([self.tall(x), self.wide(x)], dim=1)
        n_frames = divided(n_frames, self.first_stride)
        for layer, is_pooled in zip(self.convolutions, self.pooled, strict=True):
            x = layer(masked(x, n_frames))
            if is_pooled:
                x, n_frames = self.maximum(masked(x, n_frames)), divided(n_frames, 2)
        output: Output = self.pool(x, None if n_frames is None else time_mask(n_frames, x.shape[3]))
        return output
