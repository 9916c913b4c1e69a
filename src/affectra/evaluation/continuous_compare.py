"""Two runs over time on the same recordings: how much better is one, and would other speakers say so too."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from affectra.errors import CheckpointError
from affectra.evaluation.differences import Difference, corrected, how_tested, seeds_text
from affectra.files import read_json
from affectra.metrics import agreement_of_sums
from affectra.tasks.continuous_evaluation import group_sums, is_over_time
from affectra.tasks.continuous_predictions import TRUTH, dimensions_of, read_frames
from affectra.tasks.statistics import LEVEL, MAX_EXACT, MIN_SPEAKERS, N_RANDOM, N_RESAMPLES

MEAN = "mean"  # of the dimensions
AT_ONCE = 500  # exchanges computed together
NEEDED = ("dimensions", "complete", "folds_done", "protocol", "leaks")
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TraceComparison:
    """Result of comparing two runs over time.

    Attributes:
        a: folder of the one run.
        b: folder of the other.
        n_recordings: that both tested.
        by: what is exchanged and drawn: "speaker", or "recording" where speakers are not known.
        n_groups: how many of them.
        n_seeds: of a and of b.
        n_exchanges: that p counts; all there are up to 12 groups.
        metrics: a dimension that both have -> its difference, and "mean" where there are several.
        notes: what a reader must know to judge it, a line each.
    """

    a: str
    b: str
    n_recordings: int
    by: str
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
        groups = f"{self.n_groups} {self.by}s{seeds_text(self.n_seeds)}"
        return [
            f"{self.a} against {self.b}: {self.n_recordings} recordings of {groups}",
            *(difference.line(f"CCC {name}") for name, difference in self.metrics.items()),
            how_tested(self.by, self.n_groups, self.n_exchanges),
            *(f"note: {note}" for note in self.notes),
        ]


@dataclass(frozen=True)
class _Run:
    folder: Path
    scores: dict[str, Any]
    predictions: pd.DataFrame

    @property
    def n_seeds(self) -> int:
        return int(self.predictions["seed"].nunique())


def compare_traces(reference: str | Path, others: Sequence[str | Path]) -> list[TraceComparison]:
    """Compare a run over time with others that tested the same recordings; positive effects speak for the first.

    Frames of one speaker are not independent, so speakers are what is exchanged and drawn. The CCC is that of all
    known frames together: each exchange, and each draw, gives sums of frames anew, and the CCCs of both runs from
    them. Where the runs have different numbers of seeds, each seed of the one meets each of the other in turn. With
    several others p is corrected for their number (Holm), dimension by dimension.

    Raises:
        CheckpointError: not a run over time, or not of the same recordings and labels, or without a dimension in
            common, or of one speaker alone.
    """
    first = _read(reference)
    found = [_compare(first, _read(other)) for other in others]
    if len(found) == 1:
        return found
    metrics = corrected([one.metrics for one in found])
    return [replace(one, metrics=of_one) for one, of_one in zip(found, metrics, strict=True)]


def _read(folder: str | Path) -> _Run:
    folder = Path(folder)
    if not (folder / "scores.json").is_file():
        raise CheckpointError(f"{folder}: no scores.json here; expected a run directory with a finished fold or more")
    if not is_over_time(folder):
        raise CheckpointError(f"{folder}: a run of classes, and the others are over time; compare runs of one kind")
    scores = read_json(folder / "scores.json")
    if missing := [key for key in NEEDED if key not in scores]:
        raise CheckpointError(f"{folder / 'scores.json'}: without {', '.join(missing)}; --resume writes it anew")
    run = _Run(folder, scores, read_frames(folder / "predictions.csv"))
    n_each = run.predictions.groupby("seed")["utterance"].nunique()
    if n_each.nunique() > 1:
        raise CheckpointError(
            f"{folder}: its seeds tested different recordings "
            f"({', '.join(f'seed {seed} {n}' for seed, n in n_each.items())}); finish it with --resume"
        )
    return run


def _compare(a: _Run, b: _Run) -> TraceComparison:
    dimensions = _common(a, b)
    _check_same_labels(a, b, dimensions)
    by = "speaker" if (a.predictions["speaker"] != "").all() else "recording"
    columns = ["corpus", "speaker"] if by == "speaker" else ["utterance"]
    sums = [group_sums(run.predictions, dimensions, columns) for run in (a, b)]  # (seed, group, dimension, sum)
    n_groups = sums[0].shape[1]
    if n_groups < 2:
        raise CheckpointError(f"{a.folder} and {b.folder}: one {by} alone; the test is over {by}s and needs two")
    n_pairs = math.lcm(a.n_seeds, b.n_seeds)
    one, other = (np.resize(np.arange(len(part)), n_pairs) for part in sums)
    paired = sums[0][one], sums[1][other]
    own = [_with_mean(_ccc(part.sum(1))) for part in sums]
    p_values, intervals = _exchanged(*paired), _intervals(*paired)
    names = [*dimensions, *([MEAN] if len(dimensions) > 1 else [])]
    metrics = {
        name: Difference(
            float(own[0][k]), float(own[1][k]), float(own[0][k] - own[1][k]),
            None if intervals is None else [float(v) for v in intervals[:, k]], float(p_values[k]),
        )
        for k, name in enumerate(names)
    }  # fmt: skip
    return TraceComparison(
        str(a.folder), str(b.folder), int(a.predictions["utterance"].nunique()), by, n_groups, (a.n_seeds, b.n_seeds),
        2**n_groups if n_groups <= MAX_EXACT else N_RANDOM, metrics, tuple(_notes(a, b, by, n_groups, dimensions)),
    )  # fmt: skip


def _common(a: _Run, b: _Run) -> list[str]:
    """Dimensions that both predict."""
    of_a, of_b = (dimensions_of(run.predictions) for run in (a, b))
    common = [name for name in of_a if name in of_b]
    if not common:
        raise CheckpointError(
            f"{a.folder} and {b.folder}: the one is of {', '.join(of_a)}, the other of {', '.join(of_b)}; a test needs "
            "a dimension that both have"
        )
    return common


def _check_same_labels(a: _Run, b: _Run, dimensions: Sequence[str]) -> None:
    keys = ["utterance", "time"]
    columns = [*keys, "corpus", "speaker", *(TRUTH + name for name in dimensions)]
    of_a, of_b = (
        run.predictions[run.predictions["seed"] == run.predictions["seed"].min()][columns]
        .sort_values(keys)
        .reset_index(drop=True)
        for run in (a, b)
    )
    one, other = set(of_a["utterance"]), set(of_b["utterance"])
    pair = f"{a.folder} and {b.folder}"
    if one != other:
        raise CheckpointError(
            f"{pair}: different recordings, {len(one & other)} are shared, {len(one - other)} of the first "
            f"({a.scores['folds_done']} folds) and {len(other - one)} of the second ({b.scores['folds_done']} folds) "
            "are not; a paired test needs the same ones in both"
        )
    if not of_a.equals(of_b):
        raise CheckpointError(f"{pair}: their labels, times or speakers differ; a paired test needs the same data")


def _ccc(sums: Array) -> Array:
    """(seed, ..., dimension, sum) -> (..., dimension), averaged over seeds."""
    mean: Array = agreement_of_sums(sums)["ccc"].mean(0)
    return mean


def _with_mean(values: Array) -> Array:
    """(..., dimension) -> (..., dimension + 1), the mean over dimensions last."""
    return np.concatenate([values, values.mean(-1, keepdims=True)], axis=-1)


def _effects(a: Array, b: Array, weights: Array, exchanged: Array) -> Array:
    """(draw, dimension + 1): differences where speakers weigh so much and of some the runs are exchanged.

    Args:
        a: (seed, group, dimension, sum).
        b: likewise.
        weights: (draw, group), how often a group counts.
        exchanged: (draw, group), 1 where its predictions change sides.
    """

    def summed(one: Array, other: Array) -> Array:
        kept: Array = np.einsum("rg,sgdk->srdk", weights * (1 - exchanged), one, optimize=True)
        moved = np.einsum("rg,sgdk->srdk", weights * exchanged, other, optimize=True)
        both: Array = kept + moved
        return both

    return _with_mean(_ccc(summed(a, b)) - _ccc(summed(b, a)))


def _exchanged(a: Array, b: Array) -> Array:
    """p of each dimension and of the mean: the share of exchanges whose effect is as far from zero, or farther."""
    n_groups = a.shape[1]
    seen = np.abs(_effects(a, b, np.ones((1, n_groups)), np.zeros((1, n_groups))))[0]
    is_exact = n_groups <= MAX_EXACT
    rng = np.random.default_rng(0)
    n_all = 2**n_groups if is_exact else N_RANDOM
    n_as_far = np.zeros(len(seen))
    for start in range(0, n_all, AT_ONCE):
        n = min(AT_ONCE, n_all - start)
        if is_exact:
            signs = (np.arange(start, start + n)[:, None] >> np.arange(n_groups)) & 1
        else:
            signs = rng.integers(0, 2, (n, n_groups))
        effects = np.abs(_effects(a, b, np.ones((n, n_groups)), signs.astype(float)))
        n_as_far += (effects >= seen - 1e-12).sum(0)
    p_values: Array = n_as_far / n_all if is_exact else (n_as_far + 1) / (n_all + 1)  # Phipson & Smyth 2010
    return p_values


def _intervals(a: Array, b: Array) -> Array | None:
    """(2, dimension + 1), low and high when groups are drawn anew, the same for both runs; None with too few."""
    n_groups = a.shape[1]
    if n_groups < MIN_SPEAKERS:
        return None
    draws = np.random.default_rng(0).multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=N_RESAMPLES)
    effects = _effects(a, b, draws.astype(float), np.zeros(draws.shape))
    intervals: Array = np.nanquantile(effects, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return intervals


def _notes(a: _Run, b: _Run, by: str, n_groups: int, dimensions: Sequence[str]) -> list[str]:
    notes = []
    for run in (a, b):
        stamps = [
            *([] if run.scores["complete"] else [f"PARTIAL ({run.scores['folds_done']} folds)"]),
            *([] if run.scores["protocol"]["speaker_independent"] else ["SPEAKER-DEPENDENT"]),
            *([f"LEAK ({', '.join(run.scores['leaks'])})"] if run.scores["leaks"] else []),
        ]
        if stamps:
            notes.append(f"{run.folder} is {', '.join(stamps)}")
        if others := [name for name in dimensions_of(run.predictions) if name not in dimensions]:
            notes.append(f"{run.folder} predicts {', '.join(others)} too, which the other does not")
    hashes = [run.scores["protocol"]["hash"] for run in (a, b)]
    if hashes[0] != hashes[1]:
        notes.append("their folds differ, so they learnt from different recordings")
    if by == "recording":
        notes.append("the speakers are not known; recordings of one person are taken for independent")
    smallest = 2 / 2**n_groups
    if smallest > 0.05:
        notes.append(f"with {n_groups} {by}s p cannot fall below {smallest:g}")
    return notes
