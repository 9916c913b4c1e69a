"""Layers that several systems share: masks, pooling and gradient reversal."""

import math
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from affectra.errors import ConfigError

AttentionForm = Literal["attention", "mean_no_softmax", "softmax_mean"]
ReversalSchedule = Literal["constant", "ramp"]


class Output(NamedTuple):
    """Output of a model for a batch.

    Attributes:
        scores: (batch, class), unbounded; softmax gives probabilities.
        embedding: (batch, feature), what the scores were read from.
        attention: (batch, 1 + class, freq, time): where the model looked (bottom-up, weights over positions), then what
            it saw there per class (top-down); None for a model without attention.
        shared: (batch, feature), the earlier layer that domain heads read, where a model keeps it apart from the
            embedding (Gao 2022: heads on FC_1, center loss on FC_2); None where they are the same.
        auxiliary: (batch, task), logits of binary tasks that are learnt beside the classes; None where there are none.
    """

    scores: Tensor
    embedding: Tensor
    attention: Tensor | None
    shared: Tensor | None = None
    auxiliary: Tensor | None = None


def time_mask(n_frames: Tensor, n_columns: int) -> Tensor:
    """Which columns are real: (batch, 1, 1, time) with 1 for a frame and 0 for padding.

    Example:
        >>> time_mask(torch.tensor([1, 3]), 3)[:, 0, 0]
        tensor([[1., 0., 0.],
                [1., 1., 1.]])
    """
    columns = torch.arange(n_columns, device=n_frames.device)
    return (columns < n_frames[:, None]).to(torch.get_default_dtype())[:, None, None]


class AttentionPool2d(nn.Module):
    """Pool a feature map into one score per class by attention.

    A class-agnostic map says where to look, a class-specific map what is seen there; the scores are the second averaged
    with the first as weights (Li et al. 2018, after Girdhar & Ramanan 2017).

    Args:
        n_channels: channels of the feature map.
        n_classes: scores per example.
        form: "attention", softmax over positions and sum; "mean_no_softmax", the mean of the product of both maps
            (Girdhar & Ramanan 2017); "softmax_mean", softmax and then mean, as Li et al. 2018 print it, which divides
            by the number of positions twice.

    Shape:
        - input: (batch, n_channels, freq, time)
        - mask: (batch, 1, 1, time), 1 for frames and 0 for padding, which no form attends to
        - scores: (batch, n_classes), unbounded; embedding: (batch, n_channels)
        - maps: (batch, 1 + n_classes, freq, time)
    """

    def __init__(self, n_channels: int, n_classes: int, form: AttentionForm = "attention") -> None:
        super().__init__()
        if form not in get_args(AttentionForm):
            raise ConfigError(f"attention pooling is one of {', '.join(get_args(AttentionForm))}, found {form!r}")
        self.form = form
        # A constant added to all positions leaves a softmax as it is: a bias there would never learn.
        self.bottom_up = nn.Conv2d(n_channels, 1, 1, bias=form == "mean_no_softmax")
        self.top_down = nn.Conv2d(n_channels, n_classes, 1)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Output:
        """Scores, attention-weighted features and both maps."""
        where, what = self.bottom_up(features).float(), self.top_down(features).float()
        if mask is None:
            mask = torch.ones_like(where[:, :, :1])
        n_positions = mask.sum(dim=(2, 3), keepdim=True) * where.shape[2]
        if self.form != "mean_no_softmax":
            where = where.masked_fill(mask == 0, -torch.inf).flatten(2).softmax(-1).view_as(where)
        where = where * mask
        weights = where if self.form == "attention" else where / n_positions
        scores = (weights * what).sum(dim=(2, 3))
        embedding = (weights * features.float()).sum(dim=(2, 3))
        return Output(scores, embedding, torch.cat([where, what * mask], dim=1))


class GlobalPool2d(nn.Module):
    """Pool a feature map by its mean or maximum over positions, then one linear layer gives the scores.

    Shape: as for `AttentionPool2d`; there are no maps.
    """

    def __init__(self, n_channels: int, n_classes: int, form: Literal["average", "max"]) -> None:
        super().__init__()
        self.form = form
        self.classify = nn.Linear(n_channels, n_classes)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Output:
        """Scores and pooled features."""
        features = features.float()
        if mask is None:
            mask = torch.ones_like(features[:, :1, :1])
        if self.form == "max":
            pooled = features.masked_fill(mask == 0, -torch.inf).amax(dim=(2, 3))
        else:
            pooled = (features * mask).sum(dim=(2, 3)) / (mask.sum(dim=(2, 3)) * features.shape[2])
        return Output(self.classify(pooled), pooled, None)


class _Reversal(torch.autograd.Function):
    """Identity forwards, the gradient times -scale backwards."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, scale: float) -> Tensor:
        ctx.scale = scale
        # A new tensor object: returning the input itself would let autograd skip this node.
        return features.view_as(features)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -ctx.scale * gradients[0], None


class GradientReversal(nn.Module):
    """Pass features on unchanged, and turn the gradient that comes back round (Ganin & Lempitsky 2015).

    What reads the features learns as usual; what made them learns to mislead it.

    Args:
        scale: weight of the reversed gradient, at least 0; set it anew during training (`reversal_scale`).

    Example:
        >>> features = torch.ones(2, requires_grad=True)
        >>> GradientReversal(0.3)(features).sum().backward()
        >>> features.grad
        tensor([-0.3000, -0.3000])
    """

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, features: Tensor) -> Tensor:
        """The features, same shape."""
        reversed_: Tensor = _Reversal.apply(features, self.scale)  # type: ignore[no-untyped-call]
        return reversed_


def reversal_scale(progress: float, schedule: ReversalSchedule) -> float:
    """How much of the full reversal applies after a share of training.

    Args:
        progress: from 0 (start) to 1 (end of training).
        schedule: "constant", 1 throughout; "ramp", 2 / (1 + exp(-10 progress)) - 1, from 0 to nearly 1, so that the
            adversary first learns something worth misleading (Ganin et al. 2016, section 5.2.2).

    Raises:
        ConfigError: an unknown schedule, or progress outside [0, 1].

    Example:
        >>> [round(reversal_scale(p, "ramp"), 3) for p in (0, 0.1, 0.5, 1)]
        [0.0, 0.462, 0.987, 1.0]
    """
    if not 0 <= progress <= 1:
        raise ConfigError(f"training progress runs from 0 to 1, found {progress}")
    if schedule == "constant":
        return 1.0
    if schedule == "ramp":
        return 2 / (1 + math.exp(-10 * progress)) - 1
    raise ConfigError(
        f"the schedule of a gradient reversal is one of {', '.join(get_args(ReversalSchedule))}, found {schedule!r}"
    )
