"""A recogniser: front end, normalisation and network as one module, and the checkpoint that rebuilds it."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from affectra import __version__
from affectra.config import SegmentPlan
from affectra.errors import CheckpointError, ConfigError
from affectra.features import FRONT_ENDS
from affectra.features.normalization import GROUPED, Normalization, Statistics
from affectra.files import atomic_path, read_json, write_json
from affectra.models import MODELS, is_fitted_at_once
from affectra.models.layers import Output
from affectra.segments import segment_starts

FORMAT = 1
# What numbers and shapes that no recipe makes can lead to when a module is built from them.
DAMAGE = (ValueError, KeyError, TypeError, AttributeError, RuntimeError, OverflowError, MemoryError, RecursionError)
BATCH_SEGMENTS = 32  # bounds the memory of a long recording


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
    """

    model: Mapping[str, Any]
    front_end: Mapping[str, Any]
    normalization: str
    segments: Mapping[str, Any] | None
    task: str
    classes: tuple[str, ...]
    synthetic: bool
    provenance: Mapping[str, Any] = field(default_factory=dict)


class UtteranceOutput(NamedTuple):
    """What a recogniser says of one utterance.

    Attributes:
        probabilities: (class,), mean over segments of each segment's softmax.
        embedding: (feature,), mean over segments.
        attention: (segment, 1 + class, freq, time) maps, or None.
        starts: first frame of each segment.
        segment_probabilities: (segment, class).
    """

    probabilities: npt.NDArray[np.float64]
    embedding: npt.NDArray[np.float32]
    attention: npt.NDArray[np.float16] | None
    starts: list[int]
    segment_probabilities: npt.NDArray[np.float64]


class Recognizer(nn.Module):
    """Frames of segments in, scores out; knows how utterances become segments.

    Args:
        specification: what to build.

    Raises:
        ConfigError: parts that do not exist or do not fit together.
    """

    def __init__(self, specification: Specification) -> None:
        super().__init__()
        self.specification = specification
        self.front_end = FRONT_ENDS.build(specification.front_end["name"], specification.front_end["options"])
        self.normalization = Normalization(specification.normalization, self.front_end.n_features)  # type: ignore[arg-type]
        self.is_whole: bool = self.front_end.hop_length is None
        _check_whole(specification, self.is_whole)
        if specification.normalization != "none" and not self.front_end.is_framewise:
            raise ConfigError(
                f"normalization {specification.normalization!r} needs a front end whose frames are final: "
                "compression log or none, or peak: utterance"
            )
        self.network = MODELS.build(
            specification.model["name"],
            specification.model["options"],
            n_features=self.front_end.n_features,
            n_classes=len(specification.classes),
        )
        if specification.segments is None:  # one frame, one segment
            self.input_frames = self.segment_frames = self.train_shift_frames = self.test_shift_frames = 1
        else:
            self._plan_segments(specification.segments)

    def _plan_segments(self, plan: Mapping[str, Any]) -> None:
        rate, hop = self.front_end.sample_rate, self.front_end.hop_length
        self.input_frames = plan["frames"]
        length = round(plan["length_s"] * rate)
        self.segment_frames = 1 + max(0, (length - self.front_end.window_length) // hop)
        self.train_shift_frames = max(1, round(plan["train_shift_s"] * rate / hop))
        self.test_shift_frames = max(1, round(plan["test_shift_s"] * rate / hop))
        if self.segment_frames > self.input_frames:
            raise ConfigError(
                f"segments: {self.segment_frames} frames fit into length_s, more than {self.input_frames}"
            )
        if max(self.train_shift_frames, self.test_shift_frames) > self.segment_frames:
            raise ConfigError("segments: a shift longer than the segment would drop speech")

    def forward(self, segments: Tensor, n_frames: Tensor) -> Output:
        """Scores of segments.

        Shape:
            - segments: (batch, input_frames, feature), zeros where padded
            - n_frames: (batch,), real frames
        """
        output: Output = self.network(self.features(segments, n_frames), n_frames)
        return output

    def features(self, segments: Tensor, n_frames: Tensor) -> Tensor:
        """What the network sees of segments: (batch, feature, time)."""
        features: Tensor = self.front_end(self.normalization(segments, n_frames))
        return features

    def starts(self, n_frames: int, train: bool) -> list[int]:
        """First frames of an utterance's segments, with the training or the test shift."""
        shift = self.train_shift_frames if train else self.test_shift_frames
        return segment_starts(n_frames, self.segment_frames, shift)

    def segment(self, frames: npt.NDArray[np.float32], start: int) -> tuple[npt.NDArray[np.float32], int]:
        """One segment, padded with zeros to `input_frames`, and how many of its frames are real."""
        cut = frames[start : start + self.segment_frames]
        padded = np.zeros((self.input_frames, frames.shape[1]), dtype=np.float32)
        padded[: len(cut)] = cut
        return padded, len(cut)

    @torch.inference_mode()
    def whole_features(
        self, frames: npt.NDArray[np.floating], group: Statistics | None = None
    ) -> npt.NDArray[np.float32]:
        """What the network sees of an utterance that is one vector: (feature,); arguments as for `recognize`."""
        values = torch.from_numpy(self._of_utterance(frames, group))
        vector: npt.NDArray[np.float32] = self.features(values[None], torch.ones(1))[0, :, 0].numpy()
        return vector

    def _of_utterance(self, frames: npt.NDArray[np.floating], group: Statistics | None) -> npt.NDArray[np.float32]:
        if self.is_whole and group is None and self.normalization.mode in GROUPED:
            raise ConfigError(
                f"this model wants its features normalised per {self.normalization.mode}, over many utterances of it, "
                "which a recording alone is not; for recordings train with normalization: train"
            )
        return self.normalization.of_utterance(frames, group)

    @torch.inference_mode()
    def recognize(self, frames: npt.NDArray[np.floating], group: Statistics | None = None) -> UtteranceOutput:
        """Scores of one utterance from its frames (frame, feature) as the front end's `frames` gives them.

        Args:
            frames: of the utterance.
            group: statistics of its speaker or corpus, for a normalisation that wants them; else it is its own group.

        Raises:
            ConfigError: it would be its own group and has one vector alone.
        """
        device = next(chain(self.parameters(), self.buffers())).device
        values = self._of_utterance(frames, group)
        starts = self.starts(len(values), train=False)
        outputs = []
        for i in range(0, len(starts), BATCH_SEGMENTS):
            cuts = [self.segment(values, start) for start in starts[i : i + BATCH_SEGMENTS]]
            segments = torch.from_numpy(np.stack([cut for cut, _ in cuts])).to(device)
            outputs.append(self(segments, torch.tensor([n for _, n in cuts], device=device)))
        scores = torch.cat([output.scores for output in outputs])
        probabilities = scores.double().softmax(-1).cpu().numpy()
        maps = [output.attention for output in outputs if output.attention is not None]
        return UtteranceOutput(
            probabilities=probabilities.mean(0),
            embedding=torch.cat([output.embedding for output in outputs]).mean(0).float().cpu().numpy(),
            attention=torch.cat(maps).half().cpu().numpy() if maps else None,
            starts=starts,
            segment_probabilities=probabilities,
        )


def _check_whole(specification: Specification, is_whole: bool) -> None:
    """Raise a `ConfigError` unless segments, normalisation and model suit a front end of one vector, or of frames."""
    front_end, model = specification.front_end["name"], specification.model["name"]
    if is_whole and specification.segments is not None:
        raise ConfigError(f"segments: front end {front_end!r} gives one vector an utterance; leave segments out")
    if not is_whole and specification.segments is None:
        raise ConfigError(f"segments: front end {front_end!r} gives frames; say how they are cut into segments")
    if is_whole and specification.normalization == "utterance":
        raise ConfigError(
            f"normalization 'utterance' leaves nothing of the one vector that front end {front_end!r} gives; "
            "choose train, speaker, corpus or none"
        )
    if not is_whole and is_fitted_at_once(model):
        raise ConfigError(
            f"model {model!r} needs a front end that gives one vector an utterance, e.g. functionals; "
            f"{front_end!r} gives frames"
        )


def save_checkpoint(recognizer: Recognizer, folder: Path) -> None:
    """Write model.safetensors and model.json (last, so that a folder with it is whole)."""
    tensors = {name: tensor.contiguous().cpu() for name, tensor in recognizer.state_dict().items()}
    with atomic_path(folder / "model.safetensors") as temporary:
        save_file(tensors, temporary)
    write_json(folder / "model.json", {"format": FORMAT, "affectra": __version__, **asdict(recognizer.specification)})


def load_checkpoint(folder: str | Path) -> Recognizer:
    """Rebuild a recogniser, in evaluation mode, from a folder with model.safetensors and model.json.

    Raises:
        CheckpointError: a file is missing or damaged, or does not fit the other.
    """
    folder = Path(folder)
    for name in ("model.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder}: no {name} here; expected a fold of a run directory or an exported model")
    try:
        content = read_json(folder / "model.json")
        if content.pop("format") != FORMAT:
            raise CheckpointError(
                f"{folder}/model.json: written by another version of Affectra ({content['affectra']})"
            )
        del content["affectra"]
        content["classes"] = tuple(content["classes"])
        if content["segments"] is not None:
            SegmentPlan.model_validate(content["segments"])
        if len(set(content["classes"])) < max(2, len(content["classes"])) or not all(
            isinstance(name, str) for name in content["classes"]
        ):
            raise CheckpointError(f"{folder}/model.json: needs classes with different names")
        recognizer = Recognizer(Specification(**content))
    except (*DAMAGE, ConfigError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"{folder}/model.json: damaged or not a model: {reason}") from error
    try:
        recognizer.load_state_dict(load_file(folder / "model.safetensors"))
    except (SafetensorError, RuntimeError) as error:
        first = str(error).splitlines()[0]
        raise CheckpointError(f"{folder}/model.safetensors: damaged or not of this model.json: {first}") from error
    return recognizer.eval()


def checkpoint_folders(path: Path) -> Iterator[Path]:
    """Folders with a whole checkpoint at or below a model folder, fold or run directory, in order."""
    if (path / "model.json").is_file():
        yield path
        return
    yield from sorted(found.parent for found in path.glob("seed-*/fold-*/**/model.json"))
