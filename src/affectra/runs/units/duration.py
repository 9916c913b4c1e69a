"""An estimate of how long training takes: real steps on blank utterances of the right lengths, in a few seconds."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from affectra.audio import probe
from affectra.corpora.manifest import Corpus
from affectra.features.cache import HALF, storage_of
from affectra.features.front_ends import FRONT_ENDS
from affectra.features.specification import Specification
from affectra.models.recognizer import Recognizer
from affectra.recipes.recipe import TrainingPlan
from affectra.runs.units.inputs import audio_spans
from affectra.training.data import Collate, Example, SegmentDataset, domain_indices
from affectra.training.objectives import build_objective, is_of_segments
from affectra.training.parts import freeze

BUDGET_S = 1.0  # of timed steps, for all trainings of a recipe together
N_SAMPLED = 64  # utterances that stand for all
THREAD_GAIN = 0.7  # ours: two threads are 1.6 times as fast as one
FORWARD_SHARE = 1 / 3  # of a training step; what a prediction takes
STEP_S = 0.004  # Lightning's own work in a step, of a millisecond or a few
FASTER, SLOWER = 0.7, 1.6  # ours; what a few steps can be wrong by


@dataclass(frozen=True)
class Range:
    """Seconds between which a duration is expected."""

    least: float
    most: float

    def __add__(self, other: "Range") -> "Range":
        return Range(self.least + other.least, self.most + other.most)

    def times(self, factor: float) -> "Range":
        """So many times as long."""
        return Range(self.least * factor, self.most * factor)

    def __str__(self) -> str:
        unit, length = next(((u, s) for u, s in (("h", 3600), ("min", 60)) if self.most >= 4 * s), ("s", 1))
        least, most = (max(1, round(seconds / length)) for seconds in (self.least, self.most))
        return f"{least} to {most} {unit}" if least < most else f"{most} {unit}"


@dataclass(frozen=True)
class Blank(Example):
    """An utterance as long as a real one, of which nothing was read; its frames are zeros.

    Attributes:
        width: features of a frame.
        dtype: of the frames.
    """

    width: int = 1
    dtype: Any = np.float16

    def load(self) -> npt.NDArray[Any]:
        """Zeros (frame, feature)."""
        return np.zeros((self.n_frames, self.width), self.dtype)


@dataclass(frozen=True)
class Visits:
    """How often a training meets utterances, all folds and seeds together.

    Attributes:
        trained: utterances learnt from, times epochs.
        predicted: utterances that are predicted: dev parts once an epoch, training and test parts once.
    """

    trained: float
    predicted: float


def blank_utterances(
    manifest: pd.DataFrame, corpora: Sequence[Corpus], specification: Specification
) -> tuple[Blank, ...]:
    """A sample of the utterances of a manifest without their sound or words; the same sample each time."""
    rows = manifest.sample(min(N_SAMPLED, len(manifest)), random_state=0)
    front_end = FRONT_ENDS.build(specification.front_end["name"], specification.front_end["options"])
    if getattr(front_end, "modality", "audio") == "text":
        width = front_end.frames("a").shape[1]
        lengths = [len(text.split()) + 2 for text in rows["text"]]  # with the marks of an encoder
    else:
        width = front_end.frames(torch.zeros(front_end.sample_rate)).shape[1]
        lengths = [
            front_end.n_frames(max(1, round(seconds * front_end.sample_rate)))
            for seconds in _durations_s(rows, corpora)
        ]
    dtype = np.dtype(storage_of(front_end).get("dtype", HALF))
    return tuple(
        Blank(
            key=row["utterance"], corpus=row["corpus"], speaker=row["speaker"], gender=row["gender"],
            language=row["language"], frames=Path(), n_frames=n_frames, target=0,
            auxiliary=(0,) * len(specification.auxiliary), width=width, dtype=dtype,
        )
        for row, n_frames in zip(rows.to_dict("records"), lengths, strict=True)
    )  # fmt: skip


def training_time(
    specification: Specification, plan: TrainingPlan, blanks: Sequence[Blank], visits: Visits, budget_s: float
) -> Range:
    """Seconds of one process, threads as torch is set now.

    Steps are timed on one thread, in processor time, which other work on the machine changes least.

    Args:
        specification: the recogniser that is trained.
        plan: how.
        blanks: a sample of what is learnt from.
        visits: how often.
        budget_s: for timed steps; two of a single utterance are made in any case.
    """
    recognizer = Recognizer(specification).train()
    if plan.channels_last:
        recognizer.network.to(memory_format=torch.channels_last)
    freeze(recognizer, plan)
    together = recognizer.is_sequence and not is_of_segments(plan.objective.name)
    dataset = SegmentDataset(blanks, recognizer, True, {}, together)
    order = np.random.default_rng(0).permutation(len(dataset))
    domains = domain_indices(plan.objective.options.get("domains", ()), blanks)
    collate = Collate({name: values or {"unknown": 0} for name, values in domains.items()})
    objective = build_objective(plan.objective, recognizer, collate.domains, collate([dataset[0]]))
    parameters = [p for p in (*recognizer.parameters(), *objective.parameters()) if p.requires_grad]

    def step(n: int) -> None:
        batch = collate([dataset[order[k % len(order)]] for k in range(n)])
        for parameter in parameters:
            parameter.grad = None
        with torch.autocast("cpu", torch.bfloat16, enabled=plan.precision == "bf16-mixed"):
            loss = objective(recognizer, batch, 0.5).value
        loss.backward()  # no optimizer: torch's take seconds to import, and a few milliseconds a step

    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    seconds = _time_per_item(step, plan.batch_size, budget_s) / n_threads**THREAD_GAIN
    torch.set_num_threads(n_threads)
    n_items = len(dataset) / len(blanks)  # of an utterance
    with_unlabelled = 1 + plan.unlabelled_batch_size / plan.batch_size
    trained = visits.trained * n_items
    of_predicting = len(SegmentDataset(blanks, recognizer, False, {}, together)) / len(blanks) * FORWARD_SHARE
    total = seconds * (trained * with_unlabelled + visits.predicted * of_predicting)
    total += STEP_S * trained / plan.batch_size
    return Range(FASTER * total, SLOWER * total)


def _time_per_item(step: Callable[[int], None], n_most: int, budget_s: float) -> float:
    """Seconds an item of a step takes, from steps of ever more items until the budget is spent or the step is whole."""
    n, spent = min(2, n_most), 0.0
    step(n)  # kernels are chosen and memory is taken the first time
    while True:
        begun, worked = time.monotonic(), time.process_time()
        step(n)
        wall, worked = time.monotonic() - begun, time.process_time() - worked
        spent += wall
        larger = min(n_most, 4 * n)
        if n == n_most or spent + wall * larger / n > budget_s:
            return worked / n
        n = larger


def _durations_s(rows: pd.DataFrame, corpora: Sequence[Corpus]) -> list[float]:
    return [
        (probe(where.audio).duration_s if where.end_s is None else where.end_s) - where.start_s
        for where in audio_spans(rows, corpora)
    ]
