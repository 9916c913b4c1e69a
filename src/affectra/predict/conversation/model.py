"""A model of conversations: the folds of a run over dialogues together, calibrated."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from affectra.errors import AudioError, CheckpointError, ConfigError
from affectra.features.description import folders_of, kinds_at
from affectra.features.specification import UtteranceOutput
from affectra.models.dialogue.dialogue_folds import DialogueNetworks, TurnAnswer
from affectra.models.dialogue.turns import Dialogue
from affectra.predict.calibration.files import read_calibration
from affectra.predict.calibration.scaling import Calibration
from affectra.predict.conversation.turn_input import TurnInput, read_turn, without_recording
from affectra.predict.conversation.turns import Conversation, Turn
from affectra.predict.conversation.words import Words, find_words
from affectra.predict.model import (
    NOTHING_TO_HEAR,
    UNKNOWN,
    Prediction,
    as_row,
    calibrated,
    distance_of,
    folder_of,
    offered_classes,
    scores_of,
)
from affectra.text.asr.transcripts import ASR_RATE

Outputs = list[dict[str, dict[str, UtteranceOutput]]]  # of each fold, by modality and turn


@dataclass(frozen=True)
class TurnPrediction:
    """Prediction for one turn of a conversation.

    Attributes:
        turn: as it was given.
        text: its words, given or recognised; "" without any, and where the model reads none unless they were given.
        prediction: its flags have besides those of recordings `asr` (recognised words), `no_text` and `no_audio`.
    """

    turn: Turn
    text: str
    prediction: Prediction

    def as_row(self) -> dict[str, Any]:
        """The fields that `affectra predict --dialogue` prints."""
        row = as_row("" if self.turn.file is None else str(self.turn.file), self.prediction)
        if self.turn.file is None:
            row |= {"start": None, "end": None}
        return {**row, "speaker": self.turn.speaker, "turn": self.turn.number, "text": self.text}


class DialogueModel:
    """Networks over dialogues whose averaged probabilities are calibrated.

    Args:
        folds: one or more, with the same classes, modalities and front ends.
        name: what it is called in messages.
        calibration: fitted on out-of-fold predictions, if any.

    Attributes:
        classes: in the order of the scores.
        modalities: of "audio" and "text", what it takes.
        sample_rate: of its input, Hz; any rate may come in.
        is_causal: whether no turn's answer depends on a later turn.
        synthetic: whether it was trained on synthetic speech alone.
        licence: of the model, None if it says nothing of one.
    """

    def __init__(self, folds: Sequence[DialogueNetworks], name: str, calibration: Calibration | None = None) -> None:
        self.folds, self.name, self.calibration = list(folds), name, calibration or Calibration(1.0)
        first = self.folds[0]
        if any((fold.classes, [*fold.recognizers]) != (first.classes, [*first.recognizers]) for fold in self.folds):
            raise CheckpointError(f"model {name}: its folds have different classes or modalities; give one of them")
        self.classes, self.modalities = first.classes, tuple(first.recognizers)
        takes_audio = "audio" in self.modalities
        self.sample_rate: int = first.recognizers["audio"].front_end.sample_rate if takes_audio else ASR_RATE
        self.is_causal = all(fold.is_causal for fold in self.folds)
        self.synthetic = any(fold.synthetic for fold in self.folds)
        self.licence: str | None = first.provenance.get("licence")

    def offered(self, classes: Sequence[str]) -> tuple[str, ...]:
        """The classes asked for, in the model's order; all when none is named.

        Raises:
            ConfigError: one the model does not have.
        """
        return offered_classes(classes, self.classes, self.name)

    def recognize(
        self,
        conversation: Conversation,
        *,
        words: Words | None = None,
        classes: Sequence[str] = (),
        abstain: bool = True,
        live: bool = False,
        complain: Callable[[str], object] | None = None,
        progress: Callable[[], object] = lambda: None,
    ) -> Iterator[TurnPrediction]:
        """Recognise each turn of a conversation, in order.

        A turn that cannot be read is not answered unless it has words; it stays in the conversation as one that lacks
        the modality, as in training.

        Args:
            conversation: the turns.
            words: of turns without a transcript; default `find_words()`.
            classes: offer these alone; default all.
            abstain: answer "unknown" where there is neither speech nor text, or the model is not sure enough.
            live: answer each turn before the next one is read, which a causal model can. All that was said before is
                gone through anew for each; the answers are those of all turns at once, the default.
            complain: called for each turn that cannot be read; default: the error is raised.
            progress: called after each turn that was read.

        Raises:
            AudioError: a turn cannot be read, and there is no `complain`.
            ConfigError: a model that reads the turns that follow is to answer live.
        """
        if live and not self.is_causal:
            raise ConfigError(
                f"model {self.name}: reads the turns that follow, so it cannot answer live; leave live out, or train "
                "one with causal: true in the options of its context and fusion"
            )
        words = (words or find_words()) if "text" in self.modalities else None
        offered = self.offered(classes)
        outputs: Outputs = [{name: {} for name in self.modalities} for _ in self.folds]
        inputs: list[TurnInput | None] = []
        for k, turn in enumerate(conversation.turns):
            found = self._read_turn(turn, words, complain)
            if found is not None:
                self._embed(str(k), found, outputs)
                found = replace(found, samples=None)  # they may go
            inputs.append(found)
            progress()
            if live and found is not None:
                answers = self._answers(conversation.turns[: k + 1], outputs)
                yield self._predicted(turn, found, answers.get(str(k)), offered, abstain)
        if live:
            return
        answers = self._answers(conversation.turns, outputs)
        for k, (turn, found) in enumerate(zip(conversation.turns, inputs, strict=True)):
            if found is not None:
                yield self._predicted(turn, found, answers.get(str(k)), offered, abstain)

    def _read_turn(self, turn: Turn, words: Words | None, complain: Callable[[str], object] | None) -> TurnInput | None:
        """Read the recording and words of a turn; None where it cannot be read and has no words either."""
        wants_audio = "audio" in self.modalities
        wants_words = words is not None and words.recognizer is not None and not turn.text
        without = without_recording(turn, wants_audio=wants_audio, wants_text=words is not None)
        if turn.file is None or not (wants_audio or wants_words):
            return without
        try:
            return read_turn(turn, self.sample_rate, words=words)
        except (AudioError, OSError) as error:  # OSError: a disk or share that fails while it is read
            if complain is None:
                raise
            complain(str(error) if isinstance(error, AudioError) else f"{turn.file}: {error.strerror or error}")
            return without if words is not None and turn.text else None

    def _embed(self, key: str, turn_input: TurnInput, outputs: Outputs) -> None:
        """Add what each fold says of a turn on its own."""
        material = {"audio": turn_input.samples, "text": turn_input.text or None}
        for fold, of_fold in zip(self.folds, outputs, strict=True):
            for name in self.modalities:
                if (given := material[name]) is not None:
                    of_fold[name][key] = fold.embed(name, given)

    def _answers(self, turns: Sequence[Turn], outputs: Outputs) -> dict[str, TurnAnswer]:
        """Average the outputs of the folds; the embedding is the first one's, whose space the calibration knows."""
        numbers: dict[str, int] = {}
        speakers = tuple(numbers.setdefault(turn.speaker, len(numbers)) for turn in turns)
        dialogue = Dialogue(tuple(str(k) for k in range(len(turns))), speakers)
        answers = [fold.answers(dialogue, of_fold) for fold, of_fold in zip(self.folds, outputs, strict=True)]
        return {
            key: TurnAnswer(np.mean([of_fold[key].probabilities for of_fold in answers], axis=0), first.embedding)
            for key, first in answers[0].items()
        }

    def _predicted(
        self, turn: Turn, turn_input: TurnInput, answer: TurnAnswer | None, offered: Sequence[str], abstain: bool
    ) -> TurnPrediction:
        flags = set(turn_input.flags)
        if answer is None:  # nothing to go by: every class is as good, and only "unknown" is left
            scores = dict.fromkeys(offered, 1 / len(offered))
        else:
            distance = distance_of(self.calibration, answer.embedding, None, self.name)
            probabilities = calibrated(self.calibration, answer.probabilities, distance, self.name)
            scores = scores_of(probabilities, self.classes, offered)
            if self.calibration.is_out_of_domain(answer.embedding):
                flags.add("out_of_domain")
        emotion = max(scores, key=scores.__getitem__)
        is_mute = bool(flags & {*NOTHING_TO_HEAR, "no_audio"}) or "audio" not in self.modalities
        is_empty = is_mute and ("text" not in self.modalities or not turn_input.text)
        unknown = answer is None or (abstain and (is_empty or self.calibration.abstains(scores[emotion])))
        prediction = Prediction(
            start=turn.start,
            end=turn.start + turn_input.duration_s,
            emotion=UNKNOWN if unknown else emotion,
            confidence=scores[emotion],
            scores=scores,
            flags=tuple(sorted(flags)),
        )
        return TurnPrediction(turn, turn_input.text, prediction)


def load(name_or_dir: str | Path) -> DialogueModel:
    """Load a run directory over dialogues, whose folds are averaged, or one fold of it.

    Raises:
        CheckpointError: no such model, a damaged one, or one that recognises utterances one by one.
    """
    path = folder_of(name_or_dir)
    folds = [DialogueNetworks(folder) for folder in folders_of("dialogue", path)]
    if not folds:
        if "utterance" in kinds_at(path):
            raise CheckpointError(
                f"{name_or_dir}: recognises recordings one by one, not conversations; leave --dialogue out, or give "
                "a run of a recipe over dialogues, e.g. dutta2022-cpu, with --model"
            )
        raise CheckpointError(
            f"{path}: no finished fold here; expected a run directory over dialogues, or a fold of it"
        )
    return DialogueModel(folds, path.name, read_calibration(path))
