"""Frames on disk: computed once per utterance, read as memory maps, shared safely between processes."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from affectra.files import atomic_path, cache_dir, sha256_json

FORMAT = 1  # changes when what is stored for the same options does
HALF = "float16"  # frames are many, and what is left of a magnitude or its logarithm is enough


def storage_of(front_end: Any) -> Mapping[str, str]:
    """How a front end's frames are kept, beyond its options: "dtype", and versions of what computes them.

    Most say nothing of it, which is half precision; one whose numbers are few or too large for it has `storage`.
    """
    storage: Mapping[str, str] = getattr(front_end, "storage", {})
    return storage


class FrameCache:
    """One file of frames per utterance, named after the audio's bytes and the front end's options.

    Equal keys mean equal content and files are renamed into place whole, so any number of runs may share a cache;
    memory does not grow with the corpus since frames are mapped, not read.

    Args:
        options: all that determines the frames: front end, its options, what `storage_of` says of it.
        folder: default `cache_dir()/"frames"`.
    """

    def __init__(self, options: Mapping[str, Any], folder: Path | None = None) -> None:
        key = sha256_json({"format": FORMAT, **options})[:16]
        self.dtype = np.dtype(options.get("dtype", HALF))
        self.folder = (folder or cache_dir() / "frames") / key

    def path(self, audio_hash: str, start_s: float = 0.0, end_s: float | None = None) -> Path:
        """Where the frames of a span (s) of the recording with this SHA-256 are kept."""
        span = "" if start_s == 0 and end_s is None else f"-{start_s!r}-{end_s!r}"
        return self.folder / audio_hash[:2] / f"{audio_hash[:40]}{span}.npy"

    def ensure(self, path: Path, compute: Callable[[], npt.NDArray[np.floating]]) -> int:
        """Compute and store frames unless they are there; returns how many frames there are."""
        if (stored := load_frames(path)) is None:
            frames = compute().astype(self.dtype)
            with atomic_path(path) as temporary, temporary.open("wb") as file:
                np.save(file, frames, allow_pickle=False)
            return len(frames)
        return len(stored)


def load_frames(path: Path) -> npt.NDArray[np.floating] | None:
    """Frames (frame, feature) as a read-only memory map, or None where there are none that can be read."""
    try:
        frames: npt.NDArray[np.floating] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError, BadZipFile):  # a file cut off by a full disk is computed again
        return None
    return frames
