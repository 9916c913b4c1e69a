"""The named protocols: each a function from utterances to folds."""

import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from affectra.corpora.utterance import utterance_keys
from affectra.errors import ConfigError, ProtocolError
from affectra.protocols.folds import PARTS, Fold, Splits, check_folds, read_splits
from affectra.registry import check_options, unknown_name


@dataclass(frozen=True)
class Protocol:
    """A named rule that puts utterances into folds.

    Attributes:
        name: the name used on the command line and stamped on results.
        version: changes when the rule does.
        title: one line on what it is.
        speaker_independent: whether it promises that no speaker is on two sides; None: depends on its input.
        folds: (manifest, **options) -> folds.
    """

    name: str
    version: int
    title: str
    speaker_independent: bool | None
    folds: Callable[..., list[Fold]]


PROTOCOLS: dict[str, Protocol] = {}


def _protocol(name: str, title: str, speaker_independent: bool | None, version: int = 1) -> Callable[..., Any]:
    def add(folds: Callable[..., list[Fold]]) -> Callable[..., list[Fold]]:
        PROTOCOLS[name] = Protocol(name, version, title, speaker_independent, folds)
        return folds

    return add


def check_protocol(name: str, options: Mapping[str, Any]) -> None:
    """Raise a `ConfigError` for an unknown protocol or option, before any corpus is read."""
    if name not in PROTOCOLS:
        raise ConfigError(unknown_name("protocol", name, PROTOCOLS))
    check_options(f"protocol {name}", PROTOCOLS[name].folds, options, also=("manifest",))


def apply_protocol(
    name: str, manifest: pd.DataFrame, options: Mapping[str, Any] | None = None, *, left_out: Collection[str] = ()
) -> Splits:
    """Put utterances into folds.

    Args:
        name: a name from `PROTOCOLS`.
        manifest: the utterances that take part, e.g. those a task has a class for.
        options: the protocol's options.
        left_out: keys of utterances that take no part, which a file of folds may name all the same.

    Raises:
        ConfigError: unknown protocol or option.
        ProtocolError: the utterances lack what the protocol needs.
    """
    options = dict(options or {})
    check_protocol(name, options)
    keys = utterance_keys(manifest)
    if keys.duplicated().any():
        raise ProtocolError(f"protocol {name}: {keys[keys.duplicated()].iloc[0]!r} stands in the manifests twice")
    protocol = PROTOCOLS[name]
    folds = [
        Fold(*(tuple(key for key in getattr(fold, part) if key not in left_out) for part in PARTS))
        for fold in protocol.folds(manifest, **options)
    ]
    independent = check_folds(folds, manifest, f"protocol {name}")
    assert independent or not protocol.speaker_independent, f"protocol {name} broke its promise"
    return Splits(name, protocol.version, independent, _stated(protocol, options), tuple(folds))


def _stated(protocol: Protocol, options: Mapping[str, Any]) -> dict[str, Any]:
    """Every option with the value in force, so that a splits file says them all."""
    parameters = list(inspect.signature(protocol.folds).parameters.values())[1:]
    return {p.name: str(v) if isinstance(v := options.get(p.name, p.default), Path) else v for p in parameters}


def _voices(manifest: pd.DataFrame, protocol: str) -> pd.Series:
    """(corpus, speaker) of each row as one string, for grouping; a `ProtocolError` where a speaker is unknown."""
    unknown = manifest["speaker"] == ""
    if unknown.any():
        first = manifest.loc[unknown, "utterance"].iloc[0]
        raise ProtocolError(
            f"protocol {protocol}: the speaker of {int(unknown.sum())} utterances is unknown (first: {first}); fill "
            "the manifest's speaker column, or use random-80-20, which is stamped speaker-dependent"
        )
    return manifest["corpus"] + "/" + manifest["speaker"]


def _leave_one_out(groups: pd.Series, keys: pd.Series, dev: bool, protocol: str, what: str) -> list[Fold]:
    """One fold a group: it is the test part; with `dev`, the next group (in order, cyclic) is the dev part."""
    names = sorted(groups.unique())
    needed = 3 if dev else 2
    if len(names) < needed:
        raise ProtocolError(
            f"protocol {protocol}: needs at least {needed} {what} {'with' if dev else 'without'} a dev part, "
            f"found {len(names)}"
        )
    folds = []
    for i, name in enumerate(names):
        dev_name = names[(i + 1) % len(names)] if dev else None
        parts = {
            "train": keys[(groups != name) & (groups != dev_name)],
            "dev": keys[groups == dev_name],
            "test": keys[groups == name],
        }
        folds.append(Fold(**{part: tuple(members) for part, members in parts.items()}))
    return folds


@_protocol("loso", "leave one speaker out: each speaker is the test part once", True)
def loso(manifest: pd.DataFrame, dev: bool = True) -> list[Fold]:
    """Leave one speaker out; with `dev`, the next speaker in order is the dev part and not trained on."""
    return _leave_one_out(_voices(manifest, "loso"), utterance_keys(manifest), dev, "loso", "speakers")


@_protocol("losession", "leave one session out: each recording session is the test part once", True)
def losession(manifest: pd.DataFrame, dev: bool = True) -> list[Fold]:
    """Leave one session out; with `dev`, the next session is the dev part.

    Raises:
        ProtocolError: sessions unknown, or a speaker who takes part in several.
    """
    voices = _voices(manifest, "losession")
    if (manifest["session"] == "").any():
        raise ProtocolError("protocol losession: the corpus has utterances without a session; loso may fit")
    sessions = manifest["corpus"] + "/" + manifest["session"]
    shared = sessions.groupby(voices).nunique()
    if (shared > 1).any():
        raise ProtocolError(f"protocol losession: speaker {shared.index[shared > 1][0]} is in several sessions")
    return _leave_one_out(sessions, utterance_keys(manifest), dev, "losession", "sessions")


@_protocol("kfold-speaker", "k folds of whole speakers, each gender spread evenly", True)
def kfold_speaker(manifest: pd.DataFrame, k: int = 5, dev: bool = True) -> list[Fold]:
    """k speaker-disjoint folds: speakers by corpus, gender and name are dealt out in turn, so each gender is spread.

    Raises:
        ProtocolError: fewer speakers than folds.
    """
    voices = _voices(manifest, "kfold-speaker")
    genders = manifest["gender"].groupby(voices).max()  # a speaker whose gender some rows leave open is one speaker
    corpora = manifest["corpus"].groupby(voices).first()
    people = sorted(zip(corpora, genders, genders.index, strict=True))
    groups = {voice: i % k for i, (_, _, voice) in enumerate(people)}
    if k < 2 or len(groups) < k:
        raise ProtocolError(
            f"protocol kfold-speaker: k={k} folds need 2 <= k <= speakers, found {len(groups)} speakers"
        )
    return _leave_one_out(voices.map(groups), utterance_keys(manifest), dev, "kfold-speaker", "folds")


@_protocol("random-80-20", "one random split of utterances, 80 % train; SPEAKER-DEPENDENT and stamped so", None)
def random_80_20(manifest: pd.DataFrame, seed: int = 0) -> list[Fold]:
    """A random 80/20 split by utterance, before any segmenting; speakers stand on both sides (Gao et al. 2021)."""
    keys = utterance_keys(manifest).sort_values().to_numpy()
    if len(keys) < 5:
        raise ProtocolError(f"protocol random-80-20: needs at least 5 utterances, found {len(keys)}")
    order = np.random.default_rng(seed).permutation(len(keys))
    n_test = round(0.2 * len(keys))
    return [Fold(tuple(sorted(keys[order[n_test:]])), (), tuple(sorted(keys[order[:n_test]])))]


@_protocol("official", "the corpus's own train, dev and test parts", None)
def official(manifest: pd.DataFrame) -> list[Fold]:
    """The manifest's `split` column.

    Raises:
        ProtocolError: a row without a part, or one that is not train, dev or test.
    """
    wrong = sorted(set(manifest["split"]) - {"train", "dev", "test"})
    if wrong:
        found = ", ".join(repr(word) for word in wrong)
        raise ProtocolError(
            f"protocol official: the split column must say train, dev or test everywhere, found {found}"
        )
    keys = utterance_keys(manifest)
    return [Fold(*(tuple(keys[manifest["split"] == part]) for part in ("train", "dev", "test")))]


@_protocol("fixed", "the folds of a file that `affectra split` wrote (option: file)", None)
def fixed(manifest: pd.DataFrame, file: str) -> list[Fold]:
    """Folds read from a splits file; utterances it does not name take no part."""
    del manifest  # membership is checked for every protocol alike
    return read_splits(file)
