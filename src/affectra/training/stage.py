"""One stage of training: a network under an objective, through its epochs, into a checkpoint."""

import logging
import os
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import RichProgressBar
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from affectra.errors import CheckpointError
from affectra.features.normalization import Statistics
from affectra.features.specification import Specification
from affectra.files import atomic_path
from affectra.models.recognizer import Recognizer, save_checkpoint
from affectra.recipes.recipe import TrainingPlan
from affectra.training.checks import check_recognizer
from affectra.training.data import (
    UNKNOWN,
    Collate,
    EpochBatches,
    Example,
    SegmentDataset,
    Utterance,
    domain_indices,
    test_loader,
    training_loader,
)
from affectra.training.history import BestEpoch, EpochSeeds, History, ResumeState
from affectra.training.module import Training
from affectra.training.objectives import build_objective, is_of_segments
from affectra.training.parts import freeze, is_in
from affectra.training.resume import SafetensorsCheckpointIO
from affectra.training.seeds import derive_seed
from affectra.training.watch import UtteranceWatch

# Each number of segments in a batch is a kernel of its own to oneDNN; the 1024 it keeps are hundreds of MB.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")


@dataclass(frozen=True)
class StageJob:
    """All that a stage needs.

    Attributes:
        folder: where its checkpoint, history and resume state go.
        name: of the stage; every random stream derives from (seed, fold, name, ...).
        seed: the run's seed.
        fold: number of the fold; -1 for a stage that all folds share.
        specification: the recogniser to build.
        plan: how to train it.
        train: utterances to learn from.
        dev: utterances to watch; may be empty.
        unlabelled: utterances of corpora that are tested alone, without their labels; may be empty.
        start: folder of the checkpoint whose weights it starts from; None starts from random weights.
    """

    folder: Path
    name: str
    seed: int
    fold: int
    specification: Specification
    plan: TrainingPlan
    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    unlabelled: tuple[Utterance, ...]
    start: Path | None


def train_stage(job: StageJob, groups: Mapping[str, Statistics]) -> None:
    """Train unless the checkpoint is there, going on from the resume state where there is one.

    Writes history.csv, objective.safetensors (what training needs and prediction does not, such as domain heads), and
    model.safetensors + model.json.
    """
    if (job.folder / "model.json").is_file():
        return
    torch.manual_seed(derive_seed(job.seed, job.fold, job.name, "weights"))
    recognizer = Recognizer(job.specification)
    recognizer.normalization.fit(example.load() for example in job.train)
    if job.start is not None:
        _take_weights(recognizer, job.start, job.plan.take)
    if job.plan.channels_last:
        recognizer.network.to(memory_format=torch.channels_last)
    check_recognizer(recognizer, job.plan)
    freeze(recognizer, job.plan)
    together = recognizer.is_sequence and not is_of_segments(job.plan.objective.name)
    dataset = SegmentDataset((*job.train, *job.unlabelled), recognizer, True, groups, together)
    n_labelled = sum(owner < len(job.train) for owner, _ in dataset.places)
    batches = EpochBatches(
        n_labelled, job.plan.batch_size, len(dataset) - n_labelled, job.plan.unlabelled_batch_size,
        job.seed, job.fold, job.name,
    )  # fmt: skip
    collate = Collate(domain_indices(job.plan.objective.options.get("domains", ()), dataset.utterances))
    counts = np.bincount(
        [example.target for example in job.train if example.target != UNKNOWN],
        minlength=len(job.specification.classes),
    )
    objective = build_objective(job.plan.objective, recognizer, collate.domains, collate([dataset[0]]), counts.tolist())
    watched = job.dev if not is_of_segments(job.plan.objective.name) else ()
    dev = SegmentDataset(watched, recognizer, False, groups, together) if watched else None
    fit(
        Training(recognizer, objective, job.plan, UtteranceWatch()),
        training_loader(dataset, batches, collate),
        test_loader(dev, job.plan.batch_size) if dev else None,
        job.folder,
        (job.seed, job.fold, job.name),
    )
    _save(recognizer.eval(), objective, job.folder)


def _take_weights(recognizer: Recognizer, folder: Path, parts: list[str]) -> None:
    """Start from what the stage before has learnt, front end and network, or some parts of them.

    Only the statistics of the normalisation stay those of this stage's training part. No learnt front end stands before
    them: `Recognizer` refuses a normalisation of frames that are not final.
    """
    own = {
        name: tensor
        for name, tensor in recognizer.state_dict().items()
        if name.startswith("normalization.") or (parts and not is_in(name, parts, recognizer))
    }
    try:
        recognizer.load_state_dict({**load_file(folder / "model.safetensors"), **own})
    except (OSError, SafetensorError, RuntimeError) as error:
        first = str(error).splitlines()[0]
        raise CheckpointError(f"{folder}/model.safetensors: no weights to start from: {first}") from error


def fit(module: Training, batches: object, dev: object | None, folder: Path, place: tuple[int | str, ...]) -> None:
    """Train to the end, going on from the resume state where there is one; the model then has the weights to keep.

    Writes history.csv, and kept.json where the best epoch was chosen on the dev part.

    Args:
        module: what is trained, and how.
        batches: loads the training part.
        dev: loads the dev part; None without one.
        folder: where history and resume state go.
        place: seed, fold and stage, which every random stream derives from.
    """
    for name in ("lightning.pytorch", "lightning.fabric"):  # advertisements; its warnings and errors stay
        logging.getLogger(name).setLevel(logging.WARNING)
    plan, state = module.plan, folder / "resume" / "last.safetensors"
    best = BestEpoch(folder, module.watch.score) if plan.keep == "best-dev" else None
    trainer = pl.Trainer(
        max_epochs=plan.epochs,
        precision=plan.precision,
        accelerator="auto",
        devices=1,
        deterministic="warn",
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=sys.stderr.isatty(),
        num_sanity_val_steps=0,
        plugins=[SafetensorsCheckpointIO()],
        callbacks=[
            *([RichProgressBar(console_kwargs={"stderr": True})] if sys.stderr.isatty() else []),
            EpochSeeds(*place),
            History(folder / "history.csv"),
            *([best] if best else []),
            ResumeState(state),
        ],
    )
    with warnings.catch_warnings():
        # Segments are views of memory maps: workers would cost more than they bring.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings(
            "ignore", message=".*LeafSpec.* is deprecated", category=FutureWarning
        )  # Lightning's own
        warnings.filterwarnings("ignore", message=".*have no `val_dataloader`.*")  # a protocol may keep no dev part
        warnings.filterwarnings("ignore", message=".*in eval mode at the start of training.*")  # frozen parts are
        module.train()  # Lightning keeps the modes it finds
        try:
            trainer.fit(module, batches, dev, ckpt_path=state if state.is_file() else None)
        except SystemExit as left:
            if trainer.interrupted:  # Lightning turns Ctrl-C into exit(1)
                raise KeyboardInterrupt from left
            raise
    if best is not None:
        best.restore(module)


def _save(recognizer: Recognizer, objective: nn.Module, folder: Path) -> None:
    own = {name: tensor.contiguous().cpu() for name, tensor in objective.state_dict().items()}
    if own:
        with atomic_path(folder / "objective.safetensors") as temporary:
            save_file(own, temporary)
    save_checkpoint(recognizer, folder)
