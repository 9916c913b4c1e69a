"""Checks for the same recording in two parts: copies by sample, by ear and by name, segments, and doubled corpora."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from affectra.splits.leakage.by_ear.fingerprint import Fingerprint
from affectra.splits.leakage.by_ear.matching import NearDuplicate, near_duplicates
from affectra.splits.leakage.by_name.origins import Origins, Overlaps, find_origins, find_overlaps
from affectra.splits.leakage.checks import Check, Codes, Group, Pairs, factorize

TWIN_SHARE = 0.5  # ours: of the smaller corpus's rows that the other has too, for it to be no chance
N_TWINS = 10  # ours: at least so many


def copy_checks(
    manifest: pd.DataFrame,
    keys: pd.Series,
    labels: Sequence[str],
    sentences: Sequence[str],
    fingerprints: Mapping[str, Fingerprint] | None,
    hashes: Mapping[str, str] | None,
) -> list[Check]:
    """The checks that find the same recording, or a part of it, in two parts of a fold.

    Args:
        manifest: the utterances.
        keys: their keys.
        labels: their classes, "" where unknown.
        sentences: which words they say, "" where unknown.
        fingerprints: by key, if the audio was compared.
        hashes: of their samples by key, if the samples were read.
    """
    origins = find_origins(manifest, labels, sentences)
    overlaps = find_overlaps(manifest)
    corpora = factorize(manifest["corpus"])
    sounds = factorize(pd.Series([(hashes or {}).get(key, "") for key in keys], dtype="str"))
    near = near_duplicates({key: fingerprints[key] for key in keys if key in fingerprints}) if fingerprints else []
    checks = _segment_checks(overlaps)
    checks += _near_checks(near, keys, corpora, sounds, origins, overlaps)
    rows = {key: row for row, key in enumerate(keys)}
    alike = frozenset((rows[pair.first], rows[pair.second]) for pair in near)
    for way, origin in zip(("", "files' "), origins, strict=False):
        checks += _name_checks(origin, way, alike)
    within = np.where(sounds < 0, -1, sounds * (corpora.max(initial=0) + 1) + corpora)
    checks.append(Group("duplicate", "utterances of {here} are in {there} too, sample by sample", within))
    across = "utterances of {here} are in {there} under another corpus's name, "
    checks.append(Group("corpus", across + "sample by sample", sounds, corpora))
    if hashes is None:
        twins = _twins(manifest, labels, sentences)
        checks.append(Group("corpus", across + "by name, speaker and label", twins, corpora))
    return checks


def _segment_checks(overlaps: Overlaps) -> list[Check]:
    talk = overlaps.crosstalk
    same = "utterances of {here} overlap in their file with others in {there}"
    turns = "utterances of {here} overlap a little with another speaker's turn in {there}"
    return [
        Pairs("segment", same, overlaps.first[~talk], overlaps.second[~talk]),
        Pairs("segment", turns, overlaps.first[talk], overlaps.second[talk], severity="warning"),
    ]


def _name_checks(origin: Origins, way: str, alike: frozenset[tuple[int, int]]) -> list[Check]:
    augmented = f"utterances of {{here}} are in {{there}} as another augmented copy, by their {way}names"
    segments = f"utterances of {{here}} are of one recording with segments in {{there}}, by their {way}names"
    perhaps = f"utterances of {{here}} may be of one recording with others in {{there}}, by their numbered {way}names"
    return [
        Group("augmented", augmented, origin.family, origin.marks, alike=alike),
        Group("segment", segments, origin.segments, alike=alike),
        Group("segment", perhaps, origin.perhaps, severity="warning", alike=alike),
    ]


def _near_checks(
    near: Sequence[NearDuplicate],
    keys: pd.Series,
    corpora: Codes,
    sounds: Codes,
    origins: Sequence[Origins],
    overlaps: Overlaps,
) -> list[Check]:
    """Pairs that sound alike and that nothing else explains, within a corpus and across two."""
    rows = {key: row for row, key in enumerate(keys)}
    first = np.array([rows[pair.first] for pair in near], dtype=np.int64)
    second = np.array([rows[pair.second] for pair in near], dtype=np.int64)
    explained = (sounds[first] == sounds[second]) & (sounds[first] >= 0)
    for origin in origins:
        for codes in (origin.family, origin.segments):
            explained |= (codes[first] == codes[second]) & (codes[first] >= 0)
    known = {*zip(overlaps.first.tolist(), overlaps.second.tolist(), strict=True)}
    both = zip(first.tolist(), second.tolist(), strict=True)
    explained |= np.array([(i, j) in known or (j, i) in known for i, j in both], dtype=bool)
    details = [f"{pair.similarity:.0%} alike" + (_speed(pair) or _shift(pair.offset_s)) for pair in near]
    same_corpus = corpora[first] == corpora[second]
    same_speed = np.array([pair.speed == 1 for pair in near], dtype=bool)
    same = "utterances of {here} sound the same as"
    checks: list[Check] = []
    for kind, here, what in (
        ("near-duplicate", same_corpus & same_speed, f"{same} others in {{there}}"),
        ("augmented", same_corpus & ~same_speed, f"{same} others in {{there}}, played at another speed"),
        ("corpus", ~same_corpus & same_speed, f"{same} ones of another corpus in {{there}}"),
        ("corpus", ~same_corpus & ~same_speed, f"{same} ones of another corpus in {{there}}, played at another speed"),
    ):
        chosen = np.flatnonzero(here & ~explained)
        checks.append(Pairs(kind, what, first[chosen], second[chosen], [details[i] for i in chosen]))
    return checks


def _speed(pair: NearDuplicate) -> str:
    if pair.speed == 1:
        return ""
    faster = pair.second if pair.speed > 1 else pair.first
    return f", {faster} {max(pair.speed, 1 / pair.speed):.2f} times as fast"


def _shift(offset_s: float) -> str:
    return f", {abs(offset_s):.2f} s apart" if abs(offset_s) >= 0.02 else ""


def _twins(manifest: pd.DataFrame, labels: Sequence[str], sentences: Sequence[str]) -> Codes:
    """Rows that two corpora have with the same name, file, speaker, label and words, where that is no chance.

    Without speaker and words a row says too little: two corpora may both have an anger/001.wav.
    """
    columns = zip(manifest["utterance"], manifest["file"], manifest["speaker"], labels, sentences, strict=True)
    rows = pd.Series(["\t".join(row) if row[2] or row[4] else "" for row in columns], index=manifest.index)
    codes = factorize(rows)
    of_corpus = {name: {*codes[(manifest["corpus"] == name).to_numpy()]} - {-1} for name in manifest["corpus"].unique()}
    twins: set[int] = set()
    for name, one in of_corpus.items():
        for other_name, other in of_corpus.items():
            common = one & other
            if name < other_name and len(common) >= max(N_TWINS, TWIN_SHARE * min(len(one), len(other))):
                twins |= common
    return np.where(np.isin(codes, list(twins)), codes, -1)
