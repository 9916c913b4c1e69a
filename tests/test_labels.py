"""Label maps against the published counts and maps."""

import pandas as pd
import pytest

from affectra.corpora.utterance import EMOTIONS
from affectra.errors import CorpusError
from affectra.labels import HIGH, LOW, NEGATIVE, NOT_A_CLASS, POSITIVE, TASKS, map_labels

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
