"""Recipes that would train nothing, or something else than they say, are refused before anything is heard."""

import pytest

from affectra.errors import ConfigError
from affectra.features.specification import Specification
from affectra.models.recognizer import Recognizer
from affectra.recipes.config import load_recipe, parse_assignments, recipe_names
from affectra.recipes.recipe import Component
from affectra.runs.units import UNITS
from affectra.runs.units.utterances import check
from affectra.training.checks import check_recognizer

STAGE = (
    "{name: adapt, data: DATA, training: {epochs: 1, batch_size: 8, unlabelled_batch_size: N, precision: 32-true, "
    "channels_last: false, optimizer: {name: adam, options: {}}, schedule: {name: constant}}}"
)


@pytest.mark.parametrize("name", recipe_names())
def test_every_shipped_recipe_is_accepted_as_it_stands(name: str) -> None:
    recipe = load_recipe(name).recipe
    UNITS[recipe.unit].check(recipe)


@pytest.mark.parametrize(
    ("recipe", "setting", "message"),
    [
        ("gao2022-baseline-cpu", "training.unlabelled_batch_size=4", "cross-entropy learns nothing from utterances"),
        ("gao2021-cpu", "training.objective={name: reconstruction, options: {}}", "trains no classifier"),
        ("voice-linear-binary", f"stages=[{STAGE.replace('DATA', 'train').replace('N', '0')}]", "leave stages out"),
    ],
)
def test_a_setting_that_would_do_nothing_is_refused(recipe: str, setting: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(load_recipe(recipe, parse_assignments([setting])).recipe)
    assert message in str(caught.value)


def test_pretraining_hears_no_test_audio_and_says_so() -> None:
    document = load_recipe("gao2021-cpu")
    stage = document.recipe.stages[0]
    training = stage.training.model_copy(update={"unlabelled_batch_size": 8})
    stages = [stage.model_copy(update={"training": training}), *document.recipe.stages[1:]]
    with pytest.raises(ConfigError, match="stages: pretrain: on the pretraining corpora no test audio is heard"):
        check(document.recipe.model_copy(update={"stages": stages}))


def test_binary_tasks_need_a_model_with_heads_for_them() -> None:
    recipe = load_recipe("gao2022-baseline-cpu").recipe
    assert recipe.segments is not None
    specification = Specification(
        model=recipe.model.model_dump(), front_end=recipe.front_end.model_dump(), normalization="train",
        segments=recipe.segments.model_dump(), task="emotion4", classes=("anger", "sadness"), synthetic=False,
        auxiliary=("arousal",),
    )  # fmt: skip
    with pytest.raises(ConfigError, match=r"auxiliary: model 'cnn-blstm' learns no tasks beside the classes.*linear"):
        Recognizer(specification)


def test_an_objective_of_segments_needs_a_network_with_an_autoencoder() -> None:
    recipe = load_recipe("gao2022-baseline-cpu").recipe
    assert recipe.training is not None and recipe.segments is not None
    plan = recipe.training.model_copy(update={"objective": Component(name="reconstruction")})
    specification = Specification(
        model=recipe.model.model_dump(), front_end=recipe.front_end.model_dump(), normalization="train",
        segments=recipe.segments.model_dump(), task="emotion4", classes=("anger", "sadness"), synthetic=False,
    )  # fmt: skip
    with pytest.raises(ConfigError, match=r"needs a network with the part 'autoencoder'.*has network, network\.cnn"):
        check_recognizer(Recognizer(specification), plan)
