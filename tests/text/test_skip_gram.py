"""Skip-gram: pairs against a naive loop, and topics that are found again in the vectors."""

import numpy as np
import pytest

from affectra.errors import ConfigError
from affectra.text import skip_gram
from affectra.text.skip_gram import skip_gram_pairs, train_skip_gram

TOPICS = (
    ["sea", "ship", "wave", "sail", "harbour", "anchor", "storm", "sailor"],
    ["bread", "oven", "flour", "dough", "butter", "cake", "baker", "salt"],
)


@pytest.fixture(scope="module")
def toy_language() -> list[list[str]]:
    """Sentences of one topic each, with words that belong to both."""
    rng = np.random.default_rng(0)
    return [
        rng.choice([*TOPICS[i % 2], "the", "a", "and"], size=8, p=[0.1] * 8 + [0.2 / 3] * 3).tolist()
        for i in range(400)
    ]


@pytest.mark.parametrize("window", [1, 2, 5])
def test_pairs_are_those_of_a_plain_loop(window: int) -> None:
    lengths = [4, 0, 1, 7, 2]
    expected = [
        (start + i, start + j)
        for start, n in zip(np.cumsum([0, *lengths]), lengths, strict=False)
        for i in range(n)
        for j in range(n)
        if i != j and abs(i - j) <= window
    ]
    centers, contexts = skip_gram_pairs(lengths, window)
    assert sorted(zip(centers.tolist(), contexts.tolist(), strict=True)) == expected
    assert (np.diff(centers) >= 0).all()


def test_drawn_windows_hold_all_nearer_neighbours_and_near_ones_more_often() -> None:
    centers, contexts = skip_gram_pairs([20_000], 4, np.random.default_rng(0))
    distance = np.abs(centers - contexts)
    shares = np.bincount(distance)[1:] / 40_000
    np.testing.assert_allclose(shares, [1.0, 0.75, 0.5, 0.25], atol=0.02)
    reach = np.zeros(20_000, int)
    np.maximum.at(reach, centers, distance)
    full = np.minimum(reach, np.arange(20_000)) + np.minimum(reach, np.arange(20_000)[::-1])
    np.testing.assert_array_equal(np.bincount(centers, minlength=20_000), full)


def test_no_tokens_give_no_pairs() -> None:
    for lengths in ([], [0, 0], [1, 1]):
        centers, contexts = skip_gram_pairs(lengths, 3)
        assert len(centers) == len(contexts) == 0


def test_the_nearest_words_are_of_the_same_topic(toy_language: list[list[str]]) -> None:
    table = train_skip_gram(toy_language, n_dimensions=16, subsample=1.0, n_epochs=10, seed=1)
    for topic in TOPICS:
        for word in topic:
            assert {near for near, _ in table.nearest(word, 4)} <= {*topic, "the", "a", "and"}, word


def test_shuffled_words_have_no_topics(toy_language: list[list[str]]) -> None:
    words = np.random.default_rng(1).permutation(np.concatenate(toy_language)).reshape(-1, 8).tolist()
    table = train_skip_gram(words, n_dimensions=16, subsample=1.0, n_epochs=10, seed=1)
    same = np.mean([near in topic for topic in TOPICS for word in topic for near, _ in table.nearest(word, 4)])
    assert same < 0.7


def test_the_same_seed_gives_the_same_vectors_and_another_does_not(toy_language: list[list[str]]) -> None:
    one, two, other = (train_skip_gram(toy_language, n_dimensions=8, n_epochs=2, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.vectors, two.vectors)
    assert one.words == other.words and not np.allclose(one.vectors, other.vectors)


def test_words_are_sorted_by_frequency_and_rare_ones_left_out() -> None:
    table = train_skip_gram([["b", "a", "b"], ["c", "a", "once"], ["c"]], n_dimensions=2, n_epochs=1, min_count=2)
    assert table.words == ("a", "b", "c") and table.vectors.shape == (3, 2) and table.vectors.dtype == np.float32


def test_a_text_of_too_few_words_is_refused() -> None:
    for sentences in ([], [[]], [["a", "b"]], [["a", "a"]]):
        with pytest.raises(ConfigError, match=r"skip-gram: [01] words occur at least 2 times"):
            train_skip_gram(sentences)


def test_a_step_goes_down_the_slope_of_the_loss() -> None:
    """Against automatic differentiation of the loss as it is written."""
    import torch
    from torch.nn.functional import logsigmoid

    tables = skip_gram._Tables(n_words=6, n_dimensions=4, learning_rate=1e-3, seed=0)
    generator = torch.Generator().manual_seed(1)
    tables.center, tables.context = (torch.randn(6, 4, generator=generator) for _ in range(2))
    tables.squares = {id(table): torch.ones(6) for table in (tables.center, tables.context)}
    centers, contexts, negatives = torch.tensor([0, 0, 3]), torch.tensor([1, 2, 1]), torch.tensor([4, 2, 4, 5])
    center, context = (table.clone().requires_grad_() for table in (tables.center, tables.context))
    loss = -logsigmoid((center[centers] * context[contexts]).sum(1)).sum()
    for c, o in zip(centers, contexts, strict=True):
        others = [n for n in negatives if n != o]
        loss = loss - 5 / len(negatives) * sum(logsigmoid(-center[c] @ context[n]) for n in others)
    loss.backward()
    before = tables.center.clone(), tables.context.clone()
    tables.step(centers, contexts, negatives, n_negatives=5)
    for table, old, slope in zip((tables.center, tables.context), before, (center.grad, context.grad), strict=True):
        assert slope is not None
        scale = (1 + slope.square().mean(1, keepdim=True)).sqrt()
        torch.testing.assert_close(table, old - 1e-3 * slope / scale)
