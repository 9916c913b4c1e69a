"""Stages: each begins with all that the one before has learnt, and what is frozen stays as it is."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from affectra.errors import ConfigError
from affectra.features.specification import Specification
from affectra.models.recognizer import Recognizer, load_checkpoint
from affectra.recipes.recipe import Component, Schedule, TrainingPlan
from affectra.training.checks import check_recognizer
from affectra.training.data import Example
from affectra.training.stage import StageJob, train_stage

SEGMENTS = {"length_s": 0.3, "frames": None, "train_shift_s": 0.2, "test_shift_s": 0.2}
SOUND = Specification(
    model={"name": "leaf-cnn", "options": {"channels": [8, 8], "n_embedding": 8}},
    front_end={"name": "learned-leaf", "options": {"n_filters": 8, "hop_s": 0.02}},
    normalization="none", segments=SEGMENTS, task="emotion4", classes=("anger", "sadness"), synthetic=False,
)  # fmt: skip
TEXT = replace(
    SOUND,
    model={"name": "text-gru", "options": {"n_hidden": 4}},
    front_end={"name": "hashed-words", "options": {"n_dimensions": 4, "n_buckets": 64}},
)
FIXED = replace(SOUND, front_end={"name": "log-mel", "options": {"n_filters": 8}}, normalization="train")
LEARNING = TrainingPlan(
    epochs=2, batch_size=2, optimizer=Component(name="sgd", options={"lr": 0.1}), schedule=Schedule(name="constant"),
    precision="32-true", channels_last=False,
)  # fmt: skip
STANDING = LEARNING.model_copy(update={"optimizer": Component(name="sgd", options={"lr": 0.0})})

TwoStages = Callable[[Specification, TrainingPlan], tuple[dict[str, Tensor], ...]]


def examples(specification: Specification, folder: Path, seed: int) -> tuple[Example, ...]:
    """Six utterances of two classes with the frames that the front end gives."""
    front_end, rng, found = Recognizer(specification).front_end, np.random.default_rng(seed), []
    for k, text in enumerate(["not at all", "yes of course", "so it is"] * 2):
        sound = (1 + seed + k % 2) * 0.3 * rng.standard_normal(4800).astype(np.float32)
        frames = front_end.frames(text if specification is TEXT else torch.from_numpy(sound))  # type: ignore[attr-defined]
        path = folder / f"{seed}-{k}.npy"
        np.save(path, frames.numpy())
        found.append(Example(f"u{k}", "corpus", "s", "", "", path, len(frames), target=k % 2))
    return tuple(found)


@pytest.fixture
def two_stages(tmp_path: Path) -> TwoStages:
    """Weights as initialised, after the first stage and after a second one on other utterances."""

    def train(specification: Specification, second: TrainingPlan) -> tuple[dict[str, Tensor], ...]:
        folders, start = [tmp_path / "first", tmp_path / "second"], None
        for folder, plan, seed in zip(folders, (LEARNING, second), (0, 1), strict=True):
            train = examples(specification, tmp_path, seed)
            train_stage(StageJob(folder, "stage", 0, 0, specification, plan, train, (), (), start), {})
            start = folder
        standing = tmp_path / "initial"
        train_stage(StageJob(standing, "stage", 0, 0, specification, STANDING, train, (), (), None), {})
        return tuple(load_file(folder / "model.safetensors") for folder in (standing, *folders))

    return train


def changed(one: dict[str, Tensor], other: dict[str, Tensor]) -> set[str]:
    assert one.keys() == other.keys()
    return {name for name in one if not torch.equal(one[name], other[name])}


def trainable(specification: Specification) -> set[str]:
    return {name for name, _ in Recognizer(specification).named_parameters()}


@pytest.mark.parametrize("specification", [SOUND, TEXT], ids=["sound", "text"])
def test_a_stage_begins_with_every_weight_that_the_one_before_has_learnt(
    specification: Specification, two_stages: TwoStages
) -> None:
    initial, first, second = two_stages(specification, STANDING)
    learnt = changed(initial, first) & trainable(specification)
    assert {name.split(".")[0] for name in learnt} == {"front_end", "network"}
    assert not changed(first, second) & trainable(specification)


@pytest.mark.parametrize("specification", [SOUND, TEXT], ids=["sound", "text"])
@pytest.mark.parametrize("part", ["front_end", "network"])
def test_a_frozen_part_keeps_every_number_while_the_rest_learns(
    specification: Specification, part: str, two_stages: TwoStages
) -> None:
    _, first, second = two_stages(specification, LEARNING.model_copy(update={"freeze": [part]}))
    assert {name.split(".")[0] for name in changed(first, second)} == {"front_end", "network"} - {part}


def test_a_layer_of_a_part_is_frozen_by_its_name(two_stages: TwoStages) -> None:
    _, first, second = two_stages(SOUND, LEARNING.model_copy(update={"freeze": ["front_end", "network.convolutions"]}))
    assert {name.rsplit(".", 1)[0] for name in changed(first, second)} == {"network.embed", "network.classify"}


def test_the_normalisation_of_a_stage_is_that_of_its_own_training_part(two_stages: TwoStages) -> None:
    initial, first, second = two_stages(FIXED, STANDING)
    statistics = {"normalization.mean", "normalization.std"}
    assert statistics <= changed(first, second) and not changed(first, second) & trainable(FIXED)
    assert not changed(initial, second) & statistics  # both of the second stage's utterances


def test_the_last_stage_s_checkpoint_has_the_front_end_that_was_learnt(two_stages: TwoStages, tmp_path: Path) -> None:
    _, first, _ = two_stages(SOUND, LEARNING.model_copy(update={"freeze": ["front_end"]}))
    kept = load_checkpoint(tmp_path / "second").front_end.state_dict()
    assert all(torch.equal(tensor, first[f"front_end.{name}"]) for name, tensor in kept.items())


@pytest.mark.parametrize(
    ("specification", "freeze", "message"),
    [
        (SOUND, ["front-end"], "unknown trainable part 'front-end'; did you mean 'front_end'? Known: front_end, "),
        (SOUND, ["embed"], "Known: front_end, front_end.leaf, network, network.classify, network.convolutions, "),
        (SOUND, [""], "unknown trainable part ''"),
        (FIXED, ["front_end"], "unknown trainable part 'front_end'. Known: network, network.classify"),
        (SOUND, ["network", "front_end"], "network, front_end is all that can be trained"),
        (FIXED, ["network"], "network is all that can be trained; leave out what is to be trained"),
    ],
)
def test_parts_to_freeze_are_known_by_name_and_leave_something_to_train(
    specification: Specification, freeze: list[str], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        check_recognizer(Recognizer(specification), LEARNING.model_copy(update={"freeze": freeze}))
    assert message in str(caught.value) and str(caught.value).startswith("freeze: ")
