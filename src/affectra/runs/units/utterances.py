"""Runs over utterances: each is recognised on its own, from its recording or from its text."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import torch

from affectra.corpora.manifest import Corpus, join_manifests, utterance_keys
from affectra.errors import ConfigError
from affectra.evaluation.probes import probe_run
from affectra.features.front_ends import FRONT_ENDS
from affectra.features.normalization import GROUPED
from affectra.files import write_json
from affectra.models import MODELS
from affectra.models.recognizer import Recognizer
from affectra.predict.calibration import write_calibration
from affectra.recipes.recipe import Recipe
from affectra.reports.facts import describe_heads
from affectra.runs.units.adversaries import domain_heads
from affectra.runs.units.duration import BUDGET_S, Range, Visits, blank_utterances, training_time
from affectra.runs.units.inputs import modality_of, with_modality
from affectra.runs.units.plan_types import Plan, n_threads
from affectra.runs.units.utterance_jobs import adapts, prepare, recipe_of, specification
from affectra.splits.protocols import Splits
from affectra.splits.protocols.folds import PARTS
from affectra.tasks.labels import TASKS, LabelledUtterances, map_labels, unknown_task
from affectra.tasks.tables import read_predictions
from affectra.training.checks import check_fitting, check_recognizer, check_training
from affectra.training.units.utterance_fold import LAST

__all__ = ["check", "check_fit", "facts", "finish", "label", "label_pretraining", "outline", "prepare"]


def check(recipe: Recipe) -> None:
    """Every name and option a recipe uses, before any corpus is read."""
    FRONT_ENDS.check_options(recipe.front_end.name, recipe.front_end.options)
    MODELS.check_options(recipe.model.name, recipe.model.options, also=("n_features", "n_classes"))
    check_fitting(recipe.model.name, recipe.training)
    if modality_of(recipe.front_end) == "text" and (recipe.loudness is not None or recipe.augmentation is not None):
        raise ConfigError(
            f"front end {recipe.front_end.name!r} reads text, which has no loudness and no augmented copies; leave "
            "loudness and augmentation out"
        )
    _check_stages(recipe)
    if recipe.task not in TASKS:
        raise ConfigError(unknown_task(recipe.task))


def _check_stages(recipe: Recipe) -> None:
    """Stages that can be done in their order, each with a name of its own."""
    names = [stage.name for stage in recipe.stages]
    if len({*names, LAST}) <= len(names):
        raise ConfigError(f"stages: need names of their own, other than {LAST!r}; found {', '.join(names)}")
    if recipe.stages and recipe.training is None:
        raise ConfigError(f"stages: model {recipe.model.name!r} is fitted without epochs; leave stages out")
    for stage in recipe.stages:
        check_training(stage.training)
        if stage.data == "pretraining" and stage.training.unlabelled_batch_size:
            raise ConfigError(
                f"stages: {stage.name}: on the pretraining corpora no test audio is heard; set unlabelled_batch_size "
                "to 0, or data to train"
            )
        if stage.data == "pretraining" and stage.training.keep == "best-dev":
            raise ConfigError(
                f"stages: {stage.name}: pretraining has no dev part to choose an epoch on; set keep to last"
            )
    kinds = [stage.data for stage in recipe.stages]
    if sorted(kinds) != kinds:  # "pretraining" comes before "train" in the alphabet too
        raise ConfigError("stages: those on the pretraining corpora come first")
    if ("pretraining" in kinds) != (recipe.pretraining is not None):
        raise ConfigError("pretraining: its corpora and a stage with data: pretraining belong together")


def label(corpora: Sequence[Corpus], recipe: Recipe) -> LabelledUtterances:
    """The rows with a class that have what the front end takes, a recording or a text.

    Raises:
        AffectraError: there are none, or a normalisation wants to know what they do not say.
    """
    manifest = join_manifests([corpus.manifest for corpus in corpora])
    modality = modality_of(recipe.front_end)
    usable = with_modality(manifest, modality)
    labelled = map_labels(usable, recipe.task, recipe.only, recipe.auxiliary)
    if n_others := len(manifest) - len(usable):
        labelled = replace(labelled, excluded={f"without {modality}": n_others, **labelled.excluded})
    if recipe.normalization == "speaker" and (labelled.manifest["speaker"] == "").any():
        raise ConfigError("normalization speaker: the corpus has utterances whose speaker is unknown")
    return labelled


def label_pretraining(
    corpora: Sequence[Corpus], labelled: LabelledUtterances, recipe: Recipe
) -> LabelledUtterances | None:
    """The pretraining corpora's rows with the classes of the run."""
    if recipe.pretraining is None:
        return None
    manifest = join_manifests([corpus.manifest for corpus in corpora])
    shared = sorted(set(manifest["corpus"]) & set(labelled.manifest["corpus"]))
    if shared:
        raise ConfigError(f"recipe {recipe.name}: {', '.join(shared)} would be pretrained on and tested")
    found = map_labels(with_modality(manifest, modality_of(recipe.front_end)), recipe.pretraining.task)
    if not set(found.classes) <= set(labelled.classes):
        raise ConfigError(
            f"recipe {recipe.name}: pretraining.task {recipe.pretraining.task} has the classes "
            f"{', '.join(found.classes)}, the task {recipe.task} has {', '.join(labelled.classes)}"
        )
    return found


def check_fit(plan: Plan) -> None:
    """Raise a `ConfigError` unless the parts fit together."""
    recognizer, recipe = Recognizer(specification(plan)), recipe_of(plan)
    for training in (*(stage.training for stage in recipe.stages), recipe.training):
        if training is not None:
            check_recognizer(recognizer, training)


def outline(plan: Plan, n_processes: int) -> list[str]:
    """How the model is fitted, and how long that takes where there are epochs."""
    recipe = recipe_of(plan)
    if recipe.training is None:
        return [f"model     {recipe.model.name}, fitted without epochs, {recipe.seeds} seed(s)"]
    recognizer = Recognizer(specification(plan))
    n_parameters = sum(p.numel() for p in recognizer.parameters() if p.requires_grad)
    duration = _training_time(plan, n_processes)
    return [
        f"model     {recipe.model.name}, {n_parameters} parameters",
        f"training  {recipe.training.epochs} epochs, {recipe.seeds} seed(s)",
        *(f"domains   {line}" for line in describe_heads(domain_heads(plan))),
        f"time      {duration} of training if this machine does nothing else; features not counted",
    ]


def _training_time(plan: Plan, n_processes: int) -> Range:
    """All stages, folds and seeds together."""
    recipe, data, built = recipe_of(plan), plan.data, specification(plan)
    assert recipe.training is not None
    torch.set_num_threads(n_threads(plan, n_processes))
    trainings = [(stage.data, stage.training) for stage in recipe.stages] + [("train", recipe.training)]
    copies = 1 if recipe.augmentation is None else 1 + recipe.augmentation.copies
    n_train, n_dev, n_test = (
        sum(len(getattr(fold, part)) for fold in data.splits.folds) * recipe.seeds for part in PARTS
    )
    own = blank_utterances(data.labelled.manifest, data.corpora, built)
    total = Range(0.0, 0.0)
    for kind, training in trainings:
        if kind == "pretraining":
            assert data.pretraining_labelled is not None
            rows = data.pretraining_labelled.manifest
            blanks = blank_utterances(rows, data.pretraining, built)
            visits = Visits(training.epochs * len(rows) * recipe.seeds, 0)
        else:
            n_predicted = n_dev * training.epochs + (n_train + n_test) * (training is recipe.training)
            blanks, visits = own, Visits(training.epochs * n_train * copies, n_predicted)
        total += training_time(built, training, blanks, visits, BUDGET_S / len(trainings))
    return total.times(1 / min(n_processes, os.cpu_count() or 1))


def is_transductive(mode: str, splits: Splits, manifest: pd.DataFrame) -> bool:
    """Whether a normalisation uses all test utterances of a speaker or corpus that training lacks."""
    if mode not in GROUPED:
        return False
    group = manifest["corpus"] if mode == "corpus" else manifest["corpus"] + "/" + manifest["speaker"]
    group_of = dict(zip(utterance_keys(manifest), group, strict=True))
    return any({group_of[k] for k in fold.test} - {group_of[k] for k in fold.train} for fold in splits.folds)


def facts(plan: Plan) -> dict[str, Any]:
    """Give the facts of a run over utterances for environment.json."""
    recipe, manifest = recipe_of(plan), plan.data.labelled.manifest
    return {
        "normalization": {
            "mode": recipe.normalization,
            "transductive": is_transductive(recipe.normalization, plan.data.splits, manifest),
        },
        "adaptation": "unlabelled test audio" if adapts(plan) else "none",
        "domains": domain_heads(plan),
    }


def finish(plan: Plan, scores: Mapping[str, Any], say: Callable[[str], None]) -> None:
    """Calibrate for `predict`, read domains from the embeddings where there are several corpora."""
    folder = plan.folder
    write_calibration(folder, read_predictions(folder / "predictions.csv"), plan.data.labelled.classes)
    if scores["complete"] and plan.data.labelled.manifest["corpus"].nunique() > 1:
        say("reading domains from the embeddings")
        write_json(folder / "probes.json", [found.to_json() for found in probe_run(folder)])
