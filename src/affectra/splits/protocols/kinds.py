"""The kinds of things that an utterance belongs to and that a protocol may keep apart."""

import pandas as pd

from affectra.errors import ProtocolError
from affectra.splits.protocols.sentences import spoken_sentences

REMEDIES = {
    "speaker": "fill the manifest's speaker column, or use random-80-20, which is stamped speaker-dependent",
    "session": "fill the manifest's session column, or use loso",
    "dialogue": "fill the manifest's dialogue column, or use loso",
    "sentence": "fill the manifest's text or sentence column, or use kfold-speaker",
    "corpus": "fill the manifest's corpus column",
}
KINDS = tuple(REMEDIES)


def members(manifest: pd.DataFrame, kind: str) -> pd.Series:
    """The group of each row: equal where it is the same speaker, session, dialogue, sentence or corpus.

    Speakers, sessions and dialogues are named within their corpus, so they are given as "corpus/name"; a sentence is
    the same in any corpus (see `spoken_sentences`). "" where it is unknown.

    Args:
        manifest: the utterances.
        kind: one of `KINDS`.
    """
    if kind == "corpus":
        return manifest["corpus"]
    if kind == "sentence":
        return spoken_sentences(manifest)
    return (manifest["corpus"] + "/" + manifest[kind]).where(manifest[kind] != "", "")


def known_members(manifest: pd.DataFrame, kind: str, protocol: str) -> pd.Series:
    """The group of each row, as of `members`, for a protocol that needs it to be known.

    Raises:
        ProtocolError: a row where it is unknown.
    """
    found = members(manifest, kind)
    unknown = found == ""
    if unknown.any():
        first = manifest.loc[unknown, "utterance"].iloc[0]
        raise ProtocolError(
            f"protocol {protocol}: the {kind} of {int(unknown.sum())} utterances is unknown (first: {first!r}); "
            f"{REMEDIES[kind]}"
        )
    return found
