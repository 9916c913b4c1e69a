"""Recipes are pleasant to write: little has to be said, all mistakes are told at once, and any part can be set."""

from pathlib import Path
from typing import Any

import pytest

from affectra.errors import ConfigError
from affectra.recipes.catalogue import KINDS, catalogue
from affectra.recipes.config import load_recipe, recipe_names
from affectra.recipes.recipe import ContinuousRecipe, DialogueRecipe, Recipe
from affectra.runs.plan import plan_run
from affectra.runs.run import execute

SHORTEST = {
    "utterance": "front_end: log-mel\nmodel: leaf-cnn\n",
    "closed": "front_end: voice-statistics\nmodel: linear\n",
    "text": "front_end: hashed-words\nmodel: text-gru\n",
    "dialogue": "unit: dialogue\nmodalities:\n  text: {front_end: hashed-words, model: text-gru}\n",
    "two modalities": (
        "unit: dialogue\nmodalities:\n  text: {front_end: hashed-words, model: text-gru}\n"
        "  audio: {front_end: log-mel, model: leaf-cnn}\n"
    ),
    "time": "unit: time\nframes: {front_end: log-mel}\nmodel: semantic-paralinguistic\n",
}
UNITS = {"utterance": Recipe, "dialogue": DialogueRecipe, "time": ContinuousRecipe}


def written(folder: Path, text: str, name: str = "mine") -> str:
    path = folder / f"{name}.yaml"
    path.write_text(f"name: {name}\n{text}")
    return str(path)


@pytest.mark.parametrize("kind", SHORTEST)
def test_a_recipe_needs_a_name_a_front_end_and_a_model_alone(kind: str, tmp_path: Path) -> None:
    document = load_recipe(written(tmp_path, SHORTEST[kind]))
    assert type(document.recipe) is UNITS[document.recipe.unit]
    given = {key for key, source in document.sources().items() if source != "default"}
    assert not given, "what is not written in the file is said to be a default"
    (tmp_path / "whole.yaml").write_text(document.text())
    again = load_recipe(str(tmp_path / "whole.yaml"))
    assert again.recipe == document.recipe and again.text() == document.text()


@pytest.mark.parametrize("kind", ["utterance", "closed"])
def test_the_shortest_recipe_runs(kind: str, tone_manifest: Path, tmp_path: Path) -> None:
    settings = {} if kind == "closed" else {"training.epochs": 1, "model.options.channels": [4, 4]}
    settings |= {"protocol.options": {"k": 2, "dev": False}}
    recipe = written(tmp_path, SHORTEST[kind])
    scores = execute(plan_run(recipe, [f"tones={tone_manifest}"], settings=settings, out=tmp_path / "run"))
    assert scores["n_utterances"] == 24


def leaves(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Dotted key -> value of everything in a recipe that is no mapping with keys of its own."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        if key == "stages":
            for stage in value:
                found |= leaves(stage, f"{prefix}{key}.{stage['name']}.")
        elif isinstance(value, dict) and value and key not in ("variants", "only"):
            found |= leaves(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


@pytest.mark.parametrize("name", ["li2018-cpu", "gao2021-cpu", "dutta2022-cpu", "tzirakis2021-cpu", "voice-linear"])
def test_every_value_can_be_set_and_setting_it_to_what_it_is_changes_nothing(name: str) -> None:
    document = load_recipe(name)
    values = leaves(document.recipe.model_dump(mode="json"))
    set_again = load_recipe(name, values)
    assert set_again.recipe == document.recipe
    assert "set for this run" not in set_again.sources().values()


def test_what_is_set_is_said_to_be_set_wherever_it_stands() -> None:
    of_training = {"clip_norm": 1.5, "rates.network": 0.1, "schedule.warmup_epochs": 2.0}
    keys = {"seeds": 2, **{f"training.{key}": value for key, value in of_training.items()}}
    document = load_recipe("li2018-cpu", keys)
    assert {key for key, source in document.sources().items() if source == "set for this run"} == set(keys)
    recipe = document.recipe
    assert isinstance(recipe, Recipe) and recipe.training is not None
    assert (recipe.training.clip_norm, recipe.training.rates, recipe.seeds) == (1.5, {"network": 0.1}, 2)
    assert recipe.training.schedule.warmup_epochs == 2


def test_a_stage_is_addressed_by_its_name_or_its_number() -> None:
    by_name, by_number = (
        load_recipe(
            "gao2021-cpu",
            {f"stages.{stage}.training.epochs": 2, f"stages.{stage}.training.objective.options.speaker_share": 0.25},
        ).recipe
        for stage in ("pretrain", "0")
    )
    assert by_name == by_number
    assert isinstance(by_name, Recipe)
    assert [stage.training.epochs for stage in by_name.stages] == [2, 4]
    assert by_name.stages[0].training.objective.options["speaker_share"] == 0.25
    with pytest.raises(ConfigError, match="unknown stage 'pretrian'; did you mean 'pretrain'"):
        load_recipe("gao2021-cpu", {"stages.pretrian.training.epochs": 2})


def test_all_mistakes_of_a_recipe_are_in_one_line(tmp_path: Path) -> None:
    text = (
        "front_end: log-mel\nmodle: attention-cnn\nseeds: 0\nsegments: {lenght_s: 2.0}\n"
        "training: {epochs: many, optimiser: adam, schedule: {name: cosin}}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_recipe(written(tmp_path, text), {"trainin.epochs": 2})
    message = str(caught.value)
    assert "\n" not in message and message.startswith(f"recipe {tmp_path}/mine.yaml: 8 mistakes: ")
    for mistake in (
        "unknown key 'modle'; did you mean 'model'",
        "model: missing",
        "seeds: input should be greater than 0, found 0",
        "unknown key 'segments.lenght_s'; did you mean 'segments.length_s'",
        "training.epochs: input should be a valid integer, found 'many'",
        "unknown key 'training.optimiser'; did you mean 'training.optimizer'",
        "training.schedule.name: input should be 'constant', 'step' or 'cosine', found 'cosin'",
        "unknown key 'trainin'; did you mean 'training'",
    ):
        assert mistake in message


def test_null_clears_what_was_inherited(tmp_path: Path) -> None:
    inherited = load_recipe("gao2021-variants-cpu").recipe
    assert inherited.variants and inherited.paper is not None
    text = "extends: gao2021-variants-cpu\nvariants: null\npaper: null\nallow_leak: null\n"
    cleared = load_recipe(written(tmp_path, text)).recipe
    assert cleared.variants == {} and cleared.paper is None and cleared.allow_leak == []
    one = next(iter(inherited.variants))
    fewer = load_recipe(written(tmp_path, f"extends: gao2021-variants-cpu\nvariants: {{{one}: null}}\n")).recipe
    assert fewer.variants == {name: changes for name, changes in inherited.variants.items() if name != one}
    fewer = load_recipe(written(tmp_path, "extends: dutta2022-cpu\nmodalities: {audio: null}\nfusion: null\n")).recipe
    assert isinstance(fewer, DialogueRecipe) and list(fewer.modalities) == ["text"] and fewer.fusion is None


def test_a_name_alone_is_a_component_with_its_default_options(tmp_path: Path) -> None:
    text = "front_end: {name: log-mel}\nmodel: {name: leaf-cnn, options: {}}\n"
    one, other = (load_recipe(written(tmp_path, one)).recipe for one in (SHORTEST["utterance"], text))
    assert one == other
    document = load_recipe(written(tmp_path, SHORTEST["utterance"]), {"model.options.channels": [4, 4]})
    assert isinstance(document.recipe, Recipe)
    assert document.recipe.model.model_dump() == {"name": "leaf-cnn", "options": {"channels": [4, 4]}}


def test_the_shipped_recipes_are_grouped_by_system_with_ablations_apart() -> None:
    entries = catalogue()
    assert sorted(entry.name for entry in entries) == recipe_names()
    assert all(entry.description == load_recipe(entry.name).recipe.description for entry in entries)
    systems = list(dict.fromkeys(entry.system for entry in entries))
    assert systems[:5] == ["li2018", "gao2021", "tzirakis2021", "dutta2022", "gao2022"], "papers first, by year"
    assert systems[-1] == "baseline-functionals"
    for system in systems:
        own = [entry for entry in entries if entry.system == system]
        at = entries.index(own[0])
        assert entries[at : at + len(own)] == own, "a system's recipes follow each other"
        kinds = [entry.kind for entry in own]
        assert kinds[0] != "ablation" and kinds == sorted(kinds, key=KINDS.index), "ablations come last"
    of_papers = {entry.name: entry.kind for entry in entries if load_recipe(entry.name).recipe.paper is not None}
    assert {"paper", "ablation"} >= {kind for name, kind in of_papers.items() if not name.startswith("baseline")}
