"""Word vectors: a table of words, and the files such tables are exchanged in."""

import json
import math
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from affectra.errors import ConfigError
from affectra.files import atomic_path, sha256_file, write_json

FORMAT = 1  # of our own pair of files
TEXT_SUFFIXES = (".vec", ".txt")
KNOWN = ".vec, .txt (word2vec's and fastText's text format, GloVe's), .json or .safetensors"

LARGEST = float(np.finfo(np.float32).max)

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class WordVectors:
    """Words and their vectors.

    Attributes:
        words: each one once, as a rule the most frequent one first.
        vectors: (word, dim), float32.

    Example:
        >>> table = WordVectors(("good", "fine", "bad"), np.array([[1, 0], [0.9, 0.1], [-1, 0]], np.float32))
        >>> table.nearest("good", 1)[0][0]
        'fine'
    """

    words: tuple[str, ...]
    vectors: Vectors = field(repr=False)

    def __post_init__(self) -> None:
        assert self.vectors.ndim == 2 and len(self.vectors) == len(self.words) and self.vectors.dtype == np.float32
        assert len(self.index) == len(self.words), "a word has one vector"

    @cached_property
    def index(self) -> Mapping[str, int]:
        """The row of each word."""
        return {word: row for row, word in enumerate(self.words)}

    @cached_property
    def directions(self) -> Vectors:
        """The vectors at length one; one of zeros stays so."""
        return unit_length(self.vectors)

    @property
    def n_dimensions(self) -> int:
        """Numbers per word."""
        return int(self.vectors.shape[1])

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        return word in self.index

    def of(self, word: str) -> Vectors | None:
        """The vector (dim,) of a word, None where it has none."""
        row = self.index.get(word)
        return None if row is None else self.vectors[row]

    def cosine(self, one: str, other: str) -> float | None:
        """Cosine of the angle between two words in [-1, 1], None unless both have a vector."""
        if one not in self.index or other not in self.index:
            return None
        return float(self.directions[self.index[one]] @ self.directions[self.index[other]])

    def nearest(self, query: str | npt.NDArray[np.floating], n: int = 10) -> list[tuple[str, float]]:
        """The n words nearest to a word (itself left out) or a vector (dim,), with their cosines.

        Raises:
            KeyError: a word without a vector.
        """
        row = self.index[query] if isinstance(query, str) else None
        vector = self.directions[row] if row is not None else unit_length(np.asarray(query, np.float32)[None])[0]
        cosines = self.directions @ vector
        if row is not None:
            cosines[row] = -np.inf
        best = np.argsort(-cosines, kind="stable")[: min(n, len(self) - (row is not None))]
        return [(self.words[i], float(cosines[i])) for i in best]


def unit_length(vectors: Vectors) -> Vectors:
    """Vectors (word, dim) at Euclidean length one; those of zeros stay so."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units: Vectors = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return units


def read_word_vectors(path: str | Path, limit: int | None = None) -> WordVectors:
    """Read word vectors by the file's suffix; of a word that comes twice the first one counts.

    .vec and .txt hold a line a word, numbers behind the word, with or without a first line of two counts; .json an
    object of word to list of numbers, at the top or under "vectors"; .safetensors needs the .json of the same name
    that `write_word_vectors` puts beside it.

    Args:
        path: the file.
        limit: read no more words than this; files of others are sorted by frequency.

    Raises:
        ConfigError: no such file, another format, or a line that is not a word and its numbers (with its number).
    """
    path = Path(path)
    if limit is not None and limit < 1:
        raise ConfigError(f"word vectors: limit must be at least 1, found {limit}")
    readers: dict[str, Callable[[Path, int | None], WordVectors]] = dict.fromkeys(TEXT_SUFFIXES, _read_text)
    readers |= {".json": _read_json, ".safetensors": _read_pair}
    if path.suffix.lower() not in readers:
        raise ConfigError(f"{path}: not a known format of word vectors; expected {KNOWN}")
    try:
        return readers[path.suffix.lower()](path, limit)
    except OSError as error:
        raise ConfigError(f"{error.filename or path}: word vectors cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: word vectors must be UTF-8 text, found byte {error.object[error.start]:#x}"
        ) from error


def write_word_vectors(table: WordVectors, path: str | Path) -> None:
    """Write word vectors whole or not at all, in the format of the suffix; see `read_word_vectors`.

    Text and JSON have nine significant digits, which give the same float32 back.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix in TEXT_SUFFIXES:
        if spaced := [word for word in table.words if not word or word.split() != [word]]:
            raise ConfigError(f"{path}: {spaced[0]!r} has spaces, which {suffix} cannot hold; write .safetensors")
        with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.write(f"{len(table)} {table.n_dimensions}\n")
            file.writelines(
                f"{word} {_digits(row, ' ')}\n" for word, row in zip(table.words, table.vectors, strict=True)
            )
    elif suffix == ".json":
        rows = (
            f"{json.dumps(word, ensure_ascii=False)}:[{_digits(row, ',')}]"
            for word, row in zip(table.words, table.vectors, strict=True)
        )
        with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.write('{"vectors": {\n' + ",\n".join(rows) + "\n}}\n")
    elif suffix == ".safetensors":
        with atomic_path(path) as temporary:
            save_file({"vectors": np.ascontiguousarray(table.vectors)}, temporary)
            digest = sha256_file(temporary)
        write_json(path.with_suffix(".json"), {"format": FORMAT, "sha256": digest, "words": table.words})
    else:
        raise ConfigError(f"{path}: not a known format of word vectors; expected {KNOWN}")


def _digits(row: Vectors, separator: str) -> str:
    return separator.join(f"{value:.9g}" for value in row.tolist())


def _table(path: Path, words: Sequence[str], vectors: Vectors) -> WordVectors:
    if not words or not vectors.size:
        raise ConfigError(f"{path}: no word vectors in it")
    return WordVectors(tuple(words), vectors)


def _read_text(path: Path, limit: int | None) -> WordVectors:
    words: dict[str, None] = {}
    values = array("f")
    with path.open(encoding="utf-8", newline="\n") as file:  # some words of fastText hold other line breaks
        first = next(file, "").split()
        has_header = len(first) == 2 and all(cell.isdecimal() for cell in first)
        n_words, n_dimensions = map(int, first) if has_header else (None, len(first) - 1)
        lines = file if has_header else chain([" ".join(first)], file)
        n_lines = 0
        for number, line in enumerate(lines, start=1 + has_header):
            if not line.strip():
                continue
            n_lines += 1
            word, row = _parse_line(path, number, line, n_dimensions)
            if word not in words:
                words[word] = None
                values.extend(row)
                if len(words) == limit:
                    break
        else:
            if n_words is not None and n_lines != n_words:
                raise ConfigError(
                    f"{path}: {n_lines} word vectors, its first line says {n_words}; the file looks cut off"
                )
    return _table(path, list(words), np.frombuffer(values, np.float32).reshape(len(words), max(n_dimensions, 0)))


def _parse_line(path: Path, number: int, line: str, n_dimensions: int) -> tuple[str, list[float]]:
    """A word and its numbers; the word may have spaces, as some of GloVe's do."""
    cells = line.split()
    try:
        if n_dimensions < 1 or len(cells) <= n_dimensions:
            raise ValueError
        row = [float(cell) for cell in cells[-n_dimensions:]]
        if not sum(map(abs, row)) <= LARGEST:  # infinite, NaN, or too large for float32
            raise ValueError
    except ValueError:
        found = line.strip()
        found = found if len(found) <= 60 else f"{found[:40]}... of {len(cells)} cells"
        expected = f"a word and {n_dimensions} numbers" if n_dimensions > 0 else "a word and its numbers"
        raise ConfigError(f"{path}:{number}: expected {expected}, found {found!r}") from None
    return " ".join(cells[:-n_dimensions]), row


def _read_json(path: Path, limit: int | None) -> WordVectors:
    content = _parse_json(path)
    if isinstance(content, dict) and isinstance(content.get("vectors"), dict):
        content = content["vectors"]
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected an object of word to list of numbers, found a {type(content).__name__}")
    rows = dict(islice(content.items(), limit))
    n_dimensions = len(next(iter(rows.values()), [])) if all(isinstance(row, list) for row in rows.values()) else 0
    for word, row in rows.items():
        if not _is_row(row, n_dimensions):
            wanted = f"{n_dimensions} numbers, as of the first word" if n_dimensions else "a list of numbers"
            raise ConfigError(f"{path}: word {word!r}: expected {wanted}")
    return _table(path, list(rows), np.array(list(rows.values()), np.float32))


def _is_row(row: object, n_dimensions: int) -> bool:
    return (
        isinstance(row, list)
        and len(row) == n_dimensions > 0
        and all(isinstance(value, int | float) and math.isfinite(value) for value in row)
    )


def _first_of_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        found.setdefault(key, value)
    return found


def _parse_json(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_first_of_each)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}:{error.lineno}: not valid JSON ({error.msg})") from error


def _read_pair(path: Path, limit: int | None) -> WordVectors:
    names = path.with_suffix(".json")
    content = _parse_json(names)
    if not isinstance(content, dict) or content.get("format") != FORMAT or not isinstance(content.get("words"), list):
        raise ConfigError(f"{names}: expected the words of {path.name} (format {FORMAT}); write both anew")
    if content.get("sha256") != sha256_file(path):
        raise ConfigError(f"{path}: not the vectors that {names.name} names; copy both files of the pair")
    try:
        vectors = load_file(path)["vectors"]
    except (SafetensorError, KeyError) as error:
        raise ConfigError(f"{path}: not a safetensors file of word vectors ({error})") from error
    return _table(path, [str(word) for word in content["words"]][:limit], vectors[:limit])
