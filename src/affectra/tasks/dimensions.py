"""Tasks whose answers are dimensions such as arousal, over time or for whole utterances: their table and its CCC."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from affectra.errors import CheckpointError
from affectra.metrics import agreement_of_sums, mean_of_defined, moment_sums
from affectra.tasks.statistics import score_text
from affectra.tasks.tables import COLUMNS, PREDICTED, TIME, TRUTH, check_columns, dimensions_of, refuse_rows
from affectra.tasks.task import Array, Kind, Task, added

METRICS = ("ccc", "ccc_avec", "pearson", "rmse", "ccc_per_recording")
MEAN = "mean"  # of the dimensions
N_SUMS = 8  # of `moment_sums`, then the sum of recordings' CCCs and how many have one


@dataclass(frozen=True)
class Dimensions:
    """A task with dimensions, each a number for every frame; see `Task` for the members.

    The CCC of a dimension is that of all known frames of all test recordings together, as the organisers of the
    challenges on SEWA score; it is computed for each seed and averaged over seeds. `ccc_avec` is their formula
    (`metrics.concordance_cc_avec`). `ccc_per_recording` is the mean over recordings of each one's own CCC, which
    says how well a model follows a person and not how well it tells people apart; recordings whose truth never varies
    have none and do not count. `mean_ccc` is the mean over dimensions.

    Attributes:
        name: the name on the command line.
        outputs: the dimensions, in the order of the model's outputs.
    """

    name: str
    outputs: tuple[str, ...]

    kind: ClassVar[Kind] = "time"
    counted = "recordings"
    keys = ("utterance", TIME)
    group_where_unknown = "recording"
    interval_scores = (*METRICS, "mean_ccc")
    fold_scores = (*METRICS, "mean_ccc")
    speaker_scores = ("ccc", "mean_ccc")

    @property
    def truths(self) -> tuple[str, ...]:
        """Columns of the table with the truth."""
        return tuple(TRUTH + name for name in self.outputs)

    def check(self, predictions: pd.DataFrame) -> None:
        """Raise a `CheckpointError` unless a table of predictions can be evaluated.

        It needs a finite prediction in each row (the truth may be unknown, NaN), each time of a recording once per
        seed, and each recording in one fold per seed.
        """
        check_columns(predictions)
        if missing := [column for column in self.keys if column not in predictions]:
            raise CheckpointError(
                f"predictions: column(s) missing: {', '.join(missing)}; expected {', '.join((*COLUMNS, TIME))}, "
                "truth_<dimension>..., predicted_<dimension>..."
            )
        found = dimensions_of(predictions)
        if sorted(found) != sorted(self.outputs):
            raise CheckpointError(
                f"predictions: of {', '.join(found) or 'classes'}; expected {', '.join(self.outputs)}"
            )
        if predictions.empty:
            raise CheckpointError("predictions: no rows; expected one for each frame of each test recording and seed")
        for column in (*COLUMNS, TIME):
            refuse_rows(predictions[column].isna().to_numpy(), f"{column} is empty")
        for name in self.outputs:
            guesses = predictions[PREDICTED + name].to_numpy(dtype=float)
            refuse_rows(~np.isfinite(guesses), f"{PREDICTED}{name} is no finite number; every frame needs a prediction")
            truth = predictions[TRUTH + name].to_numpy(dtype=float)
            refuse_rows(np.isinf(truth), f"{TRUTH}{name} is infinite; expected a number, or nothing where not known")
        doubled = predictions.duplicated(["seed", *self.keys]).to_numpy()
        refuse_rows(doubled, "the same time of the same recording stands there twice for its seed")
        recordings = predictions[["seed", "utterance", "corpus", "speaker", "fold"]].drop_duplicates()
        split = recordings.duplicated(["seed", "utterance"]).to_numpy()
        if split.any():
            name = recordings["utterance"].iloc[np.flatnonzero(split)[0]]
            raise CheckpointError(
                f"predictions: {name}: of two folds, corpora or speakers in one seed; expected one of each"
            )

    def sums(self, predictions: pd.DataFrame, by: Sequence[str]) -> tuple[pd.DataFrame, Array]:
        """Add up the moments of each group of rows.

        Args:
            predictions: a table that `check` accepts.
            by: columns whose values make a group, each the same in all frames of a recording.

        Returns:
            The groups, sorted, one row each with the columns `by`; and (group, dimension, `N_SUMS`): the sums of
            `metrics.moment_sums`, then the sum of recordings' CCCs and how many recordings have one.
        """
        columns = list(dict.fromkeys([*by, "seed", "utterance"]))
        group = predictions.groupby(columns, sort=True).ngroup().to_numpy()
        first = np.unique(group, return_index=True)[1]
        recordings = predictions[columns].iloc[first].reset_index(drop=True)
        sums = np.zeros((len(recordings), len(self.outputs), N_SUMS))
        for k, name in enumerate(self.outputs):
            truth = predictions[TRUTH + name].to_numpy(dtype=float)
            guesses = predictions[PREDICTED + name].to_numpy(dtype=float)
            known = truth[~np.isnan(truth)]
            shift = known.mean() if len(known) else 0.0  # agreement does not change, and sums round less about zero
            frames = moment_sums(truth - shift, guesses - shift)
            for i in range(frames.shape[1]):
                sums[:, k, i] = np.bincount(group, weights=frames[:, i], minlength=len(recordings))
        n, total, squares = np.maximum(sums[..., 0], 1), sums[..., 1], sums[..., 3]
        varies = squares / n - (total / n) ** 2 > 1e-12 * squares / n
        sums[..., 6] = np.where(varies, np.nan_to_num(agreement_of_sums(sums[..., :6])["ccc"]), 0.0)
        sums[..., 7] = varies
        return added(recordings, sums, by)

    def metrics(self, sums: Array) -> dict[str, Array]:
        """Compute `METRICS` (..., dimension) and `mean_ccc` (...) from sums (..., dimension, `N_SUMS`)."""
        own = np.divide(sums[..., 6], sums[..., 7], out=np.full(sums.shape[:-1], np.nan), where=sums[..., 7] > 0)
        agreement = agreement_of_sums(sums[..., :6])
        return {**agreement, "ccc_per_recording": own, "mean_ccc": mean_of_defined(agreement["ccc"])}

    def compared(self, metrics: Mapping[str, Array]) -> dict[str, Array]:
        """The CCC of each dimension, and their mean where there are several."""
        scores = {name: metrics["ccc"][..., k] for k, name in enumerate(self.outputs)}
        return {**scores, MEAN: metrics["mean_ccc"]} if len(scores) > 1 else scores

    def label_of(self, score: str) -> str:
        """The name of a score for a reader, e.g. CCC arousal."""
        return f"CCC {score}"

    def common(self, other: Task, pair: str) -> Task:
        """The task of the dimensions that both have; a `CheckpointError` where there is none."""
        if self.kind != other.kind:
            raise CheckpointError(f"{pair}: tasks {self.name} and {other.name}; a test needs the same one")
        both = tuple(name for name in self.outputs if name in other.outputs)
        if not both:
            raise CheckpointError(
                f"{pair}: the one is of {', '.join(self.outputs)}, the other of {', '.join(other.outputs)}; a test "
                "needs a dimension that both have"
            )
        return replace(self, outputs=both)

    def facts(self, predictions: pd.DataFrame) -> dict[str, Any]:
        """The dimensions, and how many frames have a truth, each counted once however many seeds there are."""
        known = predictions[list(self.truths)].notna().any(axis=1)
        n_frames = len(predictions.loc[known, list(self.keys)].drop_duplicates())
        return {"classes": [], "dimensions": list(self.outputs), "n_frames": n_frames}

    def paper_scores(self, results: Mapping[str, Any]) -> dict[str, Any]:
        """The published CCCs, `ccc_<dimension>` of a paper's results, by dimension."""
        return {"ccc": {name: results.get(f"ccc_{name}") for name in self.outputs}}

    def results(self, scores: Mapping[str, Any]) -> list[str]:
        """The mean CCC with its interval, and the CCC of each dimension.

        Example:
            >>> metrics = {"ccc": {"arousal": 0.5123, "valence": None}, "mean_ccc": 0.5123}
            >>> scores = {"metrics": metrics, "interval": {"mean_ccc": [0.451, 0.574]}}
            >>> Dimensions("continuous", ("arousal", "valence")).results(scores)
            ['CCC 0.512 [0.45, 0.57] (arousal 0.512, valence n/a)']
        """
        metrics, interval = scores["metrics"], scores["interval"]["mean_ccc"]
        each = ", ".join(f"{name} {score_text(metrics['ccc'][name])}" for name in self.outputs)
        bounds = f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else ""
        return [f"CCC {score_text(metrics['mean_ccc'])}{bounds} ({each})"]


def recording_scores(task: Task, predictions: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    """The CCC of each recording and dimension, averaged over seeds; None where its truth is not known or never varies.

    Args:
        task: one of dimensions.
        predictions: a table that the task's `check` accepts.
    """
    groups, sums = task.sums(predictions, ["utterance", "seed"])
    own = task.metrics(sums)["ccc_per_recording"]
    return {
        str(name): {
            dimension: None if np.isnan(value) else float(value)
            for dimension, value in zip(task.outputs, mean_of_defined(own[rows.index].T), strict=True)
        }
        for name, rows in groups.groupby("utterance")
    }
