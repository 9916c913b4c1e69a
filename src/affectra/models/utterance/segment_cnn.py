"""Deep convolutional features of one short segment."""

from collections.abc import Sequence

from torch import Tensor, nn

from affectra.errors import ConfigError
from affectra.models.layers import time_mask
from affectra.models.utterance.convolutions import convolution, divided, masked


class SegmentCnn(nn.Module):
    """Convolutions over the spectrogram of a segment of about a quarter of a second, and one vector from them.

    Gao et al. 2021 take "a structure similar to" Satt et al. 2017, Gao et al. 2022 "similar parameters": convolutions
    with 2x2 maxima between, on spectrograms of 32 frames x 129 bins. The rest is ours: batch normalisation and ReLU
    after each convolution, the mean of the last map over its real columns, and the fully connected layer (with ReLU)
    that makes the vector. Padded frames are set to zero before each layer and stay out of the mean, so what stands
    there never changes a feature.

    Args:
        n_features: frequency bins of the input.
        n_outputs: size of the vector.
        channels: of each convolution.
        kernels: (freq, time) of each convolution.
        pooled: after which of them a 2x2 maximum follows.
        first_stride: stride of the first convolution; 2 makes all that follows four times cheaper.

    Shape:
        - features: (segment, n_features, time), any time
        - n_frames: (segment,), real frames of each segment, the rest is padding; None: all are real
        - output: (segment, n_outputs), at least 0

    Raises:
        ConfigError: lists of different lengths, or sizes below 1.
    """

    def __init__(
        self,
        n_features: int,
        n_outputs: int,
        *,
        channels: Sequence[int],
        kernels: Sequence[Sequence[int]],
        pooled: Sequence[bool],
        first_stride: int = 1,
    ) -> None:
        super().__init__()
        if not len(channels) == len(kernels) == len(pooled) > 0:
            raise ConfigError(
                "segment CNN: channels, kernels and pooled say one thing a convolution each, found "
                f"{len(channels)}, {len(kernels)} and {len(pooled)} values"
            )
        if any(len(size) != 2 for size in kernels):
            raise ConfigError(f"segment CNN: kernels are pairs, frequency bins and frames, found {list(kernels)}")
        if min(n_outputs, first_stride, *channels, *(length for size in kernels for length in size)) < 1:
            raise ConfigError("segment CNN: channels, kernels, strides and outputs are numbers from 1 on")
        inputs = [1, *channels[:-1]]
        strides = [first_stride] + [1] * (len(channels) - 1)
        self.convolutions = nn.ModuleList(map(convolution, inputs, channels, kernels, strides))
        self.pooled = list(pooled)
        self.first_stride = first_stride
        self.maximum = nn.MaxPool2d(2, ceil_mode=True)  # a last odd column is kept, so padding it changes nothing
        n_bins = -(-n_features // first_stride)
        for is_pooled in pooled:
            n_bins = -(-n_bins // 2) if is_pooled else n_bins
        self.connect = nn.Sequential(nn.Linear(channels[-1] * n_bins, n_outputs), nn.ReLU())

    def forward(self, features: Tensor, n_frames: Tensor | None = None) -> Tensor:
        """One vector a segment."""
        x = features[:, None]
        for i, (layer, is_pooled) in enumerate(zip(self.convolutions, self.pooled, strict=True)):
            x = layer(masked(x, n_frames))
            n_frames = divided(n_frames, self.first_stride if i == 0 else 1)
            if is_pooled:
                x, n_frames = self.maximum(masked(x, n_frames)), divided(n_frames, 2)
        x = x.float()  # a mean wants more than half precision
        if n_frames is None:
            x = x.mean(3)
        else:
            x = (x * time_mask(n_frames, x.shape[3])).sum(3) / n_frames[:, None, None]
        vectors: Tensor = self.connect(x.flatten(1))
        return vectors
