"""The named protocols: each a function from utterances to folds, and what it promises of them."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from affectra.corpora.manifest import utterance_keys
from affectra.errors import ConfigError, ProtocolError
from affectra.registry import check_options, unknown_name
from affectra.splits.protocols.corpora import cross_corpus, loco, multi_corpus
from affectra.splits.protocols.folds import PARTS, Fold, Splits, check_folds, keeps_apart
from affectra.splits.protocols.given import fixed, official, random_80_20
from affectra.splits.protocols.sentence_folds import sentence_disjoint, speaker_sentence_disjoint
from affectra.splits.protocols.sessions import losession, session5
from affectra.splits.protocols.speakers import kfold_speaker, loso


@dataclass(frozen=True)
class Protocol:
    """A named rule that puts utterances into folds.

    Attributes:
        name: the name used on the command line and stamped on results.
        version: changes when the rule does.
        title: one line on what it is.
        promises: kinds (see `KINDS`) that it keeps apart whatever the utterances: nothing of that kind is in the test
            part and also in another part of a fold; speakers are apart between train and dev as well.
        folds: (manifest, **options) -> folds.
    """

    name: str
    version: int
    title: str
    promises: frozenset[str]
    folds: Callable[..., list[Fold]]

    @property
    def speaker_independent(self) -> bool | None:
        """Whether it promises that no speaker is in two parts of a fold; None: that depends on the utterances."""
        return True if "speaker" in self.promises else None


_NOTHING: frozenset[str] = frozenset()
_SPEAKER = frozenset({"speaker"})
_SENTENCE = frozenset({"sentence"})
_SESSION = frozenset({"speaker", "session", "dialogue"})
_CORPUS = _SESSION | {"corpus"}

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol("loso", 1, "leave one speaker out: each speaker is the test part once", _SPEAKER, loso),
        Protocol(
            "losession", 1, "leave one session out: each recording session is the test part once", _SESSION, losession
        ),
        Protocol("session5", 1, "session 5 is the test part (IEMOCAP)", _SESSION, session5),
        Protocol("kfold-speaker", 1, "k folds of whole speakers, each gender spread evenly", _SPEAKER, kfold_speaker),
        Protocol(
            "random-80-20",
            1,
            "one random split of utterances, 80 % train; SPEAKER-DEPENDENT and stamped so",
            _NOTHING,
            random_80_20,
        ),
        Protocol("cross-corpus", 1, "train on one corpus, test on all others", _CORPUS, cross_corpus),
        Protocol(
            "multi-corpus",
            1,
            "of each corpus a fifth of the speakers is tested, the rest trained on together",
            _SPEAKER,
            multi_corpus,
        ),
        Protocol("loco", 1, "leave one corpus out: each corpus is the test part once", _CORPUS, loco),
        Protocol(
            "sentence-disjoint",
            1,
            "k folds of whole sentences; speakers in both train and test, and stamped so",
            _SENTENCE,
            sentence_disjoint,
        ),
        Protocol(
            "speaker-sentence-disjoint",
            1,
            "neither a speaker nor a sentence of the test part is trained on",
            _SPEAKER | _SENTENCE,
            speaker_sentence_disjoint,
        ),
        Protocol("official", 1, "the corpus's own train, dev and test parts", _NOTHING, official),
        Protocol("fixed", 1, "the folds of a file, ours or somebody else's (option: file)", _NOTHING, fixed),
    )
}


def promises_of(name: str | None) -> frozenset[str] | None:
    """Kinds that folds of a protocol must keep apart; None for folds of unknown claims.

    Args:
        name: of the protocol; None, "fixed" and names that we do not know are somebody else's folds.
    """
    return PROTOCOLS[name].promises if name in PROTOCOLS and name != "fixed" else None


def check_protocol(name: str, options: Mapping[str, Any]) -> None:
    """Raise a `ConfigError` for an unknown protocol or option, before any corpus is read."""
    if name not in PROTOCOLS:
        raise ConfigError(unknown_name("protocol", name, PROTOCOLS))
    check_options(f"protocol {name}", PROTOCOLS[name].folds, options, also=("manifest",))


def stated_options(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Every option of a protocol, as given or by default, so that a splits file says them.

    Args:
        name: of the protocol.
        options: those given.

    Returns:
        Options by name; one that neither is given nor has a default is left out, and "" leaves the choice to the
        protocol.

    Example:
        >>> stated_options("kfold-speaker", {"k": 2})
        {'k': 2, 'dev': True}
    """
    parameters = list(inspect.signature(PROTOCOLS[name].folds).parameters.values())[1:]
    values = {p.name: options.get(p.name, p.default) for p in parameters}
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in values.items()
        if value is not None and value is not inspect.Parameter.empty
    }


def apply_protocol(
    name: str,
    manifest: pd.DataFrame,
    options: Mapping[str, Any] | None = None,
    *,
    everything: pd.DataFrame | None = None,
) -> Splits:
    """Put utterances into folds.

    Args:
        name: a name from `PROTOCOLS`.
        manifest: the utterances that take part, e.g. those a task has a class for.
        options: the protocol's options.
        everything: these and the utterances that take no part, which a file of folds may name all the same.

    Raises:
        ConfigError: unknown protocol or option.
        ProtocolError: the utterances lack what the protocol needs.
    """
    options = dict(options or {})
    check_protocol(name, options)
    if manifest.empty:
        raise ProtocolError(f"protocol {name}: there are no utterances")
    keys = utterance_keys(manifest)
    if keys.duplicated().any():
        raise ProtocolError(f"protocol {name}: {keys[keys.duplicated()].iloc[0]!r} stands in the manifests twice")
    protocol = PROTOCOLS[name]
    if name == "fixed" and everything is not None:
        taken = frozenset(keys)
        folds = [_only(fold, taken) for fold in protocol.folds(everything, **options)]
    else:
        folds = protocol.folds(manifest, **options)
    independent = check_folds(folds, manifest, f"protocol {name}")
    for kind in protocol.promises:
        kept = independent if kind == "speaker" else keeps_apart(folds, manifest, kind)
        assert kept, f"protocol {name} broke its promise: {kind}"
    return Splits(name, protocol.version, independent, stated_options(name, options), tuple(folds))


def _only(fold: Fold, taken: frozenset[str]) -> Fold:
    return Fold(*(tuple(key for key in getattr(fold, part) if key in taken) for part in PARTS))
