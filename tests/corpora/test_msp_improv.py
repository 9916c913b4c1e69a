"""MSP-IMPROV: its layout in small and in full number, its traps, and damaged labels named by file and line."""

import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from affectra.corpora import synthetic
from affectra.corpora.doctor import examine
from affectra.corpora.manifest import Corpus, validate_manifest
from affectra.corpora.msp_improv import INFO, read
from affectra.errors import CorpusError
from affectra.tasks.labels import count_classes, map_labels
from miniatures.baseline import unweighted_average_recall_of
from miniatures.msp_improv import LABELS, Clip, touch_release, write, write_clips
from miniatures.recording import touch

RATINGS = [("WORKER00000003", "Neutral", (4.0, 2.0, 3.0)), ("20130227-p1", "Angry", (2.0, 3.0, 5.0))]
CLIPS = {  # with the line of each
    clip.name: (1 + 4 * index, clip)
    for index, clip in enumerate(
        [
            Clip("IMPROV-S07A-F02-S-FM01", "N", RATINGS),
            Clip("IMPROV-S07A-F02-S-FM02", "A", RATINGS),
            Clip("IMPROV-S07A-F02-T-FM01", "H", RATINGS),
            Clip("IMPROV-S07A-F02-R-FF01", "S", RATINGS),
            Clip("IMPROV-S07A-M02-P-FM12", "X", RATINGS),
        ]
    )
}
FIRST, SECOND, SPOKEN, READ, CHAT = (f"MSP-{name}" for name in CLIPS)
FOLDER = "session2/S07A"
SECOND_LINE = "UTD-IMPROV-S07A-F02-S-FM02.avi; A; A:3.000000; V:2.500000; D:4.000000 ; N:3.500000;"


@pytest.fixture(scope="module")
def embedded() -> Corpus:
    return synthetic.read(synthetic.render())


@pytest.fixture(scope="module")
def miniature(tmp_path_factory: pytest.TempPathFactory, embedded: Corpus) -> Corpus:
    root = tmp_path_factory.mktemp("mspimprov")
    write(root, embedded)
    return read(root)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Five clips of the four scenarios, below a folder of their own."""
    root = tmp_path / "MSP-IMPROV"
    write_clips(root, [clip for _, clip in CLIPS.values()])
    return root


def edit(root: Path, old: str, new: str) -> None:
    text = (root / LABELS).read_text(encoding="utf-8")
    assert text.count(old) == 1, old
    (root / LABELS).write_text(text.replace(old, new), encoding="utf-8")


def rows_of(corpus: Corpus) -> dict[str, dict]:
    return {row["utterance"]: row for row in corpus.manifest.to_dict("records")}


# The release in full number


def test_the_release_has_the_published_counts_and_is_read_in_seconds(tmp_path: Path) -> None:
    touch_release(tmp_path)
    begin = time.perf_counter()
    corpus = read(tmp_path)
    assert time.perf_counter() - begin < 30  # 2 s on an idle core
    manifest, expected = corpus.manifest, INFO.expected
    assert corpus.faults == ()
    assert len(manifest) == expected["utterances"] == 8438
    assert manifest["speaker"].nunique() == expected["speakers"] == 12
    assert manifest["session"].nunique() == expected["sessions"] == 6
    assert Counter(manifest["style"]) == expected["style"]
    four = Counter(map_labels(manifest, "emotion4").manifest["target"])
    assert four == {"anger": 792, "happiness": 2644, "neutral": 3477, "sadness": 885}
    assert sum(four.values()) == 7798
    rest = manifest[~manifest["emotion"].isin(set(four))]
    assert Counter(rest["emotion"]) == {"other": 85, "none": 555}
    assert corpus.tables["raters"]["utterance"].nunique() == 8438


# The miniature


def test_the_miniature_is_read_whole_and_without_faults(miniature: Corpus) -> None:
    manifest = miniature.manifest
    assert (miniature.faults, len(manifest)) == ((), 240)
    assert validate_manifest(manifest, "it", "it").equals(manifest)
    assert sorted(set(manifest["speaker"])) == ["F01", "F02", "F03", "F04", "M01", "M02", "M03", "M04"]
    assert (manifest["session"] == manifest["speaker"].str[-1]).all()
    assert (manifest["gender"] == manifest["speaker"].str[0].map({"F": "female", "M": "male"})).all()
    assert all((miniature.root / file).is_file() for file in manifest["file"])


def test_what_is_heard_is_what_is_labelled(miniature: Corpus) -> None:
    assert unweighted_average_recall_of(miniature.manifest, miniature.root, "speaker", shuffled=False) > 0.55
    assert unweighted_average_recall_of(miniature.manifest, miniature.root, "speaker", shuffled=True) < 0.35


def test_what_is_aimed_at_is_heard_less_well_than_what_is_labelled(miniature: Corpus) -> None:
    aimed = read(miniature.root, label_source="target")
    kept = (aimed.manifest["emotion"] != "").to_numpy()
    assert (aimed.manifest["style"] == "spontaneous").to_numpy().tolist() == (~kept).tolist()
    scores = [
        unweighted_average_recall_of(corpus.manifest[kept], miniature.root, "speaker", shuffled=False)
        for corpus in (aimed, miniature)
    ]
    assert scores[0] < scores[1] - 0.15
    others = [column for column in aimed.manifest if column != "emotion"]
    assert aimed.manifest[others].equals(miniature.manifest[others])


def test_the_numbers_are_the_means_of_the_raters_and_the_word_is_that_of_most(miniature: Corpus) -> None:
    raters, manifest = miniature.tables["raters"], miniature.manifest.set_index("utterance")
    assert raters.columns.tolist() == ["utterance", "rater", "emotion", "arousal", "valence", "dominance"]
    means = raters.groupby("utterance")[["arousal", "valence", "dominance"]].mean()
    np.testing.assert_allclose(means, manifest.loc[means.index, means.columns], atol=1e-5)
    majority = raters.groupby("utterance")["emotion"].agg(lambda words: words.mode()[0])
    assert (majority == manifest.loc[majority.index, "emotion"]).all()


def test_activation_stays_on_the_corpus_own_scale_on_which_active_is_one(miniature: Corpus, embedded: Corpus) -> None:
    means = [corpus.manifest.groupby("emotion")["arousal"].mean() for corpus in (miniature, embedded)]
    assert means[0].sort_values().index.tolist() == means[1].sort_values(ascending=False).index.tolist()
    assert means[0]["anger"] < 3 < means[0]["sadness"]


def test_a_sentence_has_one_wording_and_stands_only_where_it_was_spoken(miniature: Corpus) -> None:
    manifest = miniature.manifest
    spoken = manifest["utterance"].str.split("-").str[4].isin(["T", "R"])
    assert ((manifest["sentence"] != "") == spoken).all()
    assert spoken.sum() > 20
    assert (manifest[spoken].groupby("sentence")["text"].nunique() == 1).all()


def test_clips_of_a_sequence_are_numbered_and_others_are_not(miniature: Corpus) -> None:
    manifest = miniature.manifest
    in_sequence = manifest["dialogue"] != ""
    assert (in_sequence == manifest["turn"].notna()).all()
    for dialogue, rows in manifest[in_sequence].groupby("dialogue"):
        assert rows["turn"].tolist() == list(range(1, len(rows) + 1))
        assert rows["utterance"].str.startswith(dialogue).all()
        assert rows[["speaker", "session"]].nunique().tolist() == [1, 1]


def test_the_doctor_takes_a_part_of_the_corpus_for_a_part(miniature: Corpus) -> None:
    diagnosis = examine(miniature, INFO, count_classes=count_classes)
    assert diagnosis.ok
    assert any("240 utterances, published 8438" in finding.message for finding in diagnosis.faults)


# Five clips


def test_all_of_a_clip_is_read(small: Path) -> None:
    touch(small, f"transcripts/{SECOND}.txt")
    (small / f"transcripts/{SECOND}.txt").write_text("How can I\n not?\n")
    corpus = read(small)
    assert corpus.faults == ()
    row = rows_of(corpus)[SECOND]
    assert {key: value for key, value in row.items() if value == value and value != ""} == {
        "utterance": "MSP-IMPROV-S07A-F02-S-FM02",
        "corpus": "mspimprov",
        "file": f"{FOLDER}/S/MSP-IMPROV-S07A-F02-S-FM02.wav",
        "speaker": "F02",
        "gender": "female",
        "language": "en",
        "session": "2",
        "dialogue": "MSP-IMPROV-S07A-F02-S-FM",
        "turn": 2.0,
        "text": "How can I not?",
        "emotion": "anger",
        "arousal": 3.0,
        "valence": 2.5,
        "dominance": 4.0,
        "style": "improvised",
    }
    rated = corpus.tables["raters"].query("utterance == @SECOND").to_numpy().tolist()
    assert rated == [
        [SECOND, "WORKER00000003", "neutral", 4.0, 2.0, 3.0],
        [SECOND, "20130227-p1", "anger", 2.0, 3.0, 5.0],
    ]


def test_a_scenario_says_the_style_and_whether_there_is_a_sentence_a_target_and_a_turn(small: Path) -> None:
    rows, aimed = rows_of(read(small)), rows_of(read(small, label_source="target"))
    found = {
        name: (row["style"], row["sentence"], row["turn"] == row["turn"], aimed[name]["emotion"])
        for name, row in rows.items()
    }
    assert found == {
        FIRST: ("improvised", "", True, "anger"),
        SECOND: ("improvised", "", True, "anger"),
        SPOKEN: ("improvised", "07", False, "anger"),
        READ: ("scripted", "07", False, "anger"),
        CHAT: ("spontaneous", "", True, ""),
    }


@pytest.mark.parametrize(
    ("letter", "word"),
    [("A", "anger"), ("H", "happiness"), ("N", "neutral"), ("S", "sadness"), ("O", "other"), ("X", "none")],
)
def test_every_consensus_letter_is_read_as_its_word(small: Path, letter: str, word: str) -> None:
    edit(small, SECOND_LINE, SECOND_LINE.replace("; A;", f"; {letter};"))
    corpus = read(small)
    assert corpus.faults == ()
    assert rows_of(corpus)[SECOND]["emotion"] == word


def test_every_letter_and_word_of_a_rater_is_read_as_its_word(tmp_path: Path) -> None:
    said = {
        "Angry": "anger", "A": "anger", "Depressed": "other", "P": "other", "Disgusted": "disgust", "D": "disgust",
        "Excited": "excitement", "E": "excitement", "Fearful": "fear", "F": "fear", "Frustrated": "frustration",
        "R": "frustration", "Happy": "happiness", "H": "happiness", "Neutral": "neutral", "N": "neutral",
        "Other-confused": "other", "Other (confused)": "other", "Other, confused": "other", "X": "other",
        "Sad": "sadness", "S": "sadness", "Surprised": "surprise", "U": "surprise",
    }  # fmt: skip
    ratings = [(f"WORKER{index:08}", word, (1.0, 2.0, 3.0)) for index, word in enumerate(said)]
    write_clips(tmp_path, [Clip("IMPROV-S07A-F02-S-FM01", "N", ratings)])
    corpus = read(tmp_path)
    assert corpus.faults == ()
    assert corpus.tables["raters"]["emotion"].tolist() == list(said.values())


def test_what_is_not_a_number_is_empty(small: Path) -> None:
    edit(small, SECOND_LINE, SECOND_LINE.replace("D:4.000000", "D:NaN").replace("A:3.000000", "A:NaN"))
    corpus = read(small)
    row = rows_of(corpus)[SECOND]
    assert corpus.faults == ()
    assert (row["valence"], row["emotion"]) == (2.5, "anger")
    assert np.isnan([row["arousal"], row["dominance"]]).all()


def test_a_rater_whom_the_release_repeats_counts_once_and_one_who_differs_twice(small: Path) -> None:
    line = "WORKER00000009; Sad; ; A:NaN; V:2.000000; D:3.000000; N:NaN;"
    repeated = f"{SECOND_LINE}\n{line}\n{line}\n{line.replace('Sad', 'Happy')}"
    edit(small, SECOND_LINE, repeated)
    corpus = read(small)
    raters = corpus.tables["raters"].query("utterance == @SECOND and rater == 'WORKER00000009'")
    assert corpus.faults == ()
    assert raters["emotion"].tolist() == ["sadness", "happiness"]


@pytest.mark.parametrize("place", ["Evaluation.txt", "evalution.txt", "Labels/Evalution.txt", "../Evalution.txt"])
def test_the_label_file_may_be_spelt_otherwise_and_lie_deeper_or_beside_the_folder(small: Path, place: str) -> None:
    before = read(small).manifest
    (small / place).parent.mkdir(exist_ok=True)
    (small / LABELS).rename(small / place)
    corpus = read(small)
    assert corpus.faults == ()
    assert corpus.manifest.equals(before)


def test_recordings_may_be_called_as_the_videos_and_lie_elsewhere(small: Path) -> None:
    before = read(small).manifest
    for file in sorted(small.rglob("*.wav")):
        target = small / "Audio" / file.name.replace("MSP-", "UTD-")
        target.parent.mkdir(exist_ok=True)
        file.rename(target)
    corpus = read(small)
    assert corpus.faults == ()
    assert corpus.manifest.drop(columns="file").equals(before.drop(columns="file"))


def test_flac_files_give_the_same_rows_as_wav_files(tmp_path: Path) -> None:
    for suffix in (".wav", ".flac"):
        write_clips(tmp_path / suffix, [clip for _, clip in CLIPS.values()], suffix)
    wav, flac = (read(tmp_path / suffix).manifest for suffix in (".wav", ".flac"))
    assert flac["file"].str.endswith(".flac").all()
    assert flac.drop(columns="file").equals(wav.drop(columns="file"))


def test_what_else_the_release_holds_and_what_systems_leave_behind_is_no_fault(small: Path) -> None:
    before = read(small).manifest
    touch(
        small,
        f"{FOLDER}/S/UTD-IMPROV-S07A-F02-S-FM01.avi",
        f"{FOLDER}/S/._{FIRST}.wav",
        f"{FOLDER}/S/.DS_Store",
        f"{FOLDER}/S/Thumbs.db",
        f"._{LABELS}",
        "readme.txt",
    )
    corpus = read(small)
    assert corpus.faults == ()
    assert corpus.manifest.equals(before)


# Damage


KEPT = f"for {SECOND}; the file looks cut off or damaged there; kept without"
NO_RATER = "expected a clip's line or rater; word; further words; A:..; V:..; D:..; N:..;; damaged or cut off; left out"
RATER_LINE = "WORKER00000003; Neutral; Frustrated; A:4.000000; V:2.000000; D:3.000000; N:4.000000;"
UNKNOWN_CONSENSUS = "unknown consensus code 'Q', expected one of A H N O S X"
DAMAGE: dict[str, tuple[str, int, str, bool]] = {  # the clip's line, line of the fault, fault, is it kept
    "no letter": (SECOND_LINE.replace("; A;", ";"), 5, f"no consensus letter {KEPT}", True),
    "empty letter": (SECOND_LINE.replace("; A;", "; ;"), 5, f"no consensus letter {KEPT}", True),
    "unknown letter": (SECOND_LINE.replace("; A;", "; Q;"), 5, f"{UNKNOWN_CONSENSUS} {KEPT}", True),
    "numbers cut off": (SECOND_LINE.partition("00000 ; N")[0], 5, f"no numbers A, V and D {KEPT}", True),
    "a number missing": (SECOND_LINE.replace("V:2.500000; ", ""), 5, f"no numbers A, V and D {KEPT}", True),
    "nonsense for a number": (SECOND_LINE.replace("V:2.5", "V:2,5"), 5, f"no numbers A, V and D {KEPT}", True),
    "cut off in the letter": (
        SECOND_LINE.partition("; A:")[0], 5, f"no consensus letter and no numbers A, V and D {KEPT}", True
    ),
    "name cut off": ("UTD-IMPROV-S07A-F02-S-F", 5, "no whole name of a clip; the line looks cut off; left out", False),
    "another sentence": (
        SECOND_LINE.replace("S07A", "S21A"), 5, "unknown sentence code '21', expected one of 01 02 03 04 05", False
    ),
    "another target": (
        SECOND_LINE.replace("S07A", "S07F"), 5, "unknown target code 'F', expected one of A H N S; left out", False
    ),
    "another session": (
        SECOND_LINE.replace("F02", "F07"), 5, "unknown session code '7', expected one of 1 2 3 4 5 6; left out", False
    ),
    "another scenario": (
        SECOND_LINE.replace("-S-", "-Z-"), 5, "unknown scenario code 'Z', expected one of P R S T; left out", False
    ),
    "rater cut off": (f"{SECOND_LINE}\n{RATER_LINE[:-30]}", 6, NO_RATER, True),
    "garbage": (f"{SECOND_LINE}\n\x00\x01", 6, NO_RATER, True),
    "rater's unknown word": (
        f"{SECOND_LINE}\n{RATER_LINE.replace('Neutral', 'Bored')}", 6,
        "unknown rater's word code 'bored', expected one of a angry d depressed", True,
    ),
    "a blank line within": (f"{SECOND_LINE}\n\n{RATER_LINE}\n\n{SECOND_LINE.replace('FM02', 'FM09')}", 7,
        "a rater's line without a clip before it; left out", True,
    ),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_label_is_named_by_file_and_line_and_the_rest_is_read(small: Path, damage: str) -> None:
    line, number, fault, kept = DAMAGE[damage]
    edit(small, SECOND_LINE, line)
    corpus = read(small)
    (found,) = (text for text in corpus.faults if text.startswith(f"{LABELS}:{number}: "))
    assert found.removeprefix(f"{LABELS}:{number}: ").startswith(fault)
    assert set(rows_of(corpus)) == {FIRST, SPOKEN, READ, CHAT} | ({SECOND} if kept else set())
    assert set(corpus.tables["raters"]["utterance"]) <= set(rows_of(corpus))
    assert len(corpus.tables["raters"].query("utterance == @FIRST")) == 2, "no other's raters"
    if not kept:
        assert f"{FOLDER}/S/{SECOND}.wav: no usable label line says what it is; left out" in corpus.faults


def test_what_a_damaged_label_still_says_is_kept_and_the_rest_stays_empty(small: Path) -> None:
    edit(small, SECOND_LINE, SECOND_LINE.partition("00000 ; N")[0])
    row = rows_of(read(small))[SECOND]
    assert row["emotion"] == "anger"
    assert np.isnan([row["arousal"], row["valence"], row["dominance"]]).all()


def test_a_second_line_for_a_clip_is_left_out_with_its_raters(small: Path) -> None:
    with (small / LABELS).open("a") as file:
        file.write(f"{SECOND_LINE.replace('; A;', '; H;')}\n{RATER_LINE.replace('WORKER', 'OTHER')}\n")
    corpus = read(small)
    assert corpus.faults == (f"{LABELS}:21 ({SECOND}): this clip has a line before; left out",)
    assert rows_of(corpus)[SECOND]["emotion"] == "anger"
    assert not corpus.tables["raters"]["rater"].str.startswith("OTHER").any()


def test_a_copy_of_the_label_file_is_a_fault_in_few_words(small: Path) -> None:
    clips = [Clip(f"IMPROV-S08N-M02-S-FM{number:02}", "N", RATINGS) for number in range(1, 21)]
    write_clips(small, clips)
    (small / "Labels").mkdir()
    (small / "Labels/Evaluation.txt").write_bytes((small / LABELS).read_bytes())
    for file in small.rglob("*S07A*.wav"):
        file.unlink()
    corpus = read(small)
    assert len(corpus.manifest) == 20
    assert corpus.faults == (
        f"Labels/Evaluation.txt:1 (MSP-{clips[0].name}) and 19 other lines: this clip has a line before; left out",
        "Labels/Evaluation.txt: no clip in it that is not elsewhere; the file looks cut off or is a copy",
    )


def test_a_clip_without_recording_is_left_out(small: Path) -> None:
    (small / f"{FOLDER}/S/{SECOND}.wav").unlink()
    corpus = read(small)
    assert corpus.faults == (f"{LABELS}:5 ({SECOND}): no recording of this clip, .wav or .flac; left out",)
    assert SECOND not in rows_of(corpus)
    assert SECOND not in set(corpus.tables["raters"]["utterance"])


@pytest.mark.parametrize(
    ("file", "fault"),
    [
        (f"{FOLDER}/S/MSP-IMPROV-S07A-F02-S-FM09.wav", "no usable label line says what it is; left out"),
        (f"{FOLDER}/S/{FIRST} (1).wav", "not the name of a clip such as MSP-IMPROV-S01A-F01-S-FM01; left out"),
        (f"{FOLDER}/S/{FIRST}.mp3", "expected .wav or .flac; left out"),
        (f"{FOLDER}/S/{FIRST}.flac", "a second recording of its clip; left out"),
        (f"{FOLDER}/S/UTD-{FIRST[4:]}.wav", "a second recording of its clip; left out"),
        ("text/MSP-IMPROV-S07A-F02-S-FM09.txt", "no usable label line for this clip; its text is left out"),
    ],
)
def test_a_file_that_does_not_belong_is_named(small: Path, file: str, fault: str) -> None:
    before = read(small).manifest
    touch(small, file)
    corpus = read(small)
    assert corpus.faults == (f"{file}: {fault}",)
    assert corpus.manifest.equals(before)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"no label file of mspimprov among 5 files; expected Evalution.txt \(so spelt in the release\)"),
        (b"", "no usable clip of mspimprov in Evalution.txt; Evalution.txt: no clip in it"),
        (
            b"\xff\xfe\x00\x80" * 50,
            "no usable clip of mspimprov in Evalution.txt; Evalution.txt:1: a rater's line without",
        ),
    ],
)
def test_a_folder_without_usable_labels_is_refused(small: Path, content: bytes | None, message: str) -> None:
    if content is None:
        (small / LABELS).unlink()
    else:
        (small / LABELS).write_bytes(content)
    with pytest.raises(CorpusError, match=message):
        read(small)
