"""The bootstrap over speakers: against a slow one, and its laws."""

import numpy as np
import pandas as pd
import pytest

from affectra import metrics
from affectra.tasks.classes import Classes
from affectra.tasks.evaluation import speaker_bootstrap

CLASSES = ["anger", "fear", "neutral"]
TASK = Classes("emotion", tuple(CLASSES))


def predictions(n_speakers, seed, n_utterances=20, n_seeds=1, skill=None):
    """Each speaker has a skill of their own: the share of utterances that is answered, the others are guessed."""
    rng = np.random.default_rng(seed)
    skills = rng.uniform(0.2, 1.0, n_speakers) if skill is None else np.full(n_speakers, skill)
    rows = []
    for speaker in range(n_speakers):
        truth = rng.choice(CLASSES, n_utterances)
        for run in range(n_seeds):
            known = rng.random(n_utterances) < skills[speaker]
            answers = np.where(known, truth, rng.choice(CLASSES, n_utterances))
            rows += [("c", f"s{speaker:03}", run, t, p) for t, p in zip(truth, answers, strict=True)]
    return pd.DataFrame(rows, columns=["corpus", "speaker", "seed", "truth", "predicted"])


def slow_bootstrap(table, n_resamples, seed):
    """UA of resamples built row by row."""
    speakers = sorted(set(table["speaker"]))
    rows_of = dict(list(table.groupby("speaker")))
    counts = np.random.default_rng(seed).multinomial(
        len(speakers), np.full(len(speakers), 1 / len(speakers)), size=n_resamples
    )
    values = []
    for resample in counts:
        drawn = pd.concat([rows_of[s] for s, count in zip(speakers, resample, strict=True) for _ in range(count)])
        per_seed = [metrics.unweighted_average_recall(r["truth"], r["predicted"]) for _, r in drawn.groupby("seed")]
        values.append(np.mean(per_seed))
    return np.quantile(values, [0.025, 0.975]).tolist()


def width(interval):
    return interval[1] - interval[0]


def test_the_fast_bootstrap_equals_one_built_row_by_row():
    table = predictions(5, seed=1, n_utterances=6, n_seeds=2)
    fast = speaker_bootstrap(table, TASK, n_resamples=60, seed=3)
    assert fast["ua"] == pytest.approx(slow_bootstrap(table, n_resamples=60, seed=3))


def test_a_seed_or_class_missing_from_a_resample_does_not_count():
    table = predictions(4, seed=2, n_utterances=5, n_seeds=2)
    only_first = (table["speaker"] == "s001") & (table["seed"] == 1)
    partial = table[(table["seed"] == 0) | only_first]
    partial = partial[(partial["speaker"] == "s002") | (partial["truth"] != "fear")]
    fast = speaker_bootstrap(partial, TASK, n_resamples=60, seed=3)
    assert fast["ua"] == pytest.approx(slow_bootstrap(partial, n_resamples=60, seed=3))
    assert all(0 <= low <= high <= 1 for low, high in fast.values())


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    large = predictions(4000, seed=9)
    expected = metrics.weighted_accuracy(large["truth"], large["predicted"])
    intervals = [speaker_bootstrap(predictions(25, seed=k), TASK, n_resamples=400)["wa"] for k in range(100)]
    covered = sum(low <= expected <= high for low, high in intervals)
    assert 85 <= covered <= 99  # 95 in the limit; the percentile bootstrap of 25 speakers is a little short


def test_more_speakers_give_a_narrower_interval():
    few, many = (speaker_bootstrap(predictions(n, seed=0), TASK)["ua"] for n in (8, 128))
    assert width(many) < width(few) / 2


def test_utterances_of_one_speaker_are_not_taken_for_independent():
    """Ten times the utterances of speakers who differ tell little about other speakers."""
    short, long = (speaker_bootstrap(predictions(10, seed=0, n_utterances=n), TASK)["wa"] for n in (40, 400))
    assert width(long) > width(short) / 2


def test_a_higher_level_gives_a_wider_interval():
    table = predictions(10, seed=0)
    assert width(speaker_bootstrap(table, TASK, level=0.99)["ua"]) > width(speaker_bootstrap(table, TASK)["ua"])


def test_the_order_of_rows_does_not_matter_and_the_seed_does():
    table = predictions(6, seed=0)
    assert speaker_bootstrap(table.sample(frac=1, random_state=0), TASK) == speaker_bootstrap(table, TASK)
    assert speaker_bootstrap(table, TASK, seed=1) != speaker_bootstrap(table, TASK)


def test_speakers_of_the_same_name_in_two_corpora_are_two():
    table = predictions(2, seed=0)
    both = pd.concat([table, table.assign(corpus="d")])
    assert speaker_bootstrap(table, TASK)["ua"] is None
    assert speaker_bootstrap(both, TASK)["ua"] is not None


def test_there_is_no_interval_without_three_known_speakers():
    nothing = {"wa": None, "ua": None, "macro_f1": None, "weighted_f1": None}
    assert speaker_bootstrap(predictions(2, seed=0), TASK) == nothing
    table = predictions(5, seed=0)
    table.loc[7, "speaker"] = ""
    assert speaker_bootstrap(table, TASK) == nothing


def test_perfect_predictions_have_an_interval_of_no_width():
    assert speaker_bootstrap(predictions(5, seed=0, skill=1.0), TASK)["ua"] == [1.0, 1.0]


def test_grouped_matrices_sum_to_the_matrix_of_all():
    table = predictions(4, seed=0, n_seeds=2)
    groups, matrices = TASK.sums(table, ["speaker", "seed"])
    assert len(groups) == 8
    expected = metrics.confusion_matrix(table["truth"], table["predicted"], CLASSES)
    np.testing.assert_array_equal(matrices.sum(axis=0), expected)
    rows = table[(table["speaker"] == groups["speaker"][5]) & (table["seed"] == groups["seed"][5])]
    expected = metrics.confusion_matrix(rows["truth"], rows["predicted"], CLASSES)
    np.testing.assert_array_equal(matrices[5], expected)
