"""The delay of annotations: raters answer seconds late; found without test data, and taken back."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from affectra.errors import ConfigError
from affectra.metrics import pearson_cc
from affectra.tasks.traces.table import STEP_S, Trace

MAX_DELAY_S = 8.0  # ours
SEARCH_STEP_S = 0.2  # ours: two frames
MIN_GAIN = 0.01  # ours, in correlation: a smaller gain over no delay is chance, and the labels stay where they are
RIDGE = 0.01  # ours, a share of the number of frames, for features of variance 1
N_PARTS = 5  # ours, of a cross-validation where there is no dev part
Array = npt.NDArray[np.floating]
Recording = tuple[Array, Array]  # (frame, feature) and labels (frame, dimension), NaN where not known


@dataclass(frozen=True)
class Delay:
    """Result of a search for the delay of the labels.

    Attributes:
        seconds: dimension -> how much later than the voice its labels are; in the order of the dimensions, so its
            values are what `shift_back` and `move_back` take.
        tried_s: the delays that were tried.
        scores: dimension -> the correlation at each of them.
    """

    seconds: dict[str, float]
    tried_s: tuple[float, ...]
    scores: dict[str, tuple[float, ...]]


def find_delay(
    train: Sequence[Recording],
    dev: Sequence[Recording] = (),
    *,
    dimensions: Sequence[str],
    max_s: float = MAX_DELAY_S,
    search_step_s: float = SEARCH_STEP_S,
    step_s: float = STEP_S,
) -> Delay:
    """The delay of each dimension, from features alone, before any network is trained.

    For each delay d a ridge regression from the features of frame t to the label of frame t + d is fitted on the
    training part; its predictions on the dev part are moved back by d, as at test time, and correlated with the labels
    over all frames of the part together. The delay with the highest correlation is taken, or 0 where it gains less
    than `MIN_GAIN` over none. Correlation and not CCC, since a ridge regression shrinks what it cannot explain.

    Test recordings have no place here. Without a dev part the training part is cross-validated over its recordings.

    Args:
        train: features (frame, feature) and labels (frame, dimension) of each recording, equally long; NaN where a
            label is not known (`Trace.with_gaps`).
        dev: the same of the dev part.
        dimensions: their names.
        max_s: the longest delay that is tried.
        search_step_s: between the delays that are tried; a multiple of `step_s`.
        step_s: from frame to frame.

    Raises:
        ConfigError: no recording, or no known label in one of the parts.
    """
    if not train or (not dev and len(train) < 2):
        raise ConfigError("annotation delay: expected training recordings, and a dev part or two of them or more")
    steps = _steps(max_s, search_step_s, step_s)
    scaled_train, scaled_dev = _scaled(train, dev)
    scores = np.array([_score_of_delay(scaled_train, scaled_dev, delay) for delay in steps])
    return _best(scores, steps, dimensions, step_s)


def shift_back(trace: Trace, delay_s: Sequence[float], step_s: float = STEP_S) -> Trace:
    """Labels moved earlier by each dimension's delay: beside the voice that they are about; the end is unknown.

    Example:
        >>> trace = Trace(np.arange(3) / 10, np.array([[1.0], [2.0], [3.0]]), np.ones((3, 1), dtype=bool))
        >>> shift_back(trace, [0.1]).with_gaps[:, 0]
        array([ 2.,  3., nan])
    """
    values, known = np.zeros_like(trace.values), np.zeros_like(trace.known)
    for k, delay in enumerate(_in_frames(delay_s, trace.values.shape[1], step_s)):
        n_left = max(0, len(trace) - delay)
        values[:n_left, k], known[:n_left, k] = trace.values[delay:, k], trace.known[delay:, k]
    return Trace(trace.times, values, known)


def move_back(predicted: Array, delay_s: Sequence[float], step_s: float = STEP_S) -> Array:
    """Predictions of a model of moved labels at the times of the labels as they were given.

    The first frames repeat the first prediction (ours), so that every frame of the recording is scored.

    Args:
        predicted: (frame, dimension).
        delay_s: of each dimension, as given to `shift_back`.
        step_s: from frame to frame.

    Example:
        >>> move_back(np.array([[1.0], [2.0], [3.0]]), [0.1])[:, 0]
        array([1., 1., 2.])
    """
    frames = np.arange(len(predicted))
    delays = _in_frames(delay_s, predicted.shape[1], step_s)
    return np.stack([predicted[np.maximum(frames - delay, 0), k] for k, delay in enumerate(delays)], axis=1)


def _in_frames(delay_s: Sequence[float], n_dimensions: int, step_s: float) -> list[int]:
    if len(delay_s) != n_dimensions or min(delay_s, default=0) < 0:
        raise ConfigError(f"annotation delay: {list(delay_s)}; expected {n_dimensions} numbers from 0 on, s")
    return [round(delay / step_s) for delay in delay_s]


def _steps(max_s: float, search_step_s: float, step_s: float) -> list[int]:
    """The delays to try, in frames."""
    by = round(search_step_s / step_s)
    if by < 1 or max_s < 0:
        raise ConfigError(
            f"annotation delay: steps of {search_step_s:g} s up to {max_s:g} s; expected {step_s:g} or more"
        )
    return list(range(0, round(max_s / step_s) + 1, by))


def _scaled(train: Sequence[Recording], dev: Sequence[Recording]) -> tuple[list[Recording], list[Recording]]:
    """Features with mean 0 and variance 1 on the training part, and a constant beside them."""
    frames = np.concatenate([features for features, _ in train])
    mean, deviation = frames.mean(axis=0), frames.std(axis=0)
    scale = np.divide(1.0, deviation, out=np.zeros_like(deviation, dtype=float), where=deviation > 1e-12)

    def scaled(features: Array, labels: Array) -> Recording:
        assert len(features) == len(labels), "cut to their common length first"
        return np.hstack([(features - mean) * scale, np.ones((len(features), 1))]), np.asarray(labels, dtype=float)

    return [scaled(*one) for one in train], [scaled(*one) for one in dev]


def _score_of_delay(train: Sequence[Recording], dev: Sequence[Recording], delay: int) -> list[float]:
    """The correlation of each dimension on the dev part, or over the parts of the training part."""
    if dev:
        weights = _fitted(train, delay)
        return _correlations([features @ weights for features, _ in dev], [labels for _, labels in dev], delay)
    n_parts = min(N_PARTS, len(train))
    borders = [round(part * len(train) / n_parts) for part in range(n_parts + 1)]
    predicted: list[Array] = []
    for start, end in pairwise(borders):
        weights = _fitted([*train[:start], *train[end:]], delay)
        predicted += [features @ weights for features, _ in train[start:end]]
    return _correlations(predicted, [labels for _, labels in train], delay)


def _fitted(recordings: Sequence[Recording], delay: int) -> Array:
    """Ridge regression to the labels that are `delay` frames later: (feature, dimension)."""
    pairs = [
        (features[: len(features) - delay], labels[delay:]) for features, labels in recordings if len(labels) > delay
    ]
    n_features, n_dimensions = recordings[0][0].shape[1], recordings[0][1].shape[1]
    weights = np.zeros((n_features, n_dimensions))
    if not pairs:
        return weights  # all recordings are shorter: nothing is known at this delay
    features, labels = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    columns: dict[bytes, list[int]] = {}  # dimensions with the same gaps share their matrix
    for k in range(n_dimensions):
        columns.setdefault(np.isnan(labels[:, k]).tobytes(), []).append(k)
    for mine in columns.values():
        mask = ~np.isnan(labels[:, mine[0]])
        inputs = features[mask]
        penalty = RIDGE * max(len(inputs), 1) * np.eye(n_features)
        penalty[-1, -1] = 1e-9  # the constant is free
        weights[:, mine] = np.linalg.solve(inputs.T @ inputs + penalty, inputs.T @ labels[mask][:, mine])
    return weights


def _correlations(predicted: Sequence[Array], truth: Sequence[Array], delay: int) -> list[float]:
    """Of each dimension, over all known frames, with the predictions `delay` frames later."""
    labels = np.concatenate(truth)
    moved = np.concatenate([one[np.maximum(np.arange(len(one)) - delay, 0)] for one in predicted])
    known = ~np.isnan(labels)
    if not known.any(axis=0).all():
        raise ConfigError("annotation delay: a dimension has no known label in the part that it is searched on")
    return [pearson_cc(labels[:, k], moved[:, k], known=known[:, k]) for k in range(labels.shape[1])]


def _best(scores: Array, steps: Sequence[int], dimensions: Sequence[str], step_s: float) -> Delay:
    """The best delay of each dimension; scores (delay, dimension), the first without delay."""
    if scores.shape[1] != len(dimensions):
        raise ConfigError(f"annotation delay: {scores.shape[1]} dimensions; expected {', '.join(dimensions)}")
    best = scores.argmax(axis=0)
    best[scores.max(axis=0) < scores[0] + MIN_GAIN] = 0
    return Delay(
        seconds={name: round(steps[k] * step_s, 6) for name, k in zip(dimensions, best, strict=True)},
        tried_s=tuple(round(step * step_s, 6) for step in steps),
        scores={name: tuple(map(float, scores[:, k])) for k, name in enumerate(dimensions)},
    )
