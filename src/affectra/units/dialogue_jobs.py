"""The jobs of a run over dialogues: which turns each part of a fold may hear, their features, the folds."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from affectra.corpora.utterance import join_manifests
from affectra.features.extract import CachedFrames
from affectra.files import sha256_json
from affectra.protocols.folds import Fold
from affectra.recipe import DialogueRecipe, Modality
from affectra.specification import Specification
from affectra.training.data import Example, Utterance
from affectra.training.dialogue_fold import DialogueFoldJob, ModalityJob
from affectra.training.turns import Dialogue
from affectra.units.material import COLUMN, extract_rows
from affectra.units.planned import Plan, Work
from affectra.units.transcribed import transcribe_turns

MODALITIES = tuple(COLUMN)


def recipe_of(plan: Plan) -> DialogueRecipe:
    """The recipe of a run over dialogues."""
    assert isinstance(plan.recipe, DialogueRecipe)
    return plan.recipe


def specification(plan: Plan, part: Modality) -> Specification:
    """What each fold builds for one modality."""
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


def spoken_turns(plan: Plan) -> pd.DataFrame:
    """All turns of the dialogues that have a labelled one, in the order in which they were said.

    Returns:
        Rows of the manifest with three columns more: `key`, the name in splits and predictions; `conversation`, the
        dialogue, or the utterance itself where it is of none; `target`, the class, "" where a turn gives context alone.
    """
    labelled = plan.data.labelled.manifest
    manifest = join_manifests([corpus.manifest for corpus in plan.data.corpora])
    several = labelled["corpus"].nunique() > 1
    names = manifest["corpus"] + "/" + manifest["utterance"]
    keys = names if several else manifest["utterance"]
    alone = manifest["dialogue"] == ""
    conversations = (manifest["corpus"] + "/" + manifest["dialogue"]).where(~alone, names)
    target_of = dict(zip(labelled["corpus"] + "/" + labelled["utterance"], labelled["target"], strict=True))
    turns = manifest.assign(key=keys, conversation=conversations, target=names.map(target_of).fillna(""))
    turns = turns[manifest["corpus"].isin(labelled["corpus"].unique())]
    with_label = set(turns.loc[turns["target"] != "", "conversation"])
    turns = turns[turns["conversation"].isin(with_label)]
    order = ["conversation", "turn", "start"]
    return turns.sort_values(order, kind="stable", na_position="last").reset_index(drop=True)


def prepare(plan: Plan, threads: int, say: Callable[[str], None]) -> Work:
    """Compute the features of every turn and say what is to be trained."""
    recipe, turns = recipe_of(plan), spoken_turns(plan)
    written = turns
    facts: dict[str, Any] = {}
    if recipe.transcripts is not None:
        written, facts["transcripts"] = transcribe_turns(plan.data.corpora, turns, recipe.transcripts, say)
        if recipe.transcripts.used == "always":
            turns = written
    heard, tested = {}, {}
    for name, part in recipe.modalities.items():
        heard[name] = _utterances(turns, plan, name, part)
        tested[name] = {} if name in recipe.withheld else heard[name]
        if name == "text" and written is not turns and name not in recipe.withheld:
            tested[name] = _utterances(written, plan, name, part)
    say(f"features of {len(turns)} turns are ready")
    folds = [
        _fold_job(plan, turns, heard, tested, seed, k, threads)
        for seed in range(recipe.seeds)
        for k in range(len(plan.data.splits.folds))
    ]
    return Work((), tuple(folds), _hashes(turns, heard), facts)


def _utterances(turns: pd.DataFrame, plan: Plan, name: str, part: Modality) -> dict[str, Utterance]:
    """The turns that have a modality, by key."""
    rows = turns[turns[COLUMN[name]] != ""]
    cached: Sequence[CachedFrames] = extract_rows(rows, plan.data.corpora, part.front_end)[0] if len(rows) else []
    return {
        row["key"]: Utterance(
            row["key"], row["corpus"], row["speaker"], row["gender"], row["language"], found.path, found.n_frames
        )
        for row, found in zip(rows.to_dict("records"), cached, strict=True)
    }


def _hashes(turns: pd.DataFrame, heard: Mapping[str, Mapping[str, Utterance]]) -> dict[str, str]:
    """What was heard and read of each turn, in one number; the names of cached frames tell the content."""
    return {
        key: sha256_json([part[key].frames.name if key in part else "" for part in heard.values()])
        for key in turns["key"]
    }


def _fold_job(
    plan: Plan,
    turns: pd.DataFrame,
    heard: Mapping[str, Mapping[str, Utterance]],
    tested: Mapping[str, Mapping[str, Utterance]],
    seed: int,
    k: int,
    threads: int,
) -> DialogueFoldJob:
    recipe, classes = recipe_of(plan), plan.data.labelled.classes
    fold = plan.data.splits.folds[k]
    target_of = {key: classes.index(name) for key, name in zip(turns["key"], turns["target"], strict=True) if name}
    targets = {part: {key: target_of[key] for key in getattr(fold, part)} for part in ("train", "dev", "test")}
    dialogues = {part: heard_dialogues(turns, fold, part) for part in ("train", "dev", "test")}
    if recipe.context is None:
        dialogues = {part: [turn for d in found for turn in d.alone()] for part, found in dialogues.items()}
    known = {part: {key for dialogue in found for key in dialogue.keys} for part, found in dialogues.items()}
    in_training = known["train"] | known["dev"]
    modalities = [
        ModalityJob(
            name=name,
            recipe=part,
            specification=specification(plan, part),
            train=_examples(heard[name], targets["train"]),
            dev=_examples(heard[name], targets["dev"]),
            heard={key: turn for key, turn in heard[name].items() if key in in_training},
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
        threads=threads,
    )


def _examples(turns: Mapping[str, Utterance], targets: Mapping[str, int]) -> tuple[Example, ...]:
    return tuple(Example(**vars(turns[key]), target=target) for key, target in targets.items() if key in turns)


def heard_dialogues(turns: pd.DataFrame, fold: Fold, part: str) -> list[Dialogue]:
    """The dialogues of a part of a fold, with the turns that it may hear.

    Dev and test dialogues are whole: whoever else speaks in them gives context. In training no turn of the dev or test
    part is heard, not even as context; where a dialogue is torn by its speakers, as IEMOCAP's are when one speaker is
    left out, the unlabelled turns of those speakers are left out too.

    Args:
        turns: as `spoken_turns` gives them.
        fold: names of the labelled turns of each part.
        part: "train", "dev" or "test".
    """
    own, others = set(getattr(fold, part)), {*fold.dev, *fold.test}
    found = []
    for _, rows in turns.groupby("conversation", sort=False):
        mine = rows["key"].isin(own)
        if not mine.any():
            continue
        if part == "train" and rows["key"].isin(others).any():
            silent = set(rows.loc[rows["key"].isin(others), "speaker"])
            unlabelled = (rows["target"] == "") & rows["speaker"].isin(set(rows.loc[mine, "speaker"]) - silent)
            rows = rows[mine | unlabelled]
        speakers = np.unique(rows["speaker"].to_numpy(dtype=str), return_inverse=True)[1]
        found.append(Dialogue(tuple(rows["key"]), tuple(speakers.tolist())))
    return found
