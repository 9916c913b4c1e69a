"""The models that come with the package: whole, honest about their origin, alike with ONNX and torch, and of use."""

import csv
import io
import json
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import soundfile

from affectra.audio import read
from affectra.cli import main
from affectra.corpora import CORPORA, read_corpus
from affectra.features.specification import read_specification
from affectra.predict.calibration import read_calibration
from affectra.predict.calibration.fit import MOST_CERTAIN
from affectra.predict.model import SHIPPED, UNKNOWN, Model, Prediction, load, shipped_models
from affectra.predict.onnx import OnnxRecognizer
from affectra.predict.torch_folds import TorchRecognizer
from affectra.recipes.config import load_recipe

NAMES = ("affectra-base", "affectra-free")
CLASSES = ("anger", "happiness", "neutral", "sadness")
FILES = {"LICENSE", "MODEL_CARD.md", "calibration.json", "model.json", "model.onnx", "model.safetensors"}
MOST_BYTES = 5_000_000
RATE = 16_000
N_OF_A_CLASS = 10

Spoken = list[tuple[np.ndarray, str]]


@pytest.fixture(scope="module")
def spoken(data_dir: Path) -> Spoken:
    """Ten recordings of EMO-DB for each class, of all speakers, and what they were meant to be."""
    manifest = read_corpus("emodb", data_dir / "emodb").manifest
    found: Spoken = []
    for emotion in CLASSES:
        files = list(manifest["file"][manifest["emotion"] == emotion])
        chosen = [files[round(k * (len(files) - 1) / (N_OF_A_CLASS - 1))] for k in range(N_OF_A_CLASS)]
        found += [(read(data_dir / "emodb" / file, RATE).samples, emotion) for file in chosen]
    return found


def sounds() -> dict[str, np.ndarray]:
    """What is no speech, in ways that reach far out of training, and what is hardly anything."""
    rng = np.random.default_rng(0)
    time_s = np.arange(2 * RATE) / RATE
    return {
        "noise": 0.1 * rng.standard_normal(2 * RATE), "silence": np.zeros(2 * RATE), "one sample": np.ones(1),
        "tone": np.sin(2 * np.pi * 440 * time_s), "clipped": np.sign(rng.standard_normal(2 * RATE)),
        "click": np.eye(1, 2 * RATE, 100)[0], "faint": 1e-4 * np.sin(2 * np.pi * 150 * time_s),
    }  # fmt: skip


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def by_onnx(name: str) -> Model:
    model = load(name)
    assert isinstance(model.recognizer, OnnxRecognizer)
    return model


@pytest.fixture(scope="module")
def by_torch(name: str) -> Model:
    """As on a machine without ONNX Runtime."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("affectra.predict.model.find_spec", lambda package: None)
        model = load(name)
    assert isinstance(model.recognizer, TorchRecognizer)
    return model


@pytest.fixture(scope="module")
def answers(by_onnx: Model, spoken: Spoken) -> list[tuple[Prediction, str]]:
    """What it says of each recording, and what that was meant to be."""
    return [(by_onnx(samples, RATE), truth) for samples, truth in spoken]


# --- what is in the folders


def test_these_are_shipped_and_nothing_else() -> None:
    assert tuple(shipped_models()) == NAMES
    assert {path.name for path in SHIPPED.iterdir() if path.is_dir()} == set(NAMES)


def test_a_model_has_all_its_files_is_small_and_tells_nothing_of_the_machine_it_was_made_on(name: str) -> None:
    files = [path for path in (SHIPPED / name).rglob("*") if path.is_file()]
    assert {path.name for path in files} == FILES
    assert sum(path.stat().st_size for path in files) < MOST_BYTES
    for path in files:
        content = path.read_bytes()
        places = rb"/(?:home|root|work|tmp|usr|opt|mnt|var|Users|private|data)/|[A-Za-z]:\\\\|file://|site-packages"
        found = re.search(rb"(?<![\w./-])(?:%s)" % places, content)
        assert found is None, (path.name, content[max(0, found.start() - 40) : found.end() + 40])


def test_the_licence_is_the_same_everywhere_and_what_the_corpora_allow(name: str) -> None:
    specification = read_specification(SHIPPED / name)
    licence, corpora = specification.provenance["licence"], specification.provenance["corpora"]
    text, card = ((SHIPPED / name / file).read_text(encoding="utf-8") for file in ("LICENSE", "MODEL_CARD.md"))
    assert licence in text and f"Licence of the weights: {licence}" in card
    for corpus in corpora:
        terms = CORPORA[corpus].licence
        assert corpus in text.lower().replace("-", "") and re.search(rf"\| {corpus} \|.*\| {re.escape(terms)} \|", card)
        inherited = set(re.split("[ -]", terms)) & {"BY", "NC", "SA"}
        assert inherited <= set(re.split("[ -]", licence))
    assert load(name).licence == licence
    assert not specification.synthetic


def test_a_model_is_what_its_recipe_says(name: str) -> None:
    specification, recipe = read_specification(SHIPPED / name), load_recipe(name).recipe
    made = asdict(specification)
    for part in ("task", "normalization", "segments"):
        assert made[part] == recipe.model_dump()[part]
    assert made["model"] == recipe.model.model_dump() and made["front_end"] == recipe.front_end.model_dump()
    assert list(specification.auxiliary) == recipe.auxiliary and specification.classes == CLASSES
    assert specification.provenance["recipe"] == name and specification.provenance["corpora"] == recipe.corpora
    assert specification.provenance["protocol"]["name"] == recipe.protocol.name
    assert specification.provenance["protocol"]["speaker_independent"] is True


def test_the_card_says_what_it_was_measured_to_do_and_what_it_is_not_for(name: str) -> None:
    card = load(name).card
    assert card is not None and card == (SHIPPED / name / "MODEL_CARD.md").read_text(encoding="utf-8")
    for heading in ("## Trained on", "## Measured", "## Limits", "## Use", "## Calibration"):
        assert card.count(heading) == 1
    ua = re.search(r"unweighted average recall \(UA\) \| ([\d.]+) \| ([\d.]+) to ([\d.]+) \|", card)
    assert ua is not None
    value, low, high = map(float, ua.groups())
    assert 1 / len(CLASSES) < low <= value <= high <= 1
    assert "no speaker is in training and test" in card and "Not for decisions about people" in card


def test_the_calibration_is_complete_and_modest(name: str) -> None:
    calibration = read_calibration(SHIPPED / name)
    assert calibration is not None and calibration.space is not None
    assert calibration.arousal is not None and calibration.valence is not None
    assert calibration.abstain_below is not None and calibration.abstain_below < 0.9, "it answers at all"
    assert set(calibration.neutral or {}) == set(CLASSES), "or no voice could be enrolled"
    certain = calibration.apply(np.array([[1.0, 0.0, 0.0, 0.0]]), np.ones(1))
    assert certain.max() <= MOST_CERTAIN + 1e-9


# --- what they say


def test_onnx_and_torch_agree_on_real_speech_and_on_what_is_none(
    by_onnx: Model, by_torch: Model, spoken: Spoken
) -> None:
    heard = [samples for samples, _ in spoken[::4]] + [sound.astype(np.float32) for sound in sounds().values()]
    for samples in heard:
        one, other = by_onnx.recognizer(samples), by_torch.recognizer(samples)
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-4)
        np.testing.assert_allclose(one.embedding, other.embedding, atol=1e-3)
        assert list(one.auxiliary) == list(other.auxiliary) == ["arousal", "valence"]
        assert dict(one.auxiliary) == pytest.approx(dict(other.auxiliary), abs=1e-4)
        answers = [model(samples, RATE) for model in (by_onnx, by_torch)]
        for name in CLASSES:
            assert answers[0].scores[name] == pytest.approx(answers[1].scores[name], abs=1e-4)
        assert answers[0].flags == answers[1].flags


def test_most_recordings_are_recognised_and_no_class_is_said_to_all(answers: list[tuple[Prediction, str]]) -> None:
    best = [max(answer.scores, key=answer.scores.__getitem__) for answer, _ in answers]
    recalls = {
        name: np.mean([said == name for said, (_, truth) in zip(best, answers, strict=True) if truth == name])
        for name in CLASSES
    }
    assert np.mean(list(recalls.values())) > 0.65 and min(recalls.values()) >= 0.4, recalls
    assert max(best.count(name) for name in CLASSES) <= len(best) / 2
    given = [answer.emotion for answer, _ in answers]
    assert all(emotion in (UNKNOWN, said) for emotion, said in zip(given, best, strict=True))
    assert given.count(UNKNOWN) <= len(given) / 3


def test_an_answer_can_be_forced(by_onnx: Model, spoken: Spoken, answers: list[tuple[Prediction, str]]) -> None:
    order = sorted(range(len(answers)), key=lambda k: answers[k][0].confidence)
    for k in order[:2] + order[-1:]:
        forced = by_onnx(spoken[k][0], RATE, abstain=False)
        assert forced.scores == answers[k][0].scores
        assert forced.scores[forced.emotion] == max(forced.scores.values()) == forced.confidence


def test_arousal_and_valence_rank_emotions_as_their_maps_do(answers: list[tuple[Prediction, str]]) -> None:
    for dimension, high in (("arousal", {"anger", "happiness"}), ("valence", {"happiness", "neutral"})):
        values = {
            side: [getattr(answer, dimension) for answer, truth in answers if (truth in high) == side]
            for side in (True, False)
        }
        pairs = [a > b for a in values[True] for b in values[False]]
        assert np.mean(pairs) > 0.75, dimension  # area under the ROC curve


def test_scores_are_probabilities_and_never_certain(by_onnx: Model, answers: list[tuple[Prediction, str]]) -> None:
    for answer in [*(answer for answer, _ in answers), *(by_onnx(sound, RATE) for sound in sounds().values())]:
        assert list(answer.scores) == list(CLASSES)
        assert sum(answer.scores.values()) == pytest.approx(1, abs=1e-9) and min(answer.scores.values()) > 0
        assert max(answer.scores.values()) <= MOST_CERTAIN + 1e-9
        for value in (answer.arousal, answer.valence):
            assert value is not None and 1 - MOST_CERTAIN - 1e-9 <= value <= MOST_CERTAIN + 1e-9


def test_classes_restrict_and_share_what_they_had(
    by_onnx: Model, spoken: Spoken, answers: list[tuple[Prediction, str]]
) -> None:
    for (samples, _), (every, _) in list(zip(spoken, answers, strict=True))[::7]:
        two = by_onnx(samples, RATE, classes=("sadness", "anger"))
        assert list(two.scores) == ["anger", "sadness"] and two.emotion in {"anger", "sadness", UNKNOWN}
        assert sum(two.scores.values()) == pytest.approx(1)
        expected = every.scores["anger"] / (every.scores["anger"] + every.scores["sadness"])
        assert two.scores["anger"] == pytest.approx(expected, abs=1e-9)


def test_what_is_no_speech_is_unknown_and_said_to_be_unlike_training(by_onnx: Model) -> None:
    for kind, samples in sounds().items():
        answer = by_onnx(samples, RATE)
        assert answer.emotion == UNKNOWN, kind
        assert set(answer.flags) & {"silent", "no_speech", "out_of_domain"}, kind


def test_speech_is_mostly_like_training_at_any_level_and_number_of_channels(
    by_onnx: Model, spoken: Spoken, answers: list[tuple[Prediction, str]]
) -> None:
    flags = [answer.flags for answer, _ in answers]
    assert sum("out_of_domain" in found for found in flags) <= len(flags) / 10
    assert not any({"no_speech", "silent"} & set(found) for found in flags)
    for (samples, _), (plain, _) in list(zip(spoken, answers, strict=True))[::13]:
        stereo = np.stack([0.1 * samples, 0.1 * samples], axis=1)
        assert by_onnx(stereo, RATE).scores == pytest.approx(plain.scores, abs=2e-3)


def test_the_level_of_a_recording_changes_no_score(by_onnx: Model, spoken: Spoken) -> None:
    for samples, _ in spoken[::8]:
        scores = [list(by_onnx(np.float32(gain) * samples, RATE).scores.values()) for gain in (1.0, 3.0, 0.1, 0.01)]
        np.testing.assert_allclose(scores[1:], np.repeat(scores[:1], 3, axis=0), atol=0.01)


def test_the_same_sound_gives_the_same_answer_whatever_was_heard_before(
    by_onnx: Model, spoken: Spoken, answers: list[tuple[Prediction, str]]
) -> None:
    by_onnx(sounds()["noise"], RATE)
    assert by_onnx(spoken[0][0], RATE) == answers[0][0]


# --- by name on the command line


def test_predict_takes_the_model_by_name_and_says_its_licence_once(
    name: str, spoken: Spoken, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for k in range(2):
        soundfile.write(tmp_path / f"{k}.wav", spoken[k * N_OF_A_CLASS][0], RATE)
    arguments = ["predict", str(tmp_path), "--model", name, "--format", "csv"]
    assert main(arguments) == 0
    printed = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(printed.out)))
    assert [Path(row["file"]).name for row in rows] == ["0.wav", "1.wav"]
    assert printed.err == f"model: {name}, {load(name).licence}\n"
    assert main([*arguments, "--classes", "neutral,anger", "--no-abstain"]) == 0
    for row in csv.DictReader(io.StringIO(capsys.readouterr().out)):
        assert float(row["score_anger"]) + float(row["score_neutral"]) == pytest.approx(1, abs=1e-5)
        assert "score_sadness" not in row and row["emotion"] in ("anger", "neutral")


def test_torch_is_never_imported_to_hear_a_model_by_name(tmp_path: Path, spoken: Spoken) -> None:
    """Nor pandas, scikit-learn or matplotlib: a recording is recognised in a moment. The default is affectra-base."""
    soundfile.write(tmp_path / "a.wav", spoken[0][0], RATE)
    code = (
        "import sys; from affectra.cli import main\n"
        f"code = main(['predict', {str(tmp_path / 'a.wav')!r}, '--format', 'json'])\n"
        "heavy = {'torch', 'lightning', 'pandas', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "print(*sorted(heavy), file=sys.stderr); raise SystemExit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [f"model: affectra-base, {load('affectra-base').licence}", ""]
    (row,) = json.loads(done.stdout)
    assert row["emotion"] in (*CLASSES, UNKNOWN) and 0 < row["arousal"] < 1
