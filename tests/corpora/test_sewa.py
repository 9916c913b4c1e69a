"""SEWA: both releases' layouts in small, whose traces must fit their audio, and damaged tables."""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from affectra.corpora import synthetic
from affectra.corpora.manifest import Corpus, manifest_from_rows, validate_manifest
from affectra.corpora.sewa import DIMENSIONS, read
from affectra.corpora.sources import open_corpus, write_corpus
from affectra.errors import CorpusError
from affectra.tasks.traces import read_traces
from miniatures.sewa import HEADER, STEP_S, Recording, make_recordings, write


@pytest.fixture(scope="module")
def embedded() -> Corpus:
    return synthetic.read(synthetic.render())


@pytest.fixture(scope="module", params=[2017, 2019])
def release(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture(scope="module")
def recordings(embedded: Corpus, release: int) -> dict[str, Recording]:
    return {recording.name: recording for recording in make_recordings(embedded, release)}


@pytest.fixture(scope="module")
def miniature(tmp_path_factory: pytest.TempPathFactory, embedded: Corpus, release: int) -> Path:
    root = tmp_path_factory.mktemp("sewa")
    write(root, embedded, release=release)
    return root


@pytest.fixture(scope="module")
def corpus(miniature: Path) -> Corpus:
    return read(miniature)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Three recordings of a second, one a partition, in the layout of 2017."""
    for name in ("Train_01", "Devel_01", "Test_01"):
        for folder in ("audio", "labels", "turns", "transcriptions"):
            (tmp_path / folder).mkdir(exist_ok=True)
        soundfile.write(tmp_path / f"audio/{name}.wav", np.zeros(8000), 8000)
        (tmp_path / f"turns/{name}.csv").write_text("0.1;0.5\n0.6;0.9\n")
        (tmp_path / f"transcriptions/{name}.csv").write_text("0.1;0.5;Ja.\n0.6;0.9;Äh; nein.\n", encoding="utf-8")
        if name != "Test_01":
            rows = [f"'{name}';{step / 10:.1f};0.1;-0.{step};0.3\n" for step in range(10)]
            (tmp_path / f"labels/{name}.csv").write_text("".join(rows))
    return tmp_path


def test_every_recording_is_one_utterance_of_one_speaker(corpus: Corpus, recordings: dict[str, Recording]) -> None:
    assert corpus.faults == ()
    manifest = corpus.manifest
    assert set(manifest["utterance"]) == set(recordings) and len(manifest) == 48
    assert (manifest["speaker"] == manifest["utterance"]).all()
    assert Counter(manifest["split"]) == {"train": 24, "dev": 12, "test": 12}
    assert set(manifest["style"]) == {"spontaneous"}
    for row in manifest.to_dict("records"):
        assert row["text"] == " ".join(text for _, _, text in recordings[row["utterance"]].turns)
    validate_manifest(manifest, "miniature", "sewa")


def test_the_language_is_the_culture_of_the_name(corpus: Corpus, release: int) -> None:
    languages = Counter(corpus.manifest["language"])
    assert languages == ({"de": 48} if release == 2017 else {"de": 12, "hu": 24, "zh-CN": 12})


def test_labels_turns_and_transcripts_come_back_as_they_were_written(
    corpus: Corpus, recordings: dict[str, Recording]
) -> None:
    files = dict(zip(corpus.manifest["utterance"], corpus.manifest["file"], strict=True))
    continuous = dict(iter(corpus.tables["continuous"].groupby("utterance")))
    assert set(continuous) == {name for name in recordings if not name.startswith("Test")}
    for name, recording in recordings.items():
        if name in continuous:
            assert np.allclose(continuous[name].drop(columns="utterance"), recording.labels, atol=1e-9)
        turns = corpus.tables["turns"].query("speaker == @name")
        assert set(turns["file"]) == {files[name]}
        expected = np.array([turn[:2] for turn in recording.turns])
        assert np.allclose(turns[["start", "end"]], expected, atol=1e-3)
        transcripts = corpus.tables["transcripts"].query("utterance == @name")
        assert list(transcripts["text"]) == [text for _, _, text in recording.turns]


def test_time_goes_on_and_traces_are_as_long_as_the_audio(corpus: Corpus) -> None:
    files = dict(zip(corpus.manifest["utterance"], corpus.manifest["file"], strict=True))
    for name, trace in corpus.tables["continuous"].groupby("utterance"):
        assert trace["time"].iloc[0] == 0
        assert np.allclose(np.diff(trace["time"]), STEP_S)
        length_s = soundfile.info(corpus.root / files[name]).duration
        assert abs(trace["time"].iloc[-1] + STEP_S - length_s) < STEP_S / 2


def test_louder_stretches_are_labelled_with_more_arousal_and_shuffled_labels_are_not(corpus: Corpus) -> None:
    """The labels belong to this audio at this time: the level of a second tells arousal, not that of another second."""
    files = dict(zip(corpus.manifest["utterance"], corpus.manifest["file"], strict=True))
    right, shuffled = [], []
    rng = np.random.default_rng(0)
    for name, trace in corpus.tables["continuous"].groupby("utterance"):
        samples, sample_rate = soundfile.read(corpus.root / files[name])
        level_db = 10 * np.log10(
            np.square(samples).reshape(len(trace), round(STEP_S * sample_rate)).mean(axis=1) + 1e-9
        )
        loudness = np.convolve(level_db, np.ones(10) / 10, mode="same")[5:-5]
        arousal = trace["arousal"].to_numpy()[5:-5]
        right.append(np.corrcoef(loudness, arousal)[0, 1])
        shuffled.append(np.corrcoef(loudness, rng.permutation(arousal))[0, 1])
    assert np.mean(right) > 0.3
    assert abs(np.mean(shuffled)) < 0.1
    assert np.mean(right) > np.mean(shuffled) + 0.25


def test_flac_is_read_as_wav_is(tmp_path: Path, embedded: Corpus, corpus: Corpus, release: int) -> None:
    write(tmp_path, embedded, ".flac", release=release)
    flac = read(tmp_path)
    assert list(flac.manifest["file"].str.replace(".flac", ".wav")) == list(corpus.manifest["file"])
    assert flac.tables["continuous"].equals(corpus.tables["continuous"])


def test_the_archive_may_lie_deeper_and_have_other_folders(miniature: Path, corpus: Corpus, tmp_path: Path) -> None:
    root = shutil.copytree(miniature, tmp_path / "x" / "AVEC").parent
    (root / "AVEC" / "audio_features_mfcc").mkdir()
    (root / "AVEC" / "audio_features_mfcc" / "Train_01.csv").write_text("'Train_01';0.0;1;2\n")
    (root / "AVEC" / "audio" / "._Train_01.wav").touch()
    deeper = read(root)
    assert deeper.faults == ()
    assert list(deeper.manifest["file"]) == [f"AVEC/{file}" for file in corpus.manifest["file"]]


def test_a_table_is_the_same_with_header_or_without_and_with_any_quotes(small: Path) -> None:
    plain = read(small)
    path = small / "labels" / "Train_01.csv"
    text = path.read_text()
    for variant in (
        f"{HEADER}\n{text}",
        f"'name';'time';'arousal';'valence';'liking'\r\n{text}".replace("\n", "\r\n"),
        text.replace("'", ""),
        text.replace("'", '"'),
        "\ufeff" + text,
    ):
        path.write_text(variant, encoding="utf-8")
        again = read(small)
        assert again.faults == ()
        assert again.tables["continuous"].equals(plain.tables["continuous"])


def test_columns_may_stand_in_another_order_when_the_header_says_so(small: Path) -> None:
    (small / "labels/Train_01.csv").write_text("time;name;valence;arousal\n0.0;Train_01;0.5;-0.5\n")
    row = read(small).tables["continuous"].query("utterance == 'Train_01'").iloc[0]
    assert (row["arousal"], row["valence"]) == (-0.5, 0.5) and np.isnan(row["liking"])


def test_text_keeps_its_semicolons(small: Path) -> None:
    corpus = read(small)
    assert set(corpus.manifest["text"]) == {"Ja. Äh; nein."}
    assert list(corpus.tables["transcripts"]["text"]) == ["Ja.", "Äh; nein."] * 3


def test_labels_and_audio_of_different_length_are_both_kept(small: Path) -> None:
    samples = np.zeros(8000 * 3)
    soundfile.write(small / "audio/Devel_01.wav", samples, 8000)  # longer than its labels
    soundfile.write(small / "audio/Train_01.wav", samples[:1600], 8000)  # 0.2 s, its labels end at 0.9 s
    before = read(small)
    assert before.faults == ()
    path = small / "labels/Train_01.csv"
    path.write_text(path.read_text() + "'Train_01';1.3;0;0;0\n")
    after = read(small)
    assert after.faults == ("labels/Train_01.csv: labels up to 1.3 s, the recording ends at 0.2 s; kept",)
    assert len(after.tables["continuous"]) == len(before.tables["continuous"]) + 1 == 21


ROWS = {
    "a word for a number": ("'Train_01';1.0;high;0.2;0.3", "time or label is not a number"),
    "nan": ("'Train_01';1.0;nan;0.2;0.3", "time or label is not a number"),
    "infinity": ("'Train_01';inf;0.1;0.2;0.3", "time or label is not a number"),
    "no time": ("'Train_01';;0.1;0.2;0.3", "time or label is not a number"),
    "no label": ("'Train_01';1.0;;;", "no label"),
    "another recording": ("'Train_02';1.0;0.1;0.2;0.3", "a row of 'Train_02'"),
    "time of an earlier row": ("'Train_01';0.3;0.1;0.2;0.3", "a row before has the same time"),
    "time that stands": ("'Train_01';0.9;0.1;0.2;0.3", "a row before has the same time"),
    "cut off": ("'Train_01';1.0;0.", "3 cells, expected 5"),
    "commas": ("'Train_01',1.0,0.1,0.2,0.3", "1 cells, expected 5"),
}


@pytest.mark.parametrize("kind", ROWS)
def test_a_broken_label_is_named_by_line_and_costs_no_other(small: Path, kind: str) -> None:
    row, message = ROWS[kind]
    path = small / "labels/Train_01.csv"
    path.write_text(f"{path.read_text()}{row}\n'Train_01';1.1;0.1;0.2;0.3\n")
    corpus = read(small)
    assert corpus.faults == (f"labels/Train_01.csv:11: {message}; left out",)
    times = corpus.tables["continuous"].query("utterance == 'Train_01'")["time"]
    assert list(times) == [*np.arange(10) / 10, 1.1]


def test_labels_in_wrong_order_are_kept_sorted_and_said(small: Path) -> None:
    before = read_traces(read(small).tables["continuous"], DIMENSIONS)
    path = small / "labels/Train_01.csv"
    path.write_text("\n".join(reversed(path.read_text().splitlines())))
    corpus = read(small)
    assert corpus.faults == ()
    after = read_traces(corpus.tables["continuous"], DIMENSIONS)
    assert after.warnings == ("Train_01: labels in wrong order; sorted by time",)
    assert np.array_equal(after.by_utterance["Train_01"].values, before.by_utterance["Train_01"].values)


STRETCHES = {
    "backwards": "0.5;0.1;x",
    "no time at all": "0.5;0.5;x",
    "before the start": "-0.1;0.5;x",
    "no end": "0.1;;x",
    "a word": "0.1;later;x",
}


@pytest.mark.parametrize("kind", STRETCHES)
@pytest.mark.parametrize("folder", ["turns", "transcriptions"])
def test_a_broken_stretch_is_named_by_line_and_costs_no_other(small: Path, folder: str, kind: str) -> None:
    row = STRETCHES[kind] if folder == "transcriptions" else STRETCHES[kind].removesuffix(";x")
    table = {"turns": "turns", "transcriptions": "transcripts"}[folder]
    path = small / folder / "Devel_01.csv"
    path.write_text(f"{row}\n{path.read_text(encoding='utf-8')}", encoding="utf-8")
    corpus = read(small)
    start, end = (repr(cell) for cell in row.split(";")[:2])
    assert corpus.faults == (f"{folder}/Devel_01.csv:1: from {start} to {end} s; left out",)
    assert len(corpus.tables[table]) == 6


def labels_missing(root: Path) -> None:
    (root / "labels/Devel_01.csv").unlink()


def audio_missing(root: Path) -> None:
    (root / "audio/Devel_01.wav").unlink()


def labels_empty(root: Path) -> None:
    (root / "labels/Devel_01.csv").write_text("")


def turns_missing(root: Path) -> None:
    (root / "turns/Test_01.csv").unlink()


def not_utf8(root: Path) -> None:
    (root / "transcriptions/Devel_01.csv").write_bytes("0.1;0.5;Äh\n".encode("latin-1"))


def no_column(root: Path) -> None:
    (root / "labels/Devel_01.csv").write_text("name;time;arousal\nDevel_01;0.0;0.1\n")


def junk(root: Path) -> None:
    (root / "labels/readme.txt").touch()


def wrong_name(root: Path) -> None:
    (root / "audio/Train_FR_01.wav").touch()


def video(root: Path) -> None:
    (root / "audio/Train_01.mp4").touch()


def twice(root: Path) -> None:
    shutil.copy(root / "audio/Train_01.wav", root / "audio/Train_01.flac")


def both_releases(root: Path) -> None:
    for folder, suffix in (("audio", "wav"), ("labels", "csv"), ("turns", "csv"), ("transcriptions", "csv")):
        text = (root / f"{folder}/Train_01.{suffix}").read_bytes().replace(b"Train_01", b"Train_DE_01")
        (root / f"{folder}/Train_DE_01.{suffix}").write_bytes(text)


@pytest.mark.parametrize(
    ("damage", "fault", "n_rows"),
    [
        (labels_missing, "audio/Devel_01.wav: no table of its name in labels; kept without", 3),
        (turns_missing, "audio/Test_01.wav: no table of its name in turns; kept without", 3),
        (audio_missing, "labels/Devel_01.csv: no recording of its name in audio; left out", 2),
        (labels_empty, "labels/Devel_01.csv: no usable row; its recording has no labels", 3),
        (not_utf8, "transcriptions/Devel_01.csv: not UTF-8 at byte 8; left out", 3),
        (no_column, "labels/Devel_01.csv: column 'valence' is missing, found name, time, arousal; left out", 3),
        (junk, "labels/readme.txt: expected .csv; left out", 3),
        (wrong_name, "audio/Train_FR_01.wav: not a name of SEWA such as Train_01 or Train_DE_01; left out", 3),
        (video, "audio/Train_01.mp4: expected .wav or .flac; left out", 3),
        (twice, "audio/Train_01.flac: the same recording as audio/Train_01.wav; left out", 3),
        (
            both_releases,
            "audio: names of AVEC 2017 and of 2019, which share their German recordings; read one alone",
            4,
        ),
    ],
)
def test_what_is_missing_or_not_understood_is_said(
    small: Path, damage: Callable[[Path], None], fault: str, n_rows: int
) -> None:
    assert read(small).faults == ()
    damage(small)
    corpus = read(small)
    assert fault in corpus.faults
    assert len(corpus.manifest) == n_rows


def test_a_recording_that_is_no_audio_is_left_to_the_doctor(small: Path) -> None:
    (small / "audio/Train_01.wav").write_bytes(b"no audio")
    assert read(small).faults == ()


def test_a_folder_that_is_not_sewa_says_what_was_expected(tmp_path: Path) -> None:
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/Train_01.csv").write_text("'Train_01';0.0;0.1;0.2;0.3\n")
    with pytest.raises(CorpusError, match=r"no recording of sewa among 1 files; expected audio/Train_01\.wav or"):
        read(tmp_path)


def test_a_prepared_manifest_brings_its_tables(tmp_path: Path) -> None:
    table = pd.DataFrame({"utterance": ["a", "a"], "word": ["NA", ""], "start": [0.0, 0.5], "end": [0.5, np.nan]})
    manifest = manifest_from_rows([{"utterance": "a", "text": "NA"}], "mine")
    write_corpus(Corpus("mine", tmp_path, manifest, tables={"words": table}), tmp_path / "mine.csv")
    again = open_corpus(f"mine={tmp_path / 'mine.csv'}")
    assert list(again.tables) == ["words"]
    pd.testing.assert_frame_equal(again.tables["words"], table, check_dtype=False)
    (tmp_path / "mine.words.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CorpusError, match=r"mine\.words\.csv: not a readable table"):
        open_corpus(f"mine={tmp_path / 'mine.csv'}")
