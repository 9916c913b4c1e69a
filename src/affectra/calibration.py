"""Calibration: one temperature that makes a run's out-of-fold probabilities honest on speakers it never heard."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import minimize_scalar

from affectra.errors import CheckpointError
from affectra.files import read_json, write_json

SMALLEST = 1e-12  # a probability of zero has no logarithm
FILE = "calibration.json"


@dataclass(frozen=True)
class Calibration:
    """Temperature scaling: probabilities to the power 1/T, renormalised (Guo et al. 2017).

    Attributes:
        temperature: above 1 softens, below 1 sharpens.
    """

    temperature: float

    def apply(self, probabilities: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
        """Calibrated probabilities (..., class).

        Example:
            >>> Calibration(1.0).apply(np.array([0.25, 0.75])).round(3).tolist()
            [0.25, 0.75]
            >>> Calibration(2.0).apply(np.array([0.1, 0.9])).round(3).tolist()
            [0.25, 0.75]
        """
        logits = np.log(np.maximum(probabilities, SMALLEST)) / self.temperature
        exponentials = np.exp(logits - logits.max(-1, keepdims=True))
        calibrated: npt.NDArray[np.float64] = exponentials / exponentials.sum(-1, keepdims=True)
        return calibrated


def fit_temperature(predictions: pd.DataFrame, classes: Sequence[str]) -> Calibration:
    """The temperature with the least negative log-likelihood of the truth.

    Args:
        predictions: table with truth and score_<class> columns.
        classes: in the order of the scores.
    """
    scores = predictions[[f"score_{name}" for name in classes]].to_numpy(dtype=np.float64)
    truth = predictions["truth"].map({name: i for i, name in enumerate(classes)}).to_numpy()

    def loss(log_temperature: float) -> float:
        calibrated = Calibration(float(np.exp(log_temperature))).apply(scores)
        return float(-np.log(np.maximum(calibrated[np.arange(len(truth)), truth], SMALLEST)).mean())

    best = minimize_scalar(loss, bounds=(np.log(0.1), np.log(10.0)), method="bounded")
    return Calibration(float(np.exp(best.x)))


def write_calibration(folder: Path, predictions: pd.DataFrame, classes: Sequence[str]) -> None:
    """Fit on a run's out-of-fold predictions and write calibration.json, for `predict` alone: no score is read from it.

    `predict` averages the folds' models, which softens their answer, so a temperature fitted to single models errs
    towards doubt.
    """
    temperature = fit_temperature(predictions, classes).temperature
    content = {"temperature": temperature, "fitted_on": "out-of-fold predictions", "n_utterances": len(predictions)}
    write_json(folder / FILE, content)


def read_calibration(folder: Path) -> Calibration | None:
    """A run directory's calibration, or None where there is none."""
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        temperature = float(read_json(path)["temperature"])
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path}: damaged, expected a temperature; `affectra run --resume` writes it again"
        ) from error
    if not 0 < temperature < math.inf:
        raise CheckpointError(f"{path}: the temperature is {temperature}, expected a number above 0")
    return Calibration(temperature)
