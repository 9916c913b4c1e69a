"""Pictures of a run with classes: from the files of its folds to sections of its report."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from safetensors import SafetensorError
from safetensors.numpy import load_file

from affectra.errors import CheckpointError
from affectra.evaluation.reliability import curve_of
from affectra.evaluation.run_directory import Run
from affectra.reports.coverage_picture import draw_coverage_risk
from affectra.reports.figures import draw_bars, draw_confusion, draw_maps
from affectra.reports.pages import Picture, Section
from affectra.reports.space_pictures import draw_space
from affectra.tasks.statistics import score_text

ALL = "all utterances"
MAX_CORPORA = 6  # with a curve of their own; more could not be distinguished
Array = npt.NDArray[np.floating]


def sections(run: Run) -> Iterator[Section]:
    """All pictures of a run but its learning curves; a kind of which the run has no data is left out.

    Raises:
        CheckpointError: a file of a fold is not readable, by its name.
    """
    for section_of in (_confusion, _speakers, _coverage, _embeddings, _latent, _attention):
        yield from section_of(run)


def _confusion(run: Run) -> Iterator[Section]:
    recalls = ", ".join(f"{name} {score_text(value)}" for name, value in run.scores["metrics"]["recall"].items())
    draw = partial(draw_confusion, run.scores["confusion"])
    over = f" over {run.scores['n_seeds']} seeds" if run.scores["n_seeds"] > 1 else ""
    note = f"Rows are the truth; counts{over} and shares of the row."
    yield Section("Confusion matrix", note, [Picture("confusion", f"Confusion matrix; recall: {recalls}", draw)])


def _speakers(run: Run) -> Iterator[Section]:
    scores = run.scores
    values = {name: row["ua"] for name, row in scores["per_speaker"].items()}
    if len(values) < 2:
        return
    values = dict(sorted(values.items(), key=lambda item: (item[1], item[0])))
    worst, best = next(iter(values.items())), list(values.items())[-1]
    ua, interval, chance = scores["metrics"]["ua"], scores["interval"]["ua"], 1 / len(scores["classes"])
    alt = f"UA of {len(values)} speakers, from {worst[0]} {worst[1]:.3f} to {best[0]} {best[1]:.3f}"
    band = f"band: its {round(100 * scores['interval']['level'])} % interval over speakers; " if interval else ""
    note = f"Worst first. Full line: UA over all utterances; {band}dotted line: chance."
    draw = partial(draw_bars, values, ua, interval, chance)
    yield Section("UA by speaker", note, [Picture("speakers", alt, draw)])


def _coverage(run: Run) -> Iterator[Section]:
    """The coverage-risk curve of the scores as they are, of all and of each corpus; runs need not have scores."""
    table, classes = run.predictions, run.scores["classes"]
    if not {f"score_{name}" for name in classes} <= set(table):
        return
    parts = {ALL: table}
    if 1 < table["corpus"].nunique() <= MAX_CORPORA:
        parts |= {str(name): part for name, part in table.groupby("corpus")}
    try:
        curves = {name: curve_of(part, classes) for name, part in parts.items()}
    except ValueError as error:
        raise CheckpointError(f"{run.folder / 'predictions.csv'}: scores are no probabilities: {error}") from error
    wrong, half = curves[ALL].risk[-1], curves[ALL].at_coverage(0.5)
    areas = ", ".join(f"{name} {curve.area:.3f}" for name, curve in curves.items())
    note = (
        "Share of wrong answers when only the more confident ones are given, by the scores as they are, not "
        f"calibrated. Area under the curve (AURC): {areas}; it would be {wrong:.3f}, the share wrong of all, if "
        "confidence told nothing."
    )
    alt = f"Share of wrong answers: {wrong:.3f} of all, {half.risk:.3f} of the more confident half"
    yield Section("Coverage and risk", note, [Picture("coverage", alt, partial(draw_coverage_risk, curves, None))])


def _embeddings(run: Run) -> Iterator[Section]:
    """The test embeddings of one fold: those of another live in the space of another network."""
    found = _largest_fold(run, "embeddings.safetensors")
    if found is None:
        return
    path, rows = found
    embeddings = _rows(path, "embedding", len(rows), "predictions.csv")
    what = f"test utterances of seed {rows['seed'].iloc[0]}, fold {rows['fold'].iloc[0]} (the fold that tests most)"
    rows = rows.assign(emotion=rows["truth"])
    yield from draw_space("Embeddings", "embeddings", rows, embeddings, run.scores["classes"], what)


def _latent(run: Run) -> Iterator[Section]:
    """Where the autoencoder of the first seed put the utterances it was pre-trained on."""
    for path in sorted(run.folder.glob("seed-*/*/latent.csv"))[:1]:
        rows = pd.read_csv(path, dtype=str, keep_default_na=False)
        latent = _rows(path.with_suffix(".safetensors"), "latent", len(rows), path.name)
        what = f"utterances that {path.parent.parent.name} was pre-trained on, by the latent of the autoencoder"
        yield from draw_space("Latent space of pre-training", "latent", rows, latent, run.scores["classes"], what)


def _rows(path: Path, name: str, n_rows: int, table: str) -> npt.NDArray[np.float32]:
    """Vectors of a file, (row, feature), one for each row of a table beside it."""
    vectors = _tensors(path).get(name)
    if vectors is None or vectors.ndim != 2 or len(vectors) != n_rows:
        raise CheckpointError(f"{path}: needs {name!r} with {n_rows} rows, as {table} has")
    return vectors


def _attention(run: Run) -> Iterator[Section]:
    """The maps of the first segment of a test utterance of each class."""
    found = _largest_fold(run, "attention.safetensors")
    if found is None:
        return
    path, rows = found
    tensors, classes = _tensors(path), run.scores["classes"]
    pictures = []
    for _, row in (
        rows[rows["utterance"].isin(tensors)].sort_values("truth", key=lambda t: t.map(classes.index)).iterrows()
    ):
        key, truth = row["utterance"], row["truth"]
        maps, features = tensors[key], tensors.get(f"{key}/features")
        if maps.ndim != 4 or maps.shape[1] != 1 + len(classes) or (features is not None and features.ndim != 3):
            raise CheckpointError(
                f"{path}: {key}: needs maps (segment, {1 + len(classes)}, freq, time) and features "
                f"(segment, feature, time), found {maps.shape} and {None if features is None else features.shape}"
            )
        k = classes.index(truth)
        answer = "recognised" if row["predicted"] == truth else f"taken for {row['predicted']}"
        pictures.append(
            Picture(
                f"attention-{k}",
                f"Attention maps of {key}, {truth}",
                _maps_drawing(maps[0], None if features is None else features[0], k, _hop_s(run.recipe)),
                f"{truth}: {key}, {answer}",
            )
        )
    if not pictures:
        return
    note = (
        f"The first segment of the first test utterance of each class in seed {rows['seed'].iloc[0]}, fold "
        f"{rows['fold'].iloc[0]}. The bottom-up map says where the network looks; the top-down map of the true class "
        "what it sees there, blue for the class and orange against it. Their product, pooled, is the segment's score; "
        "each panel has its own scale."
    )
    yield Section("Attention maps", note, pictures)


def _maps_drawing(maps: Array, features: Array | None, k: int, hop_s: float | None) -> Callable[..., Any]:
    """The drawing of one segment's maps (1 + class, freq, time) of class `k`; padding at its end is cut off."""
    maps = maps.astype(np.float32)
    if features is None:
        return partial(draw_maps, None, maps[0], maps[1 + k], 1.0, None)
    features = features.astype(np.float32)
    n_frames, n_columns = features.shape[1], maps.shape[2]
    stride = -(-n_frames // n_columns)  # strides and maxima keep a last column that is only partly real
    per_column = stride if -(-n_frames // stride) == n_columns else n_frames / n_columns
    filled = np.flatnonzero(features.any(axis=0))
    n_frames = int(filled[-1]) + 1 if len(filled) else n_frames
    n_columns = math.ceil(n_frames / per_column)
    shown = (features[:, :n_frames], maps[0, :, :n_columns], maps[1 + k, :, :n_columns])
    return partial(draw_maps, *shown, per_column, hop_s)


def _hop_s(recipe: Mapping[str, Any]) -> float | None:
    """Seconds from frame to frame, where the recipe says them."""
    options = recipe.get("front_end", {}).get("options", {})
    if "hop_length" in options and "sample_rate" in options:
        return float(options["hop_length"] / options["sample_rate"])
    return float(options["hop_s"]) if "hop_s" in options else None


def _largest_fold(run: Run, name: str) -> tuple[Path, pd.DataFrame] | None:
    """Path and predictions of the fold, of the first seed, that tests most and has this file."""
    parts = run.predictions[["seed", "fold"]]
    sizes = Counter(parts.itertuples(index=False, name=None))
    for seed, fold in sorted(sizes, key=lambda part: (part[0], -sizes[part], part[1])):
        path = run.fold_folder(seed, fold) / name
        if path.is_file():
            return path, run.predictions[(parts["seed"] == seed) & (parts["fold"] == fold)].reset_index(drop=True)
    return None


def _tensors(path: Path) -> dict[str, npt.NDArray]:
    try:
        return load_file(path)
    except (SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path}: damaged: {str(error).splitlines()[0]}") from error
