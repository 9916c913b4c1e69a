"""One stage of training: a network under an objective, through its epochs, into a checkpoint."""

import logging
import os
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import RichProgressBar
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from affectra.errors import CheckpointError, ConfigError
from affectra.features.normalization import Statistics
from affectra.files import atomic_path
from affectra.models.recognizer import Recognizer, save_checkpoint
from affectra.recipe import TrainingPlan
from affectra.registry import unknown_name
from affectra.specification import Specification
from affectra.training.data import (
    Collate,
    EpochBatches,
    Example,
    SegmentDataset,
    Utterance,
    domain_indices,
    test_loader,
    training_loader,
)
from affectra.training.history import EpochSeeds, History, ResumeState
from affectra.training.module import Training
from affectra.training.objectives import OBJECTIVES, Sizes, is_of_segments
from affectra.training.resume import SafetensorsCheckpointIO
from affectra.training.seeds import derive_seed

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
        _take_weights(recognizer, job.start)
    if job.plan.channels_last:
        recognizer.network.to(memory_format=torch.channels_last)
    check_parts(recognizer, job.plan)
    for part in job.plan.freeze:
        recognizer.get_submodule(part).requires_grad_(False)
    together = recognizer.is_sequence and not is_of_segments(job.plan.objective.name)
    dataset = SegmentDataset((*job.train, *job.unlabelled), recognizer, True, groups, together)
    n_labelled = sum(owner < len(job.train) for owner, _ in dataset.places)
    batches = EpochBatches(
        n_labelled, job.plan.batch_size, len(dataset) - n_labelled, job.plan.unlabelled_batch_size,
        job.seed, job.fold, job.name,
    )  # fmt: skip
    collate = Collate(domain_indices(job.plan.objective.options.get("domains", ()), dataset.utterances))
    objective = _objective(job.plan, recognizer, collate, dataset)
    watched = job.dev if not is_of_segments(job.plan.objective.name) else ()
    dev = SegmentDataset(watched, recognizer, False, groups, together) if watched else None
    fit(
        trainer(job.plan, job.folder, job.seed, job.fold, job.name),
        Training(recognizer, objective, job.plan),
        training_loader(dataset, batches, collate),
        test_loader(dev, job.plan.batch_size) if dev else None,
        job.folder / "resume" / "last.safetensors",
    )
    _save(recognizer.eval(), objective, job.folder)


def _take_weights(recognizer: Recognizer, folder: Path) -> None:
    """Start from what the stage before has learnt, front end and network.

    Only the statistics of the normalisation stay those of this stage's training part. No learnt front end stands before
    them: `Recognizer` refuses a normalisation of frames that are not final.
    """
    own = {name: tensor for name, tensor in recognizer.state_dict().items() if name.startswith("normalization.")}
    try:
        recognizer.load_state_dict({**load_file(folder / "model.safetensors"), **own})
    except (OSError, SafetensorError, RuntimeError) as error:
        first = str(error).splitlines()[0]
        raise CheckpointError(f"{folder}/model.safetensors: no weights to start from: {first}") from error


def trainable_parts(recognizer: Recognizer) -> list[str]:
    """Names of the parts that have parameters: "front_end", "network" and the layers in them ("network.cnn")."""
    return [name for name, part in recognizer.named_modules() if name and any(True for _ in part.parameters())]


def check_parts(recognizer: Recognizer, plan: TrainingPlan) -> None:
    """Raise a `ConfigError` unless a recogniser has the parts that its training freezes or learns through."""
    parts = trainable_parts(recognizer)
    shown = [name for name in parts if name.count(".") <= 1]  # of layers in layers there are hundreds
    for part in plan.freeze:
        if part not in parts:
            raise ConfigError("freeze: " + unknown_name("trainable part", part, shown))
    frozen = {p for part in plan.freeze for p in recognizer.get_submodule(part).parameters()}
    if plan.freeze and frozen.issuperset(recognizer.parameters()):
        raise ConfigError(
            f"freeze: {', '.join(plan.freeze)} is all that can be trained; leave out what is to be trained"
        )
    if is_of_segments(plan.objective.name) and "network.autoencoder" not in parts:
        raise ConfigError(
            f"objective {plan.objective.name}: needs a network with the part 'autoencoder', e.g. autoencoder-fusion; "
            f"this recogniser has {', '.join(shown)}"
        )


def _objective(plan: TrainingPlan, recognizer: Recognizer, collate: Collate, dataset: SegmentDataset) -> nn.Module:
    """The objective's own parts, sized by what the network gives for one example."""
    batch = collate([dataset[0]])
    recognizer.eval()
    with torch.no_grad():
        if is_of_segments(plan.objective.name):
            features = recognizer.features(batch.segments, batch.n_frames)
            n_embedding = n_shared = recognizer.network.autoencoder.encode(features, batch.n_frames).shape[1]
        else:
            output = recognizer(batch.segments, batch.n_frames, batch.n_segments)
            n_embedding = output.embedding.shape[1]
            n_shared = n_embedding if output.shared is None else output.shared.shape[1]
    recognizer.train()
    n_domains = {name: len(values) for name, values in collate.domains.items()}
    sizes = Sizes(len(recognizer.specification.classes), n_embedding, n_shared, n_domains)
    objective: nn.Module = OBJECTIVES.build(plan.objective.name, plan.objective.options, sizes=sizes)
    return objective


def trainer(plan: TrainingPlan, folder: Path, *place: int | str) -> pl.Trainer:
    """What runs a training and keeps its history and resume state.

    Args:
        plan: the recipe's training part.
        folder: where they go.
        place: seed, fold and stage, which every random stream derives from.
    """
    for name in ("lightning.pytorch", "lightning.fabric"):  # advertisements; its warnings and errors stay
        logging.getLogger(name).setLevel(logging.WARNING)
    return pl.Trainer(
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
            ResumeState(folder / "resume" / "last.safetensors"),
        ],
    )


def fit(trainer: pl.Trainer, module: pl.LightningModule, batches: object, dev: object, state: Path) -> None:
    """Train to the end, going on from the resume state where there is one."""
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


def _save(recognizer: Recognizer, objective: nn.Module, folder: Path) -> None:
    own = {name: tensor.contiguous().cpu() for name, tensor in objective.state_dict().items()}
    if own:
        with atomic_path(folder / "objective.safetensors") as temporary:
            save_file(own, temporary)
    save_checkpoint(recognizer, folder)
