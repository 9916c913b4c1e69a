"""One fold: train, predict the test part, write the fold's folder."""

import logging
import shutil
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import torch
from lightning.pytorch.callbacks import RichProgressBar
from safetensors.numpy import save_file

from affectra.config import TrainingPlan
from affectra.errors import AffectraError, ConfigError
from affectra.features.normalization import Statistics
from affectra.files import atomic_path, write_json
from affectra.models import is_fitted_at_once
from affectra.models.recognizer import Recognizer, Specification, load_checkpoint, save_checkpoint
from affectra.training.classification import Classification, check_training
from affectra.training.data import EpochShuffle, Example, SegmentDataset, group_statistics, loader
from affectra.training.history import EpochSeeds, History, ResumeState
from affectra.training.resume import SafetensorsCheckpointIO
from affectra.training.seeds import derive_seed

STAGE = "train"  # seeds and resume state are per stage; this objective has one


@dataclass(frozen=True)
class FoldJob:
    """All that one fold of one seed needs; crosses to another process whole.

    Attributes:
        folder: seed-<s>/fold-<k> of the run directory.
        seed: the run's seed.
        fold: number of the fold.
        specification: the recogniser to build.
        plan: how to train it; None for a model that is fitted at once.
        train: utterances to learn from.
        dev: utterances to watch; may be empty.
        test: utterances to predict.
        threads: of torch; part of the job since sums depend on it.
    """

    folder: Path
    seed: int
    fold: int
    specification: Specification
    plan: TrainingPlan | None
    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    test: tuple[Example, ...]
    threads: int

    @property
    def is_done(self) -> bool:
        """Whether the fold is finished: its predictions are written last."""
        return (self.folder / "predictions.csv").is_file()


def check_fitting(model: str, plan: TrainingPlan | None) -> None:
    """Raise a `ConfigError` unless a model has the training part it needs, and none where it needs none."""
    if is_fitted_at_once(model):
        if plan is not None:
            raise ConfigError(f"training: model {model!r} is fitted at once, without epochs; leave training out")
        return
    if plan is None:
        raise ConfigError(f"training: model {model!r} learns through epochs; say epochs, batch_size, optimizer, ...")
    check_training(plan)


def run_fold(job: FoldJob) -> None:
    """Train a fold and predict its test part, continuing from the resume state where there is one.

    Writes split.json, history.csv (where there are epochs), model.safetensors + model.json, embeddings.safetensors,
    attention.safetensors (of a model that has it) and, last, predictions.csv. The test part is seen only after
    training, with the weights of the last epoch.
    """
    if job.is_done:
        return
    torch.set_num_threads(job.threads)
    parts = {"train": job.train, "dev": job.dev, "test": job.test}
    write_json(job.folder / "split.json", {name: [e.key for e in part] for name, part in parts.items()})
    groups = group_statistics(job.specification.normalization, job.train, job.dev, job.test)
    if not (job.folder / "model.json").is_file():
        recognizer = _fit(job, groups) if job.plan is None else _train(job, job.plan, groups)
        save_checkpoint(recognizer, job.folder)
    _predict(load_checkpoint(job.folder), job, groups)
    shutil.rmtree(job.folder / "resume", ignore_errors=True)


def _fit(job: FoldJob, groups: Mapping[str, Statistics]) -> Recognizer:
    """A model that is fitted at once; what it settled itself stands in its checkpoint as if it had been given."""
    recognizer = Recognizer(job.specification)
    recognizer.normalization.fit(example.load() for example in job.train)
    features = np.stack([recognizer.whole_features(e.load(), groups.get(e.key)) for e in job.train])
    targets = np.array([example.target for example in job.train])
    speakers = [f"{e.corpus}/{e.speaker}" if e.speaker else "" for e in job.train]
    settled = recognizer.network.fit(features, targets, speakers)
    model = job.specification.model
    options = {**model["options"], **settled}
    recognizer.specification = replace(job.specification, model={**model, "options": options})
    return recognizer.eval()


def _train(job: FoldJob, plan: TrainingPlan, groups: Mapping[str, Statistics]) -> Recognizer:
    torch.manual_seed(derive_seed(job.seed, job.fold, STAGE, "weights"))
    recognizer = Recognizer(job.specification)
    recognizer.normalization.fit(example.load() for example in job.train)
    if plan.channels_last:
        recognizer.network.to(memory_format=torch.channels_last)
    dataset = SegmentDataset(job.train, recognizer, True, groups)
    shuffle = EpochShuffle(len(dataset), job.seed, job.fold, STAGE)
    dev = loader(SegmentDataset(job.dev, recognizer, False, groups), plan.batch_size) if job.dev else None
    state = job.folder / "resume" / "last.safetensors"
    quiet_lightning()
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
            EpochSeeds(job.seed, job.fold, STAGE),
            History(job.folder / "history.csv"),
            ResumeState(state),
        ],
    )
    module = Classification(recognizer, plan)
    with warnings.catch_warnings():
        # Segments are views of memory maps: workers would cost more than they bring.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings(
            "ignore", message=".*LeafSpec.* is deprecated", category=FutureWarning
        )  # Lightning's own
        warnings.filterwarnings("ignore", message=".*have no `val_dataloader`.*")  # a protocol may keep no dev part
        batches = loader(dataset, plan.batch_size, shuffle)
        try:
            trainer.fit(module, batches, dev, ckpt_path=state if state.is_file() else None)
        except SystemExit as left:
            if trainer.interrupted:  # Lightning turns Ctrl-C into exit(1)
                raise KeyboardInterrupt from left
            raise
    return recognizer.eval()


def quiet_lightning() -> None:
    """Keep Lightning's advertisements off the terminal; its warnings and errors stay."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)


def _predict(recognizer: Recognizer, job: FoldJob, groups: Mapping[str, Statistics]) -> None:
    classes = job.specification.classes
    if torch.cuda.is_available():
        recognizer.cuda()
    shown = _examples_for_maps(job.test)
    rows, embeddings, maps = [], [], {}
    for example in job.test:
        output = recognizer.recognize(example.load(), groups.get(example.key))
        if not np.isfinite(output.probabilities).all():
            raise AffectraError(f"{job.folder}: the scores of {example.key} are no numbers; look at its audio")
        embeddings.append(output.embedding)
        if example.key in shown and output.attention is not None:
            maps[example.key] = output.attention
        scores = {f"score_{name}": p for name, p in zip(classes, output.probabilities, strict=True)}
        rows.append(
            {
                "utterance": example.key,
                "corpus": example.corpus,
                "speaker": example.speaker,
                "seed": job.seed,
                "fold": job.fold,
                "truth": classes[example.target],
                "predicted": classes[int(output.probabilities.argmax())],
                **scores,
            }
        )
    with atomic_path(job.folder / "embeddings.safetensors") as temporary:
        save_file({"embedding": np.stack(embeddings)}, temporary)  # rows as in predictions.csv
    if maps:
        with atomic_path(job.folder / "attention.safetensors") as temporary:
            save_file(maps, temporary)  # (segment, bottom-up then classes, freq, time) by utterance
    with atomic_path(job.folder / "predictions.csv") as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False, lineterminator="\n")


def _examples_for_maps(examples: Sequence[Example]) -> set[str]:
    """The first test utterance of each class: enough for a report's pictures, small on disk."""
    first: dict[int, str] = {}
    for example in examples:
        first.setdefault(example.target, example.key)
    return set(first.values())
