"""The specification that rebuilds a recogniser apart from its weights, and its segmentation; free of torch."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from affectra.errors import CheckpointError, ConfigError
from affectra.features.description import FILE, WEIGHTS, read_description, write_description
from affectra.features.segments import segment_starts
from affectra.recipes.recipe import SegmentPlan

# What numbers and shapes that no recipe makes can lead to when a module is built from them.
DAMAGE = (ValueError, KeyError, TypeError, AttributeError, RuntimeError, OverflowError, MemoryError, RecursionError)


@dataclass(frozen=True)
class Specification:
    """All that rebuilds a recogniser, apart from its weights.

    Attributes:
        model: {"name", "options"} from `MODELS`.
        front_end: {"name", "options"} from `FRONT_ENDS`.
        normalization: mode of `Normalization`.
        segments: length_s, frames, train_shift_s, test_shift_s; None where the front end gives one vector an
            utterance.
        task: what the classes are classes of.
        classes: in the order of the scores.
        synthetic: whether it was trained on synthetic speech alone.
        provenance: recipe, corpora, protocol and fold it comes from.
        auxiliary: binary tasks ("arousal", "valence") that heads of their own answer beside the classes.
        loudness: LUFS, to which each sound is brought before the front end gets it; None: as it is.
    """

    model: Mapping[str, Any]
    front_end: Mapping[str, Any]
    normalization: str
    segments: Mapping[str, Any] | None
    task: str
    classes: tuple[str, ...]
    synthetic: bool
    provenance: Mapping[str, Any] = field(default_factory=dict)
    auxiliary: tuple[str, ...] = ()
    loudness: float | None = None


class UtteranceOutput(NamedTuple):
    """Output of a recogniser for one utterance.

    Attributes:
        probabilities: (class,), mean over segments of each segment's softmax, or of the utterance where the network
            takes all its segments together.
        embedding: (feature,), mean over segments.
        attention: (segment, 1 + class, freq, time) maps, or None.
        starts: first frame of each segment.
        segment_probabilities: (segment, class); one row where the network takes all segments together.
        auxiliary: binary task -> probability of high arousal or positive valence, mean over segments.
    """

    probabilities: npt.NDArray[np.float64]
    embedding: npt.NDArray[np.float32]
    attention: npt.NDArray[np.float16] | None
    starts: list[int]
    segment_probabilities: npt.NDArray[np.float64]
    auxiliary: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True)
class SegmentGrid:
    """How the frames of an utterance are cut into segments; all in frames.

    Attributes:
        input_frames: width of the network's input; None where it is as wide as the longest segment it gets.
        segment_frames: real frames of a full segment.
        train_shift_frames: from one segment to the next in training.
        test_shift_frames: the same in tests and predictions.
    """

    input_frames: int | None = 1
    segment_frames: int = 1
    train_shift_frames: int = 1
    test_shift_frames: int = 1

    def starts(self, n_frames: int, train: bool) -> list[int]:
        """First frames of an utterance's segments, with the training or the test shift."""
        shift = self.train_shift_frames if train else self.test_shift_frames
        return segment_starts(n_frames, self.segment_frames, shift)

    def cut(self, frames: npt.NDArray[np.float32], start: int) -> tuple[npt.NDArray[np.float32], int]:
        """One segment, padded with zeros to `input_frames` where that is fixed, and how many frames are real."""
        segment = frames[start : start + self.segment_frames]
        if self.input_frames is None:
            return segment.astype(np.float32), len(segment)
        padded = np.zeros((self.input_frames, frames.shape[1]), dtype=np.float32)
        padded[: len(segment)] = segment
        return padded, len(segment)


def stack_segments(segments: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """Segments (time, feature) as one array (segment, time, feature), the shorter ones with zeros behind."""
    width = max(len(segment) for segment in segments)
    if all(len(segment) == width for segment in segments):
        return np.stack(segments)
    stacked = np.zeros((len(segments), width, segments[0].shape[1]), dtype=np.float32)
    for row, segment in zip(stacked, segments, strict=True):
        row[: len(segment)] = segment
    return stacked


def segment_grid(
    plan: Mapping[str, Any] | None, sample_rate: int, window_length: int | None, hop_length: int | None
) -> SegmentGrid:
    """The grid of a recipe's `segments` over a front end's frames; without them one frame is one segment.

    Raises:
        ConfigError: segments that the network's input cannot hold, or that leave speech out.
    """
    if plan is None or hop_length is None or window_length is None:
        return SegmentGrid()
    segment_frames = 1 + max(0, (round(plan["length_s"] * sample_rate) - window_length) // hop_length)
    train, test = (max(1, round(plan[f"{part}_shift_s"] * sample_rate / hop_length)) for part in ("train", "test"))
    if plan["frames"] is not None and segment_frames > plan["frames"]:
        raise ConfigError(f"segments: {segment_frames} frames fit into length_s, more than {plan['frames']}")
    if max(train, test) > segment_frames:
        raise ConfigError("segments: a shift longer than the segment would drop speech")
    return SegmentGrid(plan["frames"], segment_frames, train, test)


def write_specification(specification: Specification, folder: Path, files: Iterable[str] = ()) -> None:
    """Write model.json, atomically; `files` as of `write_description`."""
    write_description("utterance", asdict(specification), folder, files)


def read_specification(folder: Path, used: Iterable[str] | None = (WEIGHTS,)) -> Specification:
    """Read model.json; `used` as of `read_description`.

    Raises:
        CheckpointError: it is missing, damaged, or written by another version.
    """
    path = folder / FILE
    content = read_description("utterance", folder, used)
    try:
        content["classes"], content["auxiliary"] = tuple(content["classes"]), tuple(content.get("auxiliary", ()))
        if content.get("loudness") is not None:
            content["loudness"] = float(content["loudness"])
        if content["segments"] is not None:
            SegmentPlan.model_validate(content["segments"])
        specification = Specification(**content)
        if not all(isinstance(name, str) for name in specification.classes):
            raise CheckpointError(f"{path}: needs classes with different names")
    except DAMAGE as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"{path}: damaged or not a model: {reason}") from error
    if len(set(specification.classes)) < max(2, len(specification.classes)):
        raise CheckpointError(f"{path}: needs classes with different names")
    return specification
