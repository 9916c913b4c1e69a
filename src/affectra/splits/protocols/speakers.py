"""Protocols that keep speakers whole."""

from dataclasses import replace
from typing import Annotated

import pandas as pd
from pydantic import Field

from affectra.corpora.manifest import utterance_keys
from affectra.errors import ProtocolError
from affectra.splits.protocols.folds import Fold
from affectra.splits.protocols.groups import Count, leave_one_out
from affectra.splits.protocols.kinds import known_members


def loso(manifest: pd.DataFrame, dev: bool = True) -> list[Fold]:
    """Leave one speaker out.

    Args:
        manifest: the utterances.
        dev: whether the next speaker in order is the dev part and not trained on.

    Raises:
        ProtocolError: a speaker is unknown, or there are too few.
    """
    return leave_one_out(known_members(manifest, "speaker", "loso"), manifest, dev, "loso", "speakers")


def kfold_speaker(
    manifest: pd.DataFrame, k: Count = 5, dev: bool = True, train_speakers: Annotated[int, Field(ge=1)] | None = None
) -> list[Fold]:
    """k speaker-disjoint folds: speakers by corpus, gender and name are dealt out in turn, so each gender is spread.

    Args:
        manifest: the utterances.
        k: how many folds.
        dev: whether the next fold's speakers are the dev part.
        train_speakers: how many of a fold's training speakers are kept, for a learning curve over speakers; the others
            take no part. They are drawn at equal distances from the training speakers in the order above, so genders
            and corpora stay spread, and each fold begins with another one. Twice as many are the same ones and others.

    Raises:
        ProtocolError: a speaker is unknown, or there are fewer than folds, or a fold has fewer to train on than asked
            for.
    """
    voices = known_members(manifest, "speaker", "kfold-speaker")
    genders = manifest["gender"].groupby(voices).max()  # a speaker whose gender some rows leave open is one speaker
    corpora = manifest["corpus"].groupby(voices).first()
    people = sorted(zip(corpora, genders, genders.index, strict=True))
    if len(people) < k:
        raise ProtocolError(f"protocol kfold-speaker: k={k} folds need k <= speakers, found {len(people)} speakers")
    groups = {voice: i % k for i, (_, _, voice) in enumerate(people)}
    folds = leave_one_out(voices.map(groups), manifest, dev, "kfold-speaker", "folds")
    if train_speakers is None:
        return folds
    speaker_of = dict(zip(utterance_keys(manifest), voices, strict=True))
    order = [voice for _, _, voice in people]
    return [_with_few(fold, speaker_of, order, i, train_speakers) for i, fold in enumerate(folds)]


def _with_few(fold: Fold, speaker_of: dict[str, str], order: list[str], first: int, n: int) -> Fold:
    """The fold with n of its training speakers, at equal distances in `order`, from the one at `first` on."""
    there = {speaker_of[key] for key in fold.train}
    voices = [voice for voice in order if voice in there]
    if n > len(voices):
        raise ProtocolError(
            f"protocol kfold-speaker: train_speakers={n}, but fold {first} has {len(voices)} to train on; ask for fewer"
        )
    kept = {voices[(first + i * len(voices) // n) % len(voices)] for i in range(n)}
    return replace(fold, train=tuple(key for key in fold.train if speaker_of[key] in kept))
