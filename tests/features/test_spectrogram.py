"""Spectrograms: physics, and equality with the plain computation."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from affectra.errors import ConfigError
from affectra.features.audio.spectrogram import Spectrogram, mu_law
from affectra.features.front_ends import FRONT_ENDS
from affectra.recipes.config import load_recipe

LI = dict(load_recipe("li2018").recipe.front_end.options)
GAO = {
    "sample_rate": 16000, "window": "hamming", "window_length": 256, "hop_length": 128, "n_fft": 256, "n_bins": 129,
    "compression": "log",
}  # fmt: skip


def plain(samples: np.ndarray, options: dict) -> np.ndarray:
    """Magnitudes by a loop over windows, straight from the definition."""
    length, hop = options["window_length"], options["hop_length"]
    taper = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(length) / length)
    n = 1 + max(0, -(-(len(samples) - length) // hop))
    padded = np.concatenate([samples, np.zeros((n - 1) * hop + length - len(samples))])
    windows = np.stack([padded[i * hop : i * hop + length] * taper for i in range(n)])
    return np.abs(np.fft.rfft(windows, options["n_fft"]))[:, : options["n_bins"]]


@given(st.integers(1, 60_000), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_frames_are_those_of_the_definition(n_samples: int, seed: int) -> None:
    samples = np.random.default_rng(seed).standard_normal(n_samples).astype(np.float32)
    frames = Spectrogram(**LI).frames(torch.from_numpy(samples)).numpy()
    np.testing.assert_allclose(frames, plain(samples.astype(np.float64), LI), atol=2e-3)


@pytest.mark.parametrize("frequency_hz", [100.0, 440.0, 1000.0, 3990.0])
def test_a_pure_tone_peaks_in_its_bin(frequency_hz: float) -> None:
    tone = torch.sin(2 * torch.pi * frequency_hz * torch.arange(16_000) / 16_000)
    frames = Spectrogram(**LI).frames(tone)[:-4]  # the last windows are padded
    assert (frames.argmax(1) == round(frequency_hz / 10)).all()  # 10 Hz a bin


def test_two_seconds_are_400_by_200_for_li_and_265_ms_are_32_by_129_for_gao() -> None:
    from affectra.features.specification import Specification
    from affectra.models.recognizer import Recognizer

    for options, segments, shape in (
        (LI, {"length_s": 2.0, "frames": 200, "train_shift_s": 1.0, "test_shift_s": 0.4}, (400, 200)),
        (GAO, {"length_s": 0.265, "frames": 32, "train_shift_s": 0.25, "test_shift_s": 0.25}, (129, 32)),
    ):
        model = load_recipe("li2018").recipe.model.model_dump()
        front_end = {"name": "spectrogram", "options": options}
        recognizer = Recognizer(Specification(model, front_end, "none", segments, "emotion", ("a", "b"), True))
        samples = torch.randn(round(segments["length_s"] * 16_000))
        frames = recognizer.front_end.frames(samples).numpy()
        segment, n = recognizer.grid.cut(frames, 0)
        assert recognizer.front_end(torch.from_numpy(segment)[None]).shape[1:] == shape
        assert n == {200: 197, 32: 32}[segments["frames"]]  # 197 windows fit into 2 s, not the paper's 199


def test_windows_cut_from_the_whole_equal_windows_computed_alone() -> None:
    samples = torch.randn(16_000 * 5)
    front_end = Spectrogram(**LI)
    whole = front_end.frames(samples)
    for start in range(0, 300, 40):  # every 0.4 s
        alone = front_end.frames(samples[start * 160 : start * 160 + 32_000])
        torch.testing.assert_close(whole[start : start + 197], alone)
        torch.testing.assert_close(front_end(whole[None, start : start + 197]), front_end(alone[None]))


def test_mu_law_is_odd_monotonic_and_inverts() -> None:
    x = torch.linspace(-1, 1, 1001, dtype=torch.float64)
    y = mu_law(x)
    torch.testing.assert_close(y, -mu_law(-x))
    assert (y.diff() > 0).all() and y[0] == -1 and y[-1] == 1
    torch.testing.assert_close(torch.sign(y) * ((256.0 ** y.abs()) - 1) / 255, x)


def test_a_segment_does_not_change_with_the_level_of_the_recording() -> None:
    samples = torch.randn(32_000)
    front_end = Spectrogram(**LI)
    loud, quiet = (front_end(front_end.frames(gain * samples)[None]) for gain in (1.0, 0.01))
    torch.testing.assert_close(loud, quiet, atol=1e-4, rtol=1e-4)
    assert loud.max() == 1 and loud.min() >= 0


def test_silence_gives_finite_features() -> None:
    for options in (LI, GAO, {**LI, "peak": "utterance"}, {**LI, "compression": "none"}):
        front_end = Spectrogram(**options)
        assert torch.isfinite(front_end(front_end.frames(torch.zeros(32_000))[None])).all()


def test_pooled_bins_are_means_of_neighbours() -> None:
    samples = torch.randn(16_000)
    fine = Spectrogram(**LI).frames(samples)
    coarse = Spectrogram(**LI, pool_bins=4).frames(samples)
    torch.testing.assert_close(coarse, fine.reshape(len(fine), 100, 4).mean(2))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"window": "boxcar"}, "option window: input should be 'hamming' or 'hann'"),
        ({"compression": "mu"}, "option compression: input should be"),
        ({"peak": "corpus"}, "option peak: input should be"),
        ({"n_fft": 400}, "needs 0 < window_length <= n_fft"),
        ({"n_bins": 900}, "needs 0 < window_length <= n_fft"),
        ({"pool_bins": 3}, "does not divide"),
        ({"hop": 3}, "unknown option 'hop'"),
    ],
)
def test_lengths_that_do_not_fit_are_named(change: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        FRONT_ENDS.build("spectrogram", {**LI, **change})


def test_segments_are_the_mu_law_of_their_magnitudes_over_their_peak_and_silence_is_zero() -> None:
    segments = torch.rand(3, 7, 400, generator=torch.Generator().manual_seed(0)) ** 3
    segments[1], segments[2, 4:] = 0, 0
    expected = mu_law(segments / segments.amax(dim=(1, 2), keepdim=True).clamp_min(1e-5)).transpose(1, 2)
    features = Spectrogram(**LI)(segments)
    torch.testing.assert_close(features, expected, atol=1e-6, rtol=0)
    assert (features[1] == 0).all() and (features[2, :, 4:] == 0).all() and features[0].max() == pytest.approx(1)
