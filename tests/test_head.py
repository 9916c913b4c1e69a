"""Training of networks over dialogues: what a kill between two epochs leaves behind."""

from pathlib import Path

import numpy as np
import pytest

from affectra.models.turns import Dialogue
from affectra.recipe import Component, Head, Schedule, TrainingPlan
from affectra.training.head import HeadJob, HeardPart, train_head
from affectra.training.history import ResumeState


def job_in(folder: Path) -> HeadJob:
    rng = np.random.default_rng(0)
    dialogues = tuple(Dialogue(tuple(f"{d}-{t}" for t in range(4)), (0, 1, 0, 1)) for d in range(8))
    keys = [key for dialogue in dialogues for key in dialogue.keys]
    vectors = {key: rng.standard_normal(5).astype(np.float32) for key in keys}
    targets = {key: i % 2 for i, key in enumerate(keys)}
    plan = TrainingPlan(
        epochs=4, batch_size=3, optimizer=Component(name="adam", options={"lr": 0.01}),
        schedule=Schedule(name="cosine"), precision="32-true", channels_last=False,
    )  # fmt: skip
    head = Head(model=Component(name="dialogue-gru", options={"n_hidden": 4, "dropout": 0.5}), training=plan)
    part = HeardPart(dialogues, [vectors], targets)
    return HeadJob(folder, "context", 0, 0, head, ("a", "b"), (5,), part, HeardPart(dialogues[:2], [vectors], targets))


def test_a_training_with_dropout_that_was_killed_resumes_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_head(job_in(tmp_path / "whole"))
    write_state = ResumeState.on_train_epoch_end

    def die_after_two(self: ResumeState, trainer: object, module: object) -> None:
        write_state(self, trainer, module)
        if trainer.current_epoch == 1:
            raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(ResumeState, "on_train_epoch_end", die_after_two)
        with pytest.raises(MemoryError):
            train_head(job_in(tmp_path / "killed"))
    assert not (tmp_path / "killed" / "network.json").exists()
    train_head(job_in(tmp_path / "killed"))
    for name in ("model.safetensors", "network.json", "history.csv"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
