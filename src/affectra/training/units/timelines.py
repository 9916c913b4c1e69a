"""Input and targets of a network over time: utterances one after the other, frame by frame."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from affectra.features.extract import AudioSpan
from affectra.features.label_frames import LabelFrames
from affectra.features.words.spoken_words import SpokenWord
from affectra.features.words.word_frames import WordFeatures, words_on_frames
from affectra.features.words.word_spaces import Speech, WordSpace
from affectra.models.dialogue.turns import Dialogue
from affectra.models.frame.frame_network import NetworkPlan
from affectra.models.frame.registry import ContinuousOutput
from affectra.recipes.recipe import ContinuousRecipe
from affectra.tasks.traces.table import Trace
from affectra.training.units.word_space import size_of

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class RatedUtterance:
    """One utterance with its labels over time.

    Attributes:
        key: its name in splits and predictions.
        corpus: its corpus.
        speaker: its speaker, "" if unknown.
        span: its recording.
        n_frames: frames of the labels that it lasts.
        frames: file with its cached frames; None where the recording is no input.
        described: file with cached frames that a delay is searched with; None where none is searched.
        trace: its labels, as long as it lasts or shorter; None where it has none and gives context alone.
        words: spoken in it.
        language: in which language, BCP 47, "" if unknown.
    """

    key: str
    corpus: str
    speaker: str
    span: AudioSpan
    n_frames: int
    frames: Path | None
    described: Path | None
    trace: Trace | None
    words: tuple[SpokenWord, ...]
    language: str = ""

    @property
    def speech(self) -> Speech:
        """Spoken words, and where in a recording they are."""
        return Speech(self.words, self.span, self.language)


def network_plan(recipe: ContinuousRecipe) -> NetworkPlan:
    """Give the plan of the network that a recipe describes."""
    front_end = recipe.frames.front_end
    return NetworkPlan(
        model=recipe.model.model_dump(),
        front_end=None if front_end is None else front_end.model_dump(),
        normalization=recipe.frames.normalization,
        length_s=recipe.frames.length_s,
        n_semantic=0 if recipe.words is None else size_of(recipe.words.vectors),
        dimensions=tuple(recipe.dimensions),
    )


def word_features(
    space: WordSpace, utterances: Mapping[str, RatedUtterance], length_s: float
) -> dict[str, WordFeatures]:
    """The words of utterances on their frames, by key."""
    return {
        key: WordFeatures(words_on_frames(one.words, one.n_frames, length_s), space.vectors(one.speech))
        for key, one in utterances.items()
    }


class Timeline:
    """The utterances of a dialogue one after the other, read piece by piece.

    Args:
        dialogue: which, in order.
        utterances: by key.
        reader: of the recordings; None where they are no input.
        words: words on frames by key; None where they are not read.
        labels: what is to be learnt or scored, by key; the frames of other utterances give context alone.
    """

    def __init__(
        self,
        dialogue: Dialogue,
        utterances: Mapping[str, RatedUtterance],
        reader: LabelFrames | None,
        words: Mapping[str, WordFeatures] | None,
        labels: Mapping[str, Trace],
    ) -> None:
        self.keys, self.utterances, self.reader, self.words = dialogue.keys, utterances, reader, words
        ends = np.cumsum([utterances[key].n_frames for key in dialogue.keys])
        self.spans = dict(zip(dialogue.keys, zip([0, *ends[:-1]], ends, strict=True), strict=True))
        self.labels = {key: labels[key] for key in dialogue.keys if key in labels}

    def __len__(self) -> int:
        return int(self.spans[self.keys[-1]][1])

    def read(self, start: int, stop: int) -> tuple[Array | None, Array | None]:
        """Acoustic and semantic frames (frame, feature) of a piece, None where a network has no use for them."""
        acoustic, semantic = [], []
        for key, first, behind in self._pieces(start, stop):
            frames = self.utterances[key].frames
            if self.reader is not None and frames is not None:
                acoustic.append(self.reader.read(frames, first, behind))
            if self.words is not None:
                semantic.append(self.words[key].read(first, behind))
        return (
            np.concatenate(acoustic) if self.reader is not None else None,
            np.concatenate(semantic) if self.words is not None else None,
        )

    def truth(self, start: int, stop: int, n_dimensions: int) -> tuple[Array, npt.NDArray[np.bool_]]:
        """Labels (frame, dimension) of a piece, and where they are known."""
        values = np.zeros((stop - start, n_dimensions), np.float32)
        known = np.zeros(values.shape, bool)
        for key, first, behind in self._pieces(start, stop):
            if key in self.labels:
                trace, offset = self.labels[key], self.spans[key][0] - start
                behind = min(behind, len(trace))
                if first < behind:
                    values[offset + first : offset + behind] = trace.values[first:behind]
                    known[offset + first : offset + behind] = trace.known[first:behind]
        return values, known

    def _pieces(self, start: int, stop: int) -> Iterator[tuple[str, int, int]]:
        """Utterance, first frame in it and the one behind the last, of what lies in a piece."""
        for key, (begin, end) in self.spans.items():
            if max(start, begin) < min(stop, end):
                yield key, int(max(start - begin, 0)), int(min(stop, end) - begin)


class FrameBatch(NamedTuple):
    """Sequences of a step, padded behind to the longest.

    Attributes:
        acoustic: (sequence, frame, feature) or None.
        semantic: (sequence, frame, feature) or None.
        n_frames: (sequence,).
        labels: (sequence, frame, dimension); 0 where not known.
        known: (sequence, frame, dimension).
    """

    acoustic: Tensor | None
    semantic: Tensor | None
    n_frames: Tensor
    labels: Tensor
    known: Tensor

    def through(self, network: nn.Module) -> ContinuousOutput:
        """The output of a network for these sequences."""
        output: ContinuousOutput = network(self.acoustic, self.semantic, self.n_frames)
        return output

    @property
    def n_items(self) -> int:
        """How many labels are known."""
        return int(self.known.sum())


class Piece(NamedTuple):
    """A piece of a timeline."""

    timeline: Timeline
    start: int
    stop: int


class PieceDataset(Dataset[Piece]):
    """Timelines cut into sequences one behind the other; those without a known label are left out.

    Args:
        timelines: what is learnt from.
        n_frames: of a sequence; the last of a timeline is shorter.
        n_dimensions: of the labels.
    """

    def __init__(self, timelines: Sequence[Timeline], n_frames: int, n_dimensions: int) -> None:
        self.n_dimensions = n_dimensions
        pieces = [
            Piece(timeline, start, min(start + n_frames, len(timeline)))
            for timeline in timelines
            for start in range(0, len(timeline), n_frames)
        ]
        self.pieces = [piece for piece in pieces if piece.timeline.truth(*piece[1:], n_dimensions)[1].any()]

    def __len__(self) -> int:
        return len(self.pieces)

    def __getitem__(self, index: int) -> Piece:
        return self.pieces[index]

    def collate(self, pieces: Sequence[Piece]) -> FrameBatch:
        """Read sequences and put them together."""
        read = [timeline.read(start, stop) for timeline, start, stop in pieces]
        labels, known = zip(*(p.timeline.truth(p.start, p.stop, self.n_dimensions) for p in pieces), strict=True)
        return FrameBatch(
            _padded([acoustic for acoustic, _ in read]),
            _padded([semantic for _, semantic in read]),
            torch.tensor([stop - start for _, start, stop in pieces]),
            _stacked(labels),
            _stacked(known),
        )


def _padded(parts: Sequence[Array | None]) -> Tensor | None:
    return None if parts[0] is None else _stacked([part for part in parts if part is not None])


def _stacked(parts: Sequence[npt.NDArray]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence([torch.from_numpy(part) for part in parts], batch_first=True)
