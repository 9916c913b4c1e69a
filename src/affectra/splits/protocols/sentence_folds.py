"""Protocols that keep spoken sentences apart: what is recognised there is not the wording learnt by heart."""

import numpy as np
import pandas as pd

from affectra.corpora.manifest import utterance_keys
from affectra.errors import ProtocolError
from affectra.splits.protocols.folds import Fold
from affectra.splits.protocols.groups import Count, balanced_groups, leave_one_out, make_fold
from affectra.splits.protocols.kinds import known_members


def sentence_disjoint(manifest: pd.DataFrame, k: Count = 5, dev: bool = True) -> list[Fold]:
    """k folds of whole sentences, of about equal size; speakers are in both train and test.

    Args:
        manifest: the utterances.
        k: how many folds.
        dev: whether the next fold's sentences are the dev part.

    Raises:
        ProtocolError: the words of an utterance are unknown, or there are fewer sentences than folds.
    """
    sentences = known_members(manifest, "sentence", "sentence-disjoint")
    groups = _group(sentences, k, "sentence-disjoint", "k", "sentences")
    return leave_one_out(groups, manifest, dev, "sentence-disjoint", "folds")


def speaker_sentence_disjoint(
    manifest: pd.DataFrame, speakers: Count = 5, sentences: Count = 2, dev: bool = True
) -> list[Fold]:
    """One fold for each group of speakers and group of sentences: tested is what these speakers say of these sentences.

    Trained on is what other speakers say of other sentences; the rest of a fold takes no part. Each utterance is tested
    once. A cell in which nothing is spoken gives no fold.

    Args:
        manifest: the utterances.
        speakers: how many groups of speakers; each gender and corpus is spread over them.
        sentences: how many groups of sentences.
        dev: whether the next group's speakers, in the sentences that are trained on, are the dev part.

    Raises:
        ProtocolError: speaker or words of an utterance unknown, fewer of them than groups, or a fold with nothing to
            train on or to choose by.
    """
    name = "speaker-sentence-disjoint"
    voices = known_members(manifest, "speaker", name)
    spoken = known_members(manifest, "sentence", name)
    if dev and speakers < 3:
        raise ProtocolError(f"protocol {name}: speakers=2 groups leave none to train on beside a dev part; dev=false")
    genders = manifest["gender"].groupby(voices).max()
    corpora = manifest["corpus"].groupby(voices).first()
    strata = {voice: (corpora[voice], genders[voice]) for voice in genders.index}
    voice_groups = _group(voices, speakers, name, "speakers", "speakers", strata).to_numpy()
    sentence_groups = _group(spoken, sentences, name, "sentences", "sentences").to_numpy()
    keys = utterance_keys(manifest).to_numpy()
    folds = []
    for i in range(speakers):
        next_voices = voice_groups == (i + 1) % speakers if dev else np.zeros(len(keys), dtype=bool)
        for j in range(sentences):
            test = (voice_groups == i) & (sentence_groups == j)
            dev_rows = next_voices & (sentence_groups != j)
            train = (voice_groups != i) & ~next_voices & (sentence_groups != j)
            if not test.any():
                continue
            if not train.any() or (dev and not dev_rows.any()):
                part = "dev" if train.any() else "train"
                raise ProtocolError(
                    f"protocol {name}: speaker group {i} and sentence group {j} leave the {part} part empty; "
                    f"speakers share too few sentences for speakers={speakers}, sentences={sentences}"
                )
            folds.append(make_fold(keys, test, dev_rows, train))
    return folds


def _group(
    names: pd.Series, k: int, protocol: str, option: str, what: str, strata: dict[str, tuple[str, str]] | None = None
) -> pd.Series:
    """The group of each row's name, from 0 to k - 1."""
    sizes = {str(name): int(n) for name, n in names.value_counts().items()}
    if len(sizes) < k:
        raise ProtocolError(f"protocol {protocol}: {option}={k} groups of {what}, found {len(sizes)} {what}")
    return names.map(balanced_groups(sizes, k, strata))
