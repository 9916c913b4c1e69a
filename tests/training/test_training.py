"""Training: reproducible, resumable to the byte, honest about labels."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import load_file

from affectra.audio import read
from affectra.corpora.manifest import read_manifest, write_manifest
from affectra.errors import AffectraError, ConfigError
from affectra.features.normalization import Normalization
from affectra.files import read_json, write_json
from affectra.models.recognizer import Recognizer, load_checkpoint
from affectra.recipes.config import parse_assignments
from affectra.recipes.recipe import Schedule
from affectra.runs.plan import plan_run
from affectra.runs.run import collect, execute
from affectra.runs.units.plan_types import Plan
from affectra.runs.units.utterance_jobs import specification
from affectra.training.data import EpochBatches, Example, SegmentDataset, group_statistics
from affectra.training.history import History
from affectra.training.module import learning_rate_factor
from affectra.training.resume import SafetensorsCheckpointIO

SETTINGS = parse_assignments(
    [
        "training.epochs=10",
        "training.batch_size=4",
        "training.schedule.milestones=[8]",
        "training.optimizer.options.lr=0.02",
        "model.options.channels=[8, 8, 8, 8]",
        "protocol={name: kfold-speaker, options: {k: 2, dev: false}}",
    ]
)
PARTS = ("predictions.csv", "model.safetensors", "history.csv", "embeddings.safetensors", "attention.safetensors")


def two_fold_plan(manifest: Path, out: Path, *assignments: str) -> Plan:
    settings = {**SETTINGS, **parse_assignments(assignments)}
    return plan_run("li2018-cpu", [f"tones={manifest}"], settings=settings, out=out)


@pytest.fixture(scope="module", autouse=True)
def _threads() -> Iterator[None]:
    """One thread a process, whatever the suite was started with: sums depend on it, and bytes are compared here."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture(scope="module")
def finished(tone_manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    execute(two_fold_plan(tone_manifest, folder))
    return folder


def test_the_epoch_to_keep_is_chosen_on_the_dev_part_of_each_fold(tone_manifest: Path, tmp_path: Path) -> None:
    own = ("training.epochs=4", "training.keep=best-dev", "protocol={name: kfold-speaker, options: {k: 4, dev: true}}")
    execute(two_fold_plan(tone_manifest, tmp_path / "run", *own))
    for k in range(4):
        fold = tmp_path / f"run/seed-0/fold-{k}"
        history = pd.read_csv(fold / "history.csv")
        kept = read_json(fold / "kept.json")
        assert kept["epoch"] == history["dev_ua"].argmax() + 1
        assert kept["dev_ua"] == pytest.approx(history["dev_ua"].max(), abs=1e-5)


def test_no_epoch_is_chosen_without_a_dev_part(tone_manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="keep: best-dev chooses an epoch on a dev part, and protocol kfold-speaker"):
        two_fold_plan(tone_manifest, tmp_path, "training.keep=best-dev")
    with pytest.raises(ConfigError, match="class_weights: unknown class 'angr'; did you mean 'anger'"):
        two_fold_plan(tone_manifest, tmp_path, "training.objective.options.class_weights={angr: 2.0}")


def test_a_run_directory_holds_what_the_contract_names(finished: Path) -> None:
    for name in ("recipe.yaml", "environment.json", "predictions.csv", "scores.json", "report.html", "report.md"):
        assert (finished / name).is_file(), name
    for k in (0, 1):
        fold = finished / "seed-0" / f"fold-{k}"
        assert {p.name for p in fold.iterdir()} == {"split.json", "model.json", *PARTS}
        table = pd.read_csv(fold / "predictions.csv")
        assert list(table.columns) == [
            "utterance", "corpus", "speaker", "seed", "fold", "truth", "predicted", "score_anger", "score_sadness",
        ]  # fmt: skip
        np.testing.assert_allclose(table[["score_anger", "score_sadness"]].sum(axis=1), 1, atol=1e-6)
        assert sorted(table["utterance"]) == sorted(read_json(fold / "split.json")["test"])


def test_it_learns_the_tones(finished: Path) -> None:
    scores = read_json(finished / "scores.json")
    assert scores["complete"] and scores["folds_done"] == "2/2"
    assert scores["metrics"]["ua"] > 0.8


def test_nothing_of_the_machine_stands_in_the_model(finished: Path, tone_manifest: Path) -> None:
    text = (finished / "seed-0" / "fold-0" / "model.json").read_text()
    assert str(tone_manifest.parent) not in text and str(finished) not in text


def _run(manifest: Path, out: Path, resume: bool, n_processes: int = 1) -> None:
    n_threads = torch.get_num_threads()
    torch.set_num_threads(n_processes)  # they are shared out: one a process, as in the run this is compared with
    try:
        execute(two_fold_plan(manifest, out), resume=resume, n_processes=n_processes)
    finally:
        torch.set_num_threads(n_threads)


@pytest.mark.parametrize("n_processes", [1, 2])
def test_a_run_killed_in_the_middle_resumes_to_the_same_bytes(
    finished: Path, tone_manifest: Path, tmp_path: Path, n_processes: int
) -> None:
    """Kill -9 as soon as a fold has an epoch, resume, compare every file with those of one uninterrupted process."""
    out = tmp_path / "killed"
    process = multiprocessing.get_context("spawn").Process(target=_run, args=(tone_manifest, out, False, n_processes))
    process.start()
    history = out / "seed-0" / "fold-0" / "history.csv"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (history.is_file() and len(history.read_text().splitlines()) >= 2):
        assert process.is_alive(), "the run ended before it could be killed"
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert not (out / "predictions.csv").exists(), "killed too late to mean anything"
    time.sleep(1.0 if n_processes > 1 else 0.0)  # its workers leave when they see that it is gone
    reached = history.read_text()
    time.sleep(0.5)
    assert history.read_text() == reached, "an orphan goes on training"
    _run(tone_manifest, out, True, n_processes)
    for name in ["predictions.csv", *(f"seed-0/fold-{k}/{part}" for k in (0, 1) for part in PARTS)]:
        assert (finished / name).read_bytes() == (out / name).read_bytes(), name


def test_two_runs_of_a_seed_are_equal_and_two_seeds_are_not(tone_manifest: Path, tmp_path: Path) -> None:
    execute(two_fold_plan(tone_manifest, tmp_path / "a", "training.epochs=1", "seeds=2"))
    execute(two_fold_plan(tone_manifest, tmp_path / "b", "training.epochs=1"))
    first, again, second = (
        (tmp_path / run / seed / "fold-0" / "model.safetensors").read_bytes()
        for run, seed in (("a", "seed-0"), ("b", "seed-0"), ("a", "seed-1"))
    )
    assert first == again != second
    scores = read_json(tmp_path / "a" / "scores.json")
    assert scores["folds_done"] == "4/4" and len(scores["per_seed"]) == 2


def test_bf16_learns_the_tones_too(tone_manifest: Path, tmp_path: Path) -> None:
    scores = execute(two_fold_plan(tone_manifest, tmp_path / "run", "training.precision=bf16-mixed"))
    assert scores["metrics"]["ua"] > 0.8


def test_shuffled_labels_stay_at_chance(tone_manifest: Path, tmp_path: Path) -> None:
    """Averaged over shuffles: 24 utterances of one are a coin's noise."""
    manifest = read_manifest(tone_manifest)
    found = []
    for seed in range(4):
        shuffled = manifest.copy()
        for _, rows in shuffled.groupby("speaker"):
            words = rows["emotion"].to_numpy(copy=True)
            np.random.default_rng(seed).shuffle(words)
            shuffled.loc[rows.index, "emotion"] = words
        path = tone_manifest.parent / f"shuffled-{seed}.csv"
        write_manifest(shuffled, path)
        found.append(execute(two_fold_plan(path, tmp_path / str(seed)))["metrics"]["ua"])
    assert 0.25 < np.mean(found) < 0.75, found


def test_the_dev_part_is_watched_and_never_trained_on(tone_manifest: Path, tmp_path: Path) -> None:
    plan = two_fold_plan(tone_manifest, tmp_path / "run", "protocol.name=loso", "protocol.options={dev: true}")
    execute(plan)
    for k in range(4):
        split = read_json(tmp_path / "run" / "seed-0" / f"fold-{k}" / "split.json")
        assert split["dev"] and not set(split["dev"]) & (set(split["train"]) | set(split["test"]))
        history = pd.read_csv(tmp_path / "run" / "seed-0" / f"fold-{k}" / "history.csv")
        assert list(history["epoch"]) == list(range(1, 11))
        assert history["dev_ua"].between(0, 1).all() and history["dev_loss"].notna().all()


def test_no_weight_depends_on_the_dev_or_the_test_part(tone_manifest: Path, tmp_path: Path) -> None:
    """Other dev and test utterances, same training part: the same weights and statistics, to the byte."""
    keys = list(read_manifest(tone_manifest)["utterance"])
    weights = []
    for run, rest in (("a", keys[12:]), ("b", keys[:11:-1])):
        folds = {"folds": [{"train": keys[:12], "dev": rest[:6], "test": rest[6:]}]}
        write_json(tmp_path / f"{run}.json", folds)
        settings = parse_assignments(["normalization=train", "front_end.options.compression=log", "training.epochs=2"])
        protocol = {"protocol": {"name": "fixed", "options": {"file": str(tmp_path / f"{run}.json")}}}
        plan = plan_run(
            "li2018-cpu", [f"t={tone_manifest}"], settings={**SETTINGS, **settings, **protocol}, out=tmp_path / run
        )
        execute(plan)
        weights.append((tmp_path / run / "seed-0" / "fold-0" / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_the_schedule_is_the_one_that_trains(finished: Path) -> None:
    history = pd.read_csv(finished / "seed-0" / "fold-0" / "history.csv")
    assert history["lr"].tolist() == pytest.approx([0.02] * 7 + [0.002] * 3)


def test_resuming_trains_only_the_epochs_that_are_left(
    finished: Path, tone_manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[int] = []
    add_row = History.on_train_epoch_end

    def stop_after_four(self: History, trainer, module) -> None:
        trained.append(trainer.current_epoch)
        add_row(self, trainer, module)
        if len(trained) == 5:
            raise RuntimeError("pulled the plug")

    monkeypatch.setattr(History, "on_train_epoch_end", stop_after_four)
    plan = two_fold_plan(tone_manifest, tmp_path / "run")
    with pytest.raises(RuntimeError, match="pulled the plug"):
        execute(plan)
    execute(plan, resume=True)
    assert trained == [*range(5), *range(4, 10), *range(10)], "the fifth epoch was lost, the first four were kept"
    assert (tmp_path / "run" / "predictions.csv").read_bytes() == (finished / "predictions.csv").read_bytes()


def test_the_training_segments_have_the_training_shift(tone_manifest: Path, tmp_path: Path) -> None:
    plan = two_fold_plan(tone_manifest, tmp_path / "run")
    recognizer = Recognizer(specification(plan))
    frames = np.zeros((250, 100), dtype=np.float16)  # 5 s at 20 ms
    np.save(tmp_path / "frames.npy", frames)
    example = Example("u", "c", "s", "", "", tmp_path / "frames.npy", len(frames), target=0)
    train, test = (
        [start for _, (start,) in SegmentDataset([example], recognizer, train, {}, False).places]
        for train in (True, False)
    )
    assert train == [0, 50, 100, 150, 200] and test == list(range(0, 161, 20))


def test_other_times_of_an_utterance_are_another_run(tone_manifest: Path, tmp_path: Path) -> None:
    manifest = read_manifest(tone_manifest)
    path = tone_manifest.with_name("stretches.csv")
    for end, code in ((0.6, None), (0.7, "was begun with other corpora")):
        write_manifest(manifest.assign(start=0.1, end=end), path)
        plan = plan_run("li2018-cpu", [f"t={path}"], settings={**SETTINGS, "training.epochs": 1}, out=tmp_path / "run")
        if code is None:
            execute(plan)
        else:
            with pytest.raises(ConfigError, match=code):
                execute(plan, resume=True)


def test_only_a_run_like_the_papers_has_the_papers_numbers(finished: Path) -> None:
    assert read_json(finished / "scores.json")["paper"]["ua"] is None


def test_scores_can_be_recomputed_from_the_directory(finished: Path) -> None:
    before = (finished / "scores.json").read_bytes()
    collect(finished)
    assert (finished / "scores.json").read_bytes() == before


def test_a_part_of_a_run_is_reported_as_a_part(tone_manifest: Path, tmp_path: Path, finished: Path) -> None:
    import shutil

    from affectra.reports.report import write_report

    shutil.copytree(finished, tmp_path / "part")
    shutil.rmtree(tmp_path / "part" / "seed-0" / "fold-1")
    scores = collect(tmp_path / "part")
    assert scores["folds_done"] == "1/2" and not scores["complete"]
    assert "1/2" in write_report(tmp_path / "part").read_text()


def test_another_run_in_the_same_directory_is_refused(finished: Path, tone_manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds a run already; --resume"):
        execute(two_fold_plan(tone_manifest, finished))
    with pytest.raises(ConfigError, match="was begun with another recipe or other options"):
        execute(two_fold_plan(tone_manifest, finished, "training.epochs=9"), resume=True)
    other = read_manifest(tone_manifest).iloc[1:]
    write_manifest(other, tone_manifest.parent / "fewer.csv")
    fewer = plan_run("li2018-cpu", [f"tones={tone_manifest.parent / 'fewer.csv'}"], settings=SETTINGS, out=finished)
    with pytest.raises(ConfigError, match="was begun with other corpora"):
        execute(fewer, resume=True)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigError, match="is a file; --out is a directory"):
        execute(two_fold_plan(tone_manifest, tmp_path / "file"))
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not empty and not a run directory"):
        execute(two_fold_plan(tone_manifest, tmp_path / "letters"))
    assert [p.name for p in (tmp_path / "letters").iterdir()] == ["a.txt"], "nothing is added"


def test_two_processes_never_work_in_one_directory(finished: Path, tone_manifest: Path) -> None:
    from filelock import FileLock

    with FileLock(finished / ".lock"), pytest.raises(ConfigError, match="another process is at work"):
        execute(two_fold_plan(tone_manifest, finished), resume=True)
    execute(two_fold_plan(tone_manifest, finished), resume=True)


def test_a_loss_that_is_no_number_ends_the_run_with_advice(tone_manifest: Path, tmp_path: Path) -> None:
    plan = two_fold_plan(tone_manifest, tmp_path / "run", "training.optimizer.options.lr=1e30")
    with pytest.raises(AffectraError, match=r"the training loss is .* try a lower training.optimizer.options.lr"):
        execute(plan)


def test_the_papers_schedule_divides_by_ten_at_epochs_21_31_41() -> None:
    schedule = Schedule(name="step", milestones=[21, 31, 41], factor=0.1)
    rates = [0.05 * learning_rate_factor(schedule, epoch - 1, 50) for epoch in range(1, 51)]
    for first, last, rate in ((1, 20, 0.05), (21, 30, 0.005), (31, 40, 0.0005), (41, 50, 0.00005)):
        np.testing.assert_allclose(rates[first - 1 : last], rate)
    cosine = Schedule(name="cosine")
    assert learning_rate_factor(cosine, 0, 10) == 1.0 > learning_rate_factor(cosine, 9, 10) > 0


def test_each_epoch_is_a_permutation_of_its_own() -> None:
    batches = EpochBatches(50, 8, 0, 0, 0, 1, "train")
    orders = []
    for epoch in (0, 1, 0):
        batches.set_epoch(epoch)
        assert [len(batch) for batch in batches] == [8] * 6 + [2]
        orders.append([index for batch in batches for index in batch])
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert orders[0] == orders[2] != orders[1]


@pytest.mark.parametrize(("n", "sizes"), [(9, [8]), (10, [8, 2]), (1, [1]), (16, [8, 8])])
def test_a_last_batch_of_one_is_left_out_unless_it_is_the_only_one(n: int, sizes: list[int]) -> None:
    batches = EpochBatches(n, 8, 0, 0, 0)
    assert [len(batch) for batch in batches] == sizes and len(batches) == len(sizes)


def test_each_batch_has_unlabelled_utterances_and_an_epoch_goes_through_all_of_them_alike() -> None:
    batches = EpochBatches(20, 8, 7, 5, 0, "train")  # 3 batches of 5 unlabelled: twice through 7, and one more
    found = list(batches)
    assert [(sum(i < 20 for i in batch), sum(i >= 20 for i in batch)) for batch in found] == [(8, 5), (8, 5), (4, 5)]
    counts = np.bincount([i - 20 for batch in found for i in batch if i >= 20], minlength=7)
    assert counts.sum() == 15 and counts.min() == 2 and counts.max() == 3


def test_train_normalization_is_that_of_all_frames_together() -> None:
    rng = np.random.default_rng(0)
    utterances = [rng.normal(3, 2, (n, 5)) for n in (4, 90, 1)]
    normalization = Normalization("train", 5)
    normalization.fit(utterances)
    together = np.concatenate(utterances)
    np.testing.assert_allclose(normalization.mean, together.mean(0), rtol=1e-5)
    np.testing.assert_allclose(normalization.std, together.std(0), rtol=1e-5)
    segments = torch.from_numpy(np.stack([together[:10], together[10:20]])).float()
    output = normalization(segments, torch.tensor([10, 4]))
    assert (output[1, 4:] == 0).all() and output[0].abs().sum() > 0


@pytest.fixture
def heard(tmp_path: Path) -> dict[str, Example]:
    """Utterances a-d of speakers s0 and s1 of one corpus, with frames of their own levels."""
    rng = np.random.default_rng(1)
    examples = {}
    for key, speaker, level in (("a", "s0", 0.0), ("b", "s0", 4.0), ("c", "s1", 9.0), ("d", "s1", 1.0)):
        frames = rng.normal(level, 1 + level, (60, 3)).astype(np.float16)
        np.save(tmp_path / f"{key}.npy", frames)
        examples[key] = Example(key, "corpus", speaker, "", "", tmp_path / f"{key}.npy", len(frames), target=0)
    return examples


def test_an_unheard_speaker_is_measured_over_all_its_test_utterances_and_a_heard_one_in_training_alone(
    heard: dict[str, Example],
) -> None:
    a, b, c, d = heard.values()
    groups = group_statistics("speaker", [a], [], [b, c, d])
    np.testing.assert_allclose(groups["b"].mean, np.asarray(a.load(), dtype=float).mean(0))  # not of b: it is a test's
    both = np.concatenate([c.load(), d.load()]).astype(float)
    np.testing.assert_allclose(groups["c"].std, both.std(0))
    assert groups["c"] is groups["d"]
    whole = group_statistics("corpus", [a, b], [], [c, d])
    assert {id(statistics) for statistics in whole.values()} == {id(whole["a"])}
    assert group_statistics("train", [a], [b]) == group_statistics("utterance", [a], [b]) == {}


def test_a_group_is_standardised_over_its_utterances_together(heard: dict[str, Example]) -> None:
    normalization = Normalization("speaker", 3)
    groups = group_statistics("speaker", [*heard.values()])
    for speaker in ("s0", "s1"):
        values = [normalization.of_utterance(e.load(), groups[e.key]) for e in heard.values() if e.speaker == speaker]
        np.testing.assert_allclose(np.concatenate(values).mean(0), 0, atol=1e-4)
        np.testing.assert_allclose(np.concatenate(values).std(0), 1, atol=1e-4)


def test_without_its_group_a_recording_is_its_own_and_a_group_never_moves_the_other_modes(
    heard: dict[str, Example],
) -> None:
    frames = heard["c"].load()
    group = group_statistics("speaker", [*heard.values()])["a"]
    alone = Normalization("speaker", 3).of_utterance(frames)
    assert (alone == Normalization("utterance", 3).of_utterance(frames, group)).all()
    assert (Normalization("none", 3).of_utterance(frames, group) == frames.astype(np.float32)).all()
    assert not np.allclose(Normalization("corpus", 3).of_utterance(frames, group), alone)


def test_resume_state_survives_with_all_its_types(tmp_path: Path) -> None:
    state = {
        "state_dict": {"w": torch.randn(2, 3)},
        "optimizer_states": [
            {"state": {0: {"momentum_buffer": torch.ones(2)}}, "param_groups": [{"betas": (0.9, 0.99)}]},
        ],
        "none": None, "flag": True, "text": "a", "number": 1e-300, "nested": [{"a": [1, (2, 3)]}],
    }  # fmt: skip
    io = SafetensorsCheckpointIO()
    io.save_checkpoint(state, tmp_path / "last.safetensors")
    again = io.load_checkpoint(tmp_path / "last.safetensors")
    assert torch.equal(again["state_dict"].pop("w"), state["state_dict"].pop("w"))
    buffers = [s["optimizer_states"][0]["state"][0].pop("momentum_buffer") for s in (again, state)]
    assert torch.equal(*buffers) and again == state
    with pytest.raises(TypeError, match=r"holds a .*Path"):
        io.save_checkpoint({"a": tmp_path}, tmp_path / "last.safetensors")


def test_a_checkpoint_gives_the_predictions_of_its_run(finished: Path, tone_manifest: Path) -> None:
    from affectra.predict.model import load

    fold = finished / "seed-0" / "fold-1"
    model = load(fold)
    for row in pd.read_csv(fold / "predictions.csv").itertuples():
        answer = model.recognize_file(tone_manifest.parent / f"{row.utterance}.wav")
        np.testing.assert_allclose(answer.scores["anger"], row.score_anger, atol=1e-5)


def test_the_embeddings_of_the_training_part_are_those_of_its_utterances(finished: Path, tone_manifest: Path) -> None:
    """Taken in batches, they are what the recogniser says of each utterance; rows as in split.json."""
    fold = finished / "seed-0" / "fold-1"
    recognizer = load_checkpoint(fold)
    found = load_file(fold / "embeddings.safetensors")["train_embedding"]
    keys = read_json(fold / "split.json")["train"]
    assert len(found) == len(keys)
    for row, key in list(zip(found, keys, strict=True))[::5]:
        waveform = torch.from_numpy(read(tone_manifest.parent / f"{key}.wav", 16_000).samples)
        frames = recognizer.front_end.frames(waveform).numpy().astype(np.float16)
        np.testing.assert_allclose(row, recognizer.recognize(frames).embedding, atol=1e-4)


def test_the_stored_pictures_of_a_segment_are_what_the_network_saw(finished: Path, tone_manifest: Path) -> None:
    fold = finished / "seed-0" / "fold-0"
    recognizer = load_checkpoint(fold)
    stored = load_file(fold / "attention.safetensors")
    key = next(name.removesuffix("/features") for name in stored if name.endswith("/features"))
    waveform = torch.from_numpy(read(tone_manifest.parent / f"{key}.wav", 16_000).samples)
    frames = recognizer.front_end.frames(waveform).numpy().astype(np.float16).astype(np.float32)
    segment, n = recognizer.grid.cut(frames, 0)
    seen = recognizer.features(torch.from_numpy(segment)[None], torch.tensor([n]))[0].numpy()
    np.testing.assert_allclose(stored[f"{key}/features"][0], seen, atol=2e-3)
