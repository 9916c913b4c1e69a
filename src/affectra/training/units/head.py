"""Training of a network over dialogues, on embeddings of turns that stay as they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from affectra.metrics import unweighted_average_recall
from affectra.models.dialogue.dialogue_checkpoint import BATCH, FILE, answer, build_head, save_head
from affectra.models.dialogue.turns import Dialogue, TurnBatch, Vectors
from affectra.recipes.recipe import Head, TrainingPlan
from affectra.training.data import UNKNOWN
from affectra.training.module import Scheduled
from affectra.training.seeds import derive_seed
from affectra.training.stage import fit, trainer
from affectra.training.turn_objectives import TURN_OBJECTIVES, TurnCrossEntropy
from affectra.training.units.turns import DialogueBatches, DialogueDataset


class HeadTraining(Scheduled):
    """A network over dialogues under its objective; the loss and UA of a dev part are those of its turns.

    Args:
        network: what is trained.
        objective: of turns.
        plan: the recipe's training part.
    """

    def __init__(self, network: nn.Module, objective: TurnCrossEntropy, plan: TrainingPlan) -> None:
        super().__init__(plan)
        self.network, self.objective = network, objective
        self._dev: list[tuple[Tensor, Tensor]] = []

    def training_step(self, batch: TurnBatch, batch_idx: int) -> Tensor:
        """The loss of a batch."""
        del batch_idx
        scores = answer(self.network, batch).scores
        loss: Tensor = self.objective(scores, batch.targets)
        known = batch.targets != UNKNOWN
        n = int(known.sum())
        self.log("train_loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=n)
        correct = (scores.argmax(-1) == batch.targets)[known].float().mean()
        self.log("train_accuracy", correct, on_step=False, on_epoch=True, batch_size=n)
        return loss

    def validation_step(self, batch: TurnBatch, batch_idx: int) -> None:
        """Collect the dev part's scores."""
        del batch_idx
        known = batch.targets != UNKNOWN
        self._dev.append((answer(self.network, batch).scores[known].cpu(), batch.targets[known].cpu()))

    def on_validation_epoch_end(self) -> None:
        """Turn-level loss and UA of the dev part."""
        scores, targets = (torch.cat(parts) for parts in zip(*self._dev, strict=True))
        self._dev.clear()
        self.log("dev_loss", nn.functional.cross_entropy(scores, targets))
        self.log("dev_ua", unweighted_average_recall(targets.numpy(), scores.argmax(-1).numpy()), prog_bar=True)


@dataclass(frozen=True)
class HeardPart:
    """A part of a fold as a head hears it.

    Attributes:
        dialogues: with the turns that the part may hear.
        vectors: embeddings of the turns, one mapping a modality.
        targets: class index of the turns that are of the part; others in its dialogues give context alone.
    """

    dialogues: Sequence[Dialogue]
    vectors: Sequence[Vectors]
    targets: Mapping[str, int]


@dataclass(frozen=True)
class HeadJob:
    """All that the training of a head needs.

    Attributes:
        folder: where its checkpoint, history and resume state go.
        name: of the stage; every random stream derives from (seed, fold, name, ...).
        seed: the run's seed.
        fold: number of the fold.
        head: the network and how to train it.
        classes: in the order of the scores.
        sizes: features of each modality.
        train: what is learnt.
        dev: what is watched; of no dialogues where there is no dev part.
    """

    folder: Path
    name: str
    seed: int
    fold: int
    head: Head
    classes: tuple[str, ...]
    sizes: tuple[int, ...]
    train: HeardPart
    dev: HeardPart


def train_head(job: HeadJob) -> None:
    """Train unless the checkpoint is there, going on from the resume state where there is one.

    Writes history.csv, and model.safetensors + network.json.
    """
    if (job.folder / FILE).is_file():
        return
    torch.manual_seed(derive_seed(job.seed, job.fold, job.name, "weights"))
    network = build_head(job.head, job.sizes, len(job.classes))
    data, dev = (
        DialogueDataset(part.dialogues, part.vectors, job.sizes, part.targets) for part in (job.train, job.dev)
    )
    learnt = list(job.train.targets.values())
    plan = job.head.training
    objective = TURN_OBJECTIVES.build(
        plan.objective.name,
        plan.objective.options,
        counts=torch.from_numpy(np.bincount(learnt, minlength=len(job.classes))),
    )
    lengths = [len(dialogue.keys) for dialogue in job.train.dialogues]
    batches = DialogueBatches(lengths, plan.batch_size, job.seed, job.fold, job.name)
    own = torch.Generator()  # see `training_loader`
    fit(
        trainer(plan, job.folder, job.seed, job.fold, job.name),
        HeadTraining(network, objective, plan),
        DataLoader(data, batch_sampler=batches, collate_fn=data.collate, generator=own),
        DataLoader(dev, batch_size=BATCH, collate_fn=dev.collate, generator=own) if len(dev) else None,
        job.folder / "resume" / "last.safetensors",
    )
    save_head(network.eval(), job.head, job.sizes, job.classes, job.folder)
