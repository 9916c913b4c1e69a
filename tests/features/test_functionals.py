"""Functionals and support vector machines: openSMILE's numbers, scikit-learn's answers, and the run around them."""

import importlib.util
import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from safetensors.numpy import load_file, save_file
from sklearn.model_selection import GroupKFold, StratifiedKFold, cross_val_predict
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC

from affectra.corpora.manifest import read_manifest
from affectra.errors import CheckpointError, ConfigError
from affectra.features.audio import functionals
from affectra.features.audio.functionals import Functionals
from affectra.features.cache import FrameCache, load_frames
from affectra.features.extract import AudioSpan, extract
from affectra.features.frames.spectral import N_FUNCTIONALS
from affectra.features.front_ends import FRONT_ENDS
from affectra.features.normalization import Normalization
from affectra.features.specification import Specification
from affectra.files import read_json
from affectra.metrics import unweighted_average_recall
from affectra.models import Svm
from affectra.models.recognizer import Recognizer, load_checkpoint, save_checkpoint
from affectra.models.vector.vectors import Vectors
from affectra.predict.model import load
from affectra.recipes.config import load_recipe, parse_assignments
from affectra.runs.plan import plan_run
from affectra.runs.run import execute
from affectra.training.checks import check_fitting

pytest.importorskip("opensmile")
COMPARE = {"name": "functionals", "options": {"feature_set": "ComParE_2016"}}


@pytest.fixture(scope="module")
def voice() -> np.ndarray:
    """2 s of harmonics that glide and pulsate: pitch, jitter and pauses are there to be measured."""
    time_s = np.arange(32_000) / 16_000
    phase = 2 * np.pi * np.cumsum(140 + 40 * np.sin(3 * time_s)) / 16_000
    tones = sum(np.sin(k * phase) / k for k in range(1, 12))
    return (0.1 * tones * (np.sin(5 * time_s) > -0.5)).astype(np.float32)


@pytest.mark.parametrize("feature_set", N_FUNCTIONALS)
def test_functionals_are_opensmiles_own(feature_set: str, voice: np.ndarray) -> None:
    import opensmile

    front_end = Functionals(feature_set=feature_set)  # type: ignore[arg-type]
    found = front_end.frames(torch.from_numpy(voice))
    expected = opensmile.Smile(opensmile.FeatureSet[feature_set]).process_signal(voice, 16_000).to_numpy()
    np.testing.assert_array_equal(found.numpy(), expected)
    assert found.shape == (1, front_end.n_features) and front_end.n_frames(len(voice)) == 1
    assert expected.std() > 0


@pytest.mark.parametrize("feature_set", N_FUNCTIONALS)
@pytest.mark.parametrize("n_samples", [1, 100, 900, 1599, 1601, 16_000])
def test_a_stretch_of_any_length_is_one_vector_of_numbers(feature_set: str, n_samples: int, voice: np.ndarray) -> None:
    front_end = Functionals(feature_set=feature_set)  # type: ignore[arg-type]
    noise = 0.1 * np.random.default_rng(0).standard_normal(n_samples).astype(np.float32)
    for samples in (voice[:n_samples], noise, np.zeros(n_samples, np.float32), np.ones(n_samples, np.float32)):
        assert torch.isfinite(front_end.frames(torch.from_numpy(samples))).all()


def test_numbers_too_large_for_half_precision_are_kept(voice: np.ndarray, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", voice, 16_000, subtype="FLOAT")
    (found,) = extract([AudioSpan(tmp_path / "a.wav")], COMPARE)
    frames = load_frames(found.path)
    assert frames is not None and frames.dtype == np.float32 and found.n_frames == 1
    np.testing.assert_array_equal(frames, Functionals().frames(torch.from_numpy(voice)).numpy())
    assert np.abs(frames).max() > np.finfo(np.float16).max


def test_another_opensmile_computes_anew() -> None:
    one, other = ({**COMPARE, **Functionals().storage, "opensmile": version} for version in ("2.6.0", "2.7.0"))
    assert FrameCache(one).folder != FrameCache(other).folder


def test_the_licence_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    functionals.say_licence.cache_clear()
    with caplog.at_level(logging.WARNING):
        Functionals()
        Functionals(feature_set="eGeMAPSv02")
    assert len(caplog.messages) == 1 and "a product needs another one" in caplog.text


def test_a_missing_opensmile_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "opensmile" else found(name))
    with pytest.raises(ConfigError, match=r"pip install 'affectra\[baselines\]'"):
        FRONT_ENDS.build("functionals", {})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"feature_set": "compare"}, "(?i)option feature_set: input should be 'ComParE_2016' or 'eGeMAPSv02'"),
        ({"sample_rate": 4000}, "needs sample_rate >= 8000 Hz"),
    ],
)
def test_unknown_sets_and_rates_are_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        FRONT_ENDS.build("functionals", options)


def test_training_scales_as_standard_scaler_does_in_any_unit() -> None:
    rng = np.random.default_rng(0)
    train = (rng.normal(5, 2, (40, 6)) * [1e-8, 1e-3, 1, 1e6, 1e11, 1]).astype(np.float32)
    train[:, 5] = 0.1  # still in training, and moves in the test
    test = train[:3].copy()
    test[:, 5] = [0.1, 3.0, -2.0]
    normalization = Normalization("train", 6)
    normalization.fit([row[None] for row in train])
    found = normalization(torch.from_numpy(test[:, None]), torch.ones(3))[:, 0]
    expected = StandardScaler().fit(train.astype(np.float64)).transform(test)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def blobs(n_classes: int, n: int = 240, n_features: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Clouds that overlap, some classes larger than others."""
    rng = np.random.default_rng(seed)
    targets = np.sort(rng.choice(n_classes, n, p=np.arange(1, n_classes + 1) / (n_classes * (n_classes + 1) / 2)))
    centers = rng.normal(0, 1, (n_classes, n_features))
    order = rng.permutation(n)
    return (centers[targets] + rng.normal(0, 1, (n, n_features))).astype(np.float32)[order], targets[order]


def scores_of(model: Svm, features: np.ndarray) -> np.ndarray:
    return model(torch.from_numpy(features)[..., None]).scores.numpy()


@pytest.mark.parametrize("n_classes", [2, 3, 5, 8])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"gamma": "scale", "c": 10.0},
        {"gamma": 0.7, "class_weight": "balanced"},
        {"kernel": "linear", "c": 0.1},
        {"kernel": "linear", "c": 1e-4, "class_weight": "balanced"},
    ],
    ids=str,
)
def test_the_highest_score_is_what_scikit_learn_predicts(n_classes: int, options: dict[str, Any]) -> None:
    x, y = blobs(n_classes)
    model = Svm(x.shape[1], n_classes, **options)
    assert model.fit(Vectors(x, y, ["a"] * len(x))) == {}
    weight = {"none": None}.get(options.get("class_weight", "none"), "balanced")
    c = options.get("c", 1.0)
    if options.get("kernel") == "linear":
        reference: Any = LinearSVC(C=c, class_weight=weight, random_state=0, max_iter=20_000)
    else:
        reference = SVC(C=c, gamma=options.get("gamma", "auto"), class_weight=weight)
    reference.fit(x, y)
    unseen = np.random.default_rng(1).normal(0, 1.5, (5000, x.shape[1])).astype(np.float32)
    scores = scores_of(model, unseen)
    np.testing.assert_array_equal(scores.argmax(1), reference.predict(unseen))
    assert len(set(scores.argmax(1).tolist())) == n_classes or c < 0.01, "the test sees every class"
    if n_classes > 2:
        decided = reference.decision_function(unseen)
        same = decided.argmax(1) == reference.predict(unseen)
        np.testing.assert_allclose(scores[same], decided[same], atol=1e-9)


def test_equal_votes_go_to_the_first_class_as_in_scikit_learn() -> None:
    """Where three classes beat each other in a ring, decision_function and predict of scikit-learn disagree."""
    x, y = blobs(5, seed=4)
    y = np.random.default_rng(0).permutation(y)  # noise makes rings common
    model = Svm(x.shape[1], 5, gamma=0.5, c=30.0)
    model.fit(Vectors(x, y))
    reference = SVC(gamma=0.5, C=30.0).fit(x, y)
    unseen = np.random.default_rng(1).normal(0, 1, (3000, x.shape[1])).astype(np.float32)
    disagree = reference.decision_function(unseen).argmax(1) != reference.predict(unseen)
    assert disagree.sum() > 10, "no ring to judge by"
    np.testing.assert_array_equal(scores_of(model, unseen).argmax(1), reference.predict(unseen))


def test_it_answers_as_scikit_learn_does_on_real_speech(data_dir: Path) -> None:
    files = sorted((data_dir / "emodb" / "wav").iterdir())
    files = [file for file in files if file.name[:2] in ("03", "09", "14")]
    frames = [load_frames(found.path) for found in extract([AudioSpan(file) for file in files], COMPARE)]
    x = np.concatenate([f for f in frames if f is not None])
    y = np.array(["WLEAFTN".index(file.name[5]) for file in files])
    test = np.array([file.name[:2] == "14" for file in files])
    scaler = StandardScaler().fit(x[~test])
    train, unseen = scaler.transform(x[~test]), scaler.transform(x[test])
    for options, reference in (
        ({}, SVC(gamma="auto")),
        (
            {"kernel": "linear", "c": 1e-4, "class_weight": "balanced"},
            LinearSVC(C=1e-4, class_weight="balanced", random_state=0),
        ),
    ):
        model = Svm(x.shape[1], 7, **options)  # type: ignore[arg-type]
        model.fit(Vectors(train, y[~test]))
        expected = reference.fit(train, y[~test]).predict(unseen)
        np.testing.assert_array_equal(scores_of(model, unseen).argmax(1), expected)
        assert unweighted_average_recall(y[test], expected) > 0.4


def test_a_class_that_training_lacks_scores_below_all_others() -> None:
    x, y = blobs(3)
    for kernel in ("rbf", "linear"):
        model = Svm(x.shape[1], 5, kernel=kernel)  # type: ignore[arg-type]
        model.fit(Vectors(x, np.array([0, 2, 4])[y]))
        scores = scores_of(model, x)
        assert np.isfinite(scores).all()
        assert (scores[:, [1, 3]].max(1) < scores[:, [0, 2, 4]].min(1)).all()
    with pytest.raises(ConfigError, match="one class alone"):
        Svm(x.shape[1], 3).fit(Vectors(x, np.zeros(len(x), dtype=np.int64)))


def test_c_is_chosen_by_speakers_of_the_training_part_alone() -> None:
    """Each speaker's classes lie apart in a way of their own; utterances dealt out singly would take that for skill."""
    rng = np.random.default_rng(0)
    y, speakers = np.arange(240) % 3, np.arange(240) // 3 % 8
    x = rng.normal(0, 1, (240, 20))
    x[:, :3] += 2 * np.eye(3)[y]
    x = (x + rng.normal(0, 1.5, (8, 3, 20))[speakers, y]).astype(np.float32)
    candidates = [0.001, 0.03, 0.1, 0.3, 1.0]

    def best(folds: Any, groups: Any) -> float:
        def ua(c: float) -> float:
            answers = cross_val_predict(SVC(C=c, gamma="auto"), x, y, groups=groups, cv=folds)
            return unweighted_average_recall(y, answers)

        return max(candidates, key=ua)

    model = Svm(20, 3, c_candidates=candidates[::-1])
    settled = model.fit(Vectors(x, y, [f"s{speaker}" for speaker in speakers]))
    assert settled == {"c": best(GroupKFold(5), speakers), "c_candidates": []}
    assert settled["c"] != best(StratifiedKFold(5, shuffle=True, random_state=0), None)
    reference = SVC(C=settled["c"], gamma="auto").fit(x, y)
    np.testing.assert_array_equal(scores_of(model, x).argmax(1), reference.predict(x))


@pytest.mark.parametrize(
    ("speakers", "words"),
    [(["a"] * 240, "found 1; give c alone"), (["a", "b", ""] * 80, "found 2 and utterances of unknown ones")],
)
def test_c_is_not_chosen_without_known_speakers(speakers: list[str], words: str) -> None:
    x, y = blobs(3)
    with pytest.raises(ConfigError, match=words):
        Svm(x.shape[1], 3, c_candidates=[0.1, 1.0]).fit(Vectors(x, y, speakers))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"c": 0.0}, "numbers above 0, found 0.0"),
        ({"c_candidates": [1.0, -1.0]}, "numbers above 0, found -1.0"),
        ({"gamma": float("inf")}, "numbers above 0, found inf"),
        ({"gamma": "automatic"}, "gamma is auto, scale or a number"),
        ({"kernel": "poly"}, "kernel is one of rbf, linear"),
        ({"class_weight": "some"}, "class_weight is one of none, balanced"),
    ],
)
def test_options_out_of_range_are_named(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Svm(4, 3, **options)


# --- a recogniser and its checkpoint


def specification(**changes: Any) -> Specification:
    recipe = load_recipe("baseline-functionals-egemaps").recipe
    parts = {
        "model": recipe.model.model_dump(), "front_end": recipe.front_end.model_dump(), "normalization": "train",
        "segments": None, "task": "emotion", "classes": ("anger", "fear", "sadness"), "synthetic": False,
    }  # fmt: skip
    return Specification(**{**parts, **changes})


def fitted(folder: Path, **changes: Any) -> Recognizer:
    """A machine that has learnt chance from noises: what is tested does not depend on what it knows."""
    recognizer = Recognizer(specification(**changes))
    rng = np.random.default_rng(0)
    noises = [noise(seconds) for seconds in (0.3, 1.0, 2.5, 4.0)]
    heard = np.stack([recognizer.front_end.frames(torch.from_numpy(samples)).numpy() for samples in noises])
    frames = (heard[rng.integers(0, 4, 60)] * rng.normal(1, 0.5, (60, 1, 88))).astype(np.float32)
    recognizer.normalization.fit(frames)
    features = np.stack([recognizer.whole_features(f) for f in frames])
    recognizer.network.fit(Vectors(features, rng.integers(0, 3, 60)))
    save_checkpoint(recognizer.eval(), folder)
    return recognizer


def noise(seconds: float) -> np.ndarray:
    """Noise that comes and goes."""
    rng = np.random.default_rng(0)
    n = round(seconds * 16_000)
    return (0.1 * rng.standard_normal(n) * np.sin(np.arange(n) / 9_000)).astype(np.float32)


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("svm")
    fitted(folder)
    return folder


@pytest.mark.parametrize("kernel", ["rbf", "linear"])
def test_a_checkpoint_gives_the_same_scores(kernel: str, tmp_path: Path) -> None:
    recognizer = fitted(tmp_path, model={"name": "svm", "options": {"kernel": kernel}})
    again = load_checkpoint(tmp_path)
    for frames in np.random.default_rng(1).normal(0, 2, (20, 1, 88)).astype(np.float32):
        one, other = recognizer.recognize(frames), again.recognize(frames)
        np.testing.assert_array_equal(one.probabilities, other.probabilities)
        assert one.probabilities.sum() == pytest.approx(1) and one.embedding.shape == (88,)
        assert one.attention is None and one.starts == [0]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("network.support", lambda a: a[:-1]),
        ("network.support", lambda a: a[:, :-1]),
        ("network.weights", lambda a: a[:-1]),
        ("network.intercept", lambda a: a[:-1]),
        ("network.present", lambda a: a + 1),
        ("network.present", lambda a: a[[0, 0, 1]]),
        ("network.gamma", lambda a: a[None]),
    ],
)
def test_arrays_that_do_not_fit_together_are_a_damaged_checkpoint(
    model_dir: Path, tmp_path: Path, name: str, change: Any
) -> None:
    shutil.copytree(model_dir, tmp_path / "copy")
    arrays = load_file(tmp_path / "copy" / "model.safetensors")
    arrays[name] = np.ascontiguousarray(change(arrays[name]))
    save_file(arrays, tmp_path / "copy" / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"damaged or not of this model\.json") as caught:
        load_checkpoint(tmp_path / "copy")
    assert "\n" not in str(caught.value)


def test_an_array_that_is_missing_is_a_damaged_checkpoint(model_dir: Path, tmp_path: Path) -> None:
    shutil.copytree(model_dir, tmp_path / "copy")
    arrays = load_file(tmp_path / "copy" / "model.safetensors")
    del arrays["network.weights"]
    save_file(arrays, tmp_path / "copy" / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"damaged or not of this model\.json"):
        load_checkpoint(tmp_path / "copy")


LI = load_recipe("li2018-cpu").recipe
SEGMENTS = LI.segments.model_dump() if LI.segments else {}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"segments": SEGMENTS}, "gives one vector an utterance; leave segments out"),
        ({"normalization": "utterance"}, "'utterance' leaves nothing of the one vector"),
        ({"front_end": LI.front_end.model_dump()}, "gives frames; say how they are cut into segments"),
        (
            {"front_end": LI.front_end.model_dump(), "segments": SEGMENTS, "normalization": "none"},
            "model 'svm' needs a front end that gives one vector an utterance, e.g. functionals",
        ),
    ],
)
def test_parts_that_do_not_fit_are_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Recognizer(specification(**changes))


def test_a_training_part_belongs_to_models_with_epochs_alone() -> None:
    check_fitting("svm", None)
    check_fitting("attention-cnn", LI.training)
    with pytest.raises(ConfigError, match="training: model 'svm' is fitted without epochs; leave training out"):
        check_fitting("svm", LI.training)
    with pytest.raises(ConfigError, match="training: model 'attention-cnn' learns through epochs; say epochs"):
        check_fitting("attention-cnn", None)


# --- own recordings


@pytest.mark.parametrize("seconds", [0.05, 0.7, 6.0])
def test_a_recording_up_to_six_seconds_is_recognised_as_one_utterance(model_dir: Path, seconds: float) -> None:
    samples = noise(seconds)
    answer = load(model_dir)(samples, 16_000)
    recognizer = load_checkpoint(model_dir)
    whole = recognizer.recognize(recognizer.front_end.frames(torch.from_numpy(samples)).numpy())
    assert list(answer.scores.values()) == pytest.approx(whole.probabilities, abs=1e-9)
    assert (answer.start, answer.end) == (0.0, pytest.approx(seconds))


def test_a_long_recording_is_the_mean_of_its_windows(model_dir: Path) -> None:
    samples = noise(13.8)
    recognizer = load_checkpoint(model_dir)
    begins = [*np.arange(0, 10.6, 1.5), 10.8]
    cuts = [samples[round(16_000 * begin) :][:48_000] for begin in begins]
    rows = [recognizer.recognize(recognizer.front_end.frames(torch.from_numpy(c)).numpy()).probabilities for c in cuts]
    expected = np.average(rows, axis=0, weights=[1.0] * (len(begins) - 1) + [0.2])
    assert np.abs(np.array(rows) - expected).max() > 1e-3, "they differ"
    assert list(load(model_dir)(samples, 16_000).scores.values()) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("seconds", "ends"), [(0.4, [0.4]), (3.0, [1, 2, 3]), (3.1, [1, 2, 3]), (6.5, [1, 2, 3, 4, 5, 6, 6.5])]
)
def test_a_timeline_hears_three_seconds_of_every_second(model_dir: Path, seconds: float, ends: list[float]) -> None:
    samples = noise(seconds)
    windows = load(model_dir).timeline(samples, 16_000)
    assert [w.end for w in windows] == pytest.approx(ends)
    assert [w.start for w in windows] == pytest.approx([max(0.0, end - 3) for end in ends])
    last = samples[round(16_000 * windows[-1].start) : round(16_000 * windows[-1].end)]
    alone = load(model_dir)(last, 16_000)
    assert windows[-1].scores["fear"] == pytest.approx(alone.scores["fear"], abs=1e-9)


def test_a_recording_alone_cannot_be_normalised_per_speaker(tmp_path: Path) -> None:
    recognizer = Recognizer(specification(normalization="speaker"))
    rng = np.random.default_rng(0)
    recognizer.network.fit(Vectors(rng.normal(0, 1, (60, 88)).astype(np.float32), rng.integers(0, 3, 60)))
    save_checkpoint(recognizer, tmp_path)
    with pytest.raises(ConfigError, match="normalised per speaker, over many utterances"):
        load(tmp_path)(noise(1.0), 16_000)


# --- whole runs

TWO_FOLDS = parse_assignments(["protocol={name: kfold-speaker, options: {k: 2, dev: false}}"])


@pytest.fixture(scope="module")
def finished(tone_manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "egemaps"
    plan = plan_run("baseline-functionals-egemaps", [f"tones={tone_manifest}"], settings=TWO_FOLDS, out=folder)
    execute(plan)
    return folder


def test_a_run_is_scaler_and_svm_of_scikit_learn(finished: Path, tone_manifest: Path) -> None:
    """Rebuilt from the audio with the field's own tools."""
    manifest = read_manifest(tone_manifest).set_index("utterance")
    front_end = Functionals(feature_set="eGeMAPSv02")
    vectors = {}
    for key, row in manifest.iterrows():
        samples, _ = soundfile.read(tone_manifest.parent / row["file"], dtype="float32")
        vectors[key] = front_end.frames(torch.from_numpy(samples)).numpy()[0]
    truth = {key: row["emotion"] for key, row in manifest.iterrows()}
    for k in (0, 1):
        fold = finished / "seed-0" / f"fold-{k}"
        split = read_json(fold / "split.json")
        scaler = StandardScaler().fit([vectors[key] for key in split["train"]])
        machine = SVC(gamma="auto")
        machine.fit(scaler.transform([vectors[key] for key in split["train"]]), [truth[key] for key in split["train"]])
        table = pd.read_csv(fold / "predictions.csv")
        scaled = scaler.transform([vectors[key] for key in table["utterance"]])
        assert list(table["predicted"]) == list(machine.predict(scaled))
        np.testing.assert_allclose(table[["score_anger", "score_sadness"]].sum(axis=1), 1, atol=1e-9)
        embedding = load_file(fold / "embeddings.safetensors")["embedding"]
        np.testing.assert_allclose(embedding, scaled, rtol=1e-3, atol=1e-4)
        names = {"split.json", "model.json", "model.safetensors", "predictions.csv", "embeddings.safetensors"}
        assert {path.name for path in fold.iterdir()} == names, "no epochs, no history"
    assert read_json(finished / "scores.json")["metrics"]["ua"] > 0.9
    assert (finished / "report.html").is_file()


def test_the_run_answers_on_recordings(finished: Path, tone_manifest: Path) -> None:
    row = read_manifest(tone_manifest).iloc[0]
    answer = load(finished).recognize_file(tone_manifest.parent / row["file"], abstain=False)
    assert answer.emotion == row["emotion"] and "no_speech" in answer.flags  # tones are none


def test_c_that_was_chosen_stands_in_the_checkpoint(tone_manifest: Path, tmp_path: Path) -> None:
    settings = {**TWO_FOLDS, "model.options.c_candidates": [0.5, 2.0], "normalization": "speaker"}
    plan = plan_run("baseline-functionals-egemaps", [f"tones={tone_manifest}"], settings=settings, out=tmp_path / "run")
    scores = execute(plan)
    options = read_json(tmp_path / "run" / "seed-0" / "fold-0" / "model.json")["model"]["options"]
    assert options["c"] in (0.5, 2.0) and options["c_candidates"] == []
    assert scores["normalization"] == {"mode": "speaker", "transductive": True}


def test_a_resumed_run_ends_in_the_same_bytes(finished: Path, tone_manifest: Path, tmp_path: Path) -> None:
    shutil.copytree(finished, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "seed-0" / "fold-1")
    (tmp_path / "run" / "seed-0" / "fold-0" / "predictions.csv").unlink()  # killed after its model was written
    plan = plan_run(
        "baseline-functionals-egemaps", [f"tones={tone_manifest}"], settings=TWO_FOLDS, out=tmp_path / "run"
    )
    execute(plan, resume=True)
    for path in finished.glob("seed-0/fold-*/*"):
        assert path.read_bytes() == (tmp_path / "run" / path.relative_to(finished)).read_bytes(), path
    assert (finished / "predictions.csv").read_bytes() == (tmp_path / "run" / "predictions.csv").read_bytes()


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("model.options.gama=0.1", "unknown option 'gama'; did you mean 'gamma'"),
        ("model.options.c=-1.0", "numbers above 0"),
        ("normalization=utterance", "leaves nothing of the one vector"),
        ("training.epochs=3", "is fitted without epochs; leave training out"),
        ("model={name: attention-cn, options: {}}", "unknown model 'attention-cn'"),
        ("front_end.options.feature_set=IS09", "option feature_set"),
    ],
)
def test_a_wrong_recipe_is_named_before_anything_is_computed(
    assignment: str, words: str, tone_manifest: Path, tmp_path: Path
) -> None:
    settings = {**TWO_FOLDS, **parse_assignments([assignment])}
    with pytest.raises(ConfigError, match=words):
        plan_run("baseline-functionals", [f"tones={tone_manifest}"], settings=settings, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_shipped_recipe_is_the_published_one() -> None:
    recipe = load_recipe("baseline-functionals").recipe
    assert recipe.training is None and recipe.segments is None and recipe.normalization == "train"
    assert recipe.model.options | {"kernel": "rbf", "c": 1.0, "gamma": "auto"} == recipe.model.options
    assert recipe.paper is not None and recipe.paper.results == {"ua": 0.771}
    assert json.loads(json.dumps(recipe.model_dump()))["segments"] is None
    assert load_recipe("baseline-functionals-linear").recipe.paper is None, "another machine has another result"


def test_a_specification_without_segments_is_rebuilt(model_dir: Path) -> None:
    assert read_json(model_dir / "model.json")["segments"] is None
    assert load_checkpoint(model_dir).specification == replace(specification(), provenance={})
