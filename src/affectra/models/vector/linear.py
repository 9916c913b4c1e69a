"""Logistic regression on one vector an utterance: emotion, arousal and valence, fitted without epochs."""

from collections.abc import Mapping, Sequence
from itertools import combinations, product
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from affectra.errors import ConfigError
from affectra.metrics import unweighted_average_recall
from affectra.models.layers import Output
from affectra.models.vector.inner_folds import inner_folds
from affectra.models.vector.vectors import Vectors

INNER_FOLDS = 3  # ours, of the training speakers when the groups and the penalty are chosen
MAX_ITERATIONS = 2000
NO_TRACE = 1e-8  # a covariance of whitened features and corpora below this is rounding
RIDGE = 1e-3  # of the mean variance, so that still features can be whitened


class Linear(nn.Module):
    """One linear layer each for the classes and for the binary tasks beside them.

    Every corpus has the same say, and in it every class; so a large corpus, or one that says "anger" more often, does
    not decide for all. The binary tasks learn from utterances of other classes too.

    With `erase`, what a linear classifier could tell of the corpus is taken out first (Belrose et al. 2023, LEACE): of
    the whitened features the directions in which the corpora's means differ, each class having the same say in all of
    them, are projected out; the rest stays as it is.

    With `quadrants`, what arousal and valence say of a class is added to its score: `weight x (log P(arousal of the
    class) + log P(valence of the class))`.

    With `groups`, each group of features has the same say; otherwise thousands of one kind drown a hundred of another.

    With `penalties`, the penalty and which of the groups are used are chosen by cross-validation over speakers inside
    the training part: the highest UA, what comes first where two are equal, and all groups come first.

    Args:
        n_features: of the vector.
        n_classes: scores per example.
        n_auxiliary: binary tasks; with `quadrants` arousal and valence, in this order.
        penalty: of half the squared weights, against the mean loss of an example.
        limit: features are cut off at this many deviations, so that no oddity of a recording decides alone.
        groups: sizes of the groups that the features come in, one behind the other; none is one group.
        unheard: groups, counted from 0, that have no say.
        penalties: candidates; none takes `penalty`, and all groups but those of `unheard`.
        erase: whether to take the corpus out; a training part of one corpus has none.
        quadrants: whether each class, in their order, is of high arousal and of positive valence; none leaves it out.
        quadrant_weight: of that addition.

    Shape:
        - features: (batch, n_features, 1)
        - output: see `Output`; the embedding is (batch, n_features), what the layers read

    Raises:
        ConfigError: an option outside its range, quadrants of another number of classes or without the two tasks,
            groups of other features, or none that is used.
    """

    def __init__(
        self,
        n_features: int,
        n_classes: int,
        *,
        n_auxiliary: int = 0,
        penalty: float = 0.06,
        limit: float = 4.0,
        groups: Sequence[int] = (),
        unheard: Sequence[int] = (),
        penalties: Sequence[float] = (),
        erase: bool = False,
        quadrants: Sequence[Sequence[bool]] = (),
        quadrant_weight: float = 0.5,
    ) -> None:
        super().__init__()
        for number in (penalty, limit, *penalties):
            if not 0 < number < float("inf"):
                raise ConfigError(f"linear: penalty, penalties and limit are numbers above 0, found {number}")
        if groups and (min(groups) < 1 or sum(groups) != n_features):
            raise ConfigError(f"linear: groups are sizes that add up to the {n_features} features; found {[*groups]}")
        if set(unheard) - set(range(len(groups))) or (groups and set(unheard) == set(range(len(groups)))):
            raise ConfigError(f"linear: unheard are some of the {len(groups)} groups, from 0 on; found {[*unheard]}")
        if quadrants and (len(quadrants) != n_classes or n_auxiliary != 2 or any(len(q) != 2 for q in quadrants)):
            raise ConfigError(
                f"linear: quadrants are [high arousal, positive valence] of each of the {n_classes} classes, and need "
                f"auxiliary: [arousal, valence]; found {list(quadrants)} and {n_auxiliary} auxiliary tasks"
            )
        self.penalty, self.limit, self.quadrant_weight = penalty, limit, quadrant_weight
        self.penalties, self.groups = [*penalties], [*groups]
        self.classify = nn.Linear(n_features, n_classes)
        self.sides = nn.Linear(n_features, n_auxiliary) if n_auxiliary else None
        self.register_buffer("scale", self._scale(unheard), persistent=False)
        self.scale: Tensor
        self.erase = erase
        if erase:
            self.register_buffer("eraser", torch.eye(n_features))
            self.register_buffer("center", torch.zeros(n_features))
        self.eraser: Tensor
        self.center: Tensor
        signs = torch.tensor(quadrants, dtype=torch.float32) * 2 - 1 if quadrants else torch.zeros(0, 2)
        self.register_buffer("signs", signs, persistent=False)
        self.signs: Tensor

    def forward(self, features: Tensor, n_frames: Tensor | None = None) -> Output:
        """Scores and embedding of a batch."""
        del n_frames
        embedding = features[:, :, 0].clamp(-self.limit, self.limit) * self.scale
        if self.erase:
            embedding = (embedding - self.center) @ self.eraser + self.center
        scores = self.classify(embedding)
        auxiliary = None if self.sides is None else self.sides(embedding)
        if len(self.signs) and auxiliary is not None:
            agreement = nn.functional.logsigmoid(auxiliary[:, None] * self.signs)  # (batch, class, task)
            scores = scores.log_softmax(-1) + self.quadrant_weight * agreement.sum(-1)
        return Output(scores, embedding, None, None, auxiliary)

    @torch.no_grad()
    def fit(self, part: Vectors) -> Mapping[str, Any]:
        """Fit to a training part; the same data gives the same weights.

        Returns:
            The options that are settled now: the penalty and the groups that were chosen, if they were.

        Raises:
            ConfigError: a class of the task, or a side of a binary one, has no utterance; or something is to be chosen
                with an unknown speaker or one speaker alone.
        """
        corpora = np.asarray(part.corpora if len(part.corpora) else [""] * len(part.features))
        clipped = part.features.clip(-self.limit, self.limit).astype(np.float64)
        settled = {}
        if self.penalties:
            unheard, self.penalty = self._choose(clipped, part, corpora)
            self.scale.copy_(self._scale(unheard))
            settled = {"penalty": self.penalty, "unheard": [*unheard], "penalties": []}
        features = clipped * self.scale.numpy()
        if self.erase:
            center, eraser = _eraser(features, corpora, _cell_weights(corpora, part.targets))
            self.center.copy_(torch.from_numpy(center))
            self.eraser.copy_(torch.from_numpy(eraser))
            features = (features - center) @ eraser + center
        layers = [(self.classify, part.targets, len(self.classify.bias))]
        if self.sides is not None:
            layers += [(self.sides, side, 2) for side in part.auxiliary.T]
        for k, (layer, targets, n_classes) in enumerate(layers):
            known = targets >= 0
            present = set(targets[known].tolist())
            if present != set(range(n_classes)):
                missing = sorted(set(range(n_classes)) - present)
                raise ConfigError(f"linear: the training part has no utterance of class {missing[0]}")
            machine = _regress(features[known], targets[known], corpora[known], self.penalty)
            weights, bias = machine.coef_, machine.intercept_
            if layer is self.classify:
                if n_classes == 2:  # scikit-learn gives the log-odds of the second alone
                    weights, bias = np.concatenate([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
                layer.weight.copy_(torch.from_numpy(weights))
                layer.bias.copy_(torch.from_numpy(bias))
            else:
                layer.weight[k - 1].copy_(torch.from_numpy(weights[0]))
                layer.bias[k - 1].copy_(torch.from_numpy(bias)[0])
        return settled

    def _scale(self, unheard: Sequence[int]) -> Tensor:
        """(feature,), 0 for groups that are not used; another's squared length is about 1 whatever its size."""
        if not self.groups:
            return torch.ones(self.classify.in_features)
        return torch.cat(
            [torch.full((size,), 0.0 if i in unheard else size**-0.5) for i, size in enumerate(self.groups)]
        )

    def _choose(
        self, features: npt.NDArray[np.float64], part: Vectors, corpora: npt.NDArray[np.str_]
    ) -> tuple[tuple[int, ...], float]:
        """The groups that are not to be used, and the penalty."""
        known = part.targets >= 0
        features, targets, corpora = features[known], part.targets[known], corpora[known]
        speakers = [speaker for speaker, is_known in zip(part.groups, known, strict=False) if is_known]
        folds = inner_folds(speakers, targets, INNER_FOLDS, "linear: penalties", "give penalty alone")

        def ua(candidate: tuple[tuple[int, ...], float]) -> float:
            unheard, penalty = candidate
            used = self._scale(unheard).numpy() > 0
            scaled = features[:, used] * self._scale(unheard).numpy()[used]
            answers = [
                _regress(scaled[train], targets[train], corpora[train], penalty).predict(scaled[dev])
                for train, dev in folds
            ]
            truth = np.concatenate([targets[dev] for _, dev in folds])
            return unweighted_average_recall(truth, np.concatenate(answers))

        numbers = range(len(self.groups) or 1)
        subsets = [subset for size in numbers for subset in combinations(numbers, size)]
        return max(product(subsets, self.penalties), key=ua)  # the first of equal ones


def _regress(
    features: npt.NDArray[np.float64], targets: npt.NDArray[np.int64], corpora: npt.NDArray[np.str_], penalty: float
) -> Any:
    from sklearn.linear_model import LogisticRegression

    machine = LogisticRegression(C=1 / penalty, max_iter=MAX_ITERATIONS)
    return machine.fit(features, targets, sample_weight=_cell_weights(corpora, targets))


def _cell_weights(corpora: npt.NDArray[np.str_], targets: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Weights that sum to 1, each class of each corpus having the same."""
    pairs = np.stack([np.unique(corpora, return_inverse=True)[1], targets])
    _, cells, counts = np.unique(pairs, axis=1, return_inverse=True, return_counts=True)
    weights = 1 / counts[cells.ravel()]
    balanced: npt.NDArray[np.float64] = weights / weights.sum()
    return balanced


def _eraser(
    features: npt.NDArray[np.float64], corpora: npt.NDArray[np.str_], weights: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Center (feature,) and matrix (feature, feature) that leave no linear trace of the corpus."""
    center = weights @ features
    centred = features - center
    covariance = (centred * weights[:, None]).T @ centred
    covariance += RIDGE * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    values, vectors = np.linalg.eigh(covariance)
    whiten, colour = (vectors * values**power @ vectors.T for power in (-0.5, 0.5))
    is_of = (corpora[:, None] == np.unique(corpora)).astype(np.float64)
    crossed = (centred * weights[:, None]).T @ (is_of - weights @ is_of)  # (feature, corpus)
    directions, strengths, _ = np.linalg.svd(whiten @ crossed, full_matrices=False)
    directions = directions[:, strengths > NO_TRACE]
    return center, np.eye(len(center)) - whiten @ directions @ directions.T @ colour
