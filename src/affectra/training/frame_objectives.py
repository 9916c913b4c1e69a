"""Objectives of a network over time."""

from typing import Literal

import torch
from torch import Tensor, nn

from affectra.losses import concordance_loss
from affectra.registry import Registry

FRAME_OBJECTIVES: Registry = Registry("objective over time")


@FRAME_OBJECTIVES.register("concordance")
class Concordance(nn.Module):
    """1 - CCC of each dimension over the known frames of a batch, averaged.

    Args:
        compat: "glam-imperial" adds the losses of the dimensions up with the weights 1, 1/2, 1/3, ... as the released
            code of Tzirakis et al. 2021 does, where a running mean was meant.
    """

    def __init__(self, *, compat: Literal["glam-imperial"] | None = None) -> None:
        super().__init__()
        self.compat = compat

    def forward(self, predictions: Tensor, labels: Tensor, known: Tensor) -> Tensor:
        """The loss of (sequence, frame, dimension); what is not known may be anything."""
        losses = torch.stack(
            [
                concordance_loss(predictions[..., k : k + 1], labels[..., k : k + 1], known[..., k])
                for k in range(labels.shape[-1])
            ]
        )
        if self.compat is None:
            return losses.mean()
        return (losses / torch.arange(1, len(losses) + 1, device=losses.device)).sum()
