"""Runs that tested the same: how much better is one, and would other speakers, or dialogues, say so too."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from affectra.errors import CheckpointError
from affectra.files import read_json
from affectra.metrics import mean_of_defined
from affectra.tasks.evaluation import task_of_scores
from affectra.tasks.statistics import (
    MAX_EXACT,
    MIN_SPEAKERS,
    Interval,
    draw_groups,
    exchange_test,
    holm,
    n_exchanges,
    percentiles,
)
from affectra.tasks.tables import read_predictions
from affectra.tasks.task import Array, Task, by_seed

By = Literal["speaker", "dialogue"]
NEEDED = ("task", "classes", "complete", "folds_done", "protocol", "leaks", "normalization")


@dataclass(frozen=True)
class Difference:
    """One score of two runs.

    Attributes:
        a: of the one run, averaged over seeds.
        b: of the other.
        effect: a - b.
        interval: of the effect, 95 %, by bootstrap over groups (speakers, dialogues, ...); None with fewer than three.
        p: two-sided, by exchanging the runs' predictions group by group.
        p_holm: p corrected for the other comparisons beside it; None in a comparison alone.
    """

    a: float
    b: float
    effect: float
    interval: Interval
    p: float
    p_holm: float | None = None

    def line(self, name: str) -> str:
        """The same for a reader, under the score's name."""
        interval = f" [{_signed(self.interval[0])}, {_signed(self.interval[1])}]" if self.interval else ""
        holm = "" if self.p_holm is None else f", {self.p_holm:.4f} by Holm"
        return f"{name} {self.a:.3f} against {self.b:.3f}: {_signed(self.effect)}{interval}, p {self.p:.4f}{holm}"


@dataclass(frozen=True)
class Comparison:
    """Result of comparing two runs.

    Attributes:
        a: folder of the one run.
        b: folder of the other.
        task: the task of both.
        counted: what was tested, "utterances" or "recordings".
        n_utterances: that both tested; recordings where the task is over time.
        n_speakers: of these; 0 where speakers are not known.
        by: what is exchanged and drawn: "speaker", "dialogue", or "recording" where speakers are not known.
        n_groups: how many of them.
        n_seeds: of a and of b; a run's scores are averaged over its seeds.
        n_exchanges: that p counts; all there are up to 12 groups.
        metrics: "ua" and "wa" of classes; of dimensions each one that both have, and "mean" where there are several.
        labels: the names of these scores for a reader.
        notes: what a reader must know to judge it, a line each.
    """

    a: str
    b: str
    task: str
    counted: str
    n_utterances: int
    n_speakers: int
    by: str
    n_groups: int
    n_seeds: tuple[int, int]
    n_exchanges: int
    metrics: dict[str, Difference]
    labels: dict[str, str]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return asdict(self)

    def lines(self) -> list[str]:
        """The same for a reader."""
        people = f" of {self.n_speakers} speakers" if self.n_speakers else ""
        groups = "" if self.by == "speaker" else f" in {self.n_groups} {self.by}s"
        seeds = "" if self.n_seeds == (1, 1) else f", {self.n_seeds[0]} and {self.n_seeds[1]} seed(s)"
        all_of = "all " if self.n_groups <= MAX_EXACT else ""
        return [
            f"{self.a} against {self.b}: task {self.task}, {self.n_utterances} {self.counted}{people}{groups}{seeds}",
            *(difference.line(self.labels[name]) for name, difference in self.metrics.items()),
            f"interval: bootstrap over {self.by}s; p: {all_of}{self.n_exchanges} exchanges of both, {self.by} by "
            f"{self.by}",
            *(f"note: {note}" for note in self.notes),
        ]


@dataclass(frozen=True)
class _Run:
    """A run as a comparison reads it: its scores.json and predictions.csv, with the column `by`."""

    folder: Path
    task: Task
    scores: Mapping[str, Any]
    predictions: pd.DataFrame
    by: str

    @property
    def n_seeds(self) -> int:
        return int(self.predictions["seed"].nunique())

    @property
    def state(self) -> str:
        """PARTIAL and how far, or nothing."""
        return "" if self.scores["complete"] else f" (PARTIAL, {self.scores['folds_done']} folds)"

    def rows(self, task: Task) -> pd.DataFrame:
        """corpus, speaker, `by` and truth by the task's keys, sorted; the first seed says it for all."""
        table = self.predictions.drop_duplicates(list(task.keys)).set_index(list(task.keys)).sort_index()
        return table[[name for name in dict.fromkeys(["corpus", "speaker", self.by, *task.truths]) if name in table]]


def compare(a: str | Path, b: str | Path, *, by: By = "speaker") -> Comparison:
    """Compare two runs that tested the same utterances, or recordings; positive effects speak for the first.

    Utterances, and frames, of one speaker are not independent, so speakers are what is exchanged and drawn: each
    exchange, and each draw, gives a confusion matrix or moments anew, and the scores of both runs from them. With
    context the turns of a dialogue are not independent either, whoever says them: so dialogues may be exchanged and
    drawn instead, which says nothing of other speakers than those that talk in them. Where the runs have different
    numbers of seeds, each seed of the one meets each of the other in turn.

    Args:
        a: run directory.
        b: run directory.
        by: exchange and draw speakers, or, of runs over dialogues, dialogues.

    Raises:
        CheckpointError: not a run, or the two are not of the same utterances, labels and task, or their speakers are
            unknown or fewer than two; or not over dialogues where these are asked for.
    """
    return _compare(_read(a, by), _read(b, by))


def compare_many(reference: str | Path, others: Sequence[str | Path], *, by: By = "speaker") -> list[Comparison]:
    """Compare one run with several, p corrected for their number (Holm) for each metric; effects are reference - other.

    Raises:
        CheckpointError: as `compare`.
    """
    first = _read(reference, by)
    found = [_compare(first, _read(other, by)) for other in others]
    metrics = corrected([comparison.metrics for comparison in found])
    return [replace(one, metrics=of_one) for one, of_one in zip(found, metrics, strict=True)]


def corrected(comparisons: Sequence[Mapping[str, Difference]]) -> list[dict[str, Difference]]:
    """Several comparisons' differences by score, each p corrected for the number of comparisons that have that score.

    Example:
        >>> one, other = ({"ua": Difference(0.7, 0.6, 0.1, None, p)} for p in (0.01, 0.04))
        >>> [found["ua"].p_holm for found in corrected([one, other])]
        [0.02, 0.04]
    """
    found: list[dict[str, Difference]] = [{} for _ in comparisons]
    for name in dict.fromkeys(name for one in comparisons for name in one):
        having = [k for k, one in enumerate(comparisons) if name in one]
        for k, p in zip(having, holm([comparisons[k][name].p for k in having]), strict=True):
            found[k][name] = replace(comparisons[k][name], p_holm=p)
    return found


def _signed(value: float) -> str:
    return f"{round(value, 3) + 0.0:+.3f}"  # + 0.0: no minus before a zero


def _read(folder: str | Path, by: By) -> _Run:
    folder = Path(folder)
    path = folder / "scores.json"
    if not path.is_file():
        raise CheckpointError(f"{folder}: no scores.json here; expected a run directory with a finished fold or more")
    try:
        scores = read_json(path)
        missing = [key for key in NEEDED if key not in scores]
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{path}: not the scores of a run; --resume writes them anew") from error
    if missing:
        raise CheckpointError(f"{path}: not the scores of a run, {missing[0]} is missing; --resume writes them anew")
    task = task_of_scores(scores, str(path))
    predictions = read_predictions(folder / "predictions.csv")
    try:
        task.check(predictions)
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: {error}") from error
    group: str = by
    if by == "dialogue":
        predictions = predictions.assign(dialogue=_dialogues(folder, predictions))
    elif task.group_where_unknown and (predictions["speaker"] == "").any():
        group = task.group_where_unknown
        predictions = predictions.assign(**{group: predictions["utterance"]})
    run = _Run(folder, task, scores, predictions, group)
    sizes = predictions.groupby("seed")["utterance"].nunique()
    if sizes.nunique() > 1 or sizes.iloc[0] != predictions["utterance"].nunique():
        raise CheckpointError(
            f"{folder}{run.state}: its seeds tested different {task.counted} "
            f"({', '.join(f'seed {seed} {n}' for seed, n in sizes.items())}); finish it with --resume"
        )
    return run


def _dialogues(folder: Path, predictions: pd.DataFrame) -> pd.Series:
    """The dialogue of each row, from the split.json of its fold."""
    dialogue_of: dict[str, str] = {}
    for seed, fold in sorted(set(predictions[["seed", "fold"]].itertuples(index=False, name=None))):
        path = folder / f"seed-{seed}" / f"fold-{fold}" / "split.json"
        split = read_json(path) if path.is_file() else {}
        if "test_dialogues" not in split:
            raise CheckpointError(
                f"{path}: says nothing of dialogues, which runs over dialogues do; compare by speaker"
            )
        dialogue_of |= dict(zip(split["test"], split["test_dialogues"], strict=True))
    return predictions["utterance"].map(dialogue_of).fillna("")


def _common_task(a: _Run, b: _Run) -> Task:
    """The task on which both can be compared, their data checked to be the same."""
    pair = f"{a.folder} and {b.folder}"
    task = a.task.common(b.task, pair)
    of_a, of_b = a.rows(task), b.rows(task)
    one, other = (set(rows.index.get_level_values("utterance")) for rows in (of_a, of_b))
    if one != other:
        raise CheckpointError(
            f"{pair}: different {task.counted}, {len(one & other)} are shared, {len(one - other)} of the first"
            f"{a.state} and {len(other - one)} of the second{b.state} are not; a paired test needs the same ones in "
            "both"
        )
    if not of_a.index.equals(of_b.index):
        raise CheckpointError(f"{pair}: their labels are at other times; a paired test needs the same data")
    for column in of_a:
        left, right = of_a[column], of_b[column]
        differs = of_a.index[((left != right) & ~(left.isna() & pd.isna(right))).to_numpy()]
        if len(differs):
            key = differs[0]
            raise CheckpointError(
                f"{pair}: {column} of {len(differs)} {'frames' if len(task.keys) > 1 else task.counted} differs, e.g. "
                f"{key} is {of_a[column][key]!r} and {of_b[column][key]!r}; a paired test needs the same data"
            )
    unknown = int((of_a[a.by] == "").sum())
    if unknown:
        raise CheckpointError(f"{pair}: the {a.by} of {unknown} utterances is unknown; the test is over {a.by}s")
    if len(of_a[["corpus", a.by]].drop_duplicates()) < 2:
        raise CheckpointError(f"{pair}: one {a.by} alone; the test is over {a.by}s and needs two or more")
    return task


def _compare(a: _Run, b: _Run) -> Comparison:
    task = _common_task(a, b)
    columns = ["corpus", a.by]
    sums = [by_seed(*task.sums(run.predictions, ["seed", *columns]), columns) for run in (a, b)]
    n_groups = sums[0].shape[1]
    n_pairs = math.lcm(a.n_seeds, b.n_seeds)
    paired = [part[np.resize(np.arange(len(part)), n_pairs)] for part in sums]
    own = [_scores(task, part.sum(1)) for part in sums]
    effects = partial(_effects, task, paired[0], paired[1])
    everyone = np.ones((1, n_groups))
    p_values = exchange_test(lambda exchanged: effects(everyone, exchanged), n_groups)
    intervals = percentiles(effects(draw_groups(n_groups).astype(float), np.zeros((1, n_groups))))
    has_interval = n_groups >= MIN_SPEAKERS
    names = list(task.compared(task.metrics(sums[0].sum(1))))
    metrics = {
        name: Difference(
            float(own[0][k]), float(own[1][k]), float(own[0][k] - own[1][k]),
            [float(value) for value in intervals[k]] if has_interval else None, float(p_values[k]),
        )
        for k, name in enumerate(names)
    }  # fmt: skip
    known = a.predictions[a.predictions["speaker"] != ""]
    return Comparison(
        a=str(a.folder),
        b=str(b.folder),
        task=task.name,
        counted=task.counted,
        n_utterances=int(a.predictions["utterance"].nunique()),
        n_speakers=len(known[["corpus", "speaker"]].drop_duplicates()),
        by=a.by,
        n_groups=n_groups,
        n_seeds=(a.n_seeds, b.n_seeds),
        n_exchanges=n_exchanges(n_groups),
        metrics=metrics,
        labels={name: task.label_of(name) for name in names},
        notes=tuple(_notes(a, b, task, n_groups)),
    )


def _scores(task: Task, sums: Array) -> Array:
    """(seed, ..., *sum) -> (..., score), averaged over seeds."""
    scores = np.stack(list(task.compared(task.metrics(sums)).values()), axis=-1)
    return mean_of_defined(np.moveaxis(scores, 0, -1))


def _effects(task: Task, a: Array, b: Array, weights: Array, exchanged: Array) -> Array:
    """(draw, score): differences where groups weigh so much and of some the runs are exchanged.

    Args:
        task: gives scores from sums.
        a: (seed, group, *sum).
        b: likewise.
        weights: (draw, group), how often a group counts.
        exchanged: (draw, group), 1 where its predictions change sides.
    """

    def summed(one: Array, other: Array) -> Array:
        kept: Array = np.einsum("rg,sg...->sr...", weights * (1 - exchanged), one, optimize=True)
        moved: Array = np.einsum("rg,sg...->sr...", weights * exchanged, other, optimize=True)
        return kept + moved

    return _scores(task, summed(a, b)) - _scores(task, summed(b, a))


def _notes(a: _Run, b: _Run, task: Task, n_groups: int) -> list[str]:
    notes = []
    for run in (a, b):
        protocol = run.scores["protocol"]
        stamps = [
            *([f"PARTIAL ({run.scores['folds_done']} folds)"] if run.state else []),
            *([] if protocol["speaker_independent"] else ["SPEAKER-DEPENDENT"]),
            *([f"LEAK ({', '.join(run.scores['leaks'])})"] if run.scores["leaks"] else []),
            *(["TRANSDUCTIVE"] if run.scores["normalization"]["transductive"] else []),
        ]
        if stamps:
            notes.append(f"{run.folder} is {', '.join(stamps)}")
        if others := [name for name in run.task.outputs if name not in task.outputs]:
            notes.append(f"{run.folder} predicts {', '.join(others)} too, which the other does not")
    protocols = [run.scores["protocol"] for run in (a, b)]
    if protocols[0]["hash"] != protocols[1]["hash"]:
        names = " and ".join(protocol["name"] for protocol in protocols)
        notes.append(f"their folds differ ({names}), so they learnt from different {task.counted}")
    if a.by == task.group_where_unknown:
        notes.append("the speakers are not known; recordings of one person are taken for independent")
    smallest = 2 / 2**n_groups
    if smallest > 0.05:
        notes.append(f"with {n_groups} {a.by}s p cannot fall below {smallest:g}")
    return notes
