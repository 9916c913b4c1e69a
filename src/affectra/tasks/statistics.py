"""Intervals and tests that know utterances of a speaker are not independent: speakers are drawn or exchanged whole."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from affectra.metrics import mean_of_defined

MIN_SPEAKERS = 3  # ours: two speakers give three different resamples, too few to speak of an interval
N_RESAMPLES = 2000
LEVEL = 0.95
MAX_EXACT = 12  # speakers: up to 4096 exchanges are all done
N_RANDOM = 10_000  # exchanges that are drawn where there are more
AT_ONCE = 1000  # exchanges computed together, for memory
ROUNDING = 1e-12  # effects nearer to each other than this are equal
Interval = list[float] | None  # [low, high]
Array = npt.NDArray[np.float64]


def score_text(value: float | None) -> str:
    """A score with three digits, "n/a" where there is none.

    Example:
        >>> score_text(0.7123), score_text(None)
        ('0.712', 'n/a')
    """
    return "n/a" if value is None else f"{value:.3f}"


def draw_groups(n_groups: int, n_resamples: int = N_RESAMPLES, seed: int = 0) -> npt.NDArray[np.int64]:
    """Draw as many groups as there are, with replacement, many times: (resample, group), how often each was drawn."""
    uniform = np.full(n_groups, 1 / n_groups)
    return np.random.default_rng(seed).multinomial(n_groups, uniform, size=n_resamples)


def percentiles(values: npt.NDArray[np.floating], level: float = LEVEL) -> Array:
    """Percentile intervals of resampled scores.

    Args:
        values: (resample, ...); NaN where a resample has no score, which does not count.
        level: probability that the interval is to cover.

    Returns:
        (..., 2): low and high, NaN where no resample has a score.
    """
    intervals = np.full((*values.shape[1:], 2), np.nan)
    for place in np.ndindex(*values.shape[1:]):
        of_resamples = values[(slice(None), *place)]
        defined = of_resamples[~np.isnan(of_resamples)]
        if len(defined):
            intervals[place] = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return intervals


def difference_interval(
    right_a: npt.NDArray[np.floating], right_b: npt.NDArray[np.floating], counts: npt.NDArray[np.integer], seed: int = 0
) -> dict[str, Interval]:
    """Percentile intervals of UA and WA of one model less those of another when speakers are drawn anew.

    The draws are the same for both, so what is easy or hard in a speaker is so for both.

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
    draws = draw_groups(n_speakers, seed=seed)
    resampled = draws @ counts  # (resample, class)
    more = draws @ (right_a - right_b)
    there = resampled > 0
    ua = mean_of_defined(np.divide(more, resampled, out=np.full(more.shape, np.nan), where=there))
    intervals = {"ua": percentiles(ua), "wa": percentiles(more.sum(1) / resampled.sum(1))}
    return {name: [float(low), float(high)] for name, (low, high) in intervals.items()}


def exchange_test(effects: Callable[[Array], Array], n_groups: int, seed: int = 0) -> Array:
    """Two-sided p of differences between two models, were it chance which model gave a group's predictions.

    Under that null the predictions of both for a speaker (or another group) may be exchanged (paired permutation test
    over clusters). p is the share of exchanges whose effect is as far from zero as the one seen, or farther: of all of
    them up to 12 groups, else of 10,000 drawn at random, the one seen counted as one more (Phipson & Smyth 2010).

    Args:
        effects: (exchange, group), 1 where a group's predictions change sides -> (exchange, score), the differences.
        n_groups: how many groups there are.
        seed: seed of the drawing.

    Returns:
        (score,)

    Example:
        >>> differences = np.array([0.1, 0.2, 0.1, 0.3, 0.1])  # one a speaker, all alike: 2 of 2^5 exchanges are as far
        >>> exchange_test(lambda exchanged: (1 - 2 * exchanged) @ differences[:, None], 5)
        array([0.0625])
    """
    seen = np.abs(effects(np.zeros((1, n_groups))))[0]
    is_exact = n_groups <= MAX_EXACT
    n_all = 2**n_groups if is_exact else N_RANDOM
    rng = np.random.default_rng(seed)
    n_as_far = np.zeros(len(seen))
    for start in range(0, n_all, AT_ONCE):
        n = min(AT_ONCE, n_all - start)
        if is_exact:
            exchanged = np.arange(start, start + n)[:, None] >> np.arange(n_groups) & 1
        else:
            exchanged = rng.integers(0, 2, (n, n_groups), dtype=np.int8)
        n_as_far += (np.abs(effects(exchanged.astype(float))) >= seen - ROUNDING).sum(0)
    return n_as_far / n_all if is_exact else (n_as_far + 1) / (n_all + 1)


def n_exchanges(n_groups: int) -> int:
    """How many exchanges `exchange_test` does."""
    return int(2**n_groups) if n_groups <= MAX_EXACT else N_RANDOM


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
