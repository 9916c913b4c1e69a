"""A causal model says the same of a turn whether all turns are known or those before it alone."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from affectra.errors import AudioError, ConfigError
from affectra.models.dialogue.dialogue_folds import DialogueNetworks
from affectra.predict import conversation
from affectra.predict.conversation import Conversation, DialogueModel, Turn
from conversations import SILENT, scores, talk, turns_of, untrained


@pytest.fixture(scope="module", params=[("text",), ("audio", "text")], ids="-".join)
def causal(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> DialogueModel:
    return conversation.load(untrained(tmp_path_factory.mktemp("causal"), *request.param, causal=True))


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many turns each pass of the networks over dialogues went through."""
    found: list[int] = []
    answers = DialogueNetworks.answers
    monkeypatch.setattr(
        DialogueNetworks,
        "answers",
        lambda self, talk, turns: (found.append(len(talk.keys)), answers(self, talk, turns))[1],
    )
    yield found


def talk_of(folder: Path) -> Conversation:
    """Turns with recordings and words, one without words, and one without a recording."""
    turns = turns_of(talk(folder), ["a", "", "b c", "d"]).turns
    return Conversation("", (*turns[:3], Turn(9, None, speaker="C", text="who is there"), turns[3]))


def test_all_turns_at_once_are_answered_as_turn_by_turn_in_one_pass(
    causal: DialogueModel, tmp_path: Path, passes: list[int]
) -> None:
    whole = list(causal.recognize(talk_of(tmp_path), words=SILENT))
    assert passes == [5]
    live = list(causal.recognize(talk_of(tmp_path), words=SILENT, live=True))
    assert passes[1:] == [1, 2, 3, 4, 5]
    np.testing.assert_allclose(scores(whole), scores(live), atol=1e-5)
    assert np.ptp(scores(whole), axis=0).max() > 1e-3, "turns differ by more than is allowed here"
    assert [(one.turn, one.text, one.prediction.flags) for one in whole] == [
        (one.turn, one.text, one.prediction.flags) for one in live
    ]


def test_live_a_turn_is_answered_before_the_next_one_is_read(causal: DialogueModel, tmp_path: Path) -> None:
    turns = (*turns_of(talk(tmp_path)).turns[:2], Turn(3, tmp_path / "missing.wav"))
    expected = scores(list(causal.recognize(Conversation("", turns[:2]))))
    live = causal.recognize(Conversation("", turns), live=True)
    np.testing.assert_allclose(scores([next(live), next(live)]), expected, atol=1e-5)
    if "audio" in causal.modalities:
        with pytest.raises(AudioError, match="no such file"):
            next(live)


def test_six_hundred_turns_cost_a_causal_model_one_pass_as_they_cost_another(
    causal: DialogueModel, tmp_path: Path, passes: list[int]
) -> None:
    other = conversation.load(untrained(tmp_path / "both-ways", *causal.modalities))
    turns = tuple(Turn(k, None, speaker="AB"[k % 2], text=f"so it is {k}") for k in range(600))
    for model in (causal, other):
        assert len(list(model.recognize(Conversation("", turns)))) == 600
    assert passes == [600, 600]


def test_a_model_that_hears_what_follows_cannot_answer_live(tmp_path: Path) -> None:
    model = conversation.load(untrained(tmp_path / "text", "text"))
    with pytest.raises(ConfigError, match=r"reads the turns that follow.*causal: true"):
        next(model.recognize(Conversation("", (Turn(1, None, text="so it is"),)), live=True))
