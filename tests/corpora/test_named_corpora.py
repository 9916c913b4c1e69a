"""EmoV-DB, CREMA-D, TESS and URDU in their published layouts; what is heard in miniatures of them and SAVEE."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import soundfile

from affectra.corpora import crema_d, emov_db, savee, synthetic, tess, urdu
from affectra.corpora.doctor import examine
from affectra.corpora.manifest import COLUMNS, EMOTIONS, Corpus, validate_manifest
from affectra.errors import CorpusError
from affectra.tasks.labels import count_classes
from miniatures import crema_d as small_crema_d
from miniatures import emov_db as small_emov_db
from miniatures import savee as small_savee
from miniatures import tess as small_tess
from miniatures import urdu as small_urdu
from miniatures.baseline import unweighted_average_recall_of
from miniatures.recording import touch

READERS: dict[str, tuple[ModuleType, ModuleType]] = {  # with the miniature
    "cremad": (crema_d, small_crema_d),
    "emovdb": (emov_db, small_emov_db),
    "savee": (savee, small_savee),
    "tess": (tess, small_tess),
    "urdu": (urdu, small_urdu),
}
LAYOUTS: list[tuple[str, dict[str, bool], int, int]] = [  # reader, layout, utterances, speakers
    ("cremad", {}, 240, 8),
    ("emovdb", {}, 224, 4),  # less the sixteen that josh would say in anger
    ("emovdb", {"nested": True}, 224, 4),
    ("savee", {}, 120, 4),
    ("savee", {"flat": True}, 120, 4),
    ("tess", {}, 120, 2),
    ("tess", {"flat": True}, 120, 2),
    ("urdu", {}, 240, 8),
]
HEARD = {"happiness": {"happiness", "amusement"}, "sadness": {"sadness", "sleepiness"}}


@pytest.fixture(scope="module")
def embedded() -> Corpus:
    return synthetic.read(synthetic.render())


def name_of_layout(value: object) -> str | None:
    return (next(iter(value), "usual") if isinstance(value, dict) else None) or None


def rows_of(corpus: Corpus) -> dict[str, dict]:
    return {row["utterance"]: row for row in corpus.manifest.to_dict("records")}


def the_fault(corpus: Corpus, place: str) -> str:
    """The one fault there is, which begins with its place."""
    (fault,) = corpus.faults
    assert fault.startswith(f"{place}: "), fault
    return fault


# ---- the miniatures, read whole


@pytest.mark.parametrize(("name", "layout", "n_utterances", "n_speakers"), LAYOUTS, ids=name_of_layout)
def test_a_miniature_is_read_whole_with_what_is_heard_as_its_label(
    name: str, layout: dict[str, bool], n_utterances: int, n_speakers: int, embedded: Corpus, tmp_path: Path
) -> None:
    reader, miniature = READERS[name]
    miniature.write(tmp_path, embedded, **layout)
    corpus = reader.read(tmp_path)
    manifest = corpus.manifest
    assert (corpus.name, corpus.faults) == (reader.INFO.name, ())
    assert (len(manifest), manifest["speaker"].nunique()) == (n_utterances, n_speakers)
    assert list(manifest.columns) == list(COLUMNS)
    assert set(manifest["emotion"]) <= set(EMOTIONS)
    assert validate_manifest(manifest, "it", "it").equals(manifest)
    assert (manifest.groupby("speaker")[["gender", "language"]].nunique() == 1).all(axis=None)
    spoken = {(embedded.root / row.file).read_bytes(): row for row in embedded.manifest.itertuples()}
    for row in manifest.itertuples():
        source = spoken.pop((tmp_path / row.file).read_bytes())  # each once
        assert row.emotion in HEARD.get(source.emotion, {source.emotion})
        assert row.gender == source.gender


@pytest.mark.parametrize("name", READERS)
def test_flac_files_give_the_same_manifest_as_wav_files(name: str, embedded: Corpus, tmp_path: Path) -> None:
    reader, miniature = READERS[name]
    for suffix in (".wav", ".flac"):
        miniature.write(tmp_path / suffix, embedded, suffix)
    wav, flac = (reader.read(tmp_path / suffix).manifest for suffix in (".wav", ".flac"))
    assert flac["file"].str.endswith(".flac").all()
    assert wav.drop(columns="file").equals(flac.drop(columns="file"))
    samples = [
        soundfile.read(tmp_path / suffix / rows["file"][7])[0] for suffix, rows in ((".wav", wav), (".flac", flac))
    ]
    assert (samples[0] == samples[1]).all()


@pytest.mark.parametrize("name", READERS)
def test_emotions_are_heard_in_a_miniature_and_not_once_labels_are_shuffled(
    name: str, embedded: Corpus, tmp_path: Path
) -> None:
    reader, miniature = READERS[name]
    miniature.write(tmp_path, embedded)
    manifest = reader.read(tmp_path).manifest
    chance = 1 / manifest["emotion"].nunique()
    assert unweighted_average_recall_of(manifest, tmp_path, "speaker", shuffled=False) > 2 * chance
    assert abs(unweighted_average_recall_of(manifest, tmp_path, "speaker", shuffled=True) - chance) < 0.08


# ---- the releases, in names


@pytest.mark.parametrize("suffix", [".wav", ".flac"])
@pytest.mark.parametrize(("reader", "touch_release", "n_speakers"), [
    (crema_d, small_crema_d.touch_release, 91),
    (tess, small_tess.touch_release, 2),
    (urdu, small_urdu.touch_release, 29),  # that the names tell apart
])  # fmt: skip
def test_a_whole_release_has_the_published_counts(
    reader: ModuleType, touch_release: Callable[..., None], n_speakers: int, suffix: str, tmp_path: Path
) -> None:
    touch_release(tmp_path, suffix)
    corpus = reader.read(tmp_path)
    expected = reader.INFO.expected
    assert corpus.faults == ()
    assert corpus.manifest["emotion"].value_counts().to_dict() == expected["emotion"]
    assert len(corpus.manifest) == expected["utterances"] == sum(expected["emotion"].values())
    assert corpus.manifest["speaker"].nunique() == n_speakers <= expected["speakers"]


@pytest.mark.parametrize("name", sorted(set(READERS) - {"savee"}))
def test_what_is_published_of_a_corpus_is_said_in_its_words(name: str) -> None:
    info = READERS[name][0].INFO
    assert (info.name, info.synthetic) == (name, False)
    assert set(info.expected.get("emotion", {})) <= set(EMOTIONS)
    assert info.licence and info.languages and "http" in info.access


# ---- what lies about in every corpus


@pytest.mark.parametrize(("name", "layout", "n_utterances", "_"), LAYOUTS, ids=name_of_layout)
def test_what_systems_leave_behind_is_ignored_and_the_unknown_is_named(
    name: str, layout: dict[str, bool], n_utterances: int, _: int, embedded: Corpus, tmp_path: Path
) -> None:
    reader, miniature = READERS[name]
    miniature.write(tmp_path, embedded, **layout)
    home = (tmp_path / reader.read(tmp_path).manifest["file"][0]).parent
    stem = Path(reader.read(tmp_path).manifest["file"][0]).stem
    touch(home, ".DS_Store", "Thumbs.db", "desktop.ini", f"._{stem}.wav")
    touch(tmp_path, "documents/README.txt", "documents/Guide.pdf")  # beside the recordings, not among them
    assert reader.read(tmp_path).faults == ()
    strange = [f"{stem} copy.wav", f"{stem}.wav.wav", "mystery.flac", "film.mp4", "README.txt", "Guide.pdf"]
    touch(home, *strange)
    corpus = reader.read(tmp_path)
    assert len(corpus.manifest) == n_utterances
    assert len(corpus.faults) == len(strange)
    for file in strange:
        place = (home / file).relative_to(tmp_path).as_posix()
        assert sum(fault.startswith(f"{place}: ") for fault in corpus.faults) == 1, file


@pytest.mark.parametrize("name", READERS)
def test_of_an_utterance_in_wav_and_flac_the_wav_is_taken(name: str, embedded: Corpus, tmp_path: Path) -> None:
    reader, miniature = READERS[name]
    miniature.write(tmp_path, embedded)
    before = reader.read(tmp_path).manifest
    wav = before["file"][3]
    double = str(Path(wav).with_suffix(".flac"))
    touch(tmp_path, double)
    corpus = reader.read(tmp_path)
    assert corpus.manifest.equals(before)
    assert f"the same utterance as {wav}" in the_fault(corpus, double)


@pytest.mark.parametrize("name", READERS)
def test_a_recording_cut_off_is_found_by_the_doctor(name: str, embedded: Corpus, tmp_path: Path) -> None:
    reader, miniature = READERS[name]
    miniature.write(tmp_path, embedded)
    corpus = reader.read(tmp_path)
    keep = corpus.manifest.iloc[:6]
    path = tmp_path / keep["file"][2]
    path.write_bytes(path.read_bytes()[:-8000])
    errors = [
        finding.file
        for finding in examine(Corpus(corpus.name, tmp_path, keep)).faults
        if finding.severity == "error" and finding.file
    ]
    assert errors == [keep["file"][2]]


@pytest.mark.parametrize("name", sorted(set(READERS) - {"savee"}))
def test_a_folder_without_the_corpus_is_refused_with_what_was_found_and_expected(
    name: str, embedded: Corpus, tmp_path: Path
) -> None:
    reader, _ = READERS[name]
    with pytest.raises(CorpusError, match=rf"no utterance of {name} among 0 recordings; expected names such as"):
        reader.read(tmp_path)
    small_savee.write(tmp_path, embedded, flat=True)
    with pytest.raises(
        CorpusError, match=rf"no utterance of {name} among 120 recordings, DC_a01\.wav: .*expected"
    ) as no:
        reader.read(tmp_path)
    assert str(tmp_path) in str(no.value) and "\n" not in str(no.value)
    with pytest.raises(CorpusError, match="not there"):
        reader.read(tmp_path / "nowhere")


WRONG = [
    ("cremad", "AudioWAV/1092_DFA_ANG_XX.wav", "unknown actor '1092', expected 1001 to 1091"),
    ("cremad", "AudioWAV/1001_XYZ_ANG_XX.wav", "sentence code 'XYZ', expected one of DFA IEO IOM ITH"),
    ("cremad", "AudioWAV/1001_DFA_SUR_XX.wav", "emotion code 'SUR', expected one of ANG DIS FEA HAP NEU SAD"),
    ("cremad", "AudioWAV/1001_DFA_ANG_YY.wav", "level code 'YY', expected one of HI LO MD XX"),
    ("cremad", "AudioWAV/1001_DFA_ANG_X.wav", "not a name of CREMA-D such as 1001_DFA_ANG_XX"),
    ("cremad", "AudioWAV/1001_DFA_ANG.wav", "not a name of CREMA-D"),
    ("cremad", "AudioWAV/1001_DFA_ANG_XX.mp3", r"expected \.wav or \.flac"),
    ("emovdb", "bea_Angry/fury_1-28_0003.wav", "emotion code 'fury', expected one of amused anger angry"),
    ("emovdb", "bea_Angry/anger_0003.wav", "not a name of EmoV-DB such as amused_1-15_0001"),
    ("emovdb", "bea_Angry/anger_1-28_3.wav", "not a name of EmoV-DB"),
    ("emovdb", "zoe_Angry/anger_1-28_0003.wav", "in no folder of a speaker, expected one of bea jenie josh sam"),
    ("emovdb", "bea_Angry/amused_1-28_0028.wav", "its folder says emotion 'anger', its name 'amusement'"),
    ("emovdb", "bea/Sleepy/neutral_1-28_0028.wav", "its folder says emotion 'sleepiness', its name 'neutral'"),
    ("tess", "OAF_angry/UAF_bar_angry.wav", "speaker code 'UAF', expected one of OAF YAF"),
    ("tess", "OAF_angry/OA_bar_angry.wav", "speaker code 'OA'"),  # one file alone is known to lack its F
    ("tess", "OAF_angry/OAF_bar_cross.wav", "emotion code 'cross', expected one of angry disgust fear happy"),
    ("tess", "OAF_angry/OAF_angry.wav", "not a name of TESS such as OAF_back_angry"),
    ("tess", "OAF_Sad/OAF_zone_ps.wav", "its folder says emotion 'sadness', its name 'surprise'"),
    ("tess", "YAF_pleasant_surprised/YAF_zone_fear.wav", "its folder says emotion 'surprise', its name 'fear'"),
    ("tess", "OAF_angry/YAF_zone_angry.wav", "its folder says speaker 'OAF', its name 'YAF'"),
    ("urdu", "Angry/SX1_F1_A0500.wav", "sex code 'X', expected one of F M"),
    ("urdu", "Angry/SM1_F99_B0500.wav", "emotion code 'B', expected one of A H N S"),
    ("urdu", "Angry/SM1_A0500.wav", "not a name of URDU such as SM1_F1_A01"),
    ("urdu", "Angry/SM0_F1_A0500.wav", "not a name of URDU"),
    ("urdu", "Sad/SM1_F99_A0500.wav", "its folder says emotion 'sadness', its name 'anger'"),
    ("urdu", "Happy/SM1/SM1_F99_N0500.wav", "its folder says emotion 'happiness', its name 'neutral'"),
]


@pytest.mark.parametrize(
    ("name", "file", "reason"), WRONG, ids=[f"{name}-{Path(file).name}" for name, file, _ in WRONG]
)
def test_a_wrong_name_is_left_out_and_told_with_the_reason(
    name: str, file: str, reason: str, embedded: Corpus, tmp_path: Path
) -> None:
    reader, miniature = READERS[name]
    miniature.write(tmp_path, embedded)
    before = reader.read(tmp_path).manifest
    touch(tmp_path, file)
    corpus = reader.read(tmp_path)
    assert corpus.manifest.equals(before)
    assert re.search(reason, the_fault(corpus, file))


# ---- CREMA-D


def test_crema_d_codes_are_twelve_sentences_six_emotions_and_three_levels_or_none(tmp_path: Path) -> None:
    small_crema_d.touch_release(tmp_path)
    manifest = crema_d.read(tmp_path).manifest
    parts = manifest["utterance"].str.split("_", expand=True)
    assert (parts[0] == manifest["speaker"]).all() and (parts[1] == manifest["sentence"]).all()
    emotions = {"ANG": "anger", "DIS": "disgust", "FEA": "fear", "HAP": "happiness", "NEU": "neutral", "SAD": "sadness"}
    assert (parts[2].map(emotions) == manifest["emotion"]).all()
    levels = {"LO": "low", "MD": "medium", "HI": "high", "XX": "unspecified"}
    assert (parts[3].map(levels) == manifest["intensity"]).all()
    texts = manifest.groupby("sentence")["text"].unique().map(list).to_dict()
    assert [len(text) for text in texts.values()] == [1] * 12
    for sentence, (text,) in texts.items():  # a code is made of its sentence's initials
        letters = [word[0].upper() for word in text.replace("'", " ").split()]
        assert sentence[0] == letters[0] and set(sentence) <= {*letters, "T", "S"}, (sentence, text)
    assert texts["ITH"] == ["I think I have a doctor's appointment."]
    assert texts["ITS"] == ["I think I've seen this before."]
    assert set(manifest["language"]) == {"en"} and set(manifest["style"]) == {"acted"}


def test_crema_d_sex_is_that_of_the_table(tmp_path: Path) -> None:
    small_crema_d.touch_release(tmp_path)
    manifest = crema_d.read(tmp_path).manifest.drop_duplicates("speaker")
    assert manifest["gender"].value_counts().to_dict() == {"male": 48, "female": 43}
    assert manifest.set_index("speaker").loc[["1001", "1002", "1091"], "gender"].tolist() == [
        "male",
        "female",
        "female",
    ]


def test_crema_d_the_one_file_that_lost_a_letter_is_told_by_its_whole_name(tmp_path: Path) -> None:
    touch(tmp_path, "AudioWAV/1040_ITH_SAD_X.wav", "AudioWAV/1040_ITH_SAD_XX.wav", "AudioWAV/1040_IEO_SAD_HI.wav")
    corpus = crema_d.read(tmp_path)
    row = rows_of(corpus)["1040_ITH_SAD_XX"]
    assert (row["file"], row["intensity"]) == ("AudioWAV/1040_ITH_SAD_X.wav", "unspecified")
    assert "the same utterance" in the_fault(corpus, "AudioWAV/1040_ITH_SAD_XX.wav")


def test_crema_d_without_its_table_has_no_genders(tmp_path: Path) -> None:
    touch(tmp_path, "1001_DFA_ANG_XX.wav", "1002_DFA_ANG_XX.wav")
    corpus = crema_d.read(tmp_path)
    assert (corpus.faults, set(corpus.manifest["gender"])) == ((), {""})


@pytest.mark.parametrize("place", ["", "AudioWAV/", "CREMA-D-master/"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_crema_d_table_may_lie_anywhere_and_have_any_line_ends(place: str, ending: str, tmp_path: Path) -> None:
    touch(tmp_path, "AudioWAV/1001_DFA_ANG_XX.wav", f"{place}VideoDemographics.csv")
    table = ending.join(['"ActorID","Age","Sex","Race","Ethnicity"', '1001,51,"Male","Caucasian","Not Hispanic"', ""])
    (tmp_path / f"{place}VideoDemographics.csv").write_bytes(b"\xef\xbb\xbf" + table.encode())
    corpus = crema_d.read(tmp_path)
    assert (corpus.faults, list(corpus.manifest["gender"])) == ((), ["male"])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1002,21", "2 cells, expected 5; left out"),
        ('1002,21,"F","Caucasian","Not Hispanic"', "unknown sex code 'F', expected one of Female Male; left out"),
        ('2002,21,"Female","Caucasian","Not Hispanic"', "unknown actor '2002', expected 1001 to 1091; left out"),
        ('1001,21,"Female","Caucasian","Not Hispanic"', "actor 1001 is male in a row before and female here; left out"),
        ('1002,21,"Fem\ufffdle","Caucasian","Not Hispanic"', "unknown sex code"),
    ],
)
def test_crema_d_damaged_rows_are_told_by_line(line: str, reason: str, tmp_path: Path) -> None:
    touch(tmp_path, "AudioWAV/1001_DFA_ANG_XX.wav", "AudioWAV/1003_DFA_ANG_XX.wav")
    table = ['"ActorID","Age","Sex","Race","Ethnicity"', '1001,51,"Male","Caucasian","Not Hispanic"', "", line]
    table.append('1003,21,"Female,"Caucasian","Not Hispanic"')  # a lost quote does no harm
    (tmp_path / "VideoDemographics.csv").write_bytes("\n".join(table).encode().replace("\ufffd".encode(), b"\xe1"))
    corpus = crema_d.read(tmp_path)
    assert list(corpus.manifest["gender"]) == ["male", "female"]
    assert reason in the_fault(corpus, "VideoDemographics.csv:4")


def test_crema_d_actors_that_the_table_lacks_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "AudioWAV/1001_DFA_ANG_XX.wav", "AudioWAV/1002_DFA_ANG_XX.wav", "AudioWAV/1002_DFA_SAD_XX.wav")
    (tmp_path / "VideoDemographics.csv").write_text("ActorID,Sex\n1001,Male\n")
    corpus = crema_d.read(tmp_path)
    assert list(corpus.manifest["gender"]) == ["male", "", ""]
    assert "gender left empty" in the_fault(corpus, "actor 1002")


def test_crema_d_table_that_is_none_is_told_and_the_rest_read(tmp_path: Path) -> None:
    touch(tmp_path, "AudioWAV/1001_DFA_ANG_XX.wav")
    (tmp_path / "VideoDemographics.csv").write_text("<!DOCTYPE html>\n<html>Not Found</html>\n")
    corpus = crema_d.read(tmp_path)
    assert list(corpus.manifest["gender"]) == [""]
    assert "no column 'ActorID', found '<!DOCTYPE html>'" in the_fault(corpus, "VideoDemographics.csv:1")


def test_crema_d_mp3_copies_of_a_clone_are_one_line(tmp_path: Path) -> None:
    small_crema_d.touch_release(tmp_path)
    n_utterances = len(crema_d.read(tmp_path).manifest)
    for wav in sorted((tmp_path / "AudioWAV").iterdir())[:300]:
        touch(tmp_path, f"AudioMP3/{wav.stem}.mp3", f"VideoFlash/{wav.stem}.flv")
    corpus = crema_d.read(tmp_path)
    assert len(corpus.manifest) == n_utterances
    (fault,) = corpus.faults
    assert fault.startswith("AudioMP3/1001_DFA_ANG_XX.mp3 and 299 other files: expected .wav or .flac")


def test_crema_d_pointers_and_the_silent_file_are_found_by_the_doctor(embedded: Corpus, tmp_path: Path) -> None:
    small_crema_d.write(tmp_path, embedded)
    for wav in sorted((tmp_path / "AudioWAV").iterdir())[6:]:
        wav.unlink()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 73358\n"
    (tmp_path / "AudioWAV/1001_WSI_DIS_XX.wav").write_text(pointer)
    soundfile.write(tmp_path / "AudioWAV/1076_MTI_SAD_XX.wav", [0.0] * 32000, 16000, subtype="PCM_16")
    diagnosis = examine(crema_d.read(tmp_path), crema_d.INFO, count_classes=count_classes)
    found = {(finding.severity, finding.file): finding.message for finding in diagnosis.faults if finding.file}
    assert "git-lfs" in found["error", "AudioWAV/1001_WSI_DIS_XX.wav"]
    assert found["warning", "AudioWAV/1076_MTI_SAD_XX.wav"] == "silent"
    assert not diagnosis.ok


# ---- EmoV-DB


def test_emov_db_layouts_differ_in_nothing_but_the_file(embedded: Corpus, tmp_path: Path) -> None:
    for nested in (False, True):
        small_emov_db.write(tmp_path / str(nested), embedded, nested=nested)
    joined, nested = (emov_db.read(tmp_path / str(nested)).manifest for nested in (False, True))
    assert joined["file"][0] == "bea_Amused/amused_1-28_0001.wav"
    assert nested["file"][0] == "bea/Amused/amused_1-28_0001.wav"
    columns = [column for column in COLUMNS if column != "file"]
    order = joined.sort_values("utterance")[columns].reset_index(drop=True)
    assert order.equals(nested.sort_values("utterance")[columns].reset_index(drop=True))


@pytest.mark.parametrize("nested", [False, True])
def test_emov_db_words_of_folders_and_files_mean_the_same_in_any_case(nested: bool, tmp_path: Path) -> None:
    small_emov_db.touch_codes(tmp_path, nested=nested)
    corpus = emov_db.read(tmp_path)
    manifest = corpus.manifest
    assert corpus.faults == ()
    assert set(manifest["emotion"]) == {"amusement", "anger", "disgust", "neutral", "sleepiness"}
    assert set(manifest["emotion"][manifest["speaker"] == "josh"]) == {"amusement", "neutral", "sleepiness"}
    genders = manifest.groupby("speaker")["gender"].unique().map(list).to_dict()
    assert genders == {"bea": ["female"], "jenie": ["female"], "josh": ["male"], "sam": ["male"]}
    for path in sorted(tmp_path.rglob("*"), reverse=True):  # what a folder holds before the folder
        path.rename(path.with_name(path.stem.upper() + path.suffix))
    shouted = emov_db.read(tmp_path)
    assert (shouted.faults, set(shouted.manifest["utterance"])) == ((), set(manifest["utterance"]))
    assert {"bea_neutral_1-28_0001", "josh_sleepiness_1-28_0002", "sam_disgust_1-28_0001"} <= set(manifest["utterance"])


def test_emov_db_the_last_number_is_the_sentence_in_arctic(embedded: Corpus, tmp_path: Path) -> None:
    small_emov_db.write(tmp_path, embedded)
    manifest = emov_db.read(tmp_path).manifest
    assert (manifest["sentence"] == manifest["file"].str.extract(r"_(\d{4})\.wav$")[0]).all()
    spoken = {(embedded.root / row.file).read_bytes(): row.text for row in embedded.manifest.itertuples()}
    assert [spoken[(tmp_path / file).read_bytes()] for file in manifest["file"]] == list(manifest["text"])
    (tmp_path / "cmuarctic.data").unlink()
    without = emov_db.read(tmp_path)
    assert (without.faults, set(without.manifest["text"])) == ((), {""})
    assert without.manifest["sentence"].equals(manifest["sentence"])


def test_emov_db_names_that_lost_a_digit_have_the_sentence_that_their_range_leaves(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{name}.wav" for name in small_emov_db.MISNUMBERED))
    corpus = emov_db.read(tmp_path)
    assert corpus.faults == ()
    assert list(corpus.manifest["sentence"]) == ["0224", "0114", "0115", "0223", "0226"]
    assert "josh_amusement_225-252_0226" in set(corpus.manifest["utterance"])


def test_emov_db_a_number_outside_its_range_is_no_sentence(tmp_path: Path) -> None:
    touch(tmp_path, "sam/Sleepy/sleepiness_281-308_0387.wav", "sam/Sleepy/sleepiness_281-308_0308.wav")
    corpus = emov_db.read(tmp_path)
    assert list(corpus.manifest["sentence"]) == ["0308", ""]
    assert list(corpus.manifest["emotion"]) == ["sleepiness", "sleepiness"]
    assert "sentence left empty" in the_fault(corpus, "sam/Sleepy/sleepiness_281-308_0387.wav")


def test_emov_db_damaged_lines_of_the_sentences_are_told_by_line(tmp_path: Path) -> None:
    touch(tmp_path, *(f"bea_Angry/anger_1-28_000{number}.wav" for number in (1, 2, 3, 4)))
    lines = [
        '( arctic_a0001 "Author of the danger trail." )',
        '( arctic_a0002 "Not at this partic',
        "",
        '( arctic_a0003 "For the twentieth \udce9vening." )',
        '( arctic_a0001 "Another text." )',
        '( arctic_a0004 "God bless \'em." )',
        '( arctic_b0002 "Of the second part." )',
    ]
    (tmp_path / "cmuarctic.data").write_bytes("\n".join(lines).encode(errors="surrogateescape"))
    corpus = emov_db.read(tmp_path)
    assert list(corpus.manifest["text"]) == ["Author of the danger trail.", "", "", "God bless 'em."]
    expected = [
        ("cmuarctic.data:2", 'expected ( arctic_a0001 "text" )'),
        ("cmuarctic.data:4", "expected"),
        ("cmuarctic.data:5", "arctic_a0001 stands there twice"),
        ("bea_Angry/anger_1-28_0002.wav", "no sentence arctic_a0002 in cmuarctic.data"),
        ("bea_Angry/anger_1-28_0003.wav", "no sentence arctic_a0003"),
    ]
    assert len(corpus.faults) == len(expected)
    for place, reason in expected:
        assert any(fault.startswith(f"{place}: ") and reason in fault for fault in corpus.faults), place


# ---- TESS


def test_tess_layouts_differ_in_nothing_but_the_file(tmp_path: Path) -> None:
    for flat in (False, True):
        small_tess.touch_release(tmp_path / str(flat), flat=flat)
    folders, flat = (tess.read(tmp_path / str(flat)).manifest.sort_values("utterance") for flat in (False, True))
    columns = [column for column in COLUMNS if column != "file"]
    assert folders[columns].reset_index(drop=True).equals(flat[columns].reset_index(drop=True))
    assert set(folders["file"].str.split("/").str[0]) == {
        "OAF_angry", "OAF_disgust", "OAF_Fear", "OAF_happy", "OAF_neutral", "OAF_Pleasant_surprise", "OAF_Sad",
        "YAF_angry", "YAF_disgust", "YAF_fear", "YAF_happy", "YAF_neutral", "YAF_pleasant_surprised", "YAF_sad",
    }  # fmt: skip


def test_tess_a_word_is_a_sentence_said_by_both_in_all_seven_emotions(tmp_path: Path) -> None:
    small_tess.touch_release(tmp_path)
    manifest = tess.read(tmp_path).manifest
    assert manifest["sentence"].nunique() == 200
    assert (manifest.groupby("sentence").size() == 14).all()
    assert (manifest["text"] == "Say the word " + manifest["sentence"]).all()
    assert set(manifest["gender"]) == {"female"} and set(manifest["language"]) == {"en"}
    emotions = {"angry": "anger", "happy": "happiness", "ps": "surprise", "sad": "sadness"}
    codes = manifest["utterance"].str.rpartition("_")[2]
    assert (codes.replace(emotions) == manifest["emotion"]).all()


@pytest.mark.parametrize("folder", ["OAF_neutral/", "oaf_Neutral/", "anything/", ""])
def test_tess_the_one_file_that_lost_a_letter_is_the_older_womans(folder: str, tmp_path: Path) -> None:
    touch(tmp_path, f"{folder}OA_bite_neutral.wav")
    corpus = tess.read(tmp_path)
    (row,) = corpus.manifest.to_dict("records")
    assert (row["utterance"], row["speaker"], row["text"]) == ("OAF_bite_neutral", "OAF", "Say the word bite")
    assert corpus.faults == ()
    touch(tmp_path, f"{folder}OAF_bite_neutral.wav")
    assert "the same utterance" in the_fault(tess.read(tmp_path), f"{folder}OA_bite_neutral.wav")


# ---- URDU


def test_urdu_speakers_have_their_sex_in_their_name(tmp_path: Path) -> None:
    small_urdu.touch_release(tmp_path)
    manifest = urdu.read(tmp_path).manifest
    assert (manifest["gender"].map({"male": "SM", "female": "SF"}) == manifest["speaker"].str[:2]).all()
    assert manifest[manifest["gender"] == "female"]["speaker"].nunique() == 11
    assert set(manifest["language"]) == {"ur"} and set(manifest["style"]) == {"spontaneous"}
    assert set(manifest["text"]) == set(manifest["sentence"]) == {""}
    assert {"SM4_F48_A0100", "SF1_F1_H01", "SM20_F10_N014", "SM25_F40_S090"} <= set(manifest["utterance"])


@pytest.mark.parametrize("folder", ["Angry/SM1/", "angry/", "URDU-Dataset-master/Angry/", "all/", ""])
def test_urdu_may_have_folders_by_speaker_or_none(folder: str, tmp_path: Path) -> None:
    touch(tmp_path, f"{folder}SM1_F1_A01.wav")
    corpus = urdu.read(tmp_path)
    (row,) = corpus.manifest.to_dict("records")
    assert (row["speaker"], row["gender"], row["emotion"], corpus.faults) == ("SM1", "male", "anger", ())


def test_urdu_copied_into_another_folder_is_left_out(embedded: Corpus, tmp_path: Path) -> None:
    small_urdu.write(tmp_path, embedded)
    first = sorted((tmp_path / "Angry").iterdir())[0].name
    shutil.copyfile(tmp_path / "Angry" / first, tmp_path / "Sad" / first)
    corpus = urdu.read(tmp_path)
    assert rows_of(corpus)[Path(first).stem]["file"] == f"Angry/{first}"
    assert "its folder says emotion 'sadness', its name 'anger'" in the_fault(corpus, f"Sad/{first}")
