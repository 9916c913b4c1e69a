"""Modules that Lightning trains: a recogniser and an objective, with the recipe's optimizer and schedule."""

import math
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from affectra.features.segments import pool_segments
from affectra.metrics import unweighted_average_recall
from affectra.models.recognizer import Recognizer
from affectra.recipes.recipe import Schedule, TrainingPlan
from affectra.training.checks import OPTIMIZERS
from affectra.training.data import UNKNOWN, Batch
from affectra.training.objectives import Loss


def learning_rate_factor(schedule: Schedule, epoch: int, n_epochs: int) -> float:
    """Give the factor that the learning rate is multiplied by in an epoch.

    Args:
        schedule: which schedule.
        epoch: from 0 on.
        n_epochs: of the whole training.

    Example:
        >>> step = Schedule(name="step", milestones=[21, 31, 41], factor=0.1)
        >>> [round(learning_rate_factor(step, epoch, 50), 3) for epoch in (0, 19, 20, 30, 40, 49)]
        [1.0, 1.0, 0.1, 0.01, 0.001, 0.001]
    """
    if schedule.name == "step":
        return schedule.factor ** sum(epoch + 1 >= milestone for milestone in schedule.milestones)
    if schedule.name == "cosine":
        return 0.5 * (1 + math.cos(math.pi * epoch / n_epochs))
    return 1.0


class Scheduled(pl.LightningModule):
    """Base class of every training: the recipe's optimizer, and its rate in each epoch.

    Args:
        plan: the recipe's training part.
    """

    def __init__(self, plan: TrainingPlan) -> None:
        super().__init__()
        self.plan = plan

    def configure_optimizers(self) -> Optimizer:
        """The recipe's optimizer; its rate is set anew each epoch, so that no schedule state needs saving."""
        constructor: Any = OPTIMIZERS[self.plan.optimizer.name]
        learning = [parameter for parameter in self.parameters() if parameter.requires_grad]
        optimizer: Optimizer = constructor(learning, **self.plan.optimizer.options)
        for group in optimizer.param_groups:
            group["initial_lr"] = group["lr"]
        return optimizer

    def on_train_epoch_start(self) -> None:
        """Set the epoch's learning rate."""
        factor = learning_rate_factor(self.plan.schedule, self.current_epoch, self.plan.epochs)
        optimizer = self.optimizers()
        assert isinstance(optimizer, Optimizer)
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
        self.log("lr", optimizer.param_groups[0]["lr"])


class Training(Scheduled):
    """A recogniser under an objective.

    On a dev part, where there is one, the loss and UA are those of utterances (segments pooled).

    Args:
        recognizer: what is trained.
        objective: what its loss is; see `affectra.training.objectives`.
        plan: the recipe's training part.
    """

    def __init__(self, recognizer: Recognizer, objective: nn.Module, plan: TrainingPlan) -> None:
        super().__init__(plan)
        self.recognizer = recognizer
        self.objective = objective
        self._dev: list[tuple[Tensor, Tensor, Tensor]] = []

    def train(self, mode: bool = True) -> "Training":
        """As of any module, but frozen parts stay in evaluation mode, their statistics too."""
        super().train(mode)
        for part in self.plan.freeze:
            self.recognizer.get_submodule(part).eval()
        return self

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The objective's loss of a batch."""
        progress = (self.current_epoch + batch_idx / self.trainer.num_training_batches) / self.plan.epochs
        loss: Loss = self.objective(self.recognizer, batch, progress)
        n = len(batch.n_segments)
        self.log("train_loss", loss.value, on_step=False, on_epoch=True, prog_bar=True, batch_size=n)
        if loss.scores is not None:
            known = batch.targets != UNKNOWN
            correct = (loss.scores.argmax(-1) == batch.targets)[known].float().mean()
            self.log("train_accuracy", correct, on_step=False, on_epoch=True, batch_size=int(known.sum()))
        for name, value in loss.logged.items():
            self.log(name, value, on_step=False, on_epoch=True, batch_size=n)
        return loss.value

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collect the dev part's probabilities."""
        del batch_idx
        probabilities = self.recognizer(batch.segments, batch.n_frames, batch.n_segments).scores.softmax(-1)
        self._dev.append((probabilities.cpu(), batch.targets.cpu(), batch.owners.cpu()))

    def on_validation_epoch_end(self) -> None:
        """Utterance-level loss and UA of the dev part."""
        probabilities, targets, owners = (torch.cat(parts) for parts in zip(*self._dev, strict=True))
        self._dev.clear()
        pooled = torch.from_numpy(pool_segments(probabilities.float().numpy(), owners.numpy()))
        truth = torch.zeros(len(pooled), dtype=torch.long).scatter_(0, owners.long(), targets.long())
        self.log("dev_loss", nn.functional.nll_loss(pooled.clamp_min(1e-12).log(), truth).float())
        self.log("dev_ua", unweighted_average_recall(truth.numpy(), pooled.argmax(-1).numpy()), prog_bar=True)
