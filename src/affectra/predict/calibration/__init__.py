"""Calibration: probabilities that are honest for voices that a model was not trained on, and when it should abstain."""

from affectra.predict.calibration.files import FILE, read_calibration, to_json, with_distances, write_calibration
from affectra.predict.calibration.fit import (
    Abstention,
    calibrated_table,
    choose_threshold,
    fit_abstention,
    fit_calibration,
    fit_temperature,
    nested_calibration,
)
from affectra.predict.calibration.novelty import TrainingSpace, fit_space, threshold_of
from affectra.predict.calibration.scaling import BinaryCalibration, Calibration

__all__ = [
    "FILE",
    "Abstention",
    "BinaryCalibration",
    "Calibration",
    "TrainingSpace",
    "calibrated_table",
    "choose_threshold",
    "fit_abstention",
    "fit_calibration",
    "fit_space",
    "fit_temperature",
    "nested_calibration",
    "read_calibration",
    "threshold_of",
    "to_json",
    "with_distances",
    "write_calibration",
]
