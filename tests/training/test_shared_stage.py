"""Stages that several runs have alike: trained once, and never taken for one another."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from affectra.features.specification import Specification
from affectra.files import write_json, write_text
from affectra.recipes.recipe import Component, Schedule, TrainingPlan
from affectra.training.data import Example
from affectra.training.shared_stage import train_once
from affectra.training.stage import StageJob

PLAN = TrainingPlan(
    epochs=2, batch_size=4, optimizer=Component(name="adam", options={"lr": 0.01}),
    schedule=Schedule(name="constant"), precision="32-true", channels_last=False,
)  # fmt: skip
SPECIFICATION = Specification(
    model={"name": "text-gru", "options": {"n_hidden": 4}},
    front_end={"name": "hashed-words", "options": {}},
    normalization="none",
    segments={"length_s": 0.128, "frames": None, "train_shift_s": 0.128, "test_shift_s": 0.128},
    task="emotion4",
    classes=("anger", "sadness"),
    synthetic=False,
    provenance={"recipe": "one"},
)


def turn(key: str, target: int, frames: str = "0") -> Example:
    return Example(key, "c", "s", "", "", Path(f"front-end/ab/{key}-{frames}.npy"), 3, target)


def job_in(folder: Path) -> StageJob:
    train = (turn("a", 0), turn("b", 1), turn("c", 0))
    return StageJob(folder, "text", 0, 1, SPECIFICATION, PLAN, train, (turn("d", 1),), (), None)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Where stages are trained; the training itself leaves its number behind."""
    places: list[Path] = []

    def train(job: StageJob, groups: object) -> None:
        if (job.folder / "model.json").is_file():
            return
        places.append(job.folder)
        write_text(job.folder / "history.csv", "epoch\n")
        write_text(job.folder / "resume" / "last.safetensors", "state")
        write_json(job.folder / "model.json", {"training": len(places)})

    monkeypatch.setattr("affectra.training.shared_stage.train_stage", train)
    return places


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_runs_that_are_alike_train_a_stage_once_and_each_has_all_of_it(trained: list[Path], tmp_path: Path) -> None:
    shared, runs = tmp_path / ".stages", [tmp_path / name / "text" for name in ("one", "two", "three")]
    for folder in runs:
        other_run = replace(SPECIFICATION, provenance={"recipe": folder.parent.name})
        train_once(replace(job_in(folder), specification=other_run), shared, {})
    assert len(trained) == 1 and trained[0].parent == shared
    assert files(runs[0]) == files(runs[1]) == files(runs[2]) == files(trained[0])
    assert set(files(runs[0])) == {"history.csv", "model.json"}


def test_without_a_shared_folder_a_stage_is_trained_where_it_belongs(trained: list[Path], tmp_path: Path) -> None:
    train_once(job_in(tmp_path / "text"), None, {})
    assert trained == [tmp_path / "text"]


def test_what_a_run_was_copying_when_it_was_killed_is_copied_again(trained: list[Path], tmp_path: Path) -> None:
    write_text(tmp_path / "run" / ".text" / "half", "")
    write_text(tmp_path / "run" / "text" / "heard.json", "of a stage that is not there")
    for _ in range(2):
        train_once(job_in(tmp_path / "run" / "text"), tmp_path / ".stages", {})
    assert set(files(tmp_path / "run")) == {"text/history.csv", "text/model.json"} and len(trained) == 1


DIFFERENT: dict[str, Callable[[StageJob], StageJob]] = {
    "seed": lambda job: replace(job, seed=1),
    "fold": lambda job: replace(job, fold=0),
    "stage": lambda job: replace(job, name="audio"),
    "plan": lambda job: replace(job, plan=PLAN.model_copy(update={"epochs": 3})),
    "model": lambda job: replace(job, specification=replace(SPECIFICATION, model={"name": "text-cnn", "options": {}})),
    "classes": lambda job: replace(job, specification=replace(SPECIFICATION, classes=("anger", "neutral"))),
    "turns": lambda job: replace(job, train=job.train[:2]),
    "order of turns": lambda job: replace(job, train=job.train[::-1]),
    "label": lambda job: replace(job, train=(*job.train[:2], turn("c", 1))),
    "words of a turn": lambda job: replace(job, train=(*job.train[:2], turn("c", 0, "spoilt"))),
    "speaker": lambda job: replace(job, train=(*job.train[:2], replace(turn("c", 0), speaker="another"))),
    "binary task": lambda job: replace(job, train=(*job.train[:2], replace(turn("c", 0), auxiliary=(1,)))),
    "dev part": lambda job: replace(job, dev=()),
    "part of a turn": lambda job: replace(job, train=job.train[:2], dev=(*job.dev, job.train[2])),
}


def test_stages_that_start_from_other_weights_are_not_shared(trained: list[Path], tmp_path: Path) -> None:
    for name in ("one", "two", "two-again"):
        write_text(tmp_path / "start" / name / "model.safetensors", name.removesuffix("-again"))
        job = replace(job_in(tmp_path / name), start=tmp_path / "start" / name)
        train_once(job, tmp_path / ".stages", {})
    assert len(trained) == 2 and files(tmp_path / "two") == files(tmp_path / "two-again")


@pytest.mark.parametrize("change", list(DIFFERENT))
def test_stages_that_differ_in_anything_that_is_learnt_are_not_shared(
    trained: list[Path], tmp_path: Path, change: str
) -> None:
    train_once(job_in(tmp_path / "one"), tmp_path / ".stages", {})
    train_once(DIFFERENT[change](job_in(tmp_path / "two")), tmp_path / ".stages", {})
    assert len(set(trained)) == 2 and files(tmp_path / "one") != files(tmp_path / "two")
