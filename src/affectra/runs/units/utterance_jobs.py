"""The jobs of a run over utterances: features, examples, folds."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from affectra.corpora.manifest import join_manifests, utterance_keys
from affectra.features.extract import CachedFrames
from affectra.features.specification import Specification
from affectra.recipes.recipe import Recipe
from affectra.runs.environment import describe_corpora
from affectra.runs.units.inputs import extract_rows
from affectra.runs.units.plan_types import Plan, Work
from affectra.splits.protocols.folds import Fold
from affectra.training.data import UNKNOWN, Example
from affectra.training.units.utterance_fold import PretrainingJob, UtteranceFoldJob


def specification(plan: Plan) -> Specification:
    """Give the specification of the recogniser that each fold builds."""
    recipe = recipe_of(plan)
    return Specification(
        model=recipe.model.model_dump(),
        front_end=recipe.front_end.model_dump(),
        normalization=recipe.normalization,
        segments=recipe.segments.model_dump() if recipe.segments else None,
        task=recipe.task,
        classes=plan.data.labelled.classes,
        synthetic=plan.data.synthetic,
        auxiliary=tuple(recipe.auxiliary),
        loudness=recipe.loudness,
        provenance=plan.provenance,
    )


def recipe_of(plan: Plan) -> Recipe:
    """The recipe of a run over utterances."""
    assert isinstance(plan.recipe, Recipe)
    return plan.recipe


def prepare(plan: Plan, threads: int, say: Callable[[str], None]) -> Work:
    """Compute the features and say what is to be trained."""
    cached, copies = features(plan, say)
    first = _pretraining_jobs(plan, cached, threads)
    folds = jobs(plan, cached, copies, threads, first)
    return Work(tuple(first), tuple(folds), {key: found.audio_hash for key, found in cached.items()})


def features(plan: Plan, say: Callable[[str], None]) -> tuple[dict[str, CachedFrames], list[dict[str, CachedFrames]]]:
    """Frames by utterance, and those of each augmented copy."""
    recipe = recipe_of(plan)
    corpora = (*plan.data.corpora, *plan.data.pretraining)
    cached, *copies = extract_rows(everything(plan), corpora, recipe.front_end, recipe.augmentation, recipe.loudness)
    say(f"features of {len(cached)} utterances are ready")
    names = keys(plan)
    return dict(zip(names, cached, strict=True)), [dict(zip(names, copy, strict=True)) for copy in copies]


def everything(plan: Plan) -> pd.DataFrame:
    """The rows that are tested or learnt from, those of the pretraining corpora last."""
    extra = plan.data.pretraining_labelled
    return (
        plan.data.labelled.manifest if extra is None else join_manifests([plan.data.labelled.manifest, extra.manifest])
    )


def keys(plan: Plan) -> list[str]:
    """Names of the rows of `everything`: those of the folds, then corpus/utterance of the pretraining corpora."""
    names = utterance_keys(plan.data.labelled.manifest).tolist()
    extra = plan.data.pretraining_labelled
    return names if extra is None else names + (extra.manifest["corpus"] + "/" + extra.manifest["utterance"]).tolist()


def adapts(plan: Plan) -> bool:
    """Whether some fold's training uses the audio that it is tested on, without the labels."""
    return any(adaptation_keys(fold, plan) for fold in plan.data.splits.folds)


def adaptation_keys(fold: Fold, plan: Plan) -> list[str]:
    """The keys of a test part whose corpora training lacks, where training is to adapt to them."""
    recipe = recipe_of(plan)
    trainings = [recipe.training, *(stage.training for stage in recipe.stages)]
    if not any(training and training.unlabelled_batch_size for training in trainings):
        return []
    manifest = plan.data.labelled.manifest
    corpus_of = dict(zip(utterance_keys(manifest), manifest["corpus"], strict=True))
    trained = {corpus_of[key] for key in fold.train}
    return [key for key in fold.test if corpus_of[key] not in trained]


def describe_pretraining(plan: Plan, hashes: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """As `describe_corpora`, of the corpora that are for pretraining alone."""
    extra = plan.data.pretraining_labelled
    if extra is None:
        return {}
    names = keys(plan)[len(plan.data.labelled.manifest) :]
    own = dict(zip(utterance_keys(extra.manifest), (hashes[key] for key in names), strict=True))
    return describe_corpora(extra.manifest, own)


def _examples(
    plan: Plan, manifest: pd.DataFrame, keys: Sequence[str], cached: dict[str, CachedFrames]
) -> dict[str, Example]:
    classes = plan.data.labelled.classes
    return {
        key: Example(
            key=key,
            corpus=row["corpus"],
            speaker=row["speaker"],
            gender=row["gender"],
            language=row["language"],
            frames=cached[key].path,
            n_frames=cached[key].n_frames,
            target=classes.index(row["target"]) if row["target"] else UNKNOWN,
            auxiliary=tuple(int(row.get(f"target_{name}", UNKNOWN)) for name in recipe_of(plan).auxiliary),
        )
        for key, row in zip(keys, manifest.to_dict("records"), strict=True)
    }


def _pretraining_jobs(plan: Plan, cached: dict[str, CachedFrames], threads: int) -> list[PretrainingJob]:
    """One a seed, or none."""
    if plan.data.pretraining_labelled is None:
        return []
    names = keys(plan)[len(plan.data.labelled.manifest) :]
    examples = tuple(_examples(plan, plan.data.pretraining_labelled.manifest, names, cached).values())
    stages = tuple(stage for stage in recipe_of(plan).stages if stage.data == "pretraining")
    return [
        PretrainingJob(plan.folder / f"seed-{seed}", seed, specification(plan), stages, examples, threads, plan.shared)
        for seed in range(plan.recipe.seeds)
    ]


def jobs(
    plan: Plan,
    cached: dict[str, CachedFrames],
    copies: Sequence[dict[str, CachedFrames]],
    threads: int,
    pretraining: Sequence[PretrainingJob],
) -> list[UtteranceFoldJob]:
    """One a fold and seed."""
    manifest = plan.data.labelled.manifest
    recipe, names = recipe_of(plan), utterance_keys(manifest).tolist()
    examples = _examples(plan, manifest, names, cached)
    augmented = [_examples(plan, manifest, names, copy) for copy in copies]

    built = specification(plan)

    def known(keys: Sequence[str]) -> tuple[Example, ...]:
        return tuple(examples[key] for key in keys if examples[key].target != UNKNOWN)

    return [
        UtteranceFoldJob(
            folder=plan.fold_folder(seed, k),
            seed=seed,
            fold=k,
            specification=built,
            stages=tuple(stage for stage in recipe.stages if stage.data == "train"),
            plan=recipe.training,
            train=tuple(examples[key] for key in fold.train),
            copies=tuple(copy[key] for copy in augmented for key in fold.train),
            dev=known(fold.dev),
            test=known(fold.test),
            unlabelled=tuple(examples[key].unlabelled() for key in adaptation_keys(fold, plan)),
            start=pretraining[seed].last if pretraining else None,
            threads=threads,
        )
        for seed in range(recipe.seeds)
        for k, fold in enumerate(plan.data.splits.folds)
    ]
