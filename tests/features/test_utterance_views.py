"""Views of an utterance: what the covariance of cepstra tells and what it does not, and views beside each other."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from affectra.errors import ConfigError
from affectra.features.frames.cepstral_covariance import (
    LEAST_VARIANCE,
    N_FEATURES,
    CepstralCovarianceFrames,
    log_covariance,
)
from affectra.features.frames.utterance_views import VIEWS, UtteranceViewsFrames
from affectra.features.front_ends import FRONT_ENDS
from affectra.models.vector.linear import Linear
from affectra.models.vector.vectors import Vectors

RATE = 16_000
COVARIANCE = CepstralCovarianceFrames()


def sung(seed: int = 0, n_samples: int = 2 * RATE) -> np.ndarray:
    """Noise whose colour and loudness move at the pace of speech."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(n_samples)
    low = np.convolve(noise, np.ones(16) / 4, "same")
    mix = (1 + np.sin(2 * np.pi * rng.uniform(2, 6) * np.arange(n_samples) / RATE)) / 2
    return (0.05 * (mix * low + (1 - mix) * noise) * (0.3 + mix)).astype(np.float32)


@given(st.integers(0, 10_000), st.integers(2, 6), st.integers(1, 40))
def test_the_exponential_of_the_logarithm_is_the_covariance(seed: int, n_columns: int, n_rows: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(n_rows, n_columns)) * 3
    row, column = np.triu_indices(n_columns)
    matrix = np.zeros((n_columns, n_columns))
    flat = log_covariance(rows, LEAST_VARIANCE)
    matrix[row, column] = matrix[column, row] = np.where(row == column, flat, flat / np.sqrt(2))
    values, vectors = np.linalg.eigh(matrix)
    expected = np.cov(rows, rowvar=False, bias=True) + LEAST_VARIANCE * np.eye(n_columns)
    np.testing.assert_allclose((vectors * np.exp(values)) @ vectors.T, expected, rtol=1e-7, atol=1e-7)
    assert np.linalg.norm(flat) == pytest.approx(np.linalg.norm(matrix))


def test_the_level_and_the_colour_of_a_recording_do_not_count_its_movement_does() -> None:
    samples = sung()
    plain = COVARIANCE.frames(samples)
    louder = COVARIANCE.frames(0.1 * samples)
    coloured = COVARIANCE.frames(np.append(samples[1:] - 0.3 * samples[:-1], 0).astype(np.float32))
    other = COVARIANCE.frames(sung(1))
    np.testing.assert_allclose(louder, plain, atol=1e-3)
    assert np.linalg.norm(coloured - plain) < 0.25 * np.linalg.norm(other - plain)


@pytest.mark.parametrize("n_samples", [1, 399, 400, 560, 4000, 40_001])
def test_any_length_and_silence_have_finite_numbers(n_samples: int) -> None:
    for samples in (sung(2, n_samples), np.zeros(n_samples, np.float32), np.ones(n_samples, np.float32)):
        vector = COVARIANCE.frames(samples)
        assert vector.shape == (1, N_FEATURES) and np.isfinite(vector).all()


def test_views_stand_beside_each_other_in_the_order_asked_for() -> None:
    samples = sung(3)
    names = ["cepstral-covariance", "voice-statistics"]
    expected = np.concatenate([VIEWS[name]().frames(samples) for name in names], 1)
    front_end = FRONT_ENDS.build("utterance-views", {"views": names})
    frames = front_end.frames(torch.from_numpy(samples))
    np.testing.assert_array_equal(frames.numpy(), expected)
    assert frames.shape == (front_end.n_frames(len(samples)), front_end.n_features)
    assert front_end(frames[None]).shape == (1, front_end.n_features, 1)


@pytest.mark.parametrize("views", [[], ["functionals", "functionals"], ["functional"]])
def test_no_view_one_twice_and_an_unknown_one_are_refused(views: list[str]) -> None:
    with pytest.raises(ConfigError, match="view"):
        UtteranceViewsFrames(views=views)


def problem(seed: int, copies: int) -> Vectors:
    """Two classes that three features tell apart; with them, many copies of one that tells nothing."""
    rng = np.random.default_rng(seed)
    targets = np.arange(60) % 2
    telling = rng.normal(size=(60, 3)) + 1.2 * targets[:, None]
    noise = np.repeat(rng.normal(size=(60, 1)), copies, axis=1)
    features = np.concatenate([telling, noise], 1).astype(np.float32)
    return Vectors(features=features, targets=targets, groups=np.arange(60).astype(str))


def test_with_groups_the_size_of_a_group_does_not_matter() -> None:
    scores = []
    for copies in (1, 400):
        part = problem(0, copies)
        model = Linear(3 + copies, 2, groups=[3, copies], penalty=0.01)
        model.fit(part)
        scores.append(model(torch.from_numpy(part.features)[:, :, None]).scores)
    torch.testing.assert_close(scores[0], scores[1], atol=2e-3, rtol=1e-3)


def fickle(seed: int) -> Vectors:
    """Of six speakers, 3 features that tell the classes apart, and 40 that do so for each speaker in its own way."""
    rng = np.random.default_rng(seed)
    targets, speaker = np.arange(120) % 2, np.arange(120) // 20
    telling = rng.normal(size=(120, 3)) + 1.2 * targets[:, None]
    own = 3 * targets[:, None] * rng.normal(size=(6, 40))[speaker] + 0.3 * rng.normal(size=(120, 40))
    return Vectors(np.concatenate([own, telling], 1).astype(np.float32), targets, [f"c/s{i}" for i in speaker])


def test_what_fails_on_other_speakers_of_the_training_part_is_not_heard() -> None:
    model = Linear(43, 2, groups=[40, 3], penalties=[0.001, 0.1])
    settled = model.fit(fickle(0))
    assert settled["unheard"] == [0] and settled["penalty"] in (0.001, 0.1) and settled["penalties"] == []
    chosen = Linear(43, 2, **{"groups": [40, 3], **settled})
    chosen.fit(fickle(0))
    features = torch.from_numpy(fickle(1).features)[:, :, None]
    torch.testing.assert_close(model(features).scores, chosen(features).scores)
    features[:, :40] += 5
    torch.testing.assert_close(model(features).scores, chosen(features).scores)


def test_choosing_between_nothing_is_not_choosing() -> None:
    part = problem(0, 4)
    one, given = (Linear(7, 2, **options) for options in ({"penalties": [0.02]}, {"penalty": 0.02}))
    assert one.fit(part) == {"penalty": 0.02, "unheard": [], "penalties": []} and given.fit(part) == {}
    torch.testing.assert_close(one.classify.weight, given.classify.weight)


@pytest.mark.parametrize(
    ("speakers", "message"), [(["c/a"] * 60, "found 1"), (["c/a"] * 59 + [""], "and utterances of unknown ones")]
)
def test_without_speakers_to_choose_by_nothing_is_chosen(speakers: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Linear(7, 2, penalties=[0.1, 1.0]).fit(problem(0, 4)._replace(groups=speakers))


@pytest.mark.parametrize("options", [{"unheard": [2]}, {"unheard": [0, 1]}, {"penalties": [0.1, 0.0]}])
def test_groups_that_are_not_there_and_penalties_of_nothing_are_refused(options: dict[str, list[float]]) -> None:
    with pytest.raises(ConfigError, match="linear"):
        Linear(10, 2, groups=[4, 6], **options)


@pytest.mark.parametrize("groups", [[3], [3, 4, 5], [0, 10], [-1, 11]])
def test_groups_of_other_features_are_refused(groups: list[int]) -> None:
    with pytest.raises(ConfigError, match="add up to the 10 features"):
        Linear(10, 2, groups=groups)
