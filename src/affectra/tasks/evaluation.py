"""From a table of predictions to scores.json: each number can be recomputed from predictions.csv alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from affectra.errors import CheckpointError
from affectra.metrics import mean_of_defined
from affectra.tasks.classes import Classes
from affectra.tasks.dimensions import Dimensions
from affectra.tasks.statistics import LEVEL, MIN_SPEAKERS, N_RESAMPLES, Interval, draw_groups, percentiles
from affectra.tasks.tables import speaker_names
from affectra.tasks.task import Array, Task, added, by_seed

SPEAKER = ("corpus", "speaker")
METHOD = "bootstrap over speakers"


@dataclass(frozen=True)
class Conditions:
    """The conditions that a run was scored under, as in its scores.json.

    Attributes:
        protocol: name, version, hash and speaker_independent.
        n_folds: folds of the protocol, done or not.
        n_seeds: seeds of the recipe, done or not.
        paper: the recipe's published result, its scores under `results`, if it has one.
        synthetic: whether speech in the test parts is synthetic.
        normalization: "mode", and "transductive": whether it used unlabelled test utterances together.
        leaks: kinds of leakage that the audit found and the run was allowed.
        adaptation: "unlabelled test audio" where training used test audio without its labels, else "none".
    """

    protocol: Mapping[str, Any]
    n_folds: int
    n_seeds: int
    paper: Mapping[str, Any] | None
    synthetic: bool
    normalization: Mapping[str, Any]
    leaks: Sequence[str]
    adaptation: str = "none"


def task_of_scores(scores: Mapping[str, Any], source: str) -> Task:
    """The task of a run, from the content of its scores.json.

    Raises:
        CheckpointError: it is not that of a run.
    """
    try:
        if scores.get("dimensions"):
            return Dimensions(scores["task"], tuple(scores["dimensions"]))
        return Classes(scores["task"], tuple(scores["classes"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{source}: not the scores of a run; --resume writes them anew") from error


def evaluate(predictions: pd.DataFrame, task: Task, conditions: Conditions) -> dict[str, Any]:
    """The content of scores.json.

    Each metric is computed for each seed on the rows of all its folds together and then averaged over seeds;
    `mean_over_folds` averages over folds first. A class or dimension of which a group of rows has no truth has no score
    there (None) and does not count in the group's mean.

    Args:
        predictions: the answers to all test parts, see `tables`.
        task: what they are and how they are scored.
        conditions: what they were measured under.

    Raises:
        CheckpointError: the predictions are not valid.
    """
    task.check(predictions)
    groups, sums = task.sums(predictions, ["seed", "fold", *SPEAKER])
    seeds, of_seeds = added(groups, sums, ["seed"])
    folds, of_folds = added(groups, sums, ["seed", "fold"])
    n_done, n_planned = len(folds), conditions.n_folds * conditions.n_seeds
    if n_done > n_planned:
        raise CheckpointError(f"predictions: {n_done} folds over all seeds, expected {n_planned} or fewer")
    n_of_fold = predictions.groupby(["seed", "fold"])["utterance"].nunique().to_numpy()
    metrics = _over_seeds(task.metrics(of_seeds))
    per_seed, per_fold = (_each(task, task.metrics(part)) for part in (of_seeds, of_folds))
    return {
        "protocol": dict(conditions.protocol),
        "task": task.name,
        **task.facts(predictions),
        "n_utterances": int(predictions["utterance"].nunique()),
        "n_speakers": _n_speakers(predictions),
        "n_folds": conditions.n_folds,
        "n_seeds": conditions.n_seeds,
        "synthetic": conditions.synthetic,
        "normalization": dict(conditions.normalization),
        "leaks": list(conditions.leaks),
        "adaptation": conditions.adaptation,
        "complete": n_done == n_planned,
        "folds_done": f"{n_done}/{n_planned}",
        "metrics": {"ccc": {}, **_entry(task, metrics)},
        "mean_over_folds": _entry(task, _over_folds(folds, task.metrics(of_folds)), task.fold_scores),
        "interval": _interval(task, groups, sums),
        "paper": task.paper_scores(conditions.paper["results"] if conditions.paper else {}),
        "per_corpus": {
            str(corpus): {
                "n": int(rows["utterance"].nunique()),
                "n_speakers": _n_speakers(rows),
                **_entry(task, _over_seeds(task.metrics(added(part, of_part, ["seed"])[1]))),
                "interval": _interval(task, part, of_part),
            }
            for corpus, rows in predictions.groupby("corpus")
            for part, of_part in [_selected(groups, sums, groups["corpus"] == corpus)]
        },
        "per_seed": [{"seed": int(seed), **entry} for seed, entry in zip(seeds["seed"], per_seed, strict=True)],
        "per_fold": [
            {"seed": int(seed), "fold": int(fold), "n": int(n), **entry}
            for seed, fold, n, entry in zip(folds["seed"], folds["fold"], n_of_fold, per_fold, strict=True)
        ],
        "per_speaker": _per_speaker(task, predictions, groups, sums),
    }


def speaker_bootstrap(
    predictions: pd.DataFrame, task: Task, n_resamples: int = N_RESAMPLES, level: float = LEVEL, seed: int = 0
) -> dict[str, Any]:
    """Percentile intervals when speakers are drawn anew (cluster bootstrap, Efron & Tibshirani 1993).

    Each resample draws as many speakers as there are, with replacement, and takes all rows of each one drawn; the
    metrics are pooled over folds and averaged over seeds, like the point estimates. A class that a resample lacks does
    not count in its UA, as in `unweighted_average_recall`. The interval tells of other speakers from the same
    population, not of another training; with few speakers it is too narrow rather than too wide.

    Args:
        predictions: table with the columns corpus, speaker and seed, and those of the task's answers.
        task: what the answers are.
        n_resamples: number of resamples.
        level: probability that the interval is to cover.
        seed: seed of the resampling; the order of the rows does not matter.

    Returns:
        Metric -> [low, high], or output -> [low, high] for a metric of each output; None where there are fewer than
        three speakers or a speaker who is unknown ("").

    Example:
        >>> speakers = ["a", "b", "c", "d"]
        >>> rows = [(s, "anger", "anger" if s < "c" else "fear") for s in speakers]
        >>> table = pd.DataFrame(rows, columns=["speaker", "truth", "predicted"]).assign(corpus="x", seed=0)
        >>> speaker_bootstrap(table, Classes("emotion", ("anger", "fear")))["ua"]
        [0.0, 1.0]
    """
    return _bootstrap(task, *task.sums(predictions, ["seed", *SPEAKER]), n_resamples, level, seed)


def _bootstrap(
    task: Task, groups: pd.DataFrame, sums: Array, n_resamples: int = N_RESAMPLES, level: float = LEVEL, seed: int = 0
) -> dict[str, Any]:
    """Intervals of `task.interval_scores` from the sums of speakers, in the shape of `_entry`."""
    arranged = by_seed(groups, sums, SPEAKER)  # (seed, speaker, ...)
    is_possible = arranged.shape[1] >= MIN_SPEAKERS and (groups["speaker"] != "").all()
    draws = draw_groups(arranged.shape[1], n_resamples if is_possible else 1, seed).astype(float)
    resampled = np.einsum("rg,sg...->sr...", draws, arranged, optimize=True)
    found = _over_seeds(task.metrics(resampled))  # of a partial run a seed may have no utterance in a resample

    def interval(bounds: Array) -> Interval:
        return None if not is_possible or np.isnan(bounds[0]) else [float(value) for value in bounds]

    intervals: dict[str, Any] = {}
    for name in task.interval_scores:
        bounds = percentiles(found[name], level)
        if bounds.ndim == 1:
            intervals[name] = interval(bounds)
        else:
            intervals[name] = {output: interval(of) for output, of in zip(task.outputs, bounds, strict=True)}
    return intervals


def _interval(task: Task, groups: pd.DataFrame, sums: Array) -> dict[str, Any]:
    return {**_bootstrap(task, groups, sums), "method": METHOD, "level": LEVEL}


def _selected(groups: pd.DataFrame, sums: Array, rows: pd.Series) -> tuple[pd.DataFrame, Array]:
    return groups[rows].reset_index(drop=True), sums[rows.to_numpy()]


def _over_seeds(metrics: Mapping[str, Array]) -> dict[str, Array]:
    """The mean of each metric over the first axis, of those that are defined."""
    return {name: mean_of_defined(np.moveaxis(values, 0, -1)) for name, values in metrics.items()}


def _over_folds(folds: pd.DataFrame, metrics: Mapping[str, Array]) -> dict[str, Array]:
    """The mean of each metric over the folds of a seed, then over seeds."""
    places = [rows.index.to_numpy() for _, rows in folds.groupby("seed")]
    of_seeds = [_over_seeds({name: values[place] for name, values in metrics.items()}) for place in places]
    return _over_seeds({name: np.stack([one[name] for one in of_seeds]) for name in metrics})


def _entry(task: Task, metrics: Mapping[str, Array], names: Sequence[str] | None = None) -> dict[str, Any]:
    """The metrics of one group, (output,) or () each, as JSON values."""
    entry: dict[str, Any] = {}
    for name in metrics if names is None else names:
        values = np.asarray(metrics[name])
        entry[name] = (
            {output: _value(value) for output, value in zip(task.outputs, values, strict=True)}
            if values.ndim
            else _value(values)
        )
    return entry


def _each(task: Task, metrics: Mapping[str, Array]) -> list[dict[str, Any]]:
    """The metrics of groups, (group, output) or (group,) each, an entry a group."""
    n_groups = len(next(iter(metrics.values())))
    return [_entry(task, {name: values[k] for name, values in metrics.items()}) for k in range(n_groups)]


def _value(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)


def _n_speakers(predictions: pd.DataFrame) -> int:
    known = predictions[predictions["speaker"] != ""]
    return len(known[list(SPEAKER)].drop_duplicates())


def _per_speaker(task: Task, predictions: pd.DataFrame, groups: pd.DataFrame, sums: Array) -> dict[str, Any]:
    """Speaker -> n and the metrics of its rows; rows of unknown speakers are left out."""
    n_of = predictions.groupby(speaker_names(predictions))["utterance"].nunique()
    groups = groups.assign(name=speaker_names(groups))
    known, of_known = _selected(groups, sums, groups["name"] != "")
    if known.empty:
        return {}
    rows, of_rows = added(known, of_known, ["name", "seed"])
    metrics = task.metrics(of_rows)
    entries = {}
    for name, own in rows.groupby("name"):
        mean = _over_seeds({key: values[own.index] for key, values in metrics.items()})
        entries[str(name)] = {"n": int(n_of[name]), **_entry(task, mean, task.speaker_scores)}
    return entries
