"""The calibration of an exported model, from runs under several protocols, and what its card says of it."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from affectra.errors import ConfigError
from affectra.evaluation.reliability import curve_of, reliability_table
from affectra.files import read_json
from affectra.predict.calibration import nested_calibration, with_distances, write_calibration
from affectra.recipes.config import load_recipe
from affectra.tasks.tables import read_predictions

COLUMNS = {
    "n": "utterances", "ua": "UA", "ece": "ECE", "brier": "Brier", "aurc": "AURC", "entropy": "entropy of answers",
    "coverage": "answered", "risk": "of these wrong",
}  # fmt: skip
COVERAGES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)  # ours: the threshold never leaves less than the last (LEAST_COVERAGE)
COVERAGE_NOTE = """
### Coverage and risk

How many of the answers are wrong when only the more confident ones are given; the threshold is the confidence that
leaves that share of these utterances. The last row is what abstention does: an utterance is answered where it reaches
the threshold that was fitted without it (the lowest to the highest of them), and is `unknown` elsewhere."""
SAME = (  # parts of a recipe
    "auxiliary", "augmentation", "segments", "loudness", "front_end", "normalization", "model", "pretraining",
    "stages", "training",
)  # fmt: skip


def calibrate(classes: Sequence[str], runs: Sequence[Path], folder: Path) -> str:
    """Write calibration.json, fitted on the out-of-fold predictions of each run.

    Args:
        classes: in the order of the scores.
        runs: the exported run first, then those of the same recipe under other protocols.
        folder: of the exported model.

    Returns:
        The model card's section on it, in Markdown. What it states was measured on predictions whose calibration was
        fitted without them.

    Raises:
        ConfigError: a run has other classes, was made by another recipe, or under a protocol of which there is one.
    """
    _check_recipes(runs)
    tables, spaces, names = [], [], []
    for run in runs:
        scores = read_json(run / "scores.json")
        if list(scores["classes"]) != list(classes):
            raise ConfigError(f"{run}: has the classes {', '.join(scores['classes'])}, not {', '.join(classes)}")
        table, space = with_distances(run, read_predictions(run / "predictions.csv"))
        names.append(scores["protocol"]["name"])
        tables.append(table.assign(setting=names[-1]))
        spaces.append(space)
    if len(set(names)) < len(names):
        raise ConfigError(f"calibration on runs under the protocols {', '.join(names)}; each once")
    everything = pd.concat(tables, ignore_index=True)
    write_calibration(
        folder, everything, classes, space=spaces[0], fitted_on=f"out-of-fold predictions under {', '.join(names)}"
    )
    return "\n".join([*_lines(everything, classes), ""])


def _check_recipes(runs: Sequence[Path]) -> None:
    """Raise a `ConfigError` unless the models of all runs are made alike: one's errors tell nothing of another's."""
    first, *others = (load_recipe(str(run / "recipe.yaml")).recipe for run in runs)
    for run, recipe in zip(runs[1:], others, strict=True):
        different = [part for part in SAME if getattr(recipe, part) != getattr(first, part)]
        if different:
            raise ConfigError(
                f"{run}: was made with another {', '.join(different)} than {runs[0]}; calibrate on runs of its recipe"
            )


def _lines(everything: pd.DataFrame, classes: Sequence[str]) -> Iterator[str]:
    yield "## Calibration\n"
    yield (
        "ECE is the expected calibration error (15 bins of equal width), Brier the multi-class score; AURC is the area "
        "under the share of wrong answers over the share answered (below), which is the share wrong of all where "
        "confidence tells nothing; entropy is that of the classes answered, 1 where all are answered alike. No "
        "utterance had a say in the calibration that judged it."
    )
    nested = {
        title: nested_calibration(everything, classes, by=by)  # type: ignore[arg-type]
        for by, title in (("speaker", "a new speaker"), ("corpus", "a new corpus"))
        if everything[by].nunique() > 1
    }
    for title, table in nested.items():
        yield f"\nCalibrated without {title}:\n"
        yield from _measures(table, classes)
    if everything["corpus"].nunique() < 2:
        yield "\nThere is one corpus, so how it does on a new corpus was not measured."
    if nested:
        yield COVERAGE_NOTE
    for title, table in nested.items():
        yield f"\nCalibrated without {title}:\n"
        yield from _coverage(table, classes)


def _measures(nested: pd.DataFrame, classes: Sequence[str]) -> Iterator[str]:
    """Table: a row for each protocol, and one for each of its corpora."""
    yield f"| protocol | corpus | {' | '.join(COLUMNS.values())} |\n|---|---|{'---:|' * len(COLUMNS)}"
    each = reliability_table(nested, classes, by=["setting", "corpus"])
    whole = reliability_table(nested, classes, by=["setting"]).assign(corpus="all")
    for row in pd.concat([whole[whole["setting"] != "all"], each[each["setting"] != "all"]]).to_dict("records"):
        cells = [f"{row['n']}", *(_number(row[name]) for name in list(COLUMNS)[1:])]
        yield f"| {row['setting']} | {row['corpus']} | {' | '.join(cells)} |"


def _coverage(nested: pd.DataFrame, classes: Sequence[str]) -> Iterator[str]:
    """Table: a row for each of `COVERAGES` and one for the abstention threshold, three columns for each protocol."""
    known = nested[nested["truth"].isin(list(classes))]
    parts = {str(name): part for name, part in known.groupby("setting", sort=True)}
    curves = [curve_of(part, classes) for part in parts.values()]
    heads = [f"{name}: answered | of these wrong | threshold" for name in parts]
    yield f"| at least | {' | '.join(heads)} |\n|---:|{'---:|' * 3 * len(parts)}"
    for share in COVERAGES:
        points = (curve.at_coverage(share) for curve in curves)
        cells = [f"{_number(at.coverage)} | {_number(at.risk)} | {_number(at.threshold)}" for at in points]
        yield f"| {100 * share:.0f} % | {' | '.join(cells)} |"
    yield f"| abstention | {' | '.join(_abstaining(part, classes) for part in parts.values())} |"


def _abstaining(part: pd.DataFrame, classes: Sequence[str]) -> str:
    """Cells of coverage, risk and thresholds, from the lowest to the highest of the groups that were left out."""
    answered = part[part["answered"]]
    risk = curve_of(answered, classes).at_coverage(1.0).risk if len(answered) else math.nan
    low, high = (_number(value) for value in (part["abstain_below"].min(), part["abstain_below"].max()))
    return f"{_number(len(answered) / len(part))} | {_number(risk)} | {low if low == high else f'{low} to {high}'}"


def _number(value: float) -> str:
    return "n/a" if math.isnan(value) else f"{value:.3f}"
