"""Scores from predictions: recomputed naively, their laws, and refusals of what cannot be evaluated."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from affectra.errors import CheckpointError
from affectra.files import write_json
from affectra.tasks.classes import Classes
from affectra.tasks.evaluation import Conditions, evaluate, speaker_bootstrap
from affectra.tasks.tables import read_predictions, speaker_names, write_predictions

CLASSES = ["anger", "fear", "neutral"]
TASK = Classes("emotion", tuple(CLASSES))
PROTOCOL = {"name": "loso", "version": 1, "hash": "ab" * 32, "speaker_independent": True}


def predictions(n_seeds=1, n_speakers=4, n_utterances=15, corpora=("emodb",)):
    """Leave one speaker out with guesses that are half right."""
    rng = np.random.default_rng(0)
    rows = []
    speakers = [(corpus, f"{k:02}") for corpus in corpora for k in range(n_speakers)]
    for fold, (corpus, speaker) in enumerate(speakers):
        truth = rng.choice(CLASSES, n_utterances, p=[0.5, 0.3, 0.2])
        for seed in range(n_seeds):
            answers = np.where(rng.random(n_utterances) < 0.5, truth, rng.choice(CLASSES, n_utterances))
            for k in range(n_utterances):
                rows.append((f"{corpus}/{speaker}-{k}", corpus, speaker, seed, fold, truth[k], answers[k]))
    table = pd.DataFrame(rows, columns=["utterance", "corpus", "speaker", "seed", "fold", "truth", "predicted"])
    scores = rng.dirichlet(np.ones(len(CLASSES)), len(table))
    return table.assign(**{f"score_{name}": scores[:, k] for k, name in enumerate(CLASSES)})


def scores_of(table, n_folds=4, n_seeds=1, **changes):
    arguments = {"protocol": PROTOCOL, "paper": None, "synthetic": False, **changes}
    arguments = {"normalization": {"mode": "none", "transductive": False}, "leaks": [], **arguments}
    return evaluate(table, TASK, Conditions(n_folds=n_folds, n_seeds=n_seeds, **arguments))


def naive(table):
    """WA, UA, macro and weighted F1 of one seed's rows by scikit-learn."""
    truth, predicted = table["truth"], table["predicted"]
    present = sorted(set(truth))
    return {
        "wa": sklearn_metrics.accuracy_score(truth, predicted),
        "ua": sklearn_metrics.recall_score(truth, predicted, labels=present, average="macro"),
        "macro_f1": sklearn_metrics.f1_score(truth, predicted, average="macro", zero_division=0.0),
        "weighted_f1": sklearn_metrics.f1_score(truth, predicted, average="weighted", zero_division=0.0),
    }


def numbers_of(entry):
    return {name: entry[name] for name in ("wa", "ua", "macro_f1", "weighted_f1")}


def test_metrics_are_pooled_over_folds_and_averaged_over_seeds():
    table = predictions(n_seeds=3)
    scores = scores_of(table, n_seeds=3)
    per_seed = [naive(rows) for _, rows in table.groupby("seed")]
    assert numbers_of(scores["metrics"]) == pytest.approx(pd.DataFrame(per_seed).mean().to_dict())
    assert [numbers_of(entry) for entry in scores["per_seed"]] == [pytest.approx(entry) for entry in per_seed]
    recall = [sklearn_metrics.recall_score(r["truth"], r["predicted"], average=None) for _, r in table.groupby("seed")]
    assert list(scores["metrics"]["recall"].values()) == pytest.approx(np.mean(recall, axis=0))


def test_the_mean_over_folds_stands_beside_the_pooled_metrics():
    table = predictions(n_seeds=2)
    scores = scores_of(table, n_seeds=2)
    per_fold = [naive(rows) for _, rows in table.groupby(["seed", "fold"])]
    assert scores["mean_over_folds"] == pytest.approx(pd.DataFrame(per_fold).mean().to_dict())
    assert [numbers_of(entry) for entry in scores["per_fold"]] == [pytest.approx(entry) for entry in per_fold]
    assert [(e["seed"], e["fold"], e["n"]) for e in scores["per_fold"]] == [
        (s, f, 15) for s in (0, 1) for f in range(4)
    ]
    assert scores["mean_over_folds"]["ua"] != pytest.approx(scores["metrics"]["ua"])


def test_pooled_ua_of_one_seed_is_balanced_accuracy():
    table = predictions()
    expected = sklearn_metrics.balanced_accuracy_score(table["truth"], table["predicted"])
    assert scores_of(table)["metrics"]["ua"] == pytest.approx(expected)


def test_each_speaker_and_corpus_is_scored_on_its_own_rows():
    table = predictions(n_seeds=2, corpora=("emodb", "savee"))
    scores = scores_of(table, n_folds=8, n_seeds=2)
    assert list(scores["per_corpus"]) == ["emodb", "savee"]
    for corpus, entry in scores["per_corpus"].items():
        rows = table[table["corpus"] == corpus]
        expected = pd.DataFrame([naive(r) for _, r in rows.groupby("seed")]).mean().to_dict()
        assert numbers_of(entry) == pytest.approx(expected)
        assert (entry["n"], entry["n_speakers"]) == (60, 4)
        assert entry["interval"]["ua"] == speaker_bootstrap(rows, TASK)["ua"]
    assert len(scores["per_speaker"]) == scores["n_speakers"] == 8
    rows = table[(table["corpus"] == "savee") & (table["speaker"] == "02")]
    expected = pd.DataFrame([naive(r) for _, r in rows.groupby("seed")]).mean()
    entry = scores["per_speaker"]["savee/02"]
    assert (entry["n"], entry["wa"], entry["ua"]) == (15, pytest.approx(expected["wa"]), pytest.approx(expected["ua"]))


def test_the_interval_is_of_speakers_and_holds_the_estimate():
    scores = scores_of(predictions())
    low, high = scores["interval"]["ua"]
    assert low < scores["metrics"]["ua"] < high
    assert (scores["interval"]["method"], scores["interval"]["level"]) == ("bootstrap over speakers", 0.95)


def test_rows_of_the_confusion_matrix_are_the_truth():
    table = predictions(n_seeds=2)
    confusion = scores_of(table, n_seeds=2)["confusion"]
    expected = pd.crosstab(table["truth"], table["predicted"]).reindex(index=CLASSES, columns=CLASSES)
    assert confusion == {"classes": CLASSES, "matrix": expected.to_numpy().tolist()}


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_the_order_of_rows_does_not_matter(seed):
    table = predictions(n_seeds=2)
    assert scores_of(table.sample(frac=1, random_state=seed), n_seeds=2) == scores_of(table, n_seeds=2)


def test_two_seeds_with_the_same_answers_score_as_one():
    table = predictions()
    twice = pd.concat([table, table.assign(seed=1)])
    one, two = scores_of(table), scores_of(twice, n_seeds=2)
    for name in ("metrics", "mean_over_folds", "interval", "per_corpus", "per_speaker", "n_utterances", "n_speakers"):
        assert one[name] == two[name]


def test_scores_can_be_recomputed_from_the_predictions_file(tmp_path):
    table = predictions(n_seeds=2)
    write_predictions(table, tmp_path / "predictions.csv")
    scores = scores_of(table, n_seeds=2)
    write_json(tmp_path / "scores.json", scores)
    again = scores_of(read_predictions(tmp_path / "predictions.csv"), n_seeds=2)
    assert again == scores == json.loads((tmp_path / "scores.json").read_text())


def test_a_partial_run_says_how_many_folds_are_done():
    table = predictions(n_seeds=2)
    scores = scores_of(table[(table["seed"] == 0) | (table["fold"] < 1)], n_seeds=2)
    assert (scores["folds_done"], scores["complete"], scores["n_folds"]) == ("5/8", False, 4)
    scores = scores_of(table, n_seeds=2)
    assert (scores["folds_done"], scores["complete"]) == ("8/8", True)


def test_more_folds_than_planned_are_refused():
    with pytest.raises(CheckpointError, match="4 folds over all seeds, expected 3 or fewer"):
        scores_of(predictions(), n_folds=3)


def test_a_class_nobody_spoke_has_no_recall_and_does_not_count():
    table = predictions()
    table = table[table["truth"] != "fear"]
    scores = scores_of(table)
    assert scores["metrics"]["recall"]["fear"] is None
    assert scores["metrics"]["ua"] == pytest.approx(naive(table)["ua"])
    json.dumps(scores, allow_nan=False)


def test_unknown_speakers_give_no_interval_and_no_entry():
    table = predictions(corpora=("emodb", "savee"))
    table.loc[table["corpus"] == "savee", "speaker"] = ""
    scores = scores_of(table, n_folds=8)
    assert scores["interval"]["ua"] is None
    assert scores["per_corpus"]["emodb"]["interval"]["ua"] is not None
    assert scores["n_speakers"] == 4
    assert list(scores["per_speaker"]) == [f"emodb/{k:02}" for k in range(4)]
    nobody = scores_of(table.assign(speaker=""), n_folds=8)
    assert (nobody["n_speakers"], nobody["per_speaker"]) == (0, {})


def test_the_papers_numbers_are_null_where_unknown():
    assert scores_of(predictions())["paper"] == {"wa": None, "ua": None}
    assert scores_of(predictions(), paper={"results": {"ua": 0.68}})["paper"] == {"wa": None, "ua": 0.68}


def test_every_name_of_the_contract_is_there():
    scores = scores_of(predictions(), synthetic=True)
    assert scores["protocol"] == PROTOCOL
    assert (scores["task"], scores["classes"], scores["synthetic"]) == ("emotion", CLASSES, True)
    assert (scores["n_utterances"], scores["n_speakers"], scores["n_folds"]) == (60, 4, 4)
    assert set(scores["metrics"]) == {"wa", "ua", "macro_f1", "weighted_f1", "recall", "ccc"}


def test_speakers_are_named_with_their_corpus_where_there_are_several():
    table = predictions(n_speakers=1, n_utterances=1, corpora=("emodb", "savee"))
    assert speaker_names(table).tolist() == ["emodb/00", "savee/00"]
    assert speaker_names(table[:1]).tolist() == ["00"]


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"])), min_size=1),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1),
)
def test_text_and_numbers_come_back_exactly(tmp_path_factory, names, numbers):
    path = tmp_path_factory.mktemp("predictions") / "predictions.csv"
    n = max(len(names), len(numbers))
    table = predictions(n_speakers=1, n_utterances=n)
    table["speaker"] = (names * n)[:n]
    table["score_anger"] = (numbers * n)[:n]
    write_predictions(table, path)
    first = path.read_bytes()
    back = read_predictions(path)
    assert back["speaker"].tolist() == table["speaker"].tolist()
    assert back["score_anger"].tolist() == table["score_anger"].tolist()
    write_predictions(back, path)
    assert path.read_bytes() == first


@pytest.mark.parametrize("name", ["007", "NA", "null", "1e5", "true", " x ", 'a"b', "a,b"])
def test_ids_stay_text(tmp_path, name):
    table = predictions(n_speakers=1, n_utterances=1).assign(utterance=name, speaker=name)
    write_predictions(table, tmp_path / "predictions.csv")
    back = read_predictions(tmp_path / "predictions.csv")
    assert (back["utterance"][0], back["speaker"][0]) == (name, name)


def test_single_precision_scores_and_column_order_do_not_change_the_bytes(tmp_path):
    table = predictions()
    table["score_fear"] = table["score_fear"].astype(np.float32)
    write_predictions(table, tmp_path / "a.csv")
    names = [c for c in table if not c.startswith("score_")]
    write_predictions(table[[*names[::-1], "score_anger", "score_fear", "score_neutral"]], tmp_path / "b.csv")
    write_predictions(read_predictions(tmp_path / "a.csv"), tmp_path / "c.csv")
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes() == (tmp_path / "c.csv").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.csv", "b.csv", "c.csv"], "no temporary file is left"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.drop(columns=["truth", "seed"]), r"column\(s\) missing: seed, truth; expected utterance, corpus"),
        (lambda t: t[:0], "no rows; expected one for each test utterance and seed"),
        (lambda t: t.assign(truth="angry"), "row 2: truth: unknown class 'angry'; did you mean 'anger'"),
        (lambda t: t.assign(predicted=["fear"] * 59 + [""]), "row 61: predicted: unknown class ''"),
        (lambda t: t.assign(speaker=[None] + ["a"] * 59), "row 2: speaker is empty"),
        (lambda t: t.assign(utterance=["x", "x", *map(str, range(58))]), "row 3: the utterance 'x' stands there twice"),
        (lambda t: t.drop(columns="score_fear"), "score columns score_anger, score_neutral; expected score_anger, sc"),
    ],
)
def test_ill_formed_predictions_are_refused_by_row_and_reason(change, words):
    with pytest.raises(CheckpointError, match=words):
        TASK.check(change(predictions()))
    with pytest.raises(CheckpointError, match=words):
        scores_of(change(predictions()))


def test_scores_per_class_are_not_needed():
    table = predictions()
    assert scores_of(table.drop(columns=[f"score_{name}" for name in CLASSES])) == scores_of(table)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "not a readable table"),
        ("utterance,corpus\na,b\n", r"column\(s\) missing: speaker, seed"),
        (
            "utterance,corpus,speaker,seed,fold,truth,predicted\na,b,c,first,0,fear,fear\n",
            "not a readable table: .*first",
        ),
        ("utterance,corpus,speaker,seed,fold,truth,predicted\na,b,c,0\n", "not a readable table"),
        (b"utterance,corpus,speaker,seed,fold,truth,predicted\n\xff,b,c,0,0,fear,fear\n", "not a readable table"),
    ],
)
def test_an_ill_formed_file_is_refused_by_its_name(tmp_path, content, words):
    path = tmp_path / "predictions.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(CheckpointError, match=rf"predictions\.csv: {words}"):
        read_predictions(path)


def test_a_missing_file_is_refused_by_its_name(tmp_path):
    with pytest.raises(CheckpointError, match=r"predictions\.csv: no such file; `affectra run` writes it"):
        read_predictions(tmp_path / "predictions.csv")


def test_evaluation_and_report_load_neither_torch_nor_matplotlib():
    code = (
        "import sys, affectra.tasks.evaluation, affectra.reports.report\n"
        "print(sorted({'torch', 'lightning', 'matplotlib'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
