"""A fold of utterances: train, predict the test part, write the fold's folder.

What trains is imported when a job runs: Lightning takes seconds to import, and a plan needs none of it.
"""

import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from safetensors.numpy import save_file

from affectra.features.normalization import Statistics
from affectra.features.segments import pool_segments
from affectra.features.specification import Specification
from affectra.files import atomic_path
from affectra.models.recognizer import Recognizer, load_checkpoint, save_checkpoint
from affectra.models.vector.vectors import Vectors
from affectra.recipes.recipe import Stage, TrainingPlan
from affectra.training.data import UNKNOWN, Example, SegmentDataset, Utterance, group_statistics, test_loader
from affectra.training.latent import has_latent, write_latent
from affectra.training.objectives import is_of_segments
from affectra.training.units.fold import FoldJob

BATCH = 32  # utterances, or segments where they are taken one by one
LAST = "train"  # the stage that every recipe with epochs has


@dataclass(frozen=True)
class PretrainingJob:
    """Stages on corpora that are never tested, which all folds of a seed start from; crosses to another process whole.

    Attributes:
        folder: seed-<s> of the run directory; each stage has a folder in it.
        seed: the run's seed.
        specification: the recogniser to build.
        stages: in order.
        examples: utterances to learn from.
        threads: of torch; part of the job since sums depend on it.
        shared: where runs that are alike in a stage train it once; see `train_once`.
    """

    folder: Path
    seed: int
    specification: Specification
    stages: tuple[Stage, ...]
    examples: tuple[Example, ...]
    threads: int
    shared: Path | None = None

    @property
    def last(self) -> Path:
        """Folder of the checkpoint that the folds start from."""
        return self.folder / self.stages[-1].name

    @property
    def is_done(self) -> bool:
        """Whether that checkpoint is there, and where an autoencoder puts what it learnt from."""
        return (self.last / "model.json").is_file() and (has_latent(self.last) or not self._has_autoencoder)

    @property
    def _has_autoencoder(self) -> bool:
        return is_of_segments(self.stages[-1].training.objective.name)

    def run(self) -> None:
        """Train the stages one after the other."""
        from affectra.training.shared_stage import train_once
        from affectra.training.stage import StageJob

        torch.set_num_threads(self.threads)
        groups = group_statistics(self.specification.normalization, self.examples)
        start = None
        for stage in self.stages:
            folder = self.folder / stage.name
            train_once(
                StageJob(
                    folder, stage.name, self.seed, -1, self.specification, stage.training, self.examples, (), (), start
                ),
                self.shared,
                groups,
            )
            shutil.rmtree(folder / "resume", ignore_errors=True)
            start = folder
        if self._has_autoencoder:
            write_latent(self.last, self.examples, groups)


@dataclass(frozen=True)
class UtteranceFoldJob(FoldJob):
    """A fold of utterances.

    Attributes:
        specification: the recogniser to build.
        stages: on the fold's own training part, before the last one.
        plan: how to train it; None for a model that is fitted without epochs.
        train: utterances to learn from.
        copies: of these, augmented; learnt from as well.
        dev: utterances to watch; may be empty.
        test: utterances to predict.
        unlabelled: those of `test` whose corpora training has not, without their labels, where the plan wants them.
        start: folder of the checkpoint whose weights training starts from, if any.
    """

    specification: Specification
    stages: tuple[Stage, ...]
    plan: TrainingPlan | None
    train: tuple[Example, ...]
    copies: tuple[Example, ...]
    dev: tuple[Example, ...]
    test: tuple[Example, ...]
    unlabelled: tuple[Utterance, ...]
    start: Path | None

    def split(self) -> Mapping[str, Sequence[str]]:
        """As of `FoldJob`; speakers and classes of the training part for probes."""
        parts = {"train": self.train, "dev": self.dev, "test": self.test}
        classes = self.specification.classes
        return {
            **{name: [e.key for e in part] for name, part in parts.items()},
            "train_speakers": [e.domain("speaker") for e in self.train],
            "train_truth": ["" if e.target == UNKNOWN else classes[e.target] for e in self.train],
        }

    def train_and_predict(self) -> pd.DataFrame:
        """Train and predict.

        Writes [<stage>/] history.csv (where there are epochs), model.safetensors + model.json, then
        embeddings.safetensors and attention.safetensors (of a model that has it).
        """
        groups = group_statistics(self.specification.normalization, self.train, self.dev, self.test)
        if self.plan is not None:
            self._train(self.plan, groups)
        elif not (self.folder / "model.json").is_file():
            save_checkpoint(_fit(self, groups), self.folder)
        return _predict(load_checkpoint(self.folder), self, groups)

    def _train(self, plan: TrainingPlan, groups: Mapping[str, Statistics]) -> None:
        from affectra.training.stage import StageJob, train_stage

        start = self.start
        own = [(stage.name, self.folder / stage.name, stage.training) for stage in self.stages]
        for name, folder, training in [*own, (LAST, self.folder, plan)]:
            used = self.unlabelled if training.unlabelled_batch_size else ()
            train_stage(
                StageJob(
                    folder,
                    name,
                    self.seed,
                    self.fold,
                    self.specification,
                    training,
                    (*self.train, *self.copies),
                    self.dev,
                    used,
                    start,
                ),
                groups,
            )
            if folder != self.folder:
                shutil.rmtree(folder / "resume", ignore_errors=True)
            start = folder


def _fit(job: UtteranceFoldJob, groups: Mapping[str, Statistics]) -> Recognizer:
    """A model that is fitted without epochs; what it settled itself is in its checkpoint as if it had been given."""
    recognizer = Recognizer(job.specification)
    used = (*job.train, *job.copies)
    recognizer.normalization.fit(example.load() for example in used)
    part = Vectors(
        features=np.stack([recognizer.whole_features(e.load(), groups.get(e.key)) for e in used]),
        targets=np.array([example.target for example in used]),
        groups=[example.domain("speaker") for example in used],
        corpora=[example.corpus for example in used],
        auxiliary=np.array([example.auxiliary for example in used]),
    )
    settled = recognizer.network.fit(part)
    model = job.specification.model
    options = {**model["options"], **settled}
    recognizer.specification = replace(job.specification, model={**model, "options": options})
    return recognizer.eval()


def _predict(recognizer: Recognizer, job: UtteranceFoldJob, groups: Mapping[str, Statistics]) -> pd.DataFrame:
    classes = job.specification.classes
    if torch.cuda.is_available():
        recognizer.cuda()
    shown = _examples_for_maps(job.test)
    rows, embeddings, maps = [], [], {}
    for example in job.test:
        output = recognizer.recognize(example.load(), groups.get(example.key))
        job.check_numbers(example.key, output.probabilities)
        embeddings.append(output.embedding)
        if example.key in shown and output.attention is not None:
            maps[example.key] = output.attention  # (segment, bottom-up then classes, freq, time)
            maps[f"{example.key}/features"] = recognizer.segment_features(example.load(), groups.get(example.key))
        scores = {f"score_{name}": p for name, p in zip(classes, output.probabilities, strict=True)}
        for (name, p), truth in zip(output.auxiliary.items(), example.auxiliary, strict=True):
            scores |= {f"truth_{name}": float(truth) if truth != UNKNOWN else math.nan, f"probability_{name}": p}
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
        rows_of = {"embedding": np.stack(embeddings), "train_embedding": _embeddings(recognizer, job.train, groups)}
        save_file(rows_of, temporary)  # rows as in predictions.csv, and as in split.json
    if maps:
        with atomic_path(job.folder / "attention.safetensors") as temporary:
            save_file(maps, temporary)
    return pd.DataFrame(rows)


@torch.inference_mode()
def _embeddings(
    recognizer: Recognizer, examples: Sequence[Example], groups: Mapping[str, Statistics]
) -> npt.NDArray[np.float32]:
    """Embeddings of the training part, (utterance, feature); in batches, since there are many."""
    device = next(chain(recognizer.parameters(), recognizer.buffers())).device
    dataset = SegmentDataset(examples, recognizer, False, groups, recognizer.is_sequence)
    found, owners = [], []
    for batch in test_loader(dataset, BATCH):
        output = recognizer(*(part.to(device) for part in (batch.segments, batch.n_frames, batch.n_segments)))
        found.append(output.embedding.float().cpu().numpy())
        owners.append(batch.owners.numpy())
    return pool_segments(np.concatenate(found), np.concatenate(owners)).astype(np.float32)


def _examples_for_maps(examples: Sequence[Example]) -> set[str]:
    """The first test utterance of each class: enough for a report's pictures, small on disk."""
    first: dict[int, str] = {}
    for example in examples:
        first.setdefault(example.target, example.key)
    return set(first.values())
