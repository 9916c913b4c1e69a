"""Gold standards: one trace from those of several raters, with how much the raters agree."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from affectra.errors import ConfigError, CorpusError
from affectra.metrics import concordance_cc, mean_of_defined, pearson_cc
from affectra.registry import unknown_name
from affectra.tasks.traces.table import STEP_S, read_traces

Method = Literal["mean", "ewe"]
MIN_FRAMES = 2  # that two raters must share before their agreement is known
AGREEMENT = ("ccc", "pearson")
Array = npt.NDArray[np.floating]


@dataclass(frozen=True)
class GoldStandard:
    """One trace from several raters.

    Attributes:
        values: (frame,), NaN where no rater with a weight rated.
        weights: (rater,), summing to 1.
        agreement: "ccc" and "pearson", the means over all pairs of raters; NaN for one rater.
    """

    values: Array
    weights: Array
    agreement: dict[str, float]


def gold_standard(ratings: Array, method: Method = "ewe") -> GoldStandard:
    """Join the traces of several raters of one recording.

    "mean": all raters count alike. "ewe", the evaluator weighted estimator (Grimm & Kroschel 2005),

        x_t = sum_k r_k x_{k,t} / sum_k r_k,

    where r_k is the correlation of rater k with the mean of the others, 0 if it is negative: who contradicts the others
    does not count. (The original takes the mean of all raters, in which each finds some of itself.) Raters below 0
    leave one by one, the worst first, and no longer count among the others (ours: with three raters, one opposed, the
    other two would else have no one to agree with). Where nobody agrees, or there is one rater, the mean is taken.

    A rater who has not rated a frame does not count in it. Raters with offsets of their own then make steps, so bring
    them to one scale first if they do.

    Args:
        ratings: (rater, frame), NaN where not rated.
        method: "mean" or "ewe".

    Raises:
        ConfigError: another method.
        CorpusError: no rater.

    Example:
        >>> gold_standard(np.array([[0.0, 1.0, 2.0], [0.0, 2.0, 4.0], [1.0, 0.5, 0.0]])).values  # two agree
        array([0. , 1.5, 3. ])
    """
    if method not in get_args(Method):
        raise ConfigError("gold standard: " + unknown_name("method", method, get_args(Method)))
    ratings = np.asarray(ratings, dtype=float)
    if ratings.ndim != 2 or not len(ratings):
        raise CorpusError(
            f"gold standard: ratings of shape {ratings.shape}; expected (rater, frame), one rater or more"
        )
    weights = _agreement_with_others(ratings) if method == "ewe" else np.ones(len(ratings))
    if not weights.any():
        weights = np.ones(len(ratings))
    rated = ~np.isnan(ratings)
    total = (rated * weights[:, None]).sum(axis=0)
    summed = (np.where(rated, ratings, 0.0) * weights[:, None]).sum(axis=0)
    values = np.divide(summed, total, out=np.full(ratings.shape[1], np.nan), where=total > 0)
    return GoldStandard(values, weights / weights.sum(), pairwise_agreement(ratings))


def pairwise_agreement(ratings: Array) -> dict[str, float]:
    """Mean CCC and Pearson's correlation over all pairs of raters, each over the frames that both rated.

    Args:
        ratings: (rater, frame), NaN where not rated.

    Returns:
        `ccc` and `pearson`; NaN where no two raters share frames.
    """
    found: list[tuple[float, float]] = []
    for one, other in combinations(ratings, 2):
        both = ~np.isnan(one) & ~np.isnan(other)
        if both.sum() >= MIN_FRAMES:
            found.append((concordance_cc(one, other, known=both), pearson_cc(one, other, known=both)))
    means = np.mean(found, axis=0) if found else np.full(len(AGREEMENT), np.nan)
    return dict(zip(AGREEMENT, map(float, means), strict=True))


def gold_table(
    raters: pd.DataFrame, dimensions: Sequence[str], method: Method = "ewe", *, step_s: float = STEP_S
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A corpus's table of ratings over time as one of labels; each recording's raters have weights of their own.

    Args:
        raters: columns utterance, rater, time (s) and one a dimension, NaN where not rated.
        dimensions: which columns.
        method: "mean" or "ewe".
        step_s: from frame to frame; raters with other or uneven times are interpolated to it.

    Returns:
        (utterance, time, dimension...), as `read_traces` takes it; and how the raters agree: (utterance, dimension,
        n_raters, ccc, pearson, weights) with the weights as rater -> weight.

    Raises:
        CorpusError: a column is missing, or a rater's times are not valid.
    """
    if "rater" not in raters:
        raise CorpusError("raters: " + unknown_name("column", "rater", map(str, raters.columns)))
    labels, agreement = [], []
    for name, rows in raters.groupby("utterance", sort=False):
        utterance = str(name)
        traces = {
            str(rater): read_traces(part, dimensions, step_s=step_s, source=f"raters: {rater}").by_utterance[utterance]
            for rater, part in rows.assign(utterance=utterance).groupby("rater")
        }
        n_frames = max(map(len, traces.values()))
        ratings = np.full((len(traces), n_frames, len(dimensions)), np.nan)
        for k, trace in enumerate(traces.values()):
            ratings[k, : len(trace)] = trace.with_gaps
        table = pd.DataFrame({"utterance": utterance, "time": np.round(np.arange(n_frames) * step_s, 9)})
        for k, dimension in enumerate(dimensions):
            gold = gold_standard(ratings[:, :, k], method)
            table[dimension] = gold.values
            weights = dict(zip(traces, map(float, gold.weights), strict=True))
            agreement.append((utterance, dimension, len(traces), *gold.agreement.values(), weights))
        labels.append(table)
    if not labels:
        raise CorpusError("raters: no rows; expected one for each recording, rater and time")
    columns = ["utterance", "dimension", "n_raters", *AGREEMENT, "weights"]
    return pd.concat(labels, ignore_index=True), pd.DataFrame(agreement, columns=columns)


def _agreement_with_others(ratings: Array) -> Array:
    """Each rater's correlation with the mean of the others who count, 0 for who does not count: (rater,)."""
    weights, counting = np.zeros(len(ratings)), list(range(len(ratings)))
    while len(counting) > 1:
        found = [_agreement(ratings[k], ratings[[i for i in counting if i != k]]) for k in counting]
        if min(found) >= 0:
            weights[counting] = found
            break
        counting.pop(int(np.argmin(found)))
    return weights


def _agreement(mine: Array, others: Array) -> float:
    """The correlation of one rater with the mean of others, (rater, frame); 0 where they share no frames."""
    mean = mean_of_defined(others.T)
    both = ~np.isnan(mine) & ~np.isnan(mean)
    return pearson_cc(mean, mine, known=both) if both.sum() >= MIN_FRAMES else 0.0
