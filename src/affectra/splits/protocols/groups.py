"""Folds of whole groups of utterances, and groups of equal size."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from affectra.corpora.manifest import utterance_keys
from affectra.errors import ProtocolError
from affectra.splits.protocols.folds import Fold

Seed = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=2)]  # of groups: one group alone leaves nothing to train on


def make_fold(keys: np.ndarray, test: np.ndarray, dev: np.ndarray, train: np.ndarray | None = None) -> Fold:
    """A fold of the keys where each mask is true; by default, what is neither test nor dev is train."""
    train = ~(test | dev) if train is None else train
    return Fold(train=tuple(keys[train]), dev=tuple(keys[dev]), test=tuple(keys[test]))


def leave_one_out(groups: pd.Series, manifest: pd.DataFrame, dev: bool, protocol: str, what: str) -> list[Fold]:
    """One fold a group: it is the test part; with `dev`, the next group (in order, cyclic) is the dev part.

    Args:
        groups: the group of each row.
        manifest: the utterances.
        dev: whether there is a dev part.
        protocol: for messages.
        what: what a group is, in the plural, for messages.

    Raises:
        ProtocolError: too few groups.
    """
    codes, names = pd.factorize(groups, sort=True)
    check_enough(len(names), 3 if dev else 2, dev, f"protocol {protocol}", what)
    keys = utterance_keys(manifest).to_numpy()
    no_rows = np.zeros(len(keys), dtype=bool)
    return [make_fold(keys, codes == i, codes == (i + 1) % len(names) if dev else no_rows) for i in range(len(names))]


def check_enough(n: int, needed: int, dev: bool, place: str, what: str) -> None:
    """Raise a `ProtocolError` where there are too few of something for the parts wanted."""
    if n < needed:
        without = f"; {needed - 1} are enough without one, dev=false" if dev else ""
        raise ProtocolError(
            f"{place}: needs at least {needed} {what} {'with' if dev else 'without'} a dev part, found {n}{without}"
        )


def balanced_groups(sizes: Mapping[str, int], k: int, strata: Mapping[str, Any] | None = None) -> dict[str, int]:
    """Deal names into k groups of about equal size, the largest first; no group is empty where there are k names.

    Args:
        sizes: how many utterances each name has, at least 1.
        k: how many groups.
        strata: a kind of each name, such as its gender; each kind is spread evenly over the groups.

    Returns:
        The group of each name, from 0 on; the order of `sizes` changes nothing.

    Example:
        >>> balanced_groups({"a": 1, "b": 1, "c": 2, "d": 4}, 2)
        {'d': 0, 'c': 1, 'a': 1, 'b': 1}
    """
    dealt: dict[Any, list[int]] = defaultdict(lambda: [0] * k)  # of each stratum, how many names each group has
    load = [0] * k
    groups = {}
    for name in _by_stratum(sizes, strata):
        held = dealt[strata[name]] if strata else [0] * k
        group = min(range(k), key=lambda i: (held[i], load[i], i))
        held[group] += 1
        load[group] += sizes[name]
        groups[name] = group
    return groups


def _by_stratum(sizes: Mapping[str, int], strata: Mapping[str, Any] | None) -> Iterable[str]:
    return sorted(sizes, key=lambda name: (strata[name] if strata else 0, -sizes[name], name))
