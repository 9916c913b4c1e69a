from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from affectra.errors import CheckpointError, ConfigError, CorpusError
from affectra.features.words.speech2vec import Speech2Vec, encode_spoken, padded, read_speech2vec, write_speech2vec
from affectra.features.words.speech2vec_training import skip_gram_loss, train_speech2vec, word_means
from affectra.features.words.spoken_words import LONGEST_S, SpokenWord, WordFrames, sentence_lengths, spoken_words

N_WORDS = 12


@pytest.fixture(scope="module")
def toy() -> tuple[list[np.ndarray], list[SpokenWord]]:
    """Twelve words, each a path of its own through three features, said noisily and at any speed; 80 sentences."""
    rng = np.random.default_rng(0)
    paths = rng.standard_normal((N_WORDS, 4, 3))
    segments, words = [], []
    for sentence in range(80):
        topic = rng.integers(2)  # words 0-5 are said together, and words 6-11
        for place in range(5):
            word = int(rng.integers(6)) + 6 * int(topic)
            n_frames = int(rng.integers(5, 12))
            at = np.linspace(0, 3, n_frames)
            path = np.stack([np.interp(at, range(4), paths[word, :, i]) for i in range(3)], axis=1)
            segments.append((path + 0.5 * rng.standard_normal(path.shape)).astype(np.float32))
            words.append(SpokenWord(f"s{sentence:02d}", f"word{word}", float(place), place + 0.9))
    return segments, words


def test_padding_and_company_never_change_a_vector(toy: tuple[list[np.ndarray], list[SpokenWord]]) -> None:
    segments = sorted(toy[0][:20], key=len)
    torch.manual_seed(0)
    network = Speech2Vec(8, 3).eval()
    together = network.vectors(segments)
    alone = np.concatenate([network.vectors([segment]) for segment in segments])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    frames, n_frames = padded(segments)
    rubbish = frames.clone()
    rubbish[torch.arange(frames.shape[1]) >= n_frames[:, None]] = 1e6
    torch.testing.assert_close(network.encode(rubbish, n_frames), network.encode(frames, n_frames))


def test_the_loss_is_the_mean_squared_error_of_real_frames_of_each_neighbour() -> None:
    rng = np.random.default_rng(1)
    drawn = torch.from_numpy(rng.standard_normal((2, 6, 3)))
    neighbours = [rng.standard_normal((n, 3)) for n in (4, 6, 2)]
    owners = [0, 1, 1]
    naive = [np.mean((drawn[o, : len(n)].numpy() - n) ** 2) for o, n in zip(owners, neighbours, strict=True)]
    frames, n_frames = padded(neighbours)
    found = skip_gram_loss(drawn, frames, n_frames, torch.tensor(owners))
    assert float(found) == pytest.approx(np.mean(naive))
    frames[torch.arange(6) >= n_frames[:, None]] = 1e6
    assert float(skip_gram_loss(drawn, frames, n_frames, torch.tensor(owners))) == pytest.approx(np.mean(naive))


def test_every_parameter_learns(toy: tuple[list[np.ndarray], list[SpokenWord]]) -> None:
    network = Speech2Vec(8, 3)
    frames, n_frames = padded(toy[0][:4])
    drawn = network.decode(network.encode(frames, n_frames), frames.shape[1])
    skip_gram_loss(drawn, frames.flip(0), n_frames.flip(0), torch.arange(4)).backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in network.parameters())


def separation(vectors: np.ndarray, labels: np.ndarray) -> float:
    """Probability that two tokens of one label are nearer than two of different labels; 0.5 by chance."""
    unit = vectors - vectors.mean(0)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    upper = np.triu_indices(len(vectors), 1)
    cosines, same = (unit @ unit.T)[upper], (labels[:, None] == labels)[upper]
    order = np.argsort(np.argsort(cosines))
    n_same, n_other = same.sum(), (~same).sum()
    return float((order[same].sum() - n_same * (n_same - 1) / 2) / (n_same * n_other))


def test_tokens_of_a_word_and_words_said_together_come_near_each_other(
    toy: tuple[list[np.ndarray], list[SpokenWord]],
) -> None:
    segments, words = toy
    labels = np.array([word.word for word in words])
    topics = np.array([int(word.word.removeprefix("word")) // 6 for word in words])
    network, table = train_speech2vec(segments, words, n_dimensions=16, window=4, n_epochs=12, learning_rate=0.01)
    untrained, _ = train_speech2vec(segments, words, n_dimensions=16, n_epochs=0)
    vectors, before = network.vectors(segments), untrained.vectors(segments)
    assert separation(vectors, labels) > 0.7
    assert separation(vectors, np.random.default_rng(0).permutation(labels)) == pytest.approx(0.5, abs=0.02)
    # What is said in the same sentences is nothing that sound alone tells: it is learnt.
    assert separation(vectors, topics) > separation(before, topics) + 0.1
    assert len(table) == N_WORDS


def test_a_words_vector_is_the_mean_of_its_tokens_and_words_are_sorted_by_how_often_they_are_said(
    toy: tuple[list[np.ndarray], list[SpokenWord]],
) -> None:
    segments, words = toy
    torch.manual_seed(1)
    network = Speech2Vec(8, 3)
    table = word_means(network, segments, words)
    tokens = network.vectors(segments)
    said = [word.word for word in words]
    assert [said.count(word) for word in table.words] == sorted((said.count(w) for w in set(said)), reverse=True)
    for word in table.words:
        mean = tokens[[other == word for other in said]].mean(0)
        np.testing.assert_allclose(table.of(word), mean, atol=1e-6)
    often = said.count(table.words[3])
    assert set(word_means(network, segments, words, often).words) == {w for w in said if said.count(w) >= often}
    with pytest.raises(ConfigError, match="lower min_count"):
        word_means(network, segments, words, 10_000)


def test_the_same_seed_gives_the_same_vectors_and_leaves_global_random_numbers_alone(
    toy: tuple[list[np.ndarray], list[SpokenWord]],
) -> None:
    segments, words = toy[0][:60], toy[1][:60]
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    one, same, other = (
        train_speech2vec(segments, words, n_dimensions=4, n_epochs=2, seed=seed)[1].vectors for seed in (0, 0, 1)
    )
    assert torch.equal(torch.rand(1), expected)
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-3


def test_a_checkpoint_gives_the_same_vectors(tmp_path: Path, toy: tuple[list[np.ndarray], list[SpokenWord]]) -> None:
    network = Speech2Vec(8, 3).eval()
    write_speech2vec(network, tmp_path / "speech2vec.safetensors")
    again = read_speech2vec(tmp_path / "speech2vec.safetensors")
    np.testing.assert_array_equal(again.vectors(toy[0][:5]), network.vectors(toy[0][:5]))
    (tmp_path / "broken.safetensors").write_bytes((tmp_path / "speech2vec.safetensors").read_bytes()[:-50])
    for name in ("broken", "missing"):
        with pytest.raises(CheckpointError, match=f"{name}.safetensors: not a Speech2Vec checkpoint"):
            read_speech2vec(tmp_path / f"{name}.safetensors")


def test_vectors_come_straight_from_sound(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    samples = rng.standard_normal(16_000).astype(np.float32)
    spans = [(0.1, 0.4), (0.4, 0.9)]
    torch.manual_seed(2)
    network = Speech2Vec(8).eval()
    np.testing.assert_array_equal(
        encode_spoken(network, samples, spans), network.vectors(WordFrames().of(samples, spans))
    )
    assert encode_spoken(network, samples, []).shape == (0, 8)
    # Louder or softer is no other word.
    np.testing.assert_allclose(
        encode_spoken(network, 0.1 * samples, spans), encode_spoken(network, samples, spans), atol=1e-3
    )


def test_a_words_frames_are_those_of_its_time() -> None:
    frames = WordFrames()
    samples = np.random.default_rng(5).standard_normal(16_000 * 4).astype(np.float32)
    samples[16_000:24_000] *= 100  # loud from 1.0 to 1.5 s, and the first coefficient is the level
    before, loud, after = frames.of(samples, [(0.2, 0.95), (1.05, 1.45), (1.6, 3.9)])
    assert loud[:, 0].min() > max(before[:, 0].max(), after[:, 0].max())
    assert [len(part) for part in (before, loud)] == [75, 40]
    assert len(after) == LONGEST_S * 100
    whole = np.concatenate(frames.of(samples, [(0.0, 1.0), (1.0, 2.0), (2.0, 3.0), (3.0, 9.0)]))
    assert len(whole) == frames.front_end.n_frames(len(samples))  # words side by side share out all frames
    np.testing.assert_allclose(whole.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(whole.std(0), 1, atol=1e-3)


def test_times_that_are_odd_are_handled_or_refused_by_name() -> None:
    frames = WordFrames()
    samples = np.zeros(16_000, np.float32)
    short, overlapping, beyond = frames.of(samples, [(0.5, 0.501), (0.4, 0.6), (0.9, 7.0)])
    assert len(short) == 1 and len(overlapping) == 20 and len(beyond) >= 8
    assert np.isfinite(short).all()  # silence has no deviation to divide by
    with pytest.raises(CorpusError, match=r"starts at 70 s of a recording of 1 s.*another unit"):
        frames.of(samples, [(70.0, 95.0)])

    def table(start: float, end: float) -> pd.DataFrame:
        return pd.DataFrame({"utterance": ["u1"], "word": ["Hello"], "start": [start], "end": [end]})

    for start, end in ((0.5, 0.5), (0.6, 0.5), (-0.1, 0.5), (float("nan"), 1.0), (0.0, float("inf"))):
        with pytest.raises(CorpusError, match=r"u1: 'Hello' from .* needs 0 <= start < end"):
            spoken_words(table(start, end))
    assert spoken_words(table(0.0, 0.5)) == (SpokenWord("u1", "hello", 0.0, 0.5),)


def test_words_are_taken_by_utterance_and_time_without_what_is_no_word() -> None:
    table = pd.DataFrame(
        {
            "utterance": ["b", "a", "a", "a", "b"],
            "word": ["You!", "b", "<laughter>", "A", "--"],
            "start": [0.0, 1.0, 0.2, 0.5, 1.0],
            "end": [0.5, 2.0, 0.4, 1.0, 2.0],
        }
    )
    words = spoken_words(table)
    assert [(word.utterance, word.word) for word in words] == [("a", "a"), ("a", "b"), ("b", "you")]
    assert sentence_lengths(words) == [2, 1] and sentence_lengths([]) == []


def test_what_cannot_be_learnt_from_is_refused_by_name(toy: tuple[list[np.ndarray], list[SpokenWord]]) -> None:
    segments, words = toy
    with pytest.raises(ConfigError, match="2 segments of 3 words"):
        train_speech2vec(segments[:2], words[:3])
    with pytest.raises(ConfigError, match="none of the 1 words has a neighbour"):
        train_speech2vec(segments[:1], words[:1])
    with pytest.raises(ConfigError, match="n_dimensions is even"):
        train_speech2vec(segments, words, n_dimensions=7)


def test_the_sound_of_the_embedded_corpus_tells_its_words_apart_across_speakers() -> None:
    from affectra.audio import read as read_audio
    from affectra.corpora.synthetic.corpus import read, render

    corpus = read(render())
    rows = corpus.manifest.set_index("utterance")
    chosen = corpus.tables["words"]["utterance"].isin(rows.index[:60])
    words = spoken_words(corpus.tables["words"][chosen])
    frames, segments = WordFrames(), []
    for utterance, group in groupby(words, key=lambda word: word.utterance):
        samples = read_audio(corpus.root / str(rows.loc[utterance, "file"]), WordFrames.sample_rate).samples
        segments += frames.of(samples, [(word.start_s, word.end_s) for word in group])
    network, _ = train_speech2vec(segments, words, n_dimensions=20, n_epochs=2, batch_size=32)
    assert separation(network.vectors(segments), np.array([word.word for word in words])) > 0.65
