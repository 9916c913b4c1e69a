"""Traces from tables: gaps stay gaps, order and rate do not matter, lengths are cut with a warning; post-processing."""

import inspect
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectra import metrics
from affectra.errors import CheckpointError, ConfigError, CorpusError
from affectra.tasks.traces import PostProcessing, common_length, read_traces

ONE = ["arousal"]
BOTH = ["arousal", "valence"]


def table(times, values, utterance="Train_01"):
    return pd.DataFrame({"utterance": utterance, "time": times, "arousal": values})


def trace_of(times, values, **options):
    return read_traces(table(times, values), ONE, **options).by_utterance["Train_01"]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-1, 1) | st.just(float("nan")), min_size=1, max_size=60))
def test_labels_on_the_grid_are_taken_over_and_nothing_else_is(values):
    trace = trace_of(np.arange(len(values)) / 10, values)
    np.testing.assert_array_equal(trace.with_gaps[:, 0], values)
    np.testing.assert_array_equal(trace.times, np.round(np.arange(len(values)) * 0.1, 9))
    assert np.isfinite(trace.values).all(), "a masked loss must never meet NaN"


def test_missing_rows_and_empty_cells_are_gaps_of_their_own_dimension():
    rows = pd.DataFrame(
        {
            "utterance": "a",
            "time": [0.0, 0.1, 0.2, 0.5, 0.6],
            "arousal": [1, 2, np.nan, 6, 7],
            "valence": [1, 2, 3, 6, 7],
        }
    )
    trace = read_traces(rows, BOTH).by_utterance["a"]
    assert trace.known.T.tolist() == [[1, 1, 0, 0, 0, 1, 1], [1, 1, 1, 0, 0, 1, 1]]


def test_no_recording_knows_of_another_one():
    mixed = pd.concat([table([0.0, 0.1], [1, 2], "b"), table([0.0, 0.1, 0.2], [5, 6, 7], "a")]).sample(
        frac=1, random_state=3
    )
    traces = read_traces(mixed, ONE).by_utterance
    assert traces["a"].values[:, 0].tolist() == [5, 6, 7]
    assert traces["b"].values[:, 0].tolist() == [1, 2]


def test_wrong_order_is_sorted_and_said_once_by_name():
    traces = read_traces(table([0.2, 0.0, 0.1], [3, 1, 2]), ONE)
    assert traces.by_utterance["Train_01"].values[:, 0].tolist() == [1, 2, 3]
    assert traces.warnings == ("Train_01: labels in wrong order; sorted by time",)
    assert read_traces(table([0.0, 0.1, 0.2], [3, 1, 2]), ONE).warnings == ()


@pytest.mark.parametrize("step", [0.04, 0.01, 0.25, 0.5, 1.0])
def test_labels_of_another_rate_are_interpolated(step):
    times = np.arange(0, 12, step)
    trace = trace_of(times, 2 * times - 5)
    assert trace.known.all()
    np.testing.assert_allclose(trace.values[:, 0], 2 * trace.times - 5, atol=1e-9)
    assert len(trace) == int(np.floor(times[-1] * 10 + 1e-6)) + 1


def test_nothing_is_interpolated_across_a_long_gap_at_any_rate():
    trace = trace_of([0.0, 2.0, 4.0], [0.0, 2.0, 4.0])
    assert np.flatnonzero(trace.known[:, 0]).tolist() == [0, 20, 40], "labels every 2 s say nothing of the time between"
    times = np.delete(np.arange(0, 8, 0.04), slice(50, 100))
    trace = trace_of(times, times)
    inside = (trace.times > times[49] + 1e-6) & (trace.times < times[50] - 1e-6)
    np.testing.assert_array_equal(trace.known[:, 0], ~inside)


def test_uneven_rows_within_a_frame_are_no_gap():
    rng = np.random.default_rng(0)
    times = np.sort(np.concatenate([[0.0], np.cumsum(rng.uniform(0.01, 0.1, 400))]))
    trace = trace_of(times, np.sin(times))
    assert trace.known.all()
    np.testing.assert_allclose(trace.values[:, 0], np.sin(trace.times), atol=2e-3)


def test_labels_and_audio_of_other_lengths_are_cut_to_the_labels_with_a_warning_that_names_the_recording():
    rows = pd.concat([table(np.arange(20) / 10, 0.5, f"Train_{k:02}") for k in range(3)])
    lengths = {"Train_00": 5.0, "Train_01": 2.0, "Train_02": 1.0}
    traces = read_traces(rows, ONE, durations_s=lengths)
    assert traces.warnings == (
        "Train_00: labels for 2 s, audio for 5 s; cut to the labels",
        "Train_02: labels for 2 s, audio for 1 s; cut to the audio",
    )
    assert [len(trace) for trace in traces.by_utterance.values()] == [20, 20, 10]
    assert common_length(20, 50, "a")[0] == common_length(50, 20, "a")[0] == 20


@pytest.mark.parametrize("duration", [1.9, 1.95, 2.0, 2.04, 2.1])
def test_a_partial_frame_at_the_end_is_no_reason_to_warn(duration):
    assert read_traces(table(np.arange(20) / 10, 0.5), ONE, durations_s={"Train_01": duration}).warnings == ()


@pytest.mark.parametrize(
    ("times", "values", "message"),
    [
        ([0.0, 0.1, 0.1], [1, 2, 3], r"continuous: Train_01: time 0\.1 s stands there twice"),
        ([0.0, -0.1], [1, 2], r"Train_01: time -0\.1 in its row 2; expected seconds from 0 on"),
        ([0.0, "x"], [1, 2], "Train_01: time x in its row 2"),
        ([0.0, np.nan], [1, 2], "Train_01: time nan in its row 2"),
        ([0.0, 0.1], [1, "high"], "Train_01: arousal high; expected a finite number, or nothing"),
        ([0.0, 0.1], [1, np.inf], "Train_01: arousal inf; expected a finite number"),
    ],
)
def test_tables_that_cannot_be_right_are_refused_by_name(times, values, message):
    with pytest.raises(CorpusError, match=message):
        trace_of(times, values)


def test_an_unknown_dimension_is_refused_with_the_known_columns():
    with pytest.raises(CorpusError, match="unknown column 'arousl'; did you mean 'arousal'"):
        read_traces(table([0.0], [1]), ["arousl"])


def test_a_trace_without_any_known_label_is_all_gap():
    assert not trace_of([0.0, 0.1], [np.nan, np.nan]).known.any()
    assert trace_of([0.0], [0.3]).with_gaps.tolist() == [[0.3]]


def wander(seed, n_frames=600, n_dimensions=1):
    """Slow curves, as labels are."""
    steps = np.random.default_rng(seed).normal(0, 0.05, (n_frames, n_dimensions))
    curve = np.cumsum(steps, axis=0)
    return curve - curve.mean(axis=0)


def fitted(guess, truth, dimensions=ONE):
    return PostProcessing.fit(guess, truth, dimensions=dimensions)


def test_spread_and_level_that_are_wrong_on_dev_are_put_right_on_test():
    dev, test = [wander(k) for k in range(3)], wander(9)
    processing = fitted([0.3 * one + 0.7 for one in dev], dev)
    treatment = processing.by_dimension["arousal"]
    assert (treatment.slope, treatment.offset) == pytest.approx((1 / 0.3, -0.7 / 0.3))
    np.testing.assert_allclose(processing.apply(0.3 * test + 0.7), test, atol=1e-9)


def test_noise_is_smoothed_and_what_does_not_help_on_dev_is_left_away():
    rng = np.random.default_rng(0)
    dev, test = [wander(k) for k in range(4)], wander(9)
    noisy = [one + rng.normal(0, 0.3, one.shape) for one in dev]
    processing = fitted(noisy, dev)
    assert processing.by_dimension["arousal"].smoother != "none"
    guess = test + rng.normal(0, 0.3, test.shape)
    before, after = (metrics.concordance_cc(test[:, 0], x[:, 0]) for x in (guess, processing.apply(guess)))
    assert after > before + 0.02
    perfect = fitted(dev, dev)
    treatment = perfect.by_dimension["arousal"]
    assert (treatment.smoother, treatment.slope, treatment.offset) == ("none", 1.0, 0.0)
    np.testing.assert_array_equal(perfect.apply(test), test)


def test_the_dev_ccc_only_rises_and_is_what_applying_gives():
    rng = np.random.default_rng(1)
    dev = [wander(k, n_dimensions=2) for k in range(3)]
    for one in dev:
        one[100:150] = np.nan
    guess = [np.nan_to_num(one) * 0.5 + rng.normal(0.2, 0.2, one.shape) for one in dev]
    processing = fitted(guess, dev, BOTH)
    truth, treated = np.concatenate(dev), np.concatenate([processing.apply(one) for one in guess])
    for k, treatment in enumerate(processing.by_dimension.values()):
        history = list(treatment.dev_ccc.values())
        assert history == sorted(history) and len(history) > 1
        known = ~np.isnan(truth[:, k])
        assert metrics.concordance_cc(truth[:, k], treated[:, k], known=known) == pytest.approx(history[-1])


def test_a_recording_is_treated_alike_whatever_else_is_tested():
    rng = np.random.default_rng(2)
    dev, guess = [wander(1)], [wander(1) + rng.normal(0, 0.3, (600, 1))]
    processing = fitted(guess, dev)
    one, other = guess[0][:200], 5 + 3 * guess[0][200:]
    alone = processing.apply(one)
    processing.apply(other)
    np.testing.assert_array_equal(processing.apply(one), alone)
    assert processing == fitted(guess, dev), "test recordings leave no trace in it"
    assert set(inspect.signature(processing.apply).parameters) == {"predicted"}, "there is no place for a test truth"


def test_post_processing_goes_through_json():
    processing = fitted([0.3 * wander(0) + 0.7], [wander(0)])
    again = PostProcessing.from_json(json.loads(json.dumps(processing.to_json())))
    assert again == processing
    for broken in (None, {}, {"step_s": 0.1, "by_dimension": {"arousal": {"slope": 1}}}):
        with pytest.raises(CheckpointError, match=r"a\.json: not post-processing"):
            PostProcessing.from_json(broken, "a.json")
    content = processing.to_json()
    content["by_dimension"]["arousal"]["smoother"] = "medan"
    with pytest.raises(CheckpointError, match="arousal: unknown smoother 'medan'; did you mean 'median'"):
        PostProcessing.from_json(content)


def test_post_processing_needs_known_dev_labels():
    with pytest.raises(ConfigError, match="labels for 0; expected as many of both"):
        fitted([wander(0)], [])
    with pytest.raises(ConfigError, match="arousal has no known label in the dev part"):
        fitted([wander(0)], [np.full((600, 1), np.nan)])


def test_a_constant_prediction_is_survived():
    processing = fitted([np.full((600, 1), 0.4)], [wander(0)])
    assert np.isfinite(processing.apply(np.full((600, 1), 0.4))).all()


def test_traces_and_their_evaluation_are_free_of_torch():
    modules = "affectra.tasks.traces, affectra.tasks.dimensions, affectra.reports.over_time"
    check = f"import {modules}, sys; assert not {{'torch', 'lightning'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True)
