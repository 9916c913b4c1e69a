import dataclasses
import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from affectra.errors import CheckpointError, ConfigError
from affectra.features.words.alignment.adversarial import (
    AdversarialSettings,
    Discriminator,
    adversarial_start,
    orthogonalized,
    selection_criterion,
)
from affectra.features.words.alignment.alignment import (
    align_spaces,
    read_alignment,
    refined,
    shared_words,
    write_alignment,
)
from affectra.features.words.alignment.axes import principal_axes
from affectra.features.words.alignment.csls import csls, mutual_dictionary, ranks, translations, unit_vectors
from affectra.features.words.alignment.homophones import HOMOPHONES, check_homophones
from affectra.features.words.alignment.procrustes import procrustes
from affectra.features.words.alignment.report import alignment_numbers, alignment_report
from affectra.features.words.alignment.translation import word_translation
from affectra.text.word_vectors import WordVectors, read_word_vectors


def rotation(n_dimensions: int, seed: int, *, proper: bool = False) -> np.ndarray:
    matrix, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((n_dimensions, n_dimensions)))
    if proper and np.linalg.det(matrix) < 0:
        matrix[:, 0] *= -1
    return matrix


def space(vectors: np.ndarray, prefix: str = "w") -> WordVectors:
    return WordVectors(tuple(f"{prefix}{row}" for row in range(len(vectors))), vectors.astype(np.float32))


def clustered(seed: int, n_words: int = 500, n_dimensions: int = 5) -> np.ndarray:
    """Clusters of unequal size and width: a space without symmetry."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((15, n_dimensions))
    cluster = rng.choice(15, n_words, p=rng.dirichlet(np.ones(15)))
    return centres[cluster] + rng.uniform(0.2, 0.6, 15)[cluster, None] * rng.standard_normal((n_words, n_dimensions))


def noisy_copy(vectors: WordVectors, noise: float, seed: int) -> WordVectors:
    """Rotated, with noise of this length beside vectors of length one."""
    rng = np.random.default_rng(seed)
    unit = unit_vectors(vectors.vectors)
    noisy = unit + noise * rng.standard_normal(unit.shape) / unit.shape[1] ** 0.5
    return WordVectors(vectors.words, (noisy @ rotation(unit.shape[1], seed).T).astype(np.float32))


@cache
def real_vectors(data_dir: Path) -> WordVectors:
    return read_word_vectors(data_dir / "text" / "wordvecs1000.json")


def test_procrustes_recovers_a_known_rotation_from_pairs() -> None:
    for n_dimensions, seed in ((2, 0), (50, 1), (300, 2)):
        truth = rotation(n_dimensions, seed)
        source = np.random.default_rng(seed).standard_normal((2 * n_dimensions, n_dimensions))
        found = procrustes(source, source @ truth.T)
        np.testing.assert_allclose(found, truth, atol=1e-5)
        np.testing.assert_allclose(found @ found.T, np.eye(n_dimensions), atol=1e-10)


def test_the_transposed_matrix_is_orthogonal_too_and_maps_nothing_to_its_place() -> None:
    truth = rotation(20, 3)
    assert np.abs(truth - truth.T).max() > 0.3  # of a symmetric rotation the transpose would do as well
    source = np.random.default_rng(3).standard_normal((200, 20))
    target = source @ truth.T
    matrix = procrustes(source, target)
    words = np.arange(200)
    assert (ranks(source @ matrix.T, target, words, words) == 1).all()
    assert (ranks(source @ matrix, target, words, words) == 1).mean() < 0.05
    # The transpose is the map back, and what X^T Y gives where Y^T X was meant.
    np.testing.assert_allclose(procrustes(target, source), matrix.T, atol=1e-8)


def test_procrustes_is_the_best_of_orthogonal_maps_where_none_is_exact() -> None:
    rng = np.random.default_rng(4)
    source, target = rng.standard_normal((2, 40, 6))
    best = np.linalg.norm(source @ procrustes(source, target).T - target)
    assert all(np.linalg.norm(source @ rotation(6, seed).T - target) > best for seed in range(200))


def test_procrustes_refuses_what_are_no_pairs() -> None:
    with pytest.raises(ConfigError, match=r"as many source as target.*\(3, 2\) and \(4, 2\)"):
        procrustes(np.ones((3, 2)), np.ones((4, 2)))
    with pytest.raises(ConfigError, match="NaN"):
        procrustes(np.array([[1.0, np.nan]]), np.ones((1, 2)))


def naive_csls(source: np.ndarray, target: np.ndarray, k: int) -> np.ndarray:
    def cosine(x: np.ndarray, y: np.ndarray) -> float:
        return float(x @ y / np.linalg.norm(x) / np.linalg.norm(y))

    def mean_of_nearest(x: np.ndarray, others: np.ndarray) -> float:
        return float(np.mean(sorted((cosine(x, y) for y in others), reverse=True)[:k]))

    r_target = [mean_of_nearest(x, target) for x in source]
    r_source = [mean_of_nearest(y, source) for y in target]
    return np.array(
        [[2 * cosine(x, y) - r_target[i] - r_source[j] for j, y in enumerate(target)] for i, x in enumerate(source)]
    )


@pytest.mark.parametrize("k", [1, 3, 10])
def test_csls_equals_its_formula(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    source, target = rng.standard_normal((7, 4)), rng.standard_normal((9, 4))
    expected = naive_csls(source, target, k)
    np.testing.assert_allclose(csls(source, target, k), expected, atol=1e-5)
    monkeypatch.setattr("affectra.features.words.alignment.csls._BLOCK_VALUES", 18)  # two rows at a time
    np.testing.assert_allclose(csls(source, target, k), expected, atol=1e-5)
    pairs = [(i, j) for i in range(7) for j in range(9) if expected[i].argmax() == j and expected[:, j].argmax() == i]
    assert mutual_dictionary(source, target, k).tolist() == [list(pair) for pair in pairs]
    assert translations(source, target, k).tolist() == expected.argmax(1).tolist()
    truth = rng.integers(9, size=7)
    naive_ranks = [1 + sum(row > row[true]) for row, true in zip(expected, truth, strict=True)]
    assert ranks(source, target, np.arange(7), truth, k).tolist() == naive_ranks


def test_csls_takes_from_a_hub_what_it_owes_to_its_place() -> None:
    # The first target lies in the middle of all: by cosine it is the nearest of every source word.
    hub, others = np.array([[1.0, 1.0, 1.0]]), np.eye(3) + np.array([0.0, 0.15, -0.5])
    target = np.concatenate([hub, others])
    source = np.eye(3) + 0.8
    assert (unit_vectors(source) @ unit_vectors(target).T).argmax(1).tolist() == [0, 0, 0]
    assert len(set(translations(source, target, 2).tolist())) > 1


def test_a_space_in_which_all_words_are_alike_translates_nothing() -> None:
    found = word_translation(np.ones((50, 4)), np.ones((50, 4)), [(row, row) for row in range(50)])
    assert found.precision == {1: 0.0, 5: 0.0} and not found.is_above_chance


def test_random_spaces_translate_by_chance_and_are_said_to() -> None:
    rng = np.random.default_rng(6)
    pairs = [(row, row) for row in range(400)]
    found = [word_translation(*rng.standard_normal((2, 400, 10)), pairs) for _ in range(5)]
    assert np.mean([one.precision[5] for one in found]) == pytest.approx(5 / 400, abs=0.01)
    assert sum(one.is_above_chance for one in found) <= 1


@pytest.mark.parametrize("noise", [0.1, 0.3, 0.5])
def test_a_hundred_anchors_align_a_rotated_noisy_copy_of_real_word_vectors(data_dir: Path, noise: float) -> None:
    text = real_vectors(data_dir)
    anchors = [(word, word) for word in text.words[:100]]
    found = align_spaces(noisy_copy(text, noise, 7), text, anchors=anchors)
    assert found.translation.n_words == 900 and found.translation.n_candidates == 1000
    assert found.translation.precision[1] >= 0.95
    np.testing.assert_allclose(found.matrix @ found.matrix.T, np.eye(300), atol=1e-8)


def test_words_beyond_the_frequent_ones_do_not_shape_the_map() -> None:
    text = space(clustered(17, n_words=120))
    speech = noisy_copy(text, 0.1, 17)
    start = procrustes(unit_vectors(speech.vectors)[:20], unit_vectors(text.vectors)[:20])
    others = np.random.default_rng(18).standard_normal((2, 60, 5)).astype(np.float32)
    nothing = np.empty((0, 2), dtype=np.int64)
    one, same, all_words = (
        refined(start, source, target, nothing, n_frequent)
        for source, target, n_frequent in (
            (speech.vectors, text.vectors, 60),
            (np.concatenate([speech.vectors[:60], others[0]]), np.concatenate([text.vectors[:60], others[1]]), 60),
            (speech.vectors, text.vectors, 120),
        )
    )
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - all_words).max() > 1e-6


def test_the_axes_of_real_word_vectors_are_enough_to_align_a_noisy_copy(data_dir: Path) -> None:
    text = real_vectors(data_dir)
    found = align_spaces(noisy_copy(text, 0.3, 8), text, start="axes")
    assert found.n_anchors == 0 and found.translation.precision[1] >= 0.95
    assert found.criterion[-1] > found.criterion[0]


def test_shuffled_words_align_to_nothing(data_dir: Path) -> None:
    text = real_vectors(data_dir)
    order = np.random.default_rng(9).permutation(len(text))
    copy = noisy_copy(text, 0.1, 9)
    shuffled = WordVectors(tuple(text.words[row] for row in order), copy.vectors)
    found = align_spaces(shuffled, text, anchors=[(word, word) for word in text.words[:100]])
    assert found.translation.precision[5] < 0.03


def test_axes_point_to_the_longer_tail_however_the_space_is_turned() -> None:
    points = (np.random.default_rng(10).exponential(size=(500, 3)) - 1) * np.array([3.0, 2.0, 1.0])
    turn = rotation(3, 10)
    # The same points have the same coordinates on their own axes.
    np.testing.assert_allclose(points @ principal_axes(points).T, points @ turn.T @ principal_axes(points @ turn.T).T)


def test_the_orthogonality_step_draws_towards_the_nearest_orthogonal_matrix_and_leaves_it_there() -> None:
    matrix = torch.from_numpy(rotation(8, 11))
    torch.testing.assert_close(orthogonalized(matrix, 0.001), matrix)
    off = matrix + 0.05 * torch.randn(8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    left, _, right = torch.linalg.svd(off)
    pulled = off
    for _ in range(800):
        pulled = orthogonalized(pulled, 0.01)
    torch.testing.assert_close(pulled, left @ right, atol=1e-5, rtol=0)


QUICK = AdversarialSettings(n_hidden=64, n_epochs=4, n_steps=60)


def test_the_map_stays_near_orthogonal_while_it_learns() -> None:
    source = clustered(1)
    found = adversarial_start(source, source @ rotation(5, 12).T, settings=dataclasses.replace(QUICK, n_epochs=2))
    singular = np.linalg.svd(found.matrix)[1]
    assert singular.max() < 1.02 and singular.min() > 0.9
    assert np.abs(found.matrix - np.eye(5)).max() > 0.1  # and it has moved


def test_a_map_that_nothing_holds_back_is_refused_and_not_returned() -> None:
    source = clustered(1)
    wild = dataclasses.replace(QUICK, map_learning_rate=1e4, longest_step=np.inf, orthogonality=0.5)
    with pytest.raises(ConfigError, match="lower map_learning_rate"):
        adversarial_start(source, source @ rotation(5, 12).T, settings=wild)


def test_without_a_longest_step_nothing_is_cut() -> None:
    source = clustered(1)
    one, same = (
        adversarial_start(source, source @ rotation(5, 12).T, settings=dataclasses.replace(QUICK, longest_step=step))
        for step in (None, 1e9)
    )
    np.testing.assert_allclose(one.matrix, same.matrix)


def test_the_map_turns_the_source_until_the_discriminator_is_fooled() -> None:
    source, target = np.full((40, 4), 1.0), np.full((40, 4), -1.0)
    found = adversarial_start(source, target, settings=QUICK)
    assert (unit_vectors(source) @ found.matrix.T @ unit_vectors(target)[0]).mean() > 0.5


def test_the_discriminator_has_two_hidden_layers_and_a_logit_a_word() -> None:
    network = Discriminator(4, 8, 0.1)
    assert [part.out_features for part in network if isinstance(part, torch.nn.Linear)] == [8, 8, 1]
    assert network(torch.zeros(3, 4)).shape == (3,)


@pytest.mark.parametrize("seed", range(3))
def test_the_adversarial_start_finds_a_rotation_without_any_pair(seed: int) -> None:
    vectors = clustered(seed, n_words=200, n_dimensions=2)
    vectors -= vectors.mean(0)
    truth = rotation(2, seed + 20, proper=True)
    assert np.trace(truth) < 1.6  # the start, the identity, is far from it
    found = adversarial_start(vectors, vectors @ truth.T, settings=QUICK, seed=seed)
    assert (found.matrix * truth).sum() / 2 > 0.97
    assert found.criterion[found.best_epoch - 1] == max(found.criterion)


def test_a_reflection_is_found_by_the_second_start() -> None:
    vectors = clustered(2, n_words=150, n_dimensions=2)
    text = space(vectors - vectors.mean(0))
    truth = rotation(2, 22, proper=True) @ np.diag([1.0, -1.0])
    speech = space(text.vectors @ truth)
    one, two = (
        align_spaces(speech, text, start="adversarial", settings=QUICK, n_starts=n, n_refinements=0) for n in (1, 2)
    )
    assert np.linalg.det(one.matrix) > 0.9 and np.linalg.det(two.matrix) < -0.9
    assert two.criterion[0] > one.criterion[0]
    assert one.n_anchors == two.n_anchors == 0


def test_the_same_seed_gives_the_same_map_and_leaves_global_random_numbers_alone() -> None:
    source, target = clustered(0), clustered(1)
    short = dataclasses.replace(QUICK, n_epochs=2, n_steps=10)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, same, other = (adversarial_start(source, target, settings=short, seed=seed).matrix for seed in (0, 0, 1))
    assert torch.equal(torch.rand(1), expected)
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0


def test_the_criterion_is_highest_at_the_true_map_and_knows_no_dictionary() -> None:
    source = clustered(3, n_dimensions=20)
    truth = rotation(20, 13)
    target = source @ truth.T
    best = selection_criterion(source @ truth.T, target[::-1])  # other order, same space
    assert best == pytest.approx(1, abs=1e-4)
    assert all(selection_criterion(source @ rotation(20, seed).T, target) < 0.97 for seed in range(5))


def test_an_alignment_maps_new_vectors_as_it_mapped_the_space(tmp_path: Path) -> None:
    vectors = clustered(4, n_words=200)
    text, speech = space(vectors), space(2.5 * vectors @ rotation(5, 14).T)
    found = align_spaces(speech, text, anchors=[(word, word) for word in text.words[:50]])
    np.testing.assert_allclose(found.mapped(speech.vectors[7:9]), found.of_target(text.vectors[7:9]), atol=1e-4)
    write_alignment(found, tmp_path / "alignment.safetensors")
    again = read_alignment(tmp_path / "alignment.safetensors")
    np.testing.assert_array_equal(again.mapped(speech.vectors), found.mapped(speech.vectors))
    (tmp_path / "broken.safetensors").write_bytes(b"no")
    with pytest.raises(CheckpointError, match=r"broken\.safetensors.*align anew"):
        read_alignment(tmp_path / "broken.safetensors")


def test_words_that_were_anchors_do_not_test_the_map() -> None:
    text = space(clustered(5, n_words=40))
    everything = [(word, word) for word in text.words]
    found = align_spaces(text, text, anchors=everything)
    assert found.translation.n_words == 0 and found.translation.precision[1] is None
    assert "n/a" in alignment_report(found, check_homophones(text, ["en"]))[0]
    assert align_spaces(text, text, anchors=everything[:30]).translation.n_words == 10
    assert shared_words(text, space(np.ones((3, 2)))) == ("w0", "w1", "w2")


def test_what_cannot_be_aligned_is_refused_by_name() -> None:
    text = space(clustered(6, n_words=30))
    anchors = [("w0", "w0")]
    with pytest.raises(ConfigError, match="did you mean 'anchors'"):
        align_spaces(text, text, start="anchor")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="5 dimensions, text vectors 4"):
        align_spaces(text, space(np.ones((3, 4))), anchors=anchors)
    with pytest.raises(ConfigError, match="give anchors to the start"):
        align_spaces(text, text)
    with pytest.raises(ConfigError, match="give anchors to the start"):
        align_spaces(text, text, start="axes", anchors=anchors)
    with pytest.raises(ConfigError, match="'w0', 'nowhere': not in both"):
        align_spaces(text, text, anchors=[("w0", "nowhere")])
    broken = WordVectors(text.words, np.where(np.arange(30)[:, None] == 3, np.nan, text.vectors).astype(np.float32))
    with pytest.raises(ConfigError, match="speech vector of 'w3'"):
        align_spaces(broken, text, anchors=anchors)
    with pytest.raises(ConfigError, match="5 and 4 dimensions"):
        adversarial_start(np.ones((3, 5)), np.ones((3, 4)))


def spoken_space(*, by_sound: bool) -> WordVectors:
    """Words at random; of homophones the second where the first is, if by sound."""
    rng = np.random.default_rng(15)
    pairs = [group[:2] for group in HOMOPHONES["en"][:12]]
    words = [word for pair in pairs for word in pair] + [f"filler{row}" for row in range(100)]
    vectors = rng.standard_normal((len(words), 20))
    if by_sound:
        vectors[1:24:2] = vectors[0:24:2] + 0.3 * rng.standard_normal((12, 20))
    return WordVectors(tuple(words), vectors.astype(np.float32))


def test_homophones_tell_a_space_of_sound_from_one_that_was_not_learnt_from_it() -> None:
    sound = check_homophones(spoken_space(by_sound=True), ["en-US"])
    assert len(sound.pairs) == 12 and sound.median_place == 0 and sound.verdict == "near"
    text = check_homophones(spoken_space(by_sound=False), ["en-US"])
    assert text.verdict == "not near" and 0.3 < float(np.mean(text.places)) < 0.7


def test_real_vectors_of_text_do_not_pass_for_vectors_of_sound(data_dir: Path) -> None:
    check = check_homophones(real_vectors(data_dir), ["en"])
    assert len(check.pairs) >= 3 and check.verdict == "not near"


def test_where_there_are_no_homophones_nothing_is_claimed() -> None:
    for words, languages in ((spoken_space(by_sound=True), ["fi"]), (space(np.ones((2, 3))), ["en"])):
        check = check_homophones(words, languages)
        assert check.verdict == "n/a" and check.median_place is None
    collapsed = WordVectors(spoken_space(by_sound=True).words, np.ones((124, 20), np.float32))
    assert check_homophones(collapsed, ["en"]).verdict == "not near"  # all alike is not near


def test_no_word_is_in_two_groups_of_homophones() -> None:
    for groups in HOMOPHONES.values():
        words = [word for group in groups for word in group]
        assert len(words) == len(set(words)) and all(word == word.lower() for word in words)


def test_the_report_says_when_a_map_is_no_better_than_chance() -> None:
    rng = np.random.default_rng(16)
    words = spoken_space(by_sound=True)
    noise = WordVectors(words.words, rng.standard_normal((124, 20)).astype(np.float32))
    anchors = [(word, word) for word in words.words[:30]]
    meaningless = align_spaces(words, noise, anchors=anchors)
    lines = alignment_report(meaningless, check_homophones(words, ["en"]))
    assert "NOT more than chance" in lines[0] and "sound alike lie together" in lines[1]
    assert not alignment_numbers(meaningless, check_homophones(words, ["en"]))["above_chance"]
    exact = align_spaces(words, words, anchors=anchors)
    assert "More than chance" in alignment_report(exact, check_homophones(noise, ["en"]))[0]
    numbers = alignment_numbers(exact, check_homophones(noise, ["en"]))
    assert numbers["precision_at_1"] == 1 and numbers["above_chance"] and numbers["homophones"] == "not near"
    json.dumps(numbers, allow_nan=False)
