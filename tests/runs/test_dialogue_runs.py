"""Runs over dialogues: which turns are heard, nothing of a test in any checkpoint, and what is missing or odd."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile

from affectra.cli import main
from affectra.corpora.iemocap import read as read_iemocap
from affectra.corpora.manifest import manifest_from_rows, read_manifest, write_manifest
from affectra.corpora.sources import write_corpus
from affectra.corpora.synthetic import read as read_synthetic
from affectra.corpora.synthetic import render
from affectra.errors import AffectraError, AudioError, CheckpointError, ConfigError, CorpusError, ProtocolError
from affectra.evaluation.compare import compare
from affectra.features.cache import load_frames
from affectra.files import read_json, write_json
from affectra.metrics import unweighted_average_recall
from affectra.models.dialogue import dialogue_checkpoint
from affectra.models.dialogue.turns import Dialogue
from affectra.models.recognizer import Recognizer, load_checkpoint
from affectra.recipes.config import load_recipe
from affectra.runs.plan import plan_run
from affectra.runs.run import execute
from affectra.runs.units import transcripts as transcribed
from affectra.runs.units.dialogue_jobs import prepare
from affectra.runs.units.plan_types import Plan
from affectra.runs.units.turns import dialogues_of_part, spoken_turns
from affectra.splits.protocols import PROTOCOLS, apply_protocol
from affectra.splits.protocols.folds import Fold
from affectra.tasks.statistics import exchange_test
from affectra.tasks.tables import read_predictions
from affectra.text.asr.transcripts import Transcripts
from affectra.text.asr.words import Transcript
from affectra.training.units import dialogue_fold, head
from miniatures.iemocap import write as write_miniature

CLASSES = {"anger": (900.0, "stop it now you"), "sadness": (250.0, "oh it is all over")}
TRAINING = {"epochs": 2, "batch_size": 4, "schedule": {"name": "constant"}}
SETTINGS: dict[str, Any] = {
    "task": "emotion",
    "protocol": {"name": "kfold-speaker", "options": {"k": 2, "dev": False}},
    "modalities.audio.front_end": {
        "name": "log-mel",
        "options": {"sample_rate": 8000, "window_length": 320, "n_filters": 16, "highest_hz": 3800.0},
    },
    "modalities.audio.segments": {"length_s": 1.0, "frames": None, "train_shift_s": 0.9, "test_shift_s": 0.9},
    "modalities.audio.model.options": {"channels": [4, 4], "n_embedding": 6},
    "modalities.text.front_end": {"name": "hashed-words", "options": {"n_dimensions": 8, "n_buckets": 64}},
    "modalities.text.model.options": {"n_hidden": 5, "n_layers": 1, "n_embedding": 7},
    "context.model.options": {"n_hidden": 4, "n_layers": 1},
    "fusion.model.options": {"n_hidden": 8, "n_heads": 2, "n_layers": 1, "n_feedforward": 8},
    **{
        f"{part}.training.{key}": value
        for part in ("modalities.audio", "modalities.text", "context", "fusion")
        for key, value in TRAINING.items()
    },
}
NO_TEXT: dict[str, Any] = {"modalities.text": None, "fusion": None}
NO_AUDIO: dict[str, Any] = {"modalities.audio": None, "fusion": None}
NO_WORDS = {"name": "pocketsphinx", "options": {}}
RECOGNISE = r"recognised with --set 'transcripts=\{source: \{name: pocketsphinx\}, used: missing\}'"
CORRUPTION = {"source": {"name": "corruption", "options": {"rate": 0.5}}, "used": "test"}


def corpus(folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame] = lambda rows: rows) -> Path:
    """Two pairs of speakers in two dialogues each, of five turns of which the last has no class; a class is a pitch."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, rows = np.random.default_rng(0), []
    for d in range(4):
        for turn in range(5):
            emotion = ("anger", "sadness")[(turn // 2 + d) % 2]
            pitch_hz, text = CLASSES[emotion]
            name = f"d{d}t{turn}"
            time_s = np.arange(int(8_000 * rng.uniform(0.3, 0.6))) / 8_000
            tone = 0.3 * np.sin(2 * np.pi * pitch_hz * rng.uniform(0.9, 1.1) * time_s)
            soundfile.write(folder / f"{name}.wav", tone + 0.01 * rng.standard_normal(len(tone)), 8_000)
            rows.append(
                {"utterance": name, "file": f"{name}.wav", "speaker": f"s{d % 2}{'ab'[turn % 2]}", "turn": turn}
                | {"dialogue": f"d{d}", "session": f"{d % 2}", "emotion": emotion if turn < 4 else "none"}
                | {"gender": ("female", "male")[turn % 2], "text": f"{text} {name}", "language": "en"}
            )
    write_manifest(change(manifest_from_rows(rows, "talk")), folder / "talk.csv")
    return folder / "talk.csv"


def plan_of(manifest: Path, out: Path, **changes: Any) -> Plan:
    """A plan of the tiny recipe; a dotted key is written with __."""
    changed = {key.replace("__", "."): value for key, value in changes.items()}
    parts = [key for key, value in changed.items() if value is None]
    settings = {k: v for k, v in SETTINGS.items() if not any(k.startswith(f"{part}.") for part in parts)}
    return plan_run("dutta2022-cpu", [f"talk={manifest}"], settings={**settings, **changed}, out=out)


def run(manifest: Path, out: Path, resume: bool = False, **changes: Any) -> Path:
    execute(plan_of(manifest, out, **changes), resume=resume)
    return out


def one_fold(manifest: Path, tested: Sequence[str], dev: Sequence[str] = ()) -> dict[str, Any]:
    """Settings of a single fold that tests some speakers and watches others."""
    rows = read_manifest(manifest)
    rows = rows[rows["emotion"] != "none"]
    parts = {"test": rows["speaker"].isin(tested), "dev": rows["speaker"].isin(dev)}
    parts["train"] = ~(parts["test"] | parts["dev"])
    names = {part: rows.loc[taken, "utterance"].tolist() for part, taken in parts.items()}
    path = manifest.with_name(f"folds-{'-'.join(tested)}.json")
    write_json(path, {"folds": [names]})
    return {
        "protocol": {"name": "fixed", "options": {"file": str(path)}},
        "allow_leak": ["session", "dialogue"],  # as in leaving one speaker out, whom the others talk to
    }


def scores_of(out: Path) -> pd.DataFrame:
    return read_predictions(out / "predictions.csv").sort_values("utterance").reset_index(drop=True)


def numbers(out: Path) -> np.ndarray:
    return scores_of(out)[["score_anger", "score_sadness"]].to_numpy()


def checkpoints(out: Path) -> dict[str, bytes]:
    """What is learnt: weights, what rebuilds them, and curves of training."""
    kinds = ("model.safetensors", "model.json", "history.csv")
    found = {str(p.relative_to(out)): p.read_bytes() for kind in kinds for p in out.glob(f"seed-*/fold-*/*/{kind}")}
    assert len(found) >= 4
    return found


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus(tmp_path_factory.mktemp("talk"))


@pytest.fixture(scope="module")
def whole(talk: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both modalities, context and fusion; speakers a are tested, so every dialogue is torn."""
    return run(talk, tmp_path_factory.mktemp("whole") / "run", **one_fold(talk, ["s0a", "s1a"]))


def test_turns_are_recognised_in_the_classes_of_the_task_and_no_others(whole: Path) -> None:
    """Fault 5 of the released code: its networks of turns know 8 and 7 classes, the task 4."""
    classes = read_json(whole / "scores.json")["classes"]
    for modality in ("audio", "text"):
        recognizer = load_checkpoint(whole / "seed-0" / "fold-0" / modality)
        assert list(recognizer.specification.classes) == classes
        assert any(parameter.shape == (len(classes),) for parameter in recognizer.network.parameters()), "its biases"


# Which turns a part hears


def turns_of(rows: Sequence[tuple[str, str, str, str]]) -> pd.DataFrame:
    """A table as `spoken_turns` gives it, of (key, conversation, speaker, target)."""
    return pd.DataFrame(rows, columns=["key", "conversation", "speaker", "target"]).assign(corpus="c")


def keys(dialogues: Sequence[Dialogue]) -> list[tuple[str, ...]]:
    return [dialogue.keys for dialogue in dialogues]


TORN = turns_of(
    [
        ("1a", "one", "ann", "x"), ("1b", "one", "bob", "x"), ("1c", "one", "ann", ""), ("1d", "one", "bob", ""),
        ("1e", "one", "guest", ""), ("2a", "two", "ann", "x"), ("2b", "two", "bob", ""), ("2c", "two", "guest", ""),
        ("3a", "three", "cid", "x"), ("3b", "three", "dee", "x"), ("4a", "four", "ann", "x"),
    ]
)  # fmt: skip


def test_training_hears_no_turn_of_a_speaker_who_is_left_out() -> None:
    fold = Fold(train=("1a", "2a", "3a", "4a"), dev=("3b",), test=("1b",))
    assert keys(dialogues_of_part(TORN, fold, "train")) == [("1a", "1c"), ("2a", "2c"), ("3a",), ("4a",)]


def test_a_test_dialogue_is_whole_and_a_dev_dialogue_lacks_what_is_tested_alone() -> None:
    fold = Fold(train=("3a",), dev=("1a", "2a", "4a"), test=("1b", "3b"))
    assert keys(dialogues_of_part(TORN, fold, "test")) == [("1a", "1b", "1c", "1d", "1e"), ("3a", "3b")]
    assert keys(dialogues_of_part(TORN, fold, "dev")) == [("1a", "1c", "1e"), ("2a", "2c"), ("4a",)]


def test_what_a_protocol_keeps_out_of_all_parts_is_not_heard_in_training() -> None:
    fold = Fold(train=("1a",), dev=(), test=("3a",))
    assert keys(dialogues_of_part(TORN, fold, "train")) == [("1a", "1c", "1d", "1e")]


def test_a_speaker_on_both_sides_gives_context_to_whole_dialogues() -> None:
    turns = turns_of([("1", "one", "ann", "x"), ("2", "one", "ann", ""), ("3", "two", "ann", "x")])
    assert keys(dialogues_of_part(turns, Fold(("1",), (), ("3",)), "train")) == [("1", "2")]


@pytest.mark.parametrize("protocol", sorted({*PROTOCOLS} - {"fixed", "cross-corpus", "multi-corpus", "loco"}))
def test_whatever_the_protocol_training_hears_nothing_of_dev_and_test(protocol: str) -> None:
    rng = np.random.default_rng(0)
    rows = [
        {"utterance": f"u{i}", "file": "x.wav", "speaker": f"s{i % 10}", "session": f"{i % 10 // 2 + 1}"}
        | {"dialogue": f"{i % 10 // 2}-{i // 40}", "gender": ("female", "male")[i % 2], "sentence": f"p{i % 7}"}
        | {"turn": i, "split": ("train", "dev", "test")[min(i % 10 // 3, 2)]}
        for i in range(200)
    ]
    manifest = manifest_from_rows(rows, "c")
    is_labelled = rng.random(200) < 0.7
    turns = manifest.assign(
        key=manifest["utterance"], conversation=manifest["dialogue"], target=np.where(is_labelled, "x", "")
    ).sort_values(["conversation", "turn"])
    splits = apply_protocol(protocol, manifest[is_labelled])
    person = dict(zip(turns["key"], turns["speaker"], strict=True))
    for fold in splits.folds:
        heard = {
            part: {key for d in dialogues_of_part(turns, fold, part) for key in d.keys} for part in ("train", "dev")
        }
        assert not heard["train"] & {*fold.dev, *fold.test} and not heard["dev"] & set(fold.test)
        assert set(fold.train) <= heard["train"] and set(fold.dev) <= heard["dev"]
        if splits.speaker_independent:
            others = {person[key] for key in (*fold.dev, *fold.test)}
            assert not {person[key] for key in heard["train"]} & others


def test_turns_are_in_the_order_in_which_they_were_said(talk: Path, tmp_path: Path) -> None:
    def change(rows: pd.DataFrame) -> pd.DataFrame:
        rows = rows.assign(start=0.0).iloc[::-1].reset_index(drop=True)
        rows.loc[rows["dialogue"] == "d0", "turn"] = [9, 1, 5, 5, 2]  # of d0t4 ... d0t0
        rows.loc[rows["utterance"] == "d0t1", "start"] = 0.1
        rows.loc[rows["dialogue"] == "d1", "turn"] = np.nan
        return rows

    turns = spoken_turns(plan_of(corpus(tmp_path, change), tmp_path / "run", **one_fold(talk, ["s0a"])))
    said = turns.groupby("conversation")["key"].agg(list)
    assert said["talk/d0"] == ["d0t3", "d0t0", "d0t2", "d0t1", "d0t4"]
    assert said["talk/d1"] == [f"d1t{i}" for i in range(5)]


def test_only_test_turns_are_scored_and_unlabelled_ones_give_context(whole: Path, talk: Path) -> None:
    rows = read_manifest(talk)
    tested = rows[(rows["emotion"] != "none") & rows["speaker"].isin(["s0a", "s1a"])]
    assert sorted(scores_of(whole)["utterance"]) == sorted(tested["utterance"])
    fold = whole / "seed-0" / "fold-0"
    assert set(read_json(fold / "split.json")["train"]) == set(read_json(fold / "text" / "heard.json"))
    assert len(read_json(fold / "text" / "tested.json")) == len(rows)


# Nothing of a test in what is learnt


def change_tested(folder: Path, rows: pd.DataFrame) -> pd.DataFrame:
    """Other labels, words and recordings of the tested speakers, whether their turns have a class or not."""
    tested = rows["speaker"].isin(["s0a", "s1a"])
    other = {"anger": "sadness", "sadness": "anger", "none": "none"}
    rng = np.random.default_rng(1)
    for name in rows.loc[tested, "file"]:
        soundfile.write(folder / name, 0.2 * rng.standard_normal(5_000), 8_000)
    words = [f"planted words of {name}" for name in rows["utterance"]]
    return rows.assign(
        emotion=rows["emotion"].where(~tested, rows["emotion"].map(other)), text=rows["text"].where(~tested, words)
    )


def test_planted_labels_words_and_recordings_of_the_test_change_nothing_that_is_learnt(
    whole: Path, talk: Path, tmp_path: Path
) -> None:
    other = corpus(tmp_path / "other", lambda rows: change_tested(tmp_path / "other", rows))
    out = run(other, tmp_path / "run", **one_fold(talk, ["s0a", "s1a"]))
    assert checkpoints(out) == checkpoints(whole)
    assert not np.allclose(numbers(out), numbers(whole)), "they are heard in tests"


def test_corrupted_words_in_training_are_drawn_from_what_is_trained_on_alone(talk: Path, tmp_path: Path) -> None:
    other = corpus(tmp_path / "other", lambda rows: change_tested(tmp_path / "other", rows))
    settings = {**one_fold(talk, ["s0a", "s1a"]), **NO_AUDIO, "transcripts": {**CORRUPTION, "used": "always"}}
    a, b = (run(path, tmp_path / name, **settings) for path, name in ((talk, "a"), (other, "b")))
    assert checkpoints(a) == checkpoints(b)


def test_transcripts_in_tests_alone_leave_the_checkpoints_and_say_how_wrong_they_are(
    whole: Path, talk: Path, tmp_path: Path
) -> None:
    out = run(talk, tmp_path / "run", transcripts=CORRUPTION, **one_fold(talk, ["s0a", "s1a"]))
    assert checkpoints(out) == checkpoints(whole)
    assert not np.allclose(numbers(out), numbers(whole))
    said = read_json(out / "environment.json")["transcripts"]
    n_words = sum(len(text.split()) for key, text in texts_of(talk).items() if key in set(scores_of(out)["utterance"]))
    assert (said["source"], said["used"], said["options"]) == ("corruption", "test", {"rate": 0.5})
    assert 0.2 < said["word_error_rate"] < 0.9 and said["n_words"] == n_words
    for page in ("report.html", "report.md"):
        text = (out / page).read_text()
        assert "by corruption (rate 0.5) in tests" in text
        assert f"word error rate {said['word_error_rate']:.3f} over {n_words} words" in text
        assert "weighted F1" in text and "UA (average recall)" in text and "WA (accuracy)" in text


def texts_of(manifest: Path) -> dict[str, str]:
    rows = read_manifest(manifest)
    return dict(zip(rows["utterance"], rows["text"], strict=True))


@pytest.mark.parametrize("used", ["test", "always"])
def test_no_corruption_is_the_text_that_was_given(whole: Path, talk: Path, tmp_path: Path, used: str) -> None:
    none = {"source": {"name": "corruption", "options": {"rate": 0.0}}, "used": used}
    out = run(talk, tmp_path / "run", transcripts=none, **one_fold(talk, ["s0a", "s1a"]))
    assert (out / "predictions.csv").read_bytes() == (whole / "predictions.csv").read_bytes()
    assert read_json(out / "environment.json")["transcripts"]["word_error_rate"] == 0


def test_the_dev_part_is_watched_as_it_is_heard_and_on_its_own_turns_alone(
    talk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its dialogues are torn: their other speaker is learnt from, gives context, and is not counted."""
    jobs = []
    train_head = head.train_head
    monkeypatch.setattr(head, "train_head", lambda job: (jobs.append(job), train_head(job)))
    out = run(talk, tmp_path / "run", **one_fold(talk, ["s0a", "s0b"], dev=["s1b"]))
    split = read_json(out / "seed-0" / "fold-0" / "split.json")
    assert [job.name for job in jobs] == ["audio-context", "text-context", "fusion"]
    for job in jobs:
        assert list(job.dev.targets) == split["dev"] and list(job.train.targets) == split["train"]
        heard = {key for dialogue in job.dev.dialogues for key in dialogue.keys}
        assert len(heard) == 10 and all(heard == set(of_modality) & heard for of_modality in job.dev.vectors)
        network, _ = dialogue_checkpoint.load_head(job.folder)
        found = dialogue_checkpoint.apply_head(network, job.dev.dialogues, job.dev.vectors, job.sizes)[0]
        truth = np.array(list(job.dev.targets.values()))
        ua = unweighted_average_recall(truth, np.array([found[key].argmax() for key in job.dev.targets]))
        assert pd.read_csv(job.folder / "history.csv")["dev_ua"].iloc[-1] == pytest.approx(ua)


# Frozen stages, and a run that goes on


class KilledError(Exception):
    """What stands for a kill."""


@pytest.mark.parametrize("stage", ["audio-context", "fusion", "predictions"])
def test_a_run_that_was_killed_goes_on_to_the_same_bytes_and_computes_no_embedding_again(
    whole: Path, talk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    settings, out = one_fold(talk, ["s0a", "s1a"]), tmp_path / "run"

    def killed(*args: Any) -> None:
        raise KilledError

    train_head = head.train_head

    def train(job: Any) -> None:
        killed() if job.name == stage else train_head(job)

    with monkeypatch.context() as patch:
        patch.setattr(head, "train_head", train)
        if stage == "predictions":
            patch.setattr(dialogue_fold.DialogueFoldJob, "_predicted", killed)
        with pytest.raises(KilledError):
            run(talk, out, **settings)
    assert not (out / "predictions.csv").exists()
    first = {path: path.read_bytes() for path in (out / "seed-0" / "fold-0").glob("*/*") if path.is_file()}
    before = ["audio", "audio-context", "text", "text-context", "fusion", "predictions"]
    assert {path.parent.name for path in first} == set(before[: before.index(stage)])
    assert {path.name for path in first} >= {"model.safetensors", "heard.safetensors", "tested.safetensors"}
    kept_audio = load_checkpoint(out / "seed-0" / "fold-0" / "audio").front_end.__class__

    def recognize(self: Recognizer, *args: Any) -> Any:
        assert not isinstance(self.front_end, kept_audio), "an embedding of the audio is computed again"
        return RECOGNIZE(self, *args)

    monkeypatch.setattr(Recognizer, "recognize", recognize)
    run(talk, out, resume=True, **settings)
    assert (out / "predictions.csv").read_bytes() == (whole / "predictions.csv").read_bytes()
    assert all(path.read_bytes() == content for path, content in first.items()), "what came first is frozen"
    assert checkpoints(out) == checkpoints(whole)
    assert not list(out.glob("**/resume"))


RECOGNIZE = Recognizer.recognize


def test_a_context_that_changed_is_another_run(talk: Path, tmp_path: Path) -> None:
    settings = {**one_fold(talk, ["s0a", "s1a"]), **NO_AUDIO}
    out = run(talk, tmp_path / "run", **settings)
    other = corpus(tmp_path, lambda rows: rows.assign(text=rows["text"].where(rows["emotion"] != "none", "else")))
    with pytest.raises(ConfigError, match="begun with other corpora"):
        run(other, out, resume=True, **settings)


def test_the_order_of_rows_changes_no_score(talk: Path, tmp_path: Path) -> None:
    shuffled = corpus(tmp_path, lambda rows: rows.sample(frac=1, random_state=0).reset_index(drop=True))
    a, b = (run(path, tmp_path / name, **NO_AUDIO) for path, name in ((talk, "a"), (shuffled, "b")))
    assert scores_of(a).equals(scores_of(b)) and checkpoints(a) == checkpoints(b)


def test_the_batch_of_prediction_changes_no_score(
    whole: Path, talk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(whole, tmp_path / "run")
    (tmp_path / "run" / "seed-0" / "fold-0" / "predictions.csv").unlink()
    monkeypatch.setattr(dialogue_checkpoint, "BATCH", 1)
    out = run(talk, tmp_path / "run", resume=True, **one_fold(talk, ["s0a", "s1a"]))
    np.testing.assert_allclose(numbers(out), numbers(whole), atol=1e-6)


# One modality


@pytest.mark.parametrize(("name", "others"), [("audio", NO_TEXT), ("text", NO_AUDIO)])
def test_without_context_a_modality_has_the_scores_of_its_recognizer(
    talk: Path, tmp_path: Path, name: str, others: dict[str, Any]
) -> None:
    plan = plan_of(talk, tmp_path / "run", context=None, **others, **one_fold(talk, ["s0a", "s1a"]))
    work = prepare(plan, 1, lambda _: None)
    execute(plan)
    recognizer = load_checkpoint(tmp_path / "run" / "seed-0" / "fold-0" / name)
    tested = work.folds[0].modalities[0].tested  # type: ignore[attr-defined]
    table = scores_of(tmp_path / "run")
    for key, row in zip(table["utterance"], numbers(tmp_path / "run"), strict=True):
        frames = load_frames(tested[key].frames)
        assert frames is not None
        np.testing.assert_array_equal(recognizer.recognize(frames).probabilities, row)
    assert set(tested) == set(table["utterance"]), "without context nothing else is embedded"


@pytest.mark.parametrize("name", ["audio", "text"])
def test_a_modality_withheld_in_tests_changes_nothing_that_is_learnt(
    whole: Path, talk: Path, tmp_path: Path, name: str
) -> None:
    out = run(talk, tmp_path / "run", withheld=[name], **one_fold(talk, ["s0a", "s1a"]))
    assert checkpoints(out) == checkpoints(whole) and not np.allclose(numbers(out), numbers(whole))
    assert not (out / "seed-0" / "fold-0" / name / "tested.safetensors").exists()
    assert f"Withheld in tests: {name}" in (out / "report.md").read_text()


def test_runs_over_dialogues_are_compared_by_dialogue(whole: Path, talk: Path, tmp_path: Path) -> None:
    other = run(talk, tmp_path / "run", withheld=["text"], **one_fold(talk, ["s0a", "s1a"]))
    a, b = scores_of(whole), scores_of(other)
    right = (a["truth"] == a["predicted"]).astype(int) - (b["truth"] == b["predicted"]).astype(int)
    parts = right.groupby(a["utterance"].str[:2]).sum().to_numpy() / len(a)
    found = compare(whole, other, by="dialogue")
    assert (found.by, found.n_groups, found.n_speakers, found.n_exchanges) == ("dialogue", 4, 2, 16)
    assert found.metrics["wa"].effect == pytest.approx(parts.sum())
    assert found.metrics["wa"].p == pytest.approx(
        exchange_test(lambda exchanged: (1 - 2 * exchanged) @ parts[:, None], 4)[0]
    )
    assert "dialogue by dialogue" in " ".join(found.lines())
    (other / "seed-0" / "fold-0" / "split.json").write_text("{}")
    with pytest.raises(CheckpointError, match="says nothing of dialogues"):
        compare(whole, other, by="dialogue")


# What is missing or odd


def with_cells(column: str, cells: dict[str, Any]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(rows: pd.DataFrame) -> pd.DataFrame:
        new = [cells.get(name, value) for name, value in zip(rows["utterance"], rows[column], strict=True)]
        return rows.assign(**{column: new})

    return change


@pytest.mark.parametrize("column", ["file", "text"])
def test_a_turn_without_a_modality_has_a_score_and_what_stands_there_is_not_heard(
    talk: Path, tmp_path: Path, column: str
) -> None:
    path = corpus(tmp_path, with_cells(column, {"d0t0": "", "d1t1": "", "d2t4": ""}))
    out = run(path, tmp_path / "run", **one_fold(talk, ["s0a", "s1a"]))
    assert len(scores_of(out)) == 8 and np.isfinite(numbers(out)).all()
    name = {"file": "audio", "text": "text"}[column]
    assert "d0t0" not in read_json(out / "seed-0" / "fold-0" / name / "tested.json")


def test_a_modality_that_a_turn_lacks_is_absent_to_the_fusion_though_it_has_a_context(
    talk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = corpus(tmp_path, with_cells("text", {"d0t0": ""}))
    seen = []
    apply_head = dialogue_fold.apply_head

    def spy(network: Any, dialogues: Any, vectors: Any, sizes: Any) -> Any:
        seen.append([set(of_modality) for of_modality in vectors])
        return apply_head(network, dialogues, vectors, sizes)

    monkeypatch.setattr(dialogue_fold, "apply_head", spy)
    run(path, tmp_path / "run", **one_fold(talk, ["s0a", "s1a"]))
    audio, text = seen[-1]
    assert audio - text == {"d0t0"} and text < audio


def test_a_recording_that_is_listed_and_not_there_is_named(talk: Path, tmp_path: Path) -> None:
    path = corpus(tmp_path)
    (tmp_path / "d0t0.wav").unlink()
    with pytest.raises(AffectraError, match=r"d0t0\.wav"):
        run(path, tmp_path / "labelled", **one_fold(talk, ["s0a", "s1a"]))
    path = corpus(tmp_path)
    (tmp_path / "d0t4.wav").unlink()
    with pytest.raises(AudioError, match=r"d0t4\.wav"):
        run(path, tmp_path / "context", **one_fold(talk, ["s0a", "s1a"]))


def test_odd_turns_are_scored(talk: Path, tmp_path: Path) -> None:
    """Punctuation alone, a turn of 0.05 s, a text longer than a segment."""
    path = corpus(tmp_path, with_cells("text", {"d0t0": "...", "d1t0": "word " * 300}))
    soundfile.write(tmp_path / "d0t2.wav", 0.1 * np.ones(400), 8_000)
    out = run(path, tmp_path / "run", **one_fold(talk, ["s0a", "s1a"]))
    assert len(scores_of(out)) == 8 and np.isfinite(numbers(out)).all()


def test_a_text_that_is_corrupted_to_nothing_still_has_a_score(talk: Path, tmp_path: Path) -> None:
    gone = {"source": {"name": "corruption", "options": {"rate": 1.0, "substitute": 0.0, "delete": 1.0, "insert": 0.0}},
            "used": "test"}  # fmt: skip
    out = run(talk, tmp_path / "run", transcripts=gone, context=None, **NO_AUDIO, **one_fold(talk, ["s0a", "s1a"]))
    assert len(scores_of(out)) == 8 and len(np.unique(numbers(out), axis=0)) == 1
    assert read_json(out / "environment.json")["transcripts"]["word_error_rate"] == 1


def test_a_recogniser_hears_the_tested_dialogues_alone_and_a_turn_without_a_word_is_scored(
    talk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = []

    def transcribe(stretches: Any, name: str, options: Any) -> Transcripts:
        heard.extend(stretch.audio.stem for stretch in stretches)
        said = ["" if stretch.audio.stem == "d0t0" else "oh it is all over" for stretch in stretches]
        return Transcripts(tuple(Transcript(text, ()) for text in said), {})

    monkeypatch.setattr(transcribed, "transcribe_files", transcribe)
    settings = {**one_fold(talk, ["s0a", "s0b"]), **NO_AUDIO, "context": None}
    out = run(talk, tmp_path / "run", transcripts={"source": NO_WORDS, "used": "test"}, **settings)
    assert sorted(heard) == [f"d{d}t{turn}" for d in (0, 2) for turn in range(5)]
    table = scores_of(out).set_index("utterance")
    assert len(table) == 8 and len(np.unique(table.loc[table.index != "d0t0", "score_anger"])) == 1
    assert table.loc["d0t0", "score_anger"] != table.loc["d0t1", "score_anger"]
    path = corpus(tmp_path / "mute", lambda rows: rows.assign(text=""))
    out = run(path, tmp_path / "always", transcripts={"source": NO_WORDS, "used": "always"}, **settings)
    assert len(heard) == 10 + 20, "in training too, and no transcript of the corpus is needed"
    assert read_json(out / "environment.json")["transcripts"]["word_error_rate"] is None
    assert "the corpus has no transcripts to count errors against" in (out / "report.md").read_text()


def test_a_recogniser_fills_in_missing_words_in_training_and_tests_and_given_words_stay(
    whole: Path, talk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recogniser that hears what was said: filled in, the run is that in which all was given."""
    heard, said = [], texts_of(talk)

    def transcribe(stretches: Any, name: str, options: Any) -> Transcripts:
        heard.extend(stretch.audio.stem for stretch in stretches)
        return Transcripts(tuple(Transcript(said[stretch.audio.stem], ()) for stretch in stretches), {})

    monkeypatch.setattr(transcribed, "transcribe_files", transcribe)
    settings = {
        **one_fold(talk, ["s0a", "s1a"]),
        "transcripts": {"source": {"name": "pocketsphinx"}, "used": "missing"},
    }
    for name, missing in (("some", ["d0t0", "d0t4", "d2t1"]), ("all", sorted(said))):
        heard.clear()
        out = run(corpus(tmp_path / name, with_cells("text", dict.fromkeys(missing, ""))), tmp_path / f"run-{name}",
                  **settings)  # fmt: skip
        assert sorted(heard) == missing, "whoever has words is not listened to"
        assert checkpoints(out) == checkpoints(whole)
        assert (out / "predictions.csv").read_bytes() == (whole / "predictions.csv").read_bytes()
        words = read_json(out / "environment.json")["transcripts"]
        assert words["n_missing"] == words["n_filled"] == len(missing) and words["word_error_rate"] is None
        assert (
            f"pocketsphinx in {len(missing)} of {len(missing)} turns without a text" in (out / "report.md").read_text()
        )


def test_a_turn_that_nothing_is_heard_in_is_scored_and_counted_as_not_filled_in(
    talk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcribed, "transcribe_files", lambda stretches, name, options: Transcripts(
        tuple(Transcript("", ()) if stretch.audio.stem == "d0t0" else Transcript("oh", ()) for stretch in stretches), {}
    ))  # fmt: skip

    def change(rows: pd.DataFrame) -> pd.DataFrame:
        rows = with_cells("text", dict.fromkeys(["d0t0", "d0t3"], ""))(rows)
        return with_cells("file", {"d0t2": ""})(rows)  # a text alone is not listened to either

    filled = {"transcripts": {"source": NO_WORDS, "used": "missing"}}
    out = run(corpus(tmp_path, change), tmp_path / "run", **one_fold(talk, ["s0a", "s1a"]), **filled)
    assert len(scores_of(out)) == 8 and np.isfinite(numbers(out)).all()
    words = read_json(out / "environment.json")["transcripts"]
    assert (words["n_missing"], words["n_filled"]) == (2, 1)
    assert "pocketsphinx in 1 of 2 turns without a text" in (out / "report.md").read_text()


# Long recordings with a channel a speaker


def calls(folder: Path, talk: Path) -> Path:
    """The dialogues of `talk`, each as one recording: a channel a speaker, who answer each other at once."""
    folder.mkdir()
    rows = []
    for name, turns in read_manifest(talk).groupby("dialogue", sort=False):
        call = np.zeros((8_000 * 4, 2))
        for turn in turns.to_dict("records"):
            sound, _ = soundfile.read(talk.parent / turn["file"])
            at, channel = 8_000 * (int(turn["turn"]) // 2), int(turn["turn"]) % 2
            call[at : at + len(sound), channel] = sound
            rows.append({**turn, "file": f"{name}.wav", "start": at / 8_000, "end": (at + len(sound)) / 8_000}
                        | {"channel": channel})  # fmt: skip
        soundfile.write(folder / f"{name}.wav", call, 8_000)
    pd.DataFrame(rows).drop(columns="corpus").to_csv(folder / "turns.csv", index=False)
    return folder / "turns.csv"


def test_a_run_over_recordings_of_two_channels_equals_the_run_over_a_file_a_turn(
    whole: Path, talk: Path, tmp_path: Path
) -> None:
    table = calls(tmp_path / "calls", talk)
    prepared = tmp_path / "prepared" / "talk.csv"
    assert main(["prepare", "csv", "--root", str(table), "--out", str(prepared), "--name", "talk"]) == 0
    out = run(prepared, tmp_path / "run", **one_fold(talk, ["s0a", "s1a"]))  # audited: turns that cross are no leak
    assert checkpoints(out) == checkpoints(whole)
    assert (out / "predictions.csv").read_bytes() == (whole / "predictions.csv").read_bytes()


def test_turns_that_cross_on_two_channels_are_no_leak_and_would_be_one_in_their_mean(
    talk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = calls(tmp_path / "calls", talk)
    mean = pd.read_csv(table, keep_default_na=False).drop(columns="channel")
    mean.to_csv(table.with_name("mean.csv"), index=False)
    verdicts = {}
    for name in ("turns", "mean"):
        path = tmp_path / name / "talk.csv"
        assert main(["prepare", "csv", "--root", str(table.with_name(f"{name}.csv")), "--out", str(path)]) == 0
        labelled = read_manifest(path)
        write_manifest(labelled[labelled["emotion"] != "none"], path)
        splits = path.with_name("loso.json")
        assert main(["split", "loso", str(path), "--out", str(splits), "--set", "dev=false"]) == 0
        capsys.readouterr()
        code = main(["audit", str(splits), str(path), "--json"])
        verdicts[name] = (code, json.loads(capsys.readouterr().out)["leaks"])
    assert verdicts["turns"] == (0, []) and verdicts["mean"][0] == 1 and "segment" in verdicts["mean"][1]


def test_six_hundred_turns_are_one_dialogue(tmp_path: Path) -> None:
    rows = [
        {"utterance": f"u{i}", "file": "", "speaker": f"s{i % 2}", "dialogue": "long" if i < 600 else "short"}
        | {"turn": i, "emotion": ("anger", "sadness")[i % 3 % 2], "text": f"word {i % 7}"}
        | {"split": "test" if i < 600 else "train"}
        for i in range(620)
    ]
    write_manifest(manifest_from_rows(rows, "talk"), tmp_path / "talk.csv")
    quick = {"allow_leak": ["speaker"], "protocol": {"name": "official", "options": {}}}
    out = run(tmp_path / "talk.csv", tmp_path / "run", **quick, **NO_AUDIO)
    assert len(scores_of(out)) == 600 and np.isfinite(numbers(out)).all()


def test_utterances_of_no_dialogue_stand_by_themselves(talk: Path, tmp_path: Path) -> None:
    path = corpus(tmp_path, lambda rows: rows.assign(dialogue="", turn=np.nan))
    plan = plan_of(path, tmp_path / "run", **one_fold(talk, ["s0a", "s1a"]))
    assert {len(d.keys) for d in dialogues_of_part(spoken_turns(plan), plan.data.splits.folds[0], "test")} == {1}
    execute(plan)
    assert len(scores_of(tmp_path / "run")) == 8


def test_one_speaker_alone_cannot_be_left_out_and_can_be_split(talk: Path, tmp_path: Path) -> None:
    path = corpus(tmp_path, lambda rows: rows.assign(speaker="s"))
    with pytest.raises(ProtocolError, match="loso"):
        plan_of(path, tmp_path / "run", protocol={"name": "loso", "options": {}})
    random = {"protocol": {"name": "random-80-20", "options": {}}, "allow_leak": ["speaker", "dialogue"]}
    assert len(scores_of(run(path, tmp_path / "run", **random))) > 0


def test_a_class_that_a_fold_cannot_learn_is_scored_all_the_same(talk: Path, tmp_path: Path) -> None:
    path = corpus(tmp_path, lambda rows: rows.assign(
        emotion=rows["emotion"].where(rows["speaker"].isin(["s0a", "s1a"]) | (rows["emotion"] != "anger"), "sadness")
    ))  # fmt: skip
    balanced = {
        "fusion.training": {
            **load_recipe("dutta2022-cpu").recipe.fusion.training.model_dump(),
            **TRAINING,
            "objective": {"name": "cross-entropy", "options": {"balanced": True}},
        }
    }
    out = run(path, tmp_path / "run", **one_fold(talk, ["s0a", "s1a"]), **balanced)
    table = scores_of(out)
    assert set(table["truth"]) == {"anger", "sadness"} and np.isfinite(numbers(out)).all()


@pytest.mark.parametrize(
    ("change", "settings", "error", "words"),
    [
        (with_cells("text", {}), {"modalities.audio": None}, ConfigError, "fusion: belongs to several modalities"),
        (lambda r: r.assign(text=""), NO_AUDIO, CorpusError, "none of 20 turns has a text, the first is d0t0"),
        (lambda r: r.assign(text=""), NO_AUDIO, CorpusError, rf"of other modalities, or have the words {RECOGNISE}"),
        (lambda r: r.assign(text=""), {}, CorpusError, "fold 0: none of its 8 turns to learn from has text"),
        (lambda r: r.assign(text=""), {}, CorpusError, rf"fusion=null, or have the words {RECOGNISE}"),
        (lambda r: r.assign(file=""), {}, CorpusError, "--set fusion=null$"),
        (
            with_cells("text", {}), {"transcripts": {**CORRUPTION, "used": "missing"}}, ConfigError,
            "missing fills words in, and corruption has none.* recogniser as transcripts.source: .*pocketsphinx",
        ),
        (lambda r: r.assign(file=""), {}, CorpusError, "turns to learn from has audio"),
        (
            lambda r: r.assign(file=""), {**NO_AUDIO, "transcripts": {"source": NO_WORDS, "used": "test"}}, CorpusError,
            "none of 20 turns has a recording.*or a recipe of other modalities$",
        ),
        (
            lambda r: r.assign(text=""), {**NO_AUDIO, "transcripts": {"source": NO_WORDS, "used": "test"}}, CorpusError,
            "turns to learn from has text",
        ),
        (with_cells("text", {}), {"withheld": ["video"]}, ConfigError, "unknown modality 'video'"),
        (with_cells("text", {}), {"withheld": ["audio", "text"]}, ConfigError, "without any modality"),
        (
            with_cells("text", {}), {"transcripts": {"source": {"name": "pocket", "options": {}}, "used": "test"}},
            ConfigError, "unknown source of transcripts 'pocket'; did you mean 'pocketsphinx'",
        ),
        (
            with_cells("text", {}), {"transcripts": {"source": {"name": "corruption", "options": {}}, "used": "test"}},
            ConfigError, "rate",
        ),
        (with_cells("text", {}), {**NO_TEXT, "transcripts": CORRUPTION}, ConfigError, "belong to the modality text"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_name_before_training(
    talk: Path, tmp_path: Path, change: Any, settings: dict[str, Any], error: type[AffectraError], words: str
) -> None:
    with pytest.raises(error, match=words):
        plan_of(corpus(tmp_path, change), tmp_path / "run", **settings, **one_fold(talk, ["s0a", "s1a"]))
    assert not (tmp_path / "run").exists()


# The embedded corpus and IEMOCAP's layout


def test_folds_of_the_embedded_corpus_learn_from_the_language_that_they_are_tested_in(tmp_path: Path) -> None:
    plan = plan_run("dutta2022-text-cpu", settings={"context": None}, out=tmp_path)
    rows = plan.data.labelled.manifest
    language = dict(zip(rows["utterance"], rows["language"].str[:2], strict=True))
    for fold in plan.data.splits.folds:
        assert {language[key] for key in fold.test} <= {language[key] for key in fold.train}


@pytest.fixture(scope="module")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """IEMOCAP in small."""
    folder = tmp_path_factory.mktemp("iemocap")
    write_miniature(folder / "IEMOCAP_full_release", read_synthetic(render()))
    found = read_iemocap(folder / "IEMOCAP_full_release")
    few = found.manifest[found.manifest["dialogue"].str.contains("F_impro01")]
    found = replace(found, manifest=few.reset_index(drop=True))
    write_corpus(found, folder / "iemocap.csv")
    later = found.manifest.assign(session=[str(int(session) + 1) for session in found.manifest["session"]])
    write_corpus(replace(found, manifest=later), folder / "later.csv")  # it has four sessions; session5 wants a fifth
    return folder / "iemocap.csv"


def test_the_miniature_of_iemocap_runs_under_its_three_protocols(miniature: Path, tmp_path: Path) -> None:
    rows = read_manifest(miniature)
    for n_folds, protocol in ((1, "session5"), (4, "losession"), (8, "loso")):
        path = miniature.with_name("later.csv") if protocol == "session5" else miniature
        out = tmp_path / protocol
        quick = {"task": "emotion4", "protocol": {"name": protocol, "options": {}}, **NO_AUDIO}
        scores = execute(plan_of(path, out, **quick))
        assert scores["complete"] and scores["n_folds"] == n_folds and scores["protocol"]["speaker_independent"]
        assert (out / "report.html").is_file()
    person = dict(zip(rows["utterance"], rows["speaker"], strict=True))
    talked = rows.groupby("dialogue")["speaker"].agg(set)
    dialogue = dict(zip(rows["utterance"], rows["dialogue"], strict=True))
    for fold in (tmp_path / "loso" / "seed-0").iterdir():
        split, tested = read_json(fold / "split.json"), read_json(fold / "text" / "tested.json")
        (speaker,) = {person[key] for key in split["test"]}
        assert {person[key] for key in tested} == set().union(*(talked[dialogue[key]] for key in split["test"]))
        assert speaker not in {person[key] for key in read_json(fold / "text" / "heard.json")}
