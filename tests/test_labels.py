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
    for task in TASKS.values():
        assert set(task.classes or {}) <= set(EMOTIONS) - set(NOT_A_CLASS)


def test_an_unknown_task_or_a_single_class_is_refused() -> None:
    with pytest.raises(CorpusError, match="did you mean 'emotion4'"):
        map_labels(pd.DataFrame({"emotion": ["anger"]}), "emotion44")
    with pytest.raises(CorpusError, match="needs at least two classes"):
        map_labels(pd.DataFrame({"emotion": ["anger", "none"]}), "emotion")
