"""How much a run trains on: no part of it is set aside for nothing, and no paper's number beside another corpus."""

from collections.abc import Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from affectra.corpora import read_corpus, synthetic
from affectra.corpora.manifest import read_manifest, write_manifest
from affectra.corpora.sources import write_corpus
from affectra.errors import ConfigError
from affectra.evaluation.published import TABLES, differences
from affectra.files import read_json, write_json, write_text
from affectra.recipes.config import load_recipe
from affectra.recipes.recipe import Paper
from affectra.reports.report import write_report
from affectra.runs.plan import outline, plan_run
from affectra.runs.run import claim, execute
from affectra.runs.units.adversaries import domain_heads
from affectra.runs.units.plan_types import Plan
from affectra.splits.protocols import PROTOCOLS
from affectra.splits.protocols.named import stated_options

NAMES = {"iemocap": "iemocap", "mspimprov": "msp_improv", "savee": "savee", "emodb": "emodb"}
QUICK = {"training.epochs": 1, "training.schedule.milestones": [1], "model.options.channels": [4, 4, 4, 4]}


@pytest.fixture(scope="module")
def miniatures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Gao 2022's four corpora in small, and "fifth": IEMOCAP with its sessions numbered 2 to 5."""
    folder, embedded = tmp_path_factory.mktemp("miniatures"), synthetic.read(synthetic.render())
    for name, module in NAMES.items():
        import_module(f"miniatures.{module}").write(folder / name, embedded)
    corpus = read_corpus("iemocap", folder / "iemocap")
    later = [str(int(session) + 1) for session in corpus.manifest["session"]]
    write_corpus(replace(corpus, manifest=corpus.manifest.assign(session=later)), folder / "fifth.csv")
    return {name: f"{name}={folder / name}" for name in NAMES} | {"fifth": f"iemocap={folder / 'fifth.csv'}"}


def sizes_of(plan: Plan) -> list[tuple[int, ...]]:
    """Train, dev and test of each fold that differs."""
    return sorted({tuple(fold.values()) for fold in plan.sizes["folds"]})


@pytest.mark.parametrize(
    ("recipe", "corpora", "protocol", "sizes"),
    [
        ("li2018", ["iemocap"], "losession", [(180, 0, 60)]),
        ("li2018", ["iemocap"], None, [(210, 0, 30)]),
        *((f"gao2022-{name}", [*NAMES], "cross-corpus", [(240, 0, 480)]) for name in ("baseline", "dann2-center")),
        ("gao2021-no-pretraining", ["iemocap"], "losession", [(180, 0, 60)]),
        ("baseline-functionals-linear", ["iemocap"], "kfold-speaker", [(180, 0, 60), (210, 0, 30)]),
        ("dutta2022-audio", ["fifth"], None, [(180, 0, 60)]),
        ("dutta2022-audio", ["fifth"], "losession", [(180, 0, 60)]),
        ("dutta2022-cpu", ["fifth"], "session5", [(180, 0, 60)]),
    ],
)
def test_a_papers_recipe_trains_on_all_that_is_not_tested(
    recipe: str, corpora: list[str], protocol: str | None, sizes: list, miniatures: dict[str, str]
) -> None:
    plan = plan_run(recipe, [miniatures[name] for name in corpora], protocol=protocol)
    assert sizes_of(plan) == sizes
    assert plan.recipe.protocol.options["dev"] is False, "and recipe.yaml says so"


WITH_DEV = [name for name in PROTOCOLS if "dev" in stated_options(name, {})]


@pytest.mark.parametrize("protocol", WITH_DEV)
def test_no_protocol_takes_a_dev_part_that_nothing_reads(protocol: str, miniatures: dict[str, str]) -> None:
    corpora = ["fifth", "emodb"] if protocol in ("cross-corpus", "multi-corpus", "loco") else ["fifth"]
    leaks = ["sentence", "speaker", "dialogue", "session"]
    plan = plan_run("affectra-free", [miniatures[name] for name in corpora], protocol=protocol, allow_leak=leaks)
    assert not any(fold.dev for fold in plan.data.splits.folds)


def test_a_recipes_and_a_users_choice_of_a_dev_part_survive(miniatures: dict[str, str], tmp_path: Path) -> None:
    corpus = miniatures["iemocap"]
    own = tmp_path / "own.yaml"
    write_text(own, "extends: li2018-cpu\nprotocol:\n  options:\n    dev: true  # I watch it\n")
    by_recipe = plan_run(str(own), [corpus], protocol="losession")
    by_user = plan_run("li2018-cpu", [corpus], protocol="losession", settings={"protocol.options.dev": True})
    assert sizes_of(by_recipe) == sizes_of(by_user) == [(120, 60, 60)]
    sources = [plan.document.sources()["protocol.options.dev"] for plan in (by_recipe, by_user)]
    assert sources == ["I watch it", "set for this run"]
    (line,) = [line for line in outline(by_user) if line.startswith("sizes")]
    assert line.endswith("train 120, dev 60, test 60 utterances in each of 4 folds; nothing is decided by the dev part")
    bare = tmp_path / "bare.yaml"
    write_text(bare, "extends: li2018-cpu\nprotocol:\n  name: losession\n")
    assert sizes_of(plan_run(str(bare), [corpus])) == [(180, 0, 60)], "a protocol without options"


@pytest.fixture(scope="module")
def tones(tone_manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 24 tones under IEMOCAP's name, with what is Li 2018's: corpus, task and protocol."""
    path = tone_manifest.with_name("iemocap.csv")
    write_manifest(read_manifest(tone_manifest).assign(corpus="iemocap"), path)
    folder = tmp_path_factory.mktemp("runs") / "tones"
    execute(plan_tones(tone_manifest, folder))
    return folder


def plan_tones(tone_manifest: Path, folder: Path, **settings: Any) -> Plan:
    source = f"iemocap={tone_manifest.with_name('iemocap.csv')}"
    return plan_run("li2018-cpu", [source], task="emotion4", settings={**QUICK, **settings}, out=folder)


def test_a_miniature_of_the_papers_corpus_never_has_its_number_beside_it(tones: Path) -> None:
    scores = read_json(tones / "scores.json")
    assert scores["paper"] == {"wa": None, "ua": None}
    assert scores["paper_differs"] == ["24 utterances, the corpus has 5531"]
    for page in ("report.md", "report.html"):
        assert "Not comparable with the paper: 24 utterances, the corpus has 5531." in (tones / page).read_text()


def test_sizes_stand_in_outline_scores_and_report(tone_manifest: Path, tones: Path) -> None:
    sizes = read_json(tones / "scores.json")["sizes"]
    assert sizes == {"unit": "utterances", "folds": [{"train": 18, "dev": 0, "test": 6}] * 4}
    line = "train 18, dev 0, test 6 utterances in each of 4 folds"
    assert f"sizes     {line}" in outline(plan_tones(tone_manifest, tones))
    for page in ("report.md", "report.html"):
        assert f"Sizes: {line}." in (tones / page).read_text()


def test_an_older_runs_report_can_be_written_again(tones: Path, tmp_path: Path) -> None:
    old = tmp_path / "old"
    write_text(old / "recipe.yaml", (tones / "recipe.yaml").read_text())
    write_text(old / "predictions.csv", (tones / "predictions.csv").read_text())
    for name, later in (("scores.json", {"sizes", "paper_differs"}), ("environment.json", {"sizes", "domains"})):
        write_json(old / name, {key: value for key, value in read_json(tones / name).items() if key not in later})
    write_report(old)
    assert "Sizes" not in (old / "report.md").read_text()


def test_a_run_begun_with_a_dev_part_goes_on_with_it_or_not_at_all(
    tone_manifest: Path, tones: Path, tmp_path: Path
) -> None:
    """Before, a recipe.yaml said nothing of the dev part that a protocol took."""
    begun = plan_tones(tone_manifest, tmp_path / "run", **{"protocol.options.dev": True})
    said = begun.document.text()
    write_text(
        tmp_path / "run" / "recipe.yaml", said.replace("options:\n    dev: true  # set for this run", "options: {}")
    )
    assert load_recipe(str(tmp_path / "run" / "recipe.yaml")).recipe.protocol.options == {} != begun.recipe.protocol
    with pytest.raises(ConfigError, match=r"\(protocol\.options\.dev: True there, False here\); give the same ones"):
        claim(plan_tones(tone_manifest, tmp_path / "run"), resume=True)
    claim(begun, resume=True)


PAPER: Mapping[str, Any] = {
    "title": "", "authors": "", "venue": "", "year": 2018, "corpora": ["iemocap"], "task": "emotion4",
    "protocol": "loso", "results": {}, "source": "",
}  # fmt: skip
LIKE_IT: Mapping[str, Any] = {
    "corpora": {"iemocap": 5531}, "task": "emotion4", "protocol": "loso", "options": {"dev": False}, "only": {},
}  # fmt: skip


@pytest.mark.parametrize(
    ("paper", "run", "reasons"),
    [
        ({}, {}, []),
        ({"utterances": {"iemocap": 5531}}, {}, []),
        ({}, {"corpora": {"iemocap": 240}}, ["240 utterances, the corpus has 5531"]),
        ({"utterances": {"iemocap": 2280}}, {}, ["5531 utterances, the paper has 2280"]),
        ({}, {"options": {"dev": True}}, ["a dev part is set aside, the paper has none"]),
        ({}, {"options": {}}, ["a dev part is set aside, the paper has none"]),  # an older run, by default
        ({}, {"protocol": "losession"}, ["protocol losession, the paper has loso"]),
        ({}, {"task": "arousal"}, ["task arousal, the paper has emotion4"]),
        ({}, {"corpora": {"emodb": 535}}, ["corpora emodb, the paper has iemocap"]),
        ({}, {"only": {"style": ["improvised"]}}, ["only style improvised"]),
        ({}, {"unexpected": ["there are 4 folds, published 10"]}, ["there are 4 folds, published 10"]),
        ({"task": "quadrant"}, {"task": "quadrant"}, ["5531 utterances, how many the paper has is not known"]),
        (
            {"protocol": "official", "corpora": ["meld"], "task": "emotion"},
            {"protocol": "official", "corpora": {"meld": 13708}, "task": "emotion", "options": {"tested": "dev"}},
            ["protocol option tested=dev, the paper has test"],
        ),
    ],
)
def test_a_run_stands_beside_a_paper_only_with_its_protocol_and_sizes(
    paper: dict[str, Any], run: dict[str, Any], reasons: list[str]
) -> None:
    assert differences(Paper(**{**PAPER, **paper}), **{**LIKE_IT, **run}) == reasons


@pytest.mark.parametrize("table", TABLES, ids=lambda table: f"{table.task}-{table.protocol}")
def test_of_several_corpora_each_has_to_have_the_papers_size(table: Any) -> None:
    corpora = {"iemocap": 5531, "mspimprov": 8438, "savee": 480, "emodb": 535}
    run = {"task": table.task, "protocol": table.protocol, "options": {"dev": False, "seed": 3}, "only": {}}
    assert differences(table, corpora=corpora, **run) == []
    consensus = {**corpora, "mspimprov": 7798}
    assert differences(table, corpora=consensus, **run) == ["mspimprov 7798 utterances, the paper has 8438"]


# What the domain heads tell apart


@pytest.mark.parametrize(
    ("recipe", "protocol", "heads"),
    [
        ("gao2022-dann1", "multi-corpus", {"speaker": 18, "corpus": 4}),
        ("gao2022-dann2", "multi-corpus", {"gender": 2, "language": 2, "corpus": 4}),
        ("gao2022-dann2-center", "multi-corpus", {"gender": 2, "language": 2, "corpus": 4}),
        ("gao2022-dann1", "cross-corpus", {"speaker": 24, "corpus": 4}),
        ("gao2022-dann2", "cross-corpus", {"gender": 2, "language": 2, "corpus": 4}),
    ],
)
def test_gao_2022s_heads_have_the_papers_sizes(
    recipe: str, protocol: str, heads: dict[str, int], miniatures: dict[str, str]
) -> None:
    plan = plan_run(recipe, [miniatures[name] for name in NAMES], protocol=protocol)
    (found,) = domain_heads(plan).values()
    assert found == {"heads": {name: [n] for name, n in heads.items()}, "notes": []}


def test_a_run_says_when_language_and_corpus_are_one_partition(miniatures: dict[str, str]) -> None:
    """As with EMO-DB, RAVDESS and nEMO: German, English, Polish."""
    pair = [miniatures[name] for name in ("savee", "emodb")]
    plan = plan_run("gao2022-dann2-cpu", pair, protocol="loco")
    same = "language and corpus are the same partition of the training utterances: their two heads learn one thing"
    found = domain_heads(plan)["train"]
    assert found["heads"] == {name: [2, 2] for name in ("gender", "language", "corpus")} and found["notes"] == [same]
    assert f"domains   {same}" in outline(plan)
    alone = plan_run("gao2022-dann2-cpu", pair, protocol="loco", settings={"training.unlabelled_batch_size": 0})
    notes = domain_heads(alone)["train"]["notes"]
    assert same not in notes
    for value in ("language is de", "language is en", "corpus is emodb", "corpus is savee", "gender is male"):
        assert f"{value} alone in training: its head has nothing to tell apart (1 of 2 folds)" in notes
