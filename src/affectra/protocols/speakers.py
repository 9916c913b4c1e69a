"""Protocols that keep speakers whole."""

import pandas as pd

from affectra.errors import ProtocolError
from affectra.protocols.folds import Fold
from affectra.protocols.groups import Count, leave_one_out
from affectra.protocols.kinds import known_members


def loso(manifest: pd.DataFrame, dev: bool = True) -> list[Fold]:
    """Leave one speaker out.

    Args:
        manifest: the utterances.
        dev: whether the next speaker in order is the dev part and not trained on.

    Raises:
        ProtocolError: a speaker is unknown, or there are too few.
    """
    return leave_one_out(known_members(manifest, "speaker", "loso"), manifest, dev, "loso", "speakers")


def kfold_speaker(manifest: pd.DataFrame, k: Count = 5, dev: bool = True) -> list[Fold]:
    """k speaker-disjoint folds: speakers by corpus, gender and name are dealt out in turn, so each gender is spread.

    Args:
        manifest: the utterances.
        k: how many folds.
        dev: whether the next fold's speakers are the dev part.

    Raises:
        ProtocolError: a speaker is unknown, or there are fewer than folds.
    """
    voices = known_members(manifest, "speaker", "kfold-speaker")
    genders = manifest["gender"].groupby(voices).max()  # a speaker whose gender some rows leave open is one speaker
    corpora = manifest["corpus"].groupby(voices).first()
    people = sorted(zip(corpora, genders, genders.index, strict=True))
    if len(people) < k:
        raise ProtocolError(f"protocol kfold-speaker: k={k} folds need k <= speakers, found {len(people)} speakers")
    groups = {voice: i % k for i, (_, _, voice) in enumerate(people)}
    return leave_one_out(voices.map(groups), manifest, dev, "kfold-speaker", "folds")
