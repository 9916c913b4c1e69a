"""IEMOCAP: its layout in small and in full number, its traps, and damaged files named by file and line."""

import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from affectra.corpora import synthetic
from affectra.corpora.doctor import examine
from affectra.corpora.iemocap import INFO, read
from affectra.corpora.iemocap_lines import EMOTIONS
from affectra.corpora.manifest import Corpus, validate_manifest
from affectra.errors import CorpusError
from affectra.tasks.labels import map_labels
from miniatures.baseline import unweighted_average_recall_of
from miniatures.iemocap import Turn, touch_release, write, write_dialogue
from miniatures.recording import touch

DIALOGUE = "Ses03F_impro01"
LABELS = f"Session3/dialog/EmoEvaluation/{DIALOGUE}.txt"
TEXTS = f"Session3/dialog/transcriptions/{DIALOGUE}.txt"
WORDS = f"Session3/sentences/ForcedAlignment/{DIALOGUE}/{DIALOGUE}_F000.wdseg"
WAVS = f"Session3/sentences/wav/{DIALOGUE}"

TURNS = [  # in the order in which they begin; the women's labels stand before the men's
    Turn(f"{DIALOGUE}_F000", 6.2901, 8.2357, "neu", "Excuse me.", (2.5, 2.5, 2.5), [("excuse", 0.3, 0.9)]),
    Turn(f"{DIALOGUE}_M000", 10.0100, 11.3925, "fru", "Yeah.", (2.0, 3.0, 3.5), [("yeah", 0.2, 1.0)]),
    Turn(f"{DIALOGUE}_M001", 11.1000, 14.8872, "xxx", "What is it?", (1.5, 4.0, 4.5), []),
    Turn(f"{DIALOGUE}_F001", 14.8000, 19.0000, "ang", "[LAUGHTER] No.", (1.5, 4.0, 4.5), [("no", 2.0, 2.4)]),
]  # fmt: skip
LINES = {"F000": 3, "F001": 10, "M000": 17, "M001": 24}  # where the label of each turn stands


@pytest.fixture(scope="module")
def embedded() -> Corpus:
    return synthetic.read(synthetic.render())


@pytest.fixture(scope="module")
def miniature(tmp_path_factory: pytest.TempPathFactory, embedded: Corpus) -> Corpus:
    root = tmp_path_factory.mktemp("iemocap") / "IEMOCAP_full_release"
    write(root, embedded)
    return read(root)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> tuple[Corpus, float]:
    """The corpus in full number, and the seconds that reading it took."""
    root = tmp_path_factory.mktemp("release")
    touch_release(root)
    begin = time.perf_counter()
    corpus = read(root)
    return corpus, time.perf_counter() - begin


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """One dialogue of four turns."""
    write_dialogue(tmp_path, DIALOGUE, TURNS)
    return tmp_path


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, old
    file.write_text(text.replace(old, new), encoding="utf-8")


def cut(file: Path, before: str) -> None:
    """Keep what stands before the last occurrence of some text."""
    text = file.read_text(encoding="utf-8")
    file.write_text(text[: text.rindex(before)], encoding="utf-8")


def rows_of(corpus: Corpus) -> dict[str, dict]:
    return {row["utterance"].removeprefix(f"{DIALOGUE}_"): row for row in corpus.manifest.to_dict("records")}


def faults_at(corpus: Corpus, place: str) -> list[str]:
    return [fault.removeprefix(f"{place}: ") for fault in corpus.faults if fault.startswith(f"{place}: ")]


# The release in full number


def test_the_release_has_the_published_counts(release: tuple[Corpus, float]) -> None:
    corpus, _ = release
    manifest, expected = corpus.manifest, INFO.expected
    assert corpus.faults == ()
    assert len(manifest) == expected["utterances"] == 10_039
    for column in ("speaker", "session", "dialogue"):
        assert manifest[column].nunique() == expected[f"{column}s"], column
    assert Counter(manifest["emotion"]) == expected["emotion"]
    assert Counter(manifest["style"]) == expected["style"]
    assert Counter(manifest["gender"]) == {"male": 5098, "female": 4941}


def test_the_four_classes_have_the_published_counts_by_session(release: tuple[Corpus, float]) -> None:
    labelled = map_labels(release[0].manifest, "emotion4").manifest
    counts = labelled.groupby(["session", "target"]).size().unstack()[["anger", "happiness", "sadness", "neutral"]]
    assert counts.index.tolist() == list("12345")
    assert counts.to_numpy().tolist() == [
        [229, 278, 194, 384],
        [137, 327, 197, 362],
        [240, 286, 305, 320],
        [327, 303, 143, 258],
        [170, 442, 245, 384],
    ]


def test_published_counts_agree_with_one_another() -> None:
    words, tasks = INFO.expected["emotion"], INFO.expected["tasks"]
    assert sum(words.values()) == sum(INFO.expected["style"].values()) == INFO.expected["utterances"]
    assert set(words) == set(EMOTIONS.values())
    for task, with_excitement in (("emotion4", 1), ("emotion4-strict", 0)):
        happiness = words["happiness"] + with_excitement * words["excitement"]
        assert tasks[task] == {**{word: words[word] for word in tasks[task]}, "happiness": happiness}


def test_ten_thousand_turns_with_their_words_are_read_in_seconds(release: tuple[Corpus, float]) -> None:
    corpus, seconds = release
    assert corpus.tables["words"]["utterance"].nunique() == len(corpus.manifest)
    assert seconds < 30  # 2 s on an idle core


def test_words_last_are_in_order_and_within_their_turn(release: tuple[Corpus, float], miniature: Corpus) -> None:
    for corpus in (release[0], miniature):
        words = corpus.tables["words"]
        assert set(words["utterance"]) == set(corpus.manifest["utterance"])
        assert (words["start"] >= 0).all() and (words["start"] < words["end"]).all()
        same = words["utterance"].to_numpy()[1:] == words["utterance"].to_numpy()[:-1]
        assert (words["start"].to_numpy()[1:] >= words["end"].to_numpy()[:-1] - 1e-9)[same].all()
    assert release[0].tables["words"]["end"].max() <= 3.5
    ends = miniature.tables["words"].groupby("utterance")["end"].max()
    for row in miniature.manifest.itertuples():
        assert ends[row.utterance] <= soundfile.info(miniature.path(row)).duration + 1e-3


# The miniature


def test_the_miniature_is_read_whole_and_without_faults(miniature: Corpus) -> None:
    manifest = miniature.manifest
    assert (miniature.faults, len(manifest)) == ((), 240)
    assert validate_manifest(manifest, "it", "it").equals(manifest)
    assert manifest["dialogue"].nunique() == 24
    assert sorted(set(manifest["session"])) == list("1234")
    assert all((miniature.root / file).is_file() for file in manifest["file"])
    assert set(manifest["style"][manifest["dialogue"].str.contains("impro")]) == {"improvised"}
    assert set(manifest["style"][manifest["dialogue"].str.contains("script")]) == {"scripted"}


def test_the_speaker_is_the_letter_of_the_turn_and_not_the_one_who_wore_the_markers(miniature: Corpus) -> None:
    manifest = miniature.manifest
    assert (manifest["speaker"] == manifest["utterance"].str[:5] + manifest["utterance"].str[-4]).all()
    assert manifest.groupby("dialogue")["speaker"].nunique().eq(2).all()
    assert manifest.groupby("speaker")["gender"].nunique().eq(1).all()
    assert (manifest["speaker"] != manifest["utterance"].str[:6]).mean() == pytest.approx(0.5)


def test_a_dialogue_is_in_the_order_in_which_it_was_spoken(miniature: Corpus, embedded: Corpus) -> None:
    spoken = [rows["text"].tolist() for _, rows in embedded.manifest.sort_values("turn").groupby("dialogue")]
    read_back = [rows["text"].tolist() for _, rows in miniature.manifest.groupby("dialogue")]
    assert sorted(read_back) == sorted(spoken)
    for _, rows in miniature.manifest.groupby("dialogue"):
        assert rows["turn"].tolist() == list(range(1, 11)), "counted from one, both speakers together"


def test_the_raters_of_a_turn_are_those_whose_mean_and_majority_it_has(miniature: Corpus) -> None:
    raters, manifest = miniature.tables["raters"], miniature.manifest.set_index("utterance")
    assert raters.columns.tolist() == ["utterance", "rater", "emotion", "arousal", "valence", "dominance"]
    numbers = raters[raters["emotion"] == ""]
    assert set(numbers["rater"]) == {"A-E3", "A-E4"}
    means = numbers.groupby("utterance")[["arousal", "valence", "dominance"]].mean()
    np.testing.assert_allclose(means, manifest.loc[means.index, means.columns], atol=0.5)
    majority = raters[raters["emotion"] != ""].groupby("utterance")["emotion"].agg(lambda words: words.mode()[0])
    assert (majority == manifest.loc[majority.index, "emotion"]).all()


def test_what_is_heard_is_what_is_labelled(miniature: Corpus) -> None:
    labelled = map_labels(miniature.manifest, "emotion4").manifest
    heard = labelled.assign(emotion=labelled["target"])
    assert unweighted_average_recall_of(heard, miniature.root, "speaker", shuffled=False) > 0.55
    assert unweighted_average_recall_of(heard, miniature.root, "speaker", shuffled=True) < 0.35


def test_the_doctor_takes_a_part_of_the_corpus_for_a_part(miniature: Corpus) -> None:
    diagnosis = examine(miniature, INFO)
    assert diagnosis.ok
    assert any("240 utterances, published 10039" in finding.message for finding in diagnosis.faults)


@pytest.mark.parametrize("below", ["..", ".", "Session2"])
def test_the_folder_may_be_the_release_one_above_or_one_session(miniature: Corpus, below: str) -> None:
    corpus = read(miniature.root / below)
    sessions = ["2"] if below == "Session2" else list("1234")
    same = miniature.manifest[miniature.manifest["session"].isin(sessions)].reset_index(drop=True)
    assert corpus.faults == ()
    assert corpus.manifest.drop(columns="file").equals(same.drop(columns="file"))
    assert all((corpus.root / file).is_file() for file in corpus.manifest["file"])


# One dialogue


def test_all_of_a_turn_is_read(small: Path) -> None:
    corpus = read(small)
    assert corpus.faults == ()
    turn = rows_of(corpus)["M000"]
    assert {key: value for key, value in turn.items() if value == value and value != ""} == {
        "utterance": "Ses03F_impro01_M000",
        "corpus": "iemocap",
        "file": f"{WAVS}/Ses03F_impro01_M000.wav",
        "speaker": "Ses03M",
        "gender": "male",
        "language": "en",
        "session": "3",
        "dialogue": "Ses03F_impro01",
        "turn": 2.0,
        "text": "Yeah.",
        "emotion": "frustration",
        "valence": 2.0,
        "arousal": 3.0,
        "dominance": 3.5,
        "style": "improvised",
    }
    assert {name: row["turn"] for name, row in rows_of(corpus).items()} == {"F000": 1, "M000": 2, "M001": 3, "F001": 4}
    assert rows_of(corpus)["F001"]["text"] == "[LAUGHTER] No."


def test_every_category_is_read_as_its_word(tmp_path: Path) -> None:
    turns = [
        replace(TURNS[0], name=f"{DIALOGUE}_F{number:03}", start=2.0 * number + 1, end=2.0 * number + 2.9, code=code)
        for number, code in enumerate(EMOTIONS)
    ]
    write_dialogue(tmp_path, DIALOGUE, turns)
    corpus = read(tmp_path)
    assert corpus.faults == ()
    words = ["anger", "disgust", "excitement", "fear", "frustration", "happiness", "neutral", "other", "sadness",
             "surprise", "none"]  # fmt: skip
    assert corpus.manifest["emotion"].tolist() == words
    rated = corpus.tables["raters"].query("rater == 'C-E2'")["emotion"].tolist()
    assert rated == [*words[:-1], "anger", "sadness"], "who named two has two rows"


def test_raters_may_name_several_words_comment_leave_numbers_open_and_rate_themselves(small: Path) -> None:
    edit(
        small / LABELS,
        "C-E2:\tFrustration;\t()\n",
        "C-E2:\tNeutral state; Frustration; Other;\t(well (tired); bored)\n"
        "C-E6:\t\t()\nC-F1:\tExcited;\t()\nA-M3:\tval 1; act  2; dom  ;\t(?)\n",
    )
    corpus = read(small)
    assert corpus.faults == ()
    raters = corpus.tables["raters"].query("utterance == 'Ses03F_impro01_M000'")
    words = {rater: rows["emotion"].tolist() for rater, rows in raters.groupby("rater")}
    assert words == {
        "C-E2": ["neutral", "frustration", "other"],
        "C-E3": ["neutral"],
        "C-E4": ["frustration"],
        "C-F1": ["excitement"],
        "A-E3": [""],
        "A-E4": [""],
        "A-M3": [""],
    }
    (own,) = raters.query("rater == 'A-M3'")[["valence", "arousal", "dominance"]].to_numpy()
    np.testing.assert_array_equal(own, [1, 2, np.nan])


def test_frames_are_ten_milliseconds_and_the_last_belongs_to_the_word(small: Path) -> None:
    (small / WORDS).write_text(
        "\t SFrm  EFrm    SegAScr Word\n"
        "\t    0    29     -65401 <s>\n"
        "\t   30    89     -99999 EXCUSE(2)\n"
        "\t   90   109    -150000 ME\n"
        "\t  110   119      -2000 ++GARBAGE++\n"
        "\t  120   193     -65401 </s>\n"
        " Total score:     -380801\n"
    )
    words = read(small).tables["words"].query("utterance == 'Ses03F_impro01_F000'")
    assert words[["word", "start", "end"]].to_numpy().tolist() == [["EXCUSE", 0.3, 0.9], ["ME", 0.9, 1.1]]


def test_a_turn_without_alignment_has_no_words_and_no_fault(small: Path) -> None:
    (small / WORDS).unlink()
    corpus = read(small)
    assert corpus.faults == ()
    assert len(corpus.manifest) == 4
    assert f"{DIALOGUE}_F000" not in set(corpus.tables["words"]["utterance"])


def test_flac_files_give_the_same_rows_as_wav_files(tmp_path: Path) -> None:
    for suffix in (".wav", ".flac"):
        write_dialogue(tmp_path / suffix, DIALOGUE, TURNS, suffix)
    wav, flac = (read(tmp_path / suffix).manifest for suffix in (".wav", ".flac"))
    assert flac["file"].str.endswith(".flac").all()
    assert flac.drop(columns="file").equals(wav.drop(columns="file"))


def test_what_else_the_release_holds_and_what_systems_leave_behind_is_no_fault(small: Path) -> None:
    before = read(small)
    touch(
        small,
        f"Session3/dialog/EmoEvaluation/._{DIALOGUE}.txt",
        "Session3/dialog/EmoEvaluation/.DS_Store",
        "Session3/dialog/EmoEvaluation/Thumbs.db",
        f"Session3/dialog/EmoEvaluation/Categorical/{DIALOGUE}_e2_cat.txt",
        f"Session3/dialog/EmoEvaluation/Self-evaluation/{DIALOGUE}_f_atr.txt",
        f"Session3/dialog/wav/{DIALOGUE}.wav",
        f"Session3/dialog/avi/DivX/{DIALOGUE}.avi",
        f"Session3/dialog/lab/Ses03_F/{DIALOGUE}.lab",
        f"Session3/sentences/MOCAP_head/{DIALOGUE}/{DIALOGUE}_F000.txt",
        f"Session3/sentences/ForcedAlignment/{DIALOGUE}/{DIALOGUE}_F000.phseg",
        f"Session3/sentences/ForcedAlignment/{DIALOGUE}/{DIALOGUE}_MXX0.wdseg",
        f"{WAVS}/._{DIALOGUE}_F000.wav",
        f"{WAVS}/.DS_Store",
        "README.txt",
    )
    after = read(small)
    assert after.faults == ()
    assert after.manifest.equals(before.manifest)


# Damage


DAMAGE: dict[str, tuple[str, str, int, str, str]] = {  # old, new, line, fault, turn that is left out
    "no category": (
        "\tang\t", "\t", LINES["F001"],
        f"no category for {DIALOGUE}_F001; the file looks cut off or damaged there; kept without", "",
    ),
    "unknown category": (
        "\tang\t", "\tbor\t", LINES["F001"], "unknown category code 'bor', expected one of ang dis exc fea fru", "",
    ),
    "numbers cut off": (
        "neu\t[2.5000, 2.5000, 2.5000]", "neu\t[2.5000, 2.50", LINES["F000"],
        f"no valence, activation and dominance for {DIALOGUE}_F000", "",
    ),
    "both cut off": (
        "neu\t[2.5000, 2.5000, 2.5000]", "ne", LINES["F000"],
        "unknown category code 'ne', expected one of ang dis exc fea fru hap neu oth sad sur xxx and no valence, "
        f"activation and dominance for {DIALOGUE}_F000", "",
    ),
    "name cut off": (
        f"{DIALOGUE}_M000\tfru", f"{DIALOGUE}_M0", LINES["M000"],
        "no whole times and name of a turn; the line looks cut off; left out", "M000",
    ),
    "times cut off": ("[10.0100 - 11.3925]", "[10.0100 - ", LINES["M000"], "no whole times and name of a turn", "M000"),
    "no time passes": (
        "[10.0100 - 11.3925]", "[11.3925 - 10.0100]", LINES["M000"],
        f"{DIALOGUE}_M000 ends at 10.01 s, not after its beginning at 11.3925 s; left out", "M000",
    ),
    "another dialogue's": (
        f"{DIALOGUE}_M000", "Ses03M_impro01_M000", LINES["M000"],
        "Ses03M_impro01_M000 is not a turn of this dialogue; left out", "M000",
    ),
    "twice": (
        f"{DIALOGUE}_M000", f"{DIALOGUE}_F000", LINES["M000"], f"{DIALOGUE}_F000 stands there twice; left out", "M000"
    ),
    "no sense": ("C-E2:\tFrustration;\t()", "C-E2", LINES["M000"] + 1, "neither a turn nor a rater's line", ""),
    "rater cut off": (
        "C-E2:\tFrustration;\t()", "C-E2:\tFrustr", LINES["M000"] + 1, "the rating of C-E2 is damaged or cut off", ""
    ),
    "rater's unknown word": (
        "C-E2:\tFrustration;\t()", "C-E2:\tFrustration; Bored;\t()", LINES["M000"] + 1,
        "unknown category code 'bored', expected one of anger disgust excited", "",
    ),
    "rater's numbers cut off": (
        "A-E3:\tval 2; act 3; dom  4;\t()", "A-E3:\tval 2; act 3", LINES["M000"] + 4,
        "the rating of A-E3 is damaged or cut off", "",
    ),
    "a rater of nothing": (
        "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n", "C-E2:\tAnger;\t()\n", 1,
        "a rater's line before any turn; left out", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_label_is_named_by_file_and_line_and_the_rest_is_read(small: Path, damage: str) -> None:
    old, new, line, fault, lost = DAMAGE[damage]
    edit(small / LABELS, old, new)
    corpus = read(small)
    (found,) = faults_at(corpus, f"{LABELS}:{line}")
    assert found.startswith(fault)
    assert set(rows_of(corpus)) == {"F000", "F001", "M000", "M001"} - {lost}
    if lost:
        assert faults_at(corpus, f"{WAVS}/{DIALOGUE}_{lost}.wav") == ["no usable label line says what it is; left out"]
        assert f"{DIALOGUE}_{lost}" not in set(corpus.tables["raters"]["utterance"]), "nor are its raters another's"
        assert not any("a rater's line" in fault for fault in corpus.faults), "they go with it, without a word each"
    else:
        assert len(corpus.faults) == 1


def test_what_a_damaged_label_still_says_is_kept_and_the_rest_stays_empty(small: Path) -> None:
    edit(small / LABELS, "\tang\t", "\t")
    edit(small / LABELS, "neu\t[2.5000, 2.5000, 2.5000]", "neu\t[2.5000, 2.50")
    rows = rows_of(read(small))
    assert (rows["F001"]["emotion"], rows["F001"]["valence"], rows["F001"]["turn"]) == ("", 1.5, 4)
    assert rows["F000"]["emotion"] == "neutral"
    assert np.isnan([rows["F000"][dimension] for dimension in ("valence", "arousal", "dominance")]).all()


@pytest.mark.parametrize("before", ["[11.1000 - ", "xxx\t", "4.5000]", "C-E3"])
def test_a_label_file_may_end_anywhere(small: Path, before: str) -> None:
    cut(small / LABELS, before)
    corpus = read(small)
    assert {"F000", "F001", "M000"} <= set(rows_of(corpus))
    assert corpus.faults or before == "C-E3", "between two raters' lines nothing tells that more should come"
    assert ("M001" in rows_of(corpus)) == (before != "[11.1000 - ")


@pytest.mark.parametrize("content", [b"", b"\n\n", b"% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n"])
def test_an_empty_label_file_is_a_fault(small: Path, content: bytes) -> None:
    write_dialogue(small, "Ses03M_impro01", [replace(TURNS[0], name="Ses03M_impro01_F000")])
    (small / LABELS).write_bytes(content)
    corpus = read(small)
    assert corpus.manifest["utterance"].tolist() == ["Ses03M_impro01_F000"]
    assert faults_at(corpus, LABELS) == ["no turn in it; the file looks cut off"]


def test_a_file_that_is_no_text_does_no_harm(small: Path) -> None:
    write_dialogue(small, "Ses03M_impro01", [replace(TURNS[0], name="Ses03M_impro01_F000")])
    noise = np.random.default_rng(0).integers(0, 256, 4000, dtype=np.uint8).tobytes()
    for file in (LABELS, TEXTS, WORDS):
        (small / file).write_bytes(noise)
    corpus = read(small)
    assert corpus.manifest["utterance"].tolist() == ["Ses03M_impro01_F000"]
    assert any(fault.startswith(LABELS) for fault in corpus.faults)


def test_a_turn_without_recording_is_left_out_and_the_others_keep_their_places(small: Path) -> None:
    (small / WAVS / f"{DIALOGUE}_M000.wav").unlink()
    corpus = read(small)
    assert corpus.faults == (
        f"{LABELS}:{LINES['M000']} ({DIALOGUE}_M000): no recording of this turn, .wav or .flac; left out",
    )
    assert {name: row["turn"] for name, row in rows_of(corpus).items()} == {"F000": 1, "M001": 3, "F001": 4}
    for table in corpus.tables.values():
        assert set(table["utterance"]) <= set(corpus.manifest["utterance"])


@pytest.mark.parametrize(
    ("file", "fault"),
    [
        (f"{WAVS}/{DIALOGUE}_F009.wav", "no usable label line says what it is; left out"),
        (f"{WAVS}/{DIALOGUE}_FXX0.wav", "not the name of a turn such as Ses01F_impro01_F000; left out"),
        (f"{WAVS}/copy of F000.wav", "not the name of a turn such as Ses01F_impro01_F000; left out"),
        (f"{WAVS}/{DIALOGUE}_F000.mp3", "expected .wav or .flac; left out"),
        (f"{WAVS}/{DIALOGUE}_F000.flac", "a second recording of its turn; left out"),
        (f"old/{DIALOGUE}_F000.wav", "a second recording of its turn; left out"),
        (f"old/EmoEvaluation/{DIALOGUE}.txt", "a second label file of its dialogue; left out"),
        ("Session3/dialog/EmoEvaluation/notes.txt", "not the name of a dialogue such as Ses01F_impro01; left out"),
        (f"old/{DIALOGUE}_F000.wdseg", "a second alignment of its turn; left out"),
        (f"old/{DIALOGUE}_F009.wdseg", "no usable label line for this turn; its words are left out"),
    ],
)
def test_a_file_that_does_not_belong_is_named(small: Path, file: str, fault: str) -> None:
    before = read(small).manifest
    touch(small, file)
    corpus = read(small)
    assert corpus.faults == (f"{file}: {fault}",)
    assert corpus.manifest.equals(before)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("M: [BREATHING] Okay.", "does not begin with a turn's name and times; left out"),
        (f"{DIALOGUE}_M000 [010.0", "does not begin with a turn's name and times; left out"),
        (f"{DIALOGUE}_M009 [019.0000-019.9000]: No.", "no usable label line for this turn; its text is left out"),
        (f"{DIALOGUE}_M000 [010.0100-011.3925]: Yes.", "a second text for this turn; left out"),
    ],
)
def test_an_odd_line_of_a_transcript_is_named_and_not_crashed_on(small: Path, line: str, fault: str) -> None:
    before = read(small).manifest
    with (small / TEXTS).open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
    corpus = read(small)
    assert corpus.faults == (f"{TEXTS}:6: {fault}",)
    assert corpus.manifest.equals(before)


def test_a_turn_without_a_line_in_the_transcript_has_no_text(small: Path) -> None:
    edit(small / TEXTS, f"{DIALOGUE}_M000 [010.0100-011.3925]: Yeah.\n", "")
    corpus = read(small)
    assert corpus.faults == (f"{DIALOGUE}_M000: no line in a transcript; its text stays empty",)
    assert rows_of(corpus)["M000"]["text"] == ""


def test_a_transcript_in_the_old_windows_encoding_is_read(small: Path) -> None:
    text = (small / TEXTS).read_text(encoding="utf-8")
    (small / TEXTS).write_bytes(text.replace("Yeah.", "Yeah … café.").replace("\n", "\r\n").encode("cp1252"))
    assert rows_of(read(small))["M000"]["text"] == "Yeah … café."


ALIGNMENT = "\t SFrm  EFrm    SegAScr Word\n\t    0    29   -65401 <s>\n{}\n Total score:     -380801\n"


@pytest.mark.parametrize(
    ("content", "line", "fault"),
    [
        (ALIGNMENT.format("\t   30    89 -99 EXCUSE").rpartition("\n T")[0], ":3", "expected Total score: at the end"),
        (ALIGNMENT.format("\t   30    89 EXCUSE"), ":3", "expected first frame, last frame, score and word"),
        (ALIGNMENT.format("\t   20    89 -99 EXCUSE"), ":3", "frames 20 to 89 after frame 29 are out of order"),
        (ALIGNMENT.format("\t   89    30 -99 EXCUSE"), ":3", "frames 89 to 30 after frame 29 are out of order"),
        (ALIGNMENT.format("\t   30   209 -99 EXCUSE"), ":3", "a word beyond the end of the turn"),
        ("SFrm EFrm Word\n", ":1", "expected the header SFrm EFrm SegAScr Word"),
        ("", "", "expected the header SFrm EFrm SegAScr Word"),
    ],
)
def test_a_damaged_alignment_gives_no_words(small: Path, content: str, line: str, fault: str) -> None:
    (small / WORDS).write_text(content)
    corpus = read(small)
    (found,) = corpus.faults
    assert found.startswith(f"{WORDS}{line}: {fault}")
    assert found.endswith("; the words of this turn are left out")
    assert f"{DIALOGUE}_F000" not in set(corpus.tables["words"]["utterance"])
    assert "F000" in rows_of(corpus)


def test_a_last_frame_that_reaches_a_little_beyond_the_turn_ends_with_it(small: Path) -> None:
    (small / WORDS).write_text(ALIGNMENT.format("\t  150   197 -99 EXCUSE"))  # the turn ends at 1.9456 s
    words = read(small).tables["words"].query("utterance == 'Ses03F_impro01_F000'")
    assert words[["start", "end"]].to_numpy().tolist() == [[1.5, 1.9456]]


def remove_labels(root: Path) -> None:
    (root / LABELS).unlink()


def remove_recordings(root: Path) -> None:
    for file in (root / WAVS).iterdir():
        file.unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove_labels, "no label file of iemocap among 9 files; expected the folder IEMOCAP_full_release with"),
        (remove_recordings, rf"no usable turn of iemocap in 1 label files; {re.escape(LABELS)}:3 \(.*\): no recording"),
    ],
)  # fmt: skip
def test_a_folder_without_labels_or_recordings_is_refused(
    small: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(small)
    with pytest.raises(CorpusError, match=message):
        read(small)
