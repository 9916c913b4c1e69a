"""Where words have vectors, by their letters or by their sound, kept beside the network that reads them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import numpy as np
import numpy.typing as npt

from affectra.audio import read
from affectra.errors import CheckpointError, ConfigError
from affectra.features.extract import AudioSpan
from affectra.features.text.word_vector_frames import find_vector
from affectra.features.words.alignment.alignment import Overlay, read_alignment, write_alignment
from affectra.features.words.speech2vec import Speech2Vec, encode_spoken, read_speech2vec, write_speech2vec
from affectra.features.words.spoken_words import SpokenWord, WordFrames
from affectra.text.word_vectors import WordVectors, read_word_vectors, write_word_vectors

Unknown = Literal["zeros", "random"]
Vectors = npt.NDArray[np.float32]
TABLE, SPEECH2VEC, ALIGNMENT = "words.safetensors", "speech2vec.safetensors", "alignment.safetensors"


class SpokenUtterance(Protocol):
    """The words of an utterance and its sound."""

    @property
    def words(self) -> Sequence[SpokenWord]:
        """The words with their times, in order."""

    def samples(self) -> Vectors:
        """The sound (sample,) at 16 kHz."""


@dataclass(frozen=True)
class Speech:
    """The words of an utterance, the segment of a recording that holds it, and its language (BCP 47, "" if unknown)."""

    words: tuple[SpokenWord, ...]
    span: AudioSpan
    language: str = ""

    def samples(self) -> Vectors:
        """As of `SpokenUtterance`."""
        where = self.span
        samples: Vectors = read(
            where.audio, WordFrames.sample_rate, start_s=where.start_s, end_s=where.end_s
        ).samples  # fmt: skip
        return samples


class WordSpace(Protocol):
    """Where words have vectors."""

    @property
    def n_dimensions(self) -> int:
        """Numbers a word."""

    def vectors(self, utterance: SpokenUtterance) -> Vectors:
        """(word, n_dimensions) of the words of an utterance."""

    def facts(self) -> dict[str, Any]:
        """Facts for traces.json, from which `load_word_space` rebuilds it."""

    def save(self, folder: Path) -> None:
        """Write it beside the network that reads it."""


@dataclass(frozen=True)
class WrittenWords:
    """Words looked up by their letters.

    Attributes:
        table: the vectors.
        unknown: what a word without one gets: "zeros", as silence; "random", numbers in [0, 1) of its own, the same
            wherever it is spoken, as in the released code of Tzirakis et al. 2021.
        seed: of these.
    """

    table: WordVectors
    unknown: Unknown
    seed: int

    @property
    def n_dimensions(self) -> int:
        """Numbers a word."""
        return self.table.n_dimensions

    def vectors(self, utterance: SpokenUtterance) -> Vectors:
        """(word, n_dimensions)."""
        found = np.zeros((len(utterance.words), self.n_dimensions), np.float32)
        for i, spoken in enumerate(utterance.words):
            if (vector := find_vector(self.table, spoken.word)) is not None:
                found[i] = vector
            elif self.unknown == "random":
                found[i] = np.random.default_rng([self.seed, *spoken.word.encode()]).random(self.n_dimensions)
        return found

    def facts(self) -> dict[str, Any]:
        """How many words have vectors, and what others get."""
        return {"n_words": len(self.table), "unknown": self.unknown, "seed": self.seed}

    def save(self, folder: Path) -> None:
        """Write the table."""
        write_word_vectors(self.table, folder / TABLE)


@dataclass(frozen=True)
class AcousticWords:
    """Words by their sound alone, in the space of a text: no letter of what is tested has a part in it.

    Attributes:
        network: Speech2Vec.
        overlay: of its space over the text's.
        found: how well it lies there.
    """

    network: Speech2Vec
    overlay: Overlay
    found: Mapping[str, Any]

    @property
    def n_dimensions(self) -> int:
        """Numbers a word."""
        return self.network.n_dimensions

    def vectors(self, utterance: SpokenUtterance) -> Vectors:
        """(word, n_dimensions)."""
        if not utterance.words:
            return np.zeros((0, self.n_dimensions), np.float32)
        spans = [(word.start_s, word.end_s) for word in utterance.words]
        return self.overlay.mapped(encode_spoken(self.network, utterance.samples(), spans))

    def facts(self) -> dict[str, Any]:
        """How the spaces were laid one over the other, and whether words find themselves."""
        return dict(self.found)

    def save(self, folder: Path) -> None:
        """Write network and alignment."""
        write_speech2vec(self.network, folder / SPEECH2VEC)
        write_alignment(self.overlay, folder / ALIGNMENT)


def load_word_space(folder: Path, facts: Mapping[str, Any]) -> WordSpace:
    """Read the word space that `save` wrote into a folder.

    Args:
        folder: of a fold.
        facts: of the word space, from traces.json.

    Raises:
        CheckpointError: files are missing or damaged, or were written by an earlier version.
    """
    if (folder / SPEECH2VEC).is_file():
        return AcousticWords(read_speech2vec(folder / SPEECH2VEC), read_alignment(folder / ALIGNMENT), facts)
    kinds: dict[Any, Unknown] = {kind: kind for kind in get_args(Unknown)}
    unknown, seed = kinds.get(facts.get("unknown")), facts.get("seed")
    if unknown is None or not isinstance(seed, int):
        raise CheckpointError(f"{folder}: does not say what unknown words get; train it again with this version")
    try:
        return WrittenWords(read_word_vectors(folder / TABLE), unknown, seed)
    except ConfigError as error:
        raise CheckpointError(f"{error}; copy the fold again, whole") from error
