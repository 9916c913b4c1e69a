"""Transcripts of a recogniser, or corrupted ones, in place of the corpus's own or where it has none."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pandas as pd

from affectra.corpora.manifest import Corpus
from affectra.errors import AudioError, ConfigError
from affectra.recipes.recipe import Transcripts
from affectra.registry import check_options, unknown_name
from affectra.runs.units.inputs import audio_spans
from affectra.splits.protocols.folds import Fold
from affectra.text.asr.corruption import Corruption, Vocabulary, generator
from affectra.text.asr.transcripts import RECOGNIZERS, transcribe_files
from affectra.text.asr.word_errors import WordErrors, corpus_word_errors

CORRUPTION = "corruption"
MISSING = "missing"


class TurnTexts(NamedTuple):
    """The words of a fold's turns.

    Attributes:
        trained: turns as training reads them.
        tested: turns as they are read in tests; at least those of the dialogues that are tested.
    """

    trained: pd.DataFrame
    tested: pd.DataFrame


def check_transcripts(transcripts: Transcripts) -> None:
    """Raise a `ConfigError` for an unknown recogniser or option."""
    name, options = transcripts.source.name, transcripts.source.options
    if name == CORRUPTION and transcripts.used == MISSING:
        raise ConfigError(
            f"transcripts.used: {MISSING} fills words in, and {name} has none for a turn without a text; name a "
            f"recogniser as transcripts.source: {', '.join(RECOGNIZERS)}"
        )
    if name == CORRUPTION:
        check_options(name, Corruption, options)
        Corruption(**options)
    elif name in RECOGNIZERS:
        RECOGNIZERS.check_options(name, options)
    else:
        raise ConfigError(unknown_name("source of transcripts", name, [CORRUPTION, *RECOGNIZERS]))


def is_recognised(transcripts: Transcripts | None) -> bool:
    """Whether words are taken from the recordings, so that a turn has them without a text."""
    return transcripts is not None and transcripts.source.name != CORRUPTION


def transcribe_turns(
    corpora: tuple[Corpus, ...],
    turns: pd.DataFrame,
    folds: Sequence[Fold],
    transcripts: Transcripts,
    say: Callable[[str], None],
) -> tuple[list[TurnTexts], dict[str, Any]]:
    """The turns of each fold with other words, and how far these are from the corpus's own.

    A recogniser gets the turns that have a recording; the others have no words then, or keep theirs where it gets
    those without a text alone. What corruption puts in is drawn from the transcripts that a fold learns from, so
    nothing that is tested is seen in training.

    Args:
        corpora: where the recordings lie.
        turns: as `spoken_turns` gives them.
        folds: who is learnt from and tested.
        transcripts: of the recipe.
        say: takes lines of progress.

    Returns:
        The turns of each fold, and for environment.json: source, options, used, and of the turns that are scored
        word_error_rate (None where the corpus has no transcripts of them) and n_words; where only missing texts are
        filled in also n_missing, turns without a text, and n_filled, those that have words now.
    """
    name, is_always = transcripts.source.name, transcripts.used == "always"
    fact: dict[str, Any] = {"source": name, "options": dict(transcripts.source.options), "used": transcripts.used}
    if transcripts.used == MISSING:
        filled, counts = _fill_in(corpora, turns, transcripts, say)
        return [TurnTexts(filled, filled)] * len(folds), {**fact, **counts}
    read = [turns if is_always else _of_tested_dialogues(turns, [fold]) for fold in folds]
    if is_recognised(transcripts):
        found = _recognize(corpora, turns if is_always else _of_tested_dialogues(turns, folds), transcripts, say)
        written = [rows.assign(text=found["text"], has_text=found["has_text"]) for rows in read]
    else:
        written = [_corrupt(rows, turns, fold, transcripts) for rows, fold in zip(read, folds, strict=True)]
    errors = sum((_errors(turns, rows, fold) for rows, fold in zip(written, folds, strict=True)), WordErrors())
    rate = errors.rate if errors.n_reference else None
    summary = f"word error rate {rate:.3f}" if rate is not None else "no reference to count errors against"
    say(f"transcripts by {name}: {summary} over {errors.n_reference} words of the turns that are scored")
    fact |= {"word_error_rate": rate, "n_words": errors.n_reference}
    return [TurnTexts(rows if is_always else turns, rows) for rows in written], fact


def _fill_in(
    corpora: tuple[Corpus, ...], turns: pd.DataFrame, transcripts: Transcripts, say: Callable[[str], None]
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """All turns, those without a text with the recogniser's words; no errors to count, for they have no reference."""
    missing = turns[~turns["has_text"]]
    found = _recognize(corpora, missing, transcripts, say)
    filled = turns.copy()
    filled.loc[found.index, ["text", "has_text"]] = found
    n_filled = int((found["text"] != "").sum())
    say(f"transcripts by {transcripts.source.name}: words in {n_filled} of {len(missing)} turns without a text")
    return filled, {"word_error_rate": None, "n_words": 0, "n_missing": len(missing), "n_filled": n_filled}


def _of_tested_dialogues(turns: pd.DataFrame, folds: Sequence[Fold]) -> pd.DataFrame:
    tested = {key for fold in folds for key in fold.test}
    return turns[turns["conversation"].isin(set(turns.loc[turns["key"].isin(tested), "conversation"]))]


def _errors(given: pd.DataFrame, written: pd.DataFrame, fold: Fold) -> WordErrors:
    scored = written[written["key"].isin(set(fold.test))]
    reference = given["text"].loc[scored.index]
    return corpus_word_errors((a, b) for a, b in zip(reference, scored["text"], strict=True) if a)


def _corrupt(rows: pd.DataFrame, turns: pd.DataFrame, fold: Fold, transcripts: Transcripts) -> pd.DataFrame:
    vocabulary = Vocabulary.of(turns.loc[turns["key"].isin(set(fold.train)), "text"])
    corruption = Corruption(**transcripts.source.options)
    texts = [
        corruption.corrupt(text, vocabulary, generator(0, key))
        for key, text in zip(rows["key"], rows["text"], strict=True)
    ]
    return rows.assign(text=texts)


def _recognize(
    corpora: tuple[Corpus, ...], turns: pd.DataFrame, transcripts: Transcripts, say: Callable[[str], None]
) -> pd.DataFrame:
    """`text` and `has_text` of turns: a turn in which no word was recognised has a text too, an empty one."""
    recorded = turns[turns["has_audio"]]
    say(f"recognising the words of {len(recorded)} turns")
    found = transcribe_files(audio_spans(recorded, corpora), transcripts.source.name, transcripts.source.options)
    if found.refused:
        first = next(iter(found.refused.values()))
        more = f" ({len(found.refused) - 1} more recordings are refused)" if len(found.refused) > 1 else ""
        raise AudioError(f"{first}{more}")
    texts = pd.Series([t.text for t in found.transcripts if t is not None], recorded.index, dtype=object)
    return pd.DataFrame({"text": texts.reindex(turns.index, fill_value=""), "has_text": turns["has_audio"]})
