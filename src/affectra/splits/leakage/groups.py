"""Checks for the same speaker, session, dialogue, sentence or corpus in two parts."""

from collections.abc import Collection

import pandas as pd

from affectra.splits.leakage.checks import Check, Codes, Group, factorize
from affectra.splits.protocols.kinds import members

WHAT = {
    "speaker": "speakers of {here} are in {there} too",
    "session": "sessions of {here} are in {there} too",
    "dialogue": "dialogues of {here} have turns in {there} too",
    "sentence": "sentences of {here} are spoken in {there} too",
    "corpus": "corpora of {here} are in {there} too",
}
PARTNERS = (
    "; the protocol keeps speakers apart and not dialogues, so a partner's turns stay in {there} by its definition"
)
READ_BY_ALL = ", which speakers share in this corpus, so only folds by sentence could avoid it"
SHARED = 0.9  # ours: of the sentences are spoken by several speakers
LONGEST_TEXT = 40  # ours: letters of a sentence in an example


def group_checks(manifest: pd.DataFrame, sentences: pd.Series, promises: Collection[str] | None) -> list[Check]:
    """The checks for what utterances belong to; for corpora only where they were promised apart.

    Args:
        manifest: the utterances.
        sentences: which words each says, "" where unknown.
        promises: kinds that the protocol keeps apart; None: nobody knows.
    """
    promised = promises or ()
    checks: list[Check] = []
    for kind, what in WHAT.items():
        if kind == "corpus" and kind not in promised:
            continue
        if kind == "dialogue" and kind not in promised and "speaker" in promised:
            what += PARTNERS
        if kind == "sentence" and _are_shared(manifest, sentences):
            what += READ_BY_ALL
        codes = factorize(sentences if kind == "sentence" else _belongs_to(manifest, kind))
        checks.append(Group(kind, what, codes, names=_shown(manifest, kind, codes)))
    return checks


def _belongs_to(manifest: pd.DataFrame, kind: str) -> pd.Series:
    """The group of each row; without a dialogue, the file that it shares with others."""
    names = members(manifest, kind)
    if kind != "dialogue":
        return names
    shared = (manifest["file"] != "") & manifest.duplicated(["corpus", "file"], keep=False)
    return names.where((names != "") | ~shared, manifest["corpus"] + "/" + manifest["file"])


def _are_shared(manifest: pd.DataFrame, sentences: pd.Series) -> bool:
    """Whether nearly all sentences are spoken by several speakers."""
    known = (sentences != "") & (manifest["speaker"] != "")
    n_speakers = manifest["speaker"][known].groupby(sentences[known]).nunique()
    return len(n_speakers) > 0 and bool((n_speakers > 1).mean() >= SHARED)


def _shown(manifest: pd.DataFrame, kind: str, codes: Codes) -> list[str]:
    """Name of each code in examples: as in the manifest, with the corpus where there are several."""
    names = manifest[kind]
    if kind == "dialogue":
        names = names.where(names != "", manifest["file"])
    if kind == "sentence":
        texts = manifest["text"]
        short = texts.where(texts.str.len() <= LONGEST_TEXT, texts.str[: LONGEST_TEXT - 3] + "...")
        names = names.where(texts == "", "'" + short + "'")
    elif kind != "corpus" and manifest["corpus"].nunique() > 1:
        names = manifest["corpus"] + "/" + names
    first = pd.Series(codes).drop_duplicates()  # the first row of each code
    return names.iloc[first[first >= 0].sort_values().index].tolist()
