"""Tasks whose answers are classes: their table of predictions, the confusion matrix, and the scores of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from affectra.errors import CheckpointError
from affectra.metrics import confusion_metrics, confusion_recall
from affectra.registry import unknown_name
from affectra.tasks.tables import CLASSES, COLUMNS, SCORE, check_columns, dimensions_of, refuse_rows
from affectra.tasks.task import Array, Kind, Task

METRICS = ("wa", "ua", "macro_f1", "weighted_f1")
COMPARED = ("ua", "wa")


@dataclass(frozen=True)
class Classes:
    """A task with classes; see `Task` for the members.

    Attributes:
        name: the name on the command line.
        outputs: the classes, in the order of scores and confusion matrices.
    """

    name: str
    outputs: tuple[str, ...]

    kind: ClassVar[Kind] = "classes"
    counted = "utterances"
    keys = ("utterance",)
    truths = ("truth",)
    group_where_unknown = None
    interval_scores = METRICS
    fold_scores = METRICS
    speaker_scores = ("wa", "ua", "recall")

    def check(self, predictions: pd.DataFrame) -> None:
        """Raise a `CheckpointError` unless each utterance stands there once a seed, without an empty cell.

        Columns score_<class>, where there are any, must be there for each class.
        """
        check_columns(predictions)
        if dimensions_of(predictions):
            raise CheckpointError("predictions: of dimensions; expected classes in truth and predicted")
        if predictions.empty:
            raise CheckpointError("predictions: no rows; expected one for each test utterance and seed")
        for column in (*COLUMNS, *CLASSES):
            refuse_rows(predictions[column].isna().to_numpy(), f"{column} is empty")
        for column in CLASSES:
            strange = np.flatnonzero(~predictions[column].isin(list(self.outputs)))
            if len(strange):
                value = str(predictions[column].iloc[strange[0]])
                raise CheckpointError(
                    f"predictions: row {strange[0] + 2}: {column}: " + unknown_name("class", value, self.outputs)
                )
        doubled = np.flatnonzero(predictions.duplicated(["seed", "utterance"]))
        if len(doubled):
            row = predictions.iloc[doubled[0]]
            raise CheckpointError(
                f"predictions: row {doubled[0] + 2}: the utterance {row['utterance']!r} stands there twice for seed "
                f"{row['seed']}; each is tested once per seed"
            )
        scores = [column for column in map(str, predictions) if column.startswith(SCORE)]
        expected = [SCORE + name for name in self.outputs]
        if scores and sorted(scores) != sorted(expected):
            raise CheckpointError(f"predictions: score columns {', '.join(scores)}; expected {', '.join(expected)}")

    def sums(self, predictions: pd.DataFrame, by: Sequence[str]) -> tuple[pd.DataFrame, npt.NDArray[np.int64]]:
        """Count a confusion matrix for each group of rows.

        Args:
            predictions: table with the columns truth, predicted and `by`.
            by: columns whose values make a group.

        Returns:
            The groups, sorted, one row each with the columns `by`; and (group, class, class), counts, row = truth.

        Example:
            >>> table = pd.DataFrame({"fold": [1, 0], "truth": ["anger", "fear"], "predicted": ["fear", "fear"]})
            >>> groups, matrices = Classes("emotion", ("anger", "fear")).sums(table, ["fold"])
            >>> groups["fold"].tolist(), matrices.tolist()
            ([0, 1], [[[0, 0], [0, 1]], [[0, 1], [0, 0]]])
        """
        index = pd.Index(list(self.outputs))
        truth, predicted = (index.get_indexer(pd.Index(predictions[column])) for column in CLASSES)
        assert min(truth.min(initial=0), predicted.min(initial=0)) >= 0, "outside the classes: check comes first"
        group = predictions.groupby(list(by)).ngroup().to_numpy()
        first = np.unique(group, return_index=True)[1]
        matrices = np.zeros((len(first), len(index), len(index)), dtype=np.int64)
        np.add.at(matrices, (group, truth, predicted), 1)
        return predictions[list(by)].iloc[first].reset_index(drop=True), matrices

    def metrics(self, sums: Array) -> dict[str, Array]:
        """Compute `METRICS` (...) and `recall` (..., class) from confusion matrices (..., class, class)."""
        return {**confusion_metrics(sums), "recall": confusion_recall(sums)}

    def compared(self, metrics: Mapping[str, Array]) -> dict[str, Array]:
        """UA and WA."""
        return {name: metrics[name] for name in COMPARED}

    def label_of(self, score: str) -> str:
        """The name of a score for a reader, e.g. UA."""
        return score.upper()

    def common(self, other: Task, pair: str) -> Task:
        """The task itself; a `CheckpointError` where the other is another one, or has other classes."""
        if self.name != other.name:
            raise CheckpointError(f"{pair}: tasks {self.name} and {other.name}; a test needs the same one")
        if set(self.outputs) != set(other.outputs):
            classes = [", ".join(task.outputs) for task in (self, other)]
            raise CheckpointError(f"{pair}: classes {classes[0]} and {classes[1]}; a test needs the same ones")
        return self

    def facts(self, predictions: pd.DataFrame) -> dict[str, Any]:
        """The confusion matrix of all rows, under "confusion"."""
        matrix = self.sums(predictions.assign(all=0), ["all"])[1][0]
        return {"classes": list(self.outputs), "confusion": {"classes": list(self.outputs), "matrix": matrix.tolist()}}

    def paper_scores(self, results: Mapping[str, Any]) -> dict[str, Any]:
        """The published numbers, `wa` and `ua` always among them."""
        return {"wa": None, "ua": None, **results}

    def results(self, scores: Mapping[str, Any]) -> list[str]:
        """UA with its interval, and WA.

        Example:
            >>> scores = {"metrics": {"ua": 0.7123, "wa": 0.73}, "interval": {"ua": [0.651, 0.774]}}
            >>> Classes("emotion", ("anger", "fear")).results(scores)
            ['UA 0.712 [0.65, 0.77]', 'WA 0.730']
        """
        interval = scores["interval"]["ua"]
        bounds = f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else ""
        return [f"UA {scores['metrics']['ua']:.3f}{bounds}", f"WA {scores['metrics']['wa']:.3f}"]
