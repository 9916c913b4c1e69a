"""Intervals that know utterances of one speaker are not independent: the bootstrap over speakers."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from affectra.metrics import confusion_metrics, mean_of_defined

MIN_SPEAKERS = 3  # ours: two speakers give three different resamples, too few to speak of an interval
Interval = list[float] | None  # [low, high]


def speaker_bootstrap(
    predictions: pd.DataFrame,
    classes: Sequence[str],
    n_resamples: int = 2000,
    level: float = 0.95,
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
