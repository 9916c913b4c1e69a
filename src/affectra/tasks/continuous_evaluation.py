"""From predictions over time to scores.json: each number can be recomputed from predictions.csv alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from affectra.errors import CheckpointError
from affectra.files import read_json
from affectra.metrics import agreement_of_sums, mean_of_defined, moment_sums
from affectra.tasks.continuous_predictions import PREDICTED, TRUTH, check_frames
from affectra.tasks.evaluation import LEVEL, speaker_names
from affectra.tasks.statistics import MIN_SPEAKERS, N_RESAMPLES

METRICS = ("ccc", "ccc_avec", "pearson", "rmse", "ccc_per_recording")
RECORDING = ("seed", "fold", "corpus", "speaker", "utterance")
N_SUMS = 8  # of `moment_sums`, then the sum of recordings' CCCs and how many have one
Array = npt.NDArray[np.float64]


def is_over_time(folder: str | Path) -> bool:
    """Whether a run directory has scores over time; what is no run is none.

    Raises:
        CheckpointError: a scores.json that cannot be read.
    """
    path = Path(folder) / "scores.json"
    try:
        return path.is_file() and "dimensions" in read_json(path)
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{path}: not the scores of a run; --resume writes them anew") from error


def evaluate_continuous(
    predictions: pd.DataFrame,
    dimensions: Sequence[str],
    *,
    task: str,
    protocol: Mapping[str, Any],
    n_folds: int,
    n_seeds: int,
    paper: Mapping[str, Any] | None,
    synthetic: bool,
    normalization: Mapping[str, Any],
    leaks: Sequence[str],
    adaptation: str = "none",
) -> dict[str, Any]:
    """The content of scores.json of a run over time-continuous labels.

    The CCC of a dimension is that of all known frames of all test recordings together, as the organisers of the
    challenges on SEWA score; it is computed for each seed and averaged over seeds. `ccc_avec` is their formula
    (`metrics.concordance_cc_avec`). `ccc_per_recording` is the mean over recordings of each one's own CCC, which
    says how well a model follows a person and not how well it tells people apart; recordings whose truth never varies
    have none and do not count. `mean_ccc` is the mean over dimensions.

    Args:
        predictions: one row per frame and seed, see `continuous_predictions`.
        dimensions: in the order to show them.
        task: the task's name.
        protocol: name, version, hash and speaker_independent.
        n_folds: folds of the protocol, done or not.
        n_seeds: seeds of the recipe, done or not.
        paper: the recipe's published result, with ccc_<dimension> under `results`, if it has one.
        synthetic: whether speech in the test parts is synthetic.
        normalization: "mode", and "transductive": whether it used unlabelled test recordings together.
        leaks: kinds of leakage that the audit found and the run was allowed.
        adaptation: "unlabelled test audio" where training heard test recordings without their labels, else "none".

    Raises:
        CheckpointError: the predictions are not valid.
    """
    check_frames(predictions, dimensions)
    recordings, sums = _recordings(predictions, dimensions)
    seeds, by_seed = _added(recordings, sums, ["seed"])
    folds, by_fold = _added(recordings, sums, ["seed", "fold"])
    n_done, n_planned = len(folds), n_folds * n_seeds
    if n_done > n_planned:
        raise CheckpointError(f"predictions: {n_done} folds over all seeds, expected {n_planned} or fewer")
    results = paper["results"] if paper else {}
    counts = recordings.assign(n=1).groupby(["seed", "fold"])["n"].sum().to_numpy()
    return {
        "protocol": dict(protocol),
        "task": task,
        "classes": [],
        "dimensions": list(dimensions),
        "n_utterances": int(recordings["utterance"].nunique()),
        "n_frames": _n_frames(predictions, dimensions),
        "n_speakers": _n_speakers(recordings),
        "n_folds": n_folds,
        "n_seeds": n_seeds,
        "synthetic": synthetic,
        "normalization": dict(normalization),
        "leaks": list(leaks),
        "adaptation": adaptation,
        "complete": n_done == n_planned,
        "folds_done": f"{n_done}/{n_planned}",
        "metrics": _entry(_over_seeds(by_seed), dimensions),
        "mean_over_folds": _entry(_mean_over_folds(folds, by_fold), dimensions),
        "interval": _interval(recordings, sums, dimensions),
        "paper": {"ccc": {name: results.get(f"ccc_{name}") for name in dimensions}},
        "per_corpus": {
            str(corpus): {
                "n": int(rows["utterance"].nunique()),
                "n_speakers": _n_speakers(rows),
                **_entry(_over_seeds(_added(rows, sums[rows.index], ["seed"])[1]), dimensions),
                "interval": _interval(rows, sums[rows.index], dimensions),
            }
            for corpus, rows in recordings.groupby("corpus")
        },
        "per_seed": [
            {"seed": int(row["seed"]), **_entry(_metrics(by_seed[k]), dimensions)}
            for k, row in seeds.iterrows()
            if isinstance(k, int)
        ],
        "per_fold": [
            {
                "seed": int(row["seed"]),
                "fold": int(row["fold"]),
                "n": int(counts[k]),
                **_entry(_metrics(by_fold[k]), dimensions),
            }
            for k, row in folds.iterrows()
            if isinstance(k, int)
        ],
        "per_speaker": _per_speaker(recordings, sums, dimensions),
    }


def recording_scores(predictions: pd.DataFrame, dimensions: Sequence[str]) -> dict[str, dict[str, float | None]]:
    """The CCC of each recording and dimension, averaged over seeds; None where its truth is not known or never varies.

    Args:
        predictions: as of `continuous_predictions`.
        dimensions: in the order to show them.
    """
    recordings, sums = _recordings(predictions, dimensions)
    return {
        str(name): _named(_over_seeds(sums[rows.index])["ccc_per_recording"], dimensions)
        for name, rows in recordings.groupby("utterance")
    }


def group_sums(predictions: pd.DataFrame, dimensions: Sequence[str], by: Sequence[str]) -> Array:
    """What the frames of each group add to the sums of `metrics.moment_sums`: (seed, group, dimension, 6).

    Args:
        predictions: as of `continuous_predictions`.
        dimensions: in the order of the result.
        by: columns of `RECORDING` whose values make a group; groups are sorted by them.
    """
    groups, added = _added(*_recordings(predictions, dimensions), ["seed", *by])
    place = groups.groupby(list(by)).ngroup().to_numpy()
    seed = groups.groupby("seed").ngroup().to_numpy()
    sums = np.zeros((seed.max() + 1, place.max() + 1, len(dimensions), 6))
    sums[seed, place] = added[..., :6]
    return sums


def bootstrap_sums(sums: Array, *, level: float = LEVEL, n_resamples: int = N_RESAMPLES, seed: int = 0) -> Array | None:
    """Percentile intervals when speakers are drawn anew (cluster bootstrap), as `statistics.speaker_bootstrap`.

    Args:
        sums: (seed, speaker, dimension, 8), what each speaker's frames add to the metrics.
        level: probability that the interval is to cover.
        n_resamples: number of resamples.
        seed: seed of the resampling.

    Returns:
        (metric, dimension + 1, 2): low and high for each of `METRICS` and dimension, and last for the mean over
        dimensions; NaN where there is nothing known. None where there are fewer than three speakers.
    """
    n_speakers = sums.shape[1]
    if n_speakers < MIN_SPEAKERS:
        return None
    draws = np.random.default_rng(seed).multinomial(n_speakers, np.full(n_speakers, 1 / n_speakers), size=n_resamples)
    resampled = np.einsum("rs,tsdk->trdk", draws.astype(float), sums, optimize=True)
    of_metrics = np.stack(list(_over_seeds(resampled).values()))  # (metric, resample, dimension)
    values = np.concatenate([of_metrics, mean_of_defined(of_metrics)[..., None]], axis=-1)
    intervals = np.full((*values.shape[::2], 2), np.nan)
    tails = [(1 - level) / 2, (1 + level) / 2]
    for place in np.ndindex(*intervals.shape[:2]):
        defined = values[place[0], :, place[1]]
        defined = defined[~np.isnan(defined)]
        if len(defined):
            intervals[place] = np.quantile(defined, tails)
    return intervals


def _recordings(predictions: pd.DataFrame, dimensions: Sequence[str]) -> tuple[pd.DataFrame, Array]:
    """A row per recording and seed with the columns `RECORDING`, and (row, dimension, N_SUMS)."""
    grouped = predictions.groupby(list(RECORDING), sort=True)
    group = grouped.ngroup().to_numpy()
    first = np.unique(group, return_index=True)[1]
    recordings = predictions[list(RECORDING)].iloc[first].reset_index(drop=True)
    sums = np.zeros((len(recordings), len(dimensions), N_SUMS))
    for k, name in enumerate(dimensions):
        truth = predictions[TRUTH + name].to_numpy(dtype=float)
        guesses = predictions[PREDICTED + name].to_numpy(dtype=float)
        known = truth[~np.isnan(truth)]
        shift = known.mean() if len(known) else 0.0  # agreement does not change, and sums round less about zero
        frames = moment_sums(truth - shift, guesses - shift)
        for i in range(frames.shape[1]):
            sums[:, k, i] = np.bincount(group, weights=frames[:, i], minlength=len(recordings))
    n, total, squares = np.maximum(sums[..., 0], 1), sums[..., 1], sums[..., 3]
    varies = squares / n - (total / n) ** 2 > 1e-12 * squares / n
    sums[..., 6] = np.where(varies, np.nan_to_num(agreement_of_sums(sums[..., :6])["ccc"]), 0.0)
    sums[..., 7] = varies
    return recordings, sums


def _added(recordings: pd.DataFrame, sums: Array, by: list[str]) -> tuple[pd.DataFrame, Array]:
    """The groups of recordings, a row each, and (group, dimension, N_SUMS)."""
    group = recordings.groupby(by).ngroup().to_numpy()
    first = np.unique(group, return_index=True)[1]
    added = np.zeros((len(first), *sums.shape[1:]))
    np.add.at(added, group, sums)
    return recordings[by].iloc[first].reset_index(drop=True), added


def _metrics(sums: Array) -> dict[str, Array]:
    """`METRICS` of (..., N_SUMS); NaN where nothing is known."""
    own = np.divide(sums[..., 6], sums[..., 7], out=np.full(sums.shape[:-1], np.nan), where=sums[..., 7] > 0)
    return {**agreement_of_sums(sums[..., :6]), "ccc_per_recording": own}


def _over_seeds(sums: Array) -> dict[str, Array]:
    """The mean of each metric over the first axis, of those that are defined."""
    return {name: mean_of_defined(np.moveaxis(values, 0, -1)) for name, values in _metrics(sums).items()}


def _mean_over_folds(folds: pd.DataFrame, by_fold: Array) -> dict[str, Array]:
    """The mean of each metric over folds, then over seeds."""
    parts = [_over_seeds(by_fold[rows.index]) for _, rows in folds.groupby("seed")]
    return {name: mean_of_defined(np.stack([part[name] for part in parts], axis=-1)) for name in METRICS}


def _named(values: Array, dimensions: Sequence[str]) -> dict[str, float | None]:
    return {name: _value(value) for name, value in zip(dimensions, values, strict=True)}


def _value(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)


def _entry(metrics: Mapping[str, Array], dimensions: Sequence[str]) -> dict[str, Any]:
    """The metrics of one group, (dimension,) each, as JSON values."""
    named: dict[str, Any] = {name: _named(metrics[name], dimensions) for name in METRICS}
    return {**named, "mean_ccc": _value(mean_of_defined(metrics["ccc"]))}


def _interval(recordings: pd.DataFrame, sums: Array, dimensions: Sequence[str]) -> dict[str, Any]:
    """[low, high] of each metric and dimension, or None, in the shape of `_entry`."""
    groups, added = _added(recordings, sums, ["seed", "corpus", "speaker"])
    found = None
    if (groups["speaker"] != "").all():
        speakers = groups.groupby(["corpus", "speaker"]).ngroup().to_numpy()
        by_seed = np.zeros((groups["seed"].nunique(), speakers.max() + 1, *added.shape[1:]))
        by_seed[groups.groupby("seed").ngroup().to_numpy(), speakers] = added
        found = bootstrap_sums(by_seed)
    intervals: dict[str, Any] = {
        name: {
            dimension: None if found is None or np.isnan(found[m, k, 0]) else found[m, k].tolist()
            for k, dimension in enumerate(dimensions)
        }
        for m, name in enumerate(METRICS)
    }
    mean = None if found is None or np.isnan(found[0, -1, 0]) else found[0, -1].tolist()
    return {**intervals, "mean_ccc": mean, "method": "bootstrap over speakers", "level": LEVEL}


def _n_speakers(recordings: pd.DataFrame) -> int:
    known = recordings[recordings["speaker"] != ""]
    return len(known[["corpus", "speaker"]].drop_duplicates())


def _n_frames(predictions: pd.DataFrame, dimensions: Sequence[str]) -> int:
    """Frames of which the truth of some dimension is known, each counted once however many seeds there are."""
    known = predictions[[TRUTH + name for name in dimensions]].notna().any(axis=1)
    return len(predictions.loc[known, ["utterance", "time"]].drop_duplicates())


def _per_speaker(recordings: pd.DataFrame, sums: Array, dimensions: Sequence[str]) -> dict[str, Any]:
    """Speaker -> n, ccc and mean_ccc; recordings of unknown speakers are nobody's."""
    names = speaker_names(recordings)
    entries = {}
    for name, rows in recordings[names != ""].groupby(names[names != ""]):
        entry = _entry(_over_seeds(_added(rows, sums[rows.index], ["seed"])[1]), dimensions)
        entries[str(name)] = {"n": int(rows["utterance"].nunique()), "ccc": entry["ccc"], "mean_ccc": entry["mean_ccc"]}
    return entries
