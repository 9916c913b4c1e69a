"""MELD: the published layout in small, text without audio, damaged tables, and the real tables where at hand."""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile

from affectra.corpora import synthetic
from affectra.corpora.manifest import EMOTIONS, Corpus, validate_manifest
from affectra.corpora.meld import INFO, read
from affectra.errors import CorpusError
from miniatures.meld import FOLDERS, HEADER, LABELS, OTHER_LABELS, SPEAKERS, TABLES, split_dialogues, write


@pytest.fixture(scope="module")
def embedded() -> Corpus:
    return synthetic.read(synthetic.render())


@pytest.fixture(scope="module")
def miniature(tmp_path_factory: pytest.TempPathFactory, embedded: Corpus) -> Path:
    root = tmp_path_factory.mktemp("meld")
    write(root, embedded)
    return root


@pytest.fixture
def texts(miniature: Path, tmp_path: Path) -> Path:
    """The miniature's tables without audio."""
    return shutil.copytree(miniature, tmp_path / "texts", ignore=shutil.ignore_patterns("*.wav"))


def row(
    *, turn: int = 0, dialogue: int = 0, text: str = "Hi.", emotion: str = "joy", sentiment: str = "positive"
) -> str:
    return f'1,{text},Ross,{emotion},{sentiment},{dialogue},{turn},2,7,"00:00:01,059","00:00:02,731"'


def write_table(root: Path, *lines: str, split: str = "train") -> None:
    (root / f"{split}_sent_emo.csv").write_bytes("\r\n".join([",".join(HEADER), *lines, ""]).encode())


def test_every_row_is_read_and_carries_the_emotion_that_is_heard(miniature: Path, embedded: Corpus) -> None:
    corpus = read(miniature)
    assert len(corpus.manifest) == 240 + 3 * len(OTHER_LABELS)
    heard = {
        f"{split}_dia{turn['dialogue']}_utt{turn['turn']}": turn
        for split, turns in split_dialogues(embedded).items()
        for turn in turns
    }
    spoken = corpus.manifest[corpus.manifest["file"] != ""]
    assert set(spoken["utterance"]) == set(heard)
    for found in spoken.to_dict("records"):
        expected = heard[found["utterance"]]
        assert (found["emotion"], found["text"]) == (expected["emotion"], expected["text"])
        assert found["speaker"] == SPEAKERS[expected["speaker"]]
        assert found["split"] == found["utterance"].split("_")[0] == found["dialogue"].split("_")[0]
    validate_manifest(corpus.manifest, "miniature", "meld")


def test_the_recording_of_a_row_is_that_of_its_split(miniature: Path, embedded: Corpus) -> None:
    manifest = read(miniature).manifest.set_index("utterance")
    for split, turns in split_dialogues(embedded).items():
        for turn in turns[::7]:
            file = manifest.at[f"{split}_dia{turn['dialogue']}_utt{turn['turn']}", "file"]
            found, expected = (
                soundfile.read(path, dtype="int16")[0] for path in (miniature / file, embedded.root / turn["file"])
            )
            assert (found == expected).all()


def test_all_label_codes_are_read(miniature: Path) -> None:
    manifest = read(miniature).manifest
    published = dict([*LABELS.values(), *OTHER_LABELS])
    assert set(published) == {"anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise"}
    assert set(manifest["emotion"]) == set(published) - {"joy"} | {"happiness"}
    assert set(manifest["emotion"]) <= set(EMOTIONS)
    assert dict(zip(manifest["emotion"], manifest["valence"], strict=True))["anger"] == -1
    for emotion, valences in {"happiness": {1}, "neutral": {0}, "sadness": {-1}, "surprise": {-1, 1}}.items():
        assert set(manifest.loc[manifest["emotion"] == emotion, "valence"]) == valences


def test_speakers_are_one_person_over_the_splits_and_dialogues_are_not_one_dialogue(miniature: Path) -> None:
    manifest = read(miniature).manifest
    assert set(manifest["speaker"]) == {*SPEAKERS.values(), "All"}
    assert (manifest.groupby("speaker")["split"].nunique() == 3).all()
    assert (manifest.groupby("dialogue")["split"].nunique() == 1).all()
    for _, dialogue in manifest.groupby("dialogue"):
        assert list(dialogue["turn"]) == list(range(len(dialogue)))


def test_flac_is_read_as_wav_is(tmp_path: Path, embedded: Corpus, miniature: Path) -> None:
    write(tmp_path, embedded, ".flac")
    flac, wav = read(tmp_path).manifest, read(miniature).manifest
    assert list(flac["file"].str.replace(".flac", ".wav")) == list(wav["file"])
    assert flac.drop(columns="file").equals(wav.drop(columns="file"))


def test_without_audio_the_text_is_what_there_is_and_nothing_is_at_fault(texts: Path, miniature: Path) -> None:
    corpus = read(texts)
    assert corpus.faults == ()
    assert (corpus.manifest["file"] == "").all() and (corpus.manifest["text"] != "").all()
    assert corpus.manifest.drop(columns="file").equals(read(miniature).manifest.drop(columns="file"))
    assert corpus.manifest[["start", "end"]].isna().all(axis=None)


def test_some_audio_missing_is_one_line(miniature: Path, tmp_path: Path) -> None:
    root = shutil.copytree(miniature, tmp_path / "meld")
    shutil.rmtree(root / FOLDERS["dev"])
    (root / FOLDERS["train"] / "dia0_utt3.wav").unlink()
    n_text_alone = len(OTHER_LABELS)
    corpus = read(root)
    assert corpus.faults == (
        f"train_dia0_utt3: no recording; {1 + n_text_alone} of {160 + n_text_alone} train, {40 + n_text_alone} of "
        f"{40 + n_text_alone} dev, {n_text_alone} of {40 + n_text_alone} test utterances have text alone",
    )
    assert len(corpus.manifest) == 240 + 3 * n_text_alone


@pytest.mark.parametrize(
    "folders",
    [
        {"train": "audio/train", "dev": "audio/dev", "test": "audio/test"},
        {"train": "wav_train/x", "dev": "DEV-16k", "test": "test_or_dev/test"},
    ],
)
def test_any_folder_that_names_the_split_will_do(texts: Path, miniature: Path, folders: dict[str, str]) -> None:
    for split, folder in folders.items():
        shutil.copytree(miniature / FOLDERS[split], texts / folder, dirs_exist_ok=True)
    manifest = read(texts).manifest
    assert (manifest["file"] != "").sum() == 240


def test_clips_that_no_folder_places_are_taken_only_where_there_is_one_table(texts: Path, miniature: Path) -> None:
    shutil.copytree(miniature / FOLDERS["dev"], texts / "clips")
    corpus = read(texts)
    assert (corpus.manifest["file"] == "").all()
    assert (
        "clips/dia0_utt0.wav and 39 other files: no folder above it says whether it is train, dev or test; left out"
        in corpus.faults
    )
    for split in ("train", "test"):
        (texts / TABLES[split]).unlink()
    assert (read(texts).manifest["file"] != "").sum() == 40


def test_recordings_that_are_not_understood_are_said(texts: Path) -> None:
    train = texts / FOLDERS["train"]
    train.mkdir(exist_ok=True)
    for name in (
        "final_videos_traindia1_utt0.wav",
        "dia0_utt0.mp4",
        "dia0_utt1.mp4",
        "dia0_utt1.wav",
        "dia999_utt0.wav",
        "._dia0_utt1.wav",
        "dia0_utt01.flac",
    ):
        (train / name).touch()
    faults = "\n".join(read(texts).faults)
    place = FOLDERS["train"]
    assert f"{place}/final_videos_traindia1_utt0.wav: not a name of MELD such as dia0_utt0; left out" in faults
    assert f"{place}/dia0_utt0.mp4: expected .wav or .flac; extract the audio" in faults
    assert f"{place}/dia999_utt0.wav: no usable row of train_sent_emo.csv says what it is; left out" in faults
    assert f"{place}/dia0_utt1.wav: the same clip as {place}/dia0_utt01.flac; left out" in faults
    assert "dia0_utt1.mp4" not in faults and "._" not in faults


def test_control_characters_of_windows_are_repaired_and_break_no_line(tmp_path: Path) -> None:
    text = "It\x92s \x93fine\x94\x85 really \x96 no\x81 caf\u00e9 \u2019"
    write_table(tmp_path, row(text=text), row(turn=1, text="Oh\x85"))
    corpus = read(tmp_path)
    assert list(corpus.manifest["text"]) == ["It’s “fine”… really – no café ’", "Oh…"]
    assert corpus.faults == ()


BROKEN: dict[str, tuple[str, str]] = {
    "a cell too few": (row().replace(",Ross", ""), "10 cells, expected 11"),
    "a stray quotation mark": (row(text='"Oh" no'), "not a row of a table"),
    "an open quotation mark": (row(text='"Oh no'), "expected"),
    "a code that is none": (row(emotion="Joy"), "unknown emotion 'Joy', expected one of anger disgust fear joy"),
    "a sentiment that is none": (row(sentiment="mixed"), "unknown sentiment 'mixed', expected one of negative"),
    "a number that is none": (row().replace(",2,7,", ",two,7,"), "Season is 'two', expected a number"),
    "a twin": (row(turn=2), "train_dia0_utt2 stands there twice"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_row_is_named_by_line_and_costs_no_other(tmp_path: Path, kind: str) -> None:
    broken, message = BROKEN[kind]
    write_table(tmp_path, row(turn=1), row(turn=2), broken, row(turn=3))
    corpus = read(tmp_path)
    assert list(corpus.manifest["turn"]) == [1, 2, 3]
    (fault,) = corpus.faults
    assert fault.startswith("train_sent_emo.csv:4: ") and message in fault and fault.endswith("; left out")


def test_a_row_without_text_and_recording_is_left_out(tmp_path: Path) -> None:
    write_table(tmp_path, row(text=""), row(turn=1))
    corpus = read(tmp_path)
    assert list(corpus.manifest["utterance"]) == ["train_dia0_utt1"]
    assert corpus.faults == ("train_dia0_utt0: neither text nor a recording; left out",)


def test_a_table_that_is_cut_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    write_table(tmp_path, row(), row(turn=1)[:-12])
    corpus = read(tmp_path)
    assert len(corpus.manifest) == 1
    assert len(corpus.faults) == 1 and corpus.faults[0].startswith("train_sent_emo.csv:3: ")


def no_table(root: Path) -> None:
    (root / "train_sent_emo_dya.csv").touch()


def no_column(root: Path) -> None:
    (root / "dev_sent_emo.csv").write_text("Sr No.,Utterance,Speaker\n1,Hi.,Ross\n")


def no_row(root: Path) -> None:
    write_table(root)


def only_broken_rows(root: Path) -> None:
    write_table(root, row(emotion="happy"))


def test_a_table_saved_as_cp1252_says_the_same(tmp_path: Path) -> None:
    (tmp_path / "utf8").mkdir()
    (tmp_path / "cp1252").mkdir()
    write_table(tmp_path / "utf8", row(text="It’s “fine” …"))
    content = (tmp_path / "utf8/train_sent_emo.csv").read_text(encoding="utf-8")
    (tmp_path / "cp1252/train_sent_emo.csv").write_bytes(content.encode("cp1252"))
    assert read(tmp_path / "cp1252").manifest.equals(read(tmp_path / "utf8").manifest)
    assert read(tmp_path / "cp1252").manifest.at[0, "text"] == "It’s “fine” …"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            no_table,
            r"no table of meld among 1 files; expected one or all of train_sent_emo\.csv, dev_sent_emo\.csv, test",
        ),
        (no_column, r"dev_sent_emo\.csv: column 'Emotion' is missing, found Sr No\., Utterance, Speaker"),
        (no_row, r"no usable row of meld in train_sent_emo\.csv$"),
        (
            only_broken_rows,
            r"no usable row of meld in train_sent_emo\.csv; train_sent_emo\.csv:2: unknown emotion 'happy'",
        ),
    ],
)
def test_a_folder_that_is_not_meld_says_what_was_expected(
    tmp_path: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(tmp_path)
    with pytest.raises(CorpusError, match=message):
        read(tmp_path)


def test_of_two_tables_the_one_nearer_to_the_root_counts(texts: Path) -> None:
    write_table(texts, row(), split="train")
    corpus = read(texts)
    assert (corpus.manifest["split"] == "train").sum() == 1
    assert any(fault.startswith("train/train_sent_emo.csv: a second table of this split") for fault in corpus.faults)


def test_the_published_tables_are_read_whole(data_dir: Path) -> None:
    corpus = read(data_dir / "meld")
    manifest = corpus.manifest
    assert corpus.faults == ()
    assert Counter(manifest["split"]) == {"train": 9989, "dev": 1109}
    assert Counter(manifest.loc[manifest["split"] == "train", "emotion"]) == {
        "neutral": 4710, "happiness": 1743, "surprise": 1205, "anger": 1109, "sadness": 683, "disgust": 271,
        "fear": 268,
    }  # fmt: skip
    assert (manifest["file"] == "").all() and (manifest["text"] != "").all()
    assert not manifest["text"].str.contains("[\x80-\x9f]").any()
    assert manifest["session"].str.fullmatch(r"s[1-9]e\d+").all()
    assert manifest.groupby("dialogue")["session"].nunique().max() == 1
    for emotion, n in Counter(manifest["emotion"]).items():
        assert n <= INFO.expected["emotion"][emotion]
    validate_manifest(manifest, "meld", "meld")
