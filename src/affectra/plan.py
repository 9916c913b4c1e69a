"""The plan of a run: recipe, corpora, labels and folds checked from end to end before anything is written."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from affectra.config import Recipe, RecipeDocument, TrainingPlan, load_recipe
from affectra.corpora import CORPORA
from affectra.corpora.recordings import check_audio
from affectra.corpora.sources import open_corpus
from affectra.corpora.utterance import Corpus, join_manifests, utterance_keys
from affectra.errors import AudioError, ConfigError, CorpusError, ProtocolError
from affectra.features import FRONT_ENDS
from affectra.features.normalization import GROUPED
from affectra.files import read_json
from affectra.labels import TASKS, LabelledUtterances, map_labels
from affectra.leakage.audit import audit
from affectra.leakage.findings import KINDS, Audit
from affectra.models import MODELS
from affectra.models.recognizer import Recognizer
from affectra.protocols import Splits, apply_protocol
from affectra.protocols.counts import compare_with_published
from affectra.protocols.named import check_protocol, promises_of
from affectra.protocols.published import read_published
from affectra.registry import unknown_name
from affectra.specification import Specification
from affectra.training.fold import LAST, check_fitting
from affectra.training.module import check_training
from affectra.training.stage import check_network

N_UNEXPECTED = 6  # lines


@dataclass(frozen=True)
class Data:
    """The utterances of a run.

    Attributes:
        corpora: as opened; those that are learnt from and tested.
        labelled: rows with a class.
        pretraining: the corpora that are learnt from and never tested, as opened.
        pretraining_labelled: their rows with a class; None where there are none.
        splits: who is in which fold.
        synthetic: whether some of the speech is synthetic.
        promises: kinds that the folds keep apart; None where they are somebody else's and nobody knows.
        audit: what the auditor says of the folds, without listening yet.
        unexpected: where counts differ from the published ones, a line each.
    """

    corpora: tuple[Corpus, ...]
    labelled: LabelledUtterances
    pretraining: tuple[Corpus, ...]
    pretraining_labelled: LabelledUtterances | None
    splits: Splits
    synthetic: bool
    promises: frozenset[str] | None
    audit: Audit
    unexpected: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """A run about to start: its recipe, data and directory."""

    document: RecipeDocument
    data: Data
    folder: Path

    @property
    def recipe(self) -> Recipe:
        """The checked recipe."""
        return self.document.recipe

    @property
    def specification(self) -> Specification:
        """What each fold builds."""
        recipe = self.recipe
        return Specification(
            model=recipe.model.model_dump(),
            front_end=recipe.front_end.model_dump(),
            normalization=recipe.normalization,
            segments=recipe.segments.model_dump() if recipe.segments else None,
            task=recipe.task,
            classes=self.data.labelled.classes,
            synthetic=self.data.synthetic,
            auxiliary=tuple(recipe.auxiliary),
            provenance={
                "recipe": recipe.name,
                "corpora": [corpus.name for corpus in (*self.data.corpora, *self.data.pretraining)],
                "protocol": self.data.splits.stamp(),
            },
        )


def plan_run(
    recipe: str,
    corpora: Sequence[str] = (),
    *,
    protocol: str | None = None,
    task: str | None = None,
    seeds: int | None = None,
    allow_leak: Sequence[str] = (),
    settings: dict[str, Any] | None = None,
    out: str | Path | None = None,
) -> Plan:
    """Check a run from end to end without training: recipe, parts, corpora, labels, folds.

    Args:
        recipe: shipped name or YAML file.
        corpora: `NAME=FOLDER`, `NAME=MANIFEST` or the embedded corpus's name; default: the recipe's, where embedded.
        protocol: instead of the recipe's (its options fall back to the protocol's own defaults).
        task: instead of the recipe's.
        seeds: how many seeds, from 0 on.
        allow_leak: kinds of leakage that the protocol may have, besides those that the recipe allows.
        settings: dotted recipe key -> value.
        out: run directory; default `runs/<recipe>-<corpora>`.

    Raises:
        AffectraError: whatever is wrong, before anything is written.
    """
    overrides = dict(settings or {})
    if protocol is not None and protocol != load_recipe(recipe).recipe.protocol.name:
        overrides = {"protocol": {"name": protocol, "options": {}}, **overrides}
    if task is not None:
        overrides["task"] = task
    if seeds is not None:
        overrides["seeds"] = seeds
    document = load_recipe(recipe, overrides)
    if allow_leak:
        overrides["allow_leak"] = sorted({*document.recipe.allow_leak, *allow_leak})
        document = load_recipe(recipe, overrides)
    _check_parts(document.recipe)
    opened = tuple(open_corpus(source) for source in corpora or document.recipe.corpora)
    if len({corpus.name for corpus in opened}) < len(opened):
        names = [corpus.name for corpus in opened]
        raise CorpusError(f"corpora are named {', '.join(names)}; give each a name of its own, --corpus NAME=...")
    opened, pretraining = _by_role(opened, document.recipe)
    names = [corpus.name for corpus in opened]
    document = load_recipe(recipe, {**overrides, "corpora": names})
    manifest = join_manifests([corpus.manifest for corpus in opened])
    labelled = map_labels(_with_audio(manifest), document.recipe.task, document.recipe.only, document.recipe.auxiliary)
    n_silent = int((manifest["file"] == "").sum())
    if n_silent:
        labelled = replace(labelled, excluded={"text without audio": n_silent, **labelled.excluded})
    pretraining_labelled = _label_pretraining(pretraining, labelled, document.recipe)
    for corpus in (*opened, *pretraining):
        rows = (pretraining_labelled if corpus in pretraining and pretraining_labelled else labelled).manifest
        check_audio(replace(corpus, manifest=rows[rows["corpus"].isin(corpus.manifest["corpus"].unique())]))
    if document.recipe.normalization == "speaker" and (labelled.manifest["speaker"] == "").any():
        raise ConfigError("normalization speaker: the corpus has utterances whose speaker is unknown")
    chosen = document.recipe.protocol
    splits = apply_protocol(chosen.name, labelled.manifest, chosen.options, everything=manifest)
    _check_tested(splits, labelled)
    promises = _promises(splits, manifest)
    found = audit(splits.folds, labelled.manifest, promises=promises, labels="target")
    refuse_leaks(found, document.recipe.allow_leak, chosen.name)
    unexpected = [] if document.recipe.only else compare_with_published(splits, labelled.manifest, document.recipe.task)
    if len(unexpected) > N_UNEXPECTED:  # a part of the corpus: every fold differs
        unexpected = [unexpected[0], f"{len(unexpected) - 1} more counts differ from the published ones"]
    synthetic = any(name in CORPORA and CORPORA[name].synthetic for name in manifest["corpus"].unique())
    folder = Path(out) if out else Path("runs") / f"{document.recipe.name}-{'+'.join(names)}"
    data = Data(
        opened, labelled, pretraining, pretraining_labelled, splits, synthetic, promises, found, tuple(unexpected)
    )
    plan = Plan(document, data, folder)
    network = Recognizer(plan.specification).network  # the parts fit together
    for training in (*(stage.training for stage in document.recipe.stages), document.recipe.training):
        if training is not None:
            check_network(network, training)
    return plan


def _by_role(opened: tuple[Corpus, ...], recipe: Recipe) -> tuple[tuple[Corpus, ...], tuple[Corpus, ...]]:
    """The corpora that are tested, and those that are for pretraining alone."""
    wanted = recipe.pretraining.corpora if recipe.pretraining else []
    given = {corpus.name: corpus for corpus in opened}
    for name in wanted:
        if name not in given:
            raise ConfigError(
                f"recipe {recipe.name}: pretraining wants the corpus {name}; give --corpus {name}=FOLDER, or name the "
                "corpora to pretrain on: --set pretraining.corpora=[...]"
            )
    tested = tuple(corpus for corpus in opened if corpus.name not in wanted)
    if not tested:
        raise ConfigError(
            f"recipe {recipe.name}: all corpora ({', '.join(given)}) are for pretraining; give one more to test on"
        )
    return tested, tuple(given[name] for name in wanted)


def _label_pretraining(
    corpora: Sequence[Corpus], labelled: LabelledUtterances, recipe: Recipe
) -> LabelledUtterances | None:
    """The pretraining corpora's rows with the classes of the run."""
    if recipe.pretraining is None:
        return None
    manifest = join_manifests([corpus.manifest for corpus in corpora])
    shared = sorted(set(manifest["corpus"]) & set(labelled.manifest["corpus"]))
    if shared:
        raise ConfigError(f"recipe {recipe.name}: {', '.join(shared)} would be pretrained on and tested")
    found = map_labels(_with_audio(manifest), recipe.pretraining.task)
    if not set(found.classes) <= set(labelled.classes):
        raise ConfigError(
            f"recipe {recipe.name}: pretraining.task {recipe.pretraining.task} has the classes "
            f"{', '.join(found.classes)}, the task {recipe.task} has {', '.join(labelled.classes)}"
        )
    return found


def _with_audio(manifest: pd.DataFrame) -> pd.DataFrame:
    """The rows that have a recording, which MELD lacks for some and may lack for all."""
    heard = manifest["file"] != ""
    if not heard.any():
        raise AudioError(
            f"{manifest['corpus'].iloc[0]}: {len(manifest)} utterances have text and no audio, the first is "
            f"{manifest['utterance'].iloc[0]}; extract the corpus's audio beside its tables"
        )
    return manifest[heard]


def _check_tested(splits: Splits, labelled: LabelledUtterances) -> None:
    """Raise a `ProtocolError` for a fold that tests nothing: with auxiliary tasks some utterances have no class."""
    manifest = labelled.manifest
    with_class = set(utterance_keys(manifest)[manifest["target"] != ""])
    for k, fold in enumerate(splits.folds):
        if not with_class.intersection(fold.test):
            raise ProtocolError(
                f"protocol {splits.protocol}: fold {k}: none of its {len(fold.test)} test utterances is of the classes "
                f"{', '.join(labelled.classes)}; the first is {fold.test[0]}; choose another protocol, or leave its "
                "speaker or corpus out with --set only.<column>=[...]"
            )


def _promises(splits: Splits, manifest: pd.DataFrame) -> frozenset[str] | None:
    """What the folds of a run are held to."""
    if splits.protocol == "fixed":
        return promises_of(read_published(Path(splits.options["file"]), manifest)[1])
    return promises_of(splits.protocol)


def refuse_leaks(audit: Audit, allowed: Sequence[str], source: str) -> None:
    """Raise a `ProtocolError` unless each kind of leakage found was allowed by name."""
    refused = [kind for kind in audit.leaks if kind not in allowed]
    if refused:
        example = next(f for f in audit.findings if f.kind == refused[0] and f.severity == "leak")
        flags = " ".join(f"--allow-leak {kind}" for kind in refused)
        raise ProtocolError(
            f"protocol {source} leaks ({', '.join(refused)}): {example.message}; choose a protocol that keeps them "
            f"apart, or have the result stamped with it: {flags}"
        )


def is_transductive(mode: str, splits: Splits, manifest: pd.DataFrame) -> bool:
    """Whether a normalisation uses all test utterances of a speaker or corpus that training has not heard."""
    if mode not in GROUPED:
        return False
    group = manifest["corpus"] if mode == "corpus" else manifest["corpus"] + "/" + manifest["speaker"]
    group_of = dict(zip(utterance_keys(manifest), group, strict=True))
    return any({group_of[k] for k in fold.test} - {group_of[k] for k in fold.train} for fold in splits.folds)


def _check_parts(recipe: Recipe) -> None:
    """Every name and option a recipe uses, before any corpus is read."""
    for kind in recipe.allow_leak:
        if kind not in KINDS:
            raise ConfigError(f"allow_leak: {unknown_name('kind of leakage', kind, KINDS)}")
    FRONT_ENDS.check_options(recipe.front_end.name, recipe.front_end.options)
    MODELS.check_options(recipe.model.name, recipe.model.options, also=("n_features", "n_classes"))
    check_protocol(recipe.protocol.name, recipe.protocol.options)
    check_fitting(recipe.model.name, recipe.training)
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


def outline(plan: Plan, n_processes: int = 1) -> list[str]:
    """What a run would do, in lines: data, protocol, model, and an estimate of the time it takes."""
    recipe, data = plan.recipe, plan.data
    counts = data.labelled.manifest["target"].value_counts()
    others = ", ".join(corpus.name for corpus in data.pretraining)
    stamp = "speaker-independent" if data.splits.speaker_independent else "SPEAKER-DEPENDENT"
    left_out = {**data.labelled.dropped, **data.labelled.excluded}
    dropped = ", ".join(f"{word} {n}" for word, n in left_out.items())
    return [
        f"recipe    {recipe.name}: {recipe.description}",
        f"corpora   {', '.join(corpus.name for corpus in data.corpora)}{' (synthetic speech)' * data.synthetic}",
        *([f"pretrained on {others}"] if others else []),
        f"task      {recipe.task}: " + ", ".join(f"{name} {counts[name]}" for name in data.labelled.classes),
        *([f"left out  {dropped}"] if dropped else []),
        f"protocol  {data.splits.protocol} v{data.splits.version}, {stamp}, {len(data.splits.folds)} fold(s), "
        f"hash {data.splits.hash[:12]}",
        *(f"unexpected {line}" for line in data.unexpected),
        *(f"audit     {line}" for line in data.audit.lines()),
        *_fitting(plan, n_processes),
        f"run       {plan.folder}",
    ]


def _fitting(plan: Plan, n_processes: int) -> list[str]:
    """How the model is fitted, and how long that takes where there are epochs."""
    recipe = plan.recipe
    recognizer = Recognizer(plan.specification)
    if recipe.training is None:
        return [f"model     {recipe.model.name}, fitted at once, {recipe.seeds} seed(s)"]
    n_parameters = sum(p.numel() for p in recognizer.parameters() if p.requires_grad)
    minutes = _estimate_minutes(plan, recipe.training, recognizer, n_processes)
    return [
        f"model     {recipe.model.name}, {n_parameters} parameters",
        f"training  {recipe.training.epochs} epochs, {recipe.seeds} seed(s)",
        f"time      about {minutes:.0f} min of training on this machine",
    ]


def _estimate_minutes(plan: Plan, training: TrainingPlan, recognizer: Recognizer, n_processes: int) -> float:
    """Time of training: a timed step, times the steps of all folds, seeds and epochs; utterances taken as 3 s long."""
    torch.set_num_threads(n_threads(plan, n_processes))
    front_end, batch = recognizer.front_end, training.batch_size
    if training.channels_last:
        recognizer.network.to(memory_format=torch.channels_last)
    segments = torch.rand(batch, recognizer.grid.input_frames, front_end.n_features)
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
    stages, pretraining = plan.recipe.stages, plan.data.pretraining_labelled
    n_epochs = training.epochs + sum(stage.training.epochs for stage in stages if stage.data == "train")
    n_visits = n_epochs * sum(len(fold.train) for fold in plan.data.splits.folds)
    if pretraining is not None:
        n_epochs = sum(stage.training.epochs for stage in stages if stage.data == "pretraining")
        n_visits += n_epochs * len(pretraining.manifest)
    return mean * n_visits * plan.recipe.seeds * per_segment / n_processes / 60


def n_threads(plan: Plan, n_processes: int) -> int:
    """Threads of torch in each process; a resumed run keeps those it began with, since sums depend on them."""
    environment = plan.folder / "environment.json"
    if (plan.folder / "recipe.yaml").is_file() and environment.is_file():
        return int(read_json(environment).get("threads", 1))
    return max(1, torch.get_num_threads() // n_processes)  # as many as cores, or $OMP_NUM_THREADS
