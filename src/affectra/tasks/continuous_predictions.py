"""The table of predictions of a run over time-continuous labels: a row for each frame of each test recording."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from affectra.errors import CheckpointError
from affectra.files import atomic_path
from affectra.tasks.traces.table import Trace

COLUMNS = ("utterance", "corpus", "speaker", "seed", "fold", "time")  # then truth_<dimension>, predicted_<dimension>
NAMES = ("utterance", "corpus", "speaker")
TRUTH, PREDICTED = "truth_", "predicted_"


def recording_rows(
    trace: Trace,
    predicted: npt.NDArray[np.floating],
    dimensions: Sequence[str],
    *,
    utterance: str,
    corpus: str,
    speaker: str,
    seed: int,
    fold: int,
) -> pd.DataFrame:
    """The rows of one test recording.

    Args:
        trace: its labels as given, not moved by a delay.
        predicted: (frame, dimension) at the same times; what is longer than the labels is cut off.
        dimensions: names of the columns of both.
        utterance: its key, unique in the run.
        corpus: its corpus.
        speaker: "" where unknown.
        seed: of the training.
        fold: of the training.

    Raises:
        CheckpointError: fewer frames were predicted than there are labels.
    """
    if len(predicted) < len(trace):
        raise CheckpointError(
            f"{utterance}: {len(predicted)} frames predicted, labels for {len(trace)}; expected as many"
        )
    columns: dict[str, Any] = {
        "utterance": utterance, "corpus": corpus, "speaker": speaker, "seed": seed, "fold": fold, "time": trace.times,
    }  # fmt: skip
    for k, dimension in enumerate(dimensions):
        columns[TRUTH + dimension] = trace.with_gaps[:, k]
    for k, dimension in enumerate(dimensions):
        columns[PREDICTED + dimension] = np.asarray(predicted[: len(trace), k], dtype=float)
    return pd.DataFrame(columns)


def dimensions_of(predictions: pd.DataFrame, source: str = "predictions") -> list[str]:
    """The dimensions of a table of predictions, in the order of its columns.

    Raises:
        CheckpointError: a column is missing.
    """
    missing = [column for column in COLUMNS if column not in predictions]
    names = [column.removeprefix(TRUTH) for column in map(str, predictions) if column.startswith(TRUTH)]
    missing += [PREDICTED + name for name in names if PREDICTED + name not in predictions]
    if missing or not names:
        raise CheckpointError(
            f"{source}: column(s) missing: {', '.join(missing or ['truth_<dimension>'])}; expected "
            f"{', '.join(COLUMNS)}, truth_<dimension>..., predicted_<dimension>..."
        )
    return names


def check_frames(predictions: pd.DataFrame, dimensions: Sequence[str]) -> None:
    """Raise unless a table of predictions over time can be evaluated.

    It needs a finite prediction in each row (the truth may be unknown, NaN), each time of a recording once per seed,
    and each recording in one fold per seed.

    Raises:
        CheckpointError: naming the row (as numbered in the CSV file) and what is wrong with it.
    """
    found = dimensions_of(predictions)
    if sorted(found) != sorted(dimensions):
        raise CheckpointError(f"predictions: of {', '.join(found)}; expected {', '.join(dimensions)}")
    if predictions.empty:
        raise CheckpointError("predictions: no rows; expected one for each frame of each test recording and seed")
    for column in COLUMNS:
        _refuse(predictions[column].isna().to_numpy(), f"{column} is empty")
    for dimension in dimensions:
        guesses = predictions[PREDICTED + dimension].to_numpy(dtype=float)
        _refuse(~np.isfinite(guesses), f"{PREDICTED}{dimension} is no finite number; every frame needs a prediction")
        truth = predictions[TRUTH + dimension].to_numpy(dtype=float)
        _refuse(np.isinf(truth), f"{TRUTH}{dimension} is infinite; expected a number, or nothing where not known")
    doubled = predictions.duplicated(["seed", "utterance", "time"]).to_numpy()
    _refuse(doubled, "the same time of the same recording stands there twice for its seed")
    recordings = predictions[["seed", "utterance", *COLUMNS[1:3], "fold"]].drop_duplicates()
    split = recordings.duplicated(["seed", "utterance"]).to_numpy()
    if split.any():
        name = recordings["utterance"].iloc[np.flatnonzero(split)[0]]
        raise CheckpointError(
            f"predictions: {name}: of two folds, corpora or speakers in one seed; expected one of each"
        )


def write_frames(predictions: pd.DataFrame, path: str | Path) -> None:
    """Write predictions as CSV, atomically; the same rows give the same bytes, unknown truth is empty.

    Numbers are written with all their digits, so that reading them back gives them exactly.

    Raises:
        CheckpointError: a column is missing.
    """
    names = dimensions_of(predictions, str(path))
    numbers = [prefix + name for prefix in (TRUTH, PREDICTED) for name in names]
    table = predictions[[*COLUMNS, *numbers]].astype(dict.fromkeys(("time", *numbers), "float64"))
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n", encoding="utf-8", na_rep="")


def read_frames(path: str | Path) -> pd.DataFrame:
    """Read predictions as `write_frames` writes them; ids such as 007 and NA stay text.

    Raises:
        CheckpointError: no such file, a column is missing, or a number is not one.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; `affectra run` writes it")
    try:
        predictions = pd.read_csv(path, dtype=str, na_filter=False)
        for column in (name for name in predictions if name not in NAMES):
            texts = predictions[column].to_numpy(dtype=object).tolist()  # many times faster than a series
            if column in ("seed", "fold"):
                predictions[column] = np.array([int(text) for text in texts])
            else:  # by Python's float, exact in every version of pandas
                predictions[column] = np.array([float(text) if text else np.nan for text in texts])
    except ValueError as error:  # pandas' parser errors and undecodable bytes are ValueErrors
        raise CheckpointError(f"{path}: not a readable table: {str(error).splitlines()[0]}") from error
    dimensions_of(predictions, str(path))
    return predictions


def _refuse(rows: npt.NDArray[np.bool_], problem: str) -> None:
    """Raise for the first of these rows."""
    found = np.flatnonzero(rows)
    if len(found):
        raise CheckpointError(f"predictions: row {found[0] + 2}: {problem}")
