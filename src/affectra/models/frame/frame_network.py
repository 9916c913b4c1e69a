"""A network over time with the normalisation of its acoustic input, and the checkpoint that rebuilds it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from affectra.errors import CheckpointError, ConfigError
from affectra.features.description import WEIGHTS, read_description, write_description
from affectra.features.label_frames import LabelFrames
from affectra.features.normalization import Normalization
from affectra.files import atomic_path
from affectra.models.frame.recurrence import State
from affectra.models.frame.registry import CONTINUOUS_MODELS, ContinuousOutput
from affectra.models.frame.semantic_paralinguistic import SemanticParalinguistic

BLOCK = 3000  # frames predicted at once, 5 min at 10 Hz; bounds the memory of a long recording
Array = npt.NDArray[np.float32]
Read = Callable[[int, int], tuple[Array | None, Array | None]]

CONTINUOUS_MODELS.register("semantic-paralinguistic")(SemanticParalinguistic)


@dataclass(frozen=True)
class NetworkPlan:
    """All that rebuilds a network over time, apart from its weights.

    Attributes:
        model: {"name", "options"} from `CONTINUOUS_MODELS`.
        front_end: {"name", "options"} from `FRONT_ENDS`; None where the recording is no input.
        normalization: of the frames.
        length_s: of a frame.
        n_semantic: size of a word's vector, 0 where words are not read.
        dimensions: in the order of the predictions.
    """

    model: Mapping[str, Any]
    front_end: Mapping[str, Any] | None
    normalization: Literal["none", "train"]
    length_s: float
    n_semantic: int
    dimensions: tuple[str, ...]

    @property
    def reader(self) -> LabelFrames | None:
        """Reads the acoustic input."""
        return None if self.front_end is None else LabelFrames(self.front_end, self.length_s)


class FrameAnswer(NamedTuple):
    """Output of a network for the frames of a recording; fields as in `ContinuousOutput`, without a batch.

    Attributes:
        predictions: (frame, dimension).
        embedding: (frame, feature).
        attention: (frame, 2), or None.
    """

    predictions: npt.NDArray[np.float64]
    embedding: npt.NDArray[np.float32]
    attention: npt.NDArray[np.float32] | None


class FrameNetwork(nn.Module):
    """A continuous model with the normalisation of its acoustic input.

    Args:
        plan: what to build.

    Raises:
        ConfigError: parts that do not exist or do not fit together.
    """

    def __init__(self, plan: NetworkPlan) -> None:
        super().__init__()
        reader = plan.reader
        n_acoustic = 0 if reader is None else reader.n_features
        if not n_acoustic and not plan.n_semantic:
            raise ConfigError("frames.front_end and words: a network needs one of them at least")
        streams = "both" if n_acoustic and plan.n_semantic else "paralinguistic" if n_acoustic else "semantic"
        self.normalization = Normalization(plan.normalization, max(n_acoustic, 1))
        self.network = CONTINUOUS_MODELS.build(
            plan.model["name"], plan.model["options"], streams=streams, n_samples=max(n_acoustic, 1),
            n_semantic=max(plan.n_semantic, 1), n_dimensions=len(plan.dimensions),
        )  # fmt: skip
        self.is_block_by_block = getattr(self.network, "compat", None) is None

    def forward(self, acoustic: Tensor | None, semantic: Tensor | None, n_frames: Tensor) -> ContinuousOutput:
        """As of a continuous model; `acoustic` is not normalised yet."""
        acoustic = None if acoustic is None else self.normalization(acoustic, n_frames)
        output: ContinuousOutput = self.network(acoustic, semantic, n_frames)
        return output

    def answer(self, read: Read, n_frames: int) -> FrameAnswer:
        """Apply the network to a recording of any length, `BLOCK` frames in memory at a time.

        A model that takes sequences as wholes gets the whole.

        Args:
            read: (first frame, the one behind the last) -> acoustic and semantic frames (frame, feature), None for
                what the network has no use for.
            n_frames: of the recording.
        """
        columns = zip(*self._answers(read, n_frames), strict=True)
        parts = [None if column[0] is None else np.concatenate(column) for column in columns]
        return FrameAnswer(*parts)  # type: ignore[arg-type]

    def predict(self, read: Read, n_frames: int) -> npt.NDArray[np.float64]:
        """Predictions (frame, dimension) alone, as of `answer`."""
        return np.concatenate([answer.predictions for answer in self._answers(read, n_frames)])

    def _answers(self, read: Read, n_frames: int) -> Iterator[FrameAnswer]:
        state, length = None, BLOCK if self.is_block_by_block else n_frames
        for start in range(0, n_frames, length):
            answer, state = self.advance(*read(start, min(start + length, n_frames)), state)
            yield answer

    @torch.no_grad()
    def advance(self, acoustic: Array | None, semantic: Array | None, state: State | None) -> tuple[FrameAnswer, State]:
        """The next frames of a recording; a model that takes sequences as wholes must get all of them at once.

        Args:
            acoustic: (frame, feature), not normalised yet; None if the network has no use for it.
            semantic: (frame, feature), likewise.
            state: what the call for the frames before gave; None at the beginning.

        Returns:
            The outputs for these frames, and the state for the next ones.
        """
        device = next(self.parameters()).device
        given = [None if part is None else torch.from_numpy(part)[None].to(device) for part in (acoustic, semantic)]
        n_real = torch.tensor([next(part.shape[1] for part in given if part is not None)], device=device)
        if self.is_block_by_block:
            normalized = None if given[0] is None else self.normalization(given[0], n_real)
            output, state = self.network.forward_stream(normalized, given[1], state)
        else:
            output, state = self(*given, n_real), ()
        attention = None if output.attention is None else output.attention[0].cpu().numpy()
        predictions, embedding = (part[0].cpu().numpy() for part in output[:2])
        return FrameAnswer(predictions.astype(np.float64), embedding, attention), state


def save_network(network: FrameNetwork, plan: NetworkPlan, folder: Path) -> None:
    """Write model.safetensors and model.json (last, so that a folder with it is whole)."""
    with atomic_path(folder / WEIGHTS) as temporary:
        save_file({name: tensor.contiguous().cpu() for name, tensor in network.state_dict().items()}, temporary)
    write_description("time", asdict(plan), folder, [WEIGHTS])


def load_network(folder: Path) -> tuple[FrameNetwork, NetworkPlan]:
    """Rebuild a network over time, in evaluation mode.

    Raises:
        CheckpointError: a file is missing or damaged, or does not fit the other.
    """
    content = read_description("time", folder)
    try:
        plan = NetworkPlan(**{**content, "dimensions": tuple(content["dimensions"])})
        network = FrameNetwork(plan)
        network.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, ValueError, KeyError, TypeError, SafetensorError, RuntimeError, ConfigError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"{folder}: damaged or not a network over time: {reason}") from error
    return network.eval(), plan
