"""The task of a run: what an answer is, the table that holds the answers, and the sums that its scores follow from."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

Array = npt.NDArray[Any]
Kind = Literal["classes", "time"]


class Task(Protocol):
    """A task: what is predicted of each utterance or frame, and how predictions are scored.

    Scores follow from sums that are added over rows: a confusion matrix for classes, moments for dimensions. So the
    score of any group of rows, also of speakers that a bootstrap draws anew or that a test exchanges between two runs,
    costs a few additions, and evaluation, comparison and reports need no case for each kind of task.
    """

    @property
    def name(self) -> str:
        """The name on the command line."""

    @property
    def kind(self) -> Kind:
        """Whether answers are classes, or dimensions over time; reports choose their sections by it."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Classes or dimensions, in the order of the model's outputs."""

    @property
    def counted(self) -> str:
        """The plural of what is tested: "utterances" or "recordings"."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Columns that name a row of the table within a seed."""

    @property
    def truths(self) -> tuple[str, ...]:
        """Columns of the table with the truth."""

    @property
    def group_where_unknown(self) -> str | None:
        """The groups that a comparison exchanges where speakers are not known; None: it is refused then."""

    @property
    def interval_scores(self) -> tuple[str, ...]:
        """Names of the metrics that have an interval."""

    @property
    def fold_scores(self) -> tuple[str, ...]:
        """Names of the metrics whose mean over folds is given."""

    @property
    def speaker_scores(self) -> tuple[str, ...]:
        """Names of the metrics that each speaker has."""

    def check(self, predictions: pd.DataFrame) -> None:
        """Raise unless a table can be evaluated.

        Raises:
            CheckpointError: naming the row (as numbered in the CSV file) and what is wrong with it.
        """

    def sums(self, predictions: pd.DataFrame, by: Sequence[str]) -> tuple[pd.DataFrame, Array]:
        """Add up the sums of each group of rows.

        Args:
            predictions: a table that `check` accepts.
            by: columns whose values make a group.

        Returns:
            The groups, sorted, one row each with the columns `by`; and (group, ...), the sums of each.
        """

    def metrics(self, sums: Array) -> dict[str, Array]:
        """Compute the metrics of groups from their sums (..., *sum).

        Returns:
            Name -> (...) for one number a group, (..., output) for one an output; NaN where there is none.
        """

    def compared(self, metrics: Mapping[str, Array]) -> dict[str, Array]:
        """Name the scores that a comparison of two runs tests, (...) each."""

    def label_of(self, score: str) -> str:
        """The name of a score of `compared` for a reader."""

    def common(self, other: "Task", pair: str) -> "Task":
        """Find the task on which two runs can be compared.

        Args:
            other: the task of the other run.
            pair: names both runs in messages.

        Raises:
            CheckpointError: there is none.
        """

    def facts(self, predictions: pd.DataFrame) -> dict[str, Any]:
        """The entries of scores.json that this kind of task alone has, by key."""

    def paper_scores(self, results: Mapping[str, Any]) -> dict[str, Any]:
        """The published numbers as scores.json has them, from the `results` of a recipe's paper."""

    def results(self, scores: Mapping[str, Any]) -> list[str]:
        """The main scores in a few words each, from the content of scores.json."""


def added(groups: pd.DataFrame, sums: Array, by: Sequence[str]) -> tuple[pd.DataFrame, Array]:
    """Add the sums of groups to those of fewer, larger groups.

    Args:
        groups: a row a group, with the columns `by`.
        sums: (group, ...).
        by: columns whose values make a larger group.

    Returns:
        The larger groups, sorted, one row each with the columns `by`; and (larger group, ...).
    """
    place = groups.groupby(list(by)).ngroup().to_numpy()
    first = np.unique(place, return_index=True)[1]
    totals = np.zeros((len(first), *sums.shape[1:]), dtype=sums.dtype)
    np.add.at(totals, place, sums)
    return groups[list(by)].iloc[first].reset_index(drop=True), totals


def by_seed(groups: pd.DataFrame, sums: Array, by: Sequence[str]) -> Array:
    """Arrange sums as (seed, group, ...), groups sorted by the columns `by`; 0 where a seed lacks a group."""
    groups, sums = added(groups, sums, ["seed", *by])
    seed, place = groups.groupby("seed").ngroup().to_numpy(), groups.groupby(list(by)).ngroup().to_numpy()
    arranged = np.zeros((seed.max() + 1, place.max() + 1, *sums.shape[1:]))
    arranged[seed, place] = sums
    return arranged
