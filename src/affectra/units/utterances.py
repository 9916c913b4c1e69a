"""Runs over utterances: each is recognised on its own, from its recording or from its text."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import torch

from affectra.calibration import write_calibration
from affectra.corpora.utterance import Corpus, join_manifests, utterance_keys
from affectra.errors import ConfigError
from affectra.evaluation import read_predictions
from affectra.features import FRONT_ENDS
from affectra.features.normalization import GROUPED
from affectra.files import write_json
from affectra.labels import TASKS, LabelledUtterances, map_labels
from affectra.models import MODELS
from affectra.models.recognizer import Recognizer
from affectra.probes import probe_run
from affectra.protocols import Splits
from affectra.recipe import Recipe, TrainingPlan
from affectra.registry import unknown_name
from affectra.report import describe_heads, summary_line, write_report
from affectra.training.fold import LAST, check_fitting
from affectra.training.module import check_training
from affectra.training.stage import check_network
from affectra.units.adversaries import domain_heads
from affectra.units.classified import score, so_far
from affectra.units.material import modality_of, with_modality
from affectra.units.planned import Plan, n_threads
from affectra.units.utterance_jobs import adapts, prepare, recipe_of, specification

__all__ = [
    "check", "check_fit", "facts", "finish", "label", "label_pretraining", "outline", "prepare", "score", "so_far",
    "summary_line",
]  # fmt: skip


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
        raise ConfigError(unknown_name("task", recipe.task, TASKS))


def _check_stages(recipe: Recipe) -> None:
    """Stages that can be done in their order, each with a name of its own."""
    names = [stage.name for stage in recipe.stages]
    if len({*names, LAST}) <= len(names):
        raise ConfigError(f"stages: need names of their own, other than {LAST!r}; found {', '.join(names)}")
    if recipe.stages and recipe.training is None:
        raise ConfigError(f"stages: model {recipe.model.name!r} is fitted at once, without epochs; leave stages out")
    for stage in recipe.stages:
        check_training(stage.training)
        if stage.data == "pretraining" and stage.training.unlabelled_batch_size:
            raise ConfigError(
                f"stages: {stage.name}: on the pretraining corpora no test audio is heard; set unlabelled_batch_size "
                "to 0, or data to train"
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
    network, recipe = Recognizer(specification(plan)).network, recipe_of(plan)
    for training in (*(stage.training for stage in recipe.stages), recipe.training):
        if training is not None:
            check_network(network, training)


def outline(plan: Plan, n_processes: int) -> list[str]:
    """How the model is fitted, and how long that takes where there are epochs."""
    recipe = recipe_of(plan)
    recognizer = Recognizer(specification(plan))
    if recipe.training is None:
        return [f"model     {recipe.model.name}, fitted at once, {recipe.seeds} seed(s)"]
    n_parameters = sum(p.numel() for p in recognizer.parameters() if p.requires_grad)
    minutes = _estimate_minutes(plan, recipe.training, recognizer, n_processes)
    return [
        f"model     {recipe.model.name}, {n_parameters} parameters",
        f"training  {recipe.training.epochs} epochs, {recipe.seeds} seed(s)",
        *(f"domains   {line}" for line in describe_heads(domain_heads(plan))),
        f"time      about {minutes:.0f} min of training on this machine",
    ]


def _estimate_minutes(plan: Plan, training: TrainingPlan, recognizer: Recognizer, n_processes: int) -> float:
    """Time of training: a timed step, times the steps of all folds, seeds and epochs; utterances taken as 3 s long."""
    torch.set_num_threads(n_threads(plan, n_processes))
    front_end, batch = recognizer.front_end, training.batch_size
    if training.channels_last:
        recognizer.network.to(memory_format=torch.channels_last)
    # What is cached of a frame may be another width than what the network sees of it.
    hears = "" if modality_of(recipe_of(plan).front_end) == "text" else torch.zeros(front_end.sample_rate)
    width = front_end.frames(hears).shape[1]
    segments = torch.rand(batch, recognizer.grid.input_frames or recognizer.grid.segment_frames, width)
    lengths = torch.full((batch,), recognizer.grid.segment_frames)
    seconds = []
    for _ in range(3):
        begun = time.monotonic()
        with torch.autocast("cpu", torch.bfloat16, enabled=training.precision == "bf16-mixed"):
            scores = recognizer(segments, lengths, torch.tensor([batch])).scores
        scores.float().sum().backward()
        seconds.append(time.monotonic() - begun)
    per_segment = min(seconds[1:]) / batch
    manifest = plan.data.labelled.manifest
    durations = (manifest["end"] - manifest["start"].fillna(0.0)).fillna(3.0)
    per_utterance = [
        len(recognizer.grid.starts(front_end.n_frames(int(d * front_end.sample_rate)), train=True)) for d in durations
    ]
    mean = sum(per_utterance) / len(per_utterance)
    stages, pretraining = recipe_of(plan).stages, plan.data.pretraining_labelled
    n_epochs = training.epochs + sum(stage.training.epochs for stage in stages if stage.data == "train")
    n_visits = n_epochs * sum(len(fold.train) for fold in plan.data.splits.folds)
    if pretraining is not None:
        n_epochs = sum(stage.training.epochs for stage in stages if stage.data == "pretraining")
        n_visits += n_epochs * len(pretraining.manifest)
    return mean * n_visits * plan.recipe.seeds * per_segment / n_processes / 60


def is_transductive(mode: str, splits: Splits, manifest: pd.DataFrame) -> bool:
    """Whether a normalisation uses all test utterances of a speaker or corpus that training has not heard."""
    if mode not in GROUPED:
        return False
    group = manifest["corpus"] if mode == "corpus" else manifest["corpus"] + "/" + manifest["speaker"]
    group_of = dict(zip(utterance_keys(manifest), group, strict=True))
    return any({group_of[k] for k in fold.test} - {group_of[k] for k in fold.train} for fold in splits.folds)


def facts(plan: Plan) -> dict[str, Any]:
    """What environment.json says of a run over utterances."""
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
    """Calibrate for `predict`, read domains from the embeddings where there are several corpora, write the report."""
    folder = plan.folder
    write_calibration(folder, read_predictions(folder / "predictions.csv"), plan.data.labelled.classes)
    if scores["complete"] and plan.data.labelled.manifest["corpus"].nunique() > 1:
        say("reading domains from the embeddings")
        write_json(folder / "probes.json", [found.to_json() for found in probe_run(folder)])
    write_report(folder)
