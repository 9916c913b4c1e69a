"""An exported model: frames by numpy, scores by ONNX Runtime, no torch."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from affectra.audio.loudness import at_loudness
from affectra.errors import CheckpointError, ConfigError, require_extra
from affectra.features.frames.registry import numpy_front_end
from affectra.features.frames.spectral import Array, standardized
from affectra.features.specification import DAMAGE, UtteranceOutput, read_specification, segment_grid, stack_segments
from affectra.predict.calibration.files import FILE as CALIBRATION

GRAPH = "model.onnx"
FRAMES, LENGTHS = "frames", "n_frames"  # what the graph takes; the second one if it takes all segments together
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
        self.specification = read_specification(folder, (GRAPH, CALIBRATION))
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
        return self.recognize_batch([samples])[0]

    def recognize_batch(self, waveforms: Sequence[Array]) -> list[UtteranceOutput]:
        """Recognise several waveforms, each as one utterance, their segments in as few runs of the graph as may be."""
        if self.specification.loudness is not None:
            waveforms = [at_loudness(samples, self.sample_rate, self.specification.loudness) for samples in waveforms]
        # Rounded as training's cache does it: the network knows no other frames.
        utterances = [self._normalized(self._front_end.frames(one).astype(self._front_end.dtype)) for one in waveforms]
        starts = [self._grid.starts(len(frames), train=False) for frames in utterances]
        apply = self._in_sequence if LENGTHS in self._inputs else self._by_segment
        answers = apply(utterances, starts)
        return [self._output(answer, begun) for answer, begun in zip(answers, starts, strict=True)]

    def _output(self, answer: Mapping[str, npt.NDArray], starts: list[int]) -> UtteranceOutput:
        """An utterance's from what the graph gave, (segment, ...) each."""
        probabilities = answer[PROBABILITIES].astype(np.float64)
        auxiliary = answer[AUXILIARY].mean(0, dtype=np.float64).tolist() if AUXILIARY in answer else []
        return UtteranceOutput(
            probabilities=probabilities.mean(0),
            embedding=answer[EMBEDDING].mean(0),
            attention=None,
            starts=starts,
            segment_probabilities=probabilities,
            auxiliary=dict(zip(self.specification.auxiliary, auxiliary, strict=True)),
        )

    def _normalized(self, frames: npt.NDArray[np.floating]) -> Array:
        """Statistics of the training part are in the graph; a lone recording is its own utterance, speaker, corpus."""
        mode = self.specification.normalization
        if mode in ("none", "train"):
            return frames.astype(np.float32)
        if self._is_whole:
            raise ConfigError(f"this model wants its features normalised per {mode}, which a recording alone is not")
        return standardized(frames)

    def _by_segment(self, utterances: Sequence[Array], starts: Sequence[list[int]]) -> list[dict[str, npt.NDArray]]:
        """Of each utterance; segments of equal length, whosever, share a run, so that none needs padding."""
        length = self._grid.segment_frames
        places: dict[int, list[tuple[int, int]]] = {}  # length in frames -> utterance and place among its segments
        for utterance, (frames, begun) in enumerate(zip(utterances, starts, strict=True)):
            for place, start in enumerate(begun):
                places.setdefault(min(length, len(frames) - start), []).append((utterance, place))
        found: list[list[list[npt.NDArray]]] = [[[] for _ in begun] for begun in starts]
        for n_frames, alike in places.items():
            for i in range(0, len(alike), BATCH_SEGMENTS):
                batch = alike[i : i + BATCH_SEGMENTS]
                cuts = [utterances[u][starts[u][place] : starts[u][place] + n_frames] for u, place in batch]
                values = self._session.run(None, {FRAMES: np.stack(cuts)})
                for row, (u, place) in enumerate(batch):
                    found[u][place] = [value[row] for value in values]
        return [dict(zip(self._outputs, map(np.stack, zip(*rows, strict=True)), strict=True)) for rows in found]

    def _in_sequence(self, utterances: Sequence[Array], starts: Sequence[list[int]]) -> list[dict[str, npt.NDArray]]:
        """Of each utterance, all of whose segments the network takes at once, the last one padded."""
        answers = []
        for frames, begun in zip(utterances, starts, strict=True):
            cuts = [self._grid.cut(frames, start) for start in begun]
            lengths = np.array([n for _, n in cuts], dtype=np.int64)
            given = {FRAMES: stack_segments([cut for cut, _ in cuts]), LENGTHS: lengths}
            answers.append(dict(zip(self._outputs, self._session.run(None, given), strict=True)))
        return answers


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
