"""One fold over time: the words' vectors, the raters' delay, the network, its predictions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from safetensors.numpy import save_file

from affectra.features.label_frames import LabelFrames
from affectra.features.words.word_frames import SILENCE, WordFeatures
from affectra.features.words.word_spaces import Speech, WordSpace
from affectra.files import atomic_path, write_json
from affectra.models.dialogue.turns import Dialogue
from affectra.models.frame.frame_network import FrameAnswer, FrameNetwork, load_network
from affectra.recipes.recipe import ContinuousRecipe
from affectra.tasks.tables import recording_rows
from affectra.tasks.traces.delay import find_delay, move_back, shift_back
from affectra.tasks.traces.postprocessing import PostProcessing
from affectra.tasks.traces.table import Trace
from affectra.training.seeds import derive_seed
from affectra.training.units.fold import FoldJob
from affectra.training.units.timelines import RatedUtterance, Timeline, network_plan, word_features
from affectra.training.units.word_space import fit_word_space, known_share

DESCRIPTION = {"name": "log-mel", "options": {}}  # ours: what a delay is searched with, mean and deviation of a frame
Predictions = npt.NDArray[np.floating]


@dataclass(frozen=True)
class FrameFoldJob(FoldJob):
    """A fold of labels over time.

    Attributes:
        recipe: what to do.
        trained: utterances that training meets, by key, those of the dev part too.
        tested: utterances of the dialogues that are tested, by key; with other words where a recogniser's are used in
            tests alone.
        train: dialogues with the turns that training may use.
        dev: dialogues to watch; may be empty.
        test: dialogues to predict, whole.
        parts: "train", "dev" and "test" -> the keys that are learnt, watched and scored; labels of the last are seen
            only after training.
        origin: what the checkpoint says of where it comes from: "synthetic" and "provenance".
    """

    recipe: ContinuousRecipe
    trained: Mapping[str, RatedUtterance]
    tested: Mapping[str, RatedUtterance]
    train: tuple[Dialogue, ...]
    dev: tuple[Dialogue, ...]
    test: tuple[Dialogue, ...]
    parts: Mapping[str, tuple[str, ...]]
    origin: Mapping[str, Any]

    def split(self) -> Mapping[str, Sequence[str]]:
        """As of `FoldJob`; speakers of the training part for probes."""
        people = [self.trained[key] for key in self.parts["train"]]
        speakers = [f"{one.corpus}/{one.speaker}" if one.speaker else "" for one in people]
        return {**{name: list(keys) for name, keys in self.parts.items()}, "train_speakers": speakers}

    def train_and_predict(self) -> pd.DataFrame:
        """Train and predict.

        Writes the words' vectors, history.csv, model.safetensors + model.json, traces.json, embeddings.safetensors (the
        mean over an utterance's frames) and attention.safetensors (of a model that weighs the two streams, frame by
        frame).
        """
        from affectra.training.units.frame_training import train_network  # late, see `utterance_fold`

        plan, recipe = network_plan(self.recipe), self.recipe
        space = self._space()
        words = None if space is None else word_features(space, self.trained, plan.length_s)
        delay = self._delay(words)
        delays = list(delay["delay_s"].values())
        labels = {
            key: shift_back(trace, delays, plan.length_s)
            for part in ("train", "dev")
            for key, trace in self._traces(self.trained, part).items()
        }
        own = {part: {key: labels[key] for key in self.parts[part]} for part in ("train", "dev")}
        train = [Timeline(one, self.trained, plan.reader, words, own["train"]) for one in self.train]
        dev = [Timeline(one, self.trained, plan.reader, words, own["dev"]) for one in self.dev]
        train_network(
            plan, recipe.training, self.folder, (self.seed, self.fold), train=train, dev=dev,
            sequence_frames=recipe.sequence_frames,
        )  # fmt: skip
        network, _ = load_network(self.folder)
        if torch.cuda.is_available():
            network.cuda()
        postprocessing = self._fit_postprocessing(network, dev, delays)
        tested = None if space is None else word_features(space, self.tested, plan.length_s)
        test = [Timeline(one, self.tested, plan.reader, tested, {}) for one in self.test]
        answers = _by_utterance(network, test)
        keys = list(self._traces(self.tested, "test"))
        self._write_embeddings({key: answers[key] for key in keys})
        write_json(
            self.folder / "traces.json",
            {
                **delay, "postprocessing": postprocessing and postprocessing.to_json(), "words": self._words(space),
                "attention": _taken({key: answers[key] for key in keys}, tested), **self.origin,
            },
        )  # fmt: skip
        moved = {key: move_back(answers[key].predictions, delays, plan.length_s) for key in keys}
        return self._predicted(moved, postprocessing)

    def _space(self) -> WordSpace | None:
        """The words' vectors, learnt from the training part."""
        if self.recipe.words is None:
            return None
        training = [self.trained[key].speech for dialogue in self.train for key in dialogue.keys]
        seed = derive_seed(self.seed, self.fold, "words")
        space = fit_word_space(self.recipe.words.vectors, training, self.recipe.words.unknown, seed)
        space.save(self.folder)
        return space

    def _words(self, space: WordSpace | None) -> dict[str, Any] | None:
        """Describe the words for traces.json; None for a network without words."""
        if space is None:
            return None
        found: dict[str, Mapping[str, Speech]] = {
            "train": {key: self.trained[key].speech for key in self.parts["train"]},
            "test": {key: self.tested[key].speech for key in self.parts["test"]},
        }
        return {**space.facts(), **{part: known_share(space, speeches) for part, speeches in found.items()}}

    def _traces(self, utterances: Mapping[str, RatedUtterance], part: str) -> dict[str, Trace]:
        """The labels of a part by key."""
        found = {key: utterances[key].trace for key in self.parts[part]}
        return {key: trace for key, trace in found.items() if trace is not None}

    def _delay(self, words: Mapping[str, WordFeatures] | None) -> dict[str, Any]:
        """How late the raters are, by dimension, and how that came about; what was searched, where it was."""
        dimensions, wanted = self.recipe.dimensions, self.recipe.delay_s
        if wanted != "search":
            return {"delay_s": dict.fromkeys(dimensions, wanted), "delay_from": "given"}
        length_s = self.recipe.frames.length_s
        reader = LabelFrames(DESCRIPTION, length_s)

        def recordings(part: str) -> list[tuple[npt.NDArray, npt.NDArray]]:
            found = []
            for key, trace in self._traces(self.trained, part).items():
                described = self.trained[key].described
                assert described is not None
                features = reader.read(described, 0, len(trace))
                if words is not None:
                    features = np.concatenate([features, words[key].read(0, len(trace))], axis=1)
                found.append((features, trace.with_gaps))
            return found

        watched = recordings("dev")
        delay = find_delay(recordings("train"), watched, dimensions=dimensions, step_s=length_s)
        searched = {"tried_s": list(delay.tried_s), "correlation": {k: list(v) for k, v in delay.scores.items()}}
        return {"delay_s": delay.seconds, "delay_from": "dev" if watched else "training folds", "searched": searched}

    def _fit_postprocessing(
        self, network: FrameNetwork, dev: Sequence[Timeline], delays: Sequence[float]
    ) -> PostProcessing | None:
        """Post-processing that the dev part asks for."""
        if not self.recipe.postprocessing:
            return None
        traces = self._traces(self.trained, "dev")
        answers, step_s = _by_utterance(network, dev), self.recipe.frames.length_s
        return PostProcessing.fit(
            [move_back(answers[key].predictions, delays, step_s)[: len(trace)] for key, trace in traces.items()],
            [trace.with_gaps for trace in traces.values()],
            dimensions=self.recipe.dimensions,
            step_s=step_s,
        )

    def _write_embeddings(self, answers: Mapping[str, FrameAnswer]) -> None:
        """Write the embeddings and attention weights that reports draw from, in the order of predictions.csv."""
        with atomic_path(self.folder / "embeddings.safetensors") as temporary:
            save_file({"embedding": np.stack([one.embedding.mean(0) for one in answers.values()])}, temporary)
        weights = {key: one.attention for key, one in answers.items() if one.attention is not None}
        if weights:
            with atomic_path(self.folder / "attention.safetensors") as temporary:
                save_file({key: np.ascontiguousarray(one) for key, one in weights.items()}, temporary)

    def _predicted(self, predicted: Mapping[str, Predictions], postprocessing: PostProcessing | None) -> pd.DataFrame:
        rows = []
        for key, trace in self._traces(self.tested, "test").items():
            frames = predicted[key] if postprocessing is None else postprocessing.apply(predicted[key])
            self.check_numbers(key, frames)
            one = self.tested[key]
            rows.append(
                recording_rows(
                    trace, frames, self.recipe.dimensions, utterance=key, corpus=one.corpus, speaker=one.speaker,
                    seed=self.seed, fold=self.fold,
                )
            )  # fmt: skip
        return pd.concat(rows, ignore_index=True)


def _by_utterance(network: FrameNetwork, timelines: Sequence[Timeline]) -> dict[str, FrameAnswer]:
    """Give the output for each utterance's frames; it predicts moved labels where the raters' delay was taken back."""
    found = {}
    for timeline in timelines:
        whole = network.answer(timeline.read, len(timeline))
        for key, (start, stop) in timeline.spans.items():
            found[key] = FrameAnswer(*(None if part is None else part[start:stop] for part in whole))  # type: ignore[arg-type]
    return found


def _taken(answers: Mapping[str, FrameAnswer], words: Mapping[str, WordFeatures] | None) -> dict[str, float] | None:
    """The share of the words' stream that the network takes, where a word is spoken and where none is; or None."""
    if words is None or any(one.attention is None for one in answers.values()):
        return None
    shares = np.concatenate([one.attention[:, 1] for one in answers.values() if one.attention is not None])
    spoken = np.concatenate([words[key].owners[: len(one.predictions)] != SILENCE for key, one in answers.items()])
    parts = {"word said": shares[spoken], "none said": shares[~spoken]}
    return {name: float(part.mean()) for name, part in parts.items() if len(part)}
