"""A recogniser: front end, normalisation and network as one module, and the checkpoint that rebuilds it."""

import inspect
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from affectra.errors import CheckpointError, ConfigError
from affectra.features.description import WEIGHTS
from affectra.features.front_ends import FRONT_ENDS
from affectra.features.normalization import GROUPED, Normalization, Statistics
from affectra.features.specification import (
    DAMAGE,
    Specification,
    UtteranceOutput,
    read_specification,
    segment_grid,
    stack_segments,
    write_specification,
)
from affectra.files import atomic_path
from affectra.models import MODELS, fits_without_epochs
from affectra.models.layers import Output

BATCH_SEGMENTS = 32  # bounds the memory of a long recording


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
                "compression log or none, peak: utterance, and nothing learnt"
            )
        _check_auxiliary(specification)
        self.network = MODELS.build(
            specification.model["name"],
            specification.model["options"],
            n_features=self.front_end.n_features,
            n_classes=len(specification.classes),
            **({"n_auxiliary": len(specification.auxiliary)} if specification.auxiliary else {}),
        )
        self.is_sequence: bool = getattr(self.network, "is_sequence", False)
        self.grid = segment_grid(
            specification.segments, self.front_end.sample_rate, self.front_end.window_length, self.front_end.hop_length
        )

    def forward(self, segments: Tensor, n_frames: Tensor, n_segments: Tensor | None = None) -> Output:
        """Scores of segments, or of utterances where the network takes all segments of one together.

        Shape:
            - segments: (segment, input_frames, feature), zeros where padded
            - n_frames: (segment,), real frames
            - n_segments: (utterance,), how many of the segments, in order, are of each utterance; None: no sequences
        """
        features = self.features(segments, n_frames)
        output: Output = self.network(features, n_frames, *((n_segments,) if self.is_sequence else ()))
        return output

    def features(self, segments: Tensor, n_frames: Tensor) -> Tensor:
        """Compute the network's input for segments: (batch, feature, time)."""
        features: Tensor = self.front_end(self.normalization(segments, n_frames))
        return features

    @torch.inference_mode()
    def whole_features(
        self, frames: npt.NDArray[np.floating], group: Statistics | None = None
    ) -> npt.NDArray[np.float32]:
        """Compute the network's input for an utterance that is one vector: (feature,); arguments as for `recognize`."""
        values = torch.from_numpy(self._of_utterance(frames, group))
        vector: npt.NDArray[np.float32] = self.features(values[None], torch.ones(1))[0, :, 0].numpy()
        return vector

    @torch.inference_mode()
    def segment_features(
        self, frames: npt.NDArray[np.floating], group: Statistics | None = None
    ) -> npt.NDArray[np.float16]:
        """Compute the network's input for each segment of an utterance: (segment, feature, time); for pictures."""
        values = self._of_utterance(frames, group)
        cuts = [self.grid.cut(values, start) for start in self.grid.starts(len(values), train=False)]
        segments = torch.from_numpy(stack_segments([cut for cut, _ in cuts])).to(self._device())
        lengths = torch.tensor([n for _, n in cuts], device=segments.device)
        features: npt.NDArray[np.float16] = self.features(segments, lengths).half().cpu().contiguous().numpy()
        return features

    def _device(self) -> torch.device:
        return next(chain(self.parameters(), self.buffers())).device

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
        device = self._device()
        values = self._of_utterance(frames, group)
        starts = self.grid.starts(len(values), train=False)
        n_at_once = len(starts) if self.is_sequence else BATCH_SEGMENTS
        outputs = []
        for i in range(0, len(starts), n_at_once):
            cuts = [self.grid.cut(values, start) for start in starts[i : i + n_at_once]]
            segments = torch.from_numpy(stack_segments([cut for cut, _ in cuts])).to(device)
            lengths = torch.tensor([n for _, n in cuts], device=device)
            outputs.append(self(segments, lengths, torch.tensor([len(cuts)], device=device)))
        scores = torch.cat([output.scores for output in outputs])
        probabilities = scores.double().softmax(-1).cpu().numpy()
        maps = [output.attention for output in outputs if output.attention is not None]
        auxiliary = [output.auxiliary for output in outputs if output.auxiliary is not None]
        means = torch.cat(auxiliary).double().sigmoid().mean(0).tolist() if auxiliary else []
        return UtteranceOutput(
            probabilities=probabilities.mean(0),
            embedding=torch.cat([output.embedding for output in outputs]).mean(0).float().cpu().numpy(),
            attention=torch.cat(maps).half().cpu().numpy() if maps else None,
            starts=starts,
            segment_probabilities=probabilities,
            auxiliary=dict(zip(self.specification.auxiliary, means, strict=True)),
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
    if not is_whole and fits_without_epochs(model):
        raise ConfigError(
            f"model {model!r} needs a front end that gives one vector an utterance, e.g. functionals; "
            f"{front_end!r} gives frames"
        )


def _check_auxiliary(specification: Specification) -> None:
    """Raise a `ConfigError` where binary tasks are to be learnt by a model without heads for them."""
    name = specification.model["name"]
    able = [model for model in MODELS if "n_auxiliary" in inspect.signature(MODELS[model]).parameters]
    if specification.auxiliary and name not in able:
        raise ConfigError(
            f"auxiliary: model {name!r} learns no tasks beside the classes, found "
            f"{', '.join(specification.auxiliary)}; leave auxiliary out, or choose a model that does: {', '.join(able)}"
        )


def save_checkpoint(recognizer: Recognizer, folder: Path) -> None:
    """Write model.safetensors and model.json (last, so that a folder with it is whole)."""
    specification, assets = recognizer.specification, {}
    if hasattr(recognizer.front_end, "write_assets"):  # what it was built from elsewhere comes along
        front_end = specification.front_end
        assets = recognizer.front_end.write_assets(folder)
        specification = replace(specification, front_end={**front_end, "assets": assets}) if assets else specification
    tensors = {name: tensor.contiguous().cpu() for name, tensor in recognizer.state_dict().items()}
    with atomic_path(folder / WEIGHTS) as temporary:
        save_file(tensors, temporary)
    beside = {path.name for name in assets.values() for path in folder.glob(f"{Path(name).stem}*")}
    write_specification(specification, folder, [WEIGHTS, *sorted(beside)])


def load_checkpoint(folder: str | Path) -> Recognizer:
    """Rebuild a recogniser, in evaluation mode, from a folder with model.safetensors and model.json.

    Raises:
        CheckpointError: a file is missing or damaged, or does not fit the other.
    """
    return load_networks(folder)[0]


def load_networks(folder: str | Path) -> list[Recognizer]:
    """As `load_checkpoint`, all networks of an exported model: of several, model.safetensors has `<k>.<name>`.

    Raises:
        CheckpointError: a file is missing or damaged, or does not fit the other.
    """
    folder = Path(folder)
    specification = _with_assets(read_specification(folder, None), folder)
    if not (folder / WEIGHTS).is_file():
        raise CheckpointError(f"{folder}: no model.safetensors here; expected a fold of a run directory")
    n_networks = specification.provenance.get("n_networks", 1)
    try:
        weights = load_file(folder / WEIGHTS)
        parts = [weights] if n_networks == 1 else _parts(weights, n_networks)
    except (SafetensorError, ValueError, TypeError) as error:
        first = str(error).splitlines()[0]
        raise CheckpointError(f"{folder}/model.safetensors: damaged or not of this model.json: {first}") from error
    return [_rebuild(specification, part, folder) for part in parts]


def _with_assets(specification: Specification, folder: Path) -> Specification:
    """The specification whose front end is built from what lies beside the checkpoint."""
    front_end = dict(specification.front_end)
    assets = front_end.pop("assets", {})
    if not all(isinstance(name, str) and (folder / name).resolve().is_relative_to(folder.resolve())
               for name in assets.values()):  # fmt: skip
        raise CheckpointError(f"{folder}/model.json: names files outside of its folder")
    options = {**front_end["options"], **{option: str(folder / name) for option, name in assets.items()}}
    return replace(specification, front_end={**front_end, "options": options})


def _parts(weights: dict[str, Tensor], n_networks: int) -> list[dict[str, Tensor]]:
    parts: list[dict[str, Tensor]] = [{} for _ in range(n_networks)]
    for name, tensor in weights.items():
        number, _, rest = name.partition(".")
        if not (number.isdigit() and int(number) < n_networks):
            raise ValueError(f"{name} is of none of its {n_networks} networks")
        parts[int(number)][rest] = tensor
    return parts


def _rebuild(specification: Specification, weights: dict[str, Tensor], folder: Path) -> Recognizer:
    try:
        recognizer = Recognizer(specification)
    except (*DAMAGE, ConfigError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"{folder}/model.json: damaged or not a model: {reason}") from error
    try:
        recognizer.load_state_dict(weights)
    except (SafetensorError, RuntimeError) as error:
        first = str(error).splitlines()[0]
        raise CheckpointError(f"{folder}/model.safetensors: damaged or not of this model.json: {first}") from error
    return recognizer.eval()
