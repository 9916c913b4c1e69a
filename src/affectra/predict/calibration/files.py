"""calibration.json: written from a run's out-of-fold predictions, read by prediction."""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from affectra.errors import CheckpointError
from affectra.files import read_json, write_json
from affectra.predict.calibration.fit import (
    DIMENSIONS,
    LEAST_COVERAGE,
    MAX_POWER,
    TARGET_ERROR,
    count_utterances,
    fit_abstention,
    fit_calibration,
)
from affectra.predict.calibration.novelty import MAX_FEATURES, TrainingSpace, fit_space
from affectra.predict.calibration.scaling import BinaryCalibration, Calibration

if TYPE_CHECKING:
    import pandas as pd

FILE = "calibration.json"


def write_calibration(
    folder: Path,
    predictions: "pd.DataFrame",
    classes: Sequence[str],
    *,
    space: TrainingSpace | None = None,
    fitted_on: str = "out-of-fold predictions",
) -> None:
    """Fit on out-of-fold predictions and write calibration.json, for `predict` alone: no score is read from it.

    `predict` averages the folds' models, which softens their answer, so a temperature fitted to single models errs
    towards doubt.

    Args:
        folder: of a run or an exported model.
        predictions: as for `fit_calibration`; of a run without the distances, which come from its folds.
        classes: in the order of the scores.
        space: of an exported model; default: that of the run's first fold.
        fitted_on: what the predictions are, for whoever reads the file.
    """
    if space is None:
        predictions, space = with_distances(folder, predictions)
    calibration = fit_calibration(predictions, classes, space)
    labelled = predictions[predictions["truth"].isin(list(classes))]
    chosen = fit_abstention(labelled, classes, calibration)
    content = {
        **to_json(calibration),
        "abstention": {
            "goal": f"answers wrong at most {TARGET_ERROR:.2f}, at least {LEAST_COVERAGE:.2f} answered, corpora alike",
            "met": chosen.met,
            "coverage": chosen.coverage,
            "error": chosen.error,
        },
        "fitted_on": fitted_on,
        "n_utterances": count_utterances(labelled),
    }
    write_json(folder / FILE, content)


def with_distances(run: Path, predictions: "pd.DataFrame") -> "tuple[pd.DataFrame, TrainingSpace | None]":
    """A run's predictions with each utterance's `distance` from its fold's training, and the space of the first fold.

    Args:
        run: run directory; folds have predictions.csv, split.json and embeddings.safetensors.
        predictions: the run's, of all folds.

    Returns:
        The predictions as they are, and None, where a fold's embeddings are missing or wider than `MAX_FEATURES`.
    """
    keys = ["seed", "fold", "corpus", "utterance"]
    if not set(keys) <= set(predictions):
        return predictions, None
    first: TrainingSpace | None = None
    distances: dict[tuple[Any, ...], float] = {}
    for space, rows, embeddings in _spaces(run, predictions):
        first = first or space
        found = zip(*(rows[key] for key in keys), space.distance(embeddings), strict=True)
        distances |= {tuple(row): distance for *row, distance in found}
    rows_wanted = list(zip(*(predictions[key] for key in keys), strict=True))
    if first is None or not distances.keys() >= set(rows_wanted):
        return predictions, None
    return predictions.assign(distance=[distances[row] for row in rows_wanted]), first


def _spaces(run: Path, predictions: "pd.DataFrame") -> "Iterator[tuple[TrainingSpace, pd.DataFrame, Any]]":
    """Of each fold that has what it takes, in order: its space, its rows of predictions, their embeddings."""
    import pandas as pd
    from safetensors.numpy import load_file

    truth = dict(zip(predictions["utterance"], predictions["truth"], strict=True))
    for folder in sorted(run.glob("seed-*/fold-*"), key=_numbers):
        tables, split, table = (folder / n for n in ("embeddings.safetensors", "split.json", "predictions.csv"))
        if not (tables.is_file() and split.is_file() and table.is_file()):
            continue
        parts = load_file(tables)
        train, keys = parts.get("train_embedding"), read_json(split)["train"]
        if train is None or train.shape[1] > MAX_FEATURES:
            continue
        known = [k for k, key in enumerate(keys) if truth.get(key)]  # some have no class, others are never tested
        labels = [truth[keys[k]] for k in known]
        rows = pd.read_csv(table, keep_default_na=False, dtype={"utterance": str, "corpus": str})
        if len(known) >= 2 * len(set(labels)) > 0:
            yield fit_space(train[known], labels), rows, parts["embedding"]


def _numbers(folder: Path) -> tuple[int, ...]:
    return tuple(int(part.rpartition("-")[2]) for part in (folder.parent.name, folder.name))


def to_json(calibration: Calibration) -> dict[str, Any]:
    """The part of calibration.json that `read_calibration` reads."""
    content: dict[str, Any] = {
        "temperature": calibration.temperature,
        "distance_power": calibration.distance_power,
        "floor": calibration.floor,
    }
    if calibration.abstain_below is not None:
        content["abstain_below"] = calibration.abstain_below
    for name in DIMENSIONS:
        fitted = getattr(calibration, name)
        if fitted is not None:
            content[name] = {"slope": fitted.slope, "intercept": fitted.intercept, "floor": fitted.floor}
            if fitted.neutral is not None:
                content[name]["neutral"] = fitted.neutral
    if calibration.neutral is not None:
        content["neutral"] = dict(calibration.neutral)
    if calibration.space is not None:
        content["out_of_domain"] = calibration.space.to_json()
    return content


def read_calibration(folder: Path) -> Calibration | None:
    """A run directory's or model's calibration, or None where there is none; older files have a temperature alone.

    Raises:
        CheckpointError: it is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        content = read_json(path)
        calibration = _from_json(content)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise CheckpointError(f"{path}: damaged, {error}; copy it again, or remove it to predict without") from error
    if not 0 < calibration.temperature < math.inf:
        raise CheckpointError(f"{path}: the temperature is {calibration.temperature}, expected a number above 0")
    if not 0 <= calibration.distance_power <= MAX_POWER:
        raise CheckpointError(
            f"{path}: distance_power is {calibration.distance_power}, expected a number from 0 to {MAX_POWER:g}"
        )
    for name, value in (("floor", calibration.floor), ("abstain_below", calibration.abstain_below)):
        if value is not None and not 0 <= value <= 1:
            raise CheckpointError(f"{path}: {name} is {value}, expected a number from 0 to 1")
    return calibration


def _from_json(content: Mapping[str, Any]) -> Calibration:
    threshold = content.get("abstain_below")
    binary = {name: _binary_from_json(content[name]) for name in DIMENSIONS if name in content}
    neutral = {str(name): float(value) for name, value in content["neutral"].items()} if "neutral" in content else None
    return Calibration(
        temperature=float(content["temperature"]),
        distance_power=float(content.get("distance_power", 0.0)),
        floor=float(content.get("floor", 0.0)),
        abstain_below=None if threshold is None else float(threshold),
        space=TrainingSpace.from_json(content["out_of_domain"]) if "out_of_domain" in content else None,
        neutral=neutral,
        **binary,
    )


def _binary_from_json(content: Mapping[str, Any]) -> BinaryCalibration:
    neutral = None if "neutral" not in content else float(content["neutral"])
    fitted = BinaryCalibration(float(content["slope"]), float(content["intercept"]), float(content["floor"]), neutral)
    if not (math.isfinite(fitted.slope) and math.isfinite(fitted.intercept) and 0 <= fitted.floor <= 1):
        raise ValueError("slope and intercept must be finite, the floor from 0 to 1")
    if neutral is not None and not 0 < neutral < 1:
        raise ValueError("the level of neutral speech must be between 0 and 1")
    return fitted
