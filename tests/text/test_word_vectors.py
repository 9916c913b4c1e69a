"""Tables of word vectors: what is read is what was written, and a damaged file is named with its line."""

from pathlib import Path

import numpy as np
import pytest

from affectra.errors import ConfigError
from affectra.text.word_vectors import WordVectors, read_word_vectors, write_word_vectors


@pytest.fixture
def table() -> WordVectors:
    vectors = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    vectors[4] = 0
    return WordVectors(("gut", "böse", "don't", "<laughter>", "null"), vectors)


@pytest.mark.parametrize("suffix", [".vec", ".txt", ".json", ".safetensors"])
def test_what_is_written_is_read_again_to_the_last_bit(table: WordVectors, suffix: str, tmp_path: Path) -> None:
    write_word_vectors(table, tmp_path / f"table{suffix}")
    found = read_word_vectors(tmp_path / f"table{suffix}")
    assert found.words == table.words and found.vectors.dtype == np.float32
    np.testing.assert_array_equal(found.vectors, table.vectors)
    cut = read_word_vectors(tmp_path / f"table{suffix}", limit=2)
    assert cut.words == table.words[:2]
    np.testing.assert_array_equal(cut.vectors, table.vectors[:2])
    beside = {path.name for path in tmp_path.iterdir()}
    assert beside == {f"table{suffix}"} | ({"table.json"} if suffix == ".safetensors" else set()), "no more"


def test_text_is_read_with_and_without_its_first_line_and_with_spaces_in_a_word(tmp_path: Path) -> None:
    lines = "good 1 0\nnew york 0.5 -2e-1 \n\nbad -1 0\n"
    (tmp_path / "plain.txt").write_text(lines)
    (tmp_path / "counted.vec").write_text("3 2\n" + lines)
    for name in ("plain.txt", "counted.vec"):
        found = read_word_vectors(tmp_path / name)
        assert found.words == ("good", "new york", "bad")
        np.testing.assert_array_equal(found.vectors, np.array([[1, 0], [0.5, -0.2], [-1, 0]], np.float32))


def test_of_a_word_that_comes_twice_the_first_counts(tmp_path: Path) -> None:
    (tmp_path / "a.vec").write_text("3 1\ngood 1\ngood 2\nbad 3\n")
    (tmp_path / "a.json").write_text('{"good": [1], "good": [2], "bad": [3]}')
    for name in ("a.vec", "a.json"):
        found = read_word_vectors(tmp_path / name)
        assert found.words == ("good", "bad") and found.vectors[:, 0].tolist() == [1, 3]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.vec", "2 2\ngood 1 0\nbad 1\n", "a.vec:3: expected a word and 2 numbers, found 'bad 1'"),
        ("a.vec", "good 1 0\nbad 1 x\n", "a.vec:2: expected a word and 2 numbers, found 'bad 1 x'"),
        ("a.vec", "good 1 0\nbad 1 nan\n", "a.vec:2: expected a word and 2 numbers"),
        ("a.vec", "good 1 0\nbad 1 1e39\n", "a.vec:2: expected a word and 2 numbers"),
        ("a.vec", "3 2\ngood 1 0\nbad 1 0\n", "2 word vectors, its first line says 3; the file looks cut off"),
        ("a.vec", "good\n", "a.vec:1: expected a word and its numbers, found 'good'"),
        ("a.vec", "", "no word vectors"),
        ("a.json", '{"good": [1, 2],\n "bad": [1', "a.json:2: not valid JSON"),
        ("a.json", '{"good": [1, 2], "bad": [1]}', "word 'bad': expected 2 numbers"),
        ("a.json", '{"good": [1, 2], "bad": [1, "x"]}', "word 'bad': expected 2 numbers"),
        ("a.json", '{"good": [1, NaN]}', "word 'good': expected 2 numbers"),
        ("a.json", '{"good": 1}', "word 'good': expected a list of numbers"),
        ("a.json", "[1]", "expected an object"),
        ("a.json", "{}", "no word vectors"),
        ("a.pkl", "", "not a known format of word vectors; expected .vec"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_refused_by_name_and_line(name: str, content: str, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ConfigError) as refusal:
        read_word_vectors(tmp_path / name)
    assert words in str(refusal.value) and name in str(refusal.value) and "\n" not in str(refusal.value)


def test_what_is_no_text_or_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.vec").write_bytes(b"g\xfft 1 2\n")
    with pytest.raises(ConfigError, match=r"a\.vec: .*UTF-8 text, found byte 0xff"):
        read_word_vectors(tmp_path / "a.vec")
    with pytest.raises(ConfigError, match=r"none\.vec: word vectors cannot be read"):
        read_word_vectors(tmp_path / "none.vec")
    with pytest.raises(ConfigError, match="limit must be at least 1"):
        read_word_vectors(tmp_path / "a.vec", limit=0)


def test_a_pair_that_does_not_belong_together_is_refused(table: WordVectors, tmp_path: Path) -> None:
    write_word_vectors(table, tmp_path / "a.safetensors")
    write_word_vectors(WordVectors(table.words, -table.vectors), tmp_path / "b.safetensors")
    (tmp_path / "a.safetensors").write_bytes((tmp_path / "b.safetensors").read_bytes())
    with pytest.raises(ConfigError, match=r"a\.safetensors: not the vectors that a\.json names"):
        read_word_vectors(tmp_path / "a.safetensors")
    (tmp_path / "b.json").unlink()
    with pytest.raises(ConfigError, match=r"b\.json: word vectors cannot be read"):
        read_word_vectors(tmp_path / "b.safetensors")


def test_a_word_with_spaces_is_not_written_where_it_would_be_two(table: WordVectors, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'new york' has spaces, which \.vec cannot hold"):
        write_word_vectors(WordVectors(("new york",), table.vectors[:1]), tmp_path / "a.vec")
    assert not list(tmp_path.iterdir())


def test_nearest_agrees_with_the_cosines_of_all_words(table: WordVectors) -> None:
    def cosine(one: str, other: str) -> float:
        a, b = table.vectors[table.index[one]].astype(float), table.vectors[table.index[other]].astype(float)
        return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))

    words = table.words[:4]
    for word in words:
        found = table.nearest(word, 10)
        assert [name for name, _ in found if name != "null"] == sorted(
            (other for other in words if other != word), key=lambda other: -cosine(word, other)
        )
        for other, value in found:
            assert value == pytest.approx(0.0 if other == "null" else cosine(word, other), abs=1e-6)
            assert table.cosine(word, other) == pytest.approx(value, abs=1e-6)
    assert table.nearest(7 * table.vectors[1], 1)[0] == ("böse", pytest.approx(1.0))


def test_a_word_without_a_vector_has_none(table: WordVectors) -> None:
    assert table.of("Gut") is None and table.cosine("gut", "Gut") is None and "Gut" not in table
    assert table.of("gut") is not None and len(table) == 5 and table.n_dimensions == 3
    with pytest.raises(KeyError):
        table.nearest("Gut")


def test_real_vectors_know_what_belongs_together(data_dir: Path) -> None:
    table = read_word_vectors(data_dir / "text" / "wordvecs1000.json")
    assert len(table) == 1000 and table.n_dimensions == 300
    assert "three" in dict(table.nearest("two", 5)) and "years" in dict(table.nearest("year", 5))
