"""Logistic regression fitted at once: what scikit-learn says, every corpus alike, arousal and valence beside."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from affectra.errors import ConfigError
from affectra.models.vector.linear import Linear
from affectra.models.vector.vectors import Vectors

QUADRANTS = [[True, False], [True, True], [False, True], [False, False]]


def blobs(n_classes: int, n: int = 240, n_features: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    targets = rng.integers(0, n_classes, n)
    return (rng.normal(0, 1, (n, n_features)) + 1.5 * np.eye(n_classes, n_features)[targets]).astype(
        np.float32
    ), targets


def probabilities(model: Linear, features: np.ndarray) -> np.ndarray:
    return model(torch.from_numpy(features)[:, :, None]).scores.softmax(-1).detach().numpy()


@pytest.mark.parametrize("n_classes", [2, 3, 4])
def test_it_says_what_scikit_learn_says(n_classes: int) -> None:
    features, targets = blobs(n_classes)
    model = Linear(5, n_classes, penalty=0.1, limit=100.0)
    model.fit(Vectors(features, targets))
    weights = (1 / np.bincount(targets))[targets]
    reference = LogisticRegression(C=10.0, max_iter=2000).fit(features, targets, sample_weight=weights / weights.sum())
    np.testing.assert_allclose(probabilities(model, features), reference.predict_proba(features), atol=1e-3)


def test_a_corpus_heard_ten_times_has_no_more_say() -> None:
    features, targets = blobs(3)
    corpora = np.where(np.arange(len(targets)) % 2, "large", "small")
    large = np.flatnonzero(corpora == "large")
    more = np.concatenate([np.arange(len(targets)), np.repeat(large, 9)])
    models = []
    for rows in (np.arange(len(targets)), more):
        model = Linear(5, 3)
        model.fit(Vectors(features[rows], targets[rows], corpora=corpora[rows].tolist()))
        models.append(probabilities(model, features))
    np.testing.assert_allclose(*models, atol=1e-3)


def test_an_outlier_is_cut_off_where_the_limit_is() -> None:
    features, targets = blobs(3)
    model = Linear(5, 3, limit=2.0)
    model.fit(Vectors(features, targets))
    far, cut = features[:1] * 1000, np.sign(features[:1]) * 2
    np.testing.assert_allclose(probabilities(model, far), probabilities(model, cut), atol=1e-6)


def sides_of(targets: np.ndarray) -> np.ndarray:
    return np.array(QUADRANTS, dtype=np.int64)[targets]


def test_utterances_without_a_class_teach_arousal_and_valence_alone() -> None:
    features, targets = blobs(4)
    hidden = np.where(np.arange(len(targets)) % 2, -1, targets)
    with_them, without = Linear(5, 4, n_auxiliary=2), Linear(5, 4, n_auxiliary=2)
    with_them.fit(Vectors(features, hidden, auxiliary=sides_of(targets)))
    known = hidden >= 0
    without.fit(Vectors(features[known], targets[known], auxiliary=sides_of(targets)[known]))
    torch.testing.assert_close(with_them.classify.weight, without.classify.weight, atol=1e-3, rtol=0)
    assert with_them.sides is not None and without.sides is not None
    assert (with_them.sides.weight - without.sides.weight).abs().max() > 0.01
    said = with_them(torch.from_numpy(features)[:, :, None]).auxiliary > 0
    assert (said.numpy() == sides_of(targets)).mean(0).min() > 0.7


def test_quadrants_add_what_arousal_and_valence_say_of_each_class() -> None:
    features, targets = blobs(4)
    plain, added = Linear(5, 4, n_auxiliary=2), Linear(5, 4, n_auxiliary=2, quadrants=QUADRANTS, quadrant_weight=0.7)
    for model in (plain, added):
        model.fit(Vectors(features, targets, auxiliary=sides_of(targets)))
    output = plain(torch.from_numpy(features[:3])[:, :, None])
    high, positive = output.auxiliary.sigmoid().unbind(1)
    expected = output.scores.softmax(-1).log()
    for k, (is_high, is_positive) in enumerate(QUADRANTS):
        of_class = (high if is_high else 1 - high) * (positive if is_positive else 1 - positive)
        expected[:, k] += 0.7 * of_class.log()
    np.testing.assert_allclose(probabilities(added, features[:3]), expected.softmax(-1).detach(), atol=1e-5)


def test_what_cannot_be_fitted_or_built_is_said() -> None:
    features, targets = blobs(3)
    with pytest.raises(ConfigError, match="no utterance of class 2"):
        Linear(5, 3).fit(Vectors(features, targets.clip(0, 1)))
    with pytest.raises(ConfigError, match="of each of the 3 classes"):
        Linear(5, 3, n_auxiliary=2, quadrants=QUADRANTS)
    with pytest.raises(ConfigError, match="need auxiliary"):
        Linear(5, 4, quadrants=QUADRANTS)


def test_erasing_leaves_no_linear_trace_of_the_corpus_and_emotion_where_it_was() -> None:
    rng = np.random.default_rng(5)
    features, targets = blobs(3, n=900, n_features=8)
    corpora = np.array(["a", "b", "c"])[rng.integers(0, 3, len(targets))]
    features[:, 6:] += 2 * np.stack([corpora == "a", corpora == "b"], axis=1)  # two features tell the corpus
    model = Linear(8, 3, erase=True, limit=100.0)
    model.fit(Vectors(features, targets, corpora=corpora.tolist()))
    embedding = model(torch.from_numpy(features)[:, :, None]).embedding.numpy()

    def told(x: np.ndarray) -> float:
        probe = LogisticRegression(max_iter=2000, class_weight="balanced").fit(x[::2], corpora[::2])
        return float((probe.predict(x[1::2]) == corpora[1::2]).mean())

    assert told(features) > 0.7 and told(embedding) < 0.43
    plain = Linear(8, 3, limit=100.0)
    plain.fit(Vectors(features, targets, corpora=corpora.tolist()))
    right = [(probabilities(m, features).argmax(1) == targets).mean() for m in (plain, model)]
    assert right[1] > right[0] - 0.02


def test_one_corpus_alone_has_nothing_to_erase() -> None:
    features, targets = blobs(3)
    erased, plain = Linear(5, 3, erase=True), Linear(5, 3)
    for model in (erased, plain):
        model.fit(Vectors(features, targets, corpora=["a"] * len(targets)))
    np.testing.assert_allclose(probabilities(erased, features), probabilities(plain, features), atol=1e-4)
