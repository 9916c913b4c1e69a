"""Studies of conversations on text alone: the cells of the studies they are taken from, and no audio is asked for."""

from pathlib import Path

import pandas as pd
import pytest

from affectra.corpora.manifest import write_manifest
from affectra.recipes.config import load_recipe
from affectra.recipes.recipe import DialogueRecipe
from affectra.runs.plan import plan_run


def cells(name: str) -> dict[str, DialogueRecipe]:
    """The variants of a study as they are trained, but for their names."""
    found = {}
    for variant, changed in load_recipe(name).recipe.variants.items():
        recipe = load_recipe(name, {**changed, "variants": {}, "name": "same", "description": "same"}).recipe
        assert isinstance(recipe, DialogueRecipe)
        found[variant] = recipe
    return found


def test_table_1_of_text_alone_has_the_text_cells_of_table_1() -> None:
    whole = cells("dutta2022-embedding-cpu")
    text = {name: recipe for name, recipe in whole.items() if name.startswith("text-")}
    assert cells("dutta2022-embedding-text-cpu") == text and len(text) == 6


def test_the_study_of_the_context_varies_the_context_alone() -> None:
    found = cells("dutta2022-context-cpu")
    assert list(found) == ["paper", "causal", "iiscleap"]
    contexts = {name: recipe.context for name, recipe in found.items()}
    paper = found["paper"]
    assert all(recipe.model_copy(update={"context": paper.context}) == paper for recipe in found.values())
    options = {name: head.model.options for name, head in contexts.items() if head is not None}
    assert options["causal"] == {**options["paper"], "causal": True}
    assert options["iiscleap"] == {**options["paper"], "compat": "iiscleap"}


@pytest.mark.parametrize("name", ["dutta2022-embedding-text-cpu", "dutta2022-context-cpu"])
def test_a_study_of_text_is_planned_for_a_corpus_without_audio(name: str, tmp_path: Path) -> None:
    turns = range(16)
    table = pd.DataFrame({"utterance": [f"u{i}" for i in turns], "speaker": [f"s{i % 2}" for i in turns]})
    table = table.assign(
        file="", corpus="written", dialogue=[f"d{i // 4}" for i in turns], turn=turns, text="so it is",
        emotion=["anger", "sadness"] * 8,
    )  # fmt: skip
    write_manifest(table, tmp_path / "written.csv")
    for changed in load_recipe(name).recipe.variants.values():
        plan = plan_run(
            name, [f"written={tmp_path / 'written.csv'}"], task="emotion", protocol="random-80-20",
            allow_leak=["speaker", "dialogue"], settings={**changed, "variants": {}},
        )  # fmt: skip
        assert plan.data.labelled.classes == ("anger", "sadness")
