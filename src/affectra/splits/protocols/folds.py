"""Folds as data: membership of train, dev and test, their hash, and their file."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from affectra.corpora.manifest import utterance_keys
from affectra.errors import ProtocolError
from affectra.files import read_json, sha256_json, write_json
from affectra.splits.protocols.kinds import members

PARTS = ("train", "dev", "test")


@dataclass(frozen=True)
class Fold:
    """One fold; each part holds utterance keys (see `utterance_keys`).

    Attributes:
        train: what the model learns from.
        dev: what may choose epochs or thresholds; empty where the protocol keeps none.
        test: what is scored, once.
    """

    train: tuple[str, ...]
    dev: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True)
class Splits:
    """A protocol applied to utterances.

    Attributes:
        protocol: the protocol's name.
        version: the protocol's version; it changes when the rule does.
        speaker_independent: whether no speaker is in two parts of any fold, as checked on these utterances.
        options: the options the protocol was given.
        folds: the folds in order.
    """

    protocol: str
    version: int
    speaker_independent: bool
    options: Mapping[str, Any] = field(default_factory=dict)
    folds: tuple[Fold, ...] = ()

    @property
    def hash(self) -> str:
        """SHA-256 of the membership; it changes when an utterance changes its part or fold, and only then."""
        return membership_hash(self.folds)

    def stamp(self) -> dict[str, Any]:
        """Facts of the protocol that each result carries: name, version, hash, speaker_independent."""
        return {
            "name": self.protocol,
            "version": self.version,
            "hash": self.hash,
            "speaker_independent": self.speaker_independent,
        }

    def to_json(self) -> dict[str, Any]:
        """The content of a splits file."""
        folds = [{part: list(getattr(fold, part)) for part in PARTS} for fold in self.folds]
        return {"protocol": {**self.stamp(), "options": dict(self.options)}, "folds": folds}


def membership_hash(folds: Sequence[Fold]) -> str:
    """SHA-256 of who is in which part of which fold, whatever the order within a part."""
    return sha256_json([{part: sorted(getattr(fold, part)) for part in PARTS} for fold in folds])


def write_splits(splits: Splits, path: str | Path) -> None:
    """Write folds as JSON, atomically."""
    write_json(path, splits.to_json())


def read_splits(path: str | Path) -> list[Fold]:
    """The folds of a splits file as `write_splits` writes it.

    Raises:
        ProtocolError: no such file, not JSON, or not folds.
    """
    path = Path(path)
    if not path.is_file():
        raise ProtocolError(f"{path}: no such splits file; `affectra split` writes one")
    try:
        content = read_json(path)
    except ValueError as error:
        raise ProtocolError(f"{path}: not JSON: {error}") from error
    folds = content.get("folds") if isinstance(content, dict) else None
    if not isinstance(folds, list) or not folds or not all(isinstance(fold, dict) for fold in folds):
        raise ProtocolError(f"{path}: expected an object with a list 'folds' of objects with train, dev and test")
    read = []
    for k, fold in enumerate(folds):
        parts = {part: fold.get(part, []) for part in PARTS}
        for part, keys in parts.items():
            if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
                raise ProtocolError(f"{path}: fold {k}: {part} is not a list of utterance names")
        read.append(Fold(**{part: tuple(keys) for part, keys in parts.items()}))
    return read


def check_folds(folds: Sequence[Fold], manifest: pd.DataFrame, source: str) -> bool:
    """Check folds against a manifest; returns whether they are speaker-independent.

    They are if no speaker is in two parts of a fold. A speaker who is unknown may be any of the corpus.

    Args:
        folds: what to check.
        manifest: the utterances.
        source: the protocol's name or file, for messages.

    Raises:
        ProtocolError: an unknown or doubled utterance, one in two parts of a fold or tested twice, or an empty train or
            test part.
    """
    keys = list(utterance_keys(manifest))
    rows = {key: row for row, key in enumerate(keys)}
    tested = np.full(len(keys), -1)  # the fold that tests a row
    independent = True
    voices = _Voices(manifest)
    for k, fold in enumerate(folds):
        parts = [_rows(getattr(fold, part), rows, f"{source}: fold {k}: {part}") for part in PARTS]
        _check_once(parts, keys, f"{source}: fold {k}")
        test = parts[PARTS.index("test")]
        if (tested[test] >= 0).any():
            row = test[tested[test] >= 0][0]
            raise ProtocolError(f"{source}: {keys[row]!r} is tested in fold {tested[row]} and in fold {k}")
        tested[test] = k
        for part in ("train", "test"):
            if not getattr(fold, part):
                raise ProtocolError(f"{source}: fold {k}: the {part} part is empty")
        independent &= voices.are_apart(parts)
    return independent


def _rows(part: Sequence[str], rows: Mapping[str, int], place: str) -> np.ndarray:
    """The rows of a part's keys."""
    found = np.fromiter(map(rows.get, part, itertools.repeat(-1)), dtype=np.int64, count=len(part))
    if (found < 0).any():
        raise ProtocolError(f"{place} names {part[int(np.argmax(found < 0))]!r}, which the manifest does not have")
    return found


def _check_once(parts: Sequence[np.ndarray], keys: Sequence[str], place: str) -> None:
    """Raise a `ProtocolError` where a row is in two parts, or twice in one."""
    seen = np.full(len(keys), -1)
    for i, part in enumerate(parts):
        if (seen[part] >= 0).any():
            row = part[seen[part] >= 0][0]
            raise ProtocolError(f"{place}: {keys[row]!r} is in {PARTS[seen[row]]} and in {PARTS[i]}")
        doubled = np.flatnonzero(np.bincount(part) > 1)
        if len(doubled):
            raise ProtocolError(f"{place}: {keys[doubled[0]]!r} is in {PARTS[i]} twice")
        seen[part] = i


class _Voices:
    """Who speaks each row of a manifest, as numbers."""

    def __init__(self, manifest: pd.DataFrame) -> None:
        self.speakers, _ = pd.factorize(members(manifest, "speaker"))
        self.corpora, _ = pd.factorize(manifest["corpus"])
        self.unknown = (manifest["speaker"] == "").to_numpy()

    def are_apart(self, parts: Sequence[np.ndarray]) -> bool:
        """Whether no speaker is in two parts; one who is unknown may be any of the corpus."""
        known = [part[~self.unknown[part]] for part in parts]
        if any(map(len, known)) and _n_parts(self.speakers, known).max() > 1:
            return False
        corpora = _n_parts(self.corpora, parts)
        return all((corpora[self.corpora[part[self.unknown[part]]]] < 2).all() for part in parts)


def _n_parts(codes: np.ndarray, parts: Sequence[np.ndarray]) -> np.ndarray:
    """In how many parts each code is."""
    present = np.zeros((len(parts), codes.max() + 1), dtype=np.int64)
    for row, part in zip(present, parts, strict=True):
        row[codes[part]] = 1
    total: np.ndarray = present.sum(axis=0)
    return total


def keeps_apart(folds: Iterable[Fold], manifest: pd.DataFrame, kind: str) -> bool:
    """Whether what is tested is, by its speaker, session, dialogue, sentence or corpus, in no other part of its fold.

    Args:
        folds: whose keys the manifest has.
        manifest: the utterances.
        kind: one of `affectra.splits.protocols.kinds.KINDS`; what is unknown is taken as apart.
    """
    names = dict(zip(utterance_keys(manifest), members(manifest, kind), strict=True))
    pairs = (({names[key] for key in fold.test}, {names[key] for key in fold.train + fold.dev}) for fold in folds)
    return not any((test & others) - {""} for test, others in pairs)
