"""Names that Python code imports from `affectra` do what the commands of these names do."""

from pathlib import Path

import pytest

import affectra
from affectra.files import read_json

QUICK = {
    "training.epochs": 1, "training.schedule.milestones": [1], "model.options.channels": [4, 4, 4, 4],
    "protocol": {"name": "kfold-speaker", "options": {"k": 2, "dev": False}},
}  # fmt: skip


def test_a_run_is_done_compared_and_loaded(tone_manifest: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    scores = affectra.run("li2018-cpu", [f"tones={tone_manifest}"], settings=QUICK, out=out)
    assert scores == read_json(out / "scores.json") and scores["complete"]
    assert affectra.run("li2018-cpu", [f"tones={tone_manifest}"], settings=QUICK, out=out, resume=True) == scores
    assert all(metric.effect == 0 for metric in affectra.compare(out, out).metrics.values())
    model = affectra.load(out)
    assert isinstance(model, affectra.Model) and model.classes == ("anger", "sadness")


def test_a_corpus_is_read(data_dir: Path) -> None:
    assert len(affectra.read_corpus("emodb", data_dir / "emodb").manifest) == 535


def test_another_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="'affectra' has no attribute 'hear'"):
        affectra.hear  # noqa: B018
