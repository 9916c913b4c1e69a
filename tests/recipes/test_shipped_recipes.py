"""Recipes: every shipped one loads, says where its numbers come from, and trains."""

from pathlib import Path
from typing import Any, get_args

import pytest

from affectra.corpora.manifest import read_manifest, write_manifest
from affectra.errors import ConfigError, CorpusError
from affectra.features.specification import Specification
from affectra.models.recognizer import Recognizer
from affectra.models.utterance.attention_cnn import Pooling
from affectra.recipes.config import load_recipe, parse_assignments, recipe_names
from affectra.recipes.recipe import AnyRecipe, DialogueRecipe, Recipe
from affectra.runs.plan import plan_run
from affectra.runs.run import execute

QUICK = {"training.epochs": 1, "training.batch_size": 6, "training.schedule": {"name": "constant"}}
WORDS = {
    "name": "hashed-words",
    "options": {"n_dimensions": 8, "n_buckets": 64},
}  # for a model that is to be downloaded


def of_unit(unit: str) -> list[str]:
    recipes = {name: load_recipe(name).recipe for name in recipe_names()}
    return [name for name, recipe in recipes.items() if recipe.unit == unit]


def toy_corpora(tone_manifest: Path) -> tuple[Path, Path]:
    few, other = tone_manifest.with_name("few.csv"), tone_manifest.with_name("other.csv")
    manifest = read_manifest(tone_manifest).assign(language="en")
    turns = {"dialogue": "d1", "turn": range(12), "text": "so it is"}
    write_manifest(manifest.iloc[:12].assign(**turns), few)
    write_manifest(manifest.iloc[12:].assign(corpus="other"), other)
    return few, other


def quick_settings(recipe: AnyRecipe) -> dict[str, Any]:
    """A recipe's training in two steps."""
    if isinstance(recipe, DialogueRecipe):
        quick: dict[str, Any] = {}
        parts = [f"modalities.{name}" for name in recipe.modalities]
        parts += [name for name in ("context", "fusion") if getattr(recipe, name) is not None]
        for part in parts:
            quick |= {f"{part}.{key}": value for key, value in QUICK.items()}
        if "text" in recipe.modalities:
            quick["modalities.text.front_end"] = WORDS
        if "audio" in recipe.modalities:
            quick["modalities.audio.model.options.channels"] = [4, 4]
        return quick
    assert isinstance(recipe, Recipe)
    quick = {**(QUICK if recipe.training else {}), "seeds": 1}
    if recipe.pretraining:
        quick |= {"pretraining.corpora": ["other"], "pretraining.task": "emotion"}
    if recipe.stages:
        quick["stages"] = [stage.model_dump() for stage in recipe.stages]
        for stage in quick["stages"]:
            stage["training"] |= {"epochs": 1, "batch_size": 6}
    if "quadrants" in recipe.model.options:
        # Four classes have four quadrants; here are two classes, both of negative valence.
        quick |= {"model.options.quadrants": [], "auxiliary": ["arousal"]}
    return quick


@pytest.mark.parametrize("name", [*of_unit("utterance"), *of_unit("dialogue")])
def test_every_recipe_trains_two_steps_and_reports(name: str, tone_manifest: Path, tmp_path: Path) -> None:
    few, other = toy_corpora(tone_manifest)
    recipe = load_recipe(name).recipe
    changed = next(iter(recipe.variants.values()), {})  # the first stands for the others, which are checked below
    recipe = load_recipe(name, {**changed, "variants": {}}).recipe
    settings = {
        **changed, "variants": {}, **quick_settings(recipe), "only": {},
        "protocol": {"name": "random-80-20", "options": {}}, "allow_leak": ["speaker", "dialogue"],
    }  # fmt: skip
    pretrained = isinstance(recipe, Recipe) and recipe.pretraining is not None
    sources = [f"tones={few}", *([f"other={other}"] if pretrained else [])]
    scores = execute(plan_run(name, sources, task="emotion", settings=settings, out=tmp_path / "run"))
    assert scores["complete"] and scores["n_utterances"] == 2
    assert (tmp_path / "run" / "report.html").is_file()


@pytest.mark.parametrize("name", [name for name in recipe_names() if load_recipe(name).recipe.variants])
def test_every_variant_of_a_recipe_is_another_recipe_that_can_be_run(name: str, tone_manifest: Path) -> None:
    few, other = toy_corpora(tone_manifest)
    whole = load_recipe(name).recipe
    variants, pretrains = whole.variants, isinstance(whole, Recipe) and whole.pretraining is not None
    resolved = []
    for changed in variants.values():
        recipe = load_recipe(name, {**changed, "variants": {}, "name": "same"}).recipe
        words = {} if "text" not in getattr(recipe, "modalities", {}) else {"modalities.text.front_end": WORDS}
        settings = {
            **changed, **words, "variants": {}, "only": {}, "allow_leak": ["speaker", "dialogue"],
            "protocol": {"name": "random-80-20", "options": {}},
        }  # fmt: skip
        sources = [f"tones={few}"]
        if pretrains and changed.get("pretraining", whole) is not None:
            settings |= {"pretraining.corpora": ["other"], "pretraining.task": "emotion"}
            sources.append(f"other={other}")
        plan_run(name, sources, task="emotion", settings=settings)
        resolved.append(recipe.model_dump_json())
    assert len(set(resolved)) == len(variants) > 1


@pytest.mark.parametrize("name", recipe_names())
def test_every_number_of_a_recipe_has_its_source(name: str) -> None:
    document = load_recipe(name)
    sources = document.sources()

    def check(node: object, prefix: str) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                check(value, f"{prefix}.{key}" if prefix else key)
        elif isinstance(node, list) and node and isinstance(node[0], dict):
            for i, part in enumerate(node):
                check(part, f"{prefix}.{i}")
        elif (
            isinstance(node, int | float | bool | list)
            and not prefix.startswith(("paper.", "variants."))
            and prefix != "corpora"
        ):
            assert prefix in sources, f"{name}: {prefix} does not say where it comes from"

    check(dict(document.data), "")


@pytest.mark.parametrize("name", recipe_names())
def test_a_resolved_recipe_is_a_recipe(name: str, tmp_path: Path) -> None:
    document = load_recipe(name, {"seeds": 7})
    (tmp_path / "recipe.yaml").write_text(document.text())
    again = load_recipe(str(tmp_path / "recipe.yaml"))
    assert again.recipe == document.recipe and again.recipe.seeds == 7
    assert again.sources()["seeds"] == "set for this run"
    others = set(document.sources()) - {"seeds"}
    assert len(others) > 5 and all(again.sources()[key] == document.sources()[key] for key in others)


def test_li2018_is_the_published_recipe() -> None:
    recipe = load_recipe("li2018").recipe
    plan = recipe.training
    assert (plan.epochs, plan.batch_size, plan.optimizer.name) == (50, 64, "sgd")
    assert plan.optimizer.options == {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-4}
    assert plan.schedule.milestones == [21, 31, 41] and plan.schedule.factor == 0.1
    assert recipe.segments.train_shift_s == 1.0 and recipe.segments.test_shift_s == 0.4
    assert recipe.paper is not None and recipe.paper.results == {"wa": 0.718, "ua": 0.68}


def test_tzirakis2021_aligns_speech2vec_with_word2vec_as_published() -> None:
    """An adversary with MUSE's settings, then Procrustes with the frequent words; nothing looks a transcript up."""
    words = load_recipe("tzirakis2021").recipe.words.vectors
    options = words.options
    assert (words.name, options["start"], options["n_refinements"]) == ("speech2vec", "adversarial", 5)
    assert (options["n_frequent"], options["n_neighbours"]) == (15_000, 10) and options["n_starts"] >= 1
    assert options["adversary"] == {
        "n_hidden": 2048, "n_epochs": 5, "n_steps": 1_000_000 // 32, "n_discriminator_steps": 5, "batch_size": 32,
        "learning_rate": 0.1, "map_learning_rate": 0.1, "longest_step": None, "decay": 0.98, "shrink": 0.5,
        "input_dropout": 0.1, "smoothing": 0.1, "n_most_frequent": 75_000, "orthogonality": 0.001,
    }  # fmt: skip


def differences(one: Any, other: Any, place: str = "") -> set[str]:
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return set() if one == other else {place}
    return set().union(*(differences(one.get(key), other.get(key), f"{place}.{key}") for key in {*one, *other}))


@pytest.mark.parametrize("size", ["", "-cpu"])
@pytest.mark.parametrize(
    ("part", "changed"),
    [
        ("-semantic", {".frames.front_end"}),
        ("-paralinguistic", {".words"}),
        ("-concat", {".model.options.fusion"}),
        ("-anchors", {".words.vectors"}),
        ("-transcripts", {".words.vectors"}),
    ],
)
def test_the_parts_of_tzirakis2021_differ_from_it_in_one_place(part: str, changed: set[str], size: str) -> None:
    whole, other = (load_recipe(f"tzirakis2021{name}{size}").recipe.model_dump() for name in ("", part))
    found = {place for place in differences(whole, other) if place not in (".name", ".description")}
    assert {next((one for one in changed if place.startswith(one)), place) for place in found} == changed


@pytest.mark.parametrize("size", ["", "-cpu"])
def test_tzirakis2021_speech2vec_is_another_name_of_anchors(size: str) -> None:
    named, other = (load_recipe(f"tzirakis2021-{name}{size}").recipe for name in ("anchors", "speech2vec"))
    assert other.description == f"Another name of tzirakis2021-anchors{size}."
    assert other.model_copy(update={"name": named.name, "description": named.description}) == named
    assert named.words.vectors.options["start"] == "anchors"


@pytest.mark.parametrize("name", ["li2018-filters", "li2018-filters-cpu"])
def test_the_filter_study_varies_one_filter_and_leaves_the_other_as_published(name: str) -> None:
    sizes = set()
    for changed in load_recipe(name).recipe.variants.values():
        options = load_recipe(name, {**changed, "variants": {}}).recipe.model.options
        (height, time), (frequency, width) = options["filter_a"], options["filter_b"]
        assert time == frequency == 2, "Li 2018: the other side of each filter stays 2"
        sizes.add((height, width))
    studied = (2, 4, 6, 8, 10, 12, 16)
    assert sizes == {(height, 8) for height in studied} | {(10, width) for width in studied}


@pytest.mark.parametrize("name", ["li2018-pooling", "li2018-pooling-cpu"])
def test_the_pooling_study_has_every_pooling_and_as_many_seeds_for_each(name: str) -> None:
    recipe = load_recipe(name).recipe
    poolings = {changed["model.options.pooling"] for changed in recipe.variants.values()}
    assert poolings == set(get_args(Pooling)) and recipe.seeds == 3
    assert all(set(changed) == {"model.options.pooling"} for changed in recipe.variants.values())


@pytest.mark.parametrize("study", ["filters", "pooling"])
def test_the_long_studies_train_as_published(study: str) -> None:
    study_, published = load_recipe(f"li2018-{study}").recipe, load_recipe("li2018").recipe
    for part in ("training", "protocol", "segments", "front_end", "task", "normalization"):
        assert getattr(study_, part) == getattr(published, part)


def test_li2018_cpu_takes_a_twentieth_of_the_compute_per_segment() -> None:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    def flops(recipe: Recipe) -> int:
        specification = Specification(
            recipe.model.model_dump(), recipe.front_end.model_dump(), recipe.normalization,
            recipe.segments.model_dump(), "emotion", ("a", "b", "c", "d"), False,
        )  # fmt: skip
        recognizer = Recognizer(specification)
        with FlopCounterMode(display=False) as counter:
            recognizer(torch.rand(1, recognizer.grid.input_frames, recognizer.front_end.n_features), torch.tensor([50]))
        return counter.get_total_flops()

    assert flops(load_recipe("li2018").recipe) >= 20 * flops(load_recipe("li2018-cpu").recipe)


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("training.epoch=2", "unknown key 'training.epoch'; did you mean 'training.epochs'"),
        ("training.epochs=many", "training.epochs: input should be a valid integer, found 'many'"),
        ("training.epochs=0", "training.epochs: input should be greater than 0"),
        ("training.schedule.name=steps", "training.schedule.name: input should be 'constant', 'step' or 'cosine'"),
        ("model={name: attention-cnn, option: {}}", "unknown key 'model.option'; did you mean 'model.options'"),
        ("epochs=2", "unknown key 'epochs'"),
        ("training.epochs", "expected key=value"),
        ("training.epochs=[", "the value is not YAML"),
    ],
)
def test_a_wrong_setting_is_named_in_one_line(assignment: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_recipe("li2018", parse_assignments([assignment]))
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("model.options.pool=max", "unknown option 'pool'; did you mean 'pooled'"),
        ("model.name=attention-cn", "unknown model 'attention-cn'; did you mean 'attention-cnn'"),
        ("front_end.name=spectogram", "unknown front end 'spectogram'; did you mean 'spectrogram'"),
        ("training.optimizer.name=sdg", "unknown optimizer 'sdg'; did you mean 'sgd'"),
        ("training.optimizer.options.momentun=0.9", "unknown option 'momentun'; did you mean 'momentum'"),
        ("protocol.name=los", "unknown protocol 'los'; did you mean 'loso'"),
        ("task=emotions", "unknown task 'emotions'; did you mean 'emotion'"),
        ("normalization=train", "needs a front end whose frames are final"),
        ("segments.frames=10", "197 frames fit into length_s, more than 10"),
        ("model.options.n_filters=abc", "option n_filters: input should be a valid integer, found 'abc'"),
        ("model.options.n_filters=0", "numbers from 1 on"),
        ("model.options.channels=4", "option channels: input should be"),
        ("model.options.filter_a=[1]", "are pairs"),
        ("front_end.options.sample_rate=0", "needs sample_rate >= 1000 Hz"),
        ("training.optimizer.options.lr=-1", "optimizer 'sgd'"),
        ("training.optimizer.options.lr=fast", "optimizer 'sgd'"),
        ("protocol.options.dev=no", "option dev: input should be a valid boolean, found 'no'"),
        ("segments.length_s=.inf", "segments.length_s"),
        ("segments.train_shift_s=3.0", "a shift longer than the segment would drop speech"),
    ],
)
def test_parts_that_do_not_exist_or_fit_are_named_before_training(
    assignment: str, words: str, tone_manifest: Path
) -> None:
    settings = {"task": "emotion", **parse_assignments([assignment])}
    with pytest.raises(ConfigError) as caught:
        plan_run("li2018", [f"tones={tone_manifest}"], settings=settings)
    assert words in str(caught.value)


def test_naming_the_recipes_own_protocol_changes_nothing(tone_manifest: Path) -> None:
    own, named = (plan_run("li2018-cpu", [f"t={tone_manifest}"], protocol=name) for name in (None, "loso"))
    assert named.data.splits.hash == own.data.splits.hash and not named.data.splits.folds[0].dev
    assert named.recipe.corpora == ["t"], "the resolved recipe says what was run"


def test_any_synthetic_speech_makes_a_run_synthetic(tone_manifest: Path) -> None:
    path = tone_manifest.with_name("pretend.csv")
    write_manifest(read_manifest(tone_manifest).assign(corpus="synthetic"), path)
    assert plan_run("li2018-cpu", [f"a={path}"]).data.synthetic
    assert plan_run("li2018-cpu", [f"a={path}", f"b={tone_manifest}"], allow_leak=["corpus"]).data.synthetic
    assert not plan_run("li2018-cpu", [f"b={tone_manifest}"]).data.synthetic


def test_two_manifests_of_one_corpus_cannot_be_told_apart(tone_manifest: Path) -> None:
    sources = [f"a={tone_manifest}", f"b={tone_manifest}"]
    with pytest.raises(CorpusError, match="several manifests say corpus 'tones'"):
        plan_run("li2018-cpu", sources)
    with pytest.raises(CorpusError, match="give each a name of its own"):
        plan_run("li2018-cpu", [f"a={tone_manifest}", f"a={tone_manifest}"])


def test_unknown_recipes_and_files_that_are_none_are_named(tmp_path: Path) -> None:
    (tmp_path / "list.yaml").write_text("- a\n")
    (tmp_path / "broken.yaml").write_text("a: [1\n")
    for name, words in (
        ("li2019", "did you mean 'li2018'"),
        (str(tmp_path / "none.yaml"), "no such recipe file"),
        (str(tmp_path / "list.yaml"), "a recipe is a mapping"),
        (str(tmp_path / "broken.yaml"), "not a YAML file"),
    ):
        with pytest.raises(ConfigError, match=words):
            load_recipe(name)


def test_a_recipe_of_ones_own_may_extend_a_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("extends: li2018-cpu\nname: mine\ntraining:\n  epochs: 3  # ours\n")
    mine, base = load_recipe(str(tmp_path / "mine.yaml")).recipe, load_recipe("li2018-cpu").recipe
    assert mine.training.epochs == 3 and mine.name == "mine"
    assert mine.training.optimizer == base.training.optimizer and mine.segments == base.segments
