"""The turns of a run in the order in which they were spoken, and those that each part of a fold may use."""

from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

import numpy as np
import pandas as pd

from affectra.corpora.manifest import join_manifests
from affectra.models.dialogue.turns import Dialogue
from affectra.runs.units.plan_types import Plan
from affectra.splits.protocols.folds import Fold


def spoken_turns(plan: Plan) -> pd.DataFrame:
    """All turns of the dialogues that have a labelled one, in the order in which they were spoken.

    That order is by turn, then by start; what is equal in both is in the order of its names, so that no score depends
    on the order of a manifest's rows.

    Returns:
        Rows of the manifest with five columns more: `key`, the name in splits and predictions; `conversation`, the
        dialogue, or the utterance itself where it is of none; `target`, the class, "" where a turn gives context alone;
        `has_audio` and `has_text`, whether a turn has the modality.
    """
    labelled = plan.data.labelled.manifest
    manifest = join_manifests([corpus.manifest for corpus in plan.data.corpora])
    several = labelled["corpus"].nunique() > 1
    names = manifest["corpus"] + "/" + manifest["utterance"]
    keys = names if several else manifest["utterance"]
    is_alone = manifest["dialogue"] == ""
    dialogues = manifest["corpus"] + "/" + manifest["dialogue"]
    target_of = dict(zip(labelled["corpus"] + "/" + labelled["utterance"], labelled["target"], strict=True))
    turns = manifest.assign(
        key=keys,
        conversation=dialogues.where(~is_alone, names),
        target=names.map(target_of).fillna(""),
        has_audio=manifest["file"] != "",
        has_text=manifest["text"] != "",
    )
    turns = turns[manifest["corpus"].isin(labelled["corpus"].unique())]
    with_label = set(turns.loc[turns["target"] != "", "conversation"])
    turns = turns[turns["conversation"].isin(with_label)]
    order = ["conversation", "turn", "start", "key"]
    return turns.sort_values(order, kind="stable", na_position="last").reset_index(drop=True)


class _Turn(NamedTuple):
    key: str
    conversation: str
    voice: tuple[str, str]  # corpus and speaker
    is_labelled: bool


def dialogues_of_part(turns: pd.DataFrame, fold: Fold, part: str) -> list[Dialogue]:
    """The dialogues of a part of a fold, with the turns that it may use.

    - Test dialogues are whole: whoever else speaks in them gives context.
    - A dev part gets what it would in a test, but no turn of the test part.
    - In training nothing of the dev or test part is used, not even as context: neither their turns nor the unlabelled
      ones of speakers whom they hold out, nor labelled turns that the protocol keeps out of all parts. Of a dialogue
      that is torn between parts, as IEMOCAP's are when one speaker is left out, the speakers of the training part are
      left.

    Args:
        turns: as `spoken_turns` gives them.
        fold: names of the labelled turns of each part.
        part: "train", "dev" or "test".
    """
    own, train = set(getattr(fold, part)), set(fold.train)
    hidden = {"train": {*fold.dev, *fold.test}, "dev": set(fold.test), "test": set()}[part]
    rows = list(_rows(turns))
    held_out = {turn.voice for turn in rows if turn.key in hidden and turn.voice[1]}
    held_out -= {turn.voice for turn in rows if turn.key in train}  # who is on both sides is not held out
    found = []
    for _, of_dialogue in groupby(rows, key=lambda turn: turn.conversation):
        group = list(of_dialogue)
        mine = {turn.voice for turn in group if turn.key in own}
        if not mine:
            continue
        lost = {turn.voice for turn in group if turn.key in hidden}
        if part == "train" and lost:
            left = [turn for turn in group if turn.key in own or (not turn.is_labelled and turn.voice in mine - lost)]
        elif part == "train":
            left = [turn for turn in group if turn.key in own or (not turn.is_labelled and turn.voice not in held_out)]
        else:
            silent = held_out - mine
            left = [turn for turn in group if turn.key not in hidden and (turn.is_labelled or turn.voice not in silent)]
        speakers = np.unique([turn.voice[1] for turn in left], return_inverse=True)[1]
        found.append(Dialogue(tuple(turn.key for turn in left), tuple(speakers.tolist())))
    return found


def _rows(turns: pd.DataFrame) -> Iterator[_Turn]:
    voices = zip(turns["corpus"], turns["speaker"], strict=True)
    columns = (turns["key"], turns["conversation"], voices, turns["target"] != "")
    return (_Turn(*row) for row in zip(*columns, strict=True))
