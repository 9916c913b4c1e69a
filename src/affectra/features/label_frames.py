"""Features of the frames that labels are given for, from the cached frames of any front end."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from affectra.errors import ConfigError, CorpusError
from affectra.features import FRONT_ENDS
from affectra.features.cache import load_frames

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
        self.n_grouped = round(per_frame)
        if self.n_grouped < 1 or abs(per_frame - self.n_grouped) > 1e-6:
            raise ConfigError(
                f"{name}: a frame of {length_s:g} s has {per_frame:g} of its hops of {module.hop_length} samples at "
                f"{module.sample_rate} Hz; expected a whole number"
            )
        self.n_features = int(module.n_features) * (1 if self.n_grouped == 1 else 2)

    def read(self, path: Path, start: int, stop: int) -> Array:
        """Features (stop - start, n_features) of a stretch of an utterance, no more of it in memory than that.

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
        frames = np.pad(frames, ((0, behind - first - len(frames)), (0, 0)), mode="edge")
        if self.n_grouped == 1:
            return frames
        grouped = frames.reshape(stop - start, self.n_grouped, -1)
        return np.concatenate([grouped.mean(1), grouped.std(1)], axis=1)
