"""Label maps against the published counts and maps, and binary tasks beside the classes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from affectra.corpora.manifest import EMOTIONS
from affectra.errors import ConfigError, CorpusError
from affectra.files import read_json
from affectra.recipes.config import parse_assignments
from affectra.runs.plan import outline, plan_run
from affectra.runs.run import execute
from affectra.runs.units.utterance_jobs import features, jobs
from affectra.tasks.labels import BINARY, HIGH, LOW, NEGATIVE, NOT_A_CLASS, POSITIVE, TASKS, map_labels
from affectra.tasks.tables import read_predictions
from affectra.training.data import UNKNOWN
from voices import PITCHES_HZ, write_voices

EMODB = {"anger": 127, "boredom": 81, "disgust": 46, "fear": 69, "happiness": 71, "sadness": 62, "neutral": 79}
IEMOCAP = {
    "anger": 1103, "happiness": 595, "excitement": 1041, "sadness": 1084, "neutral": 1708, "frustration": 1849,
    "surprise": 107, "fear": 40, "disgust": 2, "other": 3, "none": 2507,
}  # fmt: skip


def counts(corpus: dict[str, int], task: str) -> dict[str, int]:
    rows = pd.DataFrame({"emotion": [word for word, n in corpus.items() for _ in range(n)]})
    return map_labels(rows, task).manifest["target"].value_counts().to_dict()


def test_iemocap_has_the_papers_5531_utterances_of_four_classes() -> None:
    assert counts(IEMOCAP, "emotion4") == {"anger": 1103, "happiness": 1636, "sadness": 1084, "neutral": 1708}


def test_iemocap_without_excitement_has_4490_and_its_six_words_7380() -> None:
    strict = counts(IEMOCAP, "emotion4-strict")
    assert strict == {"anger": 1103, "happiness": 595, "sadness": 1084, "neutral": 1708}
    assert sum(strict.values()) == 4490
    assert sum(counts(IEMOCAP, "emotion6").values()) == 5531 + 1849


def test_a_selection_takes_only_the_values_asked_for_and_counts_the_rest() -> None:
    rows = pd.DataFrame(
        {"emotion": ["anger", "neutral", "anger", "fear"], "style": ["improvised", "improvised", "scripted", ""]}
    )
    labelled = map_labels(rows, "emotion", {"style": ["improvised"]})
    assert list(labelled.manifest["style"]) == ["improvised"] * 2
    assert labelled.excluded == {"style scripted": 1, "style unknown": 1} and not labelled.dropped
    with pytest.raises(CorpusError, match="unknown style 'improvized'; did you mean 'improvised'"):
        map_labels(rows, "emotion", {"style": ["improvized"]})
    with pytest.raises(CorpusError, match="unknown column 'stile'; did you mean 'style'"):
        map_labels(rows, "emotion", {"stile": ["improvised"]})


def test_the_common_classes_are_those_that_every_corpus_has() -> None:
    rows = pd.DataFrame(
        [(corpus, word) for corpus, words in (("a", "anger fear calm"), ("b", "fear anger other"), ("c", "fear anger"))
         for word in words.split()],
        columns=["corpus", "emotion"],
    )  # fmt: skip
    labelled = map_labels(rows, "common")
    assert labelled.classes == ("anger", "fear") and labelled.dropped == {"calm": 1, "other": 1}


def test_sentiments_are_melds_and_a_rating_scale_is_refused() -> None:
    rows = pd.DataFrame({"emotion": ["surprise", "surprise", "neutral"], "valence": [1.0, -1.0, 0.0]})
    assert list(map_labels(rows, "sentiment").manifest["target"]) == ["positive", "negative", "neutral"]
    with pytest.raises(CorpusError, match=r"found 2\.5"):
        map_labels(rows.assign(valence=2.5), "sentiment")


def test_emodb_binary_counts_are_those_of_gao_2022() -> None:
    assert counts(EMODB, "valence") == {"negative": 385, "positive": 150}
    assert counts(EMODB, "arousal") == {"low": 268, "high": 267}


def test_emodb_quadrants_are_those_of_gao_2021() -> None:
    assert counts(EMODB, "quadrant") == {"anger": 196, "sadness": 189, "happiness": 71, "neutral": 79}


def test_what_is_left_out_is_counted() -> None:
    rows = pd.DataFrame({"emotion": ["anger", "neutral", "boredom", "boredom", "none", ""]})
    labelled = map_labels(rows, "emotion4")
    assert labelled.dropped == {"boredom": 2, "none": 1, "unlabelled": 1}
    assert len(labelled.manifest) + sum(labelled.dropped.values()) == len(rows)


def test_no_word_is_on_both_poles_and_every_word_maps_to_known_classes() -> None:
    assert not set(NEGATIVE) & set(POSITIVE) and not set(HIGH) & set(LOW)
    assert {*NEGATIVE, *POSITIVE, *HIGH, *LOW} <= set(EMOTIONS) - set(NOT_A_CLASS)


@pytest.mark.parametrize("task", TASKS)
def test_what_is_unlabelled_never_has_a_class_and_every_row_is_accounted_for(task: str) -> None:
    rows = pd.DataFrame({"emotion": [*EMOTIONS, "", "nostalgia"], "corpus": "one", "valence": float("nan")})
    rows.loc[rows["emotion"].isin(["anger", "happiness"]), "valence"] = [-1.0, 1.0]
    labelled = map_labels(rows, task)
    assert not set(labelled.manifest["emotion"]) & set(NOT_A_CLASS)
    assert len(labelled.manifest) + sum(labelled.dropped.values()) == len(rows)


def test_an_unknown_task_or_a_single_class_is_refused() -> None:
    with pytest.raises(CorpusError, match="did you mean 'emotion4'"):
        map_labels(pd.DataFrame({"emotion": ["anger"]}), "emotion44")
    with pytest.raises(CorpusError, match="needs at least two classes"):
        map_labels(pd.DataFrame({"emotion": ["anger", "none"]}), "emotion")


# --- ratings beside emotion words


def rated(emotions: str, **columns: object) -> pd.DataFrame:
    return pd.DataFrame({"emotion": emotions.split(), "corpus": "one"}).assign(**columns)


@pytest.mark.parametrize(
    ("task", "auxiliary", "beginning"),
    [
        ("arousal", (), "arousal is taken from the emotion words; the ratings in the column arousal (2 of 3 rows) are"),
        ("quadrant", (), "quadrant is taken from the emotion words; the ratings in the columns arousal (2 of 3 rows) "
                         "and valence (3 of 3 rows) are not used"),
        ("emotion", ("arousal", "valence"), "arousal and valence are taken from the emotion words; the ratings in the"),
    ],
)  # fmt: skip
def test_ratings_that_a_task_does_not_take_are_said(task: str, auxiliary: tuple[str, ...], beginning: str) -> None:
    rows = rated("anger neutral sadness", arousal=[1.0, np.nan, 3.0], valence=2.0)
    (note,) = map_labels(rows, task, auxiliary=auxiliary).notes
    assert note.startswith(beginning) and "the task dimensions" in note
    assert map_labels(rows, "emotion").notes == ()
    assert map_labels(rows.assign(arousal=np.nan, valence=np.nan), task, auxiliary=auxiliary).notes == ()


@pytest.mark.parametrize("task", ["arousal", "emotion", "quadrant"])
def test_ratings_without_a_single_emotion_word_are_refused_with_what_is_there(task: str) -> None:
    message = r"none of the 2 utterances has one; there are ratings \(valence of 2\).*column emotion"
    with pytest.raises(CorpusError, match=message):
        map_labels(rated("none other", valence=[1.0, 2.0]), task)


@pytest.mark.parametrize("recipe", ["li2018-cpu", "conversation", "tzirakis2021-cpu"])
@pytest.mark.parametrize("task", ["dimensions", "distribution", "multilabel"])
def test_a_task_that_is_planned_is_said_to_be_and_what_there_is_instead(recipe: str, task: str) -> None:
    with pytest.raises(ConfigError, match=rf"task '{task}' .* is planned.*arousal, valence.*over time.*tzirakis2021"):
        plan_run(recipe, task=task)


def test_labels_over_time_need_a_recipe_over_time() -> None:
    with pytest.raises(ConfigError, match=r"task 'continuous' is of labels over time; take .* tzirakis2021"):
        plan_run("li2018-cpu", task="continuous")


# --- arousal and valence beside the classes

BOTH = ("arousal", "valence")
EVERY_WORD = pd.DataFrame({"emotion": [*EMOTIONS, "", "nostalgia"], "corpus": "one"})


def test_a_row_without_a_class_stays_for_arousal_or_valence_and_nothing_else_changes() -> None:
    alone, beside = map_labels(EVERY_WORD, "emotion4"), map_labels(EVERY_WORD, "emotion4", auxiliary=BOTH)
    with_class = beside.manifest[beside.manifest["target"] != ""]
    assert beside.classes == alone.classes
    pd.testing.assert_frame_equal(with_class[alone.manifest.columns].reset_index(drop=True), alone.manifest)
    others = set(beside.manifest["emotion"][beside.manifest["target"] == ""])
    assert others == {*HIGH, *LOW, *POSITIVE, *NEGATIVE} - set(alone.manifest["emotion"])
    assert not others & set(NOT_A_CLASS)


def test_sides_are_those_of_the_binary_tasks_and_unknown_where_those_have_none() -> None:
    labelled = map_labels(EVERY_WORD, "emotion4", auxiliary=BOTH).manifest
    for name, positive in BINARY.items():
        classes = TASKS[name].target(labelled)
        expected = [-1 if pd.isna(c) else int(c == positive) for c in classes]
        assert list(labelled[f"target_{name}"]) == expected and {0, 1} <= set(expected) <= {-1, 0, 1}
    asleep = labelled[labelled["emotion"] == "sleepiness"].iloc[0]  # low arousal, of no valence in the map
    assert (asleep["target"], asleep["target_arousal"], asleep["target_valence"]) == ("", 0, -1)


@pytest.mark.parametrize("auxiliary", [(), ("arousal",), ("valence",), BOTH])
@pytest.mark.parametrize("task", ["emotion", "emotion4", "arousal", "quadrant"])
def test_with_binary_tasks_too_every_row_is_kept_left_out_or_not_selected(
    task: str, auxiliary: tuple[str, ...]
) -> None:
    rows = EVERY_WORD.assign(style=np.where(np.arange(len(EVERY_WORD)) % 3, "acted", "improvised"))
    labelled = map_labels(rows, task, {"style": ["acted"]}, auxiliary)
    n_excluded = int((rows["style"] == "improvised").sum())
    assert labelled.excluded == {"style improvised": n_excluded}
    assert len(labelled.manifest) + sum(labelled.dropped.values()) + n_excluded == len(rows)
    kept = set(labelled.manifest["emotion"])
    dropped = {word.replace("unlabelled", "") for word in labelled.dropped}
    assert kept | dropped == set(rows["emotion"][rows["style"] == "acted"]) and not kept & dropped
    known = labelled.manifest[[f"target_{name}" for name in auxiliary]] >= 0
    assert ((labelled.manifest["target"] != "") | known.any(axis=1)).all()
    assert {column for column in labelled.manifest if column.startswith("target_")} == {
        f"target_{n}" for n in auxiliary
    }


def test_an_unknown_binary_task_is_named_and_rows_without_a_class_are_no_class() -> None:
    with pytest.raises(CorpusError, match="unknown auxiliary task 'arousel'; did you mean 'arousal'"):
        map_labels(EVERY_WORD, "emotion4", auxiliary=["arousel"])
    with pytest.raises(CorpusError, match="needs at least two classes"):
        map_labels(pd.DataFrame({"emotion": ["anger", "fear", "boredom"]}), "emotion4", auxiliary=BOTH)


@pytest.mark.parametrize("dev", ["false", "true"])
def test_what_has_arousal_alone_is_learnt_from_and_never_watched_or_tested(tmp_path: Path, dev: str) -> None:
    """Six emotions, of which two are no class of emotion4, in two corpora; each side of each binary task occurs."""
    sources = [f"{name}={write_voices(tmp_path, name)}" for name in ("green", "red")]
    settings = parse_assignments(["augmentation.copies=1", f"protocol.options={{dev: {dev}}}"])
    protocol = "loco" if dev == "false" else "kfold-speaker"
    plan = plan_run("voice-linear", sources, settings=settings, protocol=protocol, out=tmp_path / "run")
    word_of = {
        f"{row['corpus']}/{row['utterance']}": row["emotion"] for row in plan.data.labelled.manifest.to_dict("records")
    }
    assert len(word_of) == 2 * 4 * len(PITCHES_HZ) and not plan.data.labelled.dropped
    assert "task      emotion4: anger 8, happiness 8, neutral 8, sadness 8" in outline(plan)
    for job in jobs(plan, *features(plan, lambda _: None), 1, []):
        classes = job.specification.classes
        extra = [example for example in (*job.train, *job.copies) if example.target == UNKNOWN]
        assert {word_of[example.key] for example in extra} == {"fear", "boredom"}
        assert len(extra) * 3 == len(job.train) + len(job.copies)
        for example in (*job.train, *job.copies):
            word = word_of[example.key]
            assert example.auxiliary == (int(word in HIGH), int(word in POSITIVE))
            assert example.target == UNKNOWN or classes[example.target] == word
        parts = {"test": job.test, "dev": job.dev} if dev == "true" else {"test": job.test}
        for part in parts.values():
            assert part and {word_of[example.key] for example in part} == set(classes)


def test_predictions_have_the_truth_and_the_probability_of_each_binary_task(tmp_path: Path) -> None:
    sources = [f"{name}={write_voices(tmp_path, name)}" for name in ("green", "red")]
    settings = parse_assignments(["augmentation.copies=1"])
    scores = execute(plan_run("voice-linear", sources, settings=settings, out=tmp_path / "run"))
    assert scores["n_utterances"] == scores["per_corpus"]["red"]["n"] * 2 == 2 * 4 * 4
    table = read_predictions(tmp_path / "run" / "predictions.csv")
    assert set(table["truth"]) == set(scores["classes"])
    for name, positive in (("arousal", HIGH), ("valence", POSITIVE)):
        assert list(table[f"truth_{name}"]) == [float(word in positive) for word in table["truth"]]
        said = table[f"probability_{name}"]
        assert said.between(0, 1).all()
        assert said[table[f"truth_{name}"] == 1].mean() > said[table[f"truth_{name}"] == 0].mean()
    split = read_json(tmp_path / "run" / "seed-0" / "fold-0" / "split.json")
    assert split["train_truth"].count("") * 3 == len(split["train"]) == len(split["train_truth"])
    expected = {f"{c}/s{k}_{e}" for c in ("green", "red") for k in range(4) for e in scores["classes"]}
    assert set(table["utterance"]) == expected
