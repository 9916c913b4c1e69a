"""Support vector machine: the field's standard classifier of functionals, fitted without epochs by scikit-learn."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from affectra.errors import ConfigError
from affectra.metrics import unweighted_average_recall
from affectra.models.layers import Output
from affectra.models.vector.inner_folds import inner_folds
from affectra.models.vector.vectors import Vectors

Kernel = Literal["rbf", "linear"]
Gamma = Literal["auto", "scale"] | float
ClassWeight = Literal["none", "balanced"]
INNER_FOLDS = 5  # ours, of the training groups when C is chosen; fewer where there are fewer groups
MAX_ITERATIONS = 20_000  # of coordinate descent; scikit-learn's 1000 end early with a large C on thousands of features


class Svm(nn.Module):
    """A support vector machine on one vector an utterance, kept as arrays.

    "rbf" is scikit-learn's SVC: one machine a pair of classes, K (K - 1) / 2 of them, each of which votes for one class
    of its pair. "linear" is its LinearSVC: one machine a class against all others. `fit` sets the buffers; the highest
    score is then the class that scikit-learn predicts.

    Args:
        n_features: of the vector.
        n_classes: scores per example. One that `fit` was not shown scores below all others.
        kernel: "rbf", exp(-gamma |x - y|^2), or "linear".
        c: weight of an error against the width of the margin.
        gamma: of the rbf kernel: "auto" is 1 / n_features, "scale" 1 / (n_features x variance of all numbers).
        class_weight: "balanced" weighs the errors of a class by the inverse of its size.
        c_candidates: where there are any, `c` is chosen among them by cross-validation over groups inside the training
            part: the highest UA, the smaller one where two are equal.

    Shape:
        - features: (batch, n_features, 1)
        - output: scores (batch, n_classes): the votes of a class, plus less than 1/3 for how clear its pairs were, or
          its decision value; embedding: (batch, n_features), the features; no attention

    Raises:
        ConfigError: an option outside its range.
    """

    support: Tensor  # (support vector, n_features), single precision as the features are; none for a linear machine
    weights: Tensor  # (machine, support vector or n_features)
    intercept: Tensor  # (machine,)
    present: Tensor  # (class,), indices of the classes that `fit` was shown
    gamma: Tensor

    def __init__(
        self,
        n_features: int,
        n_classes: int,
        *,
        kernel: Kernel = "rbf",
        c: float = 1.0,
        gamma: Gamma = "auto",
        class_weight: ClassWeight = "none",
        c_candidates: Sequence[float] = (),
    ) -> None:
        super().__init__()
        for name, value, known in (("kernel", kernel, Kernel), ("class_weight", class_weight, ClassWeight)):
            if value not in get_args(known):
                raise ConfigError(f"svm: {name} is one of {', '.join(get_args(known))}, found {value!r}")
        if isinstance(gamma, str) and gamma not in ("auto", "scale"):
            raise ConfigError(f"svm: gamma is auto, scale or a number, found {gamma!r}")
        for number in (c, *c_candidates, *([] if isinstance(gamma, str) else [gamma])):
            if not 0 < number < float("inf"):
                raise ConfigError(f"svm: c, c_candidates and gamma are numbers above 0, found {number}")
        self.n_features, self.n_classes, self.kernel, self.c = n_features, n_classes, kernel, c
        self.given_gamma, self.class_weight, self.c_candidates = gamma, class_weight, sorted(c_candidates)
        self.register_buffer("support", torch.zeros(0, n_features))
        self.register_buffer("weights", torch.zeros(0, 0, dtype=torch.float64))
        self.register_buffer("intercept", torch.zeros(0, dtype=torch.float64))
        self.register_buffer("present", torch.zeros(0, dtype=torch.int64))
        self.register_buffer("gamma", torch.ones((), dtype=torch.float64))

    def fit(self, part: Vectors) -> Mapping[str, Any]:
        """Fit to a training part; the same data gives the same machine.

        Returns:
            The options that are settled now: the C that was chosen, if it was.

        Raises:
            ConfigError: one class alone, or C is to be chosen with an unknown speaker or one speaker alone.
        """
        features, targets = part.features, part.targets
        if len(set(targets.tolist())) < 2:
            raise ConfigError("svm: the training part has one class alone; it needs two")
        settled = {}
        if self.c_candidates:
            self.c = self._choose_c(features, targets, part.groups)
            settled = {"c": self.c, "c_candidates": []}
        machine = self._machine(self.c).fit(features, targets)
        self.present = torch.from_numpy(machine.classes_.astype(np.int64))
        if self.kernel == "linear":
            self.weights, self.intercept = _as_tensors(machine.coef_, machine.intercept_)
        else:
            self.support = torch.from_numpy(features[machine.support_].astype(np.float32))
            self.weights, self.intercept = _as_tensors(*_pairs(machine))
            self.gamma = torch.tensor(machine._gamma, dtype=torch.float64)
        return settled

    def _machine(self, c: float) -> Any:
        from sklearn.svm import SVC, LinearSVC

        weight = None if self.class_weight == "none" else self.class_weight
        if self.kernel == "linear":  # coordinate descent draws an order: the same one each time
            return LinearSVC(C=c, class_weight=weight, random_state=0, max_iter=MAX_ITERATIONS)
        return SVC(C=c, kernel="rbf", gamma=self.given_gamma, class_weight=weight)

    def _choose_c(
        self, features: npt.NDArray[np.float32], targets: npt.NDArray[np.int64], groups: Sequence[str]
    ) -> float:
        folds = inner_folds(groups, targets, INNER_FOLDS, "svm: c_candidates", "give c alone")

        def ua(c: float) -> float:
            machines = [self._machine(c).fit(features[train], targets[train]) for train, _ in folds]
            answers = [m.predict(features[dev]) for m, (_, dev) in zip(machines, folds, strict=True)]
            truth = np.concatenate([targets[dev] for _, dev in folds])
            return unweighted_average_recall(truth, np.concatenate(answers))

        return max(self.c_candidates, key=ua)  # the first of equal ones

    def forward(self, features: Tensor, n_frames: Tensor | None = None) -> Output:
        """Scores of a batch."""
        del n_frames
        assert features.shape[2] == 1, "an svm sees one vector an utterance"
        x = features[..., 0]
        if self.kernel == "linear":
            decisions = x.double() @ self.weights.T + self.intercept
            found = decisions if len(self.present) > 2 else torch.cat([-decisions, decisions], dim=1)
        else:
            decisions = self._similarities(x.double()) @ self.weights.T + self.intercept
            found = _votes(decisions, len(self.present))
        scores = (found.amin(1, keepdim=True) - 1).repeat(1, self.n_classes)
        scores[:, self.present] = found
        return Output(scores, x.float(), None)

    def _similarities(self, x: Tensor) -> Tensor:
        """The kernel of each example with each support vector: (batch, support vector)."""
        support = self.support.double()
        squares = (x**2).sum(1)[:, None] + (support**2).sum(1) - 2 * x @ support.T
        return torch.exp(-self.gamma * squares.clamp_min(0))

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *others: Any) -> None:
        """Take the sizes from what is loaded: how many support vectors there are, the options do not say."""
        stored = {name: state_dict[prefix + name] for name, _ in self.named_buffers() if prefix + name in state_dict}
        errors: list[str] = others[-1]
        if len(stored) == 5 and not self._fits(**stored):
            errors.append(f"the arrays of the svm do not fit together: {[tuple(t.shape) for t in stored.values()]}")
            return
        for name, tensor in stored.items():
            setattr(self, name, torch.empty_like(tensor, dtype=getattr(self, name).dtype))
        super()._load_from_state_dict(dict(state_dict), prefix, *others)

    def _fits(self, support: Tensor, weights: Tensor, intercept: Tensor, present: Tensor, gamma: Tensor) -> bool:
        k = present.numel()
        n_machines = k * (k - 1) // 2 if self.kernel == "rbf" else k if k > 2 else min(k, 1)
        n_inputs = len(support) if self.kernel == "rbf" or not k else self.n_features
        return (
            support.shape[1:] == (self.n_features,)
            and weights.shape == (n_machines, n_inputs)
            and intercept.shape == (n_machines,)
            and present.tolist() == sorted({i for i in present.flatten().tolist() if 0 <= i < self.n_classes})
            and gamma.shape == ()
        )


def _as_tensors(*arrays: npt.NDArray[np.float64]) -> list[Tensor]:
    return [torch.from_numpy(np.ascontiguousarray(array, dtype=np.float64)) for array in arrays]


def _pairs(machine: Any) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Weight of each support vector in each pair's machine, (pair, support vector), and the pairs' intercepts.

    Pairs are (0, 1), (0, 2), ..., (1, 2), ...; above zero is the first class. libsvm keeps K - 1 coefficients a support
    vector: of its class against each of the others in order.
    """
    n_classes, coefficients = len(machine.classes_), np.asarray(machine.dual_coef_)
    sign = -1.0 if n_classes == 2 else 1.0  # of two classes scikit-learn turns the sign: above zero is the second one
    owner = np.repeat(np.arange(n_classes), machine.n_support_)
    weights = []
    for i, j in zip(*np.triu_indices(n_classes, 1), strict=True):
        weights.append(np.where(owner == i, coefficients[j - 1], 0) + np.where(owner == j, coefficients[i], 0))
    return sign * np.stack(weights), sign * np.asarray(machine.intercept_)


def _votes(decisions: Tensor, n_classes: int) -> Tensor:
    """Scores (batch, class) from the decisions of pairs (batch, pair).

    Votes, plus the sum of a class's decisions squeezed into (-1/3, 1/3), as scikit-learn's decision_function. Its
    predict gives equal votes to the first class, so that one gets the highest score among them.
    """
    first, second = torch.triu_indices(n_classes, n_classes, 1, device=decisions.device)
    won = (decisions > 0).to(decisions.dtype)
    votes = decisions.new_zeros(len(decisions), n_classes)
    clearness = torch.zeros_like(votes)
    votes.index_add_(1, first, won).index_add_(1, second, 1 - won)
    clearness.index_add_(1, first, decisions).index_add_(1, second, -decisions)
    scores = votes + clearness / (3 * (clearness.abs() + 1))
    rows = torch.arange(len(scores), device=scores.device)
    winner, best = votes.argmax(1), scores.argmax(1)  # argmax takes the first of equal ones
    highest = scores[rows, best]
    scores[rows, best] = scores[rows, winner]
    scores[rows, winner] = highest
    return scores
