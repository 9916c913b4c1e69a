"""What is said when: words on frames, their times from a corpus, an aligner or a recogniser, and their vectors."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from affectra.corpora import synthetic
from affectra.corpora.manifest import Corpus, manifest_from_rows
from affectra.errors import CheckpointError, ConfigError, CorpusError
from affectra.features.extract import AudioSpan
from affectra.features.words.alignment.homophones import HomophoneCheck, check_homophones
from affectra.features.words.spoken_words import SpokenWord
from affectra.features.words.word_frames import SILENCE, WordFeatures, words_on_frames
from affectra.features.words.word_spaces import Speech, load_word_space
from affectra.recipes.recipe import Component, Transcripts, WordInput
from affectra.runs.units import spoken_words as module
from affectra.runs.units.spoken_words import corpus_words, spread_words, word_timings
from affectra.text.asr.transcripts import Transcripts as Found
from affectra.text.asr.words import Transcript, Word
from affectra.text.word_vectors import WordVectors, write_word_vectors
from affectra.training.units.word_space import fit_word_space, known_share, size_of

STRETCH = AudioSpan(Path("nowhere.wav"))
Span = tuple[str, float, float]
SPANS = st.tuples(st.floats(0, 5), st.floats(0.01, 1))  # start and length, s


def said(*spans: Span, utterance: str = "u") -> tuple[SpokenWord, ...]:
    return tuple(SpokenWord(utterance, word, start, end) for word, start, end in spans)


@pytest.fixture(scope="module")
def embedded() -> Corpus:
    return synthetic.read(synthetic.render(n_dialogues=4))


def rows_of(corpus: Corpus) -> pd.DataFrame:
    return corpus.manifest.assign(key=corpus.manifest["utterance"])


def made_up(text: str = "", **tables: pd.DataFrame) -> Corpus:
    manifest = manifest_from_rows([{"utterance": "u", "file": "u.wav", "text": text}], "made-up")
    return Corpus("made-up", Path(), manifest, tables=tables)


def table(*spans: Span, column: str = "word") -> pd.DataFrame:
    return pd.DataFrame([("u", *span) for span in spans], columns=["utterance", column, "start", "end"])


@given(
    st.lists(st.tuples(st.floats(0, 5), st.floats(0.01, 1)), max_size=8),
    st.integers(1, 40),
    st.sampled_from([0.1, 0.25]),
)
def test_a_frame_has_a_word_that_is_said_in_it(
    spans: list[tuple[float, float]], n_frames: int, length_s: float
) -> None:
    words = said(*(("w", start, start + length) for start, length in spans))
    owners = words_on_frames(words, n_frames, length_s)
    assert owners.shape == (n_frames,)
    for frame, owner in enumerate(owners):
        begin, end = frame * length_s, (frame + 1) * length_s
        here = [i for i, word in enumerate(words) if word.start_s <= begin + length_s / 2 - 1e-6 < word.end_s - 2e-6]
        if owner != SILENCE:
            assert words[owner].start_s < end + 1e-6 and words[owner].end_s > begin - 1e-6
        assert owner != SILENCE or not here, "silence only where nothing is said"


def test_of_overlapping_words_the_later_one_is_taken_and_silence_has_none() -> None:
    words = said(("long", 0.0, 0.8), ("in", 0.3, 0.5))
    assert words_on_frames(words, 10, 0.1).tolist() == [0, 0, 0, 1, 1, 0, 0, 0, SILENCE, SILENCE]
    assert words_on_frames((), 3, 0.1).tolist() == [SILENCE] * 3
    assert words_on_frames(said(("late", 5.0, 6.0)), 3, 0.1).tolist() == [SILENCE] * 3
    assert words_on_frames(said(("cut", 0.2, 9.0)), 3, 0.1).tolist() == [SILENCE, SILENCE, 0]


def test_vectors_lie_on_the_frames_of_their_words() -> None:
    frames = WordFeatures(np.array([SILENCE, 0, 0, 1]), np.array([[1.0, 2.0], [3.0, 4.0]], np.float32))
    assert frames.read(0, 4).tolist() == [[0, 0], [1, 2], [1, 2], [3, 4]]
    assert frames.read(2, 3).tolist() == [[1, 2]]
    assert WordFeatures(np.array([SILENCE]), np.zeros((0, 2), np.float32)).read(0, 1).tolist() == [[0, 0]]


def test_words_are_spread_by_their_letters_and_fill_the_stretch() -> None:
    words = spread_words("Well, <laughter> I do!", 2.0, 3.7)
    assert [word.word for word in words] == ["well", "<laughter>", "i", "do"]
    assert words[0].start_s == 2.0 and words[-1].end_s == 3.7
    assert all(a.end_s == b.start_s for a, b in pairwise(words))
    assert words[1].end_s - words[1].start_s == pytest.approx(10 * (words[2].end_s - words[2].start_s))
    assert spread_words("...", 0.0, 1.0) == []


def test_the_best_times_that_a_corpus_has_are_taken() -> None:
    timed, stretches = table(("Oh", 0.2, 0.4)), table(("so it is", 1.0, 2.0), column="text")
    for corpus, expected, how in (
        (made_up("Oh no", words=timed, transcripts=stretches), [("oh", 0.2, 0.4)], "timed"),
        (made_up("Oh no", transcripts=stretches), [("so", 1, 4 / 3), ("it", 4 / 3, 5 / 3), ("is", 5 / 3, 2)], "spread"),
        (made_up("Oh no"), [("oh", 0.0, 1.5), ("no", 1.5, 3.0)], "spread"),
        (made_up(""), [], "without"),
    ):
        words, counts = corpus_words([corpus], rows_of(corpus), {"u": 3.0}, align=False)
        assert [word.word for word in words["u"]] == [word for word, _, _ in expected]
        assert [w.start_s for w in words["u"]] == pytest.approx([start for _, start, _ in expected], abs=1e-5)
        assert [w.end_s for w in words["u"]] == pytest.approx([end for _, _, end in expected], abs=1e-5)
        assert dict(counts) == {how: 1}


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ([("oh", float("nan"), 0.4)], "words: u: 'oh' from nan to 0.4 s; needs 0 <= start < end"),
        ([("oh", 0.2, float("nan"))], "needs 0 <= start < end"),
        ([("oh", 0.5, 0.4)], "words: u: 'oh' from 0.5 to 0.4 s"),
        ([("oh", 200.0, 400.0)], "'oh' starts at 200 s of 3 s; are its times those of another file"),
    ],
)
def test_times_that_cannot_be_are_refused_by_name(spans: list[Span], message: str) -> None:
    corpus = made_up("oh", words=table(*spans))
    with pytest.raises(CorpusError) as caught:
        corpus_words([corpus], rows_of(corpus), {"u": 3.0}, align=False)
    assert message in str(caught.value)


@pytest.mark.parametrize(("kind", "column"), [("words", "word"), ("transcripts", "text")])
@pytest.mark.parametrize(
    ("start", "end", "told"),
    [("", 0.4, "(empty) to 0.4"), ("x", 0.4, "x to 0.4"), (0.1, "inf", "0.1 to inf"), (0.5, 0.4, "0.5 to 0.4")],
)
def test_both_tables_refuse_times_that_cannot_be(kind: str, column: str, start: object, end: object, told: str) -> None:
    corpus = made_up(
        "oh", **{kind: pd.DataFrame([("u", "oh", start, end)], columns=["utterance", column, "start", "end"])}
    )
    with pytest.raises(CorpusError) as caught:
        corpus_words([corpus], rows_of(corpus), {"u": 3.0}, align=False)
    assert f"made-up: {kind}: u: 'oh' from {told} s; needs 0 <= start < end" in str(caught.value)


def test_a_table_without_times_is_refused_by_column() -> None:
    corpus = made_up("oh", words=table(("oh", 0.1, 0.4)).rename(columns={"start": "begin"}))
    with pytest.raises(CorpusError, match="made-up: words: unknown column 'start'"):
        corpus_words([corpus], rows_of(corpus), {"u": 3.0}, align=False)


def test_a_corpus_without_a_word_is_refused_by_name() -> None:
    recipe = WordInput(times="corpus", vectors=Component(name="skip-gram"), unknown="zeros")
    with pytest.raises(CorpusError, match="made-up: none of 1 utterances has a word"):
        word_timings([made_up("")], rows_of(made_up("")), {"u": 3.0}, recipe, lambda _: None)


def test_alignment_comes_near_the_true_times_and_falls_back_where_it_fails(embedded: Corpus) -> None:
    english = embedded.manifest[embedded.manifest["language"] == "en-US"].head(3)
    untimed = Corpus(
        "synthetic", embedded.root, english, tables={k: v for k, v in embedded.tables.items() if k != "words"}
    )
    durations = dict.fromkeys(english["utterance"], 30.0)
    rows = english.assign(key=english["utterance"]).reset_index(drop=True)
    words, counts = corpus_words([untimed], rows, durations, align=True)
    assert counts["aligned"] >= 2
    true, _ = corpus_words([embedded], rows, durations, align=False)
    errors = [
        abs(a.start_s - b.start_s)
        for key in words
        for a, b in zip(words[key], true[key], strict=True)
        if len(words[key]) == len(true[key])
    ]
    assert np.median(errors) < 0.1
    nonsense = rows.assign(text="completely different words that nobody has ever said in here at all today").head(1)
    wrong = Corpus("synthetic", embedded.root, nonsense.drop(columns="key"))
    spread, _ = corpus_words([wrong], nonsense, durations, align=True)
    assert len(spread[nonsense["key"].iloc[0]]) == 13


def test_a_recogniser_may_speak_in_tests_alone(embedded: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of(embedded).head(2)
    heard = [Transcript("yes no", (Word("yes", 0.1, 0.3), Word("no", 0.4, 0.6))), Transcript("no times")]
    monkeypatch.setattr(module, "transcribe_files", lambda *_: Found(tuple(heard), {}))
    durations = dict.fromkeys(rows["key"], 2.0)
    for used in ("test", "always"):
        source = Transcripts(source=Component(name="pocketsphinx"), used=used)
        recipe = WordInput(times="corpus", transcripts=source, vectors=Component(name="skip-gram"), unknown="zeros")
        read, tested, facts = word_timings([embedded], rows, durations, recipe, lambda _: None)
        first, second = rows["key"]
        assert [(w.word, w.start_s, w.end_s) for w in tested[first]] == [("yes", 0.1, 0.3), ("no", 0.4, 0.6)]
        assert [w.word for w in tested[second]] == ["no", "times"] and tested[second][-1].end_s == 2.0
        assert (read == tested) is (used == "always")
        assert facts["transcripts"]["word_error_rate"] > 0.5 and facts["transcripts"]["used"] == used


def speech(*texts: str) -> list[Speech]:
    return [Speech(tuple(spread_words(text, 0.0, 2.0)), STRETCH) for text in texts]


SKIP_GRAM = Component(name="skip-gram", options={"n_dimensions": 5, "n_epochs": 2, "min_count": 1})


def test_only_words_of_the_training_part_have_vectors() -> None:
    space = fit_word_space(SKIP_GRAM, speech("so it is", "is it so"), "zeros", 0)
    tested = speech("so was it")[0]
    vectors = space.vectors(tested)
    assert vectors.shape == (3, 5) and not vectors[1].any() and vectors[0].any() and vectors[2].any()
    assert known_share(space, {"u": tested}) == {"said": 3, "known": 2}
    assert space.vectors(Speech((), STRETCH)).shape == (0, 5)


def test_an_unknown_word_may_have_random_numbers_that_are_always_the_same(tmp_path: Path) -> None:
    space = fit_word_space(SKIP_GRAM, speech("so it is"), "random", 0)
    vectors = space.vectors(speech("was will was")[0])
    assert (vectors[0] == vectors[2]).all() and (vectors[0] != vectors[1]).any()
    assert (vectors >= 0).all() and (vectors < 1).all()
    other = fit_word_space(SKIP_GRAM, speech("so it is"), "random", 1)
    assert (other.vectors(speech("was")[0]) != vectors[:1]).any()
    space.save(tmp_path)
    again = load_word_space(tmp_path, space.facts())
    assert (again.vectors(speech("was so it")[0]) == space.vectors(speech("was so it")[0])).all()
    with pytest.raises(CheckpointError, match="does not say what unknown words get"):
        load_word_space(tmp_path, {})
    (tmp_path / "words.safetensors").unlink()
    with pytest.raises(CheckpointError, match="copy the fold again, whole"):
        load_word_space(tmp_path, space.facts())


def test_vectors_of_a_file_are_taken_as_they_are(tmp_path: Path) -> None:
    table = WordVectors(("so", "it"), np.array([[1, 2], [3, 4]], np.float32))
    write_word_vectors(table, tmp_path / "two.vec")
    component = Component(name="file", options={"path": str(tmp_path / "two.vec")})
    assert size_of(component) == 2
    assert fit_word_space(component, [], "zeros", 0).vectors(speech("it so")[0]).tolist() == [[3, 4], [1, 2]]


def test_a_noun_that_the_file_has_with_a_capital_letter_is_known(tmp_path: Path) -> None:
    write_word_vectors(WordVectors(("Haus", "das"), np.array([[1, 2], [3, 4]], np.float32)), tmp_path / "two.vec")
    component = Component(name="file", options={"path": str(tmp_path / "two.vec")})
    space, tested = fit_word_space(component, [], "zeros", 0), speech("Das Haus fiel")[0]
    assert space.vectors(tested).tolist() == [[3, 4], [1, 2], [0, 0]]
    assert known_share(space, {"u": tested}) == {"said": 3, "known": 2}


def test_speech2vec_hears_words_and_reads_none(
    embedded: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def check(space: WordVectors, languages: list[str]) -> HomophoneCheck:
        asked.append(languages)
        return check_homophones(space, languages)

    monkeypatch.setattr("affectra.training.units.word_space.check_homophones", check)
    rows = rows_of(embedded)
    words, _ = corpus_words([embedded], rows, dict.fromkeys(rows["key"], 30.0), align=False)
    speeches = [
        Speech(words[key], AudioSpan(embedded.root / file), "en-US")
        for key, file in zip(rows["key"], rows["file"], strict=True)
    ]
    options = {"n_dimensions": 8, "n_epochs": 1, "text_epochs": 1, "n_asked": 4, "min_count": 2}
    component = Component(name="speech2vec", options=options)
    space = fit_word_space(component, speeches[:20], "zeros", 0)
    assert size_of(component) == space.n_dimensions == 8
    tested = speeches[30]
    vectors = space.vectors(tested)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    others = Speech(tuple(SpokenWord(w.utterance, "other", w.start_s, w.end_s) for w in tested.words), tested.span)
    assert (space.vectors(others) == vectors).all(), "which words they are is not asked"
    space.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"speech2vec.safetensors", "alignment.safetensors"}
    told = space.facts()["alignment"]
    assert told["n_words"] >= 4 and 0 <= told["precision_at_1"] <= told["precision_at_5"] <= 1
    assert asked == [["en-US"]], "homophones are those of the languages that are spoken"
    assert (load_word_space(tmp_path, space.facts()).vectors(tested) == vectors).all()
    wanting = Component(name="speech2vec", options={**options, "n_asked": 10_000})
    with pytest.raises(ConfigError, match="words are in both spaces and 10000 of them are kept"):
        fit_word_space(wanting, speeches[:4], "zeros", 0)
