"""A model over time in anyone's recording: the folds of a run together, dimensions of emotion frame by frame."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from affectra.audio import blocks, quality_flags, to_mono
from affectra.errors import AudioError, CheckpointError, ConfigError
from affectra.features.description import folders_of
from affectra.features.words.word_spaces import WordSpace, load_word_space
from affectra.files import read_json
from affectra.models.frame.frame_network import FrameNetwork, NetworkPlan, load_network
from affectra.predict.frame_stream import Piece, Source, frames_of
from affectra.predict.model import folder_of
from affectra.predict.windows import SHORTEST_S
from affectra.tasks.traces.postprocessing import PostProcessing
from affectra.text.asr.words import Recognizer

LONGEST_WHOLE_S = 600.0  # ours: of a recording that a network takes as a whole, 50 MB of frames
TRACES = "traces.json"


@dataclass(frozen=True)
class TracePrediction:
    """Prediction over time for a recording.

    Attributes:
        dimensions: e.g. arousal, valence, liking, each from -1 to 1 as the labels were.
        values: (frame, dimension), at the time of the voice: raters' delays are not put back.
        step_s: of a frame, s.
        flags: of too_short, silent, clipped, truncated, no_text (words that the model reads were not listened to) and
            asr (they were, by a recogniser).
    """

    dimensions: tuple[str, ...]
    values: npt.NDArray[np.float64]
    step_s: float
    flags: tuple[str, ...]

    def rows(self, file: str, *, timeline: bool) -> list[dict[str, Any]]:
        """The fields that `affectra predict` prints: a row a frame, or one with the means of the recording."""
        flags = ";".join(self.flags)
        parts = self.values if timeline else self.values.mean(0, keepdims=True)
        length_s = self.step_s if timeline else self.step_s * len(self.values)
        return [
            {
                "file": file, "start": round(k * length_s, 3), "end": round((k + 1) * length_s, 3),
                **{name: round(float(v), 6) for name, v in zip(self.dimensions, row, strict=True)}, "flags": flags,
            }
            for k, row in enumerate(parts)
        ]  # fmt: skip


@dataclass(frozen=True)
class TraceFold:
    """Parts of one fold that prediction needs.

    Attributes:
        network: over time, on the CPU.
        plan: of it.
        space: where words have vectors; None where it reads none.
        postprocessing: post-processing, if any was fitted.
        synthetic: whether it was trained on synthetic speech alone.
        provenance: recipe, corpora, protocol and fold it comes from.
    """

    network: FrameNetwork
    plan: NetworkPlan
    space: WordSpace | None
    postprocessing: PostProcessing | None
    synthetic: bool
    provenance: Mapping[str, Any]


class TraceModel:
    """Networks over time whose predictions are averaged.

    Args:
        folds: one or more, with the same dimensions, frames and front end.
        name: what it is called in messages.

    Attributes:
        dimensions: in the order of the values.
        step_s: of a frame, s.
        takes_voice: whether it listens to the voice.
        reads: whether it reads words.
        synthetic: whether it was trained on synthetic speech alone.
        licence: of the model, None if it says nothing of one.

    Raises:
        CheckpointError: folds that do not belong together.
    """

    def __init__(self, folds: Sequence[TraceFold], name: str) -> None:
        first = folds[0].plan
        for fold in folds:
            if (fold.plan.dimensions, fold.plan.front_end, fold.plan.length_s, fold.plan.n_semantic > 0) != (
                first.dimensions, first.front_end, first.length_s, first.n_semantic > 0,
            ):  # fmt: skip
                raise CheckpointError(f"model {name}: its folds have different dimensions or frames; give one of them")
        self.folds, self.name, self.dimensions, self.step_s = list(folds), name, first.dimensions, first.length_s
        self.takes_voice, self.reads = first.front_end is not None, first.n_semantic > 0
        self.synthetic = any(fold.synthetic for fold in folds)
        self.licence: str | None = folds[0].provenance.get("licence")

    def timeline(
        self, audio: npt.NDArray[np.generic], sample_rate: int, *, recognizer: Recognizer | None = None
    ) -> TracePrediction:
        """Predict a waveform (sample,) or (sample, channel), in [-1, 1]; otherwise as `timeline_of_file`."""
        flags = quality_flags(np.asarray(audio), sample_rate)
        values = self._values(lambda rate: [to_mono(np.asarray(audio), sample_rate, rate)], recognizer, "samples")
        return self._prediction(values, flags, recognizer)

    def timeline_of_file(self, path: str | Path, *, recognizer: Recognizer | None = None) -> TracePrediction:
        """Predict a recording of any format, rate, channels and length, in bounded memory.

        Args:
            path: the recording.
            recognizer: of the words; without it words that the model reads are taken for silence.

        Raises:
            AudioError: it cannot be read, or is too long for a network that takes recordings as wholes.
            ConfigError: a model that reads words alone, and no recogniser.
        """
        opened = []

        def source(rate: int) -> Iterator[npt.NDArray[np.float32]]:
            opened.append(blocks(path, rate, allow_truncated=True))
            return opened[-1]

        values = self._values(source, recognizer, str(path))
        return self._prediction(values, opened[0].flags, recognizer)

    def check_words(self, recognizer: Recognizer | None) -> None:
        """Raise a `ConfigError` for a model that reads words alone and a missing recogniser, or one without use."""
        if recognizer is None and not self.takes_voice:
            raise ConfigError(f"model {self.name}: reads words alone; name a recogniser, e.g. --asr pocketsphinx")
        if recognizer is not None and not self.reads:
            raise ConfigError(f"model {self.name}: reads no words; leave --asr out")

    def _values(self, source: Source, recognizer: Recognizer | None, place: str) -> npt.NDArray[np.float64]:
        """(frame, dimension), the mean over folds."""
        self.check_words(recognizer)
        found: list[list[npt.NDArray[np.float64]]] = [[] for _ in self.folds]
        states: list[Any] = [None] * len(self.folds)
        for piece in self._pieces(source, recognizer, place):
            for k, fold in enumerate(self.folds):
                answer, states[k] = fold.network.advance(piece.acoustic, piece.semantic[k], states[k])
                found[k].append(answer.predictions)
        of_folds = []
        for fold, parts in zip(self.folds, found, strict=True):
            values = np.concatenate(parts)
            of_folds.append(values if fold.postprocessing is None else fold.postprocessing.apply(values))
        mean: npt.NDArray[np.float64] = np.mean(of_folds, axis=0)
        if not np.isfinite(mean).all():
            raise CheckpointError(f"model {self.name}: its predictions are no numbers; the weights are damaged")
        return mean

    def _pieces(self, source: Source, recognizer: Recognizer | None, place: str) -> Iterator[Piece]:
        reader, spaces = self.folds[0].plan.reader, [fold.space for fold in self.folds]
        pieces = frames_of(source, reader, spaces, self.step_s, recognizer)
        if all(fold.network.is_block_by_block for fold in self.folds):
            return pieces
        kept: list[Piece] = []
        n_frames = 0
        for piece in pieces:
            kept.append(piece)
            n_frames += len(next(part for part in (piece.acoustic, *piece.semantic) if part is not None))
            if n_frames * self.step_s > LONGEST_WHOLE_S:
                raise AudioError(
                    f"{place}: longer than {LONGEST_WHOLE_S:g} s, the most that a network with compat takes, which "
                    "takes a recording as a whole; cut it into parts"
                )
        acoustic, semantic = zip(*kept, strict=True)
        return iter([Piece(_joined(acoustic), tuple(_joined(parts) for parts in zip(*semantic, strict=True)))])

    def _prediction(
        self, values: npt.NDArray[np.float64], flags: Sequence[str], recognizer: Recognizer | None
    ) -> TracePrediction:
        more = [
            *(["too_short"] if len(values) * self.step_s < SHORTEST_S else []),
            *(["no_text" if recognizer is None else "asr"] if self.reads else []),
        ]
        return TracePrediction(self.dimensions, values, self.step_s, tuple(sorted({*flags, *more})))


def _joined(parts: Sequence[npt.NDArray[np.float32] | None]) -> npt.NDArray[np.float32] | None:
    there = [part for part in parts if part is not None]
    return np.concatenate(there) if there else None


def load(name_or_dir: str | Path) -> TraceModel:
    """Load a run directory over time, whose folds are averaged, or one fold of it.

    Raises:
        CheckpointError: no such model, a damaged one, or one that recognises recordings as wholes.
    """
    path = folder_of(name_or_dir)
    folders = folders_of("time", path)
    if not folders:
        raise CheckpointError(f"{name_or_dir}: no finished fold over time here; `affectra.load` loads other models")
    return TraceModel([load_fold(folder) for folder in folders], path.name)


def load_fold(folder: Path) -> TraceFold:
    """Read what a fold of a run over time wrote.

    Raises:
        CheckpointError: a file is missing or damaged, or was written by an earlier version.
    """
    network, plan = load_network(folder)
    place = folder / TRACES
    try:
        content = read_json(place)
        synthetic, provenance = bool(content["synthetic"]), dict(content["provenance"])
        fitted, words = content["postprocessing"], content["words"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{place}: missing, damaged or written by an earlier version ({type(error).__name__} {error}); copy the "
            "fold again or train it anew"
        ) from error
    space = load_word_space(folder, words or {}) if plan.n_semantic else None
    if space is not None and space.n_dimensions != plan.n_semantic:
        raise CheckpointError(
            f"{folder}: word vectors of {space.n_dimensions} dimensions and a network for {plan.n_semantic}; copy the "
            "fold again, whole"
        )
    postprocessing = PostProcessing.from_json(fitted, str(place)) if fitted else None
    return TraceFold(network, plan, space, postprocessing, synthetic, provenance)
