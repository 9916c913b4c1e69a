"""An exported model: frames by numpy, scores by ONNX Runtime, no torch."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from affectra.errors import CheckpointError, ConfigError, require_extra
from affectra.numpy_frames import Array, standardized
from affectra.numpy_front_ends import numpy_front_end
from affectra.specification import DAMAGE, UtteranceOutput, read_specification, segment_grid, stack_segments

GRAPH = "model.onnx"
FRAMES, LENGTHS = "frames", "n_frames"  # what the graph takes; the second one if it hears all segments together
PROBABILITIES, EMBEDDING, AUXILIARY = "probabilities", "embedding", "auxiliary"  # what it gives; the last if it has any
BATCH_SEGMENTS = 8  # more of them leave the processor's cache and are slower
THREADS = 2  # ours: a segment is too little work for more


class OnnxRecognizer:
    """A waveform in, probabilities out, as the torch recognisers that were exported give them.

    Args:
        folder: with model.onnx and model.json.

    Attributes:
        specification: the content of model.json.
        sample_rate: of the waveforms, Hz.

    Raises:
        CheckpointError: a file is damaged, or does not fit the other.
        ConfigError: ONNX Runtime is not installed, or what the front end needs.
    """

    def __init__(self, folder: Path) -> None:
        require_extra("onnxruntime", "onnx", f"{folder / GRAPH}")
        self.specification = read_specification(folder)
        try:
            front_end, plan = self.specification.front_end, self.specification.segments
            self._front_end = numpy_front_end(front_end["name"], front_end["options"])
            rate, window, hop = self._front_end.sample_rate, self._front_end.window_length, self._front_end.hop_length
            self._grid = segment_grid(plan, rate, window, hop)
        except (*DAMAGE, ConfigError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise CheckpointError(f"{folder}/model.json: damaged or not a model: {reason}") from error
        self.sample_rate = rate
        self._is_whole = hop is None
        self._session = _session(folder / GRAPH)
        self._inputs = [put.name for put in self._session.get_inputs()]
        self._outputs = [put.name for put in self._session.get_outputs()]
        self._check(folder)

    def _check(self, folder: Path) -> None:
        n_features = self._session.get_inputs()[0].shape[-1]
        n_classes = self._session.get_outputs()[0].shape[-1]
        expected = [PROBABILITIES, EMBEDDING, *([AUXILIARY] if self.specification.auxiliary else [])]
        if (
            self._inputs not in ([FRAMES], [FRAMES, LENGTHS])
            or self._outputs != expected
            or n_features != self._front_end.n_features
            or n_classes != len(self.specification.classes)
        ):
            raise CheckpointError(f"{folder / GRAPH}: not the graph of the model.json beside it; export it again")

    def __call__(self, samples: Array) -> UtteranceOutput:
        """Recognise a waveform (sample,) as one utterance."""
        # Rounded as training's cache does it: the network knows no other frames.
        frames = self._normalized(self._front_end.frames(samples).astype(self._front_end.dtype))
        starts = self._grid.starts(len(frames), train=False)
        batches = self._together(frames, starts) if LENGTHS in self._inputs else self._apart(frames, starts)
        parts = [self._session.run(None, batch) for batch in batches]
        outputs = dict(zip(self._outputs, map(np.concatenate, zip(*parts, strict=True)), strict=True))
        probabilities = outputs[PROBABILITIES].astype(np.float64)
        sides = outputs[AUXILIARY].mean(0, dtype=np.float64).tolist() if AUXILIARY in outputs else []
        return UtteranceOutput(
            probabilities=probabilities.mean(0),
            embedding=outputs[EMBEDDING].mean(0),
            attention=None,
            starts=starts,
            segment_probabilities=probabilities,
            auxiliary=dict(zip(self.specification.auxiliary, sides, strict=True)),
        )

    def _normalized(self, frames: npt.NDArray[np.floating]) -> Array:
        """Statistics of the training part are in the graph; a lone recording is its own utterance, speaker, corpus."""
        mode = self.specification.normalization
        if mode in ("none", "train"):
            return frames.astype(np.float32)
        if self._is_whole:
            raise ConfigError(f"this model wants its features normalised per {mode}, which a recording alone is not")
        return standardized(frames)

    def _apart(self, frames: Array, starts: list[int]) -> Iterator[dict[str, Array]]:
        """Batches of segments that need no padding: all full ones, then what is left at the end."""
        length = self._grid.segment_frames
        full = [start for start in starts if start + length <= len(frames)]
        for i in range(0, len(full), BATCH_SEGMENTS):
            yield {FRAMES: np.stack([frames[start : start + length] for start in full[i : i + BATCH_SEGMENTS]])}
        for start in starts[len(full) :]:
            yield {FRAMES: frames[None, start:]}

    def _together(self, frames: Array, starts: list[int]) -> Iterator[dict[str, npt.NDArray]]:
        """All segments at once, the last one padded."""
        cuts = [self._grid.cut(frames, start) for start in starts]
        lengths = np.array([n for _, n in cuts], dtype=np.int64)
        yield {FRAMES: stack_segments([cut for cut, _ in cuts]), LENGTHS: lengths}


def _session(path: Path) -> Any:
    """An ONNX Runtime session on the processor."""
    import onnxruntime  # type: ignore[import-untyped]
    from onnxruntime.capi import onnxruntime_pybind11_state as raised

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = min(THREADS, os.cpu_count() or 1)
    options.inter_op_num_threads = 1
    # Threads that wait must not keep a core busy: the front end and other streams want it.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    # What ONNX Runtime says of a file it cannot take; its exceptions have no common parent.
    except (raised.Fail, raised.InvalidArgument, raised.InvalidGraph, raised.InvalidProtobuf, raised.NoSuchFile,
            raised.NotImplemented, raised.RuntimeException) as error:  # fmt: skip
        raise CheckpointError(f"{path}: damaged or not a graph: {str(error).splitlines()[0]}") from error
