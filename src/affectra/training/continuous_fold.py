"""One fold over time: the words' vectors, the raters' delay, the network, its predictions."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch

from affectra.continuous_predictions import recording_rows, write_frames
from affectra.errors import AffectraError
from affectra.features.label_frames import LabelFrames
from affectra.files import write_json
from affectra.models.frame_network import FrameNetwork, load_network
from affectra.models.turns import Dialogue
from affectra.recipe import ContinuousRecipe
from affectra.traces.delay import find_delay, move_back, shift_back
from affectra.traces.postprocessing import PostProcessing
from affectra.traces.table import Trace
from affectra.training.continuous import network_plan, train_network
from affectra.training.seeds import derive_seed
from affectra.training.timelines import RatedUtterance, SaidFrames, Timeline, said_frames
from affectra.training.word_space import Speech, WordSpace, fit_word_space, known_share

DESCRIPTION = {"name": "log-mel", "options": {}}  # ours: what a delay is searched with, mean and deviation of a frame
Predictions = npt.NDArray[np.floating]


@dataclass(frozen=True)
class ContinuousFoldJob:
    """All that one fold of one seed needs; crosses to another process whole.

    Attributes:
        folder: seed-<s>/fold-<k> of the run directory.
        seed: the run's seed.
        fold: number of the fold.
        recipe: what to do.
        heard: utterances that training meets, by key, those of the dev part too.
        tested: utterances of the dialogues that are tested, by key; with other words where a recogniser's are used in
            tests alone.
        train: dialogues with what training may hear of them.
        dev: dialogues to watch; may be empty.
        test: dialogues to predict, whole.
        parts: "train", "dev" and "test" -> the keys that are learnt, watched and scored; labels of the last are seen
            only after training.
        threads: of torch; part of the job since sums depend on it.
    """

    folder: Path
    seed: int
    fold: int
    recipe: ContinuousRecipe
    heard: Mapping[str, RatedUtterance]
    tested: Mapping[str, RatedUtterance]
    train: tuple[Dialogue, ...]
    dev: tuple[Dialogue, ...]
    test: tuple[Dialogue, ...]
    parts: Mapping[str, tuple[str, ...]]
    threads: int

    @property
    def is_done(self) -> bool:
        """Whether the fold is finished: its predictions are written last."""
        return (self.folder / "predictions.csv").is_file()

    def run(self) -> None:
        """Train and predict the test part, going on from where it stopped.

        Writes split.json, the words' vectors, history.csv, model.safetensors + continuous.json, traces.json and, last,
        predictions.csv.
        """
        if self.is_done:
            return
        torch.set_num_threads(self.threads)
        self._write_split()
        plan, recipe = network_plan(self.recipe), self.recipe
        space = self._space()
        said = None if space is None else said_frames(space, self.heard, plan.length_s)
        delay = self._delay(said)
        delays = list(delay["delay_s"].values())
        labels = {
            key: shift_back(trace, delays, plan.length_s)
            for part in ("train", "dev")
            for key, trace in self._traces(self.heard, part).items()
        }
        own = {part: {key: labels[key] for key in self.parts[part]} for part in ("train", "dev")}
        train = [Timeline(one, self.heard, plan.reader, said, own["train"]) for one in self.train]
        dev = [Timeline(one, self.heard, plan.reader, said, own["dev"]) for one in self.dev]
        train_network(
            plan, recipe.training, self.folder, (self.seed, self.fold), train=train, dev=dev,
            sequence_frames=recipe.sequence_frames,
        )  # fmt: skip
        network, _ = load_network(self.folder)
        if torch.cuda.is_available():
            network.cuda()
        treatment = self._treatment(network, dev, delays)
        tested = None if space is None else said_frames(space, self.tested, plan.length_s)
        test = [Timeline(one, self.tested, plan.reader, tested, {}) for one in self.test]
        predicted = _by_utterance(network, test, delays, plan.length_s)
        write_json(
            self.folder / "traces.json",
            {**delay, "postprocessing": treatment and treatment.to_json(), "words": self._words(space)},
        )
        self._write_predictions(predicted, treatment)
        shutil.rmtree(self.folder / "resume", ignore_errors=True)

    def _write_split(self) -> None:
        split: dict[str, list[str]] = {name: list(keys) for name, keys in self.parts.items()}
        people = [self.heard[key] for key in self.parts["train"]]
        split["train_speakers"] = [f"{one.corpus}/{one.speaker}" if one.speaker else "" for one in people]
        write_json(self.folder / "split.json", split)

    def _space(self) -> WordSpace | None:
        """The words' vectors, learnt from what training hears."""
        if self.recipe.words is None:
            return None
        training = [self.heard[key].speech for dialogue in self.train for key in dialogue.keys]
        seed = derive_seed(self.seed, self.fold, "words")
        space = fit_word_space(self.recipe.words.vectors, training, self.recipe.words.unknown, seed)
        space.save(self.folder)
        return space

    def _words(self, space: WordSpace | None) -> dict[str, Any] | None:
        """What traces.json says of the words."""
        if space is None:
            return None
        found: dict[str, Mapping[str, Speech]] = {
            "train": {key: self.heard[key].speech for key in self.parts["train"]},
            "test": {key: self.tested[key].speech for key in self.parts["test"]},
        }
        return {**space.facts(), **{part: known_share(space, speeches) for part, speeches in found.items()}}

    def _traces(self, utterances: Mapping[str, RatedUtterance], part: str) -> dict[str, Trace]:
        """The labels of a part by key."""
        found = {key: utterances[key].trace for key in self.parts[part]}
        return {key: trace for key, trace in found.items() if trace is not None}

    def _delay(self, said: Mapping[str, SaidFrames] | None) -> dict[str, Any]:
        """How late the raters are, by dimension; what was searched, where it was."""
        dimensions, wanted = self.recipe.dimensions, self.recipe.delay_s
        if wanted != "search":
            return {"delay_s": dict.fromkeys(dimensions, wanted)}
        length_s = self.recipe.frames.length_s
        reader = LabelFrames(DESCRIPTION, length_s)

        def recordings(part: str) -> list[tuple[npt.NDArray, npt.NDArray]]:
            found = []
            for key, trace in self._traces(self.heard, part).items():
                described = self.heard[key].described
                assert described is not None
                features = reader.read(described, 0, len(trace))
                if said is not None:
                    features = np.concatenate([features, said[key].read(0, len(trace))], axis=1)
                found.append((features, trace.with_gaps))
            return found

        delay = find_delay(recordings("train"), recordings("dev"), dimensions=dimensions, step_s=length_s)
        searched = {"tried_s": list(delay.tried_s), "correlation": {k: list(v) for k, v in delay.scores.items()}}
        return {"delay_s": delay.seconds, "searched": searched}

    def _treatment(
        self, network: FrameNetwork, dev: Sequence[Timeline], delays: Sequence[float]
    ) -> PostProcessing | None:
        """Post-processing that the dev part asks for."""
        if not self.recipe.postprocessing:
            return None
        traces = self._traces(self.heard, "dev")
        predicted = _by_utterance(network, dev, delays, self.recipe.frames.length_s)
        return PostProcessing.fit(
            [predicted[key][: len(trace)] for key, trace in traces.items()],
            [trace.with_gaps for trace in traces.values()],
            dimensions=self.recipe.dimensions,
            step_s=self.recipe.frames.length_s,
        )

    def _write_predictions(self, predicted: Mapping[str, Predictions], treatment: PostProcessing | None) -> None:
        rows = []
        for key, trace in self._traces(self.tested, "test").items():
            frames = predicted[key] if treatment is None else treatment.apply(predicted[key])
            if not np.isfinite(frames).all():
                raise AffectraError(f"{self.folder}: the predictions of {key} are no numbers; look at its audio")
            one = self.tested[key]
            rows.append(
                recording_rows(
                    trace, frames, self.recipe.dimensions, utterance=key, corpus=one.corpus, speaker=one.speaker,
                    seed=self.seed, fold=self.fold,
                )
            )  # fmt: skip
        write_frames(pd.concat(rows, ignore_index=True), self.folder / "predictions.csv")


def _by_utterance(
    network: FrameNetwork, timelines: Sequence[Timeline], delays: Sequence[float], step_s: float
) -> dict[str, Predictions]:
    """Predictions (frame, dimension) of each utterance, at the times of the labels as they were given."""
    found = {}
    for timeline in timelines:
        predicted = network.predict(timeline.read, len(timeline))
        for key, (start, stop) in timeline.spans.items():
            found[key] = move_back(predicted[start:stop], delays, step_s)
    return found
