"""Conversations from raw recordings: as in the run, whatever the turns come from; words, formats, mistakes."""

import csv
import io
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile

from affectra.cli import main
from affectra.corpora.manifest import read_manifest, write_manifest
from affectra.corpora.synthetic import render
from affectra.errors import AudioError, CheckpointError, ConfigError, CorpusError
from affectra.models.dialogue.dialogue_folds import DialogueNetworks
from affectra.predict import conversation
from affectra.predict.conversation import Conversation, DialogueModel, Turn, Words
from affectra.runs.plan import plan_run
from affectra.runs.run import execute
from affectra.text.asr.words import Transcript
from conversations import CLASSES, MEL, SEGMENTS, SILENT, WORDS, scores, talk, turns_of, untrained

QUICK = {
    "epochs": 5, "batch_size": 4, "schedule": {"name": "constant"},
    "optimizer": {"name": "adam", "options": {"lr": 2e-3}},
}  # fmt: skip
SAID = {"anger": "leave me alone", "sadness": "so it is"}


@pytest.fixture(scope="module")
def corpus(tone_manifest: Path) -> Path:
    """The tones as two dialogues of four turns, with words for most of them; two speakers in turn."""
    manifest = read_manifest(tone_manifest)
    kept = []
    for speakers in (("s0", "s1"), ("s2", "s3")):
        parts = [
            manifest[manifest["speaker"] == speaker].iloc[[0, 1, 3, 4]].reset_index(drop=True) for speaker in speakers
        ]
        rows = pd.concat([part.iloc[[k]] for k in range(4) for part in parts])
        kept.append(rows.assign(dialogue=speakers[0], turn=range(8)))
    rows = pd.concat(kept, ignore_index=True)
    rows["text"] = [SAID[emotion] for emotion in rows["emotion"]]
    rows.loc[2, "text"] = ""  # a turn that lacks a modality is context all the same
    path = tone_manifest.with_name("talks.csv")
    write_manifest(rows, path)
    return path


@pytest.fixture(scope="module")
def run(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    settings = {
        f"{part}.training.{key}": value
        for part in ("modalities.audio", "modalities.text", "context", "fusion")
        for key, value in QUICK.items()
    }
    settings |= {
        "modalities.audio.front_end": MEL,
        "modalities.audio.segments": SEGMENTS,
        "modalities.audio.model": {"name": "text-gru", "options": {"n_hidden": 16, "n_embedding": 8}},
        "modalities.text.front_end": WORDS,
        "fusion.model.options.n_layers": 1,
        "only": {},
        "protocol": {"name": "losession", "options": {"dev": False}},
    }
    folder = tmp_path_factory.mktemp("run") / "run"
    execute(plan_run("dutta2022-cpu", [f"tones={corpus}"], task="emotion", settings=settings, out=folder))
    return folder


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained(tmp_path_factory.mktemp("both"), "audio", "text")


# As in the run


def test_raw_files_are_predicted_as_the_run_predicted_its_test_turns(corpus: Path, run: Path) -> None:
    manifest = pd.read_csv(corpus, keep_default_na=False)
    talks = {talk.name: talk for talk in conversation.read_conversations(corpus)}
    assert list(talks) == ["s0", "s2"]
    for fold in (0, 1):
        predicted = pd.read_csv(run / f"seed-0/fold-{fold}/predictions.csv")
        names = manifest[manifest["dialogue"].isin({name[:2] for name in predicted["utterance"]})]
        (name,) = set(names["dialogue"])
        model = conversation.load(run / f"seed-0/fold-{fold}")
        found = list(model.recognize(talks[name], words=SILENT, abstain=False))
        predicted = predicted.set_index("utterance").loc[names.sort_values("turn")["utterance"]]  # as they were said
        assert [one.turn.file.stem for one in found if one.turn.file] == predicted.index.tolist()
        expected = predicted[[f"score_{name}" for name in model.classes]].to_numpy()
        np.testing.assert_allclose(scores(found), expected, atol=1e-6)
        assert np.ptp(expected, axis=0).max() > 0.01  # turns differ by more than is allowed here
        assert [one.prediction.emotion for one in found] == predicted["predicted"].tolist()


def test_a_run_is_the_mean_of_its_folds_made_softer_by_its_temperature(run: Path, corpus: Path) -> None:
    (talk, _) = conversation.read_conversations(corpus)
    whole = conversation.load(run)
    each = [scores(list(model.recognize(talk, words=SILENT))) for model in (
        conversation.load(run / f"seed-0/fold-{fold}") for fold in (0, 1))]  # fmt: skip
    found = list(whole.recognize(talk, words=SILENT))
    np.testing.assert_allclose(scores(found), whole.calibration.apply(np.mean(each, axis=0)), atol=1e-6)
    assert whole.calibration.temperature != 1 and whole.calibration.distance_power == 0
    assert len(whole.folds) == 2 and not whole.synthetic


def test_a_turn_without_words_is_flagged_and_stays(corpus: Path, run: Path) -> None:
    (talk, _) = conversation.read_conversations(corpus)
    found = list(conversation.load(run).recognize(talk, words=SILENT))
    assert ["no_text" in one.prediction.flags for one in found] == [k == 2 for k in range(8)]


# Where turns come from


def write_table(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, sorted({name for row in rows for name in row}))
        writer.writeheader()
        writer.writerows(rows)
    return path


def two_channels(folder: Path, files: Sequence[Path]) -> tuple[Path, list[dict[str, Any]]]:
    """One recording of all turns, one after the other, each on its speaker's channel over a hum; and rows."""
    sounds = [soundfile.read(file)[0] for file in files]
    together = 0.05 * np.sin(np.arange(sum(map(len, sounds)))[:, None] * [0.01, 0.02])
    rows, at = [], 0
    for k, sound in enumerate(sounds):
        together[at : at + len(sound), k % 2] = sound
        rows.append({"start": at / 16_000, "end": (at + len(sound)) / 16_000, "speaker": "AB"[k % 2], "text": f"w{k}"})
        at += len(sound)
    soundfile.write(folder / "call.wav", together, 16_000, subtype="FLOAT")
    return folder / "call.wav", rows


def test_one_recording_of_two_channels_equals_separate_files(both: Path, tmp_path: Path) -> None:
    files = talk(tmp_path)
    call, rows = two_channels(tmp_path, files)
    model = conversation.load(both)
    separate = write_table(
        tmp_path / "separate.csv",
        [{"file": f.name, "speaker": r["speaker"], "text": r["text"]} for f, r in zip(files, rows, strict=True)],
    )
    (apart,) = conversation.read_conversations(separate)
    expected = scores(list(model.recognize(apart)))
    sides = write_table(
        tmp_path / "sides.csv", [{**row, "channel": ["left", "right"][k % 2]} for k, row in enumerate(rows)]
    )
    plain = write_table(tmp_path / "plain.tsv.csv", rows)
    for table, channels in ((sides, None), (plain, {"A": 0, "B": 1})):
        (one,) = conversation.read_conversations(table, call, channels)
        np.testing.assert_allclose(scores(list(model.recognize(one))), expected, atol=1e-6)
    (mixed,) = conversation.read_conversations(plain, call)  # the mean of both channels is another sound
    assert np.abs(scores(list(model.recognize(mixed))) - expected).max() > 1e-3


def test_turns_of_one_recording_are_heard_in_the_order_in_which_they_start(tmp_path: Path) -> None:
    call, rows = two_channels(tmp_path, talk(tmp_path))
    one_after_the_other = write_table(tmp_path / "t.csv", rows[::2] + rows[1::2])  # as tools that annotate tiers export
    (found,) = conversation.read_conversations(one_after_the_other, call)
    assert [turn.text for turn in found.turns] == ["w0", "w1", "w2", "w3"]
    assert [turn.number for turn in found.turns] == [1, 2, 3, 4]
    numbered = write_table(tmp_path / "n.csv", [{**row, "turn": 9 - k} for k, row in enumerate(rows)])
    (found,) = conversation.read_conversations(numbered, call)
    assert [turn.text for turn in found.turns] == ["w3", "w2", "w1", "w0"]


def test_speakers_without_a_name_are_told_apart_by_their_channels(tmp_path: Path) -> None:
    call, rows = two_channels(tmp_path, talk(tmp_path))
    table = write_table(tmp_path / "t.csv", [{**row, "speaker": "", "channel": k % 2} for k, row in enumerate(rows)])
    (found,) = conversation.read_conversations(table, call)
    assert [turn.speaker for turn in found.turns] == ["channel 0", "channel 1"] * 2


def test_what_speakers_are_called_does_not_matter(both: Path, tmp_path: Path) -> None:
    turns = turns_of(talk(tmp_path)).turns
    model = conversation.load(both)
    renamed = tuple(Turn(**{**vars(turn), "speaker": {"A": "z", "B": "y"}[turn.speaker]}) for turn in turns)
    one, other = (scores(list(model.recognize(Conversation("", part)))) for part in (turns, renamed))
    np.testing.assert_array_equal(one, other)


def test_several_conversations_of_a_table_know_nothing_of_each_other(both: Path, tmp_path: Path) -> None:
    files = talk(tmp_path)
    rows = [{"file": file.name, "text": "a", "dialogue": name} for name in "xy" for file in files[:2]]
    table = write_table(tmp_path / "t.csv", [*rows, {"file": files[3].name, "text": "a", "dialogue": ""}])
    model = conversation.load(both)
    x, y, alone = conversation.read_conversations(table)
    assert (x.name, y.name, len(alone.turns)) == ("x", "y", 1)
    np.testing.assert_array_equal(scores(list(model.recognize(x))), scores(list(model.recognize(y))))


# Models


def test_a_causal_model_answers_each_turn_before_the_next_is_read(tmp_path: Path) -> None:
    model = conversation.load(untrained(tmp_path / "causal", "audio", "text", causal=True))
    assert model.is_causal
    turns = turns_of(talk(tmp_path)).turns
    whole = list(model.recognize(Conversation("", turns)))
    first_two = list(model.recognize(Conversation("", turns[:2])))
    np.testing.assert_allclose(scores(whole[:2]), scores(first_two), atol=1e-6)
    missing = Turn(3, tmp_path / "missing.wav")
    live = model.recognize(Conversation("", (*turns[:2], missing)), live=True)
    np.testing.assert_allclose(scores([next(live), next(live)]), scores(first_two), atol=1e-6)
    with pytest.raises(AudioError, match="no such file"):
        next(live)


def test_a_model_that_looks_ahead_says_other_things_when_more_is_said(both: Path, tmp_path: Path) -> None:
    model = conversation.load(both)
    turns = turns_of(talk(tmp_path)).turns
    assert not model.is_causal
    whole, less = (scores(list(model.recognize(Conversation("", part))))[:2] for part in (turns, turns[:2]))
    assert np.abs(whole - less).max() > 1e-4


def test_without_a_context_each_turn_stands_for_itself(tmp_path: Path) -> None:
    model = conversation.load(untrained(tmp_path / "alone", "audio", "text", context=False))
    turns = turns_of(talk(tmp_path)).turns
    whole = scores(list(model.recognize(Conversation("", turns))))
    for k, turn in enumerate(turns):
        np.testing.assert_allclose(scores(list(model.recognize(Conversation("", (turn,)))))[0], whole[k], atol=1e-6)


def test_a_model_of_text_needs_no_recording_and_reads_none(tmp_path: Path) -> None:
    model = conversation.load(untrained(tmp_path / "text", "text"))
    given = (
        Turn(1, None, text="leave me"),
        Turn(2, tmp_path / "missing.wav", text="so it is"),
        Turn(3, None, text="no"),
    )
    found = list(model.recognize(Conversation("", given), abstain=False))
    assert all(one.prediction.emotion in CLASSES and not one.prediction.flags for one in found)
    assert found[0].as_row()["start"] is None and found[0].as_row()["file"] == ""


def test_a_turn_without_a_text_in_a_table_of_texts_is_unknown_and_the_rest_is_answered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = untrained(tmp_path / "text", "text")
    table = write_table(tmp_path / "t.csv", [{"speaker": s, "text": t} for s, t in (("A", "so it is"), ("B", ""))])
    (read,) = conversation.read_conversations(table)
    assert read.turns == (Turn(1, None, speaker="A", text="so it is"), Turn(2, None, speaker="B"))
    assert predict(table, "--model", model, "--format", "json") == 0
    one, two = json.loads(capsys.readouterr().out)
    assert (two["emotion"], two["flags"]) == ("unknown", "no_text") and one["emotion"] in CLASSES
    given = list(conversation.load(model).recognize(read))
    assert [one["score_anger"], two["score_anger"]] == pytest.approx(scores(given)[:, 0].tolist(), abs=1e-4)


def test_a_model_of_audio_asks_for_no_words(tmp_path: Path) -> None:
    model = conversation.load(untrained(tmp_path / "audio", "audio"))
    found = list(model.recognize(Conversation("", (Turn(1, talk(tmp_path)[0], text="given"),)), abstain=False))
    assert found[0].text == "given" and not {"asr", "no_text"} & {*found[0].prediction.flags}


# What is heard


def test_flags_are_those_of_recordings_and_silence_is_unknown(tmp_path: Path) -> None:
    model = conversation.load(untrained(tmp_path / "audio", "audio"))
    sounds = {
        "silent": np.zeros(16_000), "too_short": 0.1 * np.random.default_rng(0).standard_normal(1600),
        "clipped": np.clip(3 * np.sin(np.arange(16_000) / 20), -1, 1),
    }  # fmt: skip
    turns = []
    for k, (name, sound) in enumerate(sounds.items()):
        soundfile.write(tmp_path / f"{name}.wav", sound, 16_000)
        turns.append(Turn(k, tmp_path / f"{name}.wav"))
    found = list(model.recognize(Conversation("", tuple(turns))))
    for name, one in zip(sounds, found, strict=True):
        assert name in one.prediction.flags
        assert one.prediction.emotion == "unknown"  # nobody speaks in any of them
    assert all(math.isclose(sum(one.prediction.scores.values()), 1) for one in found)


def test_words_make_up_for_silence(both: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silent.wav", np.zeros(16_000), 16_000)
    silent = tmp_path / "silent.wav"
    given = Conversation("", (Turn(1, silent, text="leave me alone"), Turn(2, silent)))
    first, second = conversation.load(both).recognize(given, words=SILENT)
    assert first.prediction.emotion in CLASSES and second.prediction.emotion == "unknown"


class Hearing:
    """A recogniser that hears how long somebody speaks."""

    version = "1"

    def __init__(self) -> None:
        self.n_heard = 0

    def transcribe(self, samples: np.ndarray, sample_rate: int) -> Transcript:
        self.n_heard += 1
        return Transcript(f"about {round(len(samples) / sample_rate, 1)} seconds")


def test_a_recogniser_fills_in_the_words_that_are_missing(both: Path, tmp_path: Path) -> None:
    files = talk(tmp_path)
    model, ear = conversation.load(both), Hearing()
    mixed = turns_of(files, ["given", "", "", "given too"])
    found = list(model.recognize(mixed, words=Words("ear", ear, "")))
    assert [one.text for one in found] == ["given", "about 1.5 seconds", "about 0.8 seconds", "given too"]
    assert ["asr" in one.prediction.flags for one in found] == [False, True, True, False]
    assert ear.n_heard == 2
    same = list(model.recognize(turns_of(files, [one.text for one in found])))
    np.testing.assert_array_equal(scores(found), scores(same))
    without = list(model.recognize(mixed, words=SILENT))
    assert ["no_text" in one.prediction.flags for one in without] == [False, True, True, False]
    assert np.abs(scores(without) - scores(found)).max() > 1e-4


def test_pocketsphinx_hears_a_turn_of_the_embedded_corpus(both: Path) -> None:
    pytest.importorskip("pocketsphinx")
    root = render()
    manifest = read_manifest(root / "manifest.csv")
    row = manifest[manifest["language"].str.startswith("en")].iloc[0]
    (found,) = conversation.load(both).recognize(conversation.conversation_of_files([root / row["file"]]))
    assert "asr" in found.prediction.flags
    assert len({*found.text.split()} & {*row["text"].lower().strip(".").replace(",", "").split()}) >= 3


def test_a_recogniser_of_an_unknown_name_is_named() -> None:
    with pytest.raises(ConfigError, match=r"pocketsfinx.*pocketsphinx"):
        conversation.find_words("pocketsfinx")
    assert conversation.find_words("none").recognizer is None


def test_without_a_recogniser_it_says_which_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("affectra.predict.conversation.words.find_spec", lambda name: None)
    words = conversation.find_words()
    assert words.recognizer is None and "affectra[asr]" in words.notice


# The command


def predict(*arguments: object) -> int:
    return main(["predict", "--dialogue", *map(str, arguments)])


@pytest.fixture
def table(tmp_path: Path) -> Path:
    call, rows = two_channels(tmp_path, talk(tmp_path))
    named = [{**row, "file": call.name, "channel": k % 2} for k, row in enumerate(rows)]
    return write_table(tmp_path / "turns.csv", named)


def test_csv_has_the_columns_of_the_contract_and_those_of_turns(
    both: Path, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(table, "--model", both, "--format", "csv") == 0
    printed = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(printed.out)))
    assert list(rows[0]) == [
        "file", "start", "end", "emotion", "confidence", *(f"score_{name}" for name in CLASSES),
        "arousal", "valence", "flags", "speaker", "turn", "text",
    ]  # fmt: skip
    assert [row["speaker"] for row in rows] == ["A", "B", "A", "B"] and rows[3]["text"] == "w3"
    assert [float(row["start"]) for row in rows[1:]] == [float(row["end"]) for row in rows[:-1]]
    assert "synthetic speech" in printed.err and "transcript" not in printed.err


def test_each_format_has_the_same_rows(both: Path, table: Path, tmp_path: Path) -> None:
    for ending in (".csv", ".json", ".tsv", ".TextGrid"):
        assert predict(table, "--model", both, "--no-abstain", "--out", tmp_path / f"out{ending}") == 0
    of_json = json.loads((tmp_path / "out.json").read_text())
    of_csv = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text())))
    of_tsv = list(csv.DictReader(io.StringIO((tmp_path / "out.tsv").read_text()), delimiter="\t"))
    emotions = [row["emotion"] for row in of_json]
    assert emotions == [row["emotion"] for row in of_csv] == [row["emotion"] for row in of_tsv] and len(emotions) == 4
    grid = (tmp_path / "out.TextGrid").read_text()
    assert grid.count('class = "IntervalTier"') == 2 and 'name = "A"' in grid and 'name = "B"' in grid
    assert [grid.count(f'text = "{name}"') for name in CLASSES] == [emotions.count(name) for name in CLASSES]


def test_tiers_of_a_textgrid_reach_to_the_end_whoever_speaks_last() -> None:
    rows = [
        {"speaker": speaker, "start": start, "end": end, "emotion": "anger"}
        for speaker, start, end in (("A", 0.0, 2.0), ("B", 1.0, 3.0), ("", 3.5, 4.0))
    ]
    grid = conversation.conversation_textgrid(rows, 5.0)
    assert grid.count("xmax = 5\n") == 1 + 3 + 3  # of the whole, of each tier, of each tier's last interval
    assert 'name = "speaker unknown"' in grid
    assert grid.count('text = "anger"') == 3  # two people at a time do not cut each other off


def test_textgrids_of_several_recordings_want_a_folder(
    both: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = talk(tmp_path)
    assert predict(*files, "--model", both, "--asr", "none", "--format", "textgrid") == 2
    assert "--out FOLDER" in capsys.readouterr().err
    assert predict(*files, "--model", both, "--asr", "none", "--format", "textgrid", "--out", tmp_path / "grids") == 0
    assert sorted(path.name for path in (tmp_path / "grids").iterdir()) == [f"turn{k}.TextGrid" for k in range(4)]


def test_classes_can_be_restricted(both: Path, table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict(table, "--model", both, "--classes", "sadness", "--format", "json") == 0
    assert all(row["score_sadness"] == 1 for row in json.loads(capsys.readouterr().out))
    assert predict(table, "--model", both, "--classes", "joy") == 2


def test_what_hears_the_words_is_said_once(
    both: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("affectra.predict.conversation.words.find_spec", lambda name: None)
    assert predict(*talk(tmp_path), "--model", both, "--format", "json") == 0
    printed = capsys.readouterr()
    assert printed.err.count("affectra[asr]") == 1
    assert all("no_text" in row["flags"] for row in json.loads(printed.out))


def test_a_missing_recording_is_named_once_and_the_rest_is_done(
    both: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = talk(tmp_path)
    rows = [{"file": file.name, "text": "so it is"} for file in files[:2]]
    lost = [{"file": "lost.wav", "text": ""}, {"file": "lost.wav", "text": "with words"}]
    table = write_table(tmp_path / "t.csv", [*rows, *lost])
    assert predict(table, "--model", both, "--asr", "none", "--format", "json") == 1
    printed = capsys.readouterr()
    assert printed.err.count("lost.wav: no such file") == 1
    found = json.loads(printed.out)
    assert [row["turn"] for row in found] == [1, 2, 4]  # words alone are something to go by
    assert "no_audio" in found[-1]["flags"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"end": 99.0}, "turn 4 is from .* to 99 s, and the recording ends at 4.50 s"),
        ({"start": 99.0, "end": 100.0}, "99 s is beyond its end"),
        ({"channel": 2}, "no channel 2, there are 2, from 0 to 1"),
    ],
)
def test_a_turn_that_is_not_in_its_recording_is_named(
    both: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, Any], words: str
) -> None:
    call, rows = two_channels(tmp_path, talk(tmp_path))
    table = write_table(tmp_path / "t.csv", [*rows[:3], {**rows[3], "text": "", **change}])
    assert predict(call, table, "--model", both, "--asr", "none", "--format", "json") == 1
    printed = capsys.readouterr()
    assert len(json.loads(printed.out)) == 3
    assert re.search(f"call.wav: .*{words}", printed.err)


def test_turns_may_overlap(both: Path, tmp_path: Path) -> None:
    call, rows = two_channels(tmp_path, talk(tmp_path))
    rows[1]["start"] = 0.5
    (found,) = conversation.read_conversations(write_table(tmp_path / "t.csv", rows), call)
    assert len(list(conversation.load(both).recognize(found))) == 4


# Mistakes


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"file": ""}, "t.csv: no row names a file, and there is no column text"),
        ({"start": "soon"}, "t.csv:2: start is 'soon', expected seconds"),
        ({"start": "-1"}, "start is '-1'"),
        ({"end": "inf"}, "end is 'inf'"),
        ({"start": "3", "end": "2"}, "ends at 2 s and starts at 3 s"),
        ({"channel": "middle"}, "channel is 'middle', expected left, right or a number"),
        ({"channel": "-1"}, "channel is '-1'"),
        ({"turn": "1.5"}, "turn is '1.5', expected a whole number"),
    ],
)
def test_a_row_that_cannot_be_is_named(row: dict[str, str], words: str, tmp_path: Path) -> None:
    table = write_table(tmp_path / "t.csv", [{"file": "a.wav", **row}])
    with pytest.raises(ConfigError, match=words):
        conversation.read_conversations(table)


def test_tables_that_contradict_themselves_are_refused(tmp_path: Path) -> None:
    twice = [{"file": "a.wav", "turn": 1}, {"file": "b.wav", "turn": 1}]
    with pytest.raises(ConfigError, match="turn 1 is there twice; several conversations need a column dialogue"):
        conversation.read_conversations(write_table(tmp_path / "t.csv", twice))
    some = [{"file": "a.wav", "turn": 1}, {"file": "b.wav", "turn": ""}]
    with pytest.raises(ConfigError, match="1 of 2 turns have a number"):
        conversation.read_conversations(write_table(tmp_path / "t.csv", some))
    with pytest.raises(ConfigError, match=r"every row of .* names a file of its own"):
        conversation.read_conversations(write_table(tmp_path / "t.csv", some[:1]), tmp_path / "call.wav")
    with pytest.raises(ConfigError, match="unknown speaker 'B'"):
        conversation.read_conversations(
            write_table(tmp_path / "t.csv", [{"file": "a.wav", "speaker": "A"}]), None, {"B": 1}
        )
    with pytest.raises(CorpusError, match="the table has no rows"):
        conversation.read_conversations(write_table(tmp_path / "t.csv", [{"file": ""}][:0] or [dict.fromkeys([], "")]))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a.wav", "b.wav", "t.csv"], "1 tables and 2 recordings; expected recordings alone"),
        (["t.csv", "u.csv"], "2 tables and 0 recordings"),
        (["a.wav", "--channel", "A=0"], "needs a table of turns"),
        (["t.csv", "--channel", "A"], "expected SPEAKER=CHANNEL"),
        (["t.csv", "--timeline"], "--timeline does not go with --dialogue"),
        (["missing.csv"], "missing.csv"),
    ],
)
def test_command_lines_that_cannot_be_are_one_line(
    arguments: list[str], words: str, both: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(*arguments, "--model", both) == 2
    printed = capsys.readouterr().err
    assert words in printed and printed.count("\n") == 1


def test_models_of_conversations_and_of_utterances_are_not_mistaken_for_each_other(
    both: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (recording,) = talk(tmp_path, [1.0])
    assert main(["predict", str(recording), "--model", str(both)]) == 2
    assert "predict --dialogue" in capsys.readouterr().err
    assert predict(recording) == 2
    assert "affectra-base: recognises recordings one by one" in capsys.readouterr().err
    assert main(["predict", str(recording), "--model", str(both / "text")]) == 2
    assert "reads text, not recordings" in capsys.readouterr().err
    assert main(["predict", str(recording), "--asr", "none"]) == 2
    assert "--asr needs --dialogue" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "damaged or not a model"),
        ('{"format": 99}', "another version"),
        ('{"format": 2, "kind": "dialogue"}', "damaged, KeyError"),
        ('{"format": 2, "kind": "pictures"}', "a model of the kind pictures, expected dialogue"),
    ],
)
def test_a_damaged_fold_is_named(content: str, words: str, tmp_path: Path) -> None:
    untrained(tmp_path, "audio")
    (tmp_path / "model.json").write_text(content)
    with pytest.raises(CheckpointError, match=f"model.json: .*{words}"):
        DialogueNetworks(tmp_path)


def test_folds_of_different_models_are_no_model(both: Path, tmp_path: Path) -> None:
    other = conversation.load(untrained(tmp_path, "audio"))
    with pytest.raises(CheckpointError, match="different classes or modalities"):
        DialogueModel([*conversation.load(both).folds, *other.folds], "mixed")
