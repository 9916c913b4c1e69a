"""The plan of a run: recipe, corpora, labels and folds checked from end to end before anything is written."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from affectra.corpora import CORPORA
from affectra.corpora.manifest import Corpus, join_manifests, utterance_keys
from affectra.corpora.recordings import check_audio
from affectra.corpora.sources import open_corpus
from affectra.errors import ConfigError, CorpusError, ProtocolError
from affectra.recipes.config import RecipeDocument, load_recipe
from affectra.recipes.recipe import AnyRecipe, Recipe
from affectra.registry import unknown_name
from affectra.reports.facts import describe_sizes
from affectra.runs.units import UNITS
from affectra.runs.units.plan_types import Data, Plan
from affectra.runs.units.utterances import label_pretraining
from affectra.splits.leakage.audit import audit
from affectra.splits.leakage.findings import KINDS, Audit
from affectra.splits.protocols import Splits, apply_protocol
from affectra.splits.protocols.counts import compare_with_published
from affectra.splits.protocols.named import check_protocol, promises_of, stated_options
from affectra.splits.protocols.published import read_published
from affectra.tasks.labels import LabelledUtterances

N_UNEXPECTED = 6  # lines


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
        protocol: instead of the recipe's (its options fall back to the protocol's own defaults, but for `dev`: a dev
            part is kept where the recipe or `settings` say so, else only where something is decided by it).
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
    if document.recipe.variants:
        raise ConfigError(f"recipe {recipe}: is {len(document.recipe.variants)} runs; `affectra run` does them all")
    unit = UNITS[document.recipe.unit]
    _check_names(document.recipe)
    unit.check(document.recipe)
    sources = _choose_dev(load_recipe(recipe), document.recipe, overrides)
    opened = tuple(open_corpus(source) for source in corpora or document.recipe.corpora)
    if len({corpus.name for corpus in opened}) < len(opened):
        names = [corpus.name for corpus in opened]
        raise CorpusError(f"corpora are named {', '.join(names)}; give each a name of its own, --corpus NAME=...")
    opened, pretraining = _by_role(opened, document.recipe)
    names = [corpus.name for corpus in opened]
    document = load_recipe(recipe, {**overrides, "corpora": names}, sources)
    manifest = join_manifests([corpus.manifest for corpus in opened])
    labelled = unit.label(opened, document.recipe)
    pretraining_labelled = None
    if isinstance(document.recipe, Recipe):
        pretraining_labelled = label_pretraining(pretraining, labelled, document.recipe)
    for corpus in (*opened, *pretraining):
        rows = pretraining_labelled if corpus in pretraining and pretraining_labelled else labelled
        _check_recordings(corpus, rows.manifest)
    chosen = document.recipe.protocol
    splits = apply_protocol(chosen.name, labelled.manifest, chosen.options, everything=manifest)
    _check_tested(splits, labelled)
    promises = _promises(splits, manifest)
    found = audit(
        splits.folds, labelled.manifest, promises=promises, labels="target" if labelled.classes else "arousal"
    )
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
    _check_choice_of_epochs(plan)
    unit.check_fit(plan)
    return plan


def _check_choice_of_epochs(plan: Plan) -> None:
    """Raise a `ConfigError` for an epoch that is to be chosen on a dev part that a fold has not."""
    splits = plan.data.splits
    if any(one.keep == "best-dev" for one in plan.recipe.trainings) and not all(fold.dev for fold in splits.folds):
        raise ConfigError(
            f"keep: best-dev chooses an epoch on a dev part, and protocol {splits.protocol} keeps none; set keep to "
            "last, or have a dev part, e.g. --set protocol.options.dev=true"
        )


def _choose_dev(whole: RecipeDocument, chosen: AnyRecipe, overrides: dict[str, Any]) -> dict[str, str]:
    """Add the option `dev` to the overrides where neither the recipe's protocol nor the user says it.

    Args:
        whole: the recipe before anything was changed; what it says of a dev part holds for another protocol too.
        chosen: the recipe of this run.
        overrides: dotted key -> value.

    Returns:
        Where the option comes from, as `load_recipe` takes it.
    """
    protocol = chosen.protocol
    if "dev" in protocol.options or "dev" not in stated_options(protocol.name, protocol.options):
        return {}
    key, own = "protocol.options.dev", whole.recipe.protocol.options.get("dev")
    reason = "what is decided by it needs one" if chosen.needs_dev else "nothing would be decided by it"
    overrides[key] = chosen.needs_dev if own is None else own
    return {key: reason if own is None else whole.sources().get(key, "the recipe's own")}


def _by_role(opened: tuple[Corpus, ...], recipe: AnyRecipe) -> tuple[tuple[Corpus, ...], tuple[Corpus, ...]]:
    """The corpora that are tested, and those that are for pretraining alone."""
    wanted = recipe.pretraining.corpora if isinstance(recipe, Recipe) and recipe.pretraining else []
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
    """Give what the folds of a run must keep apart, e.g. speakers; None for folds of unknown claims."""
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


def _check_names(recipe: AnyRecipe) -> None:
    """Check the names that every recipe has, before any corpus is read."""
    for kind in recipe.allow_leak:
        if kind not in KINDS:
            raise ConfigError(f"allow_leak: {unknown_name('kind of leakage', kind, KINDS)}")
    check_protocol(recipe.protocol.name, recipe.protocol.options)


def _check_recordings(corpus: Corpus, rows: pd.DataFrame) -> None:
    """Refuse recordings that cannot be used; rows of text alone have none."""
    own = rows[rows["corpus"].isin(corpus.manifest["corpus"].unique()) & (rows["file"] != "")]
    if len(own):
        check_audio(replace(corpus, manifest=own))


def label_notes(plan: Plan) -> list[str]:
    """Give the notes on the labels that a run learns from."""
    labelled = [plan.data.labelled, plan.data.pretraining_labelled]
    return list(dict.fromkeys(note for one in labelled if one is not None for note in one.notes))


def outline(plan: Plan, n_processes: int = 1) -> list[str]:
    """Describe what a run would do, in lines: data, protocol, model, and an estimate of the time it takes."""
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
        f"task      {recipe.task}: " + ", ".join(f"{name} {counts[name]}" for name in sorted(counts.index) if name),
        *(f"labels    {note}" for note in label_notes(plan)),
        *([f"left out  {dropped}"] if dropped else []),
        f"protocol  {data.splits.protocol} v{data.splits.version}, {stamp}, {len(data.splits.folds)} fold(s), "
        f"hash {data.splits.hash[:12]}",
        f"sizes     {describe_sizes(plan.sizes)}{_unread(plan)}",
        *(f"unexpected {line}" for line in data.unexpected),
        *(f"audit     {line}" for line in data.audit.lines()),
        *UNITS[recipe.unit].outline(plan, n_processes),
        f"run       {plan.folder}",
    ]


def _unread(plan: Plan) -> str:
    """Give the note on a dev part that is set aside for nothing but curves."""
    is_kept = any(fold["dev"] for fold in plan.sizes["folds"])
    return "; nothing is decided by the dev part" if is_kept and not plan.recipe.reads_dev else ""
