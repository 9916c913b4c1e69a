"""Which pictures a run over time-continuous labels has: timelines of a few recordings, and learning curves."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from affectra.evaluation.run_directory import Run, read_histories
from affectra.reports.figures import DOTS_PER_INCH, Theme
from affectra.reports.pages import Picture, Section, fraction
from affectra.reports.trace_pictures import draw_traces
from affectra.tasks.continuous_predictions import PREDICTED, TRUTH

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEV_CCC = "dev_ccc"  # a column of history.csv, or the beginning of one for each dimension


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
        scores = ", ".join(f"{dimension} {fraction(value)}" for dimension, value in recordings[name].items())
        caption = f"{name}, the {chosen[name]} of {len(order)} by mean CCC; CCC {scores}"
        draw = _timeline(rows[rows["utterance"] == name], list(run.scores["dimensions"]))
        pictures.append(Picture(f"timeline-{k}", f"Prediction over truth of {caption}", draw, caption))
    n_seeds = rows["seed"].nunique()
    band = f"; the band reaches from the lowest to the highest of {n_seeds} seeds" * (n_seeds > 1)
    note = f"Prediction over truth, at the times of the labels; where the ground is shaded there is no label{band}."
    yield Section("Timelines" + _tag(run), note, pictures)


def curves(run: Run) -> Iterator[Section]:
    """Loss, and CCC on the dev part where it was logged, by epoch.

    Raises:
        CheckpointError: a history.csv is not one.
    """
    for stage, history in read_histories(run).items():
        name, of_stage = (f"curves-{stage.replace('/', '-')}", f" of {stage}") if stage else ("curves", "")
        n_parts, n_epochs = history["part"].nunique(), history["epoch"].max()
        alt = f"Loss and CCC on the dev part over {n_epochs} epochs of {n_parts} trainings"
        note = "Thin lines: one training each (seed and fold); thick lines: their mean."
        picture = Picture(name, alt, partial(draw_training, history))
        yield Section(f"Learning curves{of_stage}{_tag(run)}", note, [picture])


def draw_training(history: pd.DataFrame, theme: Theme) -> "Figure":
    """Loss above, CCC on the dev part below, a line a dimension."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.8, 5.2), dpi=DOTS_PER_INCH, facecolor=theme.paper, layout="constrained")
    panels = list(figure.subplots(2, 1, sharex=True))
    shown = {"train_loss": (panels[0], "train loss"), "dev_loss": (panels[0], "dev loss")}
    for column in (column for column in map(str, history) if column.startswith(DEV_CCC)):
        shown[column] = (panels[1], column.removeprefix(DEV_CCC).strip("_") or "mean")
    n_parts = history["part"].nunique()
    n_drawn = dict.fromkeys(panels, 0)
    for column, (axes, label) in shown.items():
        if history[column].isna().all():
            continue
        table = history.pivot(index="epoch", columns="part", values=column)
        mean = table.mean(axis=1)[table.notna().sum(axis=1) == n_parts]  # else it jumps where a fold stops early
        color = theme.palette[n_drawn[axes] % len(theme.palette)]
        n_drawn[axes] += 1
        axes.plot(table.index, table, color=color, linewidth=0.7, alpha=0.35)
        axes.plot(mean.index, mean, color=color, linewidth=2, label=label, marker="o" if len(mean) == 1 else "")
    panels[0].set_ylabel("loss")
    panels[1].set_ylabel("dev CCC")
    panels[1].set_xlabel("epoch")
    for axes in panels:
        axes.set_facecolor(theme.paper)
        axes.tick_params(colors=theme.ink, labelsize=10)
        axes.spines[:].set_color(theme.faint)
        axes.xaxis.label.set_color(theme.ink)
        axes.yaxis.label.set_color(theme.ink)
        axes.grid(color=theme.faint, linewidth=0.5)
        axes.locator_params(axis="x", integer=True)
        if axes.get_lines():
            axes.legend(facecolor=theme.paper, edgecolor=theme.faint, labelcolor=theme.ink, fontsize=9)
    return figure


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


def _tag(run: Run) -> str:
    return " (synthetic speech)" if run.scores["synthetic"] else ""
