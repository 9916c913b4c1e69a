"""Post-processing of predictions over time before scoring: smoothing, spread and level, fitted on the dev part."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from affectra.errors import CheckpointError, ConfigError
from affectra.metrics import concordance_cc
from affectra.registry import unknown_name
from affectra.tasks.traces.table import STEP_S

WINDOWS_S = (0.5, 1.0, 2.0, 4.0, 8.0)  # ours
MIN_GAIN = 1e-4  # ours, in CCC on the dev part: what gains less is left away
Array = npt.NDArray[np.floating]
SMOOTHERS: Mapping[str, Callable[[Array, int], Array]] = {
    # A window reaches over the ends as if the first and the last prediction went on.
    "median": lambda values, length: np.asarray(ndimage.median_filter(values, size=length, mode="nearest")),
    "mean": lambda values, length: np.asarray(ndimage.uniform_filter1d(values, size=length, mode="nearest")),
}


@dataclass(frozen=True)
class DimensionPostProcessing:
    """Post-processing of the predictions of one dimension: slope * smoothed + offset.

    Attributes:
        smoother: "median", "mean" or "none"; centred, so it needs half a window of the future.
        window_s: of the smoother, s.
        slope: of the scaling.
        offset: of the bias.
        dev_ccc: CCC on the dev part before and after each step that was kept, by its name.
    """

    smoother: str
    window_s: float
    slope: float
    offset: float
    dev_ccc: dict[str, float]


@dataclass(frozen=True)
class PostProcessing:
    """Post-processing of each dimension.

    Attributes:
        by_dimension: in the order of the columns of predictions.
        step_s: from frame to frame.
    """

    by_dimension: Mapping[str, DimensionPostProcessing]
    step_s: float = STEP_S

    @classmethod
    def fit(
        cls,
        predicted: Sequence[Array],
        truth: Sequence[Array],
        *,
        dimensions: Sequence[str],
        step_s: float = STEP_S,
    ) -> "PostProcessing":
        """Fit to the recordings of the dev part; of test recordings nothing is needed and nothing must be given.

        In this order, each step kept only where it lifts the CCC over all frames of the dev part: a moving median or
        mean, with the best of `WINDOWS_S`; scaling to the standard deviation of the labels about the predictions'
        mean; a bias to the mean of the labels.

        Args:
            predicted: (frame, dimension) of each dev recording, at the times of the labels (`move_back` comes before).
            truth: the same of the labels, NaN where not known.
            dimensions: their names.
            step_s: from frame to frame.

        Raises:
            ConfigError: no dev recording, or a dimension that has no known label in it.
        """
        if not predicted or len(predicted) != len(truth):
            raise ConfigError(
                f"post-processing: predictions for {len(predicted)} dev recordings, labels for {len(truth)}; "
                "expected as many of both, and one at least"
            )
        labels = np.concatenate(truth)
        for k, dimension in enumerate(dimensions):
            if np.isnan(labels[:, k]).all():
                raise ConfigError(f"post-processing: {dimension} has no known label in the dev part")
        return cls(
            {
                name: _fitted([np.asarray(one[:, k], dtype=float) for one in predicted], labels[:, k], step_s)
                for k, name in enumerate(dimensions)
            },
            step_s,
        )

    def apply(self, predicted: Array) -> Array:
        """Treat the predictions of one recording, (frame, dimension); no other recording plays a part."""
        columns = [
            one.slope * _smoothed(np.asarray(column, dtype=float), one, self.step_s) + one.offset
            for column, one in zip(predicted.T, self.by_dimension.values(), strict=True)
        ]
        return np.stack(columns, axis=1)

    def to_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {"step_s": self.step_s, "by_dimension": {n: asdict(t) for n, t in self.by_dimension.items()}}

    @classmethod
    def from_json(cls, content: Any, source: str = "post-processing") -> "PostProcessing":
        """Read post-processing from the JSON value that `to_json` returns.

        Raises:
            CheckpointError: it is not that.
        """
        try:
            found = {str(name): DimensionPostProcessing(**values) for name, values in content["by_dimension"].items()}
            processing = cls(found, float(content["step_s"]))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{source}: not post-processing as `to_json` gives it: {error!r}") from error
        for name, postprocessing in found.items():
            if postprocessing.smoother not in ("none", *SMOOTHERS):
                problem = unknown_name("smoother", str(postprocessing.smoother), ("none", *SMOOTHERS))
                raise CheckpointError(f"{source}: {name}: {problem}")
        return processing


def _fitted(predicted: Sequence[Array], truth: Array, step_s: float) -> DimensionPostProcessing:
    """The post-processing of one dimension."""
    known = ~np.isnan(truth)

    def ccc(parts: Sequence[Array]) -> float:
        return concordance_cc(truth, np.concatenate(parts), known=known)

    kept, best = DimensionPostProcessing("none", 0.0, 1.0, 0.0, {}), ccc(predicted)
    history = {"as predicted": best}
    for name in SMOOTHERS:
        for window_s in WINDOWS_S:
            tried = DimensionPostProcessing(name, window_s, 1.0, 0.0, {})
            if (score := ccc([_smoothed(one, tried, step_s) for one in predicted])) > best + MIN_GAIN:
                kept, best = tried, score
                history["smoothed"] = score
    parts = [_smoothed(one, kept, step_s) for one in predicted]
    slope, offset = 1.0, 0.0
    frames = np.concatenate(parts)[known]
    if frames.std() > 0:
        by = float(truth[known].std() / frames.std())
        shift = float(frames.mean() * (1 - by))
        if (score := ccc([by * part + shift for part in parts])) > best + MIN_GAIN:
            slope, offset, best = by, shift, score
            history["scaled"] = score
    bias = float(truth[known].mean() - frames.mean())  # scaling leaves the mean where it is
    if (score := ccc([slope * part + offset + bias for part in parts])) > best + MIN_GAIN:
        offset += bias
        history["bias taken away"] = score
    return DimensionPostProcessing(kept.smoother, kept.window_s, slope, offset, history)


def _smoothed(values: Array, postprocessing: DimensionPostProcessing, step_s: float) -> Array:
    if postprocessing.smoother == "none":
        return values
    length = 2 * round(postprocessing.window_s / step_s / 2) + 1  # odd, so that a window has a middle
    return SMOOTHERS[postprocessing.smoother](values, length)
