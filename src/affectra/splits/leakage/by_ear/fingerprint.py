"""Audio fingerprints: what of a recording survives another codec, rate, level, container or a cut."""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import soxr

from affectra.audio import Blocks
from affectra.corpora.manifest import Corpus, utterance_keys
from affectra.corpora.recordings import probe_whole
from affectra.errors import AudioError
from affectra.files import atomic_path, cache_dir, sha256_file
from affectra.splits.leakage.by_name.codes import SAMPLE_RATE, SPEEDS, STRIDE, Coder

FORMAT = 2  # changes when the codes of the same samples do

_BLOCK_S = 10.0
_HASH_WORDS = 8


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """Acoustic fingerprint of a recording or a segment of it.

    Attributes:
        codes: (frame,) a bit for each pair of neighbouring bands: whether the power of the upper one grows, relative to
            the lower one's; 0 where there is no evidence, since it is silent or steady. A frame is `HOP_S` long.
        samples_hash: SHA-256 of rate and samples (mono float32), the same whatever the container; "" if it is silent.
        fault: why it could not be read; "" if it could.
        faster: for each of `SPEEDS` the codes (frame,) it would have if it were played so many times as fast, a frame
            being `STRIDE * HOP_S` long; () if they are not known.
    """

    codes: npt.NDArray[np.uint32]
    samples_hash: str = ""
    fault: str = ""
    faster: tuple[npt.NDArray[np.uint32], ...] = ()


def fingerprint(path: str | Path, start_s: float = 0.0, end_s: float | None = None) -> Fingerprint:
    """The fingerprint of a recording or a segment of it, in memory that does not grow with the decoded samples.

    Args:
        path: the recording.
        start_s: where the segment starts.
        end_s: where it ends; None: the end of the recording.

    Raises:
        AudioError: it cannot be read, or is cut off.
    """
    info = probe_whole(Path(path))
    stream = Blocks(info.path, info.sample_rate, _BLOCK_S, False, start_s, end_s)
    digest = hashlib.sha256(str(info.sample_rate).encode())  # as `affectra.corpora.recordings.inspect` does it
    resampler = soxr.ResampleStream(info.sample_rate, SAMPLE_RATE, 1, dtype="float32")
    coders = [Coder(), *(Coder(speed, STRIDE) for speed in SPEEDS)]
    for block in stream:
        digest.update(block.astype("<f4").tobytes())
        resampled = resampler.resample_chunk(block)
        for coder in coders:
            coder.add(resampled)
    rest = resampler.resample_chunk(np.empty(0, np.float32), last=True)
    for coder in coders:
        coder.add(rest)
    if "silent" in stream.flags:
        return Fingerprint(np.zeros(0, np.uint32))
    codes, *faster = (coder.codes() for coder in coders)
    return Fingerprint(codes, digest.hexdigest(), faster=tuple(faster))


def fingerprint_corpora(
    corpora: Sequence[Corpus], manifest: pd.DataFrame, progress: Callable[[int, int], None] | None = None
) -> dict[str, Fingerprint]:
    """The fingerprint of each utterance that has audio, from the cache where it is known.

    A recording that cannot be read has a fingerprint with a fault and nothing else.

    Args:
        corpora: where the audio lies.
        manifest: the utterances, of these corpora.
        progress: called with utterances done and utterances in all.

    Returns:
        By utterance key.
    """
    roots = {name: corpus.root for corpus in corpora for name in corpus.manifest["corpus"].unique()}
    hashes: dict[Path, str] = {}
    found = {}
    rows = zip(utterance_keys(manifest), *(manifest[c] for c in ("corpus", "file", "start", "end")), strict=True)
    for done, (key, corpus, file, start, end) in enumerate(rows, start=1):
        if file:
            span = (0.0 if math.isnan(start) else start, None if math.isnan(end) else end)
            found[key] = _cached(roots[corpus] / file, span, hashes)
        if progress is not None:
            progress(done, len(manifest))
    return found


def _cached(path: Path, span: tuple[float, float | None], hashes: dict[Path, str]) -> Fingerprint:
    """The fingerprint of a span, stored under the hash of the file's bytes."""
    try:
        if path not in hashes:
            hashes[path] = sha256_file(path) if path.is_file() else ""
        place = "" if span == (0.0, None) else f"-{span[0]!r}-{span[1]!r}"
        stored = cache_dir() / f"fingerprints-{FORMAT}" / hashes[path][:2] / f"{hashes[path][:40]}{place}.npy"
        if hashes[path] and (known := _load(stored)) is not None:
            return known
        computed = fingerprint(path, *span)
    except (AudioError, OSError) as error:
        return Fingerprint(np.zeros(0, np.uint32), fault=str(error))
    with atomic_path(stored) as temporary, temporary.open("wb") as file:
        np.save(file, _pack(computed), allow_pickle=False)
    return computed


def _pack(computed: Fingerprint) -> npt.NDArray[np.uint32]:
    """Hash, lengths and codes as one row of words."""
    parts = [computed.codes, *(computed.faster or [np.zeros(0, np.uint32)] * len(SPEEDS))]
    samples_hash = np.frombuffer(bytes.fromhex(computed.samples_hash or "00" * 4 * _HASH_WORDS), "<u4")
    return np.concatenate([samples_hash, [len(part) for part in parts], *parts]).astype("<u4")


def _load(path: Path) -> Fingerprint | None:
    try:
        words = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):  # not there, or cut off by a full disk: computed again
        return None
    begin = _HASH_WORDS + 1 + len(SPEEDS)
    if words.dtype != np.dtype("<u4") or words.ndim != 1 or len(words) < begin:
        return None
    ends = begin + np.cumsum(words[_HASH_WORDS:begin], dtype=np.int64)
    if ends[-1] != len(words):
        return None
    samples_hash = words[:_HASH_WORDS].tobytes().hex() if words[:_HASH_WORDS].any() else ""
    codes, *faster = np.split(words[begin:].astype(np.uint32), ends[:-1] - begin)
    return Fingerprint(codes, samples_hash, faster=tuple(faster) if samples_hash else ())


def sample_hashes(fingerprints: Mapping[str, Fingerprint]) -> dict[str, str]:
    """The hash of each recording's samples, by utterance key, without those that are silent or could not be read."""
    return {key: found.samples_hash for key, found in fingerprints.items() if found.samples_hash}
