"""Convolutions over spectrograms in which padding is never seen."""

from collections.abc import Sequence

from torch import Tensor, nn

from affectra.models.layers import time_mask


def convolution(n_in: int, n_out: int, size: Sequence[int], stride: int) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU.

    A kernel of size k is padded by (k - 1) // 2 before and k // 2 after, so with stride 1 a map keeps its size, also
    with an even kernel.

    Args:
        n_in: channels in.
        n_out: channels out.
        size: frequency bins and frames of the kernel.
        stride: in both directions.

    Shape:
        - input: (batch, n_in, freq, time)
        - output: (batch, n_out, freq', time'), both divided by the stride and rounded up
    """
    height, width = size
    padding = ((width - 1) // 2, width // 2, (height - 1) // 2, height // 2)
    return nn.Sequential(
        nn.ZeroPad2d(padding),
        nn.Conv2d(n_in, n_out, (height, width), stride, bias=False),  # the normalisation has a bias
        nn.BatchNorm2d(n_out),
        nn.ReLU(inplace=True),
    )


def masked(x: Tensor, n_frames: Tensor | None) -> Tensor:
    """A map (batch, channel, freq, time) with zeros where it is padding, as a convolution pads at the edge."""
    return x if n_frames is None else x * time_mask(n_frames, x.shape[3]).to(x.dtype)


def divided(n_frames: Tensor | None, stride: int) -> Tensor | None:
    """Real columns left after a stride: a last one that is only partly real counts."""
    return None if n_frames is None else (n_frames + stride - 1) // stride
