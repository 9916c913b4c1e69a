"""Which utterances come from one recording or one utterance, by their names and by their segments of a file."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from affectra.splits.leakage.by_name.names import Name, take_apart, take_number

Codes = npt.NDArray[np.int64]  # (row,) what a row belongs to, -1 where to nothing

_TOUCHING_S = 0.01  # ours: neighbouring segments may touch by a rounded label
_CROSSTALK = 0.5  # ours: two speakers may talk at once for less than this share of the shorter turn
_LAGS = 200  # segments of one file that follow a segment and are compared with it


@dataclass(frozen=True)
class Origins:
    """Rows that one utterance was made into, by one way of naming them.

    Attributes:
        family: rows made from one utterance, in whatever way.
        marks: of augmentation; rows of one family with other marks are augmented copies of each other.
        segments: rows that are segments of one utterance, or the whole and its segments.
        perhaps: rows that may be that.
    """

    family: Codes
    marks: Codes
    segments: Codes
    perhaps: Codes


@dataclass(frozen=True)
class _Row:
    """Fields that are compared between rows of one base."""

    row: int
    name: Name
    speaker: str
    label: str
    sentence: str


def find_origins(manifest: pd.DataFrame, labels: Sequence[str], sentences: Sequence[str]) -> list[Origins]:
    """Origins by the utterances' names and, where those are others, by the files' names.

    Args:
        manifest: the utterances.
        labels: what each is labelled, "" where unknown.
        sentences: which words each says, "" where unknown.
    """
    names = [manifest["utterance"].tolist()]
    alone = (manifest["file"] != "") & ~manifest.duplicated(["corpus", "file"], keep=False)
    files = zip(manifest["file"].tolist(), alone.tolist(), strict=True)
    stems = [file.rpartition("/")[2].rpartition(".")[0] if one else "" for file, one in files]
    if any(stem not in ("", name) for stem, name in zip(stems, names[0], strict=True)):
        names.append(stems)
    return [_origins(manifest, way, labels, sentences) for way in names]


def _origins(manifest: pd.DataFrame, names: list[str], labels: Sequence[str], sentences: Sequence[str]) -> Origins:
    taken = [take_apart(name) for name in names]
    family, marks, segments, perhaps = (np.full(len(names), -1, np.int64) for _ in range(4))
    known_marks = {mark: i for i, mark in enumerate(dict.fromkeys(name.marks for name in taken))}
    corpora, speakers = manifest["corpus"].tolist(), manifest["speaker"].tolist()
    columns = zip(corpora, taken, speakers, labels, sentences, strict=True)
    rows = [(corpus, _Row(i, *rest)) for i, (corpus, *rest) in enumerate(columns) if names[i]]
    made = {(corpus, row.name.base) for corpus, row in rows if row.name.marks or row.name.segment}
    of_base = [(corpus, row.name.base, row) for corpus, row in rows if (corpus, row.name.base) in made]
    number = 0
    for group in _by_speaker(of_base):
        if all(row.name.marks for row in group):  # noise_01 and music_01 are not copies of 01
            group = [row for row in group if not row.name.weak]
        by_marks = defaultdict(list)
        for row in group:
            by_marks[row.name.marks].append(row)
        if sum(not row.name.segment for row in by_marks[""]) > 1:
            continue  # one name in two folders: no telling whose copies these are
        for mark, alike in by_marks.items():
            for row in alike:
                family[row.row], marks[row.row] = group[0].row, known_marks[mark]
            cut = [row for row in alike if row.name.segment]
            if cut and len(alike) > 1 and (all(row.name.sure for row in cut) or _is_one(alike)):
                number += 1
                segments[[row.row for row in alike]] = number
    for alike, sure in _numbered(rows, {name for (_, name) in made}):
        number += 1
        (segments if sure else perhaps)[[row.row for row in alike]] = number
    return Origins(family, marks, segments, perhaps)


def _by_speaker(rows: Sequence[tuple[str, str, _Row]]) -> Iterator[list[_Row]]:
    """Groups of two rows or more of one corpus, base and speaker; who is unknown may be the only one who is known."""
    groups: dict[tuple[str, str], list[_Row]] = defaultdict(list)
    for corpus, base, row in rows:
        groups[corpus, base].append(row)
    for group in groups.values():
        speakers = {row.speaker for row in group}
        if len(speakers - {""}) <= 1:
            speakers = {""}
        for speaker in sorted(speakers):
            alike = [row for row in group if speakers == {""} or row.speaker == speaker]
            if len(alike) > 1:
                yield alike


def _is_one(rows: Sequence[_Row]) -> bool:
    """Whether rows have one label and say one thing, as far as that is known."""
    return len({row.label for row in rows} - {""}) <= 1 and len({row.sentence for row in rows} - {""}) <= 1


def _numbered(rows: Sequence[tuple[str, _Row]], made: set[str]) -> Iterator[tuple[list[_Row], bool]]:
    """Rows named x-0000, x-0001 that are segments of x, and whether that is sure.

    Most corpora number whole utterances. They are segments if all of a base have one label and say one thing, and if
    that is so for most bases of the corpus; it is sure if the numbers begin with 0 or x is there too.
    """
    of_base: dict[str, list[tuple[str, str, _Row]]] = defaultdict(list)
    plain = {(corpus, row.name.base): row for corpus, row in rows if row.name.base not in made}
    numbers: dict[int, int] = {}
    for corpus, row in rows:
        number = take_number(row.name.base) if row.name.base not in made else None
        if number is not None:
            of_base[corpus].append((corpus, number[0], row))
            numbers[row.row] = number[1]
    for corpus, found in of_base.items():
        bases = {row.row: base for _, base, row in found}
        groups = list(_by_speaker(found))
        counts = Counter(map(_is_one, groups))
        for group in groups if counts[True] > counts[False] else []:
            whole = plain.get((corpus, bases[group[0].row]))
            whole = whole if whole and {whole.speaker, ""} & {row.speaker for row in group} else None
            if _is_one(group):
                sure = whole is not None or min(numbers[row.row] for row in group) == 0
                yield [*group, *([whole] if whole else [])], sure


@dataclass(frozen=True)
class Overlaps:
    """Pairs of rows whose segments of one file overlap.

    Attributes:
        first: (pair,) rows.
        second: (pair,) rows.
        crosstalk: (pair,) whether they are turns of two speakers that overlap a little, as in any talk.
    """

    first: Codes
    second: Codes
    crosstalk: npt.NDArray[np.bool_]


def find_overlaps(manifest: pd.DataFrame) -> Overlaps:
    """Rows that share a part of a file; a row without segment is the whole file."""
    shared = (manifest["file"] != "") & manifest.duplicated(["corpus", "file"], keep=False)
    rows = np.flatnonzero(shared.to_numpy())
    file = manifest.iloc[rows].groupby(["corpus", "file"], sort=False).ngroup().to_numpy()
    start = manifest["start"].fillna(0.0).to_numpy()[rows]
    end = manifest["end"].fillna(np.inf).to_numpy()[rows]
    speaker = pd.factorize(manifest["speaker"])[0][rows]
    known = (manifest["speaker"] != "").to_numpy()[rows]
    order = np.lexsort((start, file))
    found: list[tuple[npt.NDArray, ...]] = []
    for lag in range(1, min(_LAGS, len(rows) - 1) + 1):
        one, other = order[:-lag], order[lag:]
        overlap = np.minimum(end[one], end[other]) - start[other]
        here = (file[one] == file[other]) & (overlap > _TOUCHING_S)
        if not (file[one] == file[other]).any():
            break
        one, other, overlap = one[here], other[here], overlap[here]
        shorter = np.minimum(end[one] - start[one], end[other] - start[other])
        part = np.divide(overlap, shorter, out=np.ones(len(one)), where=np.isfinite(shorter))
        two = (speaker[one] != speaker[other]) & known[one] & known[other]
        found.append((rows[one], rows[other], two & (part < _CROSSTALK)))
    if not found:
        return Overlaps(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, bool))
    return Overlaps(*(np.concatenate(column) for column in zip(*found, strict=True)))
