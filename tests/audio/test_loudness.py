"""Loudness: the reference values of BS.1770 and EBU Tech 3341, its laws, and that training and prediction share it."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from affectra.audio.loudness import at_loudness, loudness
from affectra.errors import ConfigError
from affectra.features.extract import AudioSpan, extract
from affectra.features.specification import Specification
from affectra.models.recognizer import Recognizer, save_checkpoint
from affectra.predict.export import export
from affectra.predict.model import load
from affectra.predict.onnx import OnnxRecognizer
from affectra.predict.torch_folds import TorchRecognizer
from affectra.recipes.config import load_recipe

RATES = (8_000, 16_000, 44_100, 48_000)


def tone(level_db: float, seconds: float, rate: int = 48_000, frequency: float = 997.0) -> np.ndarray:
    samples = 10 ** (level_db / 20) * np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate)
    return samples.astype(np.float32)


def speech(seconds: float = 3.0, rate: int = 16_000, seed: int = 0) -> np.ndarray:
    """Noise in syllables."""
    rng, n = np.random.default_rng(seed), round(seconds * rate)
    envelope = np.clip(np.sin(2 * np.pi * 2 * np.arange(n) / rate), 0, None) + 0.01
    return (0.1 * rng.standard_normal(n) * envelope).astype(np.float32)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("level_db", [0.0, -20.0, -40.0])
def test_a_sine_of_997_hz_has_its_published_loudness(rate: int, level_db: float) -> None:
    """BS.1770-5: full scale in one channel is -3.01 LUFS."""
    assert loudness(tone(level_db, 2.0, rate), rate) == pytest.approx(level_db - 3.01, abs=0.05)


def test_what_is_far_below_the_rest_does_not_count() -> None:
    """EBU Tech 3341, cases 3 and 4, in one channel (3.01 LU below two equal ones)."""
    quiet, loud, faint = tone(-36, 10), tone(-23, 60), tone(-72, 10)
    assert loudness(np.concatenate([quiet, loud, quiet]), 48_000) == pytest.approx(-26.01, abs=0.1)
    assert loudness(np.concatenate([faint, quiet, loud, quiet, faint]), 48_000) == pytest.approx(-26.01, abs=0.1)


def test_deep_sounds_count_less_and_high_ones_more() -> None:
    levels = [loudness(tone(-20, 2.0, frequency=hz), 48_000) for hz in (25, 100, 997, 4000)]
    assert levels[0] < levels[1] - 5 and levels[1] < levels[2] and levels[3] == pytest.approx(levels[2] + 3.3, abs=0.3)


@settings(max_examples=30, deadline=None)
@given(gain_db=st.floats(-40, 30), rate=st.sampled_from(RATES), seconds=st.floats(0.05, 3.0))
def test_a_gain_moves_it_by_as_much_and_silence_around_by_nothing(gain_db: float, rate: int, seconds: float) -> None:
    samples = speech(seconds, rate)
    before = loudness(samples, rate)
    assert loudness(samples * np.float32(10 ** (gain_db / 20)), rate) == pytest.approx(before + gain_db, abs=1e-3)
    if seconds > 1:
        padded = np.concatenate([np.zeros(5 * rate, "f4"), samples, np.zeros(5 * rate, "f4")])
        assert loudness(padded, rate) == pytest.approx(before, abs=1.0)  # blocks on the edges


@pytest.mark.parametrize("lufs", [-40.0, -23.0, -10.0])
def test_a_sound_is_brought_to_a_loudness_and_silence_stays(lufs: float) -> None:
    levelled = at_loudness(speech(), 16_000, lufs)
    assert levelled.dtype == np.float32 and loudness(levelled, 16_000) == pytest.approx(lufs, abs=1e-3)
    np.testing.assert_allclose(at_loudness(levelled * np.float32(0.1), 16_000, lufs), levelled, rtol=1e-4)
    for silence in (np.zeros(16_000, "f4"), np.zeros(1, "f4"), 1e-5 * speech()):
        np.testing.assert_array_equal(at_loudness(silence, 16_000, lufs), silence)
    assert loudness(np.zeros(0, "f4"), 16_000) == -np.inf


# --- in training and prediction


def recognizer(level: float | None) -> Recognizer:
    """Untrained, of log-mel frames normalised by statistics of training: it hears how loud a recording is."""
    options = {**load_recipe("li2018-cpu").recipe.model.options, "channels": [6, 8], "pooled": [True, False]}
    parts = {
        "model": {"name": "attention-cnn", "options": options}, "front_end": {"name": "log-mel", "options": {}},
        "segments": {"length_s": 1.0, "frames": 100, "train_shift_s": 0.5, "test_shift_s": 0.25},
        "normalization": "train", "task": "arousal", "classes": ("high", "low"), "synthetic": True,
    }  # fmt: skip
    torch.manual_seed(0)
    return Recognizer(Specification(**parts, loudness=level)).eval()


@pytest.mark.parametrize("exported", [False, True])
def test_a_model_that_was_trained_at_a_loudness_hears_every_recording_at_it(tmp_path: Path, exported: bool) -> None:
    heard = {}
    for level in (None, -23.0):
        folder = tmp_path / f"{level}"
        save_checkpoint(recognizer(level), folder / "fold")
        if exported:
            hears = OnnxRecognizer(export(folder / "fold", folder / "model"))
        else:
            hears = TorchRecognizer([recognizer(level)])
        heard[level] = [hears(gain * speech()).embedding for gain in (np.float32(1), np.float32(0.05))]
    scale = np.abs(heard[-23.0][0]).max()
    np.testing.assert_allclose(heard[-23.0][0], heard[-23.0][1], atol=1e-3 * scale)
    assert np.abs(heard[None][0] - heard[None][1]).max() > 0.05 * scale, "a model that hears no level proves nothing"


def test_training_hears_what_prediction_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AFFECTRA_CACHE", str(tmp_path / "cache"))
    soundfile.write(tmp_path / "a.wav", speech(), 16_000, subtype="FLOAT")
    model = recognizer(-23.0)
    front_end = dict(model.specification.front_end)
    (levelled,) = extract([AudioSpan(tmp_path / "a.wav")], front_end, loudness=-23.0)
    (plain,) = extract([AudioSpan(tmp_path / "a.wav")], front_end)
    assert levelled.path != plain.path
    answer = model.recognize(np.load(levelled.path))
    np.testing.assert_allclose(TorchRecognizer([model])(speech()).probabilities, answer.probabilities, atol=1e-6)


def test_a_recipe_takes_it_and_a_checkpoint_keeps_it(tmp_path: Path) -> None:
    assert load_recipe("li2018-cpu", {"loudness": -23.0}).recipe.loudness == -23.0
    with pytest.raises(ConfigError, match="loudness"):
        load_recipe("li2018-cpu", {"loudness": 3.0})
    save_checkpoint(recognizer(-23.0), tmp_path)
    assert load(tmp_path).recognizer.specification.loudness == -23.0
