"""The words of a run's utterances with their times: from the corpus, by alignment, or from a recogniser."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from affectra.audio import read
from affectra.corpora.manifest import Corpus
from affectra.errors import AudioError, ConfigError, CorpusError
from affectra.features.extract import AudioSpan
from affectra.features.words.spoken_words import SpokenWord, spoken_words, spread_words, timed_rows
from affectra.recipes.recipe import Transcripts, WordInput
from affectra.registry import unknown_name
from affectra.runs.units.inputs import audio_spans
from affectra.text.asr.pocketsphinx import PocketSphinx
from affectra.text.asr.transcripts import RECOGNIZERS, transcribe_files
from affectra.text.asr.word_errors import corpus_word_errors

Words = dict[str, tuple[SpokenWord, ...]]
ASR_RATE = 16_000  # Hz, PocketSphinx's


def check_transcripts(transcripts: Transcripts) -> None:
    """Raise a `ConfigError` for an unknown recogniser or option; what has no times, as corruption, is none here."""
    if transcripts.source.name not in RECOGNIZERS:
        raise ConfigError("words.transcripts: " + unknown_name("recogniser", transcripts.source.name, RECOGNIZERS))
    RECOGNIZERS.check_options(transcripts.source.name, transcripts.source.options)


def word_timings(
    corpora: Sequence[Corpus],
    rows: pd.DataFrame,
    durations_s: Mapping[str, float],
    recipe: WordInput,
    say: Callable[[str], None],
) -> tuple[Words, Words, dict[str, Any]]:
    """The words of utterances that training reads, and those that tests read.

    Args:
        corpora: with their tables.
        rows: of the manifest, with the column `key`.
        durations_s: of the utterances, by key.
        recipe: what the recipe says of words.
        say: takes lines of progress.

    Returns:
        Both by key, and what environment.json says of them.

    Raises:
        CorpusError: times that cannot be, by the utterance's name, or no word at all.
        AudioError: recordings that a recogniser refuses.
    """
    own, counts = corpus_words(corpora, rows, durations_s, align=recipe.times == "alignment")
    facts: dict[str, Any] = {"words": {"n": sum(map(len, own.values())), "utterances": dict(counts)}}
    say(f"{facts['words']['n']} words; utterances by where their times come from: " + _counts_text(counts))
    if recipe.transcripts is None:
        if not facts["words"]["n"]:
            raise CorpusError(
                f"{rows['corpus'].iloc[0]}: none of {len(rows)} utterances has a word; the corpus needs a table of "
                "words, transcripts or texts, or give words.transcripts a recogniser, or set words to null"
            )
        return own, own, facts
    recognized, facts["transcripts"] = recognized_words(corpora, rows, durations_s, recipe.transcripts, say)
    return (own if recipe.transcripts.used == "test" else recognized), recognized, facts


def corpus_words(
    corpora: Sequence[Corpus], rows: pd.DataFrame, durations_s: Mapping[str, float], *, align: bool
) -> tuple[Words, Counter[str]]:
    """The corpus's own words, with the best times that there are for each utterance.

    These are the rows of the table "words"; else the spans of the table "transcripts", else the whole utterance
    with the manifest's text, in which the words are found by forced alignment or, without it or where it fails, spread
    by their letters (ours). An utterance without any has no words.

    Args:
        corpora: with their tables.
        rows: of the manifest, with the column `key`.
        durations_s: of the utterances, by key.
        align: whether to align; PocketSphinx, extra `asr`.

    Returns:
        By key, and how many utterances have words that are "timed", "aligned", "spread", or are "without".

    Raises:
        CorpusError: a word or span without a time, one that ends before it starts, or that starts behind the
            recording.
    """
    aligner = PocketSphinx() if align else None
    found: Words = {}
    counts: Counter[str] = Counter()
    for corpus in corpora:
        mine = rows[rows["corpus"].isin(corpus.manifest["corpus"].unique())]
        timed, spans = _tables(corpus, set(mine["utterance"]))
        for row, span in zip(mine.to_dict("records"), audio_spans(mine, corpora), strict=True):
            key, duration_s = row["key"], durations_s[row["key"]]
            if row["utterance"] in timed:
                words, how = timed[row["utterance"]], "timed"
            else:
                timed_texts = spans.get(row["utterance"], [(0.0, duration_s, row["text"])])
                words, how = _placed(timed_texts, span, aligner)
            found[key] = tuple(SpokenWord(key, word.word, word.start_s, word.end_s) for word in words)
            _refuse_behind(found[key], duration_s)
            counts[how if words else "without"] += 1
    return found, counts


def _counts_text(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in sorted(counts.items()))


def _refuse_behind(words: Sequence[SpokenWord], duration_s: float) -> None:
    for word in words:
        if word.start_s >= duration_s:
            raise CorpusError(
                f"words: {word.utterance}: {word.word!r} starts at {word.start_s:g} s of {duration_s:g} s; are its "
                "times those of another file, or in another unit than seconds?"
            )


def _tables(
    corpus: Corpus, names: set[str]
) -> tuple[dict[str, list[SpokenWord]], dict[str, list[tuple[float, float, str]]]]:
    """Words with times, and spans of text, by utterance."""
    timed: dict[str, list[SpokenWord]] = {}
    if (table := corpus.tables.get("words")) is not None:
        for word in spoken_words(_of_these(table, names), f"{corpus.name}: words"):
            timed.setdefault(word.utterance, []).append(word)
    spans: dict[str, list[tuple[float, float, str]]] = {}
    if (table := corpus.tables.get("transcripts")) is not None:
        for name, text, start, end in timed_rows(_of_these(table, names), "text", f"{corpus.name}: transcripts"):
            spans.setdefault(name, []).append((start, end, text))
    return timed, spans


def _of_these(table: pd.DataFrame, names: set[str]) -> pd.DataFrame:
    """Rows of some utterances; of a table that does not say of which, all."""
    return table[table["utterance"].isin(names)] if "utterance" in table else table


def _placed(
    timed_texts: Sequence[tuple[float, float, str]], span: AudioSpan, aligner: PocketSphinx | None
) -> tuple[list[SpokenWord], str]:
    """Words of spans of an utterance, and how they got their times."""
    words: list[SpokenWord] = []
    hows = set()
    for start_s, end_s, text in timed_texts:
        aligned = [] if aligner is None else _aligned(start_s, end_s, text, span, aligner)
        words += aligned or spread_words(text, start_s, end_s)
        hows.add("aligned" if aligned else "spread")
    return words, "aligned" if hows == {"aligned"} else "spread"


def _aligned(start_s: float, end_s: float, text: str, span: AudioSpan, aligner: PocketSphinx) -> list[SpokenWord]:
    """Words by forced alignment; none where the text cannot be found."""
    try:
        samples = read(span.audio, ASR_RATE, start_s=span.start_s + start_s, end_s=span.start_s + end_s).samples
        found = aligner.align(samples, ASR_RATE, text)
    except AudioError:  # a wrong transcript, or speech that the English model does not follow
        return []
    return [SpokenWord("", word.word, start_s + word.start_s, start_s + word.end_s) for word in found]


def recognized_words(
    corpora: Sequence[Corpus],
    rows: pd.DataFrame,
    durations_s: Mapping[str, float],
    transcripts: Transcripts,
    say: Callable[[str], None],
) -> tuple[Words, dict[str, Any]]:
    """Recognise spoken words and their times; without times, the words are spread over the utterance.

    Returns:
        By key, and for environment.json: source, used, word_error_rate (None where the corpus has no text), n_words.
    """
    name, options = transcripts.source.name, transcripts.source.options
    say(f"recognising the words of {len(rows)} utterances")
    found = transcribe_files(audio_spans(rows, corpora), name, options)
    if found.refused:
        first = next(iter(found.refused.values()))
        more = f" ({len(found.refused) - 1} more recordings are refused)" if len(found.refused) > 1 else ""
        raise AudioError(f"{first}{more}")
    words: Words = {}
    texts = []
    for key, recognized in zip(rows["key"], found.transcripts, strict=True):
        assert recognized is not None
        texts.append(recognized.text)
        placed: Iterator[SpokenWord] | Sequence[SpokenWord] = (
            [SpokenWord("", word.word, word.start_s, word.end_s) for word in recognized.words]
            if recognized.words
            else spread_words(recognized.text, 0.0, durations_s[key])
        )
        words[key] = tuple(SpokenWord(key, word.word, word.start_s, word.end_s) for word in placed)
    given = (rows["text"] != "").to_numpy()
    errors = corpus_word_errors(
        (reference, text) for reference, text, is_given in zip(rows["text"], texts, given, strict=True) if is_given
    )
    fact = {
        "source": name, "options": dict(options), "used": transcripts.used, "n_words": errors.n_reference,
        "word_error_rate": errors.rate if errors.n_reference else None,
    }  # fmt: skip
    return words, fact
