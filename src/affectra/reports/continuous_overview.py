"""Several runs over time on one page: the CCC of each dimension, a line a run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from affectra.errors import CheckpointError
from affectra.evaluation.run_directory import Run, read_run
from affectra.reports.continuous_report import CONTINUOUS
from affectra.reports.pages import write_pages
from affectra.reports.report import stamps
from affectra.tasks.continuous_evaluation import is_over_time
from affectra.tasks.continuous_predictions import read_frames


def write_continuous_overview(runs: Sequence[str | Path], out: str | Path) -> Path:
    """Write overview.html and overview.md about several runs over time, each atomically.

    Args:
        runs: run directories, finished or not; the page has them in this order.
        out: folder for the page.

    Returns:
        The path of overview.html.

    Raises:
        CheckpointError: a file of a run is missing or not readable, by its name; or a run of classes among them.
    """
    folders = list(dict.fromkeys(Path(run).resolve() for run in runs))
    for folder in folders:
        if (folder / "scores.json").is_file() and not is_over_time(folder):
            raise CheckpointError(
                f"{folder}: a run of classes among runs over time, which have no UA; give each kind an overview"
            )
    named = {_name(folder, folders): read_run(folder, CONTINUOUS, read_frames) for folder in folders}
    dimensions = list(dict.fromkeys(name for run in named.values() for name in run.scores["dimensions"]))
    lines = [_line(name, run) for name, run in named.items()]
    facts = {"lines": lines, "dimensions": dimensions}
    return write_pages(Path(out), "overview", facts, [], template="continuous_overview")


def _name(folder: Path, folders: Sequence[Path]) -> str:
    """The folder's name, with its parent's where two have the same."""
    same = sum(other.name == folder.name for other in folders) > 1
    return "/".join(folder.parts[-2:]) if same else folder.name


def _line(name: str, run: Run) -> dict[str, Any]:
    scores = run.scores
    return {
        "name": name,
        "recipe": run.recipe["name"],
        "protocol": scores["protocol"]["name"],
        "corpora": ", ".join(run.environment["corpora"]),
        "n_seeds": scores["n_seeds"],
        "folds_done": scores["folds_done"],
        "n_recordings": scores["n_utterances"],
        "mean": scores["metrics"]["mean_ccc"],
        "mean_interval": scores["interval"]["mean_ccc"],
        "ccc": scores["metrics"]["ccc"],
        "interval": scores["interval"]["ccc"],
        "stamps": stamps(scores),
    }
