"""Training of a network over dialogues, on embeddings of turns that stay as they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader

from affectra.features.description import kind_of
from affectra.models.dialogue.dialogue_checkpoint import BATCH, build_head, save_head
from affectra.models.dialogue.turns import Dialogue, Vectors
from affectra.recipes.recipe import Head
from affectra.training.module import Training
from affectra.training.objective import Sizes
from affectra.training.objectives import OBJECTIVES
from affectra.training.parts import check_parts, freeze
from affectra.training.seeds import derive_seed
from affectra.training.stage import fit
from affectra.training.units.turns import DialogueBatches, DialogueDataset
from affectra.training.watch import TurnWatch


@dataclass(frozen=True)
class HeadData:
    """A part of a fold as a head gets it.

    Attributes:
        dialogues: with the turns that the part may use.
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
    train: HeadData
    dev: HeadData


def train_head(job: HeadJob) -> None:
    """Train unless the checkpoint is there, going on from the resume state where there is one.

    Writes history.csv, and model.safetensors + model.json.
    """
    if kind_of(job.folder) == "turns":
        return
    torch.manual_seed(derive_seed(job.seed, job.fold, job.name, "weights"))
    network = build_head(job.head, job.sizes, len(job.classes))
    data, dev = (
        DialogueDataset(part.dialogues, part.vectors, job.sizes, part.targets) for part in (job.train, job.dev)
    )
    plan = job.head.training
    check_parts(network, plan)
    freeze(network, plan)
    counts = np.bincount(list(job.train.targets.values()), minlength=len(job.classes)).tolist()
    sizes = Sizes(job.classes, counts=counts)
    objective = OBJECTIVES.build(plan.objective.name, plan.objective.options, sizes=sizes)
    lengths = [len(dialogue.keys) for dialogue in job.train.dialogues]
    batches = DialogueBatches(lengths, plan.batch_size, job.seed, job.fold, job.name)
    own = torch.Generator()  # see `training_loader`
    fit(
        Training(network, objective, plan, TurnWatch()),
        DataLoader(data, batch_sampler=batches, collate_fn=data.collate, generator=own),
        DataLoader(dev, batch_size=BATCH, collate_fn=dev.collate, generator=own) if len(dev) else None,
        job.folder,
        (job.seed, job.fold, job.name),
    )
    save_head(network.eval(), job.head, job.sizes, job.classes, job.folder)
