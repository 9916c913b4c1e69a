"""The part of a report that is of labels over time: agreement, delay, words, recordings, and timelines."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from affectra.errors import CheckpointError
from affectra.evaluation.run_directory import Run
from affectra.files import read_json
from affectra.reports.facts import paper_text, stamps
from affectra.reports.pages import Section
from affectra.reports.timelines import mean_known, timelines
from affectra.tasks.dimensions import recording_scores
from affectra.tasks.statistics import score_text
from affectra.tasks.traces.postprocessing import PostProcessing

FITTED = "traces.json"  # of a fold, as `FrameFoldJob.run` writes it
DELAYS = {
    "given": "The delay was given by the recipe, not fitted.",
    "dev": "The delay was searched on the dev part.",
    "training folds": "The delay was searched on folds of the training part.",
    None: "The delay was searched without the test part.",  # of a run that does not say more
}
HOMOPHONES = {
    "near": "as in a space learnt from sound",
    "not near": "NOT as in a space learnt from sound",
    "n/a": "too few to tell",
}
STARTS = {
    "adversarial": ", aligned by an adversary without any known pair",
    "anchors": ", aligned from identical words",
    "axes": ", aligned by their main directions",
}
N_RECORDINGS = 40  # rows of the table; how many more are left out is shown
TITLES = {
    "ccc": "CCC",
    "ccc_avec": "CCC, formula of AVEC",
    "ccc_per_recording": "CCC, mean over recordings",
    "pearson": "Pearson's correlation",
    "rmse": "RMSE",
}


def facts(run: Run) -> dict[str, Any]:
    """Everything that the template `over_time` shows; numbers are formatted there."""
    recordings = recording_scores(run.task, run.predictions)
    means = {name: mean_known(scores) for name, scores in recordings.items()}
    scored = sorted((mean, name) for name, mean in means.items() if mean is not None)
    speakers = run.scores["per_speaker"]
    return {
        "dimensions": run.scores["dimensions"],
        "headline": list(_headline(run)),
        "agreement": TITLES,
        "probes": [],
        "speakers": sorted(speakers.items(), key=lambda item: (item[1]["mean_ccc"] or 0.0, item[0])),
        "recordings": [(name, mean, recordings[name]) for mean, name in scored[:N_RECORDINGS]],
        "n_recordings": len(scored),
        "n_unscored": len(means) - len(scored),
        "postprocessing": list(_postprocessing(run)),
        "postprocessing_note": " ".join(_postprocessing_note(run)),
        "words": list(word_lines(run)),
        "raters": list(_raters(run)),
        "attention": _attention(run),
    }


def sections(run: Run) -> Iterator[Section]:
    """Timelines of a few recordings."""
    yield from timelines(run, recording_scores(run.task, run.predictions))


def overview_line(name: str, run: Run) -> dict[str, Any]:
    """The row of a run in an overview."""
    scores = run.scores
    return {
        "name": name,
        "recipe": run.recipe["name"],
        "protocol": scores["protocol"]["name"],
        "corpora": ", ".join(run.environment["corpora"]),
        "n_seeds": scores["n_seeds"],
        "folds_done": scores["folds_done"],
        "n_recordings": scores["n_utterances"],
        "mean": scores["metrics"]["mean_ccc"],
        "mean_interval": scores["interval"]["mean_ccc"],
        "ccc": scores["metrics"]["ccc"],
        "interval": scores["interval"]["ccc"],
        "stamps": stamps(scores),
    }


def _headline(run: Run) -> Iterator[dict[str, Any]]:
    """A row a dimension, then their mean."""
    metrics, interval, paper = run.scores["metrics"], run.scores["interval"], run.scores["paper"]["ccc"]
    for name in run.scores["dimensions"]:
        yield {
            "title": name,
            "interval": interval["ccc"][name],
            "mean_over_folds": run.scores["mean_over_folds"]["ccc"][name],
            "paper": paper_text(run.recipe["paper"], f"ccc_{name}", paper.get(name) is not None),
            **{key: metrics[key][name] for key in TITLES},
        }
    yield {
        "title": "mean",
        "interval": interval["mean_ccc"],
        "mean_over_folds": run.scores["mean_over_folds"]["mean_ccc"],
        "paper": "",
        **{key: mean_known(metrics[key]) for key in TITLES},
    }


def _postprocessing(run: Run) -> Iterator[dict[str, Any]]:
    """Delay and post-processing of each fold, a row a dimension; nothing where no fold has any.

    Raises:
        CheckpointError: a fold's traces.json is not one.
    """
    for fold in run.scores["per_fold"]:
        path = run.fold_folder(fold["seed"], fold["fold"]) / FITTED
        if (content := _read_fitted(path)) is None:
            continue
        if not isinstance(content.get("delay_s"), dict):
            raise CheckpointError(f"{path}: delay_s is missing; expected the delay of each dimension, s")
        found = content.get("postprocessing")
        if _delay_from(content) == "given" and not any(content["delay_s"].values()) and not found:
            continue
        fitted = PostProcessing.from_json(found, str(path)).by_dimension if found else {}
        for name in run.scores["dimensions"]:
            yield {
                "seed": fold["seed"],
                "fold": fold["fold"],
                "dimension": name,
                "delay_s": content["delay_s"].get(name),
                "postprocessing": fitted.get(name),
            }


def _delay_from(content: Mapping[str, Any]) -> str | None:
    """How a delay came about, a key of `DELAYS`."""
    found: str | None = content.get("delay_from", None if "searched" in content else "given")
    return found if found in DELAYS else None


def _postprocessing_note(run: Run) -> Iterator[str]:
    """Where delay and post-processing come from."""
    contents = list(_contents(run))
    found = {_delay_from(content) for content in contents}
    yield from (text for origin, text in DELAYS.items() if origin in found)
    if any(content.get("postprocessing") for content in contents):
        yield "Post-processing was fitted on the dev part alone."


def word_lines(run: Run) -> Iterator[str]:
    """How many of the tested words have a vector, and whether a space of sound lies over that of the text."""
    found = [content["words"] for content in _contents(run) if content.get("words")]
    tested = [part["test"] for part in found if part.get("test")]
    if n_words := sum(part["said"] for part in tested):
        share = sum(part["known"] for part in tested) / n_words
        yield f"Of the words spoken in the test parts {share:.1%} have a vector."
    aligned = [part["alignment"] for part in found if part.get("alignment")]
    if not aligned:
        return
    asked = [one for one in aligned if one["n_words"]]
    places = [
        f"P@{place} {_mean(asked, f'precision_at_{place}')} (chance {_mean(asked, f'chance_at_{place}')})"
        for place in (1, 5)
    ]
    n_above = sum(one["above_chance"] for one in asked)
    verdict = f"above chance in {n_above} of {len(asked)} folds" if n_above else "NOT above chance in any fold"
    if asked:
        how = STARTS.get(asked[0].get("start"), "")
        yield (
            f"Words of speech that find themselves in the text's space{how}, mean over folds: {', '.join(places)}; "
            + verdict
            + ("." if n_above else ": by this map the sound carries no meaning that the text's vectors share.")
        )
    n_failed = sum(one.get("start") == "adversarial" and not one["above_chance"] for one in asked)
    if n_failed:
        yield (
            f"The adversary failed in {n_failed} of {len(asked)} folds, as it often does on few words; "
            "tzirakis2021-anchors starts from identical words instead."
        )
    if not any(one["n_homophones"] for one in aligned):
        yield "Homophones: none among the words that were learnt."
        return
    verdicts = [f"{text} {n}" for key, text in HOMOPHONES.items() if (n := _count(aligned, "homophones", key))]
    yield (
        f"Homophones: {_mean(aligned, 'homophone_place')} of all words lie nearer than the word of the same sound "
        f"(chance 0.500); folds: {', '.join(verdicts)}."
    )


def _mean(parts: Sequence[Mapping[str, Any]], key: str) -> str:
    return score_text(mean_known({str(k): part[key] for k, part in enumerate(parts)}))


def _count(parts: Sequence[Mapping[str, Any]], key: str, value: str) -> int:
    return sum(part[key] == value for part in parts)


def _raters(run: Run) -> Iterator[str]:
    """How far the raters agree whose gold standard the labels of a corpus are."""
    for corpus, facts in run.environment.get("raters", {}).items():
        agreement = ", ".join(f"{name} {score_text(value)}" for name, value in facts["ccc"].items())
        yield (
            f"Labels of {corpus} are the gold standard (evaluator weighted estimator) of "
            f"{' or '.join(map(str, facts['n_raters']))} raters a recording; CCC between raters: {agreement}."
        )


def _attention(run: Run) -> dict[str, float]:
    """The mean share of the words' stream over folds, where words are spoken and where not; empty without attention."""
    shares: dict[str, list[float]] = {}
    for content in _contents(run):
        for name, share in (content.get("attention") or {}).items():
            shares.setdefault(name, []).append(share)
    return {name: sum(found) / len(found) for name, found in shares.items()}


def _contents(run: Run) -> Iterator[dict[str, Any]]:
    """Read each fold's traces.json, where there is one."""
    for fold in run.scores["per_fold"]:
        content = _read_fitted(run.fold_folder(fold["seed"], fold["fold"]) / FITTED)
        if content is not None:
            yield content


def _read_fitted(path: Path) -> dict[str, Any] | None:
    """The content of a fold's traces.json; None without one."""
    if not path.is_file():
        return None
    try:
        content = read_json(path)
    except ValueError as error:
        raise CheckpointError(f"{path}: not readable: {str(error).splitlines()[0]}") from error
    return content if isinstance(content, dict) else {}
