"""Choosing about a fifth of a corpus's speakers, by seed."""

import zlib
from collections import Counter, deque
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from affectra.splits.protocols.kinds import known_members

SMALLEST, LARGEST = 0.1, 0.4  # ours: of the speakers; whole sessions outside of this are no fifth any more


def generator(seed: int, corpus: str) -> np.random.Generator:
    """The random numbers for a corpus: the same whatever other corpora take part."""
    return np.random.default_rng([seed, zlib.crc32(corpus.encode())])


def people_of(manifest: pd.DataFrame, protocol: str) -> pd.DataFrame:
    """The speakers of one corpus: index "corpus/speaker", columns `gender` and `session`.

    `session` is "" for all, unless every speaker has one and only one: sessions that share speakers cannot be kept
    whole.

    Raises:
        ProtocolError: a row whose speaker is unknown.
    """
    voices = known_members(manifest, "speaker", protocol)
    sessions = manifest["session"].groupby(voices)
    people = pd.DataFrame({"gender": manifest["gender"].groupby(voices).max(), "session": sessions.min()}).sort_index()
    if (sessions.nunique() > 1).any() or (people["session"] == "").any():
        people["session"] = ""
    return people


def choose_fifth(people: pd.DataFrame, rng: np.random.Generator) -> set[str]:
    """About a fifth of the speakers, at least one, of each gender about as many as it has.

    The choice looks at names, genders and sessions alone, so it is the same for every task. Whole sessions are chosen
    where each speaker has one and that makes 10 to 40 % of the speakers, so that no dialogue is torn; else speakers.

    Args:
        people: as `people_of` gives them; at least two, if somebody is to be left.
        rng: the source of chance.
    """
    n_wanted = max(1, round(len(people) / 5))
    genders = {str(name): str(gender) for name, gender in people["gender"].items()}
    if (people["session"] != "").all():
        sessions = [tuple(map(str, names)) for names in people.groupby("session").groups.values()]
        chosen = _choose(sessions, genders, n_wanted, rng)
        if SMALLEST <= len(chosen) / len(people) <= LARGEST:
            return chosen
    return _choose([(name,) for name in genders], genders, n_wanted, rng)


def _choose(
    units: Sequence[tuple[str, ...]], genders: Mapping[str, str], n_wanted: int, rng: np.random.Generator
) -> set[str]:
    """Take units by chance while they fit, each time of the make-up that brings the genders nearest to their shares."""
    queues: dict[tuple[str, ...], deque[tuple[int, tuple[str, ...]]]] = {}  # units alike in gender are interchangeable
    for rank, i in enumerate(rng.permutation(len(units))):
        queues.setdefault(tuple(sorted(genders[name] for name in units[i])), deque()).append((rank, units[i]))
    count = Counter(genders.values())
    represented = [gender for gender, n in count.items() if gender and n > 1]  # a gender of one is left to train on
    taken: Counter[str] = Counter()

    def cost(makeup: tuple[str, ...]) -> tuple[int, int, int]:
        after = taken + Counter(makeup)
        lacking = sum(gender not in after for gender in represented)
        error = sum(abs(after[gender] * len(genders) - n_wanted * n) for gender, n in count.items())
        return lacking, error, queues[makeup][0][0]

    chosen: list[str] = []
    while fitting := [makeup for makeup, left in queues.items() if left and len(chosen) + len(makeup) <= n_wanted]:
        best = min(fitting, key=cost)
        taken.update(best)
        chosen += queues[best].popleft()[1]
    if not chosen:  # every unit is larger than what is wanted
        chosen = list(sorted(units, key=lambda unit: (len(unit), unit))[0])
    return set(chosen)
