"""The module that Lightning trains: a model and an objective, with the recipe's optimizer and schedule."""

import math
from typing import Any

import lightning.pytorch as pl
from torch import Tensor, nn
from torch.optim import Optimizer

from affectra.recipes.recipe import Schedule, TrainingPlan
from affectra.training.checks import OPTIMIZERS
from affectra.training.data import UNKNOWN
from affectra.training.objective import Loss
from affectra.training.parts import modules_of, rate_of
from affectra.training.watch import Watch


def learning_rate_factor(schedule: Schedule, epoch: int, n_epochs: int, share: float = 0.0) -> float:
    """Give the factor that the learning rate is multiplied by.

    Args:
        schedule: which schedule.
        epoch: from 0 on.
        n_epochs: of the whole training.
        share: of the epoch's steps that are done, this one counted; for the warm-up.

    Example:
        >>> step = Schedule(name="step", milestones=[21, 31, 41], factor=0.1)
        >>> [round(learning_rate_factor(step, epoch, 50), 3) for epoch in (0, 19, 20, 30, 40, 49)]
        [1.0, 1.0, 0.1, 0.01, 0.001, 0.001]
        >>> warm = Schedule(name="constant", warmup_epochs=2)
        >>> [learning_rate_factor(warm, epoch, 50, share) for epoch, share in ((0, 0.5), (1, 0.5), (1, 1.0), (9, 0.1))]
        [0.25, 0.75, 1.0, 1.0]
    """
    warm = min(1.0, (epoch + share) / schedule.warmup_epochs) if schedule.warmup_epochs else 1.0
    if schedule.name == "step":
        return warm * schedule.factor ** sum(epoch + 1 >= milestone for milestone in schedule.milestones)
    if schedule.name == "cosine":
        return warm * 0.5 * (1 + math.cos(math.pi * epoch / n_epochs))
    return warm


class Training(pl.LightningModule):
    """A model under an objective; a dev part, where there is one, is watched after each epoch.

    Args:
        model: what is trained.
        objective: what its loss is; see `affectra.training.objectives`.
        plan: the recipe's training part.
        watch: scores the dev part.
    """

    def __init__(self, model: nn.Module, objective: nn.Module, plan: TrainingPlan, watch: Watch) -> None:
        super().__init__()
        self.model, self.objective, self.plan, self.watch = model, objective, plan, watch

    def configure_optimizers(self) -> Optimizer:
        """The recipe's optimizer; its rates are set anew each epoch or step, so that no schedule state needs saving."""
        constructor: Any = OPTIMIZERS[self.plan.optimizer.name]
        own = rate_of(self.plan.rates, self.model)
        groups: dict[float, list[nn.Parameter]] = {1.0: []}
        for parameter in self.parameters():
            if parameter.requires_grad:
                groups.setdefault(own.get(parameter, 1.0), []).append(parameter)
        found = {rate: parameters for rate, parameters in groups.items() if parameters}
        optimizer: Optimizer = constructor([{"params": one} for one in found.values()], **self.plan.optimizer.options)
        for rate, group in zip(found, optimizer.param_groups, strict=True):
            group["initial_lr"] = group["lr"] * rate
        return optimizer

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: Any = None, gradient_clip_algorithm: Any = None
    ) -> None:
        """Clip to the recipe's norm, if it has one."""
        del gradient_clip_val, gradient_clip_algorithm
        if self.plan.clip_norm is not None:
            self.clip_gradients(optimizer, gradient_clip_val=self.plan.clip_norm, gradient_clip_algorithm="norm")

    def on_train_epoch_start(self) -> None:
        """Set the epoch's learning rate."""
        optimizer = self._set_rate(1.0)
        self.log("lr", max(group["lr"] for group in optimizer.param_groups))

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Set the step's learning rate while it rises."""
        del batch
        if self.current_epoch < self.plan.schedule.warmup_epochs:
            self._set_rate((batch_idx + 1) / self.trainer.num_training_batches)

    def _set_rate(self, share: float) -> Optimizer:
        factor = learning_rate_factor(self.plan.schedule, self.current_epoch, self.plan.epochs, share)
        optimizer = self.optimizers()
        assert isinstance(optimizer, Optimizer)
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
        return optimizer

    def train(self, mode: bool = True) -> "Training":
        """As of any module, but frozen parts stay in evaluation mode, their statistics too."""
        super().train(mode)
        for part in self.plan.freeze:
            for _, module in modules_of(self.model, part):
                module.eval()
        return self

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """The objective's loss of a batch."""
        progress = (self.current_epoch + batch_idx / self.trainer.num_training_batches) / self.plan.epochs
        loss: Loss = self.objective(self.model, batch, progress)
        n = batch.n_items
        self.log("train_loss", loss.value, on_step=False, on_epoch=True, prog_bar=True, batch_size=n)
        if loss.scores is not None:
            known = batch.targets != UNKNOWN
            correct = (loss.scores.argmax(-1) == batch.targets)[known].float().mean()
            self.log("train_accuracy", correct, on_step=False, on_epoch=True, batch_size=int(known.sum()))
        for name, value in loss.logged.items():
            self.log(name, value, on_step=False, on_epoch=True, batch_size=n)
        return loss.value

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Collect the dev part's answers."""
        del batch_idx
        self.watch.add(self.model, batch)

    def on_validation_epoch_end(self) -> None:
        """Score the dev part."""
        for name, value in self.watch.scores().items():
            self.log(name, value, prog_bar=name == self.watch.score)
