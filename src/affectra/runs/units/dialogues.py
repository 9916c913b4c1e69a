"""Runs over dialogues: turns by modality, their context, and the modalities together."""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import torch

from affectra.corpora.manifest import Corpus, join_manifests
from affectra.errors import ConfigError, CorpusError
from affectra.features.front_ends import FRONT_ENDS
from affectra.models import MODELS
from affectra.models.recognizer import Recognizer
from affectra.predict.calibration import write_calibration
from affectra.recipes.recipe import DialogueRecipe
from affectra.registry import unknown_name
from affectra.runs.units.dialogue_jobs import MODALITIES, prepare, recipe_of, specification
from affectra.runs.units.duration import BUDGET_S, Range, Visits, blank_utterances, training_time
from affectra.runs.units.inputs import COLUMN, modality_of
from affectra.runs.units.plan_types import Plan, n_threads
from affectra.runs.units.transcripts import MISSING, check_transcripts, is_recognised
from affectra.runs.units.turns import spoken_turns
from affectra.tasks.labels import TASKS, LabelledUtterances, map_labels, unknown_task
from affectra.tasks.tables import read_predictions
from affectra.training.checks import check_fitting, check_head, check_recognizer
from affectra.training.objectives import check_classes

__all__ = ["check", "check_fit", "facts", "finish", "label", "outline", "prepare"]


def check(recipe: DialogueRecipe) -> None:
    """Every name and option a recipe uses, before any corpus is read."""
    if recipe.task not in TASKS:
        raise ConfigError(unknown_task(recipe.task))
    for name, part in recipe.modalities.items():
        if name not in MODALITIES:
            raise ConfigError(unknown_name("modality", name, MODALITIES))
        FRONT_ENDS.check_options(part.front_end.name, part.front_end.options)
        if modality_of(part.front_end) != name:
            raise ConfigError(
                f"modalities.{name}: front end {part.front_end.name!r} takes {modality_of(part.front_end)}"
            )
        MODELS.check_options(part.model.name, part.model.options, also=("n_features", "n_classes"))
        check_fitting(part.model.name, part.training)
    for name in recipe.withheld:
        if name not in recipe.modalities:
            raise ConfigError(f"withheld: {unknown_name('modality', name, recipe.modalities)}")
    if set(recipe.withheld) == set(recipe.modalities):
        raise ConfigError("withheld: a test part without any modality has nothing to tell")
    if (recipe.fusion is not None) != (len(recipe.modalities) > 1):
        raise ConfigError("fusion: belongs to several modalities, and several modalities need it")
    if recipe.transcripts is not None and "text" not in recipe.modalities:
        raise ConfigError("transcripts: belong to the modality text, which this recipe has not")
    if recipe.transcripts is not None:
        check_transcripts(recipe.transcripts)
    if recipe.context is not None:
        check_head(recipe.context, 1)
    if recipe.fusion is not None:
        check_head(recipe.fusion, len(recipe.modalities))


def label(corpora: Sequence[Corpus], recipe: DialogueRecipe) -> LabelledUtterances:
    """The turns with a class that have at least one of the modalities; the others of their dialogues give context."""
    manifest = join_manifests([corpus.manifest for corpus in corpora])
    columns = list(dict.fromkeys(column for name in recipe.modalities for column in _columns(recipe, name)))
    usable = (manifest[columns] != "").any(axis=1)
    wanted = " or ".join({"file": "recording", "text": "text"}[column] for column in columns)
    if not usable.any():
        first = manifest["utterance"].iloc[0]
        raise CorpusError(
            f"{manifest['corpus'].iloc[0]}: none of {len(manifest)} turns has a {wanted}, the first is {first}; give a "
            f"corpus that has, or a recipe of other modalities{_remedy(recipe.modalities, manifest)}"
        )
    labelled = map_labels(manifest[usable], recipe.task, recipe.only)
    n_others = len(manifest) - int(usable.sum())
    return replace(labelled, excluded={**({f"without {wanted}": n_others} if n_others else {}), **labelled.excluded})


def _columns(recipe: DialogueRecipe, modality: str) -> list[str]:
    """Columns of which one gives a turn a modality: words that are recognised come from the recording."""
    if modality != "text" or recipe.transcripts is None or not is_recognised(recipe.transcripts):
        return [COLUMN[modality]]
    return ["text", "file"] if recipe.transcripts.used == MISSING else ["file"]


def _remedy(modalities: Collection[str], turns: pd.DataFrame) -> str:
    """Suggest another way for turns that lack these modalities: words can be recognised where there are recordings."""
    if "text" not in modalities or not (turns["file"] != "").any():
        return ""
    return (
        f", or have the words recognised with --set 'transcripts={{source: {{name: pocketsphinx}}, used: {MISSING}}}'"
    )


def check_fit(plan: Plan) -> None:
    """Raise unless the parts of each modality fit together and each fold has turns to learn it from.

    Raises:
        ConfigError: parts that do not fit.
        CorpusError: no turn of a fold's training part has one of the modalities.
    """
    recipe, turns = recipe_of(plan), spoken_turns(plan)
    for head in (recipe.context, recipe.fusion):
        if head is not None:
            check_classes(head.training.objective, plan.data.labelled.classes)
    for name, part in recipe.modalities.items():
        check_recognizer(Recognizer(specification(plan, part)), part.training)
        as_given = recipe.transcripts is None or recipe.transcripts.used == "test"
        columns = [COLUMN[name]] if as_given else _columns(recipe, name)
        having = set(turns.loc[(turns[columns] != "").any(axis=1), "key"])
        for k, fold in enumerate(plan.data.splits.folds):
            if not having.intersection(fold.train):
                raise CorpusError(
                    f"fold {k}: none of its {len(fold.train)} turns to learn from has {name} (the first is "
                    f"{fold.train[0]}); fill the manifest's column {' or '.join(columns)}, or leave {name} out with "
                    f"--set modalities.{name}=null --set fusion=null"
                    + _remedy([name], turns[turns["key"].isin(set(fold.train))])
                )


def outline(plan: Plan, n_processes: int) -> list[str]:
    """The parts of the model, how much conversation there is, and how long most of the training takes."""
    recipe = recipe_of(plan)
    turns = spoken_turns(plan)
    lengths = turns.groupby("conversation").size()
    n_labelled = len(plan.data.labelled.manifest)
    lines = [
        f"dialogues {len(lengths)}, {lengths.min()}-{lengths.max()} turns; {len(turns)} turns take part, "
        f"{n_labelled} of them have a class"
    ]
    for name, part in recipe.modalities.items():
        recognizer = Recognizer(specification(plan, part))
        n_parameters = sum(p.numel() for p in recognizer.parameters() if p.requires_grad)
        lines.append(f"{name:<9} {part.front_end.name}, {part.model.name}, {n_parameters} parameters, "
                     f"{part.training.epochs} epochs")  # fmt: skip
    for name, head in (("context", recipe.context), ("fusion", recipe.fusion)):
        if head is not None:
            lines.append(f"{name:<9} {head.model.name}, {head.training.epochs} epochs")
    duration = _training_time(plan, n_processes)
    lines += [f"training  {recipe.seeds} seed(s)"]
    if duration is not None:
        lines += [
            f"time      {duration} of training {' and '.join(recipe.modalities)} if this machine does nothing else; "
            "features and the networks over whole dialogues not counted"
        ]
    return lines


def _training_time(plan: Plan, n_processes: int) -> Range | None:
    """All modalities, folds and seeds together; None where the words are still to be recognised."""
    recipe, data = recipe_of(plan), plan.data
    torch.set_num_threads(n_threads(plan, n_processes))
    n_train, n_dev = (sum(len(getattr(fold, part)) for fold in data.splits.folds) for part in ("train", "dev"))
    total = Range(0.0, 0.0)
    for name, part in recipe.modalities.items():
        manifest = data.labelled.manifest
        rows = manifest[manifest[COLUMN[name]] != ""]
        if rows.empty:
            return None
        share = recipe.seeds * part.training.epochs * len(rows) / len(manifest)
        built = specification(plan, part)
        blanks = blank_utterances(rows, data.corpora, built)
        visits = Visits(n_train * share, n_dev * share)
        total += training_time(built, part.training, blanks, visits, BUDGET_S / len(recipe.modalities))
    return total.times(1 / min(n_processes, os.cpu_count() or 1))


def facts(plan: Plan) -> dict[str, Any]:
    """Give the facts of a run over dialogues for environment.json."""
    modes = {part.normalization for part in recipe_of(plan).modalities.values()}
    return {"normalization": {"mode": "+".join(sorted(modes)), "transductive": False}, "adaptation": "none"}


def finish(plan: Plan, scores: Mapping[str, Any], say: Callable[[str], None]) -> None:
    """Calibrate for `predict`."""
    del scores, say
    predictions = read_predictions(plan.folder / "predictions.csv")
    write_calibration(plan.folder, predictions, plan.data.labelled.classes)
