"""How a check is made in a fold: what belongs together, by group or pair by pair, and lies in two parts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from affectra.splits.leakage.findings import Finding

Codes = npt.NDArray[np.int64]  # (row,) what a row belongs to, -1 where to nothing
Parts = Mapping[str, Codes]  # rows of train, dev and test, in order and each once
PartPair = tuple[str, str]  # the part that comes first, and the one that should share nothing with it


@dataclass(frozen=True)
class Group:
    """Rows with one code belong together.

    Attributes:
        kind: the kind of leakage.
        what: what is found, with {here} and {there} for the parts, {there} being the one that comes first.
        codes: what each row belongs to.
        variants: if given, only rows of another variant count.
        names: of the codes; if given, groups are counted, else rows.
        severity: where the usual rules do not apply, and the test part is concerned.
        alike: pairs of rows (the smaller one first) that are known to sound alike, for the examples.
    """

    kind: str
    what: str
    codes: Codes
    variants: Codes | None = None
    names: Sequence[str] | None = None
    severity: str | None = None
    alike: frozenset[tuple[int, int]] = frozenset()

    def find(self, fold: int, severity: str, pair: PartPair, parts: Parts, keys: Sequence[str]) -> list[Finding]:
        """Find rows of the second part that the first part already has: one finding or none."""
        there, here = (parts[part] for part in pair)
        if self.names is None:  # an utterance in both parts is a matter of its own
            there, here = np.setdiff1d(there, here, assume_unique=True), np.setdiff1d(here, there, assume_unique=True)
        there, known = there[self.codes[there] >= 0], here[self.codes[here] >= 0]
        partners = _count(self.codes, there)[self.codes[known]]
        if self.variants is not None:
            both = self.codes * (self.variants.max(initial=0) + 1) + self.variants
            partners = partners - _count(both, there)[both[known]]
        hits = known[partners > 0]
        if len(hits) == 0:
            return []
        if self.names is not None:
            groups, first = np.unique(self.codes[hits], return_index=True)
            count, total = len(groups), len(np.unique(self.codes[known]))
            shown = hits[first]
        else:
            count, total, shown = len(hits), len(parts[pair[1]]), hits
        examples = tuple(self._example(row, there, pair, keys) for row in shown.tolist())
        return [Finding(self.kind, severity, fold, count, total, _phrase(self.what, pair), examples)]

    def _example(self, row: int, there: Codes, pair: PartPair, keys: Sequence[str]) -> str:
        partner = self.codes[there] == self.codes[row]
        if self.variants is not None:
            partner &= self.variants[there] != self.variants[row]
        other = int(there[np.argmax(partner)])
        text = f"{keys[row]} in {pair[1]}, {keys[other]} in {pair[0]}"
        if (min(row, other), max(row, other)) in self.alike:
            text += ", and they sound alike"
        return text if self.names is None else f"{self.names[self.codes[row]]} ({text})"


@dataclass(frozen=True)
class Pairs:
    """Pairs of rows that belong together.

    Attributes:
        kind: as of `Group`.
        what: as of `Group`.
        first: (pair,) rows.
        second: (pair,) rows.
        details: (pair,) what more there is to say of each.
        severity: as of `Group`.
    """

    kind: str
    what: str
    first: Codes
    second: Codes
    details: Sequence[str] = field(default=())
    severity: str | None = None

    def find(self, fold: int, severity: str, pair: PartPair, parts: Parts, keys: Sequence[str]) -> list[Finding]:
        """Find rows of the second part that the first part already has: one finding or none."""
        if len(self.first) == 0:
            return []
        n_rows = len(keys)
        there, here = (np.bincount(parts[part], minlength=n_rows) > 0 for part in pair)
        there, here = there & ~here, here & ~there
        forwards, backwards = here[self.first] & there[self.second], here[self.second] & there[self.first]
        pairs = np.flatnonzero(forwards | backwards)
        if len(pairs) == 0:
            return []
        rows = np.where(forwards, self.first, self.second)[pairs]
        others = np.where(forwards, self.second, self.first)[pairs]
        hits, index = np.unique(rows, return_index=True)
        examples = []
        for i in index.tolist():
            detail = f" ({self.details[pairs[i]]})" if self.details else ""
            examples.append(f"{keys[rows[i]]} in {pair[1]}, {keys[others[i]]} in {pair[0]}{detail}")
        total = len(parts[pair[1]])
        return [Finding(self.kind, severity, fold, len(hits), total, _phrase(self.what, pair), tuple(examples))]


Check = Group | Pairs


def _count(codes: Codes, rows: Codes) -> Codes:
    """How many of the rows have each code."""
    return np.bincount(codes[rows], minlength=codes.max(initial=-1) + 1)


def _phrase(what: str, pair: PartPair) -> str:
    return what.format(here=pair[1], there=pair[0])


def factorize(names: pd.Series) -> Codes:
    """Names as numbers, -1 for the empty one."""
    return pd.factorize(names.where(names != "", None))[0].astype(np.int64)
