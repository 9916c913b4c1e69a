"""Fusion of streams frame by frame: an attention weighs two, a hierarchy of them three (Tzirakis et al. 2021)."""

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from affectra.errors import ConfigError

StreamOrder = Literal["arousal-liking-valence", "arousal-valence-liking"]


class AttentionFusion(nn.Module):
    """The weighted sum of two streams, with weights from what the streams are at this moment.

        score_i = (w . x_i + b) / sqrt(D),    (a_1, a_2) = softmax(score_1, score_2),    output = a_1 x_1 + a_2 x_2

    with one w for both streams (Tzirakis et al. 2021). b adds the same to both scores, which leaves a softmax as it is:
    it is left out. Streams of different sizes are first projected to D by a layer with ReLU each, streams of one size
    are taken as they are, as in the released code; the paper always projects.

    Args:
        n_first: features of the first stream.
        n_second: of the second.
        n_projected: D where they differ; 1024 is the released code's.

    Shape:
        - first: (..., n_first); second: (..., n_second)
        - fused: (..., n_outputs); weights: (..., 2), which add up to 1

    Example:
        >>> fusion = AttentionFusion(3, 3)
        >>> fused, weights = fusion(torch.ones(3), torch.ones(3))
        >>> fused, weights
        (tensor([1., 1., 1.], grad_fn=<AddBackward0>), tensor([0.5000, 0.5000], grad_fn=<SoftmaxBackward0>))
    """

    def __init__(self, n_first: int, n_second: int, n_projected: int = 1024) -> None:
        super().__init__()
        if min(n_first, n_second, n_projected) < 1:
            raise ConfigError(
                "attention fusion: streams have features from 1 on, found "
                f"{n_first} and {n_second}, projected to {n_projected}"
            )
        self.n_outputs = n_first if n_first == n_second else n_projected
        self.project = nn.ModuleList(
            nn.Identity() if n_first == n_second else nn.Sequential(nn.Linear(size, n_projected), nn.ReLU())
            for size in (n_first, n_second)
        )
        self.score = nn.Linear(self.n_outputs, 1, bias=False)

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Fuse both streams; give the result and the weight of each."""
        streams = [project(x) for project, x in zip(self.project, (first, second), strict=True)]
        scores = torch.cat([self.score(x) for x in streams], dim=-1) / math.sqrt(self.n_outputs)
        weights = scores.softmax(-1)
        return weights[..., :1] * streams[0] + weights[..., 1:] * streams[1], weights


class HierarchicalFusion(nn.Module):
    """Three streams from one, and one again: Attention(Attention(arousal, liking), valence).

    Each stream is a layer with ReLU (Tzirakis et al. 2021). Nothing ties a stream to the dimension it is named after:
    all dimensions are read from what comes out. The order of the released code, Attention(Attention(1, 2), 3) with
    streams that have no names, is the same function with other names.

    Args:
        n_inputs: features of the stream that comes in.
        n_stream: features of each of the three, and of what comes out; 512 is the released code's.
        order: which two are fused first, and the third.

    Shape:
        - input: (..., n_inputs)
        - output: (..., n_stream)
    """

    def __init__(self, n_inputs: int, n_stream: int = 512, order: StreamOrder = "arousal-liking-valence") -> None:
        super().__init__()
        if order not in get_args(StreamOrder):
            raise ConfigError(
                f"hierarchical fusion: the order is one of {', '.join(get_args(StreamOrder))}, found {order!r}"
            )
        self.order = order.split("-")
        self.n_outputs = n_stream
        self.streams = nn.ModuleDict(
            {name: nn.Sequential(nn.Linear(n_inputs, n_stream), nn.ReLU()) for name in ("arousal", "valence", "liking")}
        )
        self.fuse_two = AttentionFusion(n_stream, n_stream)
        self.fuse_third = AttentionFusion(n_stream, n_stream)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the three streams from the input and fuse them."""
        first, second, third = (self.streams[name](x) for name in self.order)
        fused: Tensor = self.fuse_third(self.fuse_two(first, second)[0], third)[0]
        return fused
