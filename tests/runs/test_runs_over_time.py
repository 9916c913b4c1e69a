"""Runs over time, from raw audio to report: what is heard, what is learnt from, and what never is."""

import math
import shutil
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from affectra.cli import main
from affectra.corpora import synthetic
from affectra.corpora.sources import write_corpus
from affectra.errors import AffectraError, ConfigError, CorpusError
from affectra.features.cache import FrameCache
from affectra.features.label_frames import LabelFrames
from affectra.files import read_json
from affectra.losses import concordance_loss
from affectra.metrics import concordance_cc
from affectra.models.frame import frame_network
from affectra.models.frame.frame_network import FrameNetwork, NetworkPlan, load_network
from affectra.recipes.config import load_recipe, recipe_names
from affectra.runs.plan import outline, plan_run
from affectra.runs.run import execute
from affectra.runs.units import frames
from affectra.runs.units.frame_jobs import traces_of
from affectra.runs.units.plan_types import Work
from affectra.tasks.tables import read_predictions
from affectra.training.history import ResumeState
from affectra.training.objective import Sizes
from affectra.training.objectives import OBJECTIVES
from miniatures.sewa import write as write_sewa

SMALL = {
    "training.epochs": 2, "training.batch_size": 4, "sequence_frames": 60, "model.options.n_hidden": 8,
    "words.vectors": {"name": "skip-gram", "options": {"n_dimensions": 6, "n_epochs": 1, "min_count": 1}},
}  # fmt: skip
SMALL_CNN = {"model.options.channels": [2, 2, 2], "model.options.n_stream": 8, "model.options.n_projected": 8}
OF_START = {"anchors": {"n_asked": 2}, "adversarial": {"n_starts": 2, "adversary": {"n_epochs": 1, "n_steps": 2}}}
ADVERSARIAL = {"start": "adversarial"}
OURS = "continuous-log-mel-cpu"
DIMENSIONS = ["arousal", "valence", "liking"]


@pytest.fixture(scope="session")
def rendered() -> Path:
    """Four dialogues of ten turns, one of each pair of speakers."""
    return synthetic.render(n_dialogues=4)


@pytest.fixture
def corpus(rendered: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(rendered, tmp_path / "corpus"))


def change(folder: Path, table: str, **columns: Any) -> pd.DataFrame:
    """Write a table of the corpus with other columns, or with `rows` in place of its own."""
    path = folder / f"{table}.csv"
    frame = pd.read_csv(path, keep_default_na=False)
    frame = columns["rows"](frame) if "rows" in columns else frame.assign(**columns)
    frame.to_csv(path, index=False)
    return frame


def work_of(name: str, folder: Path, out: Path, **settings: Any) -> Work:
    plan = plan_run(name, [f"synthetic={folder}"], settings=settings, out=out)
    return frames.prepare(plan, 1, lambda _: None)


def run(name: str, source: str, out: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    return execute(plan_run(name, [source], settings=dict(settings), out=out))


def small_settings(name: str) -> dict[str, Any]:
    recipe = load_recipe(name).recipe
    found: dict[str, Any] = dict(SMALL)
    if recipe.words is None:
        del found["words.vectors"]
    elif recipe.words.vectors.name == "speech2vec":
        start = recipe.words.vectors.options["start"]
        found["words.vectors"] = {
            "name": "speech2vec",
            "options": {"n_dimensions": 6, "n_epochs": 1, "text_epochs": 1, "start": start, **OF_START[start]},
        }
    return found | (SMALL_CNN if name.startswith("tzirakis") else {})


def over_time() -> list[str]:
    """Recipes over time, each once: not those that are another name of one."""
    recipes = {name: load_recipe(name).recipe for name in recipe_names()}
    return [
        name for name, recipe in recipes.items() if recipe.unit == "time" and "Another name" not in recipe.description
    ]


@pytest.mark.parametrize("name", over_time())
def test_every_recipe_over_time_trains_and_predicts(name: str, rendered: Path, tmp_path: Path) -> None:
    settings = small_settings(name) | {"protocol": {"name": "kfold-speaker", "options": {"k": 2, "dev": False}}}
    work = work_of(name, rendered, tmp_path / "run", **{**settings, "training.epochs": 1})
    work.folds[0].run()
    assert work.folds[0].is_done and len(work.hashes) == 40
    traces = read_json(tmp_path / "run/seed-0/fold-0/traces.json")
    assert list(traces["delay_s"]) == DIMENSIONS
    assert traces["delay_from"] in ("given", "training folds"), "no dev part"
    words = load_recipe(name).recipe.words
    if words is not None and words.vectors.name == "speech2vec":
        assert traces["words"]["alignment"]["start"] == words.vectors.options["start"]
        assert traces["words"]["alignment"]["n_words"] >= 2
        assert "homophones" in traces["words"]["alignment"]
        assert {one.language for one in work.folds[0].trained.values()} <= {"en-US", "en-GB", "de"}  # type: ignore[attr-defined]


def test_where_the_adversary_fails_the_run_goes_on_and_its_log_and_report_say_so(
    rendered: Path, tmp_path: Path
) -> None:
    name, log = "tzirakis2021-semantic-cpu", []
    settings = {**small_settings(name), "training.epochs": 1, "protocol.options.k": 2}
    scores = execute(plan_run(name, [f"synthetic={rendered}"], settings=settings, out=tmp_path), say=log.append)
    assert scores["complete"]
    found = [read_json(tmp_path / f"seed-0/fold-{k}/traces.json")["words"]["alignment"] for k in (0, 1)]
    assert [one["above_chance"] for one in found] == [False, False], "two steps on a handful of words teach nothing"
    failure = "The adversary failed in 2 of 2 folds"
    assert any(line.startswith(f"words: {failure}") for line in log)
    for page in ("report.md", "report.html"):
        assert (
            failure in (tmp_path / page).read_text() and "NOT above chance in any fold" in (tmp_path / page).read_text()
        )


@pytest.mark.parametrize("release", [2017, 2019])
def test_sewa_runs_from_prepare_to_the_report(release: int, rendered: Path, tmp_path: Path) -> None:
    write_sewa(tmp_path / "sewa", synthetic.read(rendered), release=release)
    manifest = tmp_path / "sewa" / "manifest.csv"
    assert main(["prepare", "sewa", "--root", str(manifest.parent), "--out", str(manifest)]) == 0
    name = "tzirakis2021-transcripts"
    plan = plan_run(name, [f"sewa={manifest}"], settings={**SMALL, **SMALL_CNN}, out=tmp_path / "run")
    assert "left out  without time-continuous labels 2" in outline(plan)  # the test part, whose labels are not public
    scores = execute(plan)
    assert scores["n_utterances"] == 2 and scores["n_speakers"] == 2 and scores["protocol"]["name"] == "official"
    words = read_json(tmp_path / "run" / "environment.json")["words"]
    assert words["utterances"] == {"spread": 6}
    report = (tmp_path / "run" / "report.md").read_text()
    assert "Devel" in report and "arousal" in report
    rows = read_predictions(tmp_path / "run" / "predictions.csv")
    labels = synthetic.read(rendered).tables["continuous"]
    assert len(rows) == labels["utterance"].str.contains("-gb-").sum(), "every label of the dev part is predicted"


def test_post_processing_on_sewa_needs_a_dev_part_that_is_not_tested(rendered: Path, tmp_path: Path) -> None:
    """The official dev part is tested, since the labels of the test part are not public."""
    write_sewa(tmp_path / "sewa", synthetic.read(rendered))
    wanted = {**SMALL, "postprocessing": True, "delay_s": "search", "training.epochs": 1}
    plan_of = partial(plan_run, "continuous-log-mel", [f"sewa={tmp_path / 'sewa'}"])
    with pytest.raises(ConfigError, match=r"protocol official keeps none; .* --set protocol\.options\.dev=true"):
        plan_of(settings=wanted)
    folds = {"protocol": {"name": "kfold-speaker", "options": {"k": 3}}}
    without = plan_of(settings={**wanted, **folds, "postprocessing": False})
    assert not any(fold.dev for fold in without.data.splits.folds), "the delay is searched on the training part"
    plan = plan_of(settings={**wanted, **folds}, out=tmp_path / "run")
    assert plan.recipe.protocol.options == {"k": 3, "dev": True}
    assert not any("nothing is decided" in line for line in outline(plan))
    work = frames.prepare(plan, 1, lambda _: None)
    work.folds[0].run()
    parts = read_json(tmp_path / "run/seed-0/fold-0/split.json")
    assert parts["dev"] and not {*parts["dev"]} & {*parts["train"], *parts["test"]}  # a recording is a speaker
    fitted = read_json(tmp_path / "run/seed-0/fold-0/traces.json")["postprocessing"]
    assert list(fitted["by_dimension"]) == DIMENSIONS


def test_the_outline_says_what_the_reader_left_out(rendered: Path, tmp_path: Path) -> None:
    write_sewa(tmp_path / "sewa", synthetic.read(rendered))
    (tmp_path / "sewa" / "labels" / "readme.txt").touch()
    plan = plan_run("continuous-log-mel", [f"sewa={tmp_path / 'sewa'}"], settings=SMALL)
    (line,) = [line for line in outline(plan) if line.startswith("faults")]
    assert line.endswith("sewa: 1, the first: labels/readme.txt: expected .csv; left out; see affectra doctor")


def arousal_of_two_folds(folder: Path, out: Path) -> float:
    learning = {"training.epochs": 25, "training.optimizer.options.lr": 3e-3, "model.options.n_hidden": 24}
    folds = {"protocol": {"name": "kfold-speaker", "options": {"k": 2, "dev": False}}}
    work = work_of(OURS, folder, out, **{**SMALL, **learning, **folds})
    for job in work.folds:
        job.run()
    rows = pd.concat([read_predictions(path) for path in out.glob("seed-0/*/predictions.csv")])
    return concordance_cc(rows["truth_arousal"], rows["predicted_arousal"])


def test_voice_and_words_tell_something_and_shuffled_labels_nothing(corpus: Path, tmp_path: Path) -> None:
    assert arousal_of_two_folds(corpus, tmp_path / "right") > 0.4
    table = pd.read_csv(corpus / "continuous.csv")
    means = table.groupby("utterance")[DIMENSIONS].transform("mean")
    names = sorted(table["utterance"].unique())
    order = dict(zip(names, np.random.default_rng(0).permutation(names), strict=True))
    of_another = table.groupby("utterance")[DIMENSIONS].mean().loc[table["utterance"].map(order)].to_numpy()
    change(corpus, "continuous", rows=lambda rows: rows.assign(**(table[DIMENSIONS] - means + of_another)))
    assert abs(arousal_of_two_folds(corpus, tmp_path / "shuffled")) < 0.25


def test_a_resumed_fold_ends_in_the_same_bytes(rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {**SMALL, "training.epochs": 3, "protocol.options": {"k": 3, "dev": True}, "postprocessing": True}
    whole, resumed = (tmp_path / name / "seed-0" / "fold-0" for name in ("whole", "resumed"))
    work_of(OURS, rendered, tmp_path / "whole", **settings).folds[0].run()
    with monkeypatch.context() as patch:
        save = ResumeState.on_train_epoch_end

        def killed(self: ResumeState, trainer: Any, pl_module: Any) -> None:
            save(self, trainer, pl_module)
            if trainer.current_epoch == 1:
                raise OSError("killed")

        patch.setattr(ResumeState, "on_train_epoch_end", killed)
        with pytest.raises(OSError, match="killed"):
            work_of(OURS, rendered, tmp_path / "resumed", **settings).folds[0].run()
    assert (resumed / "resume/last.safetensors").is_file() and not (resumed / "predictions.csv").exists()
    work_of(OURS, rendered, tmp_path / "resumed", **settings).folds[0].run()
    files = sorted(path.name for path in whole.iterdir())
    assert files == sorted(path.name for path in resumed.iterdir())
    assert {"predictions.csv", "embeddings.safetensors"} <= {*files}
    for file in files:
        assert (whole / file).read_bytes() == (resumed / file).read_bytes(), file


LOSO = {
    "protocol": {"name": "loso", "options": {"dev": True}}, "delay_s": "search", "postprocessing": True,
}  # fmt: skip


def weights(folder: Path, out: Path, k: int = 0) -> dict[str, bytes]:
    job = work_of(OURS, folder, out, **SMALL, **LOSO).folds[k]
    job.run()
    files = ("model.safetensors", "words.safetensors", "history.csv", "traces.json")
    traces = read_json(out / f"seed-0/fold-{k}/traces.json")
    del traces["words"]["test"]  # how many of the test part's words are known
    return {name: (out / f"seed-0/fold-{k}" / name).read_bytes() for name in files[:3]} | {"t": repr(traces).encode()}


def test_nothing_of_the_test_part_changes_a_byte_of_what_is_learnt(corpus: Path, tmp_path: Path) -> None:
    """One speaker of each dialogue is tested, so that every one of his dialogues is torn."""
    before = weights(corpus, tmp_path / "before")
    tested = read_json(tmp_path / "before/seed-0/fold-0/split.json")["test"]
    assert len(tested) == 5 and len({key.split("-")[0] for key in tested}) == 1
    for key in tested:
        samples, rate = soundfile.read(corpus / f"wav/{key}.wav")
        soundfile.write(corpus / f"wav/{key}.wav", 0.3 * samples[::-1], rate, subtype="PCM_16")
    table = pd.read_csv(corpus / "continuous.csv")
    mine = table["utterance"].isin(tested)
    change(corpus, "continuous", arousal=table["arousal"].where(~mine, -table["arousal"]))
    words = pd.read_csv(corpus / "words.csv", keep_default_na=False)
    change(corpus, "words", word=words["word"].where(~words["utterance"].isin(tested), "never"))
    assert weights(corpus, tmp_path / "after") == before
    change(corpus, "continuous", arousal=-table["arousal"])
    assert weights(corpus, tmp_path / "control") != before, "training labels matter"


def test_in_tests_the_whole_dialogue_is_heard(corpus: Path, tmp_path: Path) -> None:
    """The other speaker's turns are context; those that come later are not heard yet."""
    alone = {"protocol": LOSO["protocol"]}  # nothing is fitted on the dev part
    work_of(OURS, corpus, tmp_path / "before", **SMALL, **alone).folds[0].run()
    split = read_json(tmp_path / "before/seed-0/fold-0/split.json")
    dialogue = split["test"][0].split("-")[0]
    turns = sorted(path.stem for path in (corpus / "wav").glob(f"{dialogue}-*.wav"))
    second = next(key for key in split["test"] if int(key.split("-")[1]) > 2)
    before_it = turns[turns.index(second) - 1]
    assert before_it not in split["test"]
    samples, rate = soundfile.read(corpus / f"wav/{before_it}.wav")
    soundfile.write(corpus / f"wav/{before_it}.wav", samples[::-1], rate, subtype="PCM_16")
    after = tmp_path / "after"
    shutil.copytree(tmp_path / "before", after)
    (after / "seed-0/fold-0/predictions.csv").unlink()  # the network stays
    work_of(OURS, corpus, after, **SMALL, **alone).folds[0].run()
    one, other = (read_predictions(tmp_path / n / "seed-0/fold-0/predictions.csv") for n in ("before", "after"))
    same = {
        key: bool((rows["predicted_valence"].to_numpy() == other.loc[rows.index, "predicted_valence"].to_numpy()).all())
        for key, rows in one.groupby("utterance")
    }
    assert not same[second]
    assert all(same[key] for key in split["test"] if int(key.split("-")[1]) < int(before_it.split("-")[1]))


def test_gaps_are_no_labels_and_what_has_none_is_left_out_and_counted(corpus: Path, tmp_path: Path) -> None:
    table = pd.read_csv(corpus / "continuous.csv")
    names = table["utterance"].unique()
    lost, holed = names[0], names[1]
    gone = (table["utterance"] == lost) | ((table["utterance"] == holed) & table["time"].between(0.45, 0.95))
    change(corpus, "continuous", rows=lambda rows: rows[~gone])
    plan = plan_run(OURS, [f"synthetic={corpus}"], settings=SMALL, out=tmp_path / "run")
    assert plan.data.labelled.excluded == {"without time-continuous labels": 1}
    assert execute(plan)["n_utterances"] == 39
    rows = read_predictions(tmp_path / "run" / "predictions.csv")
    assert lost not in set(rows["utterance"])
    mine = rows[rows["utterance"] == holed]
    assert mine.loc[mine["truth_arousal"].isna(), "time"].round(1).tolist() == [0.5, 0.6, 0.7, 0.8, 0.9]
    assert mine["predicted_arousal"].notna().all()


def test_unknown_words_and_empty_transcripts_are_silence(corpus: Path, tmp_path: Path) -> None:
    words = pd.read_csv(corpus / "words.csv", keep_default_na=False)
    names = words["utterance"].unique()
    silent = names[0]
    manifest = pd.read_csv(corpus / "manifest.csv", keep_default_na=False)
    change(corpus, "manifest", text=manifest["text"].where(manifest["utterance"] != silent, ""))
    change(corpus, "words", rows=lambda rows: rows[rows["utterance"] != silent])
    work = work_of(OURS, corpus, tmp_path / "run", **SMALL, **{"words.vectors.options.min_count": 5})
    assert work.facts["words"]["utterances"] == {"timed": 39, "without": 1}
    job = next(job for job in work.folds if silent in job.tested)  # type: ignore[attr-defined]
    job.run()
    told = read_json(job.folder / "traces.json")["words"]  # type: ignore[attr-defined]
    assert 0 < told["train"]["known"] < told["train"]["said"] and told["test"]["known"] < told["test"]["said"]
    assert np.isfinite(read_predictions(job.folder / "predictions.csv")["predicted_liking"]).all()  # type: ignore[attr-defined]


def test_one_dimension_is_learnt_alone(rendered: Path, tmp_path: Path) -> None:
    scores = run(OURS, f"synthetic={rendered}", tmp_path / "run", {**SMALL, "dimensions": ["liking"]})
    assert list(scores["metrics"]["ccc"]) == ["liking"]
    assert "truth_arousal" not in read_predictions(tmp_path / "run" / "predictions.csv")


def test_a_planted_delay_is_found_and_stored(tmp_path: Path) -> None:
    found = {}
    for planted_s in (0.0, 1.6):
        root = tmp_path / f"sewa{planted_s}"
        write_sewa(root, synthetic.read(synthetic.render(n_dialogues=8)))
        for path in (root / "labels").glob("*.csv"):
            lines = [line.split(";") for line in path.read_text().splitlines()]
            moved = [[row[0], f"{float(row[1]) + planted_s:.1f}", *row[2:]] for row in lines]
            kept = [row for row in moved if float(row[1]) <= float(lines[-1][1])]
            path.write_text("\n".join(";".join(row) for row in kept) + "\n")
        settings = {**SMALL, "training.epochs": 1, "words": None}
        del settings["words.vectors"]
        plan = plan_run("continuous-log-mel", [f"sewa={root}"], settings=settings, out=tmp_path / f"run{planted_s}")
        frames.prepare(plan, 1, lambda _: None).folds[0].run()
        found[planted_s] = read_json(tmp_path / f"run{planted_s}/seed-0/fold-0/traces.json")["delay_s"]
    assert found[1.6]["arousal"] - found[0.0]["arousal"] == pytest.approx(1.6, abs=0.41)


def test_long_recordings_are_read_and_predicted_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    plan = NetworkPlan(
        {"name": "semantic-paralinguistic", "options": {"n_hidden": 8, "channels": [2, 2, 2], "n_stream": 8,
                                                       "n_projected": 8}},
        {"name": "waveform", "options": {"sample_rate": 22050, "window_length": 2205}}, "none", 0.1, 4, ("arousal",),
    )  # fmt: skip
    network = FrameNetwork(plan).eval()
    rng = np.random.default_rng(0)
    base = rng.standard_normal((50, 2205)).astype(np.float32), rng.standard_normal((50, 4)).astype(np.float32)
    asked = []

    def read(start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        asked.append(stop - start)
        frames = np.arange(start, stop) % 50
        return base[0][frames], base[1][frames]

    whole = network(*(torch.from_numpy(part)[None] for part in read(0, 700)), torch.tensor([700])).predictions
    monkeypatch.setattr(frame_network, "BLOCK", 256)
    assert np.allclose(network.predict(read, 700), whole[0].detach().numpy(), atol=1e-5)
    asked.clear()
    assert len(network.predict(read, 3000)) == 3000
    assert max(asked) == 256, "memory is that of a block"


def test_checkpoint_rebuilds_the_network_and_damage_is_named(rendered: Path, tmp_path: Path) -> None:
    job = work_of(OURS, rendered, tmp_path / "run", **SMALL).folds[0]
    job.run()
    folder = tmp_path / "run/seed-0/fold-0"
    network, plan = load_network(folder)
    assert plan.dimensions == tuple(DIMENSIONS) and not network.training
    assert float(network.normalization.std.min()) > 0
    (folder / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(AffectraError, match=r"damaged or not of this model\.json"):
        load_network(folder)


def test_the_loss_is_the_mean_of_the_dimensions_and_compat_weighs_them() -> None:
    generator = torch.Generator().manual_seed(0)
    predictions, labels = torch.rand(2, 2, 9, 3, generator=generator)
    known = torch.rand(2, 9, 3, generator=generator) > 0.3
    each = [concordance_loss(predictions[..., [k]], labels[..., [k]], known[..., k]) for k in range(3)]
    ours, theirs = (OBJECTIVES.build("concordance", {"compat": c}, sizes=Sizes()) for c in (None, "glam-imperial"))
    changed = torch.where(known, labels, torch.nan)  # what is not known may be anything
    assert ours.of_frames(predictions, changed, known) == pytest.approx(sum(map(float, each)) / 3, abs=1e-6)
    assert theirs.of_frames(predictions, changed, known) == pytest.approx(
        sum(float(e) / (k + 1) for k, e in enumerate(each))
    )


def test_frames_of_a_front_end_are_grouped_into_those_of_the_labels(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = rng.standard_normal((27, 40)).astype(np.float16)
    path = tmp_path / "x.npy"
    FrameCache({}, tmp_path).ensure(path, lambda: frames)
    reader = LabelFrames({"name": "log-mel", "options": {}}, 0.1)
    assert reader.n_features == 80
    filled = np.concatenate([frames, np.repeat(frames[-1:], 3, axis=0)]).astype(np.float32).reshape(3, 10, 40)
    expected = np.concatenate([filled.mean(1), filled.std(1)], axis=1)
    assert np.allclose(reader.read(path, 0, 3), expected) and np.array_equal(
        reader.read(path, 2, 3), reader.read(path, 0, 3)[2:]
    )
    samples = LabelFrames({"name": "waveform", "options": {"sample_rate": 22050, "window_length": 2205}}, 0.1)
    assert (samples.n_grouped, samples.n_features) == (1, 2205)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"task": "emotion"}, "unknown task of a recipe over time 'emotion'"),
        ({"postprocessing": True}, "is fitted on a dev part, and protocol kfold-speaker keeps none"),
        ({"dimensions": ["arousal", "arousal"]}, "each once"),
        ({"dimensions": ["arousal", "liking2"]}, "did you mean 'liking'"),
        ({"delay_s": -1.0}, "0 or more, or search"),
        ({"frames.front_end": {"name": "functionals", "options": {}}}, "gives no frames of sound"),
        ({"frames.front_end": {"name": "hashed-words", "options": {}}}, "gives no frames of sound"),
        ({"frames.front_end": {"name": "learned-leaf", "options": {}}}, "not final"),
        ({"frames.front_end": {"name": "log-mel", "options": {"hop_length": 150}}}, "expected a whole number"),
        ({"frames.front_end": None, "words": None}, "needs one of them at least"),
        ({"words.vectors": {"name": "skipgram"}}, "did you mean 'skip-gram'"),
        (
            {"words.vectors": {"name": "speech2vec", "options": {"n_starts": 2}}},
            "n_starts belongs to start: adversarial, found start: anchors; leave it out",
        ),
        (
            {"words.vectors": {"name": "speech2vec", "options": {"start": "adversarial", "n_asked": 2}}},
            "n_asked belongs to start: anchors, found start: adversarial",
        ),
        (
            {"words.vectors": {"name": "speech2vec", "options": {**ADVERSARIAL, "adversary": {"epochs": 2}}}},
            "adversary: unknown option 'epochs'; did you mean 'n_epochs'",
        ),
        (
            {"words.vectors": {"name": "speech2vec", "options": {**ADVERSARIAL, "adversary": {"n_epochs": 0}}}},
            "adversary: option n_epochs: input should be greater than or equal to 1, found 0",
        ),
        (
            {"words.vectors": {"name": "speech2vec", "options": {**ADVERSARIAL, "n_starts": 0}}},
            "option n_starts: input should be greater than or equal to 1, found 0",
        ),
        ({"words.vectors": {"name": "file", "options": {"path": "none.vec"}}}, "none.vec: word vectors cannot be read"),
        ({"words.transcripts": {"source": {"name": "corruption"}, "used": "test"}}, "unknown recogniser"),
        ({"training.objective": {"name": "cross-entropy"}}, "is not for runs over unit time; choose concordance"),
        ({"model.options.recurrent": "rnn"}, "option recurrent"),
        ({"training.channels_last": True}, "takes no unlabelled_batch_size, take or channels_last"),
        ({"training.freeze": ["recurrent"]}, "freeze: unknown trainable part 'recurrent'"),
        (
            {"training.keep": "best-dev", "postprocessing": False, "protocol.options": {"k": 2, "dev": False}},
            "keep: best-dev chooses an epoch on a dev part, and protocol kfold-speaker keeps none",
        ),
    ],
)
def test_what_does_not_fit_is_named_before_training(settings: dict[str, Any], words: str, rendered: Path) -> None:
    with pytest.raises((ConfigError, CorpusError)) as caught:
        plan_run(OURS, [f"synthetic={rendered}"], settings=settings)
    assert words in str(caught.value)


@pytest.mark.parametrize("start", ["", "x", 99.0])
def test_a_word_whose_time_is_missing_is_refused_by_name_before_training(
    start: object, corpus: Path, tmp_path: Path
) -> None:
    table = pd.read_csv(corpus / "words.csv", keep_default_na=False)
    change(corpus, "words", start=[start, *table["start"][1:]])
    with pytest.raises(CorpusError, match=rf"synthetic: words: {table['utterance'][0]}: .* needs 0 <= start < end"):
        work_of(OURS, corpus, tmp_path / "run", **SMALL)


def test_a_stretch_of_a_transcript_without_a_time_is_refused_by_name(rendered: Path, tmp_path: Path) -> None:
    own = synthetic.read(rendered)
    tables = {"continuous": own.tables["continuous"]}
    first = own.manifest["utterance"][0]
    tables["transcripts"] = pd.DataFrame({"utterance": [first], "start": [""], "end": [0.5], "text": ["oh"]})
    write_corpus(replace(own, tables=tables), rendered.parent / f"{tmp_path.name}.csv")
    source = f"mine={rendered.parent / tmp_path.name}.csv"
    with pytest.raises(CorpusError, match=rf"mine: transcripts: {first}: 'oh' from .* needs 0 <= start < end"):
        frames.prepare(plan_run(OURS, [source], settings=SMALL, out=tmp_path / "run"), 1, lambda _: None)


def test_raters_over_time_become_the_labels_of_a_corpus_that_has_no_others(rendered: Path, tmp_path: Path) -> None:
    own = synthetic.read(rendered)
    table = own.tables["continuous"]
    opposed = table.assign(rater="c", **{name: -table[name] for name in DIMENSIONS})
    raters = pd.concat([table.assign(rater="a"), table.assign(rater="b"), opposed], ignore_index=True)
    tables = {"raters": raters, "words": own.tables["words"]}
    mine = replace(own, tables=tables)
    recipe = load_recipe(OURS).recipe
    labels, direct = traces_of([mine], recipe), traces_of([own], recipe)
    assert labels.traces.keys() == direct.traces.keys() and not direct.raters
    for key, trace in labels.traces.items():
        assert np.allclose(trace.values, direct.traces[key].values, atol=1e-9), "who contradicts does not count"
    told = labels.raters["synthetic"]
    assert told["n_raters"] == [3] and list(told["ccc"]) == DIMENSIONS
    assert told["pearson"]["arousal"] == pytest.approx(-1 / 3, abs=0.05)  # of three pairs one agrees


def test_corpora_without_labels_over_time_are_named(tone_manifest: Path, corpus: Path) -> None:
    with pytest.raises(CorpusError, match="tones: no time-continuous labels; expected a corpus with a table"):
        plan_run(OURS, [f"tones={tone_manifest}"])
    change(corpus, "continuous", liking=math.nan)
    with pytest.raises(ConfigError, match="none of 40 utterances has a label of liking; leave it out"):
        plan_run(OURS, [f"synthetic={corpus}"])
