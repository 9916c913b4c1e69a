"""Every reader over a miniature of its corpus's layout, the importers, and the real corpora where they are at hand."""

import csv
import json
import os
import re
import tracemalloc
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile

from affectra.audio import read
from affectra.cli import main
from affectra.corpora import CORPORA, channels, find_corpus, read_corpus
from affectra.corpora.channels import write_channel
from affectra.corpora.importers.table_and_folder import normalize_emotion, read_csv, read_folder
from affectra.corpora.manifest import COLUMNS, EMOTIONS, validate_manifest
from affectra.corpora.sources import open_corpus
from affectra.errors import ConfigError, CorpusError
from miniatures import crema_d, tess, urdu


def touch(root: Path, *files: str) -> None:
    """Readers go by names and tables and open no audio, so empty files do."""
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()


def make_emodb(root: Path, suffix: str) -> None:
    speakers = ("03", "08", "09", "10", "11", "12", "13", "14", "15", "16")
    texts = ("a01", "a02", "a04", "a05", "a07", "b01", "b02", "b03", "b09", "b10")
    touch(root, "erkennung.txt", "lablaut/03a01Waxx.lablaut")
    for speaker, text in zip(speakers, texts, strict=True):
        touch(root, *(f"wav/{speaker}{text}{code}a{suffix}" for code in "WLEAFTN"))


def make_ravdess(root: Path, suffix: str) -> None:
    for actor in range(1, 25):
        for emotion in range(1, 9):
            for rest in (
                "01-01-01",
                "01-01-02",
                "01-02-01",
                "01-02-02",
                "02-01-01",
                "02-01-02",
                "02-02-01",
                "02-02-02",
            ):
                if emotion > 1 or rest[:2] == "01":  # neutral has no strong intensity
                    touch(root, f"Actor_{actor:02}/03-01-{emotion:02}-{rest}-{actor:02}{suffix}")


def make_savee(root: Path, suffix: str) -> None:
    touch(root, "AudioData/Info.txt", *(f"AudioData/{name[:2]}/{name[3:]}{suffix}" for name in savee_names()))


def make_savee_flat(root: Path, suffix: str) -> None:
    touch(root, *(f"{name}{suffix}" for name in savee_names()))


def savee_names() -> list[str]:
    sizes = {"a": 15, "d": 15, "f": 15, "h": 15, "sa": 15, "su": 15, "n": 30}
    return [
        f"{speaker}_{code}{number:02}"
        for speaker in ("DC", "JE", "JK", "KL")
        for code, size in sizes.items()
        for number in range(1, size + 1)
    ]


NEMO_HEADER = "file_id\temotion\traw_text\tnormalized_text\tspeaker_id\tgender\tage"


def nemo_row(file: str, text: str = "Racja, ten pomysł.", speaker: str = "EB0", gender: str = "female") -> str:
    normalized = text.lower().replace(",", "").removesuffix(".")
    return f"{file}\t{file.split('_')[1]}\t{text}\t{normalized}\t{speaker:>11}\t{gender}\t27"


def make_nemo(root: Path, suffix: str) -> None:
    rows = [NEMO_HEADER]
    for speaker, gender in (("EB0", "female"), ("KS0", "male")):
        for number, emotion in enumerate(("anger", "fear", "happiness", "neutral", "sadness", "surprised"), start=1):
            rows.append(nemo_row(f"{speaker}_{emotion}_{number}.wav", speaker=speaker, gender=gender))
            touch(root, f"samples/{speaker}_{emotion}_{number}{suffix}")
    (root / "data.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def make_synthetic(root: Path, suffix: str) -> None:
    touch(root, f"wav/d1_1{suffix}")
    (root / "manifest.csv").write_text(
        f"utterance,corpus,file,speaker,gender,language,emotion,style\n"
        f"d1_1,synthetic,wav/d1_1{suffix},anna,female,en,anger,acted\n"
    )
    (root / "words.csv").write_text("utterance,word,start,end\nd1_1,no,0.1,0.3\n")
    (root / "continuous.csv").write_text("utterance,time,arousal,valence,liking\nd1_1,0.0,0.1,0.2,0.3\n")


@dataclass(frozen=True)
class Miniature:
    corpus: str
    make: Callable[[Path, str], None]
    n_utterances: int
    home: str  # a folder whose every file the reader must explain


MINIATURES = {
    "emodb": Miniature("emodb", make_emodb, 70, "wav"),
    "ravdess": Miniature("ravdess", make_ravdess, 1440, "Actor_01"),
    "savee": Miniature("savee", make_savee, 480, "AudioData/DC"),
    "savee-flat": Miniature("savee", make_savee_flat, 480, "."),
    "nemo": Miniature("nemo", make_nemo, 12, "samples"),
    "synthetic": Miniature("synthetic", make_synthetic, 1, ""),  # its manifest is its reader
    "cremad": Miniature("cremad", crema_d.touch_release, 7442, "AudioWAV"),
    "tess": Miniature("tess", tess.touch_release, 2800, "OAF_angry"),
    "urdu": Miniature("urdu", urdu.touch_release, 400, "Angry"),
}
IN_FILES_OF_THEIR_OWN = {"emovdb", "iemocap", "meld", "mspimprov", "sewa"}  # tables or layouts that need more


@pytest.fixture(params=MINIATURES)
def miniature(request: pytest.FixtureRequest) -> Miniature:
    return MINIATURES[request.param]


def test_every_corpus_has_a_miniature() -> None:
    assert {miniature.corpus for miniature in MINIATURES.values()} | IN_FILES_OF_THEIR_OWN == set(CORPORA)


def test_a_miniature_is_read_whole_and_without_faults(miniature: Miniature, tmp_path: Path) -> None:
    miniature.make(tmp_path, ".wav")
    corpus = read_corpus(miniature.corpus, tmp_path)
    manifest = corpus.manifest
    assert (corpus.name, corpus.faults, len(manifest)) == (miniature.corpus, (), miniature.n_utterances)
    assert list(manifest.columns) == list(COLUMNS)
    assert set(manifest["corpus"]) == {miniature.corpus}
    assert all((tmp_path / file).is_file() and "\\" not in file for file in manifest["file"])
    assert manifest["file"].is_unique
    assert set(manifest["emotion"]) <= set(EMOTIONS)
    assert set(manifest["style"]) == {"spontaneous" if miniature.corpus == "urdu" else "acted"}
    assert validate_manifest(manifest, "it", "it").equals(manifest)


def test_each_speaker_has_one_gender_and_language(miniature: Miniature, tmp_path: Path) -> None:
    miniature.make(tmp_path, ".wav")
    manifest = read_corpus(miniature.corpus, tmp_path).manifest
    assert (manifest.groupby("speaker")[["gender", "language"]].nunique() == 1).all(axis=None)
    assert "" not in set(manifest["gender"])


def test_flac_files_give_the_same_manifest_as_wav_files(miniature: Miniature, tmp_path: Path) -> None:
    miniature.make(tmp_path / "wav", ".wav")
    miniature.make(tmp_path / "flac", ".flac")
    wav, flac = (read_corpus(miniature.corpus, tmp_path / kind).manifest for kind in ("wav", "flac"))
    assert flac["file"].str.endswith(".flac").all()
    assert wav.drop(columns="file").equals(flac.drop(columns="file"))


@pytest.mark.parametrize("key", [key for key, miniature in MINIATURES.items() if miniature.home])
def test_what_systems_leave_behind_is_ignored_and_the_unknown_is_reported(key: str, tmp_path: Path) -> None:
    miniature = MINIATURES[key]
    miniature.make(tmp_path, ".wav")
    home = tmp_path / miniature.home
    stem = Path(read_corpus(miniature.corpus, tmp_path).manifest["file"][0]).stem
    touch(home, ".DS_Store", f"._{stem}.wav")
    assert read_corpus(miniature.corpus, tmp_path).faults == ()
    touch(home, f"{stem} copy.wav", "mystery.flac", "film.mp4")
    corpus = read_corpus(miniature.corpus, tmp_path)
    assert len(corpus.manifest) == miniature.n_utterances
    for name in (f"{stem} copy.wav", "mystery.flac", "film.mp4"):
        assert sum(name in fault for fault in corpus.faults) == 1, name


def test_a_folder_without_the_corpus_is_refused_with_what_was_expected(miniature: Miniature, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"expected .*\w") as refused:
        read_corpus(miniature.corpus, tmp_path)
    assert str(tmp_path) in str(refused.value)
    with pytest.raises(CorpusError, match=r"not there|no manifest"):
        read_corpus(miniature.corpus, tmp_path / "nowhere")
    assert "\n" not in str(refused.value)


def test_another_corpus_is_refused_with_the_first_thing_found(tmp_path: Path) -> None:
    make_savee_flat(tmp_path, ".wav")
    with pytest.raises(CorpusError, match=r"no utterance of emodb among 480 recordings.*DC_a01\.wav.*03a01Fa"):
        read_corpus("emodb", tmp_path)


@pytest.mark.parametrize("name", CORPORA)
def test_published_counts_by_emotion_add_up(name: str) -> None:
    info = find_corpus(name)
    assert info.name == name
    if "emotion" in info.expected:
        assert sum(info.expected["emotion"].values()) == info.expected["utterances"]
        assert set(info.expected["emotion"]) <= set(EMOTIONS)


@pytest.mark.parametrize("key", ["ravdess", "savee", "savee-flat"])
def test_full_layouts_have_the_published_counts(key: str, tmp_path: Path) -> None:
    MINIATURES[key].make(tmp_path, ".wav")
    corpus = read_corpus(MINIATURES[key].corpus, tmp_path)
    expected = CORPORA[corpus.name].expected
    assert corpus.manifest["emotion"].value_counts().to_dict() == expected["emotion"]
    assert corpus.manifest["speaker"].nunique() == expected["speakers"]


def test_an_unknown_corpus_names_the_nearest() -> None:
    with pytest.raises(CorpusError, match="unknown corpus 'emodbb'; did you mean 'emodb'"):
        find_corpus("emodbb")


@pytest.mark.parametrize("spelling", ["EMO-DB", "emo_db", "Emo DB"])
def test_a_corpus_is_found_under_other_spellings(spelling: str) -> None:
    assert find_corpus(spelling) is CORPORA["emodb"]


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    make_emodb(tmp_path / "elsewhere", ".wav")
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus/wav").symlink_to(tmp_path / "elsewhere/wav")
    (tmp_path / "elsewhere/wav/loop").symlink_to(tmp_path / "corpus")
    corpus = read_corpus("emodb", tmp_path / "corpus")
    assert (len(corpus.manifest), corpus.faults) == (70, ())


def test_a_name_that_no_manifest_can_hold_is_refused(tmp_path: Path) -> None:
    make_emodb(tmp_path, ".wav")
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/wav/\xff.wav")).touch()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    with pytest.raises(CorpusError, match="is not UTF-8; rename it") as refused:
        read_corpus("emodb", tmp_path)
    str(refused.value).encode()


# ---- EMO-DB


@pytest.mark.parametrize("given", [".", "download", "download/wav"])
def test_emodb_takes_the_archive_its_folder_or_the_recordings(given: str, tmp_path: Path) -> None:
    make_emodb(tmp_path / "download", ".wav")
    corpus = read_corpus("emodb", tmp_path / given)
    assert (len(corpus.manifest), corpus.faults) == (70, ())


def test_emodb_letters_are_german_emotions(tmp_path: Path) -> None:
    make_emodb(tmp_path, ".wav")
    rows = read_corpus("emodb", tmp_path).manifest
    emotions = dict(zip(rows["utterance"].str[5], rows["emotion"], strict=True))
    assert emotions == {
        "W": "anger", "L": "boredom", "E": "disgust", "A": "fear", "F": "happiness", "T": "sadness", "N": "neutral",
    }  # fmt: skip
    assert set(rows["speaker"][rows["gender"] == "male"]) == {"03", "10", "11", "12", "15"}
    assert list(rows["sentence"]) == list(rows["utterance"].str[2:5])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("17a01Fa", "speaker code '17'"),
        ("03a03Fa", "text code 'a03'"),
        ("03a01Xa", "emotion code 'X'"),
        ("x", "03a01Fa"),
    ],
)
def test_emodb_names_the_code_it_does_not_know(name: str, reason: str, tmp_path: Path) -> None:
    make_emodb(tmp_path, ".wav")
    touch(tmp_path, f"wav/{name}.wav")
    (fault,) = read_corpus("emodb", tmp_path).faults
    assert fault.startswith(f"wav/{name}.wav: ") and reason in fault


# ---- RAVDESS


def test_ravdess_codes(tmp_path: Path) -> None:
    touch(tmp_path, "Actor_12/03-01-06-02-02-01-12.wav", "Actor_01/03-01-08-01-01-02-01.wav")
    odd, even = read_corpus("ravdess", tmp_path).manifest.to_dict("records")
    assert (even["speaker"], even["gender"], even["emotion"]) == ("12", "female", "fear")
    assert (even["intensity"], even["text"]) == ("strong", "Dogs are sitting by the door")
    assert (odd["speaker"], odd["gender"], odd["emotion"]) == ("01", "male", "surprise")
    assert (odd["intensity"], odd["text"]) == ("normal", "Kids are talking by the door")


def test_ravdess_songs_and_videos_are_left_out_and_counted(tmp_path: Path) -> None:
    make_ravdess(tmp_path, ".wav")
    touch(
        tmp_path,
        *(f"Actor_{a:02}/03-02-01-01-01-01-{a:02}.wav" for a in range(1, 25)),
        "Actor_01/01-01-01-01-01-01-01.mp4",
    )
    corpus = read_corpus("ravdess", tmp_path)
    assert len(corpus.manifest) == 1440
    assert any("23 other files: a song" in fault for fault in corpus.faults)
    assert any("01-01-01-01-01-01-01.mp4: a video" in fault for fault in corpus.faults)


def test_ravdess_copies_of_the_folders_are_not_read_twice(tmp_path: Path) -> None:
    make_ravdess(tmp_path, ".wav")
    make_ravdess(tmp_path / "audio_speech_actors_01-24", ".wav")
    corpus = read_corpus("ravdess", tmp_path)
    assert len(corpus.manifest) == 1440
    assert len(corpus.faults) == 1440
    assert "the same utterance as" in corpus.faults[0]


def test_where_wav_and_flac_are_there_the_wav_is_taken(tmp_path: Path) -> None:
    touch(tmp_path, "Actor_01/03-01-08-01-01-02-01.wav", "Actor_01/03-01-08-01-01-02-01.flac")
    corpus = read_corpus("ravdess", tmp_path)
    assert list(corpus.manifest["file"]) == ["Actor_01/03-01-08-01-01-02-01.wav"]
    assert "flac: the same utterance" in corpus.faults[0]


@pytest.mark.parametrize("code", ["03-01-09-01-01-01-01", "03-01-01-03-01-01-01", "03-01-01-01-03-01-01",
                                  "03-01-01-01-01-03-01", "03-01-01-01-01-01-25", "03-03-01-01-01-01-01"])  # fmt: skip
def test_ravdess_unknown_codes_are_faults(code: str, tmp_path: Path) -> None:
    touch(tmp_path, "Actor_01/03-01-08-01-01-02-01.wav", f"Actor_01/{code}.wav")
    corpus = read_corpus("ravdess", tmp_path)
    assert len(corpus.manifest) == 1
    assert f"{code}.wav: unknown" in corpus.faults[0]


def test_ravdess_in_another_actors_folder_goes_by_its_name(tmp_path: Path) -> None:
    touch(tmp_path, "Actor_02/03-01-08-01-01-02-01.wav")
    corpus = read_corpus("ravdess", tmp_path)
    assert list(corpus.manifest["speaker"]) == ["01"]
    assert "folder of another actor" in corpus.faults[0]


# ---- SAVEE


def test_savee_layouts_differ_in_nothing_but_the_file(tmp_path: Path) -> None:
    make_savee(tmp_path / "folders", ".wav")
    make_savee_flat(tmp_path / "flat", ".wav")
    folders, flat = (read_corpus("savee", tmp_path / kind).manifest for kind in ("folders", "flat"))
    assert folders.drop(columns="file").equals(flat.drop(columns="file"))


def test_savee_takes_the_longest_prefix(tmp_path: Path) -> None:
    touch(tmp_path, "DC_sa01.wav", "DC_su01.wav", "DC_a01.wav", "DC_a16.wav", "XX_a01.wav")
    corpus = read_corpus("savee", tmp_path)
    assert dict(zip(corpus.manifest["utterance"], corpus.manifest["emotion"], strict=True)) == {
        "DC_a01": "anger", "DC_sa01": "sadness", "DC_su01": "surprise",
    }  # fmt: skip
    assert "number 16" in corpus.faults[0] and "unknown speaker 'XX'" in corpus.faults[1]


# ---- nEMO


def test_nemo_speakers_lose_their_padding_and_surprised_is_surprise(tmp_path: Path) -> None:
    make_nemo(tmp_path, ".flac")
    manifest = read_corpus("nemo", tmp_path).manifest
    assert set(manifest["speaker"]) == {"EB0", "KS0"}
    assert "surprise" in set(manifest["emotion"]) and "surprised" not in set(manifest["emotion"])


def test_nemo_sentence_goes_by_the_text_and_not_by_the_number(tmp_path: Path) -> None:
    rows = [nemo_row("EB0_anger_1.wav"), nemo_row("EB0_fear_2.wav"), nemo_row("EB0_fear_1.wav", "Lubię czytać.")]
    (tmp_path / "data.tsv").write_text("\n".join([NEMO_HEADER, *rows]), encoding="utf-8")
    touch(tmp_path, *(f"samples/{row.split()[0]}" for row in rows))
    sentence = read_corpus("nemo", tmp_path).manifest.set_index("utterance")["sentence"]
    assert sentence["EB0_anger_1"] == sentence["EB0_fear_2"] != sentence["EB0_fear_1"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (nemo_row("EB0_anger_99.wav"), "no such file in samples"),
        (nemo_row("EB0_rage_1.wav"), "unknown emotion 'rage'"),
        (nemo_row("KS0_anger_1.wav"), "contradicts speaker 'EB0'"),
        (nemo_row("EB0_anger_1.wav", gender="?"), "of gender '?'"),
        (nemo_row("EB0_anger_1.wav"), "stands there twice"),
        ("EB0_anger_1.wav\tanger", "2 cells, expected 7"),
    ],
)
def test_nemo_rows_that_cannot_be_used_are_faults(row: str, reason: str, tmp_path: Path) -> None:
    make_nemo(tmp_path, ".flac")
    with (tmp_path / "data.tsv").open("a", encoding="utf-8") as table:
        table.write(row + "\n")
    corpus = read_corpus("nemo", tmp_path)
    (fault,) = corpus.faults
    assert fault.startswith("data.tsv:14") and reason in fault and len(corpus.manifest) == 12


def test_nemo_audio_without_a_row_is_a_fault(tmp_path: Path) -> None:
    make_nemo(tmp_path, ".flac")
    touch(tmp_path, "samples/EB0_anger_7.flac")
    (fault,) = read_corpus("nemo", tmp_path).faults
    assert fault.startswith("samples/EB0_anger_7.flac: no usable row")


def test_nemo_without_its_columns_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "samples/EB0_anger_1.wav")
    (tmp_path / "data.tsv").write_text("file_id\temotion\n")
    with pytest.raises(CorpusError, match=r"data\.tsv: column 'raw_text' is missing"):
        read_corpus("nemo", tmp_path)


# ---- importers


def write_table(path: Path, rows: list[dict[str, object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        if path.suffix == ".jsonl":
            file.writelines(json.dumps(row) + "\n" for row in rows)
        else:
            writer = csv.DictWriter(file, rows[0], delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
def test_a_table_is_read_alike_in_each_format(suffix: str, tmp_path: Path) -> None:
    touch(tmp_path, "a/1.wav", "b/2.flac")
    rows: list[dict[str, object]] = [
        {"file": "a/1.wav", "speaker": "01", "emotion": "Angry", "gender": "F", "start": 0.5, "text": 'none, "NA"'},
        {"file": "b/2.wav", "speaker": "02", "emotion": "joy", "gender": "male", "start": "", "text": "null"},
    ]
    corpus = read_csv(write_table(tmp_path / f"mine{suffix}", rows))
    one, two = corpus.manifest.to_dict("records")
    assert (corpus.name, corpus.faults) == ("mine", ())
    assert (one["utterance"], one["file"], one["speaker"], one["emotion"]) == ("1", "a/1.wav", "01", "anger")
    assert (one["gender"], one["start"], one["text"]) == ("female", 0.5, 'none, "NA"')
    assert (two["utterance"], two["file"], two["emotion"], two["text"]) == ("2", "b/2.flac", "happiness", "null")
    assert two["start"] != two["start"]
    assert read_csv(tmp_path).manifest.equals(corpus.manifest)


def test_a_table_of_semicolons_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    touch(tmp_path, "ä.wav")
    (tmp_path / "t.csv").write_bytes("\ufeffFile; Emotion ;Speaker\r\nä.wav;sad;S 1\r\n".encode())
    (row,) = read_csv(tmp_path / "t.csv").manifest.to_dict("records")
    assert (row["file"], row["emotion"], row["speaker"]) == ("ä.wav", "sadness", "S 1")


def test_a_table_may_spell_accents_in_either_unicode_form_and_paths_in_any_way(tmp_path: Path) -> None:
    touch(tmp_path, unicodedata.normalize("NFD", "wütend.wav"), "b/2.wav", "b/3.wav")
    files = [unicodedata.normalize("NFC", "wütend.wav"), "b\\2.wav", str(tmp_path / "b/3.wav")]
    corpus = read_csv(write_table(tmp_path / "t.csv", [{"file": file, "emotion": "sad"} for file in files]))
    assert corpus.faults == ()
    assert list(corpus.manifest["file"]) == [unicodedata.normalize("NFD", "wütend.wav"), "b/2.wav", "b/3.wav"]


def test_a_missing_speaker_stays_empty(tmp_path: Path) -> None:
    touch(tmp_path, "S1/1.wav")
    corpus = read_csv(write_table(tmp_path / "t.csv", [{"file": "S1/1.wav", "emotion": "sad"}]))
    assert list(corpus.manifest["speaker"]) == [""]


def test_equal_stems_are_told_apart_by_path_and_stretches_by_start(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.wav", "b/1.wav", "long.wav", "3.wav")
    rows = [("a/1.wav", ""), ("b/1.wav", ""), ("long.wav", "0"), ("long.wav", "2.5"), ("3.wav", "")]
    table = write_table(tmp_path / "t.csv", [{"file": f, "start": s, "emotion": "sad"} for f, s in rows])
    names = list(read_csv(table).manifest["utterance"])
    assert names == ["a/1", "b/1", "long.wav#0", "long.wav#2.5", "3"]


ONE_TABLE = [  # file, start, end, speaker; all different, each as near to another as rows can be
    ("talk.wav", "0", "3", "ann"),  # two people at once
    ("talk.wav", "0", "3", "bob"),
    ("talk.wav", "0", "2", "bob"),
    ("talk.wav", "5", "9", "ann"),  # a short segment within a long one
    ("talk.wav", "5", "6", "ann"),
    ("talk.wav", "1000.001", "1001", "ann"),  # a millisecond apart, late in a recording
    ("talk.wav", "1000.002", "1001", "ann"),
    ("talk.wav", "1000.0010000001", "1001", "ann"),
    ("talk.wav", "2", "", "ann"),
    ("talk.wav", "2", "3", "ann"),
    ("talk.wav", "", "", "ann"),  # the whole recording, of two people and of nobody
    ("talk.wav", "", "", "bob"),
    ("talk.wav", "", "", ""),
    ("talk.wav", "0", "3", ""),
    ("a.wav.wav", "", "", "ann"),  # one's stem is the other's file
    ("a.wav", "", "", "ann"),
    ("a.flac", "", "", "ann"),
]


def test_rows_that_differ_in_file_time_or_speaker_are_each_an_utterance(tmp_path: Path) -> None:
    touch(tmp_path, *{file for file, *_ in ONE_TABLE})
    columns = ("file", "start", "end", "speaker")
    rows = [dict(zip(columns, row, strict=True), emotion="sad") for row in ONE_TABLE]
    for order in (rows, rows[::-1]):
        corpus = read_csv(write_table(tmp_path / "t.csv", order))
        assert corpus.faults == () and len(corpus.manifest) == len(rows)
        assert corpus.manifest["utterance"].is_unique
    names = dict(zip(ONE_TABLE, reversed(list(corpus.manifest["utterance"])), strict=True))
    assert names["talk.wav", "1000.001", "1001", "ann"] == "talk.wav#1000.001"
    assert names["talk.wav", "5", "6", "ann"] == "talk.wav#5-6"
    assert names["talk.wav", "0", "3", "bob"] == "talk.wav#0-3-bob"


def test_a_name_that_the_table_gives_is_nobody_elses(tmp_path: Path) -> None:
    touch(tmp_path, "1.wav", "2.wav")
    rows = [
        {"utterance": name, "file": file, "speaker": "ann", "emotion": "sad"}
        for name, file in (("1", "2.wav"), ("1.wav", "2.wav"), ("1.wav#0", "2.wav"), ("1.wav#0-ann", "2.wav"))
    ]
    table = write_table(tmp_path / "t.csv", [*rows, {**rows[0], "utterance": "", "file": "1.wav"}])
    assert list(read_csv(table).manifest["utterance"]) == ["1", "1.wav", "1.wav#0", "1.wav#0-ann", "1.wav#0-ann-2"]


@pytest.mark.parametrize(
    ("again", "reason"),
    [
        ({}, "talk.wav: the utterance 'talk' stands there twice; left out"),
        ({"emotion": "angry"}, "talk.wav: the utterance 'talk' stands there twice, with another emotion; left out"),
        (
            {"emotion": "angry", "text": "No."},
            "talk.wav: the utterance 'talk' stands there twice, with another text, emotion; left out",
        ),
    ],
)
def test_a_row_that_stands_there_twice_is_left_out_and_what_differs_is_named(
    again: dict[str, str], reason: str, tmp_path: Path
) -> None:
    touch(tmp_path, "talk.wav")
    row: dict[str, object] = {"file": "talk.wav", "speaker": "ann", "emotion": "sad", "text": ""}
    corpus = read_csv(write_table(tmp_path / "t.csv", [row, {**row, **again}]))
    assert list(corpus.manifest["emotion"]) == ["sadness"] and corpus.faults == (reason,)


def test_a_table_of_ratings_without_emotion_words_is_read_and_says_so(tmp_path: Path) -> None:
    touch(tmp_path, "1.wav", "2.wav")
    rows: list[dict[str, object]] = [{"file": f"{n}.wav", "speaker": "a", "valence": n, "arousal": 7} for n in (1, 2)]
    corpus = read_csv(write_table(tmp_path / "t.csv", rows))
    assert list(corpus.manifest["valence"]) == [1.0, 2.0] and list(corpus.manifest["emotion"]) == ["", ""]
    assert corpus.faults == ("t.csv: no column 'emotion'; the utterances have ratings alone (arousal, valence)",)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"file": "gone.wav"}, r"t\.csv:3 \(gone\.wav\): no such file below"),
        ({"file": ""}, "file is empty"),
        ({"file": "/elsewhere/1.wav"}, "not below"),
        ({"start": "soon"}, "start is 'soon', not a number"),
        ({"valence": "inf"}, "valence is 'inf', not a number"),
        ({"start": "2", "end": "1"}, "from 2.0 to 1.0 s is no span of time"),
        ({"start": "-1"}, "no span"),
        ({"utterance": "first"}, "'first' stands there twice"),
    ],
)
def test_rows_that_cannot_be_used_are_left_out_and_named(row: dict[str, str], reason: str, tmp_path: Path) -> None:
    touch(tmp_path, "1.wav")
    good = {"utterance": "first", "file": "1.wav", "emotion": "sad", "start": "", "end": "", "valence": ""}
    table = write_table(tmp_path / "t.csv", [good, {**good, "utterance": "second", "start": "0.1", **row}])
    corpus = read_csv(table)
    assert list(corpus.manifest["utterance"]) == ["first"]
    (fault,) = corpus.faults
    assert re.search(reason, fault)


def test_unknown_columns_words_and_genders_are_reported(tmp_path: Path) -> None:
    touch(tmp_path, "1.wav", "2.wav")
    rows: list[dict[str, object]] = [
        {"file": f"{n}.wav", "emotion": "Sadnes", "gender": "x", "rater_3": "?", "corpus": "c"} for n in (1, 2)
    ]
    corpus = read_csv(write_table(tmp_path / "t.csv", rows))
    assert list(corpus.manifest["emotion"]) == ["sadnes", "sadnes"]
    assert list(corpus.manifest["gender"]) == ["", ""]
    text = "\n".join(corpus.faults)
    assert "2 utterance(s): unknown emotion 'sadnes'; did you mean 'sadness'?" in text
    assert "unknown column 'rater_3'" in text and "unknown gender 'x'" in text and "column 'corpus' ignored" in text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("path,emotion\na,b\n", "the column 'file' is missing"),
        ("file,speaker\na,b\n", "the column 'emotion' is missing"),
        ("file,emotion,file\na,b,c\n", "the column 'file' stands there twice"),
        ("file,emotion\n", "no rows"),
        ("", "no rows"),
        ("file,emotion\ngone.wav,sad\n", r"none of 1 rows can be used; t\.csv:2 \(gone\.wav\)"),
        ('file,emotion\n"a,b\n', "not a table"),
        ("file,emotion\na,b,c\n", r"none of 1 rows.*3 cells, expected 2"),
    ],
)
def test_tables_that_are_none_are_refused(content: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(CorpusError, match=reason):
        read_csv(tmp_path / "t.csv")


RATE = 8_000


def record(path: Path, n_channels: int = 2, *, n_samples: int = 2 * RATE, peak: float = 0.9, **options: str) -> Path:
    """Another noise on each channel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(n_channels).uniform(-peak, peak, (n_samples, n_channels))
    soundfile.write(path, noise, RATE, **options)
    return path


CALL = [  # two speakers who fall into each other's words
    {"file": "day/call.wav", "speaker": "A", "channel": "left", "start": 0.0, "end": 0.75, "emotion": "sad"},
    {"file": "day/call.wav", "speaker": "B", "channel": "1", "start": 0.5, "end": 1.25, "emotion": "angry"},
    {"file": "day/call.wav", "speaker": "A", "channel": "0", "start": 1.0, "end": "", "emotion": "sad"},
]  # fmt: skip


@pytest.mark.parametrize(
    ("suffix", "options", "peak", "written"),
    [
        (".wav", {"subtype": "PCM_16"}, 1.0, ".flac"),
        (".wav", {"subtype": "ULAW"}, 0.9, ".flac"),
        (".flac", {"subtype": "PCM_24"}, 0.9, ".flac"),
        (".wav", {"subtype": "FLOAT"}, 3.0, ".wav"),  # beyond full scale too
        (".ogg", {}, 0.9, ".wav"),
    ],
)
def test_a_turn_on_a_channel_has_the_samples_of_that_channel_alone(
    suffix: str, options: dict[str, str], peak: float, written: str, tmp_path: Path
) -> None:
    call = record(tmp_path / "mine" / "day" / f"call{suffix}", peak=peak, **options)
    table = write_table(tmp_path / "mine" / "turns.csv", [{**row, "file": f"day/call{suffix}"} for row in CALL])
    out = tmp_path / "prepared" / "own.csv"
    assert main(["prepare", "csv", "--root", str(table), "--out", str(out)]) == 0
    corpus = open_corpus(f"own={out}")
    assert set(corpus.manifest["file"]) == {f"day/call.channel-{channel}{written}" for channel in (0, 1)}
    assert sorted(file.name for file in out.parent.rglob("*.*")) == [
        f"call.channel-0{written}", f"call.channel-1{written}", "own.csv", "own.origin.json"
    ]  # fmt: skip
    for row, turn in zip(corpus.manifest.itertuples(), CALL, strict=True):
        end_s = None if np.isnan(row.end) else row.end
        (heard, expected), other = (
            [read(path, RATE, start_s=row.start, end_s=end_s, channel=channel).samples for path, channel in both]
            for both in (
                [(corpus.path(row), None), (call, "AB".index(row.speaker))], [(call, 1 - "AB".index(row.speaker))]
            )
        )  # fmt: skip
        np.testing.assert_array_equal(heard, expected)
        assert not np.array_equal(heard, other[0]) and row.speaker == turn["speaker"]


def test_turns_on_channels_are_of_one_dialogue_unless_the_table_says_another(tmp_path: Path) -> None:
    record(tmp_path / "day" / "call.wav")
    rows = read_csv(write_table(tmp_path / "t.csv", CALL), channel_folder=tmp_path / "out").manifest
    assert list(rows["dialogue"]) == ["day/call"] * 3
    own = [{**row, "dialogue": name} for row, name in zip(CALL, ("x", "x", ""), strict=True)]
    rows = read_csv(write_table(tmp_path / "t.csv", own), channel_folder=tmp_path / "out").manifest
    assert list(rows["dialogue"]) == ["x", "x", ""]


def test_turns_on_channels_are_numbered_as_they_begin_unless_the_table_numbers_any(tmp_path: Path) -> None:
    record(tmp_path / "day" / "call.wav")
    rows = read_csv(write_table(tmp_path / "t.csv", CALL[::-1]), channel_folder=tmp_path / "out").manifest
    assert list(rows["turn"]) == [3, 2, 1]
    own = [{**row, "turn": turn} for row, turn in zip(CALL, ("7", "", "5"), strict=True)]
    rows = read_csv(write_table(tmp_path / "t.csv", own), channel_folder=tmp_path / "out").manifest
    assert [None if np.isnan(turn) else turn for turn in rows["turn"]] == [7, None, 5]


def test_a_file_that_has_the_name_of_a_channel_is_not_overwritten(tmp_path: Path) -> None:
    record(tmp_path / "day" / "call.wav")
    mine = record(tmp_path / "day" / "call.channel-0.flac", 1)
    before = mine.read_bytes()
    table = write_table(tmp_path / "t.csv", CALL)
    with pytest.raises(CorpusError, match=r"call\.channel-0\.flac: is there already and is not channel 0 of .*wav"):
        read_csv(table, channel_folder=tmp_path)
    assert mine.read_bytes() == before
    mine.unlink()
    for _ in range(2):  # the second time they are there and are the same
        read_csv(table, channel_folder=tmp_path)


def test_rows_with_and_without_a_channel_are_found_wherever_the_manifest_lies(tmp_path: Path) -> None:
    record(tmp_path / "mine" / "day" / "call.wav")
    record(tmp_path / "mine" / "alone.wav", 1)
    table = write_table(tmp_path / "mine" / "t.csv", [*CALL, {**dict.fromkeys(CALL[0], ""), "file": "alone.wav"}])
    for folder in (tmp_path / "prepared", tmp_path / "mine", tmp_path):
        assert main(["prepare", "csv", "--root", str(table), "--out", str(folder / "own.csv")]) == 0
        corpus = open_corpus(f"own={folder / 'own.csv'}")
        assert [corpus.path(row).name for row in corpus.manifest.itertuples()] == [
            "call.channel-0.flac", "call.channel-1.flac", "call.channel-0.flac", "alone.wav"
        ]  # fmt: skip
        assert all(corpus.path(row).is_file() for row in corpus.manifest.itertuples())


def test_each_channel_is_written_once_and_only_those_that_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(tmp_path / "day" / "call.wav", 3)
    asked = []
    monkeypatch.setattr(channels, "write_channel", lambda *given: (asked.append(given[1]), write_channel(*given))[1])
    read_csv(write_table(tmp_path / "t.csv", CALL), channel_folder=tmp_path / "out")
    assert asked == [0, 1] and len(list((tmp_path / "out" / "day").iterdir())) == 2


def test_a_long_recording_is_taken_apart_in_bounded_memory_and_nothing_is_left_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = record(tmp_path / "call.wav", n_samples=300 * RATE)
    tracemalloc.start()
    try:
        assert write_channel(call, 1, tmp_path / "one") == ".flac"
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 300 * RATE * 4 / 2, "half of one channel in float32"
    written = channels.Blocks

    class Interrupted(written):
        def __next__(self) -> np.ndarray:
            if len(list(tmp_path.iterdir())) > 2:  # the temporary file is there
                raise KeyboardInterrupt
            return super().__next__()

    monkeypatch.setattr(channels, "Blocks", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_channel(call, 0, tmp_path / "two")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["call.wav", "one.flac"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (
            {"channel": "2"},
            r"t\.csv:5 \(day/call\.wav\): .*call\.wav: no channel 2, there are 2, from 0 to 1; left out",
        ),
        ({"channel": "middle"}, "channel is 'middle', expected left, right or a number from 0 on; left out"),
        ({"channel": "-1"}, "channel is '-1'"),
        ({"file": "mono.wav"}, "mono.wav: no channel 1, there is one, number 0"),
        ({"file": "noise.wav"}, "noise.wav: is not audio"),
        ({"file": "day/call.flac"}, r"would be called day/call\.channel-1, as that of day/call\.wav; rename"),
    ],
)
def test_a_channel_that_cannot_be_is_named_with_its_file_and_row_and_left_out(
    row: dict[str, str], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(tmp_path / "day" / "call.wav")
    record(tmp_path / "day" / "call.flac")
    record(tmp_path / "mono.wav", 1)
    (tmp_path / "noise.wav").write_bytes(b"no sound " * 99)
    table = write_table(tmp_path / "t.csv", [*CALL, {**CALL[1], **row}])
    assert main(["prepare", "csv", "--root", str(table), "--out", str(tmp_path / "out" / "own.csv")]) == 1
    printed = capsys.readouterr()
    assert "3 utterances" in printed.out and printed.err.count("\n") == 1 and re.search(reason, printed.err)


def test_a_table_with_channels_is_refused_where_no_files_can_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(tmp_path / "day" / "call.wav")
    table = write_table(tmp_path / "own.csv", [{"utterance": f"u{k}", **row} for k, row in enumerate(CALL)])
    for command in (
        ["doctor", "csv", "--root", str(table)],
        ["run", "li2018-cpu", "--corpus", f"own={table}", "--dry-run"],
    ):
        assert main(command) == 2
        printed = capsys.readouterr().err
        assert f"affectra prepare csv --root {table} --out" in printed and printed.count("\n") == 1
    none = write_table(tmp_path / "none.csv", [{**row, "channel": ""} for row in CALL])
    assert set(read_csv(none).manifest["file"]) == {"day/call.wav"}, "the mean of the channels, as always"


def test_bad_lines_of_json_are_faults(tmp_path: Path) -> None:
    touch(tmp_path, "1.wav")
    lines = ['{"file": "1.wav", "emotion": "sad"}', "{oops", "[1]", '{"file": "1.wav", "emotion": ["sad"]}']
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    faults = read_csv(tmp_path / "t.jsonl").faults
    assert ["not JSON" in faults[0], "a JSON object" in faults[1], 'emotion is ["sad"]' in faults[2]] == [True] * 3


def test_a_folder_with_no_table_or_several_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no table, expected one"):
        read_csv(tmp_path)
    touch(tmp_path, "a.csv", "b.jsonl")
    with pytest.raises(CorpusError, match=r"2 tables \(a\.csv, b\.jsonl\)"):
        read_csv(tmp_path)
    with pytest.raises(CorpusError, match="no such file or folder"):
        read_csv(tmp_path / "nowhere")
    touch(tmp_path, "notes.txt")
    with pytest.raises(CorpusError, match="expected a table"):
        read_csv(tmp_path / "notes.txt")


def test_every_emotion_word_stays_what_it_is() -> None:
    assert [normalize_emotion(word.upper()) for word in EMOTIONS] == list(EMOTIONS)


def test_class_folders_are_read_at_any_depth_with_speakers_by_pattern(tmp_path: Path) -> None:
    touch(tmp_path, "Angry/SM1_F1.wav", "Happy/x/SM2_F1.mp3", "Happy/y/SM2_F1.flac", "Sad/nobody.wav", "readme.txt")
    corpus = read_folder(tmp_path, r"(SM\d+)_")
    rows = {row["utterance"]: (row["emotion"], row["speaker"]) for row in corpus.manifest.to_dict("records")}
    assert rows == {
        "SM1_F1": ("anger", "SM1"),
        "Happy/x/SM2_F1": ("happiness", "SM2"),
        "Happy/y/SM2_F1": ("happiness", "SM2"),
        "nobody": ("sadness", ""),
    }
    (fault,) = corpus.faults
    assert fault.startswith("Sad/nobody.wav: ") and "finds no speaker" in fault
    assert corpus.name == tmp_path.name
    assert set(read_folder(tmp_path).manifest["speaker"]) == {""}


def test_class_folders_report_what_is_no_recording_and_unknown_classes(tmp_path: Path) -> None:
    touch(tmp_path, "anger/1.wav", "anger/notes.txt", "boredm/2.wav", "3.wav", "anger/._1.wav")
    text = "\n".join(read_folder(tmp_path).faults)
    assert "anger/notes.txt: expected .wav" in text and "3.wav: lies in no class's folder" in text
    assert "unknown emotion 'boredm'; did you mean 'boredom'?" in text and "._1" not in text


def test_class_folders_without_recordings_and_bad_patterns_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "1.wav")
    with pytest.raises(CorpusError, match="one sub-folder a class"):
        read_folder(tmp_path)
    for pattern, reason in (("(S", "unterminated"), (r"S\d+", "no group")):
        with pytest.raises(ConfigError, match=f"speaker pattern .*{reason}"):
            read_folder(tmp_path, pattern)


# ---- the real corpora


def test_emodb_is_complete(data_dir: Path) -> None:
    corpus = read_corpus("emodb", data_dir / "emodb")
    expected = CORPORA["emodb"].expected
    assert corpus.manifest["emotion"].value_counts().to_dict() == expected["emotion"]
    assert (len(corpus.manifest), corpus.manifest["speaker"].nunique()) == (535, 10)
    assert (corpus.manifest.groupby("sentence")["speaker"].nunique() > 1).all()
    assert corpus.faults == ()


def test_ravdess_has_eighteen_actors_with_sixty_utterances_each(data_dir: Path) -> None:
    corpus = read_corpus("ravdess", data_dir / "ravdess")
    assert corpus.manifest["speaker"].value_counts().to_dict() == {f"{actor:02}": 60 for actor in range(1, 19)}
    assert (corpus.manifest["gender"] == "female").sum() == 540
    stereo = [
        row["utterance"]
        for row in corpus.manifest[corpus.manifest["speaker"] == "01"].to_dict("records")
        if soundfile.info(data_dir / "ravdess" / row["file"]).channels == 2
    ]
    assert stereo == ["03-01-02-01-01-02-01", "03-01-08-01-02-02-01"]
    assert corpus.faults == ()


def test_nemo_speaks_the_same_sentences_in_every_emotion(data_dir: Path) -> None:
    corpus = read_corpus("nemo", data_dir / "nemo")
    assert (len(corpus.manifest), corpus.faults) == (1079, ())
    assert set(corpus.manifest["speaker"]) == {"EB0", "KS0"}
    emotions = corpus.manifest.groupby("sentence")["emotion"].nunique()
    assert (len(emotions), set(emotions)) == (90, {6})
    assert corpus.manifest["file"].str.endswith(".flac").all()
