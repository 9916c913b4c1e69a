"""The parts that objectives share: their sizes, the loss of a batch, and the loss of classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from affectra.errors import ConfigError
from affectra.training.data import UNKNOWN

ClassWeights = Literal["balanced"] | Mapping[str, float]


@dataclass(frozen=True)
class Sizes:
    """Sizes that an objective's own parts are built for.

    Attributes:
        classes: of the emotion task, in the order of the scores.
        n_embedding: features of `Output.embedding`.
        n_shared: features that domain heads read.
        n_domains: domain -> how many values it has in training.
        counts: (class,), how often each class is learnt from; None where that is not known yet.
    """

    classes: tuple[str, ...] = ()
    n_embedding: int = 0
    n_shared: int = 0
    n_domains: Mapping[str, int] = field(default_factory=dict)
    counts: Sequence[int] | None = None


class Loss(NamedTuple):
    """The loss of a batch, what is logged of it, and the scores of its labelled items, if it has scores."""

    value: Tensor
    logged: Mapping[str, Tensor | float]
    scores: Tensor | None


class Objective(nn.Module):
    """Gives the loss of a batch; built with the run's `sizes` and the options of the recipe.

    Attributes:
        units: of the runs that it is for.
        of_segments: whether it learns from single segments, also with a network that takes utterances whole.
        uses_unlabelled: whether it learns from utterances without a label.
    """

    units: ClassVar[tuple[str, ...]] = ("utterance",)
    of_segments: ClassVar[bool] = False
    uses_unlabelled: ClassVar[bool] = False

    def forward(self, model: Any, batch: Any, progress: float) -> Loss:
        """The loss of a batch.

        Args:
            model: what is trained.
            batch: of the unit; its outputs are `batch.through(model)`.
            progress: share of the training that is done, from 0 to 1.
        """
        raise NotImplementedError


class ClassLoss(nn.Module):
    """Cross-entropy of scores against classes, which every classifier learns by.

    Args:
        sizes: of the run.
        label_smoothing: share of each target that goes to all classes alike.
        class_weights: "balanced", the inverse of how often a class is learnt from; or class -> weight, 1 for those that
            are not named; None: all alike.
        focal: gamma of the focal loss (Lin et al. 2017): each item counts times (1 - p)^gamma, p the probability of
            its class, so that what is easy counts less; 0 is plain cross-entropy.
    """

    def __init__(
        self,
        sizes: Sizes,
        label_smoothing: float = 0.0,
        class_weights: ClassWeights | None = None,
        focal: float = 0.0,
    ) -> None:
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise ConfigError(f"objective: needs 0 <= label_smoothing < 1, found {label_smoothing}")
        if focal < 0:
            raise ConfigError(f"objective: focal is 0 or more, found {focal}")
        self.label_smoothing, self.focal = label_smoothing, focal
        self.register_buffer("weights", _weights(class_weights, sizes), persistent=False)
        self.weights: Tensor | None

    def each(self, scores: Tensor, targets: Tensor) -> Tensor:
        """The weighted loss of each item.

        Args:
            scores: (..., class).
            targets: (...), class indices; `UNKNOWN` ones have no loss.

        Returns:
            (...)
        """
        flat, truth = scores.flatten(0, -2), targets.flatten()
        each = nn.functional.cross_entropy(
            flat, truth, self.weights, ignore_index=UNKNOWN, reduction="none", label_smoothing=self.label_smoothing
        )
        if self.focal:
            p = flat.float().softmax(-1).gather(1, truth.clamp_min(0)[:, None])[:, 0]
            each = each * (1 - p) ** self.focal
        return each.view_as(targets)

    def forward(self, scores: Tensor, targets: Tensor) -> Tensor:
        """The mean over the items that have a class, weighted; 0 where none has."""
        known = targets != UNKNOWN
        total = known.sum().clamp_min(1) if self.weights is None else self.weights[targets[known]].sum()
        return self.each(scores, targets).sum() / total.clamp_min(1e-12)


def _weights(class_weights: ClassWeights | None, sizes: Sizes) -> Tensor | None:
    """(class,), or None where all are alike."""
    if class_weights is None:
        return None
    if class_weights == "balanced":
        counts = torch.tensor([1.0] * len(sizes.classes) if sizes.counts is None else list(sizes.counts))
        return (counts.sum() / (len(counts) * counts.clamp_min(1))).float()
    if not isinstance(class_weights, Mapping) or any(
        not isinstance(weight, int | float) or weight < 0 for weight in class_weights.values()
    ):
        raise ConfigError(
            f"objective: class_weights is balanced, or a weight of 0 or more for each class; found {class_weights!r}"
        )
    return torch.tensor([float(class_weights.get(name, 1.0)) for name in sizes.classes])
