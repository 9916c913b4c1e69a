"""Features of the frames that labels are given for, from the cached frames of any front end."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from affectra.errors import ConfigError, CorpusError
from affectra.features.cache import HALF, load_frames, storage_of
from affectra.features.front_ends import FRONT_ENDS

Array = npt.NDArray[np.float32]


class LabelFrames:
    """Groups a front end's frames into frames of the labels.

    Frame k of the labels has the front end's frames k n to k n + n - 1, with n = length / hop: the one frame itself
    where n is 1, as for samples, else the mean and the deviation of its n (ours). Where the front end's last frames are
    missing, because its windows end with the recording, the last one is repeated.

    Args:
        front_end: {"name", "options"} from `FRONT_ENDS`.
        length_s: of a frame of the labels.

    Attributes:
        n_features: of a frame of the labels.
        n_grouped: frames of the front end in one of the labels.
        front_end: the front end.
        length_s: of a frame of the labels.

    Raises:
        ConfigError: a front end of text, or of whole utterances, or whose frames are not final or do not fill those of
            the labels.
    """

    def __init__(self, front_end: Mapping[str, Any], length_s: float) -> None:
        module = FRONT_ENDS.build(front_end["name"], front_end["options"])
        name = f"front end {front_end['name']!r}"
        if getattr(module, "modality", "audio") != "audio" or module.hop_length is None:
            raise ConfigError(f"{name}: gives no frames of sound; take one that does, such as waveform or log-mel")
        if not module.is_framewise:
            raise ConfigError(
                f"{name}: its frames are not final, so they cannot be grouped; take another one, such as waveform or "
                "log-mel"
            )
        per_frame = length_s * module.sample_rate / module.hop_length
        self.front_end, self.length_s = module, length_s
        self.n_grouped = round(per_frame)
        if self.n_grouped < 1 or abs(per_frame - self.n_grouped) > 1e-6:
            raise ConfigError(
                f"{name}: a frame of {length_s:g} s has {per_frame:g} of its hops of {module.hop_length} samples at "
                f"{module.sample_rate} Hz; expected a whole number"
            )
        self.n_features = int(module.n_features) * (1 if self.n_grouped == 1 else 2)

    def read(self, path: Path, start: int, stop: int) -> Array:
        """Features (stop - start, n_features) of a part of an utterance, no more of it in memory than that.

        Args:
            path: file with the utterance's cached frames.
            start: first frame of the labels.
            stop: the one behind the last.

        Raises:
            CorpusError: the file has vanished.
        """
        stored = load_frames(path)
        if stored is None:
            raise CorpusError(f"{path}: cached features vanished or are damaged; start again with --resume")
        first, behind = start * self.n_grouped, stop * self.n_grouped
        frames = np.asarray(stored[min(first, len(stored) - 1) : behind], dtype=np.float32)
        return self.grouped(np.pad(frames, ((0, behind - first - len(frames)), (0, 0)), mode="edge"))

    def grouped(self, frames: Array) -> Array:
        """(n x n_grouped, feature) of the front end as (n, n_features)."""
        if self.n_grouped == 1:
            return frames
        grouped = frames.reshape(len(frames) // self.n_grouped, self.n_grouped, -1)
        return np.concatenate([grouped.mean(1), grouped.std(1)], axis=1)


class FrameStream:
    """The frames of the labels of a recording that comes in pieces: those of the whole, in memory of a piece.

    Args:
        reader: what they are; its front end's rate is that of the pieces.
    """

    def __init__(self, reader: LabelFrames) -> None:
        self._reader, self._front_end = reader, reader.front_end
        self._samples = np.empty(0, np.float32)  # from the first frame on that is not given out yet
        self._frames: Array | None = None  # of the front end, fewer than one of the labels has
        self._n_samples = self._n_frames = self._n_given = 0

    def feed(self, samples: Array) -> Array:
        """The frames (frame, n_features) that are complete with the next samples (sample,)."""
        self._n_samples += len(samples)
        self._samples = np.concatenate([self._samples, samples])
        window, hop = self._front_end.window_length, self._front_end.hop_length
        n_whole = max(0, 1 + (len(self._samples) - window) // hop)
        if not n_whole:
            return np.empty((0, self._reader.n_features), np.float32)
        self._add(self._computed(self._samples[: (n_whole - 1) * hop + window]))
        self._samples = self._samples[n_whole * hop :]
        return self._taken()

    def finish(self) -> Array:
        """The frames that are left, the last one as the whole recording has it."""
        n_left = self._front_end.n_frames(self._n_samples) - self._n_frames
        if n_left > 0:
            self._add(self._computed(self._samples)[:n_left])
        length = self._reader.length_s * self._front_end.sample_rate
        n_wanted = math.ceil(self._n_samples / length - 1e-6) - self._n_given
        given = self._taken()
        rest, missing = self._frames, n_wanted - len(given)
        if rest is not None and missing > 0:
            if not len(rest):
                rest = self._last
            padded = np.pad(rest, ((0, missing * self._reader.n_grouped - len(rest)), (0, 0)), mode="edge")
            given = np.concatenate([given, self._reader.grouped(padded)])
        return given[:n_wanted]

    def _computed(self, samples: Array) -> Array:
        """Frames of samples in the precision in which training has them."""
        frames = self._front_end.frames(torch.from_numpy(np.ascontiguousarray(samples))).numpy()
        return np.asarray(frames.astype(storage_of(self._front_end).get("dtype", HALF)), dtype=np.float32)

    def _add(self, frames: Array) -> None:
        self._n_frames += len(frames)
        self._last = frames[-1:]
        self._frames = frames if self._frames is None else np.concatenate([self._frames, frames])

    def _taken(self) -> Array:
        """The whole frames of the labels that are there."""
        if self._frames is None:
            return np.empty((0, self._reader.n_features), np.float32)
        n = len(self._frames) // self._reader.n_grouped
        ready, self._frames = np.split(self._frames, [n * self._reader.n_grouped])
        self._n_given += n
        return self._reader.grouped(ready) if n else np.empty((0, self._reader.n_features), np.float32)
