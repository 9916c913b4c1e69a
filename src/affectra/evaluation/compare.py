"""Two runs on the same utterances: how much better is one, and would other speakers, or dialogues, say so too."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from affectra.errors import CheckpointError
from affectra.evaluation.differences import Difference, corrected, how_tested, seeds_text
from affectra.files import read_json
from affectra.tasks.evaluation import check_predictions, read_predictions
from affectra.tasks.statistics import MAX_EXACT, N_RANDOM, difference_interval, exchange_test, grouped_confusion

METRICS = ("ua", "wa")
By = Literal["speaker", "dialogue"]


@dataclass(frozen=True)
class Comparison:
    """Result of comparing two runs.

    Attributes:
        a: folder of the one run.
        b: folder of the other.
        task: the task of both.
        n_utterances: that both tested.
        n_speakers: of these.
        by: what is exchanged and drawn, speakers or dialogues.
        n_groups: how many of them.
        n_seeds: of a and of b; a run's predictions are averaged over its seeds.
        n_exchanges: that p counts; all there are up to 12 groups.
        metrics: "ua" and "wa".
        notes: what a reader must know to judge it, a line each.
    """

    a: str
    b: str
    task: str
    n_utterances: int
    n_speakers: int
    by: By
    n_groups: int
    n_seeds: tuple[int, int]
    n_exchanges: int
    metrics: dict[str, Difference]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return asdict(self)

    def lines(self) -> list[str]:
        """The same for a reader."""
        groups = "" if self.by == "speaker" else f" in {self.n_groups} dialogues"
        return [
            f"{self.a} against {self.b}: task {self.task}, {self.n_utterances} utterances of {self.n_speakers} "
            f"speakers{groups}{seeds_text(self.n_seeds)}",
            *(difference.line(name.upper()) for name, difference in self.metrics.items()),
            how_tested(self.by, self.n_groups, self.n_exchanges),
            *(f"note: {note}" for note in self.notes),
        ]


@dataclass(frozen=True)
class _Run:
    """A run as a comparison reads it: its scores.json and predictions.csv, with the column `by`."""

    folder: Path
    scores: dict[str, Any]
    predictions: pd.DataFrame
    by: By

    @property
    def n_seeds(self) -> int:
        return int(self.predictions["seed"].nunique())

    @property
    def state(self) -> str:
        """PARTIAL and how far, or nothing."""
        return "" if self.scores["complete"] else f" (PARTIAL, {self.scores['folds_done']} folds)"

    def utterances(self) -> pd.DataFrame:
        """corpus, speaker, truth and `by` by utterance, sorted; the first seed says it for all."""
        table = self.predictions.drop_duplicates("utterance").set_index("utterance").sort_index()
        return table[list(dict.fromkeys(["corpus", "speaker", "truth", self.by]))]

    def right(self, classes: Sequence[str]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """(group, class): utterances that are right, averaged over seeds, and utterances there are."""
        groups, matrices = grouped_confusion(self.predictions, classes, ["seed", "corpus", self.by])
        by_seed = matrices.reshape(self.n_seeds, len(groups) // self.n_seeds, *matrices.shape[1:])
        return np.diagonal(by_seed, axis1=2, axis2=3).mean(0), by_seed[0].sum(2)


def compare(a: str | Path, b: str | Path, *, by: By = "speaker") -> Comparison:
    """Compare two runs that tested the same utterances; positive effects speak for the first.

    Utterances of one speaker are not independent, so speakers are what is exchanged and drawn. UA and WA are linear in
    what a run has right, so exchanging a speaker's predictions turns the sign of the speaker's part of the effect. With
    context the turns of a dialogue are not independent either, whoever says them: so dialogues may be exchanged and
    drawn instead, which says nothing of other speakers than those that talk in them.

    Args:
        a: run directory.
        b: run directory.
        by: exchange and draw speakers, or, of runs over dialogues, dialogues.

    Raises:
        CheckpointError: not a run, or the two are not of the same utterances, task and classes, or their speakers are
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


def _read(folder: str | Path, by: By) -> _Run:
    folder = Path(folder)
    if not (folder / "scores.json").is_file():
        raise CheckpointError(f"{folder}: no scores.json here; expected a run directory with a finished fold or more")
    try:
        scores = read_json(folder / "scores.json")
        needed = {key: scores[key] for key in ("task", "classes", "complete", "folds_done", "protocol", "leaks")}
        needed["transductive"] = scores["normalization"]["transductive"]
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder / 'scores.json'}: not the scores of a run; --resume writes them anew"
        ) from error
    predictions = read_predictions(folder / "predictions.csv")
    try:
        check_predictions(predictions, needed["classes"])
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: {error}") from error
    if by == "dialogue":
        predictions = predictions.assign(dialogue=_dialogues(folder, predictions))
    run = _Run(folder, needed, predictions, by)
    sizes = predictions.groupby("seed")["utterance"].nunique()
    if sizes.nunique() > 1 or sizes.iloc[0] != predictions["utterance"].nunique():
        raise CheckpointError(
            f"{folder}{run.state}: its seeds tested different utterances "
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


def _check_comparable(a: _Run, b: _Run) -> None:
    pair = f"{a.folder} and {b.folder}"
    if a.scores["task"] != b.scores["task"]:
        raise CheckpointError(f"{pair}: tasks {a.scores['task']} and {b.scores['task']}; a test needs the same one")
    if set(a.scores["classes"]) != set(b.scores["classes"]):
        classes = [", ".join(run.scores["classes"]) for run in (a, b)]
        raise CheckpointError(f"{pair}: classes {classes[0]} and {classes[1]}; a test needs the same ones")
    of_a, of_b = a.utterances(), b.utterances()
    if not of_a.index.equals(of_b.index):
        n_shared = len(of_a.index.intersection(of_b.index))
        raise CheckpointError(
            f"{pair}: different utterances, {n_shared} are shared, {len(of_a) - n_shared} of the first{a.state} and "
            f"{len(of_b) - n_shared} of the second{b.state} are not; a paired test needs the same ones in both"
        )
    for column in of_a:
        differs = of_a.index[(of_a[column] != of_b[column]).to_numpy()]
        if len(differs):
            key = differs[0]
            raise CheckpointError(
                f"{pair}: {column} of {len(differs)} utterances differs, e.g. {key} is {of_a[column][key]!r} and "
                f"{of_b[column][key]!r}; a paired test needs the same data"
            )
    by = a.by
    unknown = int((of_a[by] == "").sum())
    if unknown:
        raise CheckpointError(f"{pair}: the {by} of {unknown} utterances is unknown; the test is over {by}s")
    if len(of_a[["corpus", by]].drop_duplicates()) < 2:
        raise CheckpointError(f"{pair}: one {by} alone; the test is over {by}s and needs two or more")


def _compare(a: _Run, b: _Run) -> Comparison:
    _check_comparable(a, b)
    classes = a.scores["classes"]
    (right_a, counts), (right_b, _) = a.right(classes), b.right(classes)
    n_groups, totals = len(counts), counts.sum(0)
    intervals = difference_interval(right_a, right_b, counts)
    metrics = {}
    for name in METRICS:
        of_a, of_b = (_parts(name, right, totals) for right in (right_a, right_b))
        parts = of_a - of_b
        metrics[name] = Difference(
            float(of_a.sum()), float(of_b.sum()), float(parts.sum()), intervals[name], exchange_test(parts)
        )
    n_exchanges = 2**n_groups if n_groups <= MAX_EXACT else N_RANDOM
    n_speakers = len(a.predictions[["corpus", "speaker"]].drop_duplicates())
    n_seeds = (a.n_seeds, b.n_seeds)
    n_utterances = int(totals.sum())
    notes = tuple(_notes(a, b, n_groups))
    task = a.scores["task"]
    return Comparison(
        str(a.folder), str(b.folder), task, n_utterances, n_speakers, a.by, n_groups, n_seeds, n_exchanges, metrics,
        notes,
    )  # fmt: skip


def _parts(name: str, right: npt.NDArray[np.float64], totals: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Compute what each speaker or dialogue adds to a metric: (group,); their sum is the metric."""
    parts: npt.NDArray[np.float64]
    if name == "wa":
        parts = right.sum(1) / totals.sum()
        return parts
    there = totals > 0  # a class that no utterance has does not count
    parts = (right[:, there] / totals[there]).sum(1) / there.sum()
    return parts


def _notes(a: _Run, b: _Run, n_groups: int) -> list[str]:
    notes = []
    for run in (a, b):
        protocol = run.scores["protocol"]
        stamps = [
            *(["PARTIAL (" + run.scores["folds_done"] + " folds)"] if run.state else []),
            *([] if protocol["speaker_independent"] else ["SPEAKER-DEPENDENT"]),
            *([f"LEAK ({', '.join(run.scores['leaks'])})"] if run.scores["leaks"] else []),
            *(["TRANSDUCTIVE"] if run.scores["transductive"] else []),
        ]
        if stamps:
            notes.append(f"{run.folder} is {', '.join(stamps)}")
    protocols = [run.scores["protocol"] for run in (a, b)]
    if protocols[0]["hash"] != protocols[1]["hash"]:
        names = " and ".join(protocol["name"] for protocol in protocols)
        notes.append(f"their folds differ ({names}), so they learnt from different utterances")
    smallest = 2 / 2**n_groups
    if smallest > 0.05:
        notes.append(f"with {n_groups} {a.by}s p cannot fall below {smallest:g}")
    return notes
