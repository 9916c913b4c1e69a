"""Recipes with variants: a run of each side by side, all checked before one is begun."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from affectra.corpora.manifest import read_manifest, write_manifest
from affectra.errors import AffectraError, ConfigError
from affectra.files import read_json, write_json, write_text
from affectra.recipes.config import load_recipe
from affectra.reports.overview import write_overview
from affectra.runs.run import execute
from affectra.runs.sweep import SHARED, execute_variants, outline_variants, plan_variants
from affectra.runs.units.plan_types import Plan

SETTINGS: dict[str, Any] = {
    "task": "emotion",
    "protocol": {"name": "kfold-speaker", "options": {"k": 2, "dev": False}},
    "training.epochs": 1,
    "training.schedule": {"name": "constant"},
    "model.options.channels": [4, 4, 4, 4],
}


def recipe_of(folder: Path, variants: str) -> str:
    write_text(folder / "sweep.yaml", f"extends: li2018-cpu\nname: sweep\nvariants:\n{variants}")
    return str(folder / "sweep.yaml")


FILTERS = "  one: {model.options.n_filters: 8}\n  two: {model.options.n_filters: 4, training.batch_size: 6}\n"


def plans(recipe: str, manifest: Path, out: Path | None, **settings: Any) -> dict[str, Plan]:
    given = {**SETTINGS, **{key.replace("__", "."): value for key, value in settings.items()}}
    return plan_variants(recipe, [f"tones={manifest}"], settings=given, out=out)


def do(recipe: str, manifest: Path, out: Path, resume: bool = False, **settings: Any) -> dict[str, str]:
    found = plans(recipe, manifest, out, **settings)
    return execute_variants(found, resume=resume, n_processes=1, say=lambda _: None)


def test_each_variant_is_a_run_of_its_own_beside_an_overview(tone_manifest: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    results = do(recipe_of(tmp_path, FILTERS), tone_manifest, out)
    assert list(results) == ["one", "two", "overview"]
    for name, n_filters in (("one", 8), ("two", 4)):
        recipe = load_recipe(str(out / name / "recipe.yaml")).recipe
        assert (recipe.name, recipe.model.options["n_filters"], recipe.variants) == (f"sweep {name}", n_filters, {})
        scores = read_json(out / name / "scores.json")
        assert scores["complete"] and f"UA {scores['metrics']['ua']:.3f}" in results[name]
        for page in ("overview.html", "overview.md"):
            text = (out / page).read_text()
            for metric in ("ua", "wa", "weighted_f1"):
                assert f"{scores['metrics'][metric]:.3f}" in text
            assert f"sweep {name}" in text and "weighted F1" in text
    assert results["overview"] == str(out / "overview.html")


def test_a_setting_goes_over_every_variant(tone_manifest: Path, tmp_path: Path) -> None:
    found = plans(recipe_of(tmp_path, FILTERS), tone_manifest, tmp_path, training__batch_size=3, seeds=2)
    assert {plan.recipe.training.batch_size for plan in found.values()} == {3}  # type: ignore[union-attr]
    assert {plan.recipe.seeds for plan in found.values()} == {2}
    assert [plan.folder for plan in found.values()] == [tmp_path / "one", tmp_path / "two"]
    lines = outline_variants(found, 1)
    assert lines[-1] == "variants  2: one, two"


def test_without_a_folder_runs_lie_below_the_recipes_name(tone_manifest: Path, tmp_path: Path) -> None:
    found = plans(recipe_of(tmp_path, FILTERS), tone_manifest, None)
    assert found["one"].folder == Path("runs/sweep-tones/one")


def test_a_setting_into_a_part_that_a_variant_leaves_out_changes_nothing_there(tone_manifest: Path) -> None:
    quick = {"protocol": {"name": "random-80-20", "options": {}}, "allow_leak": ["speaker"], "task": "emotion"}
    set_for_all = {"modalities.text.training.epochs": 1, "modalities.audio.training.epochs": 1}
    turns = tone_manifest.with_name("spoken.csv")
    write_manifest(read_manifest(tone_manifest).assign(text="so it is", language="en"), turns)
    found = plan_variants("dutta2022-modalities-cpu", [f"tones={turns}"], settings={**quick, **set_for_all}, out=None)
    for name, plan in found.items():
        modalities = plan.recipe.modalities  # type: ignore[union-attr]
        assert {part.training.epochs for part in modalities.values()} == {1}, name
        assert set(modalities) == set(name.split("-")[:1]) if name[0] != "b" else {"audio", "text"}
    with pytest.raises(ConfigError, match=r"variant both: .*unknown key 'modalities\.text\.training\.epoch'"):
        plan_variants(
            "dutta2022-modalities-cpu", [f"tones={turns}"], settings={**quick, "modalities.text.training.epoch": 1},
            out=None,
        )  # fmt: skip


def test_a_setting_that_no_variant_has_a_place_for_is_named(tone_manifest: Path, tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, "  one: {training.schedule: null}\n")
    with pytest.raises(ConfigError, match=r"training\.schedule\.name: every variant leaves that part out"):
        plan_variants(recipe, [f"tones={tone_manifest}"], settings={"training.schedule.name": "constant"}, out=None)


@pytest.mark.parametrize(
    ("variants", "words"),
    [
        ("  good: {model.options.n_filters: 3}\n  bad: {model.option.n_filters: 3}\n", "variant bad: .*unknown key"),
        ("  bad: {model.name: atention-cnn}\n", "variant bad: unknown model 'atention-cnn'; did you mean"),
        ("  good: {}\n  bad: {training.epochs: 0}\n", "variant bad: .*training.epochs"),
        ("  Bad/name: {}\n", "variants.*pattern"),
        ("  ..: {}\n", "variants.*pattern"),
        ("  bad: 3\n", "variants.bad.*dictionary"),
    ],
)
def test_what_is_wrong_with_a_variant_is_named_before_one_is_begun(
    tone_manifest: Path, tmp_path: Path, variants: str, words: str
) -> None:
    settings = {key: value for key, value in SETTINGS.items() if key != "training.epochs"}
    with pytest.raises(AffectraError) as caught:
        plan_variants(
            recipe_of(tmp_path, variants), [f"tones={tone_manifest}"], settings=settings, out=tmp_path / "runs"
        )
    assert re.search(words, str(caught.value)) and "\n" not in str(caught.value)
    assert not (tmp_path / "runs").exists()


def test_a_sweep_that_stopped_goes_on_and_does_what_is_done_no_more(
    tone_manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, out = recipe_of(tmp_path, FILTERS), tmp_path / "runs"
    do(recipe, tone_manifest, out)
    whole = {name: (out / name / "predictions.csv").read_bytes() for name in ("one", "two")}
    fold = out / "two" / "seed-0" / "fold-1"
    for path in (out / "two" / "predictions.csv", fold / "predictions.csv", fold / "model.json"):
        path.unlink()
    first = (out / "one" / "seed-0" / "fold-0" / "model.safetensors").stat().st_mtime_ns
    with pytest.raises(ConfigError, match="holds a run already; --resume"):
        do(recipe, tone_manifest, out)
    assert not (out / "two" / "predictions.csv").exists(), "all folders are looked at before a run is begun"
    do(recipe, tone_manifest, out, resume=True)
    assert {name: (out / name / "predictions.csv").read_bytes() for name in whole} == whole
    assert (out / "one" / "seed-0" / "fold-0" / "model.safetensors").stat().st_mtime_ns == first
    with pytest.raises(ConfigError, match="one: was begun with another recipe"):
        do(recipe, tone_manifest, out, resume=True, training__epochs=2)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="is a file"):
        plans(recipe, tone_manifest, tmp_path / "file")


def test_the_overview_has_the_word_error_rate_where_a_run_has_transcripts(tone_manifest: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    do(recipe_of(tmp_path, FILTERS), tone_manifest, out)
    assert "WER" not in (out / "overview.md").read_text()
    environment = read_json(out / "two" / "environment.json")
    write_json(out / "two" / "environment.json", {**environment, "transcripts": {"word_error_rate": 0.4321}})
    write_overview([out / "one", out / "two"], out)
    for page in ("overview.md", "overview.html"):
        text = (out / page).read_text()
        assert "WER" in text and text.count("0.432") == 1


def test_what_variants_have_alike_is_trained_once_and_as_each_would_alone(tone_manifest: Path, tmp_path: Path) -> None:
    turns = tone_manifest.with_name("told.csv")
    rows = read_manifest(tone_manifest)
    said = rows["emotion"].map({"anger": "stop it now", "sadness": "all is over"})
    write_manifest(rows.assign(text=said, dialogue=rows["speaker"], turn=range(len(rows))), turns)
    variants = (
        "  given: {}\n"
        "  spoilt: {transcripts: {source: {name: corruption, options: {rate: 0.5}}, used: test}}\n"
        "  other: {modalities.text.model.options.n_embedding: 3}\n"
    )
    recipe = str(tmp_path / "words.yaml")
    write_text(recipe, f"extends: dutta2022-text-cpu\nname: words\nvariants:\n{variants}")
    settings = {
        "task": "emotion", "protocol": SETTINGS["protocol"], "modalities.text.training.epochs": 1,
        "modalities.text.model.options.n_hidden": 4, "context.training.epochs": 1, "context.model.options.n_hidden": 4,
        "modalities.text.front_end": {"name": "hashed-words", "options": {"n_dimensions": 6, "n_buckets": 64}},
    }  # fmt: skip
    found = plan_variants(recipe, [f"tones={turns}"], settings=settings, out=tmp_path / "runs")
    execute_variants(found, resume=False, n_processes=1, say=lambda _: None)
    assert len(list((tmp_path / "runs" / SHARED).iterdir())) == 4, "two folds, each with the text in two sizes"
    alone = replace(found["spoilt"], shared=None, folder=tmp_path / "alone")
    execute(alone)
    for part in ("text/model.safetensors", "text/history.csv", "text-context/model.safetensors", "predictions.csv"):
        for fold in (Path("seed-0/fold-0"), Path("seed-0/fold-1")):
            here, there = found["spoilt"].folder / fold / part, alone.folder / fold / part
            assert here.read_bytes() == there.read_bytes(), here
