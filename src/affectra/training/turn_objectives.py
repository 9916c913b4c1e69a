"""Objectives of a network over dialogues."""

from typing import Literal

import torch
from torch import Tensor, nn

from affectra.errors import ConfigError
from affectra.registry import Registry
from affectra.training.data import UNKNOWN

TURN_OBJECTIVES: Registry = Registry("objective over turns")


@TURN_OBJECTIVES.register("cross-entropy")
class TurnCrossEntropy(nn.Module):
    """Cross-entropy of the turns that have a label.

    Args:
        counts: (class,), how often each class is learnt from.
        mean: "turn", over all turns of a batch; "dialogue", over each dialogue's turns and then over dialogues, as the
            released code of Dutta & Ganapathy 2022 has it.
        balanced: weigh each class by the inverse of how often it is there.
        label_smoothing: share of each target that goes to all classes alike.
    """

    def __init__(
        self,
        *,
        counts: Tensor,
        mean: Literal["turn", "dialogue"] = "turn",
        balanced: bool = False,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        if mean not in ("turn", "dialogue") or not 0 <= label_smoothing < 1:
            raise ConfigError(f"objective: mean is turn or dialogue, 0 <= label_smoothing < 1; found {mean!r} and "
                              f"{label_smoothing}")  # fmt: skip
        weights = counts.sum() / (len(counts) * counts.clamp_min(1)) if balanced else torch.ones(len(counts))
        self.register_buffer("weights", weights.float(), persistent=False)
        self.weights: Tensor
        self.mean, self.label_smoothing = mean, label_smoothing

    def forward(self, scores: Tensor, targets: Tensor) -> Tensor:
        """The loss of scores (dialogue, turn, class) against targets (dialogue, turn)."""
        known = targets != UNKNOWN
        each = nn.functional.cross_entropy(
            scores.flatten(0, 1), targets.flatten(), self.weights, ignore_index=UNKNOWN, reduction="none",
            label_smoothing=self.label_smoothing,
        ).view_as(known)  # fmt: skip
        if self.mean == "turn":
            return each.sum() / self.weights[targets[known]].sum().clamp_min(1e-12)
        of_dialogues = each.sum(1) / known.sum(1).clamp_min(1)
        return of_dialogues[known.any(1)].mean()
