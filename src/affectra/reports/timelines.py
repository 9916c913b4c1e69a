"""Pictures of a run over time: predictions over the truth in a few recordings."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from affectra.evaluation.run_directory import Run
from affectra.reports.pages import Picture, Section
from affectra.reports.trace_pictures import draw_traces
from affectra.tasks.statistics import score_text
from affectra.tasks.tables import PREDICTED, TRUTH

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def timelines(run: Run, recordings: Mapping[str, Mapping[str, float | None]]) -> Iterator[Section]:
    """The recordings with the worst, the median and the best mean CCC.

    Args:
        run: the run.
        recordings: recording -> dimension -> its CCC.
    """
    means = {name: mean for name, scores in recordings.items() if (mean := mean_known(scores)) is not None}
    order = sorted(means, key=lambda name: (means[name], name))
    if not order:
        return
    places = {"worst": 0, "median": len(order) // 2, "best": len(order) - 1}
    chosen = {order[place]: what for what, place in places.items()}  # of one recording the last
    rows = run.predictions[run.predictions["utterance"].isin(list(chosen))]
    pictures = []
    for k, name in enumerate(sorted(chosen, key=order.index)):
        scores = ", ".join(f"{dimension} {score_text(value)}" for dimension, value in recordings[name].items())
        caption = f"{name}, the {chosen[name]} of {len(order)} by mean CCC; CCC {scores}"
        draw = _timeline(rows[rows["utterance"] == name], list(run.scores["dimensions"]))
        pictures.append(Picture(f"timeline-{k}", f"Prediction over truth of {caption}", draw, caption))
    n_seeds = rows["seed"].nunique()
    band = f"; the band reaches from the lowest to the highest of {n_seeds} seeds" * (n_seeds > 1)
    note = f"Prediction over truth, at the times of the labels; where the ground is shaded there is no label{band}."
    yield Section("Timelines", note, pictures)


def mean_known(scores: Mapping[str, float | None]) -> float | None:
    """The mean over the dimensions that have a score."""
    known = [value for value in scores.values() if value is not None]
    return float(np.mean(known)) if known else None


def _timeline(rows: pd.DataFrame, dimensions: list[str]) -> "partial[Figure]":
    """The drawing of one recording."""
    by_time = rows.groupby("time")
    predicted = by_time[[PREDICTED + name for name in dimensions]]
    mean, low, high = predicted.mean(), predicted.min(), predicted.max()
    truth = by_time[[TRUTH + name for name in dimensions]].mean()
    spread = None
    if rows["seed"].nunique() > 1:
        spread = {name: np.stack([low[PREDICTED + name], high[PREDICTED + name]]) for name in dimensions}
    return partial(
        draw_traces,
        mean.index.to_numpy(dtype=float),
        {name: truth[TRUTH + name].to_numpy() for name in dimensions},
        {name: mean[PREDICTED + name].to_numpy() for name in dimensions},
        spread=spread,
    )
