"""Spoken words: words with their times, and the acoustic frames of each."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from affectra.errors import CorpusError
from affectra.features.audio.mel import Mfcc
from affectra.registry import unknown_name
from affectra.text.words import split_words

N_COEFFICIENTS = 13  # Chung & Glass 2018
LONGEST_S = 2.0  # ours: a longer "word" is a pause that an aligner gave to it; the rest is left out
_SMALLEST_DEVIATION = 1e-3


@dataclass(frozen=True)
class SpokenWord:
    """A word and its times.

    Attributes:
        utterance: in which utterance; words of one utterance are each other's surroundings.
        word: in small letters.
        start_s: from the start of the utterance's recording, s.
        end_s: likewise.
    """

    utterance: str
    word: str
    start_s: float
    end_s: float


def timed_rows(table: pd.DataFrame, column: str, source: str) -> Iterator[tuple[str, str, float, float]]:
    """Utterance, words, start and end (s) of each row of a table.

    Args:
        table: columns utterance, start, end and one with the words.
        column: the name of the last.
        source: what messages call the table.

    Raises:
        CorpusError: a column is missing, or a row whose times are missing, no numbers, or end before they start.
    """
    for name in ("utterance", column, "start", "end"):
        if name not in table:
            raise CorpusError(f"{source}: " + unknown_name("column", name, map(str, table.columns)))
    times = [pd.to_numeric(table[column], errors="coerce").to_numpy(dtype=float) for column in ("start", "end")]
    columns = (table[name] for name in ("utterance", column, "start", "end"))
    for utterance, words, given_start, given_end, start, end in zip(*columns, *times, strict=True):
        if not (math.isfinite(start) and math.isfinite(end) and 0 <= start < end):
            raise CorpusError(
                f"{source}: {utterance}: {str(words)!r} from {_shown(given_start)} to {_shown(given_end)} s; needs "
                "0 <= start < end, mend or remove the row"
            )
        yield str(utterance), str(words), float(start), float(end)


def _shown(cell: object) -> str:
    return str(cell).strip() or "(empty)"


def spoken_words(table: pd.DataFrame, source: str = "words") -> tuple[SpokenWord, ...]:
    """Words of a corpus's table "words" (utterance, word, start, end), by utterance and time.

    Rows without a letter or digit and tags such as <laughter> are left out; words may overlap.

    Args:
        table: as `timed_rows` takes it.
        source: what messages call it.

    Raises:
        CorpusError: a word without a time, or that ends before it starts.
    """
    found = []
    for utterance, word, start, end in timed_rows(table, "word", source):
        tokens = [token for token in split_words(word) if not token.startswith("<")]
        if tokens:
            found.append(SpokenWord(utterance, " ".join(tokens), start, end))
    return tuple(sorted(found, key=lambda word: (word.utterance, word.start_s, word.end_s)))


def spread_words(text: str, start_s: float, end_s: float) -> list[SpokenWord]:
    """The words of a text over a span of time, each as long as its share of the letters.

    Example:
        >>> [(word.word, word.start_s, word.end_s) for word in spread_words("I know.", 1.0, 2.0)]
        [('i', 1.0, 1.2), ('know', 1.2, 2.0)]
    """
    words = split_words(text)
    n_letters = sum(map(len, words))
    placed, before = [], 0
    for word in words:
        first, behind = (start_s + (end_s - start_s) * n / n_letters for n in (before, before + len(word)))
        placed.append(SpokenWord("", word, round(first, 6), round(behind, 6)))
        before += len(word)
    return placed


class WordFrames:
    """Cuts the frames of words out of recordings: 13 MFCC every 10 ms (Chung & Glass 2018).

    Each coefficient has mean 0 and deviation 1 over the recording (ours: what voices and microphones add to all words
    alike is not what a word is).
    """

    sample_rate = 16_000
    n_features = N_COEFFICIENTS

    def __init__(self) -> None:
        self.front_end = Mfcc(n_coefficients=N_COEFFICIENTS, sample_rate=self.sample_rate)

    def of(self, samples: np.ndarray, spans: Iterable[tuple[float, float]]) -> list[np.ndarray]:
        """Frames of each word, (frame, 13) float32, at least one and at most those of `LONGEST_S`.

        Args:
            samples: (sample,) of one recording at 16 kHz.
            spans: start and end of each word, s; an end behind the recording's counts as its end.

        Raises:
            CorpusError: a word that starts behind the end of the recording.
        """
        frames = self.front_end.frames(torch.from_numpy(np.asarray(samples, dtype=np.float32))).numpy()
        frames = (frames - frames.mean(0)) / np.maximum(frames.std(0), _SMALLEST_DEVIATION)
        return [frames[self._rows(start_s, end_s, len(frames), len(samples))] for start_s, end_s in spans]

    def _rows(self, start_s: float, end_s: float, n_frames: int, n_samples: int) -> slice:
        """The frames whose middle lies in the word; the nearest one if none does."""
        if start_s * self.sample_rate >= n_samples:
            raise CorpusError(
                f"a word starts at {start_s:g} s of a recording of {n_samples / self.sample_rate:g} s; are its times "
                "those of another file, or in another unit than seconds?"
            )
        middle = self.front_end.window_length / 2
        first, last = (
            math.ceil((seconds * self.sample_rate - middle) / self.front_end.hop_length)
            for seconds in (start_s, min(end_s, start_s + LONGEST_S))
        )
        first = min(max(first, 0), n_frames - 1)
        return slice(first, min(max(last, first + 1), n_frames))


def sentence_lengths(words: Sequence[SpokenWord]) -> list[int]:
    """How many words each utterance has, in order; the words of one stand together."""
    lengths: list[int] = []
    for before, word in zip([None, *words], words, strict=False):
        if before is not None and before.utterance == word.utterance:
            lengths[-1] += 1
        else:
            lengths.append(1)
    return lengths
