"""Scores of runs whose predictions are classes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from affectra.tasks.evaluation import evaluate, read_predictions, write_predictions


def score(folds: Sequence[Path], out: Path, environment: Mapping[str, Any], **facts: Any) -> dict[str, Any]:
    """Merge the predictions of folds into one table and evaluate it.

    Args:
        folds: predictions.csv of each fold that is done.
        out: predictions.csv of the run.
        environment: environment.json.
        facts: what `evaluate` takes beside the table and the classes.

    Returns:
        The content of scores.json.
    """
    predictions = pd.concat([read_predictions(path) for path in folds], ignore_index=True)
    scores = evaluate(predictions, environment["labels"]["classes"], **facts)
    write_predictions(predictions, out)
    return scores


def so_far(scores: Mapping[str, Any]) -> str:
    """The result of the folds that are done, in a few words."""
    return f"UA so far {scores['metrics']['ua']:.3f}"
