"""Reports of made-up runs: the facts a reader must meet, nothing from outside, no trust in names."""

import re

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file

from affectra.errors import CheckpointError
from affectra.evaluation.run_directory import read_run
from affectra.files import read_json, write_json, write_text
from affectra.reports.class_pictures import sections
from affectra.reports.facts import stamps, summary_line
from affectra.reports.report import learning_curves, write_report
from affectra.reports.space_pictures import MIN_POINTS, plane_of
from affectra.tasks.classes import Classes
from affectra.tasks.evaluation import Conditions, evaluate
from affectra.tasks.tables import read_predictions, write_predictions
from parsed_page import Page

CLASSES = ["anger", "fear", "neutral"]
HASH = "3fa9" * 16
RECIPE = """\
name: tiny
description: A tiny network.
paper:
  title: A paper
  authors: Li, Song
  venue: Interspeech
  year: 2018
  corpora: [iemocap]
  task: emotion
  protocol: loso
  results:
    ua: 0.68  # abstract
  source: abstract of the paper
seeds: 1  # ours
"""


def predictions(speakers=("03", "08", "09", "10"), n_seeds=1):
    rng = np.random.default_rng(0)
    rows = []
    for fold, speaker in enumerate(speakers):
        truth = rng.choice(CLASSES, 12)
        for seed in range(n_seeds):
            answers = np.where(rng.random(12) < 0.6, truth, rng.choice(CLASSES, 12))
            for k in range(12):
                rows.append((f"{fold}-{k}", "emodb", speaker, seed, fold, truth[k], answers[k]))
    return pd.DataFrame(rows, columns=["utterance", "corpus", "speaker", "seed", "fold", "truth", "predicted"])


def history(n_epochs=4, dev=True):
    epoch = np.arange(1, n_epochs + 1)
    part = {"dev_loss": 1.5 / epoch, "dev_ua": 1 - 0.7 / epoch} if dev else {"dev_loss": "", "dev_ua": ""}
    return pd.DataFrame(
        {"epoch": epoch, "lr": 0.1, "train_loss": 1.2 / epoch, "train_accuracy": 1 - 0.6 / epoch, **part}
    )


def fake_run(
    folder,
    table=None,
    n_folds=4,
    n_seeds=1,
    recipe=RECIPE,
    independent=True,
    synthetic=False,
    stages=("",),
    transductive=False,
    leaks=(),
    comparable=False,
    adaptation="none",
):
    table = predictions(n_seeds=n_seeds) if table is None else table
    protocol = {"name": "loso", "version": 2, "hash": HASH, "speaker_independent": independent}
    conditions = Conditions(
        protocol=protocol,
        n_folds=n_folds,
        n_seeds=n_seeds,
        paper={"results": {"ua": 0.68}} if comparable else None,
        synthetic=synthetic,
        normalization={"mode": "speaker" if transductive else "none", "transductive": transductive},
        leaks=leaks,
        adaptation=adaptation,
    )
    write_text(folder / "recipe.yaml", recipe)
    write_json(folder / "scores.json", evaluate(table, Classes("emotion", tuple(CLASSES)), conditions))
    write_predictions(table, folder / "predictions.csv")
    environment = {
        "affectra": "0.1.0",
        "torch": "2.13.0",
        "device": "cpu",
        "cores": 2,
        "git_revision": None,
        "command": "affectra run tiny --corpus emodb=data/emodb",
        "synthetic": synthetic,
        "corpora": {"emodb": {"utterances": 48, "speakers": 4, "fingerprint": "c0ffee"}},
        "labels": {"task": "emotion", "classes": CLASSES, "dropped": {"calm": 7}, "excluded": {}},
        "audit": {"verdict": "leak" if leaks else "clean", "leaks": list(leaks), "lines": ["fold 0: clean"]},
        "seconds": 3725.2,
    }
    write_json(folder / "environment.json", environment)
    for seed, fold in sorted(set(table[["seed", "fold"]].itertuples(index=False, name=None))):
        for stage in stages:
            part = folder / f"seed-{seed}" / f"fold-{fold}" / stage
            part.mkdir(parents=True, exist_ok=True)
            history().to_csv(part / "history.csv", index=False)
    return folder


def add_tensors(run, name, tensors, seed=0, fold=0):
    """Write tensors as a fold keeps them."""
    path = run / f"seed-{seed}" / f"fold-{fold}" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)


def embedded_run(folder, sizes=(12, 40, 30), n_seeds=1):
    """A run whose fold k tests `sizes[k]` utterances; of some network each fold has other embeddings."""
    rng = np.random.default_rng(1)
    rows = [
        (f"{fold}-{k}", f"c{k % 2}", f"s{k % 3}", seed, fold, CLASSES[k % 3], CLASSES[0])
        for seed in range(n_seeds)
        for fold, size in enumerate(sizes)
        for k in range(size)
    ]
    columns = ["utterance", "corpus", "speaker", "seed", "fold", "truth", "predicted"]
    table = pd.DataFrame(rows, columns=columns)
    run = fake_run(folder, table, n_folds=len(sizes), n_seeds=n_seeds, stages=())
    for seed in range(n_seeds):
        for fold, size in enumerate(sizes):
            add_tensors(run, "embeddings.safetensors", {"embedding": rng.normal(size=(size, 5))}, seed, fold)
    return run


def attended_run(folder, features=True, classes=3):
    """A run with maps of two classes in fold 1, of 100 frames of which the last 20 are padding."""
    run = fake_run(folder, stages=())
    rows = read_predictions(run / "predictions.csv")
    rows = rows[rows["fold"] == 0].drop_duplicates("truth")
    rng = np.random.default_rng(0)
    tensors = {}
    for key in rows["utterance"][:2]:
        tensors[key] = rng.normal(size=(2, 1 + classes, 6, 13)).astype(np.float16)
        if features:
            heard = rng.uniform(size=(2, 20, 100)).astype(np.float16)
            heard[:, :, 80:] = 0
            tensors[f"{key}/features"] = heard
    add_tensors(run, "attention.safetensors", tensors)
    return run, rows[:2]


def page_of(run):
    return Page(write_report(run).read_text())


def both(run):
    """The report's text as HTML and as Markdown."""
    return page_of(run).text, (run / "report.md").read_text()


def test_the_report_says_what_was_measured_and_how(tmp_path):
    run = fake_run(tmp_path)
    scores = read_json(run / "scores.json")
    facts = [
        "tiny", "A tiny network.", "emotion", "anger, fear, neutral", "48 utterances of 4 speakers", "loso",
        "version 2", HASH, "speaker-independent", f"{scores['metrics']['ua']:.3f}",
        f"{scores['mean_over_folds']['wa']:.3f}",
        "[{:.3f}, {:.3f}]".format(*scores["interval"]["ua"]), "0.333", "c0ffee", "calm 7", "1 h 2 min",
        "affectra run tiny --corpus emodb=data/emodb", "2.13.0", "bootstrap over speakers", "Li, Song",
    ]  # fmt: skip
    for text in both(run):
        for fact in facts:
            assert fact in text, fact
        for loud in ("SPEAKER-DEPENDENT", "PARTIAL", "synthetic", "LEAK", "TRANSDUCTIVE"):
            assert loud not in text


def test_the_first_line_of_a_leaky_run_says_so(tmp_path):
    _, markdown = both(fake_run(tmp_path, leaks=["speaker", "duplicate"]))
    page = (tmp_path / "report.html").read_text().split("<header>")[1]
    first_of_page = next(line for line in page.splitlines() if line)
    for first in (first_of_page, markdown.splitlines()[0]):
        assert "LEAK (speaker, duplicate)" in first
    assert summary_line(read_json(tmp_path / "scores.json")).startswith("LEAK (speaker, duplicate), UA")


def test_the_normalisation_is_always_named_and_loud_where_it_is_transductive(tmp_path):
    for text in both(fake_run(tmp_path / "none")):
        assert "Normalisation of features: none" in text
    for text in both(fake_run(tmp_path / "speaker", transductive=True)):
        assert "Normalisation of features: speaker, transductive" in text
        assert "TRANSDUCTIVE" in text[: text.index("Results")]


def test_the_page_asks_nothing_from_outside(tmp_path):
    page = page_of(fake_run(tmp_path))
    assert page.addresses
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    html = (tmp_path / "report.html").read_text()
    assert not re.search(r"https?://|url\(|@import", html)
    assert 'name="viewport"' in html
    assert "prefers-color-scheme: dark" in html


def test_names_of_speakers_cannot_become_markup(tmp_path, drawn):
    evil = '<script>alert("1")</script>|[x](http://example.org)'
    run = fake_run(tmp_path, predictions(speakers=(evil, "$\\frac{", "{{ 7 * 7 }}", "a&b")))
    page = page_of(run)
    assert "script" not in page.tags
    assert all(name in page.text for name in (evil, "$\\frac{", "{{ 7 * 7 }}", "a&b"))
    lines = (run / "report.md").read_text().splitlines()
    rows = [line for line in lines if "script" in line]
    assert rows
    for row in rows:
        assert "<" not in row
        assert "](" not in row
    tables = [line for line in lines if line.startswith("| ") and "alert" in line]
    assert {line.count("|") for line in tables} == {5, 7}, "a bar in a name opens no column"


def test_class_names_with_mathematics_are_drawn_as_they_are(tmp_path, drawn):
    run = fake_run(tmp_path)
    for name in ("scores.json", "predictions.csv"):
        text = (run / name).read_text()
        write_text(run / name, text.replace("fear", "$f_{e}$"))
    assert "$f_{e}$" in page_of(run).text


def test_a_speaker_dependent_result_is_stamped_loudly_at_the_top(tmp_path):
    for text in both(fake_run(tmp_path, independent=False)):
        assert "SPEAKER-DEPENDENT" in text[: text.index("Results")]
        assert "speaker-independent" not in text


def test_a_partial_result_says_so_at_the_top(tmp_path):
    table = predictions()
    run = fake_run(tmp_path, table[table["fold"] < 3])
    for text in both(run):
        assert "PARTIAL (3/4 folds)" in text[: text.index("Results")]


def test_each_result_on_synthetic_speech_says_so_in_its_line(tmp_path):
    run = fake_run(tmp_path, synthetic=True)
    html = write_report(run).read_text()
    rows = [row for row in re.findall("<tr>.*?</tr>", html, re.DOTALL) if re.search(r"\b[01]\.\d{3}\b", row)]
    assert len(rows) == 4 + 3 + 4 + 4, "metrics, classes, speakers, folds"
    assert all("synthetic" in row for row in rows)
    lines = [line for line in (run / "report.md").read_text().splitlines() if re.search(r"\| [01]\.\d{3} \|", line)]
    assert len(lines) == len(rows)
    assert all("(synthetic)" in line for line in lines)


def test_the_papers_number_stands_bare_only_where_the_run_says_it_is_comparable(tmp_path):
    other = both(fake_run(tmp_path / "other"))
    same = both(fake_run(tmp_path / "same", comparable=True))
    none = both(fake_run(tmp_path / "none", recipe="name: ours\ndescription: Ours.\npaper:\nseeds: 1\n"))
    for text in other:
        assert "0.680 on iemocap, not comparable (emotion, loso)" in text
    for text in same:
        assert "0.680" in text
        assert "not comparable" not in text
    for text in none:
        assert "n/a" in text
        assert "0.680" not in text


def test_markdown_shows_the_figures_beside_it(tmp_path, drawn):
    run = fake_run(tmp_path, stages=("pretrain", "finetune"))
    page = write_report(run).read_text()
    shown = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", (run / "report.md").read_text())
    names = ["confusion", "speakers", "curves-finetune", "curves-pretrain"]
    assert shown == [f"figures/{name}.png" for name in names]
    for name in shown:
        assert (run / name).read_bytes().startswith(b"\x89PNG")
    assert page.count("<picture>") == 4
    assert not list(run.rglob(".*")), "no temporary file is left"


def test_a_run_without_epochs_has_no_curves(tmp_path):
    run = fake_run(tmp_path, stages=())
    assert "Learning curves" not in page_of(run).text


def test_curves_need_no_dev_part_and_one_epoch_is_enough(tmp_path):
    run = fake_run(tmp_path)
    for path in run.glob("seed-*/fold-*/history.csv"):
        history(n_epochs=1, dev=False).to_csv(path, index=False)
    assert "Learning curves" in page_of(run).text


def test_the_curve_of_a_fold_that_is_not_done_is_left_out(tmp_path, drawn):
    run = fake_run(tmp_path)
    before = write_report(run).read_text()
    (run / "seed-0" / "fold-7").mkdir()
    history(n_epochs=1).to_csv(run / "seed-0" / "fold-7" / "history.csv", index=False)
    assert write_report(run).read_text() == before, "and the same run gives the same report"


def sections_of(run):
    return {s.title: s for s in (*sections(read_run(run)), *learning_curves(read_run(run)))}


def test_embeddings_are_of_the_fold_that_tests_most_and_of_no_other(tmp_path):
    run = embedded_run(tmp_path, n_seeds=2)
    shown = sections_of(run)["Embeddings"]
    assert "all 40 test utterances of seed 0, fold 1" in shown.note
    assert [picture.name for picture in shown.pictures] == [f"embeddings-{x}" for x in ("emotion", "speaker", "corpus")]
    places, values, order, _ = shown.pictures[1].draw.args
    assert len(places) == len(values) == 40
    assert order == sorted(set(values)) == [f"c{c}/s{s}" for c in range(2) for s in range(3)]
    before = [picture.draw.args[0] for picture in shown.pictures]
    for seed, fold, size in ((0, 0, 12), (0, 2, 30), (1, 1, 40)):
        add_tensors(run, "embeddings.safetensors", {"embedding": np.ones((size, 5))}, seed, fold)
    after = [picture.draw.args[0] for picture in sections_of(run)["Embeddings"].pictures]
    np.testing.assert_array_equal(before, after)
    for text in both(run):
        assert "seed 0, fold 1" in text


def test_many_embeddings_are_thinned_out_and_it_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("affectra.reports.space_pictures.MAX_POINTS", 35)
    shown = sections_of(embedded_run(tmp_path))["Embeddings"]
    assert "35 of the 40 test utterances" in shown.note
    places, values, *_ = shown.pictures[0].draw.args
    assert len(places) == len(values) == 35
    rows = read_predictions(tmp_path / "predictions.csv")
    kept = np.sort(np.random.default_rng(0).choice(40, 35, replace=False))
    assert list(values) == list(rows[rows["fold"] == 1]["truth"].iloc[kept])


def test_a_fold_of_one_speaker_is_not_coloured_by_speaker(tmp_path):
    table = pd.concat([predictions(("03",)).assign(utterance=[f"{k}-{n}" for n in range(12)]) for k in range(3)])
    run = fake_run(tmp_path, table, n_folds=1)
    add_tensors(run, "embeddings.safetensors", {"embedding": np.random.default_rng(0).normal(size=(36, 4))})
    assert [p.name for p in sections_of(run)["Embeddings"].pictures] == ["embeddings-emotion"]


def test_the_plane_keeps_neighbours_and_is_the_same_each_time():
    rng = np.random.default_rng(3)
    group = np.repeat([0, 1, 2], 20)
    embeddings = rng.normal(size=(60, 8)) + 30 * np.eye(8)[group]
    places = plane_of(embeddings)
    assert places.shape == (60, 2)
    distances = np.linalg.norm(places[:, None] - places[None], axis=-1) + np.where(np.eye(60), np.inf, 0)
    assert (group[distances.argmin(axis=1)] == group).all()
    np.testing.assert_array_equal(places, plane_of(embeddings))


def test_there_is_no_plane_of_too_few_points_or_of_one_point_many_times():
    assert plane_of(np.random.default_rng(0).normal(size=(MIN_POINTS - 1, 5))) is None
    assert plane_of(np.ones((50, 5))) is None


def test_attention_maps_are_of_the_true_class_without_padding(tmp_path):
    run, rows = attended_run(tmp_path)
    shown = sections_of(run)["Attention maps"]
    assert "seed 0, fold 0" in shown.note
    assert len(shown.pictures) == 2
    tensors = load_file(run / "seed-0" / "fold-0" / "attention.safetensors")
    for picture, (_, row) in zip(shown.pictures, rows.sort_values("truth").iterrows(), strict=True):
        key, k = row["utterance"], CLASSES.index(row["truth"])
        features, bottom_up, top_down, per_column, _ = picture.draw.args
        np.testing.assert_array_equal(features, tensors[f"{key}/features"][0, :, :80].astype(np.float32))
        # 100 frames give 13 columns by strides of 8; 80 frames are heard, so 10 columns
        assert per_column == 8
        np.testing.assert_array_equal(bottom_up, tensors[key][0, 0, :, :10].astype(np.float32))
        np.testing.assert_array_equal(top_down, tensors[key][0, 1 + k, :, :10].astype(np.float32))
        right = row["predicted"] == row["truth"]
        assert picture.caption.startswith(f"{row['truth']}: {key}, ")
        assert picture.caption.endswith("recognised" if right else f"taken for {row['predicted']}")


def test_older_runs_show_their_attention_maps_alone(tmp_path):
    run, _ = attended_run(tmp_path, features=False)
    for picture in sections_of(run)["Attention maps"].pictures:
        features, bottom_up, _, _, hop_s = picture.draw.args
        assert features is None
        assert hop_s is None
        assert bottom_up.shape == (6, 13)
    for text in both(run):
        assert "Attention maps" in text


def test_a_run_without_tensors_or_known_speakers_has_no_pictures_of_them(tmp_path):
    run = fake_run(tmp_path, predictions().assign(speaker=""), stages=())
    assert list(sections_of(run)) == ["Confusion matrix"]


def test_speakers_are_drawn_worst_first(tmp_path):
    run = fake_run(tmp_path)
    values, ua, interval, chance = sections_of(run)["UA by speaker"].pictures[0].draw.args
    scores = read_json(run / "scores.json")
    assert dict(values) == {name: row["ua"] for name, row in scores["per_speaker"].items()}
    assert list(values.values()) == sorted(values.values())
    assert (ua, interval, chance) == (scores["metrics"]["ua"], scores["interval"]["ua"], 1 / 3)


def with_scores(table, confidence):
    """Scores whose highest is that of the class predicted."""
    rest = (1 - np.asarray(confidence)) / (len(CLASSES) - 1)
    columns = {f"score_{name}": np.where(table["predicted"] == name, confidence, rest) for name in CLASSES}
    return table.assign(**columns)


def test_the_curve_of_coverage_and_risk_ends_at_the_error_of_the_run(tmp_path):
    table = pd.concat(
        [predictions(n_seeds=2), predictions(n_seeds=2).assign(corpus="c$1", utterance=lambda t: "x" + t["utterance"])]
    )
    table = with_scores(table, np.random.default_rng(1).uniform(0.4, 1, len(table)))
    run = fake_run(tmp_path, table, n_seeds=2)
    shown = sections_of(run)["Coverage and risk"]
    (picture,) = shown.pictures
    curves, threshold = picture.draw.args
    assert list(curves) == ["all utterances", "c$1", "emodb"] and threshold is None
    wrong = 1 - read_json(run / "scores.json")["metrics"]["wa"]
    assert curves["all utterances"].risk[-1] == pytest.approx(wrong)
    assert f"{wrong:.3f}, the share wrong of all" in shown.note
    for name, curve in curves.items():
        assert f"{name} {curve.area:.3f}" in shown.note
    for text in both(run):
        assert "Coverage and risk" in text and f"{curves['all utterances'].area:.3f}" in text
    many = [table.assign(corpus=f"c{k}", utterance=lambda t, k=k: f"{k}" + t["utterance"]) for k in range(7)]
    table = pd.concat(many)
    curves, _ = sections_of(fake_run(tmp_path, table, n_seeds=2))["Coverage and risk"].pictures[0].draw.args
    assert list(curves) == ["all utterances"], "seven more could not be told apart"


@pytest.mark.parametrize("sure", [0.5, 1.0])
@pytest.mark.parametrize("n", [1, 12])
def test_the_least_of_runs_has_the_curve_too(tmp_path, drawn, n, sure):
    table = predictions(("03",)).iloc[:n].assign(predicted=lambda t: t["truth"])
    run = fake_run(tmp_path, with_scores(table, np.full(n, sure)), n_folds=1, stages=())
    write_report(run)
    assert (run / "figures" / "coverage.png").read_bytes().startswith(b"\x89PNG")
    assert "AURC" in (run / "report.html").read_text() and "0.000" in sections_of(run)["Coverage and risk"].note


def test_a_run_without_scores_has_no_curve_and_one_with_false_ones_is_refused(tmp_path):
    assert "Coverage and risk" not in sections_of(fake_run(tmp_path / "none"))
    run = fake_run(tmp_path / "false", with_scores(predictions(), np.full(48, 1.5)))
    with pytest.raises(
        CheckpointError, match=r"predictions\.csv: scores are no probabilities: a confidence is outside"
    ):
        list(sections(read_run(run)))


def test_a_stage_that_all_folds_of_a_seed_start_from_has_curves(tmp_path):
    run = fake_run(tmp_path, n_seeds=2)
    for seed in range(2):
        (run / f"seed-{seed}" / "pretrain").mkdir()
        history(n_epochs=2).to_csv(run / f"seed-{seed}" / "pretrain" / "history.csv", index=False)
    shown = sections_of(run)["Learning curves of pretrain"].pictures[0].draw.args[0]
    assert set(shown["part"]) == {"0", "1"}
    assert "Learning curves" in sections_of(run)


PROBES = [
    {"domain": "gender (test)", "n_values": 2, "chance": 0.5, "balanced_accuracy": 0.876, "interval": [0.8, 0.95],
     "note": "corpus alone gives 0.7", "a_distance": 1.504},
    {"domain": "corpus (test)", "n_values": None, "chance": None, "balanced_accuracy": None, "interval": None,
     "note": "one <b>corpus</b> alone"},
]  # fmt: skip


def test_probes_stand_in_the_report_with_chance_and_what_is_not_measurable(tmp_path):
    run = fake_run(tmp_path)
    for text in both(run):
        assert "Probes" not in text
    write_json(run / "probes.json", PROBES)
    for text in both(run):
        for fact in ("gender (test)", "0.876", "[0.800, 0.950]", "0.500", "1.504", "corpus alone gives 0.7"):
            assert fact in text, fact
        assert "not measurable" in text
    assert "one <b>corpus</b> alone" in page_of(run).text, "a note is no markup"


@pytest.mark.parametrize(
    ("content", "words"),
    [("{", "not readable"), ('{"domain": 1}', "a list of probes"), ('[{"domain": "x"}]', "missing: n_values, chance")],
)
def test_ill_formed_probes_are_named(tmp_path, content, words):
    run = fake_run(tmp_path)
    (run / "probes.json").write_text(content)
    with pytest.raises(CheckpointError, match=rf"probes\.json: .*{words}"):
        write_report(run)


@pytest.mark.parametrize(
    ("name", "tensors", "words"),
    [
        ("embeddings.safetensors", {"embedding": np.ones((3, 2))}, "needs 'embedding' with 12 rows"),
        ("embeddings.safetensors", {"other": np.ones((12, 2))}, "needs 'embedding' with 12 rows"),
        ("attention.safetensors", {"0-0": np.ones((1, 3, 2, 2))}, r"needs maps \(segment, 4, freq, time\)"),
        ("attention.safetensors", {"0-0": np.ones((1, 4, 2, 2)), "0-0/features": np.ones((2, 2))}, r"found .*\(2, 2\)"),
    ],
)
def test_tensors_that_do_not_fit_are_named(tmp_path, name, tensors, words):
    run = fake_run(tmp_path)
    add_tensors(run, name, tensors)
    with pytest.raises(CheckpointError, match=rf"{re.escape(name)}: .*{words}"):
        write_report(run)


def test_damaged_tensors_are_named(tmp_path):
    run = fake_run(tmp_path)
    (run / "seed-0" / "fold-0" / "attention.safetensors").write_bytes(b"no tensors")
    with pytest.raises(CheckpointError, match=r"attention\.safetensors: damaged"):
        write_report(run)


def test_unlabelled_test_audio_in_training_is_stamped_at_the_top(tmp_path):
    for text in both(fake_run(tmp_path, adaptation="unlabelled test audio")):
        assert "TRANSDUCTIVE (unlabelled test audio)" in text[: text.index("Results")]
    assert stamps(read_json(tmp_path / "scores.json")) == ["TRANSDUCTIVE (unlabelled test audio)"]


def test_several_seeds_are_shown_one_by_one(tmp_path):
    run = fake_run(tmp_path, n_seeds=2)
    for text in both(run):
        assert "averaged over 2 seeds" in text
        assert "4 folds x 2 seeds" in text


def test_unknown_speakers_are_said_to_be_unknown(tmp_path):
    for text in both(fake_run(tmp_path, predictions().assign(speaker=""))):
        assert "The speakers are not known, so there is no interval either." in text


@pytest.mark.parametrize("name", ["recipe.yaml", "environment.json", "scores.json", "predictions.csv"])
def test_a_missing_file_is_named(tmp_path, name):
    run = fake_run(tmp_path)
    (run / name).unlink()
    with pytest.raises(CheckpointError, match=rf"{re.escape(name)}: no such file; a report needs a run directory"):
        write_report(run)
    assert not (run / "report.html").exists()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("scores.json", "{", "not readable"),
        ("scores.json", "[]", r"key\(s\) missing: protocol, task"),
        ("environment.json", '{"corpora": {}}', r"key\(s\) missing: labels, audit, command"),
        ("recipe.yaml", "a: [", "not readable"),
        ("recipe.yaml", "", r"key\(s\) missing: name, description"),
        ("seed-0/fold-1/history.csv", "epoch,lr\n1,0.1\n", r"column\(s\) missing: train_loss"),
        ("seed-0/fold-1/history.csv", "", "not a readable table"),
        (
            "seed-0/fold-1/history.csv",
            "epoch,train_loss,train_accuracy,dev_loss,dev_ua\n1,1,1,,\n1,1,1,,\n",
            "an epoch stands there twice",
        ),
    ],
)
def test_an_ill_formed_file_is_named(tmp_path, name, content, words):
    run = fake_run(tmp_path)
    (run / name).write_text(content)
    with pytest.raises(CheckpointError, match=rf"{re.escape(name)}: {words}"):
        write_report(run)


def test_the_summary_is_one_line_with_every_caveat():
    scores = {
        "metrics": {"ua": 0.5, "wa": 0.25}, "interval": {"ua": None}, "n_folds": 1, "n_seeds": 2, "complete": False,
        "folds_done": "1/2", "synthetic": True, "protocol": {"name": "random-80-20", "speaker_independent": False},
        "leaks": ["speaker"], "normalization": {"mode": "corpus", "transductive": True}, "task": "emotion",
        "classes": CLASSES,
    }  # fmt: skip
    expected = (
        "LEAK (speaker), UA 0.500, WA 0.250, PARTIAL (1/2 folds), random-80-20, SPEAKER-DEPENDENT, "
        "TRANSDUCTIVE (normalised per corpus), synthetic"
    )
    assert summary_line(scores) == expected
    whole = {**scores, "complete": True, "synthetic": False, "interval": {"ua": [0.4, 0.6]}, "n_seeds": 1}
    whole |= {"leaks": [], "normalization": {"mode": "corpus", "transductive": False}}
    assert summary_line(whole) == "UA 0.500 [0.40, 0.60], WA 0.250, 1 fold, random-80-20, SPEAKER-DEPENDENT"
