"""Vectors of the words of a fold: read from a file, or learnt from its training text or speech."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from affectra.errors import ConfigError
from affectra.features.text.word_vector_frames import find_vector
from affectra.features.words.alignment.adversarial import AdversarialSettings, Count
from affectra.features.words.alignment.alignment import N_FREQUENT, N_REFINEMENTS, Start, align_spaces, shared_words
from affectra.features.words.alignment.csls import N_NEIGHBOURS
from affectra.features.words.alignment.homophones import check_homophones
from affectra.features.words.alignment.report import alignment_numbers
from affectra.features.words.spoken_words import WordFrames
from affectra.features.words.word_spaces import AcousticWords, Speech, Unknown, WordSpace, WrittenWords
from affectra.files import sha256_file
from affectra.recipes.recipe import Component
from affectra.registry import Registry, check_options
from affectra.text.skip_gram import train_skip_gram
from affectra.text.word_vectors import read_word_vectors

WORD_SPACES: Registry[Callable[..., WordSpace]] = Registry("word vectors")
START_OF = {"n_asked": "anchors", "adversary": "adversarial", "n_starts": "adversarial"}  # options of one start alone


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
    adversary: Mapping[str, Any] | None = None,
    n_starts: Count = 1,
    n_refinements: Annotated[int, Field(ge=0)] = N_REFINEMENTS,
    n_frequent: Count = N_FREQUENT,
    n_neighbours: Count = N_NEIGHBOURS,
) -> WordSpace:
    """Speech2Vec of the training speech, laid over the skip-gram space of its words.

    Args:
        training: what may be learnt from.
        unknown: has no meaning here, every sound has a vector.
        seed: of all that is drawn.
        n_dimensions: of both spaces.
        window: of Speech2Vec.
        n_epochs: of Speech2Vec.
        min_count: words that occur less often are in neither space.
        text_epochs: of the skip-grams.
        start: of the alignment: "adversarial" knows no pair of words, "anchors" are words with the same letters in
            both spaces, "axes" are the spaces' main directions.
        n_asked: of the start "anchors": words that are no anchors and test how well words find themselves; the rarest.
        adversary: of the start "adversarial": see `AdversarialSettings`.
        n_starts: of the start "adversarial": so many, of which the best by a criterion without known pairs counts.
        n_refinements: how often Procrustes on the dictionary of frequent words improves the start.
        n_frequent: words of each space that this dictionary is made of.
        n_neighbours: of the dictionary's CSLS.
    """
    from affectra.features.words.speech2vec_training import train_speech2vec  # late, it imports Lightning

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
    alignment = align_spaces(
        spoken, text, start=start, anchors=anchors, settings=AdversarialSettings(**adversary or {}), n_starts=n_starts,
        n_refinements=n_refinements, n_frequent=n_frequent, n_neighbours=n_neighbours, seed=seed,
    )  # fmt: skip
    languages = sorted({speech.language for speech in training if speech.language})
    facts = alignment_numbers(alignment, check_homophones(spoken, languages))
    return AcousticWords(network, alignment, {"alignment": facts})


def _sentences(training: Sequence[Speech]) -> list[list[str]]:
    return [[word.word for word in speech.words] for speech in training]


def check_word_space(component: Component) -> None:
    """Raise a `ConfigError` for word vectors or options that are not known, or a file that cannot be read."""
    check_options(
        f"word vectors {component.name!r}", WORD_SPACES[component.name], component.options,
        also=("training", "unknown", "seed"),
    )  # fmt: skip
    if component.name == "speech2vec":
        _check_start(component.options)
    size_of(component)


def _check_start(options: Mapping[str, Any]) -> None:
    """Raise a `ConfigError` for options of another start than the alignment has, or an unknown one of the adversary."""
    start = options.get("start", "anchors")
    for option, needed in START_OF.items():
        if option in options and start != needed:
            raise ConfigError(
                f"word vectors 'speech2vec': {option} belongs to start: {needed}, found start: {start}; leave it out"
            )
    check_options("word vectors 'speech2vec': adversary", AdversarialSettings, options.get("adversary") or {})


def size_of(component: Component) -> int:
    """Numbers a word."""
    if component.name == "file":
        return read_word_vectors(component.options["path"]).n_dimensions
    default = 50 if component.name == "speech2vec" else 100
    return int(component.options.get("n_dimensions", default))


def describe_words(component: Component) -> dict[str, Any]:
    """Describe the word vectors for environment.json: a file by its content."""
    if component.name != "file":
        return component.model_dump()
    return {"name": "file", "sha256": sha256_file(component.options["path"])}


def fit_word_space(component: Component, training: Sequence[Speech], unknown: Unknown, seed: int) -> WordSpace:
    """Vectors for the words of a fold, of which nothing but the training part is learnt from.

    Raises:
        ConfigError: too few words to learn from.
    """
    space: WordSpace = WORD_SPACES.build(
        component.name, component.options, training=training, unknown=unknown, seed=seed
    )
    return space


def known_share(space: WordSpace, speeches: Mapping[str, Speech]) -> dict[str, Any]:
    """How many of the words have a vector."""
    spoken = [word.word for speech in speeches.values() for word in speech.words]
    if not isinstance(space, WrittenWords):
        return {"said": len(spoken), "known": len(spoken)}
    return {"said": len(spoken), "known": sum(find_vector(space.table, word) is not None for word in spoken)}
