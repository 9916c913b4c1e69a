"""Features of a whole corpus into the cache, one recording at a time."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from affectra.audio import read
from affectra.audio.loudness import at_loudness
from affectra.errors import AudioError
from affectra.features.cache import FrameCache, storage_of
from affectra.features.front_ends import FRONT_ENDS
from affectra.files import sha256_file
from affectra.recipes.recipe import Augmentation


@dataclass(frozen=True)
class AudioSpan:
    """A span of a recording that holds one utterance.

    Attributes:
        audio: the file.
        start_s: where it starts, s.
        end_s: where it ends, s; None is the end of the file.
    """

    audio: Path
    start_s: float = 0.0
    end_s: float | None = None


@dataclass(frozen=True)
class CachedFrames:
    """Where the frames of a span are, how many, and the SHA-256 of its audio file."""

    path: Path
    n_frames: int
    audio_hash: str


def extract(
    spans: Sequence[AudioSpan],
    front_end: Mapping[str, Any],
    on_done: Callable[[int], None] = lambda _: None,
    *,
    augmentation: Augmentation | None = None,
    copy: int = 0,
    loudness: float | None = None,
) -> list[CachedFrames]:
    """Compute the frames of each span unless the cache has them.

    Every recording is tried, so that one call names all that is wrong.

    Args:
        spans: what to compute.
        front_end: {"name", "options"} from `FRONT_ENDS`.
        on_done: called with the number done so far.
        augmentation: instead of each recording itself a copy of it, the same one each time.
        copy: which one.
        loudness: LUFS, to which each of them is brought.

    Raises:
        AudioError: recordings that are refused: the first one's reason, and how many more.
    """
    module = FRONT_ENDS.build(front_end["name"], front_end["options"])
    altered = {"augmentation": augmentation.model_dump(exclude={"copies"}), "copy": copy} if augmentation else {}
    levelled = {"loudness": loudness} if loudness is not None else {}
    cache = FrameCache({**front_end, **storage_of(module), **altered, **levelled})
    hashes: dict[Path, str] = {}
    found, refused = [], []
    for i, span in enumerate(spans):
        try:
            if span.audio not in hashes:
                hashes[span.audio] = _hash(span.audio)
            digest = hashes[span.audio]
            path = cache.path(digest, span.start_s, span.end_s)

            def compute(span: AudioSpan = span) -> Any:
                recording = read(span.audio, module.sample_rate, start_s=span.start_s, end_s=span.end_s)
                samples = recording.samples
                if augmentation is not None:
                    from affectra.audio.augment import augment  # late, SciPy's signal part takes a second to import

                    # The number of copies is not in the key: asking for more of them leaves the first ones as they are.
                    key = f"{hashes[span.audio]}/{span.start_s}/{span.end_s}/{copy}"
                    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")
                    samples = augment(samples, module.sample_rate, augmentation, np.random.default_rng(seed))
                if loudness is not None:
                    samples = at_loudness(samples, module.sample_rate, loudness)
                return module.frames(torch.from_numpy(samples)).numpy()

            found.append(CachedFrames(path, cache.ensure(path, compute), digest))
        except AudioError as error:
            refused.append(error)
        on_done(i + 1)
    if refused:
        more = f" ({len(refused) - 1} more recordings are refused; `affectra doctor` lists them)"
        raise AudioError(f"{refused[0]}{more if len(refused) > 1 else ''}")
    return found


def extract_texts(
    texts: Sequence[str], front_end: Mapping[str, Any], on_done: Callable[[int], None] = lambda _: None
) -> list[CachedFrames]:
    """As `extract`, of texts: a front end with `modality = "text"` gets the text itself."""
    module = FRONT_ENDS.build(front_end["name"], front_end["options"])
    cache = FrameCache({**front_end, **storage_of(module)})
    found = []
    for i, text in enumerate(texts):
        digest = hashlib.sha256(text.encode()).hexdigest()

        def compute(text: str = text) -> Any:
            return module.frames(text).numpy()

        path = cache.path(digest)
        found.append(CachedFrames(path, cache.ensure(path, compute), digest))
        on_done(i + 1)
    return found


def _hash(audio: Path) -> str:
    try:
        return sha256_file(audio)
    except OSError as error:
        raise AudioError(f"{audio}: cannot be read: {error.strerror}") from error
