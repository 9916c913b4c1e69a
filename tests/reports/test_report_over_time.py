"""Reports of made-up runs over time-continuous labels: the facts a reader must meet, and no trust in names."""

import html
import re

import numpy as np
import pandas as pd
import pytest

from affectra.errors import CheckpointError
from affectra.evaluation.run_directory import read_run
from affectra.files import read_json, write_json, write_text
from affectra.reports.facts import summary_line
from affectra.reports.figures import DARK, LIGHT
from affectra.reports.report import learning_curves, write_report
from affectra.reports.timelines import timelines
from affectra.reports.trace_files import export_traces, trace_textgrid
from affectra.reports.trace_pictures import draw_traces, write_traces_picture
from affectra.tasks.dimensions import Dimensions, recording_scores
from affectra.tasks.evaluation import Conditions, evaluate
from affectra.tasks.tables import recording_rows, write_predictions
from affectra.tasks.traces import PostProcessing, Trace

DIMENSIONS = ["arousal", "valence"]
RECIPE = """\
name: tiny-trace
description: A tiny network over time.
paper:
  title: A paper
  authors: Tzirakis, Nguyen
  venue: ICASSP
  year: 2021
  corpora: [sewa]
  task: continuous
  protocol: official
  results:
    ccc_arousal: 0.5
  source: made up
seeds: 2  # ours
"""


def predictions(n_speakers=4, n_frames=50, n_seeds=2, names="Test_{:02}"):
    rng = np.random.default_rng(0)
    tables = []
    for k in range(n_speakers):
        truth = np.cumsum(rng.normal(0, 0.1, (n_frames, 2)), axis=0)
        known = np.ones(truth.shape, dtype=bool)
        known[10:15, 0] = False
        trace = Trace(np.round(np.arange(n_frames) / 10, 9), np.where(known, truth, 0.0), known)
        for seed in range(n_seeds):
            guess = truth + rng.normal(0, 0.1 * (k + 1), truth.shape)
            tables.append(
                recording_rows(
                    trace, guess, DIMENSIONS, utterance=names.format(k), corpus="sewa", speaker=f"s{k}",
                    seed=seed, fold=0,
                )
            )  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def fake_run(folder, table=None, comparable=False, synthetic=False, n_folds=1, treated=False, leaks=()):
    table = predictions() if table is None else table
    conditions = Conditions(
        protocol={"name": "official", "version": 2, "hash": "3fa9" * 16, "speaker_independent": True},
        n_folds=n_folds,
        n_seeds=2,
        paper={"results": {"ccc_arousal": 0.5}} if comparable else None,
        synthetic=synthetic,
        normalization={"mode": "none", "transductive": False},
        leaks=leaks,
    )
    write_text(folder / "recipe.yaml", RECIPE)
    write_json(folder / "scores.json", evaluate(table, Dimensions("continuous", tuple(DIMENSIONS)), conditions))
    write_predictions(table, folder / "predictions.csv")
    environment = {
        "affectra": "0.2.0",
        "torch": "2.13.0",
        "device": "a processor",
        "cores": 2,
        "command": "affectra run tiny-trace --corpus sewa=data/sewa",
        "corpora": {"sewa": {"utterances": 4, "speakers": 4, "fingerprint": "c0ffee"}},
        "labels": {"task": "continuous", "classes": [], "dropped": {"no labels": 3}, "excluded": {}},
        "audit": {"verdict": "clean", "leaks": [], "lines": ["fold 0: clean"]},
        "seconds": 3725.2,
    }
    write_json(folder / "environment.json", environment)
    for seed in range(2):
        part = folder / f"seed-{seed}" / "fold-0"
        part.mkdir(parents=True, exist_ok=True)
        epoch = np.arange(1, 5)
        history = {"epoch": epoch, "lr": 0.1, "train_loss": 1 / epoch, "train_accuracy": "", "dev_loss": 2 / epoch}
        history |= {"dev_ua": "", "dev_ccc_arousal": 1 - 1 / epoch, "dev_ccc_valence": 0.5 - 0.5 / epoch}
        pd.DataFrame(history).to_csv(part / "history.csv", index=False)
        if treated:
            truth = [np.cumsum(np.random.default_rng(1).normal(size=(80, 2)), axis=0)]
            fitted = PostProcessing.fit([0.5 * truth[0] - 1], truth, dimensions=DIMENSIONS)
            delays = {"arousal": 1.6, "valence": 2.4}
            taken = {"word said": 0.25 + 0.5 * seed, "none said": 0.125}
            told = {"delay_s": delays, "postprocessing": fitted.to_json(), "attention": taken}
            write_json(part / "traces.json", told)
    return folder


def both(run):
    """The report's text as HTML without its tags, and as Markdown."""
    html = write_report(run).read_text()
    assert "http" not in re.sub(r"http-equiv", "", html), "nothing is fetched"
    return re.sub(r"<[^>]+>", " ", html), (run / "report.md").read_text()


def test_the_report_says_what_was_measured_and_how(tmp_path):
    run = fake_run(tmp_path)
    scores = read_json(run / "scores.json")
    facts = [
        "tiny-trace", "A tiny network over time.", "arousal, valence over time", "200 labelled frames of 4 recordings",
        "4 speakers", "official", "version 2", "speaker-independent", "averaged over 2 seeds", "CCC",
        "n/a", "0.500 on sewa, not comparable (continuous, official)", "Tzirakis, Nguyen", "bootstrap over speakers",
        "[{:.3f}, {:.3f}]".format(*scores["interval"]["ccc"]["valence"]), "c0ffee", "no labels 3", "1 h 2 min",
        "a processor", "2.13.0", "affectra run tiny-trace", "Test_03", "s3", "fold 0: clean", "A constant prediction",
        *(f"{scores['metrics'][key]['arousal']:.3f}" for key in ("ccc", "ccc_avec", "pearson", "rmse")),
        f"{scores['metrics']['ccc_per_recording']['valence']:.3f}", f"{scores['per_seed'][1]['mean_ccc']:.3f}",
    ]  # fmt: skip
    for text in both(run):
        for fact in facts:
            assert fact in text, fact
        for loud in ("SPEAKER-DEPENDENT", "PARTIAL", "synthetic", "LEAK", "TRANSDUCTIVE", "None", "nan"):
            assert loud not in text, loud


def test_rows_of_the_markdown_tables_have_as_many_cells_as_their_heads(tmp_path):
    _, markdown = both(fake_run(tmp_path, treated=True, synthetic=True))
    tables = re.findall(r"(?:^\|.*\n)+", markdown, flags=re.MULTILINE)
    assert len(tables) >= 8
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1, table
        assert re.fullmatch(r"\|(?:---:?\|)+", table.splitlines()[1]), table


def test_synthetic_speech_and_open_folds_and_leaks_are_said_first(tmp_path):
    run = fake_run(tmp_path, synthetic=True, n_folds=2, leaks=["speaker"])
    line = summary_line(read_json(run / "scores.json"))
    assert line.startswith("LEAK (speaker), CCC ")
    assert "PARTIAL (2/4 folds)" in line and line.endswith("synthetic")
    for text in both(run):
        assert line in text.replace("&#91;", "[").replace("&#93;", "]")
        assert "Measured on synthetic speech; these numbers say nothing about people." in text


def test_the_papers_number_stands_beside_ours_where_both_were_measured_alike(tmp_path):
    for text in both(fake_run(tmp_path, comparable=True)):
        assert "0.500" in text and "not comparable" not in text


def test_what_was_fitted_on_the_dev_part_is_in_the_report(tmp_path):
    assert "Delay and post-processing" not in both(fake_run(tmp_path / "plain"))[1]
    run = fake_run(tmp_path / "treated", treated=True)
    for text in both(run):
        assert "Delay and post-processing" in text and "Post-processing was fitted on the dev part alone" in text
        assert "1.6" in text and "2.4" in text and "2.000" in text, "half the spread was predicted: slope 2"
    write_text(run / "seed-0" / "fold-0" / "traces.json", "[1]")
    with pytest.raises(CheckpointError, match=r"fold-0/traces\.json: delay_s is missing"):
        write_report(run)


def tell(run, **told):
    """Other contents of traces.json in every fold."""
    for path in run.glob("seed-*/fold-*"):
        write_json(path / "traces.json", told)
    return run


@pytest.mark.parametrize(
    ("told", "note"),
    [
        ({"delay_from": "given"}, "The delay was given by the recipe, not fitted."),
        ({"delay_from": "dev"}, "The delay was searched on the dev part."),
        ({"delay_from": "training folds"}, "The delay was searched on folds of the training part."),
        ({"searched": {}}, "The delay was searched without the test part."),
        ({}, "The delay was given by the recipe, not fitted."),
    ],
)
def test_the_report_says_how_the_delay_came_about(tmp_path, told, note):
    run = tell(fake_run(tmp_path), delay_s={"arousal": 1.6, "valence": 2.4}, postprocessing=None, **told)
    for text in both(run):
        assert note in text and "2.4" in text and "on the dev part alone" not in text


def test_nothing_is_said_of_a_delay_where_there_is_none(tmp_path):
    none = {"arousal": 0.0, "valence": 0.0}
    run = tell(fake_run(tmp_path), delay_s=none, delay_from="given", postprocessing=None)
    for text in both(run):
        assert "Delay and post-processing" not in text
    for text in both(tell(run, delay_s=none, delay_from="dev", postprocessing=None)):
        assert "The delay was searched on the dev part." in text, "that none was found is a result"


ALIGNED = {
    "n_words": 20, "precision_at_1": 0.25, "precision_at_5": 0.5, "chance_at_1": 0.004, "chance_at_5": 0.02,
    "above_chance": True, "n_homophones": 4, "homophones": "near", "homophone_place": 0.0625,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "facts"),
    [
        ({}, ["P@1 0.250 (chance 0.004), P@5 0.500 (chance 0.020); above chance in 2 of 2 folds", "0.062", "as in a"]),
        ({"above_chance": False, "homophones": "not near"}, ["NOT above chance in any fold", "NOT as in a space"]),
        ({"start": "anchors"}, ["the text's space, aligned from identical words, mean over folds: P@1 0.250"]),
        ({"start": "adversarial"}, ["aligned by an adversary without any known pair, mean over folds: P@1 0.250"]),
        ({"start": "adversarial", "above_chance": False}, ["The adversary failed in 2 of 2 folds, as it often does"]),
        ({"homophones": "n/a", "n_homophones": 1}, ["too few to tell 2"]),
        ({"n_words": 0, "n_homophones": 0, "homophone_place": None}, ["Homophones: none among the words"]),
    ],
)
def test_the_report_says_whether_the_sound_of_words_has_the_meaning_of_the_text(tmp_path, changed, facts):
    words = {"alignment": {**ALIGNED, **changed}, "test": {"said": 40, "known": 30}}
    run = tell(fake_run(tmp_path), delay_s={"arousal": 0.0, "valence": 0.0}, delay_from="given", words=words)
    for text in both(run):
        assert "Of the words spoken in the test parts 75.0% have a vector." in text
        for fact in facts:
            assert fact in html.unescape(text), fact
        assert ("P@1" in text) == (changed.get("n_words") != 0)
        failed = changed.get("start") == "adversarial" and changed.get("above_chance") is False
        assert ("adversary failed" in text) == failed


def test_the_report_says_how_far_raters_agree_whose_gold_standard_the_labels_are(tmp_path):
    run = fake_run(tmp_path)
    agreement = {"method": "ewe", "n_raters": [2, 3], "ccc": {"arousal": 0.5, "valence": None}, "pearson": {}}
    write_json(run / "environment.json", read_json(run / "environment.json") | {"raters": {"mine": agreement}})
    for text in both(run):
        assert "of 2 or 3 raters a recording; CCC between raters: arousal 0.500, valence n/a." in text


def test_names_are_escaped(tmp_path):
    name = "<b>|{}*"
    run = fake_run(tmp_path, predictions(names=name))
    write_report(run)
    assert "<b>|" not in (run / "report.html").read_text().replace("&lt;b&gt;", "")
    assert "<b>" not in (run / "report.md").read_text()


def test_timelines_are_of_the_worst_the_median_and_the_best_recording(tmp_path):
    run = read_run(fake_run(tmp_path))
    recordings = recording_scores(run.task, run.predictions)
    order = sorted(recordings, key=lambda name: np.mean(list(recordings[name].values())))
    (section,) = timelines(run, recordings)
    captions = [picture.caption for picture in section.pictures]
    assert [caption.split(",")[0] for caption in captions] == [order[0], order[2], order[3]]
    assert ["worst" in captions[0], "median" in captions[1], "best" in captions[2]] == [True] * 3
    assert "2 seeds" in section.note


def test_timelines_show_gaps_and_the_true_values(drawn):
    times = np.arange(30) / 10
    gold = np.where((times >= 1) & (times < 1.5), np.nan, times)
    for theme in (LIGHT, DARK):
        figure = draw_traces(times, {"arousal": gold}, {"arousal": times - 1}, theme)
        (axes,) = figure.axes
        truth, guess = axes.get_lines()
        np.testing.assert_array_equal(truth.get_ydata(), gold)
        np.testing.assert_array_equal(guess.get_ydata(), times - 1)
        (shade,) = axes.patches
        assert (shade.get_x(), shade.get_x() + shade.get_width()) == pytest.approx((1.0, 1.5))


def test_curves_are_of_loss_and_dev_ccc(tmp_path):
    (section,) = learning_curves(read_run(fake_run(tmp_path)))
    upper, lower = section.pictures[0].draw(LIGHT).axes
    assert [text.get_text() for text in upper.get_legend().get_texts()] == ["train loss", "dev loss"]
    assert [text.get_text() for text in lower.get_legend().get_texts()] == ["arousal", "valence"]


def test_a_report_with_its_pictures_is_drawn(tmp_path, drawn):
    run = fake_run(tmp_path)
    html = write_report(run).read_text()
    assert html.count("data:image/png;base64,") == 2 * 4
    assert {path.name for path in (run / "figures").iterdir()} == {
        "timeline-0.png", "timeline-1.png", "timeline-2.png", "curves.png"
    }  # fmt: skip
    times = np.arange(5) / 10
    write_traces_picture(tmp_path / "one.svg", times, {"a": times}, {"a": times}, "a $name$")
    assert "<svg" in (tmp_path / "one.svg").read_text()


def test_a_report_says_how_much_of_the_words_was_taken_and_leaves_the_traces_as_files(tmp_path):
    run = fake_run(tmp_path / "treated", treated=True)
    for text in both(run):
        assert "word said 0.500, none said 0.125" in " ".join(text.split()).replace(" ,", ",")
    names = sorted(path.name for path in (run / "traces").iterdir())
    assert names == sorted(f"Test_{k:02}{suffix}" for k in range(4) for suffix in (".csv", ".TextGrid"))
    assert all("Share of the words" not in text for text in both(fake_run(tmp_path / "plain")))


def test_a_run_of_other_predictions_is_refused_by_name(tmp_path):
    run = fake_run(tmp_path)
    scores = read_json(run / "scores.json")
    del scores["n_frames"]
    write_json(run / "scores.json", scores)
    with pytest.raises(CheckpointError, match=r"scores\.json: key\(s\) missing: n_frames"):
        write_report(run)


def test_exported_traces_are_the_predictions_and_textgrids_hold_means_of_seconds(tmp_path):
    table = predictions(n_speakers=1, n_frames=25, n_seeds=2, names="sewa/Test_{:02}")
    paths = export_traces(table, tmp_path)
    assert [path.name for path in paths] == ["sewa%2FTest_00.csv", "sewa%2FTest_00.TextGrid"]
    back = pd.read_csv(paths[0])
    mean = table.groupby("time")["predicted_arousal"].mean()
    np.testing.assert_allclose(back["arousal"], mean, rtol=1e-5)
    assert back["truth_arousal"].isna().sum() == 5
    grid = paths[1].read_text()
    assert re.findall(r'name = "(.*)"', grid) == ["arousal", "valence", "arousal (truth)", "valence (truth)"]
    texts = re.findall(r'text = "(.*)"', grid)
    assert len(texts) == 4 * 3, "2.5 s: three intervals a tier"
    assert float(texts[0]) == pytest.approx(mean[:10].mean(), abs=0.0051)
    assert re.findall(r"xmax = (.*)", grid)[2:5] == ["1", "2", "2.5"]


def test_a_second_without_a_known_frame_is_empty_in_a_textgrid():
    times = np.arange(20) / 10
    grid = trace_textgrid(times, {"arousal": np.where(times < 1, np.nan, 0.25)})
    assert re.findall(r'text = "(.*)"', grid) == ["", "0.25"]
