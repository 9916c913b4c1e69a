"""Transcripts of a recogniser, or corrupted ones, in place of the corpus's own."""

from collections.abc import Callable
from typing import Any

import pandas as pd

from affectra.asr.corruption import Corruption, Vocabulary, generator
from affectra.asr.transcripts import RECOGNIZERS, transcribe_files
from affectra.asr.word_errors import WordErrors, corpus_word_errors
from affectra.corpora.utterance import Corpus
from affectra.errors import AudioError, ConfigError
from affectra.recipe import Transcripts
from affectra.registry import check_options, unknown_name
from affectra.units.material import stretches_of

CORRUPTION = "corruption"


def check_transcripts(transcripts: Transcripts) -> None:
    """Raise a `ConfigError` for an unknown recogniser or option."""
    name, options = transcripts.source.name, transcripts.source.options
    if name == CORRUPTION:
        check_options(name, Corruption, options)
        Corruption(**options)
    elif name in RECOGNIZERS:
        RECOGNIZERS.check_options(name, options)
    else:
        raise ConfigError(unknown_name("source of transcripts", name, [CORRUPTION, *RECOGNIZERS]))


def transcribe_turns(
    corpora: tuple[Corpus, ...], turns: pd.DataFrame, transcripts: Transcripts, say: Callable[[str], None]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The turns with other words, and how far these are from the corpus's own.

    A recogniser hears the turns that have a recording; the others have no words then. What corruption puts in is drawn
    from all transcripts of the run, tested ones too: their words, never their labels.

    Args:
        corpora: where the recordings lie.
        turns: rows of the manifest with a `key`.
        transcripts: of the recipe.
        say: takes lines of progress.

    Returns:
        The turns, and for environment.json: source, used, word_error_rate (None where the corpus has no transcripts),
        n_words.
    """
    name, options = transcripts.source.name, transcripts.source.options
    if name == CORRUPTION:
        corruption, vocabulary = Corruption(**options), Vocabulary.of(turns["text"])
        texts = [
            corruption.corrupt(text, vocabulary, generator(0, key))
            for key, text in zip(turns["key"], turns["text"], strict=True)
        ]
    else:
        texts = _recognize(corpora, turns, transcripts, say)
    given = turns["text"] != ""
    errors = corpus_word_errors(zip(turns["text"][given], pd.Series(texts, turns.index)[given], strict=True))
    fact = {
        "source": name, "options": dict(options), "used": transcripts.used, "n_words": errors.n_reference,
        "word_error_rate": errors.rate if errors.n_reference else None,
    }  # fmt: skip
    say(f"transcripts by {name}: {_rate(errors)} over {errors.n_reference} words")
    return turns.assign(text=texts), fact


def _rate(errors: WordErrors) -> str:
    return f"word error rate {errors.rate:.3f}" if errors.n_reference else "no reference to count errors against"


def _recognize(
    corpora: tuple[Corpus, ...], turns: pd.DataFrame, transcripts: Transcripts, say: Callable[[str], None]
) -> list[str]:
    heard = turns[turns["file"] != ""]
    say(f"recognising the words of {len(heard)} turns")
    found = transcribe_files(stretches_of(heard, corpora), transcripts.source.name, transcripts.source.options)
    if found.refused:
        first = next(iter(found.refused.values()))
        more = f" ({len(found.refused) - 1} more recordings are refused)" if len(found.refused) > 1 else ""
        raise AudioError(f"{first}{more}")
    said = dict(zip(heard["key"], (t.text for t in found.transcripts if t is not None), strict=True))
    return [said.get(key, "") for key in turns["key"]]
