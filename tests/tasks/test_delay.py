"""Annotation delays: planted ones are found and taken back, without a look at test recordings."""

import inspect

import numpy as np
import pytest

from affectra import metrics
from affectra.errors import ConfigError
from affectra.tasks.traces import Trace, find_delay, move_back, shift_back

BOTH = ["arousal", "valence"]


def recordings(delays_s, n_recordings=6, n_frames=500, noise=0.4, seed=0):
    """Features that follow two hidden curves, and labels that follow the same ones later."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(2, 12))
    found = []
    for _ in range(n_recordings):
        hidden = np.stack([np.convolve(rng.normal(size=n_frames + 39), np.ones(40) / 6, "valid") for _ in range(2)], 1)
        features = hidden @ mixing + rng.normal(0, 1.0, (n_frames, 12))
        labels = np.stack([np.roll(hidden[:, k], round(10 * delay)) for k, delay in enumerate(delays_s)], 1)
        labels += np.stack([np.convolve(rng.normal(0, noise, n_frames + 9), np.ones(10) / 5, "valid")] * 2, 1)
        labels[: round(10 * max(delays_s))] = np.nan
        labels[200:230, 0] = np.nan
        found.append((features, labels))
    return found


def test_a_planted_delay_of_1600_ms_is_found_in_each_dimension_on_dev():
    train, dev = recordings((1.6, 1.6)), recordings((1.6, 1.6), 3, seed=1)
    found = find_delay(train, dev, dimensions=BOTH)
    assert found.seconds == pytest.approx({"arousal": 1.6, "valence": 1.6}, abs=0.21)
    fine = find_delay(train, dev, dimensions=BOTH, max_s=3, search_step_s=0.1)
    assert fine.seconds == pytest.approx({"arousal": 1.6, "valence": 1.6}, abs=0.11)


def test_dimensions_have_delays_of_their_own_and_the_training_part_alone_will_do():
    found = find_delay(recordings((1.0, 3.0)), dimensions=BOTH)
    assert found.seconds == pytest.approx({"arousal": 1.0, "valence": 3.0}, abs=0.21)


def test_labels_without_a_delay_or_without_a_relation_to_the_voice_stay_where_they_are():
    assert find_delay(recordings((0.0, 0.0)), dimensions=BOTH).seconds == {"arousal": 0.0, "valence": 0.0}
    rng = np.random.default_rng(5)
    still = [(rng.normal(size=(300, 4)), np.full((300, 2), 0.5)) for _ in range(4)]
    assert find_delay(still, dimensions=BOTH).seconds == {"arousal": 0.0, "valence": 0.0}


def test_scores_are_told_for_every_delay_that_was_tried():
    found = find_delay(recordings((1.6, 1.6)), dimensions=BOTH, max_s=4)
    assert found.tried_s[:3] == (0.0, 0.2, 0.4) and found.tried_s[-1] == 4.0
    for name, scores in found.scores.items():
        assert len(scores) == len(found.tried_s)
        assert found.tried_s[int(np.argmax(scores))] == found.seconds[name]


def test_a_search_has_no_place_for_test_recordings():
    assert set(inspect.signature(find_delay).parameters) == {
        "train", "dev", "dimensions", "max_s", "search_step_s", "step_s"
    }  # fmt: skip


def test_labels_move_earlier_and_their_end_is_unknown():
    values = np.arange(10.0)[:, None] + [0, 100]
    known = np.ones((10, 2), dtype=bool)
    known[5, 0] = False
    moved = shift_back(Trace(np.arange(10) / 10, values, known), [0.3, 0.0])
    np.testing.assert_array_equal(moved.with_gaps[:, 1], values[:, 1])
    np.testing.assert_array_equal(moved.with_gaps[:, 0], [3, 4, np.nan, 6, 7, 8, 9, np.nan, np.nan, np.nan])
    everything = shift_back(Trace(np.arange(10) / 10, values, known), [99.0, 0.0])
    assert not everything.known[:, 0].any() and everything.known[:, 1].all()


def test_moving_labels_and_then_predictions_ends_at_the_times_of_the_labels():
    values = np.random.default_rng(0).normal(size=(50, 2))
    trace = Trace(np.arange(50) / 10, values, np.ones((50, 2), dtype=bool))
    delays = [1.6, 0.5]
    perfect = shift_back(trace, delays).values  # of a network that has learnt the moved labels by heart
    back = move_back(perfect, delays)
    np.testing.assert_array_equal(back[16:, 0], values[16:, 0])
    np.testing.assert_array_equal(back[5:, 1], values[5:, 1])
    assert (back[:16, 0] == back[16, 0]).all() and back.shape == values.shape, "every frame is scored"


def test_compensation_lifts_the_ccc_at_the_original_times():
    """Without a network: ridge regression to labels as given, and to moved ones."""
    train, test = recordings((1.6, 1.6)), recordings((1.6, 1.6), 3, seed=2)
    found = list(find_delay(train, dimensions=BOTH).seconds.values())

    def trained(delays):
        inputs, targets = [], []
        for features, labels in train:
            trace = Trace(np.arange(len(labels)) / 10, np.nan_to_num(labels), ~np.isnan(labels))
            inputs.append(features)
            targets.append(shift_back(trace, delays).with_gaps)
        features, labels = np.concatenate(inputs), np.concatenate(targets)
        known = ~np.isnan(labels).any(axis=1)
        weights = np.linalg.lstsq(features[known], labels[known], rcond=None)[0]
        guess = np.concatenate([move_back(one @ weights, delays) for one, _ in test])
        truth = np.concatenate([one for _, one in test])
        return [metrics.concordance_cc(truth[:, k], guess[:, k], known=~np.isnan(truth[:, k])) for k in range(2)]

    for before, after in zip(trained([0.0, 0.0]), trained(found), strict=True):
        assert after > before + 0.1


def test_searches_that_cannot_be_done_are_refused():
    one = recordings((1.0, 1.0), 1)
    with pytest.raises(ConfigError, match="a dev part or two of them or more"):
        find_delay(one, dimensions=BOTH)
    with pytest.raises(ConfigError, match=r"steps of 0\.01 s up to 8 s; expected 0\.1 or more"):
        find_delay(one, one, dimensions=BOTH, search_step_s=0.01)
    unknown = [(features, np.full_like(labels, np.nan)) for features, labels in one]
    with pytest.raises(ConfigError, match="no known label in the part that it is searched on"):
        find_delay(one, unknown, dimensions=BOTH)
    with pytest.raises(ConfigError, match="2 dimensions; expected arousal"):
        find_delay(one, one, dimensions=["arousal"])
    with pytest.raises(ConfigError, match="expected 2 numbers from 0 on"):
        move_back(np.zeros((3, 2)), [1.0])
