"""Intervals and tests that know utterances of a speaker are not independent: speakers are drawn or exchanged whole."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from affectra.metrics import confusion_metrics, mean_of_defined

MIN_SPEAKERS = 3  # ours: two speakers give three different resamples, too few to speak of an interval
N_RESAMPLES = 2000
LEVEL = 0.95
MAX_EXACT = 12  # speakers: up to 4096 exchanges are all done
N_RANDOM = 10_000  # exchanges that are drawn where there are more
Interval = list[float] | None  # [low, high]


def speaker_bootstrap(
    predictions: pd.DataFrame,
    classes: Sequence[str],
    n_resamples: int = N_RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> dict[str, Interval]:
    """Percentile intervals of WA, UA and F1 when speakers are drawn anew (cluster bootstrap, Efron & Tibshirani 1993).

    Each resample draws as many speakers as there are, with replacement, and takes all utterances of each one drawn;
    the metrics are pooled over folds and averaged over seeds, like the point estimates. A class that a resample
    lacks does not count in its UA, as in `unweighted_average_recall`. The interval tells of other speakers from the
    same population, not of another training; with few speakers it is too narrow rather than too wide.

    Args:
        predictions: table with the columns corpus, speaker, seed, truth, predicted.
        classes: the classes of truth and predicted.
        n_resamples: number of resamples.
        level: probability that the interval is to cover.
        seed: seed of the resampling; the order of the rows does not matter.

    Returns:
        `wa`, `ua`, `macro_f1` and `weighted_f1`, each [low, high] as fractions, or None where there are fewer than
        three speakers or an utterance whose speaker is unknown ("").

    Example:
        >>> speakers = ["a", "b", "c", "d"]
        >>> rows = [(s, "anger", "anger" if s < "c" else "fear") for s in speakers]
        >>> table = pd.DataFrame(rows, columns=["speaker", "truth", "predicted"]).assign(corpus="x", seed=0)
        >>> speaker_bootstrap(table, ["anger", "fear"])["ua"]
        [0.0, 1.0]
    """
    groups, matrices = grouped_confusion(predictions, classes, ["seed", "corpus", "speaker"])
    speakers = groups.groupby(["corpus", "speaker"]).ngroup().to_numpy()
    n_speakers = speakers.max() + 1
    if n_speakers < MIN_SPEAKERS or (groups["speaker"] == "").any():
        return dict.fromkeys(confusion_metrics(matrices))
    by_seed = np.zeros((groups["seed"].nunique(), n_speakers, *matrices.shape[1:]))
    by_seed[groups.groupby("seed").ngroup().to_numpy(), speakers] = matrices

    draws = np.random.default_rng(seed).multinomial(n_speakers, np.full(n_speakers, 1 / n_speakers), size=n_resamples)
    resampled = np.einsum("rs,tsij->rtij", draws, by_seed, optimize=True)  # (resample, seed, class, class)
    tail = (1 - level) / 2
    intervals: dict[str, Interval] = {}
    for name, values in confusion_metrics(resampled).items():
        of_resamples = mean_of_defined(values)  # over seeds; of a partial run one may have no utterance in a resample
        low, high = np.quantile(of_resamples[~np.isnan(of_resamples)], [tail, 1 - tail])
        intervals[name] = [float(low), float(high)]
    return intervals


def grouped_confusion(
    predictions: pd.DataFrame, classes: Sequence[str], by: Sequence[str]
) -> tuple[pd.DataFrame, npt.NDArray[np.int64]]:
    """A confusion matrix for each group of rows.

    Args:
        predictions: table with the columns truth, predicted and `by`.
        classes: the classes of truth and predicted.
        by: columns whose values make a group.

    Returns:
        The groups, sorted, one row each with the columns `by`; and (group, class, class), counts, row = truth.

    Example:
        >>> table = pd.DataFrame({"fold": [1, 0], "truth": ["anger", "fear"], "predicted": ["fear", "fear"]})
        >>> groups, matrices = grouped_confusion(table, ["anger", "fear"], ["fold"])
        >>> groups["fold"].tolist(), matrices.tolist()
        ([0, 1], [[[0, 0], [0, 1]], [[0, 1], [0, 0]]])
    """
    index = pd.Index(list(classes))
    truth, predicted = (index.get_indexer(pd.Index(predictions[column])) for column in ("truth", "predicted"))
    assert truth.min(initial=0) >= 0, "truth outside the classes: check_predictions comes first"
    assert predicted.min(initial=0) >= 0, "prediction outside the classes: check_predictions comes first"
    group = predictions.groupby(list(by)).ngroup().to_numpy()
    first = np.unique(group, return_index=True)[1]
    groups = predictions[list(by)].iloc[first].reset_index(drop=True)
    matrices = np.zeros((len(groups), len(index), len(index)), dtype=np.int64)
    np.add.at(matrices, (group, truth, predicted), 1)
    return groups, matrices


def difference_interval(
    right_a: npt.NDArray[np.floating], right_b: npt.NDArray[np.floating], counts: npt.NDArray[np.integer], seed: int = 0
) -> dict[str, Interval]:
    """Percentile intervals of UA and WA of one model less those of another when speakers are drawn anew.

    As `speaker_bootstrap`, with the same draws for both, so what is easy or hard in a speaker is so for both.

    Args:
        right_a: (speaker, class), how many utterances the one has right, averaged over its seeds.
        right_b: the same of the other.
        counts: (speaker, class), how many there are.
        seed: seed of the resampling.

    Returns:
        `ua` and `wa`, each [low, high], or None where there are fewer than three speakers.
    """
    n_speakers = len(counts)
    if n_speakers < MIN_SPEAKERS:
        return {"ua": None, "wa": None}
    rng = np.random.default_rng(seed)
    draws = rng.multinomial(n_speakers, np.full(n_speakers, 1 / n_speakers), size=N_RESAMPLES)
    resampled = draws @ counts  # (resample, class)
    more = draws @ (right_a - right_b)
    there = resampled > 0
    ua = mean_of_defined(np.divide(more, resampled, out=np.full(more.shape, np.nan), where=there))
    tails = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    intervals = {"ua": np.quantile(ua, tails), "wa": np.quantile(more.sum(1) / resampled.sum(1), tails)}
    return {name: [float(low), float(high)] for name, (low, high) in intervals.items()}


def exchange_test(differences: npt.NDArray[np.floating], seed: int = 0) -> float:
    """Two-sided p of a sum of differences between two models, one a speaker, were it chance which model is which.

    Under that null the predictions of both for a speaker may be exchanged, which turns the sign of the speaker's
    difference (paired permutation test over clusters). p is the share of exchanges whose sum is as far from zero as the
    one seen, or farther: of all of them up to 12 speakers, else of 10,000 drawn at random, the one seen counted as one
    more (Phipson & Smyth 2010).

    Args:
        differences: (speaker,).
        seed: seed of the drawing.

    Example:
        >>> exchange_test(np.array([0.1, 0.2, 0.1, 0.3, 0.1]))  # all alike: 2 of 2^5 exchanges are as far
        0.0625
    """
    n_speakers = len(differences)
    seen = abs(differences.sum())
    rounding = 1e-12 * np.abs(differences).sum()
    if n_speakers <= MAX_EXACT:
        patterns = np.arange(2**n_speakers)[:, None] >> np.arange(n_speakers) & 1
        return float(np.mean(np.abs((1 - 2 * patterns) @ differences) >= seen - rounding))
    rng = np.random.default_rng(seed)
    n_as_far = 0
    for _ in range(10):  # in parts, for memory
        signs = 1 - 2 * rng.integers(0, 2, (N_RANDOM // 10, n_speakers), dtype=np.int8)
        n_as_far += int(np.sum(np.abs(signs @ differences) >= seen - rounding))
    return (n_as_far + 1) / (N_RANDOM + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values of several tests, so corrected that one family of true nulls in 20 has one below 0.05 (Holm 1979).

    The smallest of m is multiplied by m, the next one by m - 1 and so on; none falls below a smaller one or exceeds 1.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = highest
    return corrected
