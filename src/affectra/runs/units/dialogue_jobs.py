"""The jobs of a run over dialogues: the turns that each fold trains on and tests, and how it is trained."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from affectra.features.extract import CachedFrames
from affectra.features.specification import Specification
from affectra.files import sha256_json
from affectra.recipes.recipe import DialogueRecipe, Modality
from affectra.runs.units.inputs import COLUMN, extract_rows
from affectra.runs.units.plan_types import Plan, Work
from affectra.runs.units.transcripts import TurnTexts, transcribe_turns
from affectra.runs.units.turns import dialogues_of_part, spoken_turns
from affectra.splits.protocols.folds import PARTS
from affectra.training.data import Example, Utterance
from affectra.training.units.dialogue_fold import DialogueFoldJob, ModalityJob

MODALITIES = tuple(COLUMN)

Turns = Mapping[str, Utterance]  # those that have a modality, by key


def recipe_of(plan: Plan) -> DialogueRecipe:
    """The recipe of a run over dialogues."""
    assert isinstance(plan.recipe, DialogueRecipe)
    return plan.recipe


def specification(plan: Plan, part: Modality) -> Specification:
    """Give the specification of the recogniser that each fold builds for one modality."""
    return Specification(
        model=part.model.model_dump(),
        front_end=part.front_end.model_dump(),
        normalization=part.normalization,
        segments=part.segments.model_dump(),
        task=plan.recipe.task,
        classes=plan.data.labelled.classes,
        synthetic=plan.data.synthetic,
        provenance=plan.provenance,
    )


def prepare(plan: Plan, threads: int, say: Callable[[str], None]) -> Work:
    """Compute the features of every turn and say what is to be trained."""
    recipe, turns, splits = recipe_of(plan), spoken_turns(plan), plan.data.splits
    texts = [TurnTexts(turns, turns)] * len(splits.folds)
    facts: dict[str, Any] = {}
    if recipe.transcripts is not None:
        texts, facts["transcripts"] = transcribe_turns(plan.data.corpora, turns, splits.folds, recipe.transcripts, say)
    computed: dict[tuple[str, int], Turns] = {}

    def of(name: str, words: pd.DataFrame) -> Turns:
        rows = words if name == "text" else turns
        if (name, id(rows)) not in computed:
            computed[name, id(rows)] = _utterances(rows, plan, name)
        return computed[name, id(rows)]

    trained = [{name: of(name, words.trained) for name in recipe.modalities} for words in texts]
    tested = [
        {name: {} if name in recipe.withheld else of(name, words.tested) for name in recipe.modalities}
        for words in texts
    ]  # fmt: skip
    say(f"features of {len(turns)} turns are ready")
    folds = [
        _fold_job(plan, turns, trained[k], tested[k], seed, k, threads)
        for seed in range(recipe.seeds)
        for k in range(len(splits.folds))
    ]
    return Work((), tuple(folds), _hashes(turns, list(computed.values())), facts)


def _utterances(turns: pd.DataFrame, plan: Plan, name: str) -> Turns:
    rows = turns[turns[f"has_{name}"]]
    front_end = recipe_of(plan).modalities[name].front_end
    cached: Sequence[CachedFrames] = extract_rows(rows, plan.data.corpora, front_end)[0] if len(rows) else []
    return {
        row["key"]: Utterance(
            row["key"], row["corpus"], row["speaker"], row["gender"], row["language"], found.path, found.n_frames
        )
        for row, found in zip(rows.to_dict("records"), cached, strict=True)
    }


def _hashes(turns: pd.DataFrame, computed: Sequence[Turns]) -> dict[str, str]:
    """Compute one hash for each turn, of the input of the turn and of its dialogue.

    The names of cached frames tell the content. Context counts: a run whose unlabelled turns changed is another run.
    """
    own = {key: [found[key].frames.name if key in found else "" for found in computed] for key in turns["key"]}
    whole = {name: sha256_json([own[key] for key in rows["key"]]) for name, rows in turns.groupby("conversation")}
    return {key: sha256_json([own[key], whole[name]])
            for key, name in zip(turns["key"], turns["conversation"], strict=True)}  # fmt: skip


def _fold_job(
    plan: Plan,
    turns: pd.DataFrame,
    trained: Mapping[str, Turns],
    tested: Mapping[str, Turns],
    seed: int,
    k: int,
    threads: int,
) -> DialogueFoldJob:
    recipe, classes = recipe_of(plan), plan.data.labelled.classes
    fold = plan.data.splits.folds[k]
    target_of = {key: classes.index(name) for key, name in zip(turns["key"], turns["target"], strict=True) if name}
    targets = {part: _targets(target_of, getattr(fold, part)) for part in PARTS}
    dialogues = {part: dialogues_of_part(turns, fold, part) for part in PARTS}
    if recipe.context is None:  # a turn without a class has nothing to tell then
        dialogues = {
            part: [turn for dialogue in found for turn in dialogue.alone() if turn.keys[0] in targets[part]]
            for part, found in dialogues.items()
        }
    known = {part: {key for dialogue in found for key in dialogue.keys} for part, found in dialogues.items()}
    in_training = known["train"] | known["dev"]
    modalities = [
        ModalityJob(
            name=name,
            recipe=part,
            specification=specification(plan, part),
            train=_examples(trained[name], targets["train"]),
            dev=_examples(trained[name], targets["dev"]),
            trained={key: turn for key, turn in trained[name].items() if key in in_training},
            tested={key: turn for key, turn in tested[name].items() if key in known["test"]},
        )
        for name, part in recipe.modalities.items()
    ]
    people = zip(turns["corpus"], turns["speaker"], strict=True)
    return DialogueFoldJob(
        folder=plan.fold_folder(seed, k),
        seed=seed,
        fold=k,
        classes=classes,
        facts={"task": recipe.task, "synthetic": plan.data.synthetic, "provenance": plan.provenance},
        modalities=tuple(modalities),
        context=recipe.context,
        fusion=recipe.fusion,
        train=tuple(dialogues["train"]),
        dev=tuple(dialogues["dev"]),
        test=tuple(dialogues["test"]),
        train_targets=targets["train"],
        dev_targets=targets["dev"],
        test_targets=targets["test"],
        people=dict(zip(turns["key"], people, strict=True)),
        conversations=dict(zip(turns["key"], turns["conversation"], strict=True)),
        threads=threads,
        shared=plan.shared,
    )


def _targets(target_of: Mapping[str, int], keys: Sequence[str]) -> dict[str, int]:
    """Classes by key, in the order of the names: nothing is to depend on the order of a manifest's rows."""
    return {key: target_of[key] for key in sorted(keys)}


def _examples(turns: Turns, targets: Mapping[str, int]) -> tuple[Example, ...]:
    return tuple(Example(**vars(turns[key]), target=target) for key, target in targets.items() if key in turns)
