"""Several runs on one page: a line each, who was trained and tested on which corpus, and the papers' tables beside."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from affectra.errors import CheckpointError
from affectra.evaluation.published import DEVIATIONS, TABLES, PublishedTable, differences
from affectra.evaluation.run_directory import Run, read_probes, read_run
from affectra.files import sha256_json
from affectra.reports.facts import stamps
from affectra.reports.figures import draw_matrix, draw_scan
from affectra.reports.pages import Picture, Section, write_pages
from affectra.reports.report import PARTS
from affectra.reports.scans import scans

ACROSS = ("cross-corpus", "loco")
SETTINGS_ASIDE = ("corpora", "protocol", "allow_leak", "seeds", "paper", "description")  # may differ within a matrix


@dataclass(frozen=True)
class Cell:
    """One corpus as tested by one run.

    Attributes:
        ua: fraction, at utterance level, averaged over seeds.
        interval: [low, high], over speakers, or None.
        marks: what a reader must know of it.
    """

    ua: float
    interval: Sequence[float] | None
    marks: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The same in a few short lines."""
        low_high = [f"[{self.interval[0]:.2f}, {self.interval[1]:.2f}]"] if self.interval else []
        return "\n".join([f"{self.ua:.3f}", *low_high, *self.marks])


@dataclass
class Matrix:
    """Scores of a recipe, trained on each corpus and tested on each.

    Attributes:
        recipe: its name.
        task: its name.
        chance: UA of guessing.
        columns: corpora tested.
        rows: what was trained on -> corpus tested -> the score.
        names: of the runs.
    """

    recipe: str
    task: str
    chance: float
    columns: list[str] = field(default_factory=list)
    rows: dict[str, dict[str, Cell]] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)


def write_overview(runs: Sequence[Path], out: Path) -> Path:
    """Write overview.html, overview.md and figures/*.png about several runs, each atomically.

    Args:
        runs: run directories, finished or not; the page has them in this order.
        out: folder for the page.

    Returns:
        The path of overview.html.

    Raises:
        CheckpointError: a file of a run is missing or not readable, by its name; or no run at all.
    """
    folders = list(dict.fromkeys(Path(run).resolve() for run in runs))
    if not folders:
        raise CheckpointError("an overview needs a run directory; none was given")
    named = {_name(folder, folders): read_run(folder) for folder in folders}
    with_classes, over_time = ({k: run for k, run in named.items() if run.task.kind == kind} for kind in PARTS)
    matrices = _matrices(with_classes)
    facts = {
        "n_runs": len(named),
        "lines": [PARTS["classes"].overview_line(*item) for item in with_classes.items()],
        "lines_over_time": [PARTS["time"].overview_line(*item) for item in over_time.items()],
        "dimensions": list(dict.fromkeys(name for run in over_time.values() for name in run.scores["dimensions"])),
        "has_transcripts": any("transcripts" in run.environment for run in with_classes.values()),
        "matrices": matrices,
        "tables": list(_tables(with_classes)),
        "deviations": DEVIATIONS,
        "probes": _probes(with_classes),
    }
    return write_pages(Path(out), "overview", facts, [*_scan_sections(with_classes), *_sections(matrices)])


def _name(folder: Path, folders: Sequence[Path]) -> str:
    """The folder's name, with its parent's where two have the same, and the whole path where that does not help."""
    for n_parts in (1, 2):
        name = "/".join(folder.parts[-n_parts:])
        if sum("/".join(other.parts[-n_parts:]) == name for other in folders) == 1:
            return name
    return str(folder)


def _matrices(named: Mapping[str, Run]) -> list[Matrix]:
    """A matrix for each recipe, task and settings of which a run tests corpora that it was not trained on."""
    groups: dict[tuple, dict[str, Run]] = {}
    for name, run in named.items():
        settings = {key: value for key, value in run.recipe.items() if key not in SETTINGS_ASIDE}
        key = (run.recipe["name"], run.scores["task"], tuple(run.scores["classes"]), sha256_json(settings))
        groups.setdefault(key, {})[name] = run
    matrices = []
    for (recipe, task, classes, _), runs in groups.items():
        is_across = {name: run.scores["protocol"]["name"] in ACROSS for name, run in runs.items()}
        if any(is_across.values()):
            matrix = Matrix(recipe, task, 1 / len(classes))
            for name in sorted(runs, key=lambda name: not is_across[name]):  # stable: those across come first
                _enter(matrix, name, runs[name])
            alone = sorted(label for label in matrix.rows if label in matrix.columns)
            matrix.rows = {label: matrix.rows[label] for label in dict.fromkeys([*alone, *matrix.rows])}
            matrices.append(matrix)
    return matrices


def _enter(matrix: Matrix, name: str, run: Run) -> None:
    """Put the cells of a run into a matrix; a run that would overwrite a cell of another gets rows of its own."""
    scores, corpora = run.scores, list(run.environment["corpora"])
    protocol, tested = scores["protocol"], scores["per_corpus"]
    marks = tuple(stamp.split(" (")[0] for stamp in stamps(scores))
    for corpus, entry in tested.items():
        if protocol["name"] == "loco":
            others = [other for other in corpora if other != corpus]
            label = others[0] if len(others) == 1 else f"all but {corpus}"
        elif protocol["name"] == "cross-corpus":
            label = ", ".join(other for other in corpora if other not in tested)
        elif len(corpora) == 1 and protocol["speaker_independent"]:
            label, marks = corpus, (protocol["name"], *marks)
        else:
            return
        if corpus in matrix.rows.get(label, {}):
            label = f"{label} ({name})"
        matrix.rows.setdefault(label, {})[corpus] = Cell(
            entry["ua"], entry["interval"]["ua"], tuple(dict.fromkeys(marks))
        )
    matrix.columns = sorted({*matrix.columns, *corpora})
    matrix.names.append(name)


def _scan_sections(named: Mapping[str, Run]) -> Iterator[Section]:
    """Scores over each number that is all that some runs differ in."""
    pictures = []
    for k, scan in enumerate(scans(named)):
        marks = dict.fromkeys(stamp for name in scan.runs for stamp in stamps(named[name].scores))
        draw = partial(draw_scan, scan.values, scan.wa, scan.intervals, scan.recalls, scan.name)
        pictures.append(Picture(f"scan-{k}", scan.text, draw, "; ".join([f"runs: {', '.join(scan.runs)}", *marks])))
    if pictures:
        note = "WA at utterance level with its interval over speakers, and recall of each class; alike in all else."
        yield Section("Over one number", note, pictures)


def _sections(matrices: Sequence[Matrix]) -> Iterator[Section]:
    """The heat maps of each task."""
    note = (
        "UA at utterance level with its interval over speakers; blue is above chance, orange below, blank not tested. "
        "A protocol in a cell: trained and tested within that corpus, on other speakers."
    )
    for task in dict.fromkeys(matrix.task for matrix in matrices):
        pictures = [_picture(k, matrix) for k, matrix in enumerate(matrices) if matrix.task == task]
        yield Section(f"Across corpora: {task}", note, pictures)


def _picture(k: int, matrix: Matrix) -> Picture:
    cells = [[matrix.rows[label].get(corpus) for corpus in matrix.columns] for label in matrix.rows]
    values = np.array([[np.nan if cell is None else cell.ua for cell in row] for row in cells])
    texts = [["" if cell is None else cell.text for cell in row] for row in cells]
    alt = "; ".join(
        f"{label} on {corpus} {cell.ua:.3f}" for label, row in matrix.rows.items() for corpus, cell in row.items()
    )
    draw = partial(draw_matrix, values, texts, list(matrix.rows), matrix.columns, matrix.chance)
    return Picture(f"matrix-{k}", alt, draw, f"{matrix.recipe}; runs: {', '.join(matrix.names)}")


def _tables(named: Mapping[str, Run]) -> Iterator[dict[str, Any]]:
    """UA per corpus of the runs that test several, by task and kind of protocol, with the papers' tables below."""
    groups: dict[tuple[str, str], dict[str, Run]] = {}
    for name, run in named.items():
        protocol = run.scores["protocol"]["name"]
        if len(run.environment["corpora"]) > 1:
            key = (run.scores["task"], "across corpora" if protocol in ACROSS else protocol)
            groups.setdefault(key, {})[name] = run
    for (task, kind), runs in groups.items():
        like = "cross-corpus" if kind == "across corpora" else kind
        papers = [_beside(table, runs) for table in TABLES if (table.task, table.protocol) == (task, like)]
        tested = {corpus for run in runs.values() for corpus in run.scores["per_corpus"]}
        yield {
            "title": f"{task}, {kind}",
            "is_across": like != kind,
            "columns": [*sorted(tested), *sorted({c for paper in papers for c in paper["test"]} - tested)],
            "rows": [_of_corpora(name, run) for name, run in runs.items()],
            "papers": papers,
        }


def _of_corpora(name: str, run: Run) -> dict[str, Any]:
    corpora, tested = run.environment["corpora"], run.scores["per_corpus"]
    trained = {"loco": "the others", "cross-corpus": ", ".join(c for c in corpora if c not in tested)}
    return {
        "recipe": run.recipe["name"],
        "name": name,
        "stamps": stamps(run.scores),
        "train": trained.get(run.scores["protocol"]["name"], ""),
        "cells": {corpus: Cell(row["ua"], row["interval"]["ua"]) for corpus, row in tested.items()},
        "mean": float(np.mean([row["ua"] for row in tested.values()])),
    }


def _beside(table: PublishedTable, runs: Mapping[str, Run]) -> dict[str, Any]:
    """A published table as fractions, and which of these runs may be read against it."""
    differs = {name: _differs(table, run) for name, run in runs.items()}
    equal = [name for name, found in differs.items() if not found]
    source = table.source
    if not equal:
        source += ", not comparable"
    elif len(equal) < len(runs):
        source += f", comparable with {', '.join(equal)} alone"
    return {
        "source": source,
        "differs": [
            f"{name} is not comparable with {table.source}: {'; '.join(found)}."
            for name, found in differs.items()
            if found
        ],
        "train": ", ".join(table.train),
        "test": table.test,
        "rows": [
            {
                "model": model,
                "ua": {corpus: ua / 100 for corpus, ua in zip(table.test, values[:-1], strict=True)},
                "mean": values[-1] / 100,
            }
            for model, values in table.rows.items()
        ],
    }


def _differs(table: PublishedTable, run: Run) -> list[str]:
    """Why a run's numbers may not stand beside the table's; nothing where they may."""
    protocol, tested = run.recipe.get("protocol", {}), run.scores["per_corpus"]
    found = differences(
        table,
        corpora={name: facts["utterances"] for name, facts in run.environment["corpora"].items()},
        task=run.scores["task"],
        protocol=run.scores["protocol"]["name"],
        options=protocol.get("options", {}),
        only=run.recipe.get("only") or {},
    )
    if not found and set(tested) != set(table.test):
        found = [f"tested on {', '.join(tested)}, the paper on {', '.join(table.test)}"]
    return found


def _probes(named: Mapping[str, Run]) -> dict[str, Any]:
    """Give the probe results of each run that has them, domain by domain."""
    found = {name: {probe["domain"]: probe for probe in read_probes(run)} for name, run in named.items()}
    found = {name: probes for name, probes in found.items() if probes}
    domains = list(dict.fromkeys(domain for probes in found.values() for domain in probes))
    return {"names": list(found), "rows": [(d, [probes.get(d) for probes in found.values()]) for d in domains]}
