"""The calibration of an exported model, from runs under several protocols, and what its card says of it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from affectra.calibration import nested_calibration, with_distances, write_calibration
from affectra.config import load_recipe
from affectra.errors import ConfigError
from affectra.evaluation import read_predictions
from affectra.files import read_json
from affectra.reliability import reliability_table

COLUMNS = {
    "n": "utterances", "ua": "UA", "ece": "ECE", "brier": "Brier", "entropy": "entropy of answers",
    "coverage": "answered", "risk": "of these wrong",
}  # fmt: skip
SAME = (  # parts of a recipe
    "auxiliary", "augmentation", "segments", "front_end", "normalization", "model", "pretraining", "stages", "training",
)  # fmt: skip


def calibrate(classes: Sequence[str], runs: Sequence[Path], folder: Path) -> str:
    """Write calibration.json, fitted on what each run's models say of utterances that they had not heard.

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
    return "\n".join(_lines(everything, classes))


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
        "ECE is the expected calibration error (15 bins of equal width), Brier the multi-class score; entropy is that "
        "of the classes answered, 1 where all are answered alike. No utterance had a say in the calibration that "
        "judged it."
    )
    for by, title in (("speaker", "a new speaker"), ("corpus", "a new corpus")):
        if everything[by].nunique() < 2:
            continue
        nested = nested_calibration(everything, classes, by=by)  # type: ignore[arg-type]
        yield f"\nCalibrated without {title}:\n"
        yield f"| protocol | corpus | {' | '.join(COLUMNS.values())} |\n|---|---|{'---:|' * len(COLUMNS)}"
        each = reliability_table(nested, classes, by=["setting", "corpus"])
        whole = reliability_table(nested, classes, by=["setting"]).assign(corpus="all")
        for row in pd.concat([whole[whole["setting"] != "all"], each[each["setting"] != "all"]]).to_dict("records"):
            cells = [f"{row['n']}", *(f"{row[name]:.3f}" for name in list(COLUMNS)[1:])]
            yield f"| {row['setting']} | {row['corpus']} | {' | '.join(cells)} |"
