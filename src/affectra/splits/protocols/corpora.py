"""Protocols over several corpora.

A speaker is known within a corpus; that the same person is not in two corpora under two names, no manifest can tell.
"""

from collections.abc import Collection

import numpy as np
import pandas as pd

from affectra.corpora.manifest import utterance_keys
from affectra.errors import ConfigError, ProtocolError
from affectra.registry import unknown_name
from affectra.splits.protocols.folds import Fold
from affectra.splits.protocols.groups import Seed, check_enough, make_fold
from affectra.splits.protocols.kinds import members
from affectra.splits.protocols.selection import choose_fifth, generator, people_of


def cross_corpus(manifest: pd.DataFrame, train: str = "", dev: bool = True, seed: Seed = 0) -> list[Fold]:
    """Train on one corpus, test on all others; one fold.

    Args:
        manifest: the utterances of two corpora or more.
        train: the training corpus; by default the manifest's first.
        dev: whether about a fifth of the training corpus's speakers are the dev part.
        seed: which speakers these are.

    Raises:
        ConfigError: no such training corpus.
        ProtocolError: one corpus alone; with `dev`, the training corpus has unknown speakers or too few.
    """
    names = _corpora(manifest, "cross-corpus")
    train = train or str(manifest["corpus"].iloc[0])
    if train not in names:
        raise ConfigError("protocol cross-corpus: option train: " + unknown_name("corpus", train, names))
    test = (manifest["corpus"] != train).to_numpy()
    dev_speakers = _dev_speakers(manifest, [train], "cross-corpus", seed) if dev else set()
    return [make_fold(utterance_keys(manifest).to_numpy(), test, _spoken_by(manifest, dev_speakers))]


def loco(manifest: pd.DataFrame, dev: bool = True, seed: Seed = 0) -> list[Fold]:
    """Leave one corpus out: one fold a corpus, which is the test part.

    Args:
        manifest: the utterances of two corpora or more.
        dev: whether about a fifth of the speakers of each training corpus are the dev part.
        seed: which speakers these are; a corpus has the same in every fold.

    Raises:
        ProtocolError: one corpus alone; with `dev`, a corpus with unknown speakers or too few.
    """
    names = _corpora(manifest, "loco")
    keys = utterance_keys(manifest).to_numpy()
    dev_rows = _spoken_by(manifest, _dev_speakers(manifest, names, "loco", seed) if dev else set())
    tests = [(manifest["corpus"] == name).to_numpy() for name in names]
    return [make_fold(keys, test, dev_rows & ~test) for test in tests]


def multi_corpus(manifest: pd.DataFrame, dev: bool = True, seed: Seed = 0) -> list[Fold]:
    """Each corpus is split 80/20 by speaker, and all train parts are trained on together (Gao et al. 2022); one fold.

    Of each corpus about a fifth of the speakers, at least one, are tested: whole sessions where each speaker is in one
    (IEMOCAP 8/2 speakers, MSP-IMPROV 10/2), else speakers of both genders where it has them (EMO-DB 8/2, SAVEE 3/1).

    Args:
        manifest: the utterances of two corpora or more.
        dev: whether a fifth of the remaining speakers of each corpus are the dev part.
        seed: which speakers are chosen.

    Raises:
        ProtocolError: one corpus alone, or a corpus with unknown speakers or too few.
    """
    test: set[str] = set()
    held_out: set[str] = set()
    for name in _corpora(manifest, "multi-corpus"):
        people = people_of(manifest[manifest["corpus"] == name], "multi-corpus")
        check_enough(len(people), 3 if dev else 2, dev, f"protocol multi-corpus: corpus {name!r}", "speakers")
        rng = generator(seed, name)
        chosen = choose_fifth(people, rng)
        test |= chosen
        if dev:
            held_out |= choose_fifth(people.drop(index=list(chosen)), rng)
    keys = utterance_keys(manifest).to_numpy()
    return [make_fold(keys, _spoken_by(manifest, test), _spoken_by(manifest, held_out))]


def _corpora(manifest: pd.DataFrame, protocol: str) -> list[str]:
    """The corpora's names in alphabetical order, at least two."""
    names = sorted(manifest["corpus"].unique())
    if len(names) < 2:
        raise ProtocolError(
            f"protocol {protocol}: needs at least 2 corpora, found {', '.join(map(repr, names))} alone; "
            "kfold-speaker keeps speakers apart within one"
        )
    return names


def _dev_speakers(manifest: pd.DataFrame, names: Collection[str], protocol: str, seed: int) -> set[str]:
    """About a fifth of the speakers of each of these corpora, and never all."""
    chosen: set[str] = set()
    for name in names:
        people = people_of(manifest[manifest["corpus"] == name], protocol)
        check_enough(len(people), 2, True, f"protocol {protocol}: training corpus {name!r}", "speakers")
        chosen |= choose_fifth(people, generator(seed, name))
    return chosen


def _spoken_by(manifest: pd.DataFrame, speakers: Collection[str]) -> np.ndarray:
    return members(manifest, "speaker").isin(list(speakers)).to_numpy()
