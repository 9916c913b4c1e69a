"""Layers that several systems share: masks and attention pooling."""

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from affectra.errors import ConfigError

AttentionForm = Literal["attention", "mean_no_softmax", "softmax_mean"]


class Output(NamedTuple):
    """What a model gives for a batch.

    Attributes:
        scores: (batch, class), unbounded; softmax gives probabilities.
        embedding: (batch, feature), what the scores were read from.
        attention: (batch, 1 + class, freq, time): where the model looked (bottom-up, weights over positions), then what
            it saw there per class (top-down); None for a model without attention.
    """

    scores: Tensor
    embedding: Tensor
    attention: Tensor | None


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
