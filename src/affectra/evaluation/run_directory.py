"""A run directory read back: what reports and overviews are made from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from affectra.errors import CheckpointError
from affectra.files import read_json
from affectra.tasks.evaluation import task_of_scores
from affectra.tasks.tables import read_predictions
from affectra.tasks.task import Task

NEEDED = {  # keys without which there is no report
    "recipe.yaml": ("name", "description", "paper", "seeds"),
    "scores.json": (
        "protocol", "task", "classes", "n_utterances", "n_speakers", "n_folds", "n_seeds", "synthetic", "normalization",
        "leaks", "complete", "folds_done", "metrics", "mean_over_folds", "interval", "paper", "per_corpus", "per_seed",
        "per_fold", "per_speaker",
    ),
    "environment.json": ("corpora", "labels", "audit", "command"),
}  # fmt: skip
OF_KIND = {"classes": ("confusion",), "time": ("dimensions", "n_frames")}  # of scores.json, by the kind of the task
HISTORY = ("epoch", "train_loss", "train_accuracy", "dev_loss", "dev_ua")
PROBE = ("domain", "n_values", "chance", "balanced_accuracy", "interval", "note")


@dataclass(frozen=True)
class Run:
    """Content of a run directory, from which a report is made.

    Attributes:
        folder: the run directory.
        recipe: the resolved recipe.
        recipe_text: the same as written, with its comments.
        environment: environment.json.
        scores: scores.json.
        task: the task that was scored.
        predictions: predictions.csv.
    """

    folder: Path
    recipe: Mapping[str, Any]
    recipe_text: str
    environment: Mapping[str, Any]
    scores: Mapping[str, Any]
    task: Task
    predictions: pd.DataFrame

    def fold_folder(self, seed: int, fold: int) -> Path:
        """Where the files of one fold of one seed lie."""
        return self.folder / f"seed-{seed}" / f"fold-{fold}"


def read_run(folder: str | Path) -> Run:
    """Read a run directory, finished or not.

    Raises:
        CheckpointError: a file of the run is missing or not readable, by its name.
    """
    folder = Path(folder)
    for name in (*NEEDED, "predictions.csv"):
        if not (folder / name).is_file():
            raise CheckpointError(
                f"{folder / name}: no such file; a report needs a run directory as `affectra run` writes it"
            )
    recipe = _read_facts(folder / "recipe.yaml")
    environment = _read_facts(folder / "environment.json")
    scores = _read_facts(folder / "scores.json")
    task = task_of_scores(scores, str(folder / "scores.json"))
    _check_keys(folder / "scores.json", scores, OF_KIND[task.kind])
    return Run(
        folder=folder,
        recipe=recipe,
        recipe_text=(folder / "recipe.yaml").read_text(encoding="utf-8"),
        environment=environment,
        scores=scores,
        task=task,
        predictions=read_predictions(folder / "predictions.csv"),
    )


def _read_facts(path: Path) -> Mapping[str, Any]:
    """A YAML or JSON mapping with the keys that are needed."""
    try:
        content = YAML(typ="safe").load(path) if path.suffix == ".yaml" else read_json(path)
    except (YAMLError, ValueError) as error:
        raise CheckpointError(f"{path}: not readable: {str(error).splitlines()[0]}") from error
    _check_keys(path, content, NEEDED[path.name])
    facts: Mapping[str, Any] = content
    return facts


def _check_keys(path: Path, content: Any, needed: Sequence[str]) -> None:
    missing = [key for key in needed if not isinstance(content, dict) or key not in content]
    if missing:
        raise CheckpointError(f"{path}: key(s) missing: {', '.join(missing)}; `affectra run` writes them")


def read_histories(run: Run) -> dict[str, pd.DataFrame]:
    """The learning curves of the folds that are done, and of what they started from.

    The curve of a fold that was cut off would bend the mean.

    Returns:
        Stage ("" for the last) -> the rows of all its history.csv, with the training they are of in `part`.

    Raises:
        CheckpointError: a history.csv is not one.
    """
    done = sorted(set(run.predictions[["seed", "fold"]].itertuples(index=False, name=None)))
    found = [  # stages on other corpora come once a seed
        (path, path.parent.name, str(seed))
        for seed in sorted({seed for seed, _ in done})
        for path in sorted((run.folder / f"seed-{seed}").glob("*/history.csv"))
        if not path.parent.name.startswith("fold-")
    ]
    for seed, fold in done:
        folder = run.fold_folder(seed, fold)
        for path in sorted(folder.glob("**/history.csv")):
            found.append((path, "/".join(path.parent.relative_to(folder).parts), f"{seed}/{fold}"))
    stages: dict[str, list[pd.DataFrame]] = {}
    for path, stage, part in found:
        stages.setdefault(stage, []).append(_read_history(path).assign(part=part))
    return {stage: pd.concat(histories, ignore_index=True) for stage, histories in stages.items()}


def _read_history(path: Path) -> pd.DataFrame:
    try:
        history = pd.read_csv(path)
    except ValueError as error:
        raise CheckpointError(f"{path}: not a readable table: {str(error).splitlines()[0]}") from error
    missing = [column for column in HISTORY if column not in history]
    if missing:
        raise CheckpointError(f"{path}: column(s) missing: {', '.join(missing)}; expected {', '.join(HISTORY)}")
    if history["epoch"].duplicated().any():
        raise CheckpointError(f"{path}: an epoch stands there twice; expected one row an epoch")
    return history


def read_probes(run: Run) -> list[dict[str, Any]]:
    """Read the results of linear probes on the embeddings, from probes.json; nothing where there is none.

    Raises:
        CheckpointError: it is not a list of probes.
    """
    path = run.folder / "probes.json"
    if not path.is_file():
        return []
    try:
        probes = read_json(path)
    except ValueError as error:
        raise CheckpointError(f"{path}: not readable: {str(error).splitlines()[0]}") from error
    for probe in probes if isinstance(probes, list) else [None]:
        missing = [key for key in PROBE if not isinstance(probe, dict) or key not in probe]
        if missing:
            raise CheckpointError(f"{path}: key(s) missing: {', '.join(missing)}; expected a list of probes with them")
    return [{"a_distance": None, **probe} for probe in probes]
