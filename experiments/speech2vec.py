"""Word spaces laid over each other: with anchors, with none, and Speech2Vec of the embedded corpus over its text.

python experiments/speech2vec.py anchors VECTORS
python experiments/speech2vec.py starts VECTORS [--seeds N]
python experiments/speech2vec.py corpus [--epochs N]

VECTORS is a file of word vectors, the most frequent word first. A start succeeds if more than half of the words find
themselves after refinement. The embedded corpus is synthetic: what is found there says nothing of human speech.
"""

import argparse
import time
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

from affectra.audio import read as read_audio
from affectra.corpora.synthetic.corpus import read, render
from affectra.features.words.alignment.adversarial import AdversarialSettings
from affectra.features.words.alignment.alignment import Start, align_spaces, shared_words
from affectra.features.words.alignment.csls import unit_vectors
from affectra.features.words.alignment.homophones import check_homophones
from affectra.features.words.alignment.report import alignment_report
from affectra.features.words.speech2vec import Speech2Vec
from affectra.features.words.speech2vec_training import train_speech2vec
from affectra.features.words.spoken_words import SpokenWord, WordFrames, spoken_words
from affectra.text.skip_gram import train_skip_gram
from affectra.text.word_vectors import WordVectors, read_word_vectors

N_ANCHORS = 100
SUCCESS = 0.5
NOISES = (0.1, 0.3, 0.5, 0.7, 1.0)
DIMENSIONS = 50


def clustered(seed: int, n_words: int = 500, n_dimensions: int = 10, n_clusters: int = 15) -> WordVectors:
    """A synthetic space: clusters of unequal size and width."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((n_clusters, n_dimensions))
    cluster = rng.choice(n_clusters, n_words, p=rng.dirichlet(np.ones(n_clusters)))
    widths = rng.uniform(0.2, 0.6, n_clusters)[cluster, None]
    vectors = centres[cluster] + widths * rng.standard_normal((n_words, n_dimensions))
    return WordVectors(tuple(f"w{row}" for row in range(n_words)), vectors.astype(np.float32))


def turned(space: WordVectors, noise: float, seed: int) -> WordVectors:
    """The space turned at random, with noise of this length beside vectors of length one."""
    rng = np.random.default_rng(seed)
    unit = unit_vectors(space.vectors)
    matrix, _ = np.linalg.qr(rng.standard_normal((unit.shape[1], unit.shape[1])))
    noisy = unit + noise * rng.standard_normal(unit.shape) / unit.shape[1] ** 0.5
    return WordVectors(space.words, (noisy @ matrix.T).astype(np.float32))


def anchors(text: WordVectors) -> None:
    """Precision with the most frequent words as anchors, for all others."""
    pairs = [(word, word) for word in text.words[:N_ANCHORS]]
    for noise in NOISES:
        for n_refinements in (0, 5):
            found = [
                align_spaces(turned(text, noise, seed), text, anchors=pairs, n_refinements=n_refinements).translation
                for seed in range(3)
            ]
            at = {place: np.mean([one.precision[place] for one in found]) for place in (1, 5)}
            print(
                f"{N_ANCHORS} anchors, noise {noise}, {n_refinements} refinements: P@1 {at[1]:.3f}, P@5 {at[5]:.3f} "
                f"of {found[0].n_words} words (3 rotations)",
                flush=True,
            )


def starts(
    name: str, text: WordVectors | None, seeds: int, noises: Sequence[float], start: Start, n_starts: int
) -> None:
    """How many of so many random rotations a start finds; without `text` each in a clustered space of its own."""
    for noise in noises:
        precisions, seconds = [], []
        for seed in range(seeds):
            space = clustered(seed) if text is None else text
            began = time.process_time()
            found = align_spaces(
                turned(space, noise, 100 + seed), space, start=start, n_starts=n_starts, seed=seed,
                settings=AdversarialSettings(),
            )  # fmt: skip
            seconds.append(time.process_time() - began)
            precisions.append(found.translation.precision[1] or 0.0)
        print(
            f"{name}, noise {noise}, {start} x {n_starts}: {sum(p > SUCCESS for p in precisions)} of {seeds} succeed, "
            f"P@1 {' '.join(f'{p:.2f}' for p in precisions)}; {np.mean(seconds):.1f} s of processor time a run",
            flush=True,
        )


def embedded_words() -> tuple[list[np.ndarray], tuple[SpokenWord, ...], list[str]]:
    """Frames of each spoken word of the embedded corpus, the words, and who said each."""
    corpus = read(render())
    rows = corpus.manifest.set_index("utterance")
    words = spoken_words(corpus.tables["words"])
    frames, segments = WordFrames(), []
    for utterance, group in groupby(words, key=lambda word: word.utterance):
        samples = read_audio(corpus.root / str(rows.loc[utterance, "file"]), WordFrames.sample_rate).samples
        segments += frames.of(samples, [(word.start_s, word.end_s) for word in group])
    return segments, words, [str(rows.loc[word.utterance, "speaker"]) for word in words]


def sameness(network: Speech2Vec, segments: list[np.ndarray], labels: np.ndarray, speakers: np.ndarray) -> float:
    """Probability that one word said by two speakers is nearer than two words said by two; 0.5 by chance."""
    vectors = network.vectors(segments)
    unit = unit_vectors(vectors - vectors.mean(0))
    pairs = np.triu(speakers[:, None] != speakers, 1)
    return float(roc_auc_score((labels[:, None] == labels)[pairs], (unit @ unit.T)[pairs]))


def corpus_spaces(n_epochs: int) -> None:
    """Speech2Vec of the embedded corpus and how it lies over text vectors of the same sentences; synthetic."""
    began = time.process_time()
    segments, words, said_by = embedded_words()
    labels, speakers = np.array([word.word for word in words]), np.array(said_by)
    print(f"{len(words)} spoken words, {len(set(labels))} different, cut in {time.process_time() - began:.0f} s")
    sentences = [[word.word for word in group] for _, group in groupby(words, key=lambda word: word.utterance)]
    text = train_skip_gram(sentences, n_dimensions=DIMENSIONS, n_epochs=50)
    for epochs in (0, n_epochs):
        began = time.process_time()
        network, speech = train_speech2vec(segments, words, n_dimensions=DIMENSIONS, n_epochs=epochs, min_count=2)
        print(
            f"\nSpeech2Vec, {epochs} epochs: {time.process_time() - began:.0f} s of processor time; same word nearer "
            f"across speakers {sameness(network, segments, labels, speakers):.3f}"
        )
        shared = list(np.random.default_rng(0).permutation(shared_words(speech, text)))
        pairs = [(word, word) for word in shared[: len(shared) // 2]]
        check = check_homophones(speech, ["en", "de"])
        ways: tuple[Start, ...] = ("anchors", "axes", "adversarial")
        for start in ways:
            found = align_spaces(speech, text, start=start, anchors=pairs if start == "anchors" else ())
            print(alignment_report(found, check)[0], flush=True)
        print(alignment_report(found, check)[1])
    print("Text vectors, the same check:", alignment_report(found, check_homophones(text, ["en", "de"]))[1])


def main() -> None:
    """Print lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("anchors", "starts", "corpus"))
    parser.add_argument("vectors", type=Path, nargs="?")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=20)
    given = parser.parse_args()
    if given.what == "corpus":
        corpus_spaces(given.epochs)
        return
    if given.vectors is None:
        parser.error(f"{given.what} needs a file of word vectors")
    text = read_word_vectors(given.vectors)
    if given.what == "anchors":
        anchors(text)
        return
    starts("clustered", None, given.seeds, (0.05,), "adversarial", 1)
    starts("clustered", None, given.seeds, (0.05,), "adversarial", 6)
    starts("clustered", None, given.seeds, (0.05,), "axes", 1)
    starts(given.vectors.stem, text, given.seeds, NOISES, "axes", 1)
    starts(given.vectors.stem, text, given.seeds, (0.1,), "adversarial", 1)


if __name__ == "__main__":
    main()
