"""Folds as data: membership of train, dev and test, their hash, and their file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from affectra.corpora.utterance import utterance_keys
from affectra.errors import ProtocolError
from affectra.files import read_json, sha256_json, write_json

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
        speaker_independent: whether no speaker is on two sides of any fold, as checked on these utterances.
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
        return sha256_json([{part: sorted(getattr(fold, part)) for part in PARTS} for fold in self.folds])

    def stamp(self) -> dict[str, Any]:
        """What each result says of its protocol: name, version, hash, speaker_independent."""
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


def check_folds(folds: list[Fold], manifest: pd.DataFrame, source: str) -> bool:
    """Check folds against a manifest; returns whether they are speaker-independent.

    Args:
        folds: what to check.
        manifest: the utterances.
        source: the protocol's name or file, for messages.

    Raises:
        ProtocolError: an unknown or doubled utterance, one on two sides of a fold or tested twice, or an empty train or
            test part.
    """
    keys = utterance_keys(manifest)
    voices = dict(zip(keys, zip(manifest["corpus"], manifest["speaker"], strict=True), strict=True))
    independent = bool((manifest["speaker"] != "").all())
    tested: dict[str, int] = {}
    for k, fold in enumerate(folds):
        seen: dict[str, str] = {}
        for part in PARTS:
            for key in getattr(fold, part):
                if key not in voices:
                    raise ProtocolError(f"{source}: fold {k}: {part} names {key!r}, which the manifest does not have")
                if key in seen:
                    raise ProtocolError(f"{source}: fold {k}: {key!r} is in {seen[key]} and in {part}")
                seen[key] = part
        for key in fold.test:
            if key in tested:
                raise ProtocolError(f"{source}: {key!r} is tested in fold {tested[key]} and in fold {k}")
            tested[key] = k
        for part in ("train", "test"):
            if not getattr(fold, part):
                raise ProtocolError(f"{source}: fold {k}: the {part} part is empty")
        speakers = [{voices[key] for key in getattr(fold, part)} for part in PARTS]
        independent &= not (speakers[0] & speakers[1] or speakers[0] & speakers[2] or speakers[1] & speakers[2])
    return independent
