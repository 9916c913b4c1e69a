"""The report of a run: one self-contained HTML page, and the same as Markdown with its figures beside it."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from affectra.evaluation.run_directory import Run, read_histories, read_run
from affectra.reports import classes, over_time
from affectra.reports.facts import common_facts
from affectra.reports.figures import draw_curves
from affectra.reports.pages import Picture, Section, write_pages
from affectra.reports.trace_files import export_traces

PARTS = {"classes": classes, "time": over_time}  # by the kind of the task; each has a template of its module's name
EXPORTED = "traces"  # folder of a run over time


def write_report(folder: str | Path) -> Path:
    """Write report.html, report.md and figures/*.png into a run directory, each atomically.

    A run over time also gets traces/: each test recording's predictions as CSV and Praat TextGrid (`export_traces`).

    Args:
        folder: the run directory, with recipe.yaml, environment.json, scores.json and predictions.csv; of its folds
            what there is.

    Returns:
        The path of report.html.

    Raises:
        CheckpointError: a file of the run is missing or not readable, by its name.
    """
    run = read_run(folder)
    part = PARTS[run.task.kind]
    if run.task.kind == "time":
        export_traces(run.predictions, run.folder / EXPORTED)
    tag = " (synthetic speech)" if run.scores["synthetic"] else ""
    drawn = [
        Section(f"{section.title}{tag}", section.note, section.pictures)
        for section in (*part.sections(run), *learning_curves(run))
    ]
    facts = {**common_facts(run), **part.facts(run)}
    return write_pages(run.folder, "report", facts, drawn, template=part.__name__.rpartition(".")[2])


def learning_curves(run: Run) -> Iterator[Section]:
    """The numbers of history.csv by epoch, a section for each stage of training.

    Raises:
        CheckpointError: a history.csv is not one.
    """
    for stage, history in read_histories(run).items():
        name, of_stage = (f"curves-{stage.replace('/', '-')}", f" of {stage}") if stage else ("curves", "")
        n_parts, n_epochs = history["part"].nunique(), history["epoch"].max()
        alt = f"Loss and scores over {n_epochs} epochs; thin lines: {n_parts} trainings, thick lines: their mean"
        note = "Thin lines: one training each (seed and fold); thick lines: their mean."
        yield Section(f"Learning curves{of_stage}", note, [Picture(name, alt, partial(draw_curves, history))])
