"""Find the utterances that other people's splits name by keys, names, paths or stems."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import NamedTuple

import pandas as pd

from affectra.corpora.manifest import utterance_keys
from affectra.corpora.tree import MEDIA_SUFFIXES
from affectra.errors import ProtocolError


class Member(NamedTuple):
    """An utterance as a split names it.

    Attributes:
        names: what it may be called, the surest first.
        place: where it stands, for messages.
    """

    names: tuple[str, ...]
    place: str


class Resolver:
    """Finds the keys of the utterances that a split names, and says which it could not find.

    Args:
        manifest: the utterances.
        source: the split's file, for messages.
    """

    def __init__(self, manifest: pd.DataFrame, source: str) -> None:
        keys = utterance_keys(manifest).tolist()
        self._source = source
        self._example = keys[0] if keys else ""
        self._exact: dict[str, list[str]] = defaultdict(list)  # key or file -> keys
        self._by_end: dict[str, list[str]] = defaultdict(list)  # utterance or end of a path -> keys
        for key, utterance, file in zip(keys, manifest["utterance"].tolist(), manifest["file"].tolist(), strict=True):
            for name in {key, file} - {""}:
                self._exact[name].append(key)
            for end in {utterance, *path_ends(file)}:
                self._by_end[end].append(key)
        self._unknown: dict[tuple[str, ...], Member] = {}
        self._unclear: dict[tuple[str, ...], tuple[Member, list[str]]] = {}
        self._paths: dict[str, str] = {}  # key -> the path whose end alone is known to be its

    def keys(self, members: Iterable[Member]) -> list[str]:
        """The keys of those that can be found; the others are kept for `check`.

        Raises:
            ProtocolError: two paths seem to be one utterance by their ends, as where two folders have files of one name
                and the manifest has one of them only.
        """
        keys = []
        for member in members:
            found, path = self._find(member.names)
            if len(found) == 1:
                keys += found
                first = self._paths.setdefault(found[0], path) if path else ""
                if first != path:
                    raise ProtocolError(
                        f"{self._source}: {member.place}: both {first!r} and {path!r} could be {found[0]!r}; name "
                        "utterances as the manifest does"
                    )
            elif found:
                self._unclear[member.names] = member, found
            else:
                self._unknown[member.names] = member
        return keys

    def check(self) -> None:
        """Raise a `ProtocolError` if a name was unknown, or could be two utterances."""
        if self._unknown:
            first = next(iter(self._unknown.values()))
            n = len(self._unknown) - 1
            others = f", nor {'is 1 other name' if n == 1 else f'are {n} other names'}" if n else ""
            raise ProtocolError(
                f"{self._source}: {first.place}: {first.names[0]!r} is not in the manifest{others}; expected names "
                f"such as {self._example!r}"
            )
        if self._unclear:
            first, found = next(iter(self._unclear.values()))
            n = len(self._unclear) - 1
            others = f", and {'1 other name is' if n == 1 else f'{n} other names are'} as unclear" if n else ""
            raise ProtocolError(
                f"{self._source}: {first.place}: {first.names[0]!r} may be {found[0]!r} or {found[1]!r}{others}; name "
                "utterances as the manifest does"
            )

    def _find(self, names: tuple[str, ...]) -> tuple[list[str], str]:
        """The keys of the first of these names that an utterance has, and the path if only its end is known."""
        for name in names:
            if len(found := self._exact.get(name, [])) == 1:
                return found, ""
        several: list[str] = []
        for name in names:
            ends = path_ends(name)
            for end in ends:
                found = self._by_end.get(end, [])
                if len(found) == 1:
                    return found, "" if end == ends[0] else ends[0]
                if found:  # a shorter end says less
                    several = several or found
                    break
        return several, ""


def path_ends(path: str) -> list[str]:
    """The ends of a path without the suffix of a recording, the longest first.

    Example:
        >>> path_ends("./wav/03a01Fa.wav"), path_ends("03a01Fa_sp0.9")
        (['wav/03a01Fa', '03a01Fa'], ['03a01Fa_sp0.9'])
    """
    plain = PurePosixPath(path.replace("\\", "/"))
    if plain.suffix.lower() in MEDIA_SUFFIXES:
        plain = plain.with_suffix("")
    return [str(PurePosixPath(*plain.parts[i:])) for i in range(len(plain.parts))]
