"""Near duplicates: which of thousands of fingerprints are of the same sound, found through an index of their codes."""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from affectra.splits.leakage.by_ear.fingerprint import Fingerprint
from affectra.splits.leakage.by_name.codes import HOP_S, N_BITS, SPEEDS, STRIDE

# Ours, chosen on data (experiments/near_duplicates.py). Re-encoded copies differ in under 9 % of their bits, of short
# clips in under 14 %; two takes of one sentence by one actor in 26 % or more, other recordings in nearly half.
LARGEST_ERROR = 0.20
LONG = 100  # frames, 0.8 s; fewer are fewer independent bits, and must agree better:
SHORTEST = 30  # frames, 0.24 s, the least that is evidence
LARGEST_ERROR_SHORT = 0.15
_HOPELESS = 2 * LARGEST_ERROR  # a frame earlier or later does not halve it
_COMMON = 100  # recordings with one code; beyond it each is compared with its next neighbours only
_NEIGHBOURS = 3

Row = npt.NDArray[np.uint32]  # (frame,) codes of one recording


class NearDuplicate(NamedTuple):
    """Two fingerprints of the same sound.

    Attributes:
        first: key of one.
        second: key of the other.
        similarity: share of equal bits where both have evidence, 0.8 to 1.
        offset_s: how much later in the second the same sound comes; at another speed, the begin of the first.
        speed: how many times as fast as the first the second is: 1, one of `SPEEDS`, or 1 by it.
    """

    first: str
    second: str
    similarity: float
    offset_s: float
    speed: float = 1.0


def near_duplicates(fingerprints: Mapping[str, Fingerprint]) -> list[NearDuplicate]:
    """Pairs of fingerprints of the same sound, also where one is faster by one of `SPEEDS`, in the order of their keys.

    A pair is a candidate if one 32-bit code comes in both, and is accepted if the bits agree over all frames where the
    two, so aligned, have evidence. Parts of a recording match the whole, and parts that overlap each other. A sound
    that more than a hundred recordings share is found between neighbours, not between all pairs.

    Args:
        fingerprints: by key.
    """
    groups: dict[bytes, list[str]] = defaultdict(list)
    for key, found in fingerprints.items():
        if np.count_nonzero(found.codes) >= SHORTEST:
            groups[found.codes.tobytes()].append(key)
    equal = list(groups.values())
    distinct = [fingerprints[keys[0]] for keys in equal]
    pairs = [NearDuplicate(*pair, 1.0, 0.0) for keys in equal for pair in itertools.combinations(keys, 2)]
    order = {key: i for i, key in enumerate(fingerprints)}
    for match in _best(_matches(distinct)):
        for one, other in itertools.product(equal[match.first], equal[match.second]):
            pair = NearDuplicate(one, other, 1 - match.error, match.offset * HOP_S, match.speed)
            pairs.append(pair if order[one] < order[other] else _swapped(pair))
    return sorted(pairs, key=lambda pair: (order[pair.first], order[pair.second]))


def _swapped(pair: NearDuplicate) -> NearDuplicate:
    return NearDuplicate(pair.second, pair.first, pair.similarity, -pair.offset_s * pair.speed, 1 / pair.speed)


class _Match(NamedTuple):
    """An alignment of two fingerprints whose bits agree: `second` is `speed` times as fast, `offset` frames later."""

    error: float
    first: int
    second: int
    offset: int
    speed: float


def _best(matches: Iterable[_Match]) -> Iterable[_Match]:
    """The match with the fewest errors of each pair."""
    best: dict[tuple[int, int], _Match] = {}
    for match in matches:
        pair = min(match.first, match.second), max(match.first, match.second)
        best[pair] = min(best.get(pair, match), match)
    return best.values()


def _matches(distinct: Sequence[Fingerprint]) -> Iterator[_Match]:
    """All alignments that are accepted, at one speed and at others."""
    codes = [one.codes for one in distinct]
    index = _index(codes)
    yield from _accepted(codes, codes, _candidates(index, index, 1), 1, 1.0)
    for i, speed in enumerate(SPEEDS):
        faster = [one.faster[i] if one.faster else np.zeros(0, np.uint32) for one in distinct]
        yield from _accepted(faster, codes, _candidates(_index(faster), index, STRIDE), STRIDE, speed)


def _accepted(
    first: Sequence[Row], second: Sequence[Row], candidates: Iterable[tuple[int, int, int]], stride: int, speed: float
) -> Iterator[_Match]:
    for one, other, offset in candidates:
        if bit_error(first[one], second[other], offset, stride)[0] > _HOPELESS:
            continue
        for shift in (-1, 0, 1):  # a copy lies between two frames
            error, n_frames = bit_error(first[one], second[other], offset + shift, stride)
            n_frames *= stride
            if n_frames >= SHORTEST and error <= _allowed(n_frames):
                yield _Match(error, one, other, offset + shift, speed)


def _allowed(n_frames: int) -> float:
    """The largest share of differing bits for so many frames of evidence."""
    length = min(1.0, (n_frames - SHORTEST) / (LONG - SHORTEST))
    return LARGEST_ERROR_SHORT + length * (LARGEST_ERROR - LARGEST_ERROR_SHORT)


def bit_error(first: Row, second: Row, offset: int, stride: int = 1) -> tuple[float, int]:
    """Share of differing bits, and the number of frames with evidence in both, `second` taken `offset` frames later.

    Args:
        first: codes (frame,).
        second: codes (frame,).
        offset: frame of the second that belongs to the first one of the first.
        stride: frames of the second for one of the first.

    Example:
        >>> bit_error(np.array([7, 5, 0], np.uint32), np.array([9, 7, 4, 3], np.uint32), 1)
        (0.015625, 2)
    """
    begin = max(0, -(offset // stride))
    one, other = first[begin:], second[begin * stride + offset :: stride]
    n_frames = min(len(one), len(other))
    one, other = one[:n_frames], other[:n_frames]
    known = (one != 0) & (other != 0)
    n_known = int(np.count_nonzero(known))
    if n_known == 0:
        return 1.0, 0
    return int(np.bitwise_count((one ^ other)[known]).sum()) / (N_BITS * n_known), n_known


class _Index(NamedTuple):
    """Codes of all fingerprints (code,), equal ones side by side and in the order of their owners.

    Attributes:
        code: the codes.
        place: code and owner as one number.
        owner: whose it is.
        frame: where it comes there.
        common: whether more than `_COMMON` are equal.
    """

    code: npt.NDArray[np.uint64]
    place: npt.NDArray[np.uint64]
    owner: npt.NDArray[np.int64]
    frame: npt.NDArray[np.int64]
    common: npt.NDArray[np.bool_]


def _index(fingerprints: Sequence[Row]) -> _Index:
    frames = [np.flatnonzero(codes) for codes in fingerprints]
    none = [np.zeros(0, np.int64)]
    code = np.concatenate(none + [codes[known] for codes, known in zip(fingerprints, frames, strict=True)])
    owner = np.repeat(np.arange(len(frames)), [len(known) for known in frames])
    place = (code.astype(np.uint64) << np.uint64(32)) | owner.astype(np.uint64)
    order = np.argsort(place, kind="stable")
    code, place, owner, frame = code[order], place[order], owner[order], np.concatenate(none + frames)[order]
    _, size = np.unique(code, return_counts=True)
    return _Index(code, place, owner, frame, np.repeat(size > _COMMON, size))


def _candidates(first: _Index, second: _Index, stride: int) -> list[tuple[int, int, int]]:
    """(one, other, offset) where a code of the first comes in the second, `offset` frames later, in another recording.

    Of two recordings in one index, the later one is the other. Each code is looked for from the place on where its own
    recording stands among equal codes, so that neighbours are found first.
    """
    n = 1 + max(first.owner.max(initial=0), second.owner.max(initial=0))
    reach = 1 + max(second.frame.max(initial=0), stride * first.frame.max(initial=0))
    found = np.zeros(0, np.int64)
    for step in (1,) if first is second else (1, -1):
        at = np.searchsorted(second.place, first.place, "right" if step > 0 else "left") - (step < 0)
        here = np.arange(len(at))
        for lag in range(_COMMON):
            inside = (at[here] >= 0) & (at[here] < len(second.code))
            here = here[inside]
            here = here[second.code[at[here]] == first.code[here]]
            if lag >= _NEIGHBOURS:
                here = here[~second.common[at[here]]]
            if len(here) == 0:
                break
            offset = second.frame[at[here]] - stride * first.frame[here] + reach
            pair = first.owner[here] * n + second.owner[at[here]]
            found = np.union1d(found, pair * (2 * reach) + offset)
            at[here] += step
    pair, offset = np.divmod(found, 2 * reach)
    one, other = np.divmod(pair, n)
    return list(zip(one.tolist(), other.tolist(), (offset - reach).tolist(), strict=True))
