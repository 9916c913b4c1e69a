"""Losses against naive loops, and what must not happen at their edges."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from affectra.losses import KERNEL_WIDTHS, CenterLoss, concordance_loss, coral_loss, mmd_loss
from affectra.metrics import concordance_cc

N_CLASSES, N_FEATURES = 4, 3


def batch(seed: int, n: int = 12) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(n, N_FEATURES, generator=generator) + 2
    return features, torch.randint(0, N_CLASSES - 1, (n,), generator=generator)  # the last class is in no batch


def test_center_loss_and_its_centers_equal_a_loop_over_examples() -> None:
    loss = CenterLoss(N_CLASSES, N_FEATURES, rate=0.3)
    centers = np.zeros((N_CLASSES, N_FEATURES))
    for step in range(5):
        features, targets = batch(step)
        x, y = features.double().numpy(), targets.numpy()
        expected = sum(float(((x[i] - centers[y[i]]) ** 2).sum()) for i in range(len(x))) / len(x)
        assert loss(features, targets).item() == pytest.approx(expected, rel=1e-5)
        for j in range(N_CLASSES):
            members = [i for i in range(len(x)) if y[i] == j]
            step_j = sum((centers[j] - x[i] for i in members), start=np.zeros(N_FEATURES)) / (1 + len(members))
            centers[j] = centers[j] - 0.3 * step_j
        np.testing.assert_allclose(loss.centers.numpy(), centers, rtol=1e-5)


def test_centers_approach_the_means_of_their_classes() -> None:
    loss = CenterLoss(N_CLASSES, N_FEATURES)
    features, targets = batch(0, n=60)
    for _ in range(60):
        loss(features, targets)
    for j in range(N_CLASSES - 1):
        torch.testing.assert_close(loss.centers[j], features[targets == j].mean(0))


def test_centers_are_no_parameters_and_no_gradient_reaches_them() -> None:
    loss = CenterLoss(N_CLASSES, N_FEATURES)
    features, targets = batch(0)
    features.requires_grad_()
    loss(features, targets).backward()
    assert not list(loss.parameters()) and not loss.centers.requires_grad and loss.centers.grad is None
    assert set(loss.state_dict()) == {"centers"}, "a resumed training goes on with the centers it had"


def test_features_are_pulled_to_the_centers_as_they_stood_before_the_batch() -> None:
    loss = CenterLoss(N_CLASSES, N_FEATURES)
    loss(*batch(0))
    before = loss.centers.clone()
    features, targets = batch(1)
    features.requires_grad_()
    loss(features, targets).backward()
    torch.testing.assert_close(features.grad, 2 * (features.detach() - before[targets]) / len(targets))


def test_a_class_absent_from_a_batch_keeps_its_center() -> None:
    loss = CenterLoss(N_CLASSES, N_FEATURES)
    loss.centers.normal_(generator=torch.Generator().manual_seed(1))
    before = loss.centers.clone()
    loss(*batch(0))
    assert torch.equal(loss.centers[-1], before[-1])
    assert not (loss.centers[:-1] == before[:-1]).any()


def test_a_center_moves_the_same_whoever_else_is_in_the_batch() -> None:
    # Where centers are parameters under a mean over the batch, other classes dilute the step of each center.
    alone, together = CenterLoss(N_CLASSES, N_FEATURES), CenterLoss(N_CLASSES, N_FEATURES)
    features, targets = batch(0)
    alone(features[targets == 1], targets[targets == 1])
    together(features, targets)
    torch.testing.assert_close(alone.centers[1], together.centers[1])


def test_features_on_their_centers_have_no_loss_at_all() -> None:
    # A lower bound put on masked distances would add (classes - 1) times it for each example.
    loss = CenterLoss(N_CLASSES, N_FEATURES).eval()
    loss.centers.fill_(3.0)
    assert loss(torch.full((8, N_FEATURES), 3.0), torch.arange(8) % N_CLASSES).item() == 0.0


def test_centers_stand_still_in_evaluation() -> None:
    loss = CenterLoss(N_CLASSES, N_FEATURES)
    loss(*batch(0))
    before = loss.centers.clone()
    assert loss.eval()(*batch(1)) > 0
    assert torch.equal(loss.centers, before)


@pytest.mark.parametrize("seed", range(3))
def test_concordance_loss_is_one_minus_the_mean_concordance_of_the_frames_of_all_recordings(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    truth = torch.randn(3, 20, 2, generator=generator)
    prediction = 0.5 * truth + 0.3 * torch.randn(3, 20, 2, generator=generator) + 0.2
    lengths = (20, 7, 1)
    mask = torch.arange(20) < torch.tensor(lengths)[:, None]
    values = [
        concordance_cc(truth[mask][:, d].double().numpy(), prediction[mask][:, d].double().numpy()) for d in range(2)
    ]
    assert concordance_loss(prediction, truth, mask).item() == pytest.approx(1 - sum(values) / 2, abs=1e-5)


def test_nothing_in_the_padding_changes_the_concordance_loss_or_its_gradient() -> None:
    truth, prediction = torch.randn(2, 2, 9, 3, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(2, 9)
    padded_truth = nn.functional.pad(truth, (0, 0, 0, 4), value=torch.nan)
    padded = nn.functional.pad(prediction, (0, 0, 0, 4), value=1e9).requires_grad_()
    prediction.requires_grad_()
    plain = concordance_loss(prediction, truth)
    loss = concordance_loss(padded, padded_truth, nn.functional.pad(mask, (0, 4)))
    torch.testing.assert_close(loss, plain)
    plain.backward()
    loss.backward()
    assert torch.equal(padded.grad[:, 9:], torch.zeros(2, 4, 3))
    torch.testing.assert_close(padded.grad[:, :9], prediction.grad)


@pytest.mark.parametrize("constant", [0.0, 0.3, -7.1])
@pytest.mark.parametrize("truth", ["varies", "the same constant", "another constant"])
def test_a_constant_prediction_has_concordance_loss_one_and_a_finite_gradient(constant: float, truth: str) -> None:
    values = {
        "varies": torch.randn(2, 50, 1, generator=torch.Generator().manual_seed(0)),
        "the same constant": torch.full((2, 50, 1), constant),
        "another constant": torch.full((2, 50, 1), constant + 1),
    }[truth]
    prediction = torch.full((2, 50, 1), constant, requires_grad=True)
    loss = concordance_loss(prediction, values, torch.arange(50) < torch.tensor([[50], [31]]))
    loss.backward()
    assert loss.item() == pytest.approx(1.0, abs=1e-5)
    assert torch.isfinite(prediction.grad).all()


def test_a_batch_without_valid_frames_has_concordance_loss_one() -> None:
    assert concordance_loss(torch.randn(1, 4, 2), torch.randn(1, 4, 2), torch.zeros(1, 4)).item() == 1.0


def test_concordance_loss_runs_from_agreement_to_opposition() -> None:
    truth = torch.linspace(-1, 1, 30).reshape(1, 30, 1)
    assert concordance_loss(truth, truth).item() == pytest.approx(0, abs=1e-6)
    assert concordance_loss(-truth, truth).item() == pytest.approx(2, abs=1e-6)


def test_the_gradient_of_concordance_loss_equals_finite_differences() -> None:
    generator = torch.Generator().manual_seed(0)
    prediction = torch.randn(2, 6, 2, generator=generator)
    truth = torch.randn(2, 6, 2, generator=generator)
    mask = torch.arange(6) < torch.tensor([[6], [4]])
    prediction.requires_grad_()
    concordance_loss(prediction, truth, mask).backward()
    for index in [(0, 0, 0), (0, 5, 1), (1, 3, 0)]:
        shift = torch.zeros_like(prediction)
        shift[index] = 1e-2
        up, down = (concordance_loss(prediction.detach() + s, truth, mask).item() for s in (shift, -shift))
        assert prediction.grad[index].item() == pytest.approx((up - down) / 2e-2, abs=2e-4)


def two_sets(seed: int, shift: float = 0.0, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(40, 5, generator=generator), shift + scale * torch.randn(30, 5, generator=generator)


def test_coral_loss_equals_its_formula() -> None:
    source, target = two_sets(0, scale=2.0)
    difference = np.cov(source.numpy(), rowvar=False) - np.cov(target.numpy(), rowvar=False)
    assert coral_loss(source, target).item() == pytest.approx((difference**2).sum() / (4 * 5**2), rel=1e-4)


def test_mmd_loss_equals_a_loop_over_pairs() -> None:
    source, target = (values[:7].double().numpy() for values in two_sets(0, shift=1.0))
    both = np.concatenate([source, target])
    squared = [float(((a - b) ** 2).sum()) for i, a in enumerate(both) for b in both[i + 1 :]]
    width = sorted(squared)[(len(squared) - 1) // 2]

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.mean([np.exp(-((a - b) ** 2).sum() / (k * width)) for k in KERNEL_WIDTHS]))

    def mean(first: np.ndarray, second: np.ndarray) -> float:
        return float(np.mean([kernel(a, b) for a in first for b in second]))

    expected = mean(source, source) + mean(target, target) - 2 * mean(source, target)
    assert mmd_loss(torch.tensor(source), torch.tensor(target)).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("loss", [coral_loss, mmd_loss])
def test_a_set_has_no_distance_from_itself_and_a_finite_gradient(loss) -> None:
    source = two_sets(0)[0].requires_grad_()
    value = loss(source, source.detach().clone())
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-6) and torch.isfinite(source.grad).all()


def test_mmd_loss_grows_with_a_shift_that_coral_does_not_see() -> None:
    near, far = two_sets(0, shift=0.5), two_sets(0, shift=2.0)
    assert mmd_loss(*two_sets(0)) < mmd_loss(*near) < mmd_loss(*far)
    torch.testing.assert_close(coral_loss(*near), coral_loss(*far))


@pytest.mark.parametrize("loss", [coral_loss, mmd_loss])
def test_descending_a_distance_brings_two_sets_together(loss) -> None:
    source, target = two_sets(0, shift=1.0, scale=2.0)
    target = target.requires_grad_()
    optimizer = torch.optim.Adam([target], lr=0.05)
    before = loss(source, target).item()
    for _ in range(100):
        optimizer.zero_grad()
        loss(source, target).backward()
        optimizer.step()
    assert loss(source, target).item() < 0.2 * before


@pytest.mark.parametrize("loss", [coral_loss, mmd_loss])
@pytest.mark.parametrize("sizes", [(0, 5), (1, 5), (5, 0), (1, 1)])
def test_a_set_too_small_to_compare_gives_a_finite_loss(loss, sizes: tuple[int, int]) -> None:
    source, target = (torch.ones(n, 4, requires_grad=True) for n in sizes)
    value = loss(source, target)
    value.backward()
    assert value.item() == 0.0 and torch.isfinite(source.grad).all() and torch.isfinite(target.grad).all()
