"""Protocols that promise nothing: folds given from outside, and a random split."""

from typing import Literal

import numpy as np
import pandas as pd

from affectra.corpora.manifest import utterance_keys
from affectra.errors import ProtocolError
from affectra.splits.protocols.folds import PARTS, Fold
from affectra.splits.protocols.groups import Seed
from affectra.splits.protocols.published import read_published


def random_80_20(manifest: pd.DataFrame, seed: Seed = 0) -> list[Fold]:
    """A random 80/20 split by utterance, before any segmenting; speakers are in both parts (Gao et al. 2021).

    Args:
        manifest: the utterances.
        seed: which utterances are tested.

    Raises:
        ProtocolError: fewer than five utterances.
    """
    keys = utterance_keys(manifest).sort_values().to_numpy()
    if len(keys) < 5:
        raise ProtocolError(f"protocol random-80-20: needs at least 5 utterances, found {len(keys)}")
    order = np.random.default_rng(seed).permutation(len(keys))
    n_test = round(0.2 * len(keys))
    return [Fold(tuple(sorted(keys[order[n_test:]])), (), tuple(sorted(keys[order[:n_test]])))]


def official(manifest: pd.DataFrame, tested: Literal["test", "dev"] = "test") -> list[Fold]:
    """The manifest's `split` column.

    Args:
        manifest: the utterances.
        tested: "dev" tests on the development part, which is then no dev part, where the labels of the test part are
            not public (SEWA) or not there; the test part takes no part.

    Raises:
        ProtocolError: a row without a part, or one that is not train, dev or test; or nothing to test.
    """
    wrong = sorted(set(manifest["split"]) - set(PARTS))
    if wrong:
        found = ", ".join(repr(word) for word in wrong)
        raise ProtocolError(
            f"protocol official: the split column must say train, dev or test everywhere, found {found}"
        )
    if tested not in ("test", "dev"):
        raise ProtocolError(f"protocol official: tested is test or dev, found {tested!r}")
    keys = utterance_keys(manifest)
    train, dev, test = (tuple(keys[manifest["split"] == part]) for part in PARTS)
    if tested == "test" and dev and not test:
        raise ProtocolError(
            f"protocol official: none of the {len(keys)} labelled utterances is of the test part; its labels may not "
            "be public: --set protocol.options.tested=dev tests on the development part"
        )
    return [Fold(train, dev, test) if tested == "test" else Fold(train, (), dev)]


def fixed(manifest: pd.DataFrame, file: str) -> list[Fold]:
    """Folds read from a file; utterances it does not name take no part.

    Args:
        manifest: the utterances.
        file: as `affectra split` writes it, or another format that `read_published` knows.

    Raises:
        ProtocolError: not folds, or folds with utterances that the manifest does not have.
    """
    return read_published(file, manifest)[0]
