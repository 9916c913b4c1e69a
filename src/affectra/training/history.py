"""Callbacks around each epoch: seeding, one row of history, the resume state."""

import math
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from affectra.errors import AffectraError, CheckpointError
from affectra.files import atomic_path, write_json, write_text
from affectra.training.seeds import derive_seed

COLUMNS = ("epoch", "lr", "train_loss", "train_accuracy", "dev_loss", "dev_ua")


class EpochSeeds(pl.Callback):
    """Seeds torch at the start of each epoch from the place in the run, so that a killed epoch restarts alike.

    Args:
        parts: seed, fold and stage.
    """

    def __init__(self, *parts: int | str) -> None:
        self.parts = parts

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Seed the generators of all devices."""
        del pl_module
        torch.manual_seed(derive_seed(*self.parts, "epoch", trainer.current_epoch))


class History(pl.Callback):
    """Writes history.csv: epoch (from 1), learning rate, loss and metrics of train and dev, what the objective logs.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the epoch's row; a loss that is no longer a number ends the training."""
        del pl_module
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        if not math.isfinite(values["train_loss"]):
            raise AffectraError(
                f"{self.path.parent}: the training loss is {values['train_loss']} in epoch "
                f"{trainer.current_epoch + 1}; try a lower training.optimizer.options.lr"
            )
        self.rows.append({"epoch": trainer.current_epoch + 1, **values})
        columns = [*COLUMNS, *sorted({name for row in self.rows for name in row} - set(COLUMNS))]
        cells = [[f"{row[name]:.6g}" if name in row else "" for name in columns] for row in self.rows]
        write_text(self.path, "\n".join(",".join(line) for line in [columns, *cells]) + "\n")

    def state_dict(self) -> dict[str, Any]:
        """Rows so far, for resuming."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Rows of the epochs before the interruption."""
        self.rows = state_dict["rows"]


class BestEpoch(pl.Callback):
    """Keeps the weights of the epoch that does best on the dev part; of equal ones the first.

    They are written before the resume state of their epoch: a training that is killed between the two repeats the epoch
    and writes them again.

    Args:
        folder: of the training.
        score: column of history.csv, higher is better.
    """

    def __init__(self, folder: Path, score: str) -> None:
        self.folder, self.score = folder, score
        self.path = folder / "resume" / "best.safetensors"
        self.kept: dict[str, Any] = {}

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the weights if they are the best ones so far."""
        if self.score not in trainer.callback_metrics:
            raise AffectraError(
                f"{self.folder}: there is no {self.score} to choose an epoch by, since no dev part has a label; "
                "--set training.keep=last"
            )
        value = float(trainer.callback_metrics[self.score])
        if not math.isfinite(value):
            raise AffectraError(f"{self.folder}: {self.score} is {value} in epoch {trainer.current_epoch + 1}")
        if not self.kept or value > self.kept[self.score]:
            tensors = {name: tensor.contiguous().cpu() for name, tensor in pl_module.state_dict().items()}
            with atomic_path(self.path) as temporary:
                save_file(tensors, temporary)
            self.kept = {"epoch": trainer.current_epoch + 1, self.score: value}

    def restore(self, module: pl.LightningModule) -> None:
        """Give a module the weights that were kept, and write kept.json: the epoch (from 1) and its score."""
        try:
            module.load_state_dict(load_file(self.path))
        except (OSError, SafetensorError, RuntimeError) as error:
            raise CheckpointError(
                f"{self.path}: damaged; remove {self.path.parent} and the training starts again"
            ) from error
        write_json(self.folder / "kept.json", self.kept)

    def state_dict(self) -> dict[str, Any]:
        """The epoch that is kept, for resuming."""
        return {"kept": self.kept}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The epoch that was kept before the interruption."""
        self.kept = state_dict["kept"]


class ResumeState(pl.Callback):
    """Writes the resume state after each epoch; comes last, so that the other callbacks' state is complete.

    Args:
        path: one file, replaced each time.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save through the trainer's CheckpointIO."""
        del pl_module
        trainer.save_checkpoint(self.path, weights_only=False)
