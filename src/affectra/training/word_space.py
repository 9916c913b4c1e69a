"""Vectors of the words of a fold: read from a file, learnt from its training text, or heard in its training speech."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from affectra.errors import ConfigError
from affectra.features.word_vector_frames import find_vector
from affectra.files import sha256_file
from affectra.recipe import Component
from affectra.registry import Registry, check_options
from affectra.semantics.alignment import Start, align_spaces, shared_words
from affectra.semantics.homophones import check_homophones
from affectra.semantics.report import alignment_numbers
from affectra.semantics.spoken_words import WordFrames
from affectra.semantics.word_spaces import HeardWords, Speech, Unknown, WordSpace, WrittenWords
from affectra.text.skip_gram import train_skip_gram
from affectra.text.word_vectors import read_word_vectors

WORD_SPACES: Registry[Callable[..., WordSpace]] = Registry("word vectors")


@WORD_SPACES.register("file")
def _file(*, path: str, training: Sequence[Speech], unknown: Unknown, seed: int) -> WordSpace:
    del training
    return WrittenWords(read_word_vectors(path), unknown, seed)


@WORD_SPACES.register("skip-gram")
def _skip_gram(
    *,
    training: Sequence[Speech],
    unknown: Unknown,
    seed: int,
    n_dimensions: int = 100,
    window: int = 4,
    n_negatives: int = 10,
    min_count: int = 2,
    subsample: float = 1e-3,
    n_epochs: int = 20,
    learning_rate: float = 0.1,
) -> WordSpace:
    table = train_skip_gram(
        _sentences(training), n_dimensions=n_dimensions, window=window, n_negatives=n_negatives, min_count=min_count,
        subsample=subsample, n_epochs=n_epochs, learning_rate=learning_rate, seed=seed,
    )  # fmt: skip
    return WrittenWords(table, unknown, seed)


@WORD_SPACES.register("speech2vec")
def _speech2vec(
    *,
    training: Sequence[Speech],
    unknown: Unknown,
    seed: int,
    n_dimensions: int = 50,
    window: int = 3,
    n_epochs: int = 20,
    min_count: int = 2,
    text_epochs: int = 20,
    start: Start = "anchors",
    n_asked: int = 20,
) -> WordSpace:
    """Speech2Vec of the training speech, laid over the skip-gram space of what is said in it.

    Args:
        training: what may be learnt from.
        unknown: has no meaning here, every sound has a vector.
        seed: of all that is drawn.
        n_dimensions: of both spaces.
        window: of Speech2Vec.
        n_epochs: of Speech2Vec.
        min_count: words said less often are in neither space.
        text_epochs: of the skip-grams.
        start: of the alignment; "anchors" are the words of the transcripts themselves.
        n_asked: words that are no anchors and tell how well words find themselves; the rarest ones.
    """
    from affectra.semantics.speech2vec_training import train_speech2vec  # late, it imports Lightning

    del unknown
    words = [word for speech in training for word in speech.words]
    frames = WordFrames()
    segments = [
        segment
        for speech in training
        if speech.words
        for segment in frames.of(speech.samples(), [(word.start_s, word.end_s) for word in speech.words])
    ]
    network, spoken = train_speech2vec(
        segments, words, n_dimensions=n_dimensions, window=window, n_epochs=n_epochs, seed=seed, min_count=min_count
    )
    text = train_skip_gram(
        _sentences(training), n_dimensions=n_dimensions, min_count=min_count, n_epochs=text_epochs, seed=seed
    )
    shared = shared_words(spoken, text)
    if start == "anchors" and len(shared) <= n_asked:
        raise ConfigError(
            f"word vectors 'speech2vec': {len(shared)} words are in both spaces and {n_asked} of them are kept to "
            "test the alignment; lower n_asked or min_count, or give more speech"
        )
    anchors = [(word, word) for word in shared[: len(shared) - n_asked]] if start == "anchors" else []
    alignment = align_spaces(spoken, text, start=start, anchors=anchors, seed=seed)
    languages = sorted({speech.language for speech in training if speech.language})
    told = alignment_numbers(alignment, check_homophones(spoken, languages))
    return HeardWords(network, alignment, {"alignment": told})


def _sentences(training: Sequence[Speech]) -> list[list[str]]:
    return [[word.word for word in speech.words] for speech in training]


def check_word_space(component: Component) -> None:
    """Raise a `ConfigError` for word vectors or options that are not known, or a file that cannot be read."""
    check_options(
        f"word vectors {component.name!r}", WORD_SPACES[component.name], component.options,
        also=("training", "unknown", "seed"),
    )  # fmt: skip
    size_of(component)


def size_of(component: Component) -> int:
    """Numbers a word."""
    if component.name == "file":
        return read_word_vectors(component.options["path"]).n_dimensions
    default = 50 if component.name == "speech2vec" else 100
    return int(component.options.get("n_dimensions", default))


def describe_words(component: Component) -> dict[str, Any]:
    """What environment.json says of the vectors: a file by its content."""
    if component.name != "file":
        return component.model_dump()
    return {"name": "file", "sha256": sha256_file(component.options["path"])}


def fit_word_space(component: Component, training: Sequence[Speech], unknown: Unknown, seed: int) -> WordSpace:
    """Vectors for the words of a fold, of which nothing but the training part is learnt from.

    Raises:
        ConfigError: too little is said there to learn from.
    """
    space: WordSpace = WORD_SPACES.build(
        component.name, component.options, training=training, unknown=unknown, seed=seed
    )
    return space


def known_share(space: WordSpace, speeches: Mapping[str, Speech]) -> dict[str, Any]:
    """How much of what is said has a vector."""
    said = [word.word for speech in speeches.values() for word in speech.words]
    if not isinstance(space, WrittenWords):
        return {"said": len(said), "known": len(said)}
    return {"said": len(said), "known": sum(find_vector(space.table, word) is not None for word in said)}
