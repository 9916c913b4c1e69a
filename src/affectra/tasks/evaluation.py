"""From a table of predictions to scores.json: each number can be recomputed from predictions.csv alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from affectra.errors import CheckpointError
from affectra.files import atomic_path
from affectra.metrics import confusion_metrics, confusion_recall
from affectra.registry import unknown_name
from affectra.tasks.statistics import grouped_confusion, speaker_bootstrap

COLUMNS = ("utterance", "corpus", "speaker", "seed", "fold", "truth", "predicted")  # then score_<class>...
NUMBERS = ("seed", "fold")
METRICS = ("wa", "ua", "macro_f1", "weighted_f1")
LEVEL = 0.95


def evaluate(
    predictions: pd.DataFrame,
    classes: Sequence[str],
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
    """The content of scores.json.

    Each metric is computed for each seed on the utterances of all its folds together and then averaged over seeds;
    `mean_over_folds` averages over folds first. All are fractions. A class that a group of utterances lacks has the
    recall None there and does not count in the group's UA.

    Args:
        predictions: one row per test utterance and seed, see `check_predictions`.
        classes: the classes of the task, in the order to show them.
        task: the task's name.
        protocol: name, version, hash and speaker_independent.
        n_folds: folds of the protocol, done or not.
        n_seeds: seeds of the recipe, done or not.
        paper: the recipe's published result, its metrics under `results`, if it has one.
        synthetic: whether speech in the test parts is synthetic.
        normalization: "mode", and "transductive": whether it used unlabelled test utterances together.
        leaks: kinds of leakage that the audit found and the run was allowed.
        adaptation: "unlabelled test audio" where training heard test utterances without their labels, else "none".

    Raises:
        CheckpointError: the predictions are not valid.
    """
    check_predictions(predictions, classes)
    by_seed = _scored(predictions, classes, ["seed"])
    by_fold = _scored(predictions, classes, ["seed", "fold"])
    n_done, n_planned = len(by_fold), n_folds * n_seeds
    if n_done > n_planned:
        raise CheckpointError(f"predictions: {n_done} folds over all seeds, expected {n_planned} or fewer")
    means = by_fold.groupby("seed")[list(METRICS)].mean().mean()
    return {
        "protocol": dict(protocol),
        "task": task,
        "classes": list(classes),
        "n_utterances": int(predictions["utterance"].nunique()),
        "n_speakers": _n_speakers(predictions),
        "n_folds": n_folds,
        "n_seeds": n_seeds,
        "synthetic": synthetic,
        "normalization": dict(normalization),
        "leaks": list(leaks),
        "adaptation": adaptation,
        "complete": n_done == n_planned,
        "folds_done": f"{n_done}/{n_planned}",
        "metrics": {**_entry(by_seed.mean(), classes), "ccc": {}},
        "mean_over_folds": {name: float(means[name]) for name in METRICS},
        "interval": _interval(predictions, classes),
        "paper": {"wa": None, "ua": None, **(paper["results"] if paper else {})},
        "confusion": {
            "classes": list(classes),
            "matrix": grouped_confusion(predictions, classes, ["seed"])[1].sum(axis=0).tolist(),
        },
        "per_corpus": _per_corpus(predictions, classes),
        "per_seed": [{"seed": int(row["seed"]), **_entry(row, classes)} for _, row in by_seed.iterrows()],
        "per_fold": [
            {"seed": int(row["seed"]), "fold": int(row["fold"]), "n": int(row["n"]), **_entry(row, classes)}
            for _, row in by_fold.iterrows()
        ],
        "per_speaker": _per_speaker(predictions, classes),
    }


def speaker_names(predictions: pd.DataFrame) -> pd.Series:
    """The name of each row's speaker: the speaker, or corpus/speaker where there are several corpora; "" if unknown."""
    if predictions["corpus"].nunique() <= 1:
        return predictions["speaker"]
    names = predictions["corpus"] + "/" + predictions["speaker"]
    return names.where(predictions["speaker"] != "", "")


def check_predictions(predictions: pd.DataFrame, classes: Sequence[str]) -> None:
    """Raise unless a table can be evaluated.

    It needs the columns utterance, corpus, speaker ("" if unknown), seed, fold, truth and predicted, no empty cell,
    and each utterance once per seed. Columns score_<class>, where there are any, must be there for each class.

    Raises:
        CheckpointError: naming the row (as numbered in the CSV file) and what is wrong with it.
    """
    _check_columns(predictions, "predictions")
    if predictions.empty:
        raise CheckpointError("predictions: no rows; expected one for each test utterance and seed")
    for column in COLUMNS:
        empty = np.flatnonzero(predictions[column].isna())
        if len(empty):
            raise CheckpointError(f"predictions: row {empty[0] + 2}: {column} is empty")
    for column in ("truth", "predicted"):
        strange = np.flatnonzero(~predictions[column].isin(list(classes)))
        if len(strange):
            value = str(predictions[column].iloc[strange[0]])
            raise CheckpointError(
                f"predictions: row {strange[0] + 2}: {column}: " + unknown_name("class", value, classes)
            )
    doubled = np.flatnonzero(predictions.duplicated(["seed", "utterance"]))
    if len(doubled):
        row = predictions.iloc[doubled[0]]
        raise CheckpointError(
            f"predictions: row {doubled[0] + 2}: the utterance {row['utterance']!r} stands there twice for seed "
            f"{row['seed']}; each is tested once per seed"
        )
    scores = [column for column in map(str, predictions) if column.startswith("score_")]
    expected = [f"score_{name}" for name in classes]
    if scores and sorted(scores) != sorted(expected):
        raise CheckpointError(f"predictions: score columns {', '.join(scores)}; expected {', '.join(expected)}")


def write_predictions(predictions: pd.DataFrame, path: str | Path) -> None:
    """Write predictions as CSV, atomically; the same rows give the same bytes.

    Numbers are written with all their digits, so that reading them back gives them exactly.

    Raises:
        CheckpointError: a column is missing.
    """
    _check_columns(predictions, str(path))
    others = [column for column in predictions if column not in COLUMNS]
    table = predictions[[*COLUMNS, *others]]
    table = table.astype({column: "float64" for column in others if table[column].dtype == np.float32})
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n", encoding="utf-8", na_rep="nan")


def read_predictions(path: str | Path) -> pd.DataFrame:
    """Read predictions as `write_predictions` writes them; ids such as 007 and NA stay text.

    Raises:
        CheckpointError: no such file, a column is missing, or a number is not one.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; `affectra run` writes it")
    try:
        predictions = pd.read_csv(path, dtype=str, na_filter=False)
        for column in predictions:
            if column not in COLUMNS:  # by Python's float, exact in every version of pandas
                predictions[column] = np.array([float(text) for text in predictions[column]])
            elif column in NUMBERS:
                predictions[column] = np.array([int(text) for text in predictions[column]])
    except ValueError as error:  # pandas' parser errors and undecodable bytes are ValueErrors
        raise CheckpointError(f"{path}: not a readable table: {str(error).splitlines()[0]}") from error
    _check_columns(predictions, str(path))
    return predictions


def _check_columns(predictions: pd.DataFrame, source: str) -> None:
    missing = [column for column in COLUMNS if column not in predictions]
    if missing:
        raise CheckpointError(f"{source}: column(s) missing: {', '.join(missing)}; expected {', '.join(COLUMNS)}")


def _scored(predictions: pd.DataFrame, classes: Sequence[str], by: list[str]) -> pd.DataFrame:
    """A row per group: the columns `by`, its number of rows `n`, `METRICS`, and recall_<class> or NaN."""
    groups, matrices = grouped_confusion(predictions, classes, by)
    recall = pd.DataFrame(confusion_recall(matrices), columns=[f"recall_{name}" for name in classes])
    return pd.concat([groups.assign(n=matrices.sum(axis=(1, 2)), **confusion_metrics(matrices)), recall], axis=1)


def _entry(row: pd.Series, classes: Sequence[str]) -> dict[str, Any]:
    """The metrics of a row of `_scored` as JSON values."""
    recall = {name: float(row[f"recall_{name}"]) for name in classes}
    return {
        **{name: float(row[name]) for name in METRICS},
        "recall": {name: None if np.isnan(value) else value for name, value in recall.items()},
    }


def _n_speakers(predictions: pd.DataFrame) -> int:
    known = predictions[predictions["speaker"] != ""]
    return len(known[["corpus", "speaker"]].drop_duplicates())


def _interval(predictions: pd.DataFrame, classes: Sequence[str]) -> dict[str, Any]:
    intervals = speaker_bootstrap(predictions, classes, level=LEVEL)
    return {**intervals, "method": "bootstrap over speakers", "level": LEVEL}


def _per_corpus(predictions: pd.DataFrame, classes: Sequence[str]) -> dict[str, Any]:
    """Corpus -> n, n_speakers, its metrics and their interval."""
    return {
        corpus: {
            "n": int(rows["utterance"].nunique()),
            "n_speakers": _n_speakers(rows),
            **_entry(_scored(rows, classes, ["seed"]).mean(), classes),
            "interval": _interval(rows, classes),
        }
        for corpus, rows in ((str(name), group) for name, group in predictions.groupby("corpus"))
    }


def _per_speaker(predictions: pd.DataFrame, classes: Sequence[str]) -> dict[str, Any]:
    """Speaker -> n, wa, ua, recall; utterances of unknown speakers are nobody's."""
    named = predictions.assign(speaker=speaker_names(predictions))
    named = named[named["speaker"] != ""]
    if named.empty:
        return {}
    scored = _scored(named, classes, ["speaker", "seed"]).groupby("speaker").mean()
    scored["n"] = named.groupby("speaker")["utterance"].nunique()
    entries = {}
    for speaker, row in scored.iterrows():
        entry = _entry(row, classes)
        entries[str(speaker)] = {"n": int(row["n"]), **{name: entry[name] for name in ("wa", "ua", "recall")}}
    return entries
