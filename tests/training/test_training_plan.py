"""What a recipe may say of a training does what its name says, whatever is learnt over."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import DataLoader

from affectra.errors import AffectraError, ConfigError
from affectra.files import read_json
from affectra.recipes.recipe import Component, Schedule, TrainingPlan
from affectra.training.checks import check_training
from affectra.training.data import UNKNOWN
from affectra.training.history import ResumeState
from affectra.training.module import Training
from affectra.training.objective import ClassLoss, Loss, Sizes
from affectra.training.objectives import OBJECTIVES
from affectra.training.parts import check_parts, freeze
from affectra.training.stage import fit

CONSTANT = Schedule(name="constant")
N_STEPS = 5  # of an epoch


def plan_of(**changes: Any) -> TrainingPlan:
    given = {
        "epochs": 2, "batch_size": 1, "optimizer": Component(name="sgd", options={"lr": 0.5}), "schedule": CONSTANT,
        "precision": "32-true", "channels_last": False,
    }  # fmt: skip
    return TrainingPlan(**{**given, **changes})


class Slopes(nn.Module):
    """Weights whose gradient is always 1, so that each moves by the rates of its steps alone."""

    def __init__(self) -> None:
        super().__init__()
        self.front_end = nn.Linear(1, 1, bias=False)
        self.layers = nn.ModuleList(nn.Linear(1, 1, bias=False) for _ in range(4))
        for parameter in self.parameters():
            nn.init.zeros_(parameter)


class Sum(nn.Module):
    """The sum of all weights as a loss."""

    def forward(self, model: nn.Module, batch: Any, progress: float) -> Loss:
        del batch, progress
        return Loss(torch.stack([parameter.sum() for parameter in model.parameters()]).sum(), {}, None)


class Batch:
    n_items = 1


class Scripted:
    """A dev part whose score after each epoch is known."""

    score = "dev_ua"

    def __init__(self, scores: list[float]) -> None:
        self.left: Iterator[float] = iter(scores)

    def add(self, model: nn.Module, batch: Any) -> None:
        pass

    def scores(self) -> dict[str, float]:
        return {"dev_ua": next(self.left)}


def train(plan: TrainingPlan, folder: Path, scores: list[float] | None = None, kind: type[nn.Module] = Slopes) -> Any:
    torch.manual_seed(0)
    model = kind()
    check_parts(model, plan)
    freeze(model, plan)
    loader = DataLoader([Batch()] * N_STEPS, batch_size=None)  # type: ignore[arg-type]
    dev = DataLoader([Batch()], batch_size=None) if scores else None  # type: ignore[arg-type]
    fit(Training(model, Sum(), plan, Scripted(scores or [])), loader, dev, folder, (0, 0, "stage"))
    return model


def moved(model: Slopes) -> dict[str, float]:
    return {name: -float(tensor) for name, tensor in model.state_dict().items()}


def test_without_more_every_weight_moves_by_the_rate_of_each_step(tmp_path: Path) -> None:
    assert set(moved(train(plan_of(), tmp_path)).values()) == {0.5 * 2 * N_STEPS}


def test_the_rate_rises_step_by_step_during_the_warm_up(tmp_path: Path) -> None:
    schedule = Schedule(name="constant", warmup_epochs=1)
    expected = 0.5 * (sum((k + 1) / N_STEPS for k in range(N_STEPS)) + N_STEPS)
    for value in moved(train(plan_of(schedule=schedule), tmp_path)).values():
        assert value == pytest.approx(expected)


def test_a_warm_up_multiplies_the_schedule_after_it(tmp_path: Path) -> None:
    schedule = Schedule(name="step", milestones=[2], factor=0.1, warmup_epochs=2)
    risen = [(k + 1) / (2 * N_STEPS) for k in range(2 * N_STEPS)]
    steps = [*risen[:N_STEPS], *(0.1 * factor for factor in risen[N_STEPS:])]
    assert moved(train(plan_of(schedule=schedule), tmp_path))["front_end.weight"] == pytest.approx(0.5 * sum(steps))


def test_parts_learn_at_rates_of_their_own_and_the_inner_one_counts(tmp_path: Path) -> None:
    found = moved(train(plan_of(rates={"front_end": 0.1, "layers": 0.5, "layers.1-2": 2.0}), tmp_path))
    rates = [found["front_end.weight"], *(found[f"layers.{k}.weight"] for k in range(4))]
    assert rates == pytest.approx([0.5, 2.5, 10.0, 10.0, 2.5])


def test_a_range_of_layers_is_frozen_by_its_numbers(tmp_path: Path) -> None:
    found = moved(train(plan_of(freeze=["front_end", "layers.0-1"]), tmp_path))
    assert [name for name, value in found.items() if value] == ["layers.2.weight", "layers.3.weight"]


@pytest.mark.parametrize("limit", [0.1, 100.0])
def test_gradients_are_clipped_to_their_common_norm_and_shorter_ones_stay(limit: float, tmp_path: Path) -> None:
    norm = 5**0.5  # of five ones
    for value in moved(train(plan_of(clip_norm=limit), tmp_path)).values():
        assert value == pytest.approx(0.5 * 2 * N_STEPS * min(1.0, limit / norm), rel=1e-4)


@pytest.mark.parametrize(
    ("scores", "best"), [([0.2, 0.6, 0.4, 0.6], 2), ([0.1, 0.2, 0.3, 0.4], 4), ([0.5, 0.1, 0.1, 0.1], 1)]
)
def test_the_epoch_that_is_best_on_the_dev_part_is_kept_and_of_equal_ones_the_first(
    scores: list[float], best: int, tmp_path: Path
) -> None:
    model = train(plan_of(epochs=4, keep="best-dev"), tmp_path, scores)
    assert set(moved(model).values()) == {0.5 * best * N_STEPS}
    assert read_json(tmp_path / "kept.json") == {"epoch": best, "dev_ua": pytest.approx(max(scores))}
    last = train(plan_of(epochs=4), tmp_path / "last", scores)
    assert set(moved(last).values()) == {0.5 * 4 * N_STEPS} and not (tmp_path / "last/kept.json").exists()


@pytest.mark.parametrize("killed_in", [0, 1, 2, 3])
def test_a_choice_of_epochs_that_was_killed_resumes_to_the_same_weights(
    killed_in: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(epochs=4, keep="best-dev", optimizer=Component(name="adam", options={"lr": 0.01}))
    scores = [0.2, 0.6, 0.4, 0.5]
    whole = train(plan, tmp_path / "whole", scores)
    write_state = ResumeState.on_train_epoch_end

    def die(self: ResumeState, trainer: Any, module: Any) -> None:
        write_state(self, trainer, module)
        if trainer.current_epoch == killed_in:
            raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(ResumeState, "on_train_epoch_end", die)
        with pytest.raises(MemoryError):
            train(plan, tmp_path / "killed", scores)
    resumed = train(plan, tmp_path / "killed", scores[killed_in + 1 :] or [0.0])
    assert moved(resumed) == moved(whole)
    for name in ("kept.json", "history.csv"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    kept = load_file(tmp_path / "killed/resume/best.safetensors")
    assert all(torch.equal(tensor, resumed.state_dict()[name.removeprefix("model.")]) for name, tensor in kept.items())


def test_no_epoch_is_chosen_by_a_score_that_is_no_number_or_not_there(tmp_path: Path) -> None:
    with pytest.raises(AffectraError, match="dev_ua is nan in epoch 2"):
        train(plan_of(keep="best-dev"), tmp_path / "nan", [0.5, float("nan")])
    with pytest.raises(AffectraError, match="no dev_ua to choose an epoch by"):
        train(plan_of(keep="best-dev"), tmp_path / "none")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"freeze": ["layers.2-9"]}, "freeze: unknown trainable part 'layers.4'"),
        ({"rates": {"front-end": 0.1}}, "rates: unknown trainable part 'front-end'; did you mean 'front_end'?"),
        ({"take": ["layer"]}, "take: unknown trainable part 'layer'; did you mean 'layers'?"),
        ({"freeze": ["front_end", "layers"]}, "is all that can be trained"),
    ],
)
def test_parts_that_a_model_has_not_are_refused_by_the_key_that_names_them(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        check_parts(Slopes(), plan_of(**changes))
    assert message in str(caught.value)


# --- objectives


def scores_and_targets() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(40, 3, generator=generator), torch.randint(0, 3, (40,), generator=generator)


def test_a_focal_loss_of_gamma_0_is_cross_entropy_and_more_counts_what_is_easy_less() -> None:
    scores, targets = scores_and_targets()
    plain = nn.functional.cross_entropy(scores, targets, reduction="none")
    p = scores.softmax(-1)[torch.arange(40), targets]
    for gamma in (0.0, 0.5, 2.0):
        loss = ClassLoss(Sizes(("a", "b", "c")), focal=gamma)
        torch.testing.assert_close(loss.each(scores, targets), plain * (1 - p) ** gamma)
        torch.testing.assert_close(loss(scores, targets), (plain * (1 - p) ** gamma).mean())


def test_balanced_weights_give_every_class_the_same_share_of_the_loss() -> None:
    counts = [30, 5, 15]
    targets = torch.repeat_interleave(torch.arange(3), torch.tensor(counts))
    loss = ClassLoss(Sizes(("a", "b", "c"), counts=counts), class_weights="balanced")
    each = loss.each(torch.zeros(50, 3), targets)  # all are equally hard
    shares = torch.stack([each[targets == k].sum() for k in range(3)])
    torch.testing.assert_close(shares, shares.mean().expand(3))
    assert float(loss(torch.zeros(50, 3), targets)) == pytest.approx(np.log(3))


@pytest.mark.parametrize("weights", [None, {"b": 3.0}, {"a": 0.0, "c": 0.5}])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_weights_of_classes_are_those_of_torch(weights: dict[str, float] | None, label_smoothing: float) -> None:
    scores, targets = scores_and_targets()
    loss = ClassLoss(Sizes(("a", "b", "c")), label_smoothing, weights)
    given = None if weights is None else torch.tensor([weights.get(name, 1.0) for name in "abc"])
    expected = nn.functional.cross_entropy(scores, targets, given, label_smoothing=label_smoothing)
    torch.testing.assert_close(loss(scores, targets), expected)


def test_items_without_a_class_have_no_loss_and_no_gradient() -> None:
    scores, targets = scores_and_targets()
    scores.requires_grad_()
    hidden = torch.where(torch.arange(40) % 4 == 0, UNKNOWN, targets)
    known = hidden != UNKNOWN
    for options in ({}, {"class_weights": {"a": 2.0}}, {"focal": 2.0}):
        loss = ClassLoss(Sizes(("a", "b", "c")), **options)  # type: ignore[arg-type]
        value = loss(scores, hidden)
        torch.testing.assert_close(value, loss(scores[known], targets[known]))
        (gradient,) = torch.autograd.grad(value, scores)
        assert not gradient[~known].any() and gradient[known].any()
        assert not loss(scores, torch.full_like(targets, UNKNOWN)).detach().any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"class_weights": "equal"}, "class_weights: input should be 'balanced', found 'equal'"),
        ({"class_weights": {"a": -1.0}}, "class_weights is balanced, or a weight of 0 or more"),
        ({"focal": -0.5}, "focal is 0 or more"),
        ({"label_smoothing": 1.0}, "needs 0 <= label_smoothing < 1"),
        ({"balanced": True, "class_weights": "balanced"}, "two ways to say one thing"),
    ],
)
def test_options_of_a_loss_that_mean_nothing_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_training(plan_of(objective=Component(name="cross-entropy", options=options)))


@pytest.mark.parametrize(
    ("unit", "objective", "able"),
    [
        ("time", "cross-entropy", "concordance"),
        ("dialogue", "domain-adversarial", "cross-entropy"),
        ("utterance", "concordance", "cross-entropy or domain-adversarial"),
    ],
)
def test_an_objective_of_another_unit_is_refused_with_those_that_fit(unit: str, objective: str, able: str) -> None:
    options = {"domains": ["speaker"]} if objective == "domain-adversarial" else {}
    with pytest.raises(ConfigError, match=f"is not for runs over unit {unit}; choose .*{able}"):
        check_training(plan_of(objective=Component(name=objective, options=options)), unit)


def test_every_objective_is_for_a_unit_and_refuses_what_it_does_not_take() -> None:
    for name in OBJECTIVES:
        assert set(OBJECTIVES[name].units) <= {"utterance", "dialogue", "time"} and OBJECTIVES[name].units
        with pytest.raises(ConfigError, match="weights"):
            OBJECTIVES.check_options(name, {"weights": 1}, also=("sizes",))
