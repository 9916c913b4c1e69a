"""The table of predictions of a run: a row for each answer of the test parts, as predictions.csv has it.

Every table names `utterance`, `corpus`, `speaker` ("" where not known), `seed` and `fold`. Answers that are classes
have `truth`, `predicted` and mostly score_<class>; answers that are dimensions have truth_<dimension> (NaN where not
known) and predicted_<dimension>, over time a row for each `time`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from affectra.errors import CheckpointError
from affectra.files import atomic_path
from affectra.tasks.traces.table import Trace

COLUMNS = ("utterance", "corpus", "speaker", "seed", "fold")  # of every table
CLASSES = ("truth", "predicted")
TRUTH, PREDICTED, SCORE = "truth_", "predicted_", "score_"
TIME = "time"  # s
TEXT = ("utterance", "corpus", "speaker", *CLASSES)
WHOLE = ("seed", "fold")


def dimensions_of(predictions: pd.DataFrame) -> list[str]:
    """The dimensions of a table, in the order of its columns; none where its answers are classes.

    Beside classes truth_<dimension> is the side of an auxiliary task.
    """
    if "truth" in predictions:
        return []
    return [column.removeprefix(TRUTH) for column in map(str, predictions) if column.startswith(TRUTH)]


def speaker_names(predictions: pd.DataFrame) -> pd.Series:
    """The name of each row's speaker: the speaker, or corpus/speaker where there are several corpora; "" if unknown."""
    if predictions["corpus"].nunique() <= 1:
        return predictions["speaker"]
    names = predictions["corpus"] + "/" + predictions["speaker"]
    return names.where(predictions["speaker"] != "", "")


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
    """The rows of one test recording whose dimensions are predicted over time.

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
        "utterance": utterance, "corpus": corpus, "speaker": speaker, "seed": seed, "fold": fold, TIME: trace.times,
    }  # fmt: skip
    for k, dimension in enumerate(dimensions):
        columns[TRUTH + dimension] = trace.with_gaps[:, k]
    for k, dimension in enumerate(dimensions):
        columns[PREDICTED + dimension] = np.asarray(predicted[: len(trace), k], dtype=float)
    return pd.DataFrame(columns)


def write_predictions(predictions: pd.DataFrame, path: str | Path) -> None:
    """Write predictions as CSV, atomically; the same rows give the same bytes.

    Numbers are written with all their digits, so that reading them back gives them exactly; an unknown truth of a
    dimension is empty.

    Raises:
        CheckpointError: a column is missing.
    """
    check_columns(predictions, str(path))
    dimensions = dimensions_of(predictions)
    if dimensions:
        times = [TIME] if TIME in predictions else []
        numbers = [*times, *(prefix + name for prefix in (TRUTH, PREDICTED) for name in dimensions)]
        table = predictions[[*COLUMNS, *numbers]].astype(dict.fromkeys(numbers, "float64"))
    else:
        others = [column for column in predictions if column not in (*COLUMNS, *CLASSES)]
        table = predictions[[*COLUMNS, *CLASSES, *others]]
        table = table.astype({column: "float64" for column in others if table[column].dtype == np.float32})
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n", encoding="utf-8", na_rep="" if dimensions else "nan")


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
        for column in (name for name in predictions if name not in TEXT):
            texts = predictions[column].to_numpy(dtype=object).tolist()  # many times faster than a series
            if column in WHOLE:
                predictions[column] = np.array([int(text) for text in texts])
            elif str(column).startswith(TRUTH):
                predictions[column] = np.array([float(text) if text else np.nan for text in texts])
            else:  # by Python's float, exact in every version of pandas
                predictions[column] = np.array([float(text) for text in texts])
    except ValueError as error:  # pandas' parser errors and undecodable bytes are ValueErrors
        raise CheckpointError(f"{path}: not a readable table: {str(error).splitlines()[0]}") from error
    check_columns(predictions, str(path))
    return predictions


def check_columns(predictions: pd.DataFrame, source: str = "predictions") -> None:
    """Raise a `CheckpointError` where a column is missing that every table of its kind has."""
    dimensions = dimensions_of(predictions)
    needed = [*COLUMNS, *([PREDICTED + name for name in dimensions] if dimensions else CLASSES)]
    missing = [column for column in needed if column not in predictions]
    if missing:
        others = "truth_<dimension>..., predicted_<dimension>..." if dimensions else ", ".join(CLASSES)
        raise CheckpointError(
            f"{source}: column(s) missing: {', '.join(missing)}; expected {', '.join(COLUMNS)}, {others}"
        )


def refuse_rows(rows: npt.NDArray[np.bool_], problem: str) -> None:
    """Raise a `CheckpointError` for the first of these rows of a table, numbered as in the CSV file."""
    found = np.flatnonzero(rows)
    if len(found):
        raise CheckpointError(f"predictions: row {found[0] + 2}: {problem}")
