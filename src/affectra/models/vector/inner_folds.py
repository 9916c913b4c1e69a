"""Folds inside a training part, by speaker: where a model that is fitted without epochs chooses its own options."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from affectra.errors import ConfigError

Indices = npt.NDArray[np.int64]


def inner_folds(
    groups: Sequence[str], targets: npt.NDArray[np.int64], n_folds: int, place: str, remedy: str
) -> list[tuple[Indices, Indices]]:
    """Rows to learn from and rows to judge by, groups whole; what would be learnt from has two classes at least.

    Args:
        groups: (row,), corpus and speaker, "" if unknown.
        targets: (row,), index of the class.
        n_folds: fewer where there are fewer groups.
        place: the option that wants them, for messages.
        remedy: what to give instead of it.

    Raises:
        ConfigError: an unknown speaker, one speaker alone, or speakers of one class each.
    """
    n_groups = len(set(groups))
    if n_groups < 2 or "" in groups:
        raise ConfigError(
            f"{place} needs two known training speakers or more, found {n_groups - ('' in groups)}"
            f"{' and utterances of unknown ones' * ('' in groups)}; {remedy}"
        )
    from sklearn.model_selection import GroupKFold

    folds = GroupKFold(min(n_folds, n_groups)).split(targets, targets, np.asarray(groups))
    kept = [(train, dev) for train, dev in folds if len(set(targets[train].tolist())) > 1]
    if not kept:
        raise ConfigError(f"{place}: each training speaker has one class alone; {remedy}")
    return kept
