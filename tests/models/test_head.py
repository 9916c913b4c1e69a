"""Training of networks over dialogues: what a kill between two epochs leaves behind."""

from pathlib import Path

import numpy as np
import pytest

from affectra.models.dialogue.turns import Dialogue
from affectra.recipes.recipe import Component, Head, Schedule, TrainingPlan
from affectra.training.history import ResumeState
from affectra.training.units.head import HeadData, HeadJob, train_head
from affectra.training.units.turns import DialogueBatches


def job_in(folder: Path) -> HeadJob:
    rng = np.random.default_rng(0)
    dialogues = tuple(Dialogue(tuple(f"{d}-{t}" for t in range(2 + d)), (0, 1) + (0,) * d) for d in range(8))
    keys = [key for dialogue in dialogues for key in dialogue.keys]
    vectors = {key: rng.standard_normal(5).astype(np.float32) for key in keys}
    targets = {key: i % 2 for i, key in enumerate(keys)}
    plan = TrainingPlan(
        epochs=4, batch_size=3, optimizer=Component(name="adam", options={"lr": 0.01}),
        schedule=Schedule(name="cosine"), precision="32-true", channels_last=False,
    )  # fmt: skip
    head = Head(model=Component(name="dialogue-gru", options={"n_hidden": 4, "dropout": 0.5}), training=plan)
    part = HeadData(dialogues, [vectors], targets)
    return HeadJob(folder, "context", 0, 0, head, ("a", "b"), (5,), part, HeadData(dialogues[:2], [vectors], targets))


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
    assert not (tmp_path / "killed" / "model.json").exists()
    train_head(job_in(tmp_path / "killed"))
    for name in ("model.safetensors", "model.json", "history.csv"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def batches_of(lengths: list[int], batch_size: int, epoch: int) -> list[list[int]]:
    batches = DialogueBatches(lengths, batch_size, 0, 0, "context")
    batches.set_epoch(epoch)
    assert len(list(batches)) == len(batches)
    return list(batches)


LENGTHS = np.random.default_rng(0).integers(1, 40, 200).tolist()


@pytest.mark.parametrize(("lengths", "batch_size"), [(LENGTHS, 16), (LENGTHS, 7), ([5] * 3, 32), ([3], 4)])
def test_every_dialogue_is_in_one_batch_of_an_epoch(lengths: list[int], batch_size: int) -> None:
    batches = batches_of(lengths, batch_size, 0)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert sorted(map(len, batches))[1:] == [batch_size] * (len(batches) - 1)


def test_dialogues_of_a_batch_are_of_similar_length_so_little_is_padded() -> None:
    def share_padded(batches: list[list[int]]) -> float:
        n_places = sum(len(batch) * max(LENGTHS[i] for i in batch) for batch in batches)
        return 1 - sum(LENGTHS) / n_places

    shuffled = np.random.default_rng(1).permutation(len(LENGTHS))
    mixed = [shuffled[first : first + 16].tolist() for first in range(0, len(LENGTHS), 16)]
    assert share_padded(mixed) > 0.4 > 0.2 > share_padded(batches_of(LENGTHS, 16, 0))


def test_batches_are_drawn_anew_in_each_epoch_and_alike_when_it_is_done_again() -> None:
    first, second = batches_of(LENGTHS, 16, 0), batches_of(LENGTHS, 16, 1)
    assert first == batches_of(LENGTHS, 16, 0) and first != second
    assert {frozenset(batch) for batch in first}.isdisjoint(frozenset(batch) for batch in second), "who meets whom"
    longest = [max(LENGTHS[i] for i in batch) for batch in first]
    assert longest != sorted(longest), "short dialogues do not come first"
