"""A recording as networks over time take it: frames of the voice and of the words, piece by piece."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from affectra.features.label_frames import FrameStream, LabelFrames
from affectra.features.words.spoken_words import SpokenWord, spread_words
from affectra.features.words.word_frames import WordFeatures, words_on_frames
from affectra.features.words.word_spaces import WordSpace
from affectra.text.asr.transcripts import ASR_RATE
from affectra.text.asr.words import Recognizer

CHUNK_S = 30.0  # ours: the most that a recogniser of words gets at once; bounds its memory
SEARCH_S = 5.0  # ours: the end of a chunk, in whose quietest place it is cut, so that words seldom are
Array = npt.NDArray[np.float32]
Source = Callable[[int], Iterable[Array]]  # rate, Hz -> the samples (sample,) of a recording at it, in pieces


class Piece(NamedTuple):
    """The next frames of a recording.

    Attributes:
        acoustic: (frame, feature), None where the voice is no input.
        semantic: of each word space (frame, feature), zeros where no word is spoken; None without a space.
    """

    acoustic: Array | None
    semantic: tuple[Array | None, ...]


@dataclass(frozen=True)
class RecognizedSpeech:
    """A chunk of sound (sample,) at 16 kHz, and the words recognised in it."""

    words: tuple[SpokenWord, ...]
    sound: Array

    def samples(self) -> Array:
        """As of `word_spaces.Said`."""
        return self.sound


def frames_of(
    source: Source,
    reader: LabelFrames | None,
    spaces: Sequence[WordSpace | None],
    length_s: float,
    recognizer: Recognizer | None,
) -> Iterator[Piece]:
    """The frames of a recording, no more in memory than a chunk.

    Args:
        source: gives the samples; asked once for each rate that is needed.
        reader: of the voice; None where it is no input.
        spaces: of the networks, None for one that reads no words.
        length_s: of a frame.
        recognizer: of words; None leaves the words silent.
    """
    voice = None if reader is None else _Frames((piece,) for piece in _voice(source, reader))
    words = None
    if recognizer is not None and any(space is not None for space in spaces):
        words = _Frames(_words(source(ASR_RATE), spaces, recognizer, length_s))
    leading = voice or words
    assert leading is not None, "a network takes the voice or words"
    while n := leading.fill():
        if words is not None and words is not leading:
            n = min(n, words.fill() or n)  # the two rates may round to a frame more or less
        acoustic = None if voice is None else voice.take(n)[0]
        word_frames = () if words is None else words.take(n)
        missing = n - (len(word_frames[0]) if word_frames else 0)
        semantic = (_filled(word_frames[k] if word_frames else None, spaces, k, missing) for k in range(len(spaces)))
        yield Piece(acoustic, tuple(semantic))


class _Frames:
    """Frames of one or several streams side by side, which come in pieces and are taken in others."""

    def __init__(self, pieces: Iterator[tuple[Array, ...]]) -> None:
        self._pieces = pieces
        self._kept: tuple[Array, ...] = ()

    def fill(self) -> int:
        """How many frames can be taken; 0 at the end."""
        while not (self._kept and len(self._kept[0])):
            if (piece := next(self._pieces, None)) is None:
                return 0
            self._kept = piece
        return len(self._kept[0])

    def take(self, n: int) -> tuple[Array, ...]:
        """The next frames, no more than there are."""
        taken = tuple(part[:n] for part in self._kept)
        self._kept = tuple(part[n:] for part in self._kept)
        return taken


def _filled(frames: Array | None, spaces: Sequence[WordSpace | None], k: int, missing: int) -> Array | None:
    """The words of a space, with silence where the voice goes on and nobody listened to words."""
    space = spaces[k]
    if space is None:
        return None
    silence = np.zeros((missing, space.n_dimensions), np.float32)
    return silence if frames is None else np.concatenate([frames, silence])


def _voice(source: Source, reader: LabelFrames) -> Iterator[Array]:
    stream = FrameStream(reader)
    for samples in source(reader.front_end.sample_rate):
        yield stream.feed(samples)
    yield stream.finish()


def _words(
    pieces: Iterable[Array], spaces: Sequence[WordSpace | None], recognizer: Recognizer, length_s: float
) -> Iterator[tuple[Array, ...]]:
    """The words of each space on the frames, a chunk at a time."""
    for chunk in chunks(pieces, length_s):
        duration_s = len(chunk) / ASR_RATE
        transcript = recognizer.transcribe(chunk, ASR_RATE)
        placed = transcript.words or spread_words(transcript.text, 0.0, duration_s)
        words = tuple(
            SpokenWord("", word.word, word.start_s, word.end_s)
            for word in placed
            if word.start_s < min(word.end_s, duration_s)
        )
        n_frames = math.ceil(duration_s / length_s - 1e-6)
        owners = words_on_frames(words, n_frames, length_s)
        speech = RecognizedSpeech(words, chunk)
        yield tuple(
            np.empty((n_frames, 0), np.float32)
            if space is None
            else WordFeatures(owners, space.vectors(speech)).read(0, n_frames)
            for space in spaces
        )


def chunks(pieces: Iterable[Array], length_s: float) -> Iterator[Array]:
    """Chunks of at most `CHUNK_S` of a sound at 16 kHz, each cut between two frames where it is quietest.

    Args:
        pieces: the sound (sample,), as it comes.
        length_s: of a frame; a chunk is so many whole ones, but for the last.
    """
    frame = round(length_s * ASR_RATE)
    longest, searched = (round(seconds / length_s) for seconds in (CHUNK_S, SEARCH_S))
    kept = np.empty(0, np.float32)
    for piece in pieces:
        kept = np.concatenate([kept, piece])
        while len(kept) > longest * frame:
            end = kept[(longest - searched) * frame : longest * frame].reshape(searched, frame)
            power = np.square(end).mean(1)
            quietest = int((power[:-1] + power[1:]).argmin()) + 1
            cut = (longest - searched + quietest) * frame
            yield kept[:cut]
            kept = kept[cut:]
    if len(kept):
        yield kept
