"""Laws that every registered front end obeys, and those of log-mel, MFCC, fixed LEAF and the waveform."""

import math

import numpy as np
import pytest
import torch

from affectra.errors import ConfigError
from affectra.features.audio.mel import mel_filters
from affectra.features.front_ends import FRONT_ENDS
from affectra.features.leaf.leaf import Leaf
from affectra.recipes.config import load_recipe

OPTIONS: dict[str, dict] = {
    "spectrogram": dict(load_recipe("li2018").recipe.front_end.options),
    "log-mel": {},
    "mfcc": {},
    "leaf": {},
    "waveform": {"window_length": 400, "hop_length": 160},
}
# One vector a stretch, parameters of its own, or text: tested with what computes it.
ELSEWHERE = {
    "functionals", "voice-statistics", "utterance-views", "learned-leaf", "hashed-words", "word-vectors",
    "transformer-text",
}  # fmt: skip
RATE = 16_000


def noise(n_samples: int, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(n_samples, generator=torch.Generator().manual_seed(seed))


def test_every_registered_front_end_is_tested_here() -> None:
    assert set(OPTIONS) | ELSEWHERE == set(FRONT_ENDS)


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("n_samples", [1, 399, 400, 401, 560, 16_123])
def test_frames_are_as_many_as_said_and_finite(name: str, n_samples: int) -> None:
    front_end = FRONT_ENDS.build(name, OPTIONS[name])
    for samples in (noise(n_samples), torch.zeros(n_samples), torch.ones(n_samples)):
        frames = front_end.frames(samples)
        assert frames.shape == (front_end.n_frames(n_samples), front_end.n_features)
        assert torch.isfinite(frames).all() and not frames.requires_grad
        assert np.isfinite(frames.numpy().astype(np.float16)).all()  # as they are cached


@pytest.mark.parametrize("name", OPTIONS)
def test_segments_come_out_as_feature_by_time(name: str) -> None:
    front_end = FRONT_ENDS.build(name, OPTIONS[name])
    segments = front_end.frames(noise(8000))[None, :30]
    assert front_end(segments).shape == (1, front_end.n_features, 30)


@pytest.mark.parametrize("name", OPTIONS)
def test_a_delay_of_a_hop_is_a_delay_of_a_frame(name: str) -> None:
    front_end = FRONT_ENDS.build(name, OPTIONS[name])
    samples = noise(48_000)
    early, late = front_end.frames(samples[front_end.hop_length :]), front_end.frames(samples)
    settled = 250 if name == "leaf" else 0  # its running mean remembers how the signal began
    torch.testing.assert_close(early[settled:-4], late[settled + 1 : -4], atol=1e-4, rtol=1e-4)


def test_a_tone_peaks_in_its_mel_band() -> None:
    front_end = FRONT_ENDS.build("log-mel", {})
    corners_hz = 700 * (10 ** (np.linspace(_mel(60), _mel(7800), 42) / 2595) - 1)
    for band in range(3, 40, 4):
        tone = torch.sin(2 * math.pi * corners_hz[band + 1] * torch.arange(8000) / RATE)
        assert (front_end.frames(tone)[:-3].argmax(1) == band).all()


def _mel(frequency_hz: float) -> float:
    return 2595 * math.log10(1 + frequency_hz / 700)


def test_mel_triangles_of_neighbours_add_up_to_one() -> None:
    total = mel_filters(20, RATE, 4096, 100, 7000).sum(0)
    frequencies = torch.linspace(0, 8000, 2049)
    corners_hz = 700 * (10 ** (np.linspace(_mel(100), _mel(7000), 22) / 2595) - 1)
    inner = (frequencies > corners_hz[1]) & (frequencies < corners_hz[-2])
    torch.testing.assert_close(total[inner], torch.ones_like(total[inner]))
    assert (total[(frequencies < 100) | (frequencies > 7000)] == 0).all()


def test_level_shifts_log_mel_and_changes_only_the_first_cepstral_coefficient() -> None:
    samples = noise(8000)
    mel, cepstrum = FRONT_ENDS.build("log-mel", {}), FRONT_ENDS.build("mfcc", {})
    shift = mel.frames(10 * samples) - mel.frames(samples)
    torch.testing.assert_close(shift, torch.full_like(shift, 2 * math.log(10)), atol=1e-3, rtol=0)
    change = cepstrum.frames(10 * samples) - cepstrum.frames(samples)
    expected = torch.full_like(change[:, 0], 2 * math.log(10) * math.sqrt(40))
    torch.testing.assert_close(change[:, 0], expected, atol=1e-3, rtol=0)
    assert change[:, 1:].abs().max() < 1e-3


def test_all_cepstral_coefficients_together_lose_nothing() -> None:
    samples = noise(4000)
    mel = FRONT_ENDS.build("log-mel", {}).frames(samples)
    cepstrum = FRONT_ENDS.build("mfcc", {"n_coefficients": 40}).frames(samples)
    torch.testing.assert_close(cepstrum.norm(dim=1), mel.norm(dim=1), atol=1e-3, rtol=1e-4)


def test_fixed_leaf_is_leaf_at_its_start_and_learns_nothing() -> None:
    samples = noise(16_000)
    front_end = FRONT_ENDS.build("leaf", {})
    with torch.no_grad():
        torch.testing.assert_close(front_end.frames(samples), Leaf()(samples[None])[0].T)
    assert not any(parameter.requires_grad for parameter in front_end.parameters())


def test_the_waveform_comes_back_from_its_frames() -> None:
    samples = noise(1000)
    front_end = FRONT_ENDS.build("waveform", {"window_length": 160})
    frames = front_end.frames(samples)
    torch.testing.assert_close(frames.flatten()[:1000], samples)
    assert (frames.flatten()[1000:] == 0).all()


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("log-mel", {"highest_hz": 9000.0}, "highest_hz=9000"),
        ("log-mel", {"n_filters": 200}, "leave a band without a bin"),
        ("log-mel", {"n_fft": 200}, "0 < window_length <= n_fft"),
        ("mfcc", {"n_coefficients": 41}, "n_coefficients <= n_filters=40, found 41"),
        ("waveform", {"window_length": 0}, "window_length"),
        ("leaf", {"hop_s": 0.0}, "hop_s=0"),
        ("leaf", {"pooling": 1}, "unknown option 'pooling'"),
    ],
)
def test_sizes_that_do_not_fit_are_named(name: str, options: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        FRONT_ENDS.build(name, options)
