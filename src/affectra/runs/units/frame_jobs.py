"""The jobs of a run over time: labels, frames and words of every utterance, and the folds."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from affectra.audio import probe
from affectra.corpora.manifest import Corpus
from affectra.errors import CorpusError
from affectra.features.extract import AudioSpan
from affectra.files import sha256_json
from affectra.recipes.recipe import Component, ContinuousRecipe
from affectra.runs.units.inputs import audio_spans, extract_rows
from affectra.runs.units.plan_types import Plan, Work
from affectra.runs.units.spoken_words import Words, word_timings
from affectra.runs.units.turns import dialogues_of_part, spoken_turns
from affectra.tasks.traces.raters import gold_table
from affectra.tasks.traces.table import Trace, read_traces
from affectra.training.units.frame_fold import DESCRIPTION, FrameFoldJob
from affectra.training.units.timelines import RatedUtterance
from affectra.training.units.word_space import describe_words

TABLE, RATERS = "continuous", "raters"
TARGET = "traces"  # in place of a class
N_WARNINGS = 3  # lines


def recipe_of(plan: Plan) -> ContinuousRecipe:
    """The recipe of a run over time."""
    assert isinstance(plan.recipe, ContinuousRecipe)
    return plan.recipe


class Labels(NamedTuple):
    """The labels over time of some corpora.

    Attributes:
        traces: by corpus/utterance, those without a known label left out.
        warnings: what was put right, a line each.
        raters: of each corpus whose labels were joined here from those of its raters, what environment.json says.
    """

    traces: dict[str, Trace]
    warnings: list[str]
    raters: dict[str, Any]


def traces_of(
    corpora: Sequence[Corpus], recipe: ContinuousRecipe, durations_s: Mapping[str, float] | None = None
) -> Labels:
    """The labels of utterances: a corpus's table "continuous", else the gold standard of its raters over time (EWE).

    Args:
        corpora: with their tables.
        recipe: says which dimensions, and how long a frame is.
        durations_s: of the utterances, by corpus/utterance.

    Raises:
        CorpusError: a corpus without time-continuous labels, or times or values that cannot be, by utterance.
    """
    found: dict[str, Trace] = {}
    warnings: list[str] = []
    agreements: dict[str, Any] = {}
    for corpus in corpora:
        table = corpus.tables.get(TABLE)
        if table is None and "time" in (raters := corpus.tables.get(RATERS, pd.DataFrame())):
            table, agreement = gold_table(raters, recipe.dimensions, "ewe", step_s=recipe.frames.length_s)
            agreements[corpus.name] = _agreement_facts(agreement)
        if table is None:
            raise CorpusError(
                f"{corpus.name}: no time-continuous labels; expected a corpus with a table {TABLE!r}, such as sewa or "
                f"synthetic, or a table {RATERS!r} with times, opened by its folder: --corpus NAME=FOLDER"
            )
        name = corpus.manifest["corpus"].iloc[0]
        own = {key.removeprefix(f"{name}/"): length for key, length in (durations_s or {}).items()
               if key.startswith(f"{name}/")}  # fmt: skip
        traces = read_traces(
            table, recipe.dimensions, step_s=recipe.frames.length_s, durations_s=own,
            source=f"{corpus.name}: {TABLE}",
        )  # fmt: skip
        found |= {f"{name}/{key}": trace for key, trace in traces.by_utterance.items() if trace.known.any()}
        warnings += traces.warnings
    return Labels(found, warnings, agreements)


def _agreement_facts(agreement: pd.DataFrame) -> dict[str, Any]:
    """How the raters of a corpus agree: the method, how many rate a recording, means over recordings by dimension."""
    facts: dict[str, Any] = {"method": "ewe", "n_raters": sorted({int(n) for n in agreement["n_raters"]})}
    for measure in ("ccc", "pearson"):
        means = {str(name): float(of.mean()) for name, of in agreement.groupby("dimension", sort=False)[measure]}
        facts[measure] = {name: None if math.isnan(mean) else mean for name, mean in means.items()}  # of one rater
    return facts


def recorded_turns(plan: Plan) -> pd.DataFrame:
    """As `spoken_turns`, those with a recording."""
    turns = spoken_turns(plan)
    return turns[turns["file"] != ""].reset_index(drop=True)


def prepare(plan: Plan, threads: int, say: Callable[[str], None]) -> Work:
    """Read labels and words, compute the features of every utterance, and say what is to be trained."""
    recipe, turns, corpora = recipe_of(plan), recorded_turns(plan), plan.data.corpora
    spans = audio_spans(turns, corpora)
    durations = dict(zip(turns["corpus"] + "/" + turns["utterance"], map(_duration, spans), strict=True))
    traces, warnings, raters = traces_of(corpora, recipe, durations)
    for line in [*warnings[:N_WARNINGS], *([f"{len(warnings)} such warnings"] if len(warnings) > N_WARNINGS else [])]:
        say(f"labels: {line}")
    for name, agreement in raters.items():
        say(f"labels: {name}: the gold standard (EWE) of its raters, whose CCC is {agreement['ccc']}")
    of_key = dict(zip(turns["key"], durations.values(), strict=True))
    read: Words = {}
    tested: Words = {}
    facts: dict[str, Any] = {"raters": raters} if raters else {}
    if recipe.words is not None:
        read, tested, facts_of_words = word_timings(corpora, turns, of_key, recipe.words, say)
        facts |= facts_of_words
        facts["words"] |= {"vectors": describe_words(recipe.words.vectors)}
    acoustic = _frames(turns, plan, recipe.frames.front_end)
    described = _frames(turns, plan, Component(**DESCRIPTION) if recipe.delay_s == "search" else None)  # type: ignore[arg-type]
    say(f"features of {len(turns)} utterances are ready")

    def rated(words: Words) -> dict[str, RatedUtterance]:
        return {
            row["key"]: RatedUtterance(
                key=row["key"],
                corpus=row["corpus"],
                speaker=row["speaker"],
                span=span,
                n_frames=math.ceil(of_key[row["key"]] / recipe.frames.length_s - 1e-6),
                frames=acoustic.get(row["key"]),
                described=described.get(row["key"]),
                trace=traces.get(f"{row['corpus']}/{row['utterance']}") if row["target"] else None,
                words=words.get(row["key"], ()),
                language=row["language"],
            )
            for row, span in zip(turns.to_dict("records"), spans, strict=True)
        }

    utterances, in_tests = rated(read), rated(tested)
    folds = [
        _fold_job(plan, turns, utterances, in_tests, seed, k, threads)
        for seed in range(recipe.seeds)
        for k in range(len(plan.data.splits.folds))
    ]
    return Work((), tuple(folds), {key: _hash(one, in_tests[key]) for key, one in utterances.items()}, facts)


def _duration(span: AudioSpan) -> float:
    end_s = probe(span.audio).duration_s if span.end_s is None else span.end_s
    return end_s - span.start_s


def _frames(turns: pd.DataFrame, plan: Plan, front_end: Component | None) -> dict[str, Path]:
    """Files with the frames of a front end, by key."""
    if front_end is None:
        return {}
    found = extract_rows(turns, plan.data.corpora, front_end)[0]
    return {key: cached.path for key, cached in zip(turns["key"], found, strict=True)}


def _hash(one: RatedUtterance, tested: RatedUtterance) -> str:
    """Hash the audio, words and ratings of an utterance; the names of cached frames tell the content."""
    timings = [[(w.word, w.start_s, w.end_s) for w in words] for words in (one.words, tested.words)]
    trace = None if one.trace is None else one.trace.with_gaps.round(9).astype(str).tolist()
    return sha256_json([one.frames.name if one.frames else "", timings, trace])


def _fold_job(
    plan: Plan,
    turns: pd.DataFrame,
    utterances: Mapping[str, RatedUtterance],
    in_tests: Mapping[str, RatedUtterance],
    seed: int,
    k: int,
    threads: int,
) -> FrameFoldJob:
    fold = plan.data.splits.folds[k]
    dialogues = {part: tuple(dialogues_of_part(turns, fold, part)) for part in ("train", "dev", "test")}
    keys = {part: {key for dialogue in found for key in dialogue.keys} for part, found in dialogues.items()}
    in_training = keys["train"] | keys["dev"]
    return FrameFoldJob(
        folder=plan.fold_folder(seed, k),
        seed=seed,
        fold=k,
        recipe=recipe_of(plan),
        trained={key: one for key, one in utterances.items() if key in in_training},
        tested={key: one for key, one in in_tests.items() if key in keys["test"]},
        train=dialogues["train"],
        dev=dialogues["dev"],
        test=dialogues["test"],
        parts={part: tuple(getattr(fold, part)) for part in ("train", "dev", "test")},
        threads=threads,
        origin={"synthetic": plan.data.synthetic, "provenance": {**plan.provenance, "fold": k, "seed": seed}},
    )
