"""The embedded corpus: the same for a seed, whole, balanced, and neither trivial nor hopeless."""

import importlib.util
import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import recall_score
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from affectra.corpora import synthetic
from affectra.corpora.manifest import Corpus, validate_manifest
from affectra.corpora.synthetic import _espeak
from affectra.corpora.synthetic import script as synthetic_script
from affectra.corpora.synthetic import sound as synthetic_sound
from affectra.corpora.synthetic import text as synthetic_text
from affectra.errors import ConfigError, CorpusError
from affectra.files import sha256_file
from miniatures.baseline import cepstral_functionals

RENDERER = Path(_espeak.__file__)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return synthetic.read(synthetic.render(root=tmp_path_factory.mktemp("synthetic")))


@pytest.fixture(scope="session")
def functionals(corpus: Corpus) -> np.ndarray:
    """(utterance, feature): means and deviations of cepstra and their changes; the overall level is left out."""
    return np.array([cepstral_functionals(soundfile.read(corpus.path(row))[0]) for row in corpus.manifest.itertuples()])


def uar(truth: np.ndarray, predicted: np.ndarray) -> float:
    return float(recall_score(truth, predicted, average="macro"))


def predict_by_voice(functionals: np.ndarray, emotion: np.ndarray, speaker: np.ndarray) -> np.ndarray:
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.03, max_iter=3000))
    return cross_val_predict(model, functionals, emotion, groups=speaker, cv=LeaveOneGroupOut())


def speak(folder: Path, jobs: list[dict[str, object]], *options: str, **more: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-P", *options, str(RENDERER)],
        input=json.dumps({"folder": str(folder), "jobs": jobs}),
        capture_output=True,
        text=True,
        check=False,
        **more,
    )


def job(name: str, text: str, voice: str = "en-us+f2") -> dict[str, object]:
    return {"name": name, "text": text, "voice": voice, "rate": 170, "pitch": 50, "range": 50, "word_gap": 2}


# What is rendered


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = (synthetic.render(3, tmp_path / name, n_dialogues=4) for name in ("a", "b"))
    assert first.name == second.name
    files = sorted(path.relative_to(first) for path in first.rglob("*.*"))
    assert len(files) == 43  # 40 recordings, the manifest, two tables
    assert files == sorted(path.relative_to(second) for path in second.rglob("*.*"))
    for file in files:
        assert sha256_file(first / file) == sha256_file(second / file), file


def test_another_seed_gives_another_corpus() -> None:
    scripts = [synthetic_script.as_records(synthetic_script.write_script(seed, 4)) for seed in (0, 1, 0)]
    assert scripts[0] == scripts[2] != scripts[1]


def test_a_sentence_sounds_the_same_whatever_is_spoken_before_it(tmp_path: Path) -> None:
    jobs = [job(f"u{i}", text) for i, text in enumerate(synthetic_text.SHARED["en"][:3])]
    for name, order in (("a", jobs), ("b", jobs[::-1])):
        (tmp_path / name).mkdir()
        assert speak(tmp_path / name, order).returncode == 0
    for i in range(3):
        assert (tmp_path / "a" / f"u{i}.wav").read_bytes() == (tmp_path / "b" / f"u{i}.wav").read_bytes()


def test_a_rendering_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = synthetic.render(root=tmp_path, n_dialogues=1)

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("rendered twice")

    monkeypatch.setattr(subprocess, "run", fail)
    monkeypatch.setenv("AFFECTRA_CACHE", str(tmp_path))
    assert synthetic.render(n_dialogues=1) == folder


def test_two_renderings_at_the_same_time_do_no_harm(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        folders = list(pool.map(lambda _: synthetic.render(5, tmp_path, n_dialogues=1), range(2)))
    assert folders[0] == folders[1]
    assert list(tmp_path.iterdir()) == folders[:1], "nothing is left behind"
    assert len(synthetic.read(folders[0]).manifest) == 10


def test_the_counts_are_the_promised_ones(corpus: Corpus) -> None:
    manifest = validate_manifest(corpus.manifest, "synthetic", "synthetic")
    assert len(manifest) == synthetic.INFO.expected["utterances"] == 240
    assert manifest["speaker"].nunique() == synthetic.INFO.expected["speakers"] == 8
    assert set(manifest["emotion"]) == {"anger", "happiness", "neutral", "sadness"}
    assert set(manifest["language"]) == set(synthetic.INFO.languages)
    assert synthetic.INFO.synthetic


def test_recordings_are_16_khz_mono_of_about_ten_minutes(corpus: Corpus) -> None:
    infos = [soundfile.info(corpus.path(row)) for row in corpus.manifest.itertuples()]
    assert {(info.samplerate, info.channels, info.subtype) for info in infos} == {(16000, 1, "PCM_16")}
    assert 8 * 60 < sum(info.duration for info in infos) < 12 * 60


def test_no_recording_is_clipped_or_silent(corpus: Corpus) -> None:
    for row in corpus.manifest.itertuples():
        peak = np.abs(soundfile.read(corpus.path(row))[0]).max()
        assert 0.01 < peak < 0.99, row.utterance


def test_each_speaker_has_all_emotions_about_equally_often(corpus: Corpus) -> None:
    counts = corpus.manifest.groupby(["speaker", "emotion"]).size().unstack()
    assert counts.to_numpy().min() >= 5
    assert counts.to_numpy().max() <= 10


def test_both_genders_speak_each_language(corpus: Corpus) -> None:
    assert (corpus.manifest.groupby("language")["gender"].nunique() == 2).all()


def test_a_dialogue_is_turns_in_order_between_the_pair_of_its_session(corpus: Corpus) -> None:
    for _, dialogue in corpus.manifest.groupby("dialogue"):
        assert dialogue["turn"].tolist() == list(range(1, 11))
        assert dialogue["session"].nunique() == 1
        assert set(dialogue["speaker"]) == {
            speaker.name for speaker in synthetic_script.PAIRS[dialogue["session"].iloc[0]]
        }
        assert (dialogue["speaker"].to_numpy()[1:] != dialogue["speaker"].to_numpy()[:-1]).all(), "they alternate"
    assert corpus.manifest.groupby("session")["speaker"].unique().map(len).tolist() == [2, 2, 2, 2]


def test_transitions_are_probabilities_that_keep_emotions_balanced() -> None:
    np.testing.assert_allclose(synthetic_script.TRANSITIONS.sum(axis=0), 1)
    np.testing.assert_allclose(synthetic_script.TRANSITIONS.sum(axis=1), 1)


# Words and traces


def test_half_of_the_sentences_are_shared_by_the_emotions(corpus: Corpus) -> None:
    shared = corpus.manifest[corpus.manifest["sentence"].str.contains("shared")]
    assert 0.45 < len(shared) / len(corpus.manifest) < 0.55
    assert (shared.groupby("sentence")["emotion"].nunique() >= 3).all()
    assert (corpus.manifest.groupby("sentence")["text"].nunique() == 1).all()
    worded = corpus.manifest.drop(shared.index)
    assert (worded.groupby("sentence")["emotion"].nunique() == 1).all()


def test_worded_sentences_hold_words_of_their_emotion_only_and_shared_ones_none() -> None:
    def emotions(sentence: str) -> list[str]:
        words = set(re.findall(r"\w+", sentence.lower()))
        return [emotion for emotion, known in synthetic_text.KEYWORDS.items() for _ in words & set(known)]

    for language, worded in synthetic_text.WORDED.items():
        assert not [sentence for sentence in synthetic_text.SHARED[language] if emotions(sentence)]
        for emotion, sentences in worded.items():
            for sentence in sentences:
                assert set(emotions(sentence)) == {emotion}, sentence
                assert len(emotions(sentence)) >= 2, sentence


def test_the_words_are_those_of_the_text_in_order_and_inside_the_recording(corpus: Corpus) -> None:
    words = dict(list(corpus.tables["words"].groupby("utterance")))
    for row in corpus.manifest.itertuples():
        spoken = words[row.utterance]
        assert spoken["word"].tolist() == re.findall(r"\w+", row.text)
        assert (spoken["end"] > spoken["start"]).all()
        assert (spoken["start"].to_numpy()[1:] >= spoken["end"].to_numpy()[:-1]).all()
        assert spoken["start"].min() >= 0
        assert spoken["end"].max() <= soundfile.info(corpus.path(row)).duration


def test_words_are_louder_than_the_pauses_around_them(corpus: Corpus) -> None:
    words = dict(list(corpus.tables["words"].groupby("utterance")))
    for row in corpus.manifest.itertuples():
        samples, rate = soundfile.read(corpus.path(row))
        times = np.arange(len(samples)) / rate
        spoken = np.zeros(len(samples), dtype=bool)
        for word in words[row.utterance].itertuples():
            spoken |= (times >= word.start) & (times < word.end)
        assert samples[spoken].std() > 2 * samples[~spoken].std(), row.utterance


def test_traces_come_ten_a_second_within_their_range_and_as_long_as_the_speech(corpus: Corpus) -> None:
    traces = corpus.tables["continuous"]
    assert traces.columns.tolist() == ["utterance", "time", "arousal", "valence", "liking"]
    assert traces[["arousal", "valence", "liking"]].abs().to_numpy().max() <= 1
    by_utterance = dict(list(traces.groupby("utterance")))
    for row in corpus.manifest.itertuples():
        trace = by_utterance[row.utterance]
        np.testing.assert_allclose(trace["time"], np.arange(len(trace)) / 10, atol=1e-9)
        assert 0 < soundfile.info(corpus.path(row)).duration - trace["time"].max() <= 0.1
        assert trace["valence"].mean() == pytest.approx(row.valence, abs=1e-3)


def test_traces_move_slowly(corpus: Corpus) -> None:
    for _, trace in corpus.tables["continuous"].groupby("utterance"):
        assert trace[["arousal", "valence", "liking"]].diff().abs().max().max() < 0.35


def test_traces_can_be_learned_from_voice_and_from_words(corpus: Corpus, functionals: np.ndarray) -> None:
    voice = StandardScaler().fit_transform(functionals)
    words = 5 * TfidfVectorizer().fit_transform(corpus.manifest["text"]).toarray()
    speaker = corpus.manifest["speaker"]
    for dimension in ("arousal", "valence", "liking"):
        truth = corpus.manifest[dimension].to_numpy()
        of_voice, of_words, of_both = (
            np.corrcoef(truth, cross_val_predict(Ridge(50.0), x, truth, groups=speaker, cv=LeaveOneGroupOut()))[0, 1]
            for x in (voice, words, np.hstack([voice, words]))
        )
        assert of_voice > 0.3 and of_words > 0.2, dimension
        assert of_both > max(of_voice, of_words), dimension


# How hard it is


def test_the_voice_tells_the_emotion_of_an_unheard_speaker_neither_always_nor_never(
    corpus: Corpus, functionals: np.ndarray
) -> None:
    emotion, speaker = corpus.manifest["emotion"].to_numpy(), corpus.manifest["speaker"].to_numpy()
    assert 0.55 < uar(emotion, predict_by_voice(functionals, emotion, speaker)) < 0.90


@pytest.mark.parametrize("seed", range(3))
def test_shuffled_labels_cannot_be_heard(corpus: Corpus, functionals: np.ndarray, seed: int) -> None:
    emotion = np.random.default_rng(seed).permutation(corpus.manifest["emotion"].to_numpy())
    assert uar(emotion, predict_by_voice(functionals, emotion, corpus.manifest["speaker"].to_numpy())) < 0.40


def test_the_words_tell_about_half_of_it_on_unread_sentences(corpus: Corpus) -> None:
    emotion = corpus.manifest["emotion"].to_numpy()
    model = make_pipeline(TfidfVectorizer(), LogisticRegression(C=10.0, max_iter=3000))
    predicted = cross_val_predict(
        model, corpus.manifest["text"], emotion, groups=corpus.manifest["sentence"], cv=GroupKFold(5)
    )
    assert 0.5 < uar(emotion, predicted) < 0.7
    shared = corpus.manifest["sentence"].str.contains("shared").to_numpy()
    assert uar(emotion[shared], predicted[shared]) < 0.40, "shared sentences give nothing away"


def test_the_turn_before_tells_something(corpus: Corpus) -> None:
    before = corpus.manifest.groupby("dialogue")["emotion"].shift()
    later = before.notna().to_numpy()
    emotion = corpus.manifest["emotion"].to_numpy()[later]
    predicted = cross_val_predict(
        LogisticRegression(),
        pd.get_dummies(before[later]).to_numpy(float),
        emotion,
        groups=corpus.manifest["session"][later],
        cv=LeaveOneGroupOut(),
    )
    assert 0.40 < uar(emotion, predicted) < 0.70


# The renderer


def test_the_renderer_imports_nothing_that_does_not_fork_well(tmp_path: Path) -> None:
    done = speak(tmp_path, [job("u", "Hello.")], "-X", "importtime")
    assert done.returncode == 0
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "espeakng_loader" in imported
    assert not imported & {"torch", "pandas", "numpy", "affectra"}


def test_a_package_in_a_deep_folder_still_speaks(tmp_path: Path) -> None:
    package = importlib.util.find_spec("espeakng_loader")
    assert package is not None and package.origin is not None
    deep = tmp_path.joinpath(*["a_folder_with_a_long_name"] * 8)
    deep.mkdir(parents=True)
    (deep / "espeakng_loader").symlink_to(Path(package.origin).parent, target_is_directory=True)
    done = speak(tmp_path, [job("u", "Hello.")], env={"PYTHONPATH": str(deep)})
    assert (done.returncode, done.stderr) == (0, "")
    assert soundfile.info(tmp_path / "u.wav").duration > 0.2


def test_a_short_data_path_is_used_as_it_is_and_a_long_one_linked(tmp_path: Path) -> None:
    assert _espeak.short_path("/usr/share/espeak-ng-data", str(tmp_path)) == "/usr/share/espeak-ng-data"
    long = tmp_path / ("x" * 150)
    long.mkdir()
    assert Path(_espeak.short_path(str(long), str(tmp_path))).resolve() == long.resolve()


def test_an_unknown_voice_is_named(tmp_path: Path) -> None:
    done = speak(tmp_path, [job("u", "Hello.", "nobody")])
    assert (done.returncode, done.stderr) == (1, "u: espeak has no voice 'nobody'\n")


def test_an_engine_that_does_not_start_is_an_error(tmp_path: Path) -> None:
    import espeakng_loader

    # in a process of its own, for espeak lives on in the one that loads it
    program = "import sys\nfrom affectra.corpora.synthetic import _espeak\n_espeak.start_engine(*sys.argv[1:])"
    arguments = [espeakng_loader.get_library_path(), str(tmp_path)]
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert re.search(r"RenderError: .* espeak_Initialize returned (0|-\d+) instead of a sample rate", done.stderr)


def test_a_word_ends_at_its_pause_or_where_the_next_begins() -> None:
    word, phoneme = _espeak.WORD_EVENT, _espeak.PHONEME_EVENT
    events = [(word, 0, 0, ""), (phoneme, 0, 0, "_|"), (phoneme, 0, 0, "a"), (phoneme, 0, 80, "b")]  # a glottal stop
    events += [(word, 3, 100, ""), (phoneme, 3, 100, "c"), (phoneme, 3, 150, "_"), (phoneme, 3, 160, "_:")]
    events += [(word, 6, 200, ""), (phoneme, 6, 200, "d")]
    assert _espeak.word_spans(events, 250) == [(0, 0, 100), (3, 100, 150), (6, 200, 250)]


def test_words_spoken_as_one_share_their_time_by_letters() -> None:
    turn = next(turn for turn in synthetic_script.write_script(0, 24) if turn.text.startswith("The train to the city"))
    rows = synthetic_sound.place_words(turn, [(0, 0.0, 0.3), (4, 0.3, 1.0), (10, 1.0, 1.5), (17, 1.5, 2.0)])
    before = turn.manner.before_s
    assert [row["word"] for row in rows] == re.findall(r"\w+", turn.text)
    assert rows[2] == {
        "utterance": turn.utterance,
        "word": "to",
        "start": pytest.approx(before + 1.0),
        "end": pytest.approx(before + 1.2),
    }
    assert rows[3]["end"] == pytest.approx(before + 1.5)


def test_words_with_times_of_their_own_but_one_place_are_told_apart() -> None:
    turn = next(turn for turn in synthetic_script.write_script(0, 24) if turn.text.endswith("so much."))
    text = turn.text
    starts = [match.start() for match in re.finditer(r"\w+", text)]
    starts[-1] = starts[-2] + 1  # as espeak says of "much"
    rows = synthetic_sound.place_words(turn, [(start, i, i + 0.5) for i, start in enumerate(starts)])
    assert [row["word"] for row in rows] == re.findall(r"\w+", text)
    assert np.diff([row["start"] for row in rows]) == pytest.approx(1.0)


@pytest.mark.parametrize(("frequency_hz", "gain_db"), [(250, -3.0), (500, 0.0), (1000, 3.0), (2000, 6.0)])
def test_a_tilt_raises_a_tone_by_its_octaves_above_500_hz(frequency_hz: int, gain_db: float) -> None:
    tone = np.sin(2 * np.pi * frequency_hz * np.arange(16000) / 16000)
    tilted = synthetic_sound.tilt(tone, 16000, 3.0)
    assert 20 * np.log10(tilted.std() / tone.std()) == pytest.approx(gain_db, abs=1e-6)


# What goes wrong


def test_a_missing_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"the package espeakng_loader: pip install 'affectra\[demo\]'"):
        synthetic.render(root=tmp_path)


def test_less_than_one_dialogue_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="n_dialogues is 0"):
        synthetic.render(root=tmp_path, n_dialogues=0)


def test_a_failing_engine_is_one_line_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess([], 1, "", "first\nlibespeak-ng.so: cannot be loaded\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(CorpusError, match=r"espeak-ng failed: libespeak-ng.so: cannot be loaded; pip install .* help$"):
        synthetic.render(root=tmp_path, n_dialogues=1)
    assert not list(tmp_path.iterdir())


def test_a_damaged_rendering_is_named(tmp_path: Path) -> None:
    folder = synthetic.render(root=tmp_path, n_dialogues=1)
    (folder / "manifest.csv").unlink()
    with pytest.raises(CorpusError, match="not a whole rendering; remove this folder"):
        synthetic.render(root=tmp_path, n_dialogues=1)


def test_a_folder_without_a_rendering_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"no manifest.csv; expected a folder that .*render wrote"):
        synthetic.read(tmp_path)
