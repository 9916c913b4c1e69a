"""Checks of each recording, for the doctor and for runs: is it there, whole and readable, and what is in it."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from affectra.audio import AudioInfo, blocks, probe
from affectra.corpora.manifest import Corpus
from affectra.errors import AudioError
from affectra.files import sha256_file


@dataclass(frozen=True)
class Recording:
    """One recording as found.

    Attributes:
        info: its header.
        bytes_hash: SHA-256 of the file.
        samples_hash: SHA-256 of rate and samples (mono float32), the same whatever the container.
        level_db: root mean square of the samples, dB of full scale.
        flags: "silent", "clipped", "truncated" (a compressed file that ends early, or has a part that cannot be read).
    """

    info: AudioInfo
    bytes_hash: str
    samples_hash: str
    level_db: float
    flags: tuple[str, ...]


def probe_whole(path: Path) -> AudioInfo:
    """A recording's header, for corpora: what is missing or cut off is refused.

    Raises:
        AudioError: not there, not audio, empty, a git-lfs pointer, or truncated.
    """
    info = probe(path)
    if info.truncated:
        raise AudioError(f"{path}: truncated, the header promises more samples than the file has; fetch it again")
    return info


def inspect(path: Path) -> Recording:
    """Decode a recording block by block, in bounded memory.

    Raises:
        AudioError: as `probe_whole`, or samples that are NaN, infinite or cannot be decoded.
    """
    info = probe_whole(path)
    digest = hashlib.sha256(str(info.sample_rate).encode())
    energy, n_samples = 0.0, 0
    stream = blocks(path, info.sample_rate)
    for block in stream:
        digest.update(block.astype("<f4").tobytes())
        energy += float(np.square(block, dtype=np.float64).sum())
        n_samples += len(block)
    level_db = 10 * math.log10(energy / n_samples) if energy else -math.inf
    return Recording(info, sha256_file(path), digest.hexdigest(), level_db, stream.flags)


def check_audio(corpus: Corpus, progress: Callable[[int, int], None] | None = None) -> None:
    """Refuse a corpus with recordings that cannot be used, by their headers alone, before hours are spent on it.

    Args:
        corpus: what a run is about to read.
        progress: called with files done and files in all.

    Raises:
        AudioError: names the first such file and how many others there are.
    """
    manifest = corpus.manifest
    silent = manifest.loc[manifest["file"] == "", "utterance"]
    if len(silent):
        raise AudioError(
            f"{corpus.name}: {len(silent)} of {len(manifest)} utterances have text and no audio, the first is "
            f"{silent.iloc[0]}; extract the corpus's audio beside its tables, or use a recipe that needs text alone"
        )
    latest = manifest["start"].fillna(0.0).groupby(manifest["file"], sort=False).max()
    problems = []
    for done, (file, start) in enumerate(latest.items(), start=1):
        try:
            info = probe_whole(corpus.root / str(file))
            if start >= info.duration_s:
                raise AudioError(
                    f"{info.path}: an utterance starts at {start:g} s, but the file ends at {info.duration_s:g} s"
                )
        except AudioError as error:
            problems.append(str(error))
        if progress is not None:
            progress(done, len(latest))
    if problems:
        others = f" ({len(problems) - 1} other files cannot be used either)" if len(problems) > 1 else ""
        raise AudioError(f"{corpus.name}: {problems[0]}{others}")
