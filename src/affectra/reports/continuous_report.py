"""The report of a run over time-continuous labels: an HTML page, and the same as Markdown, in the shell of all runs."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from affectra.errors import CheckpointError
from affectra.evaluation.run_directory import NEEDED, Run, read_run
from affectra.files import read_json
from affectra.reports.continuous_pictures import curves, mean_known, timelines
from affectra.reports.pages import fraction, write_pages
from affectra.reports.report import common_facts, folds_of, paper_text, with_conditions
from affectra.reports.trace_files import export_traces
from affectra.tasks.continuous_evaluation import recording_scores
from affectra.tasks.continuous_predictions import read_frames
from affectra.tasks.traces.postprocessing import PostProcessing

CONTINUOUS = {
    **NEEDED,
    "scores.json": (*(key for key in NEEDED["scores.json"] if key != "confusion"), "dimensions", "n_frames"),
}
TREATMENT = "traces.json"  # of a fold, as `ContinuousFoldJob.run` writes it
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
EXPORTED = "traces"  # folder of a run
N_RECORDINGS = 40  # rows of the table; more are said to be left out
TITLES = {
    "ccc": "CCC",
    "ccc_avec": "CCC, formula of AVEC",
    "ccc_per_recording": "CCC, mean over recordings",
    "pearson": "Pearson's correlation",
    "rmse": "RMSE",
}


def write_continuous_report(folder: str | Path) -> Path:
    """Write report.html, report.md, figures/*.png and traces/* into a run directory, each atomically.

    traces/ has each test recording's predictions as CSV and as a Praat TextGrid, see `export_traces`.

    Args:
        folder: the run directory, with recipe.yaml, environment.json, scores.json (of `evaluate_continuous`) and
            predictions.csv (of `write_frames`); of its folds what there is: history.csv and traces.json, what was
            fitted beside the network.

    Returns:
        The path of report.html.

    Raises:
        CheckpointError: a file of the run is missing or not readable, by its name.
    """
    run = read_run(folder, CONTINUOUS, read_frames)
    recordings = recording_scores(run.predictions, run.scores["dimensions"])
    sections = [*timelines(run, recordings), *curves(run)]
    export_traces(run.predictions, run.folder / EXPORTED)
    return write_pages(run.folder, "report", _facts(run, recordings), sections, template="continuous")


def word_lines(folder: str | Path) -> list[str]:
    """Give the lines of a run's report on words: how many have a vector, and whether the spaces align."""
    return list(_words(read_run(folder, CONTINUOUS, read_frames)))


def continuous_summary(scores: Mapping[str, Any]) -> str:
    """The result of a run in one line, from the content of scores.json.

    Example:
        >>> continuous_summary({
        ...     "metrics": {"ccc": {"arousal": 0.5123, "valence": None}, "mean_ccc": 0.5123},
        ...     "interval": {"mean_ccc": [0.451, 0.574]}, "n_folds": 8, "n_seeds": 1, "complete": True, "leaks": [],
        ...     "folds_done": "8/8", "synthetic": True, "normalization": {"mode": "none", "transductive": False},
        ...     "protocol": {"name": "loso", "speaker_independent": True},
        ... })
        'CCC 0.512 [0.45, 0.57] (arousal 0.512, valence n/a), 8 folds, loso, speaker-independent, synthetic'
    """
    interval = scores["interval"]["mean_ccc"]
    each = ", ".join(f"{name} {fraction(value)}" for name, value in scores["metrics"]["ccc"].items())
    bounds = f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else ""
    return with_conditions([f"CCC {fraction(scores['metrics']['mean_ccc'])}{bounds} ({each})"], scores)


def _facts(run: Run, recordings: Mapping[str, Mapping[str, float | None]]) -> dict[str, Any]:
    """Everything the templates show; numbers are formatted there."""
    means = {name: mean_known(scores) for name, scores in recordings.items()}
    scored = sorted((mean, name) for name, mean in means.items() if mean is not None)
    speakers = run.scores["per_speaker"]
    return {
        **common_facts(run),
        "summary": continuous_summary(run.scores),
        "dimensions": run.scores["dimensions"],
        "headline": list(_headline(run)),
        "agreement": TITLES,
        "folds": folds_of(run),
        "probes": [],
        "speakers": sorted(speakers.items(), key=lambda item: (item[1]["mean_ccc"] or 0.0, item[0])),
        "recordings": [(name, mean, recordings[name]) for mean, name in scored[:N_RECORDINGS]],
        "n_recordings": len(scored),
        "n_unscored": len(means) - len(scored),
        "treatments": list(_treatments(run)),
        "treatment_note": " ".join(_treatment_note(run)),
        "words": list(_words(run)),
        "raters": list(_raters(run)),
        "attention": _attention(run),
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


def _treatments(run: Run) -> Iterator[dict[str, Any]]:
    """Delay and post-processing of each fold, a row a dimension; nothing where no fold has any.

    Raises:
        CheckpointError: a fold's traces.json is not one.
    """
    for fold in run.scores["per_fold"]:
        path = run.fold_folder(fold["seed"], fold["fold"]) / TREATMENT
        if (content := _told(path)) is None:
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
                "treatment": fitted.get(name),
            }


def _delay_from(content: Mapping[str, Any]) -> str | None:
    """How a delay came about, a key of `DELAYS`."""
    found: str | None = content.get("delay_from", None if "searched" in content else "given")
    return found if found in DELAYS else None


def _treatment_note(run: Run) -> Iterator[str]:
    """Where delay and post-processing come from."""
    contents = list(_contents(run))
    found = {_delay_from(content) for content in contents}
    yield from (text for origin, text in DELAYS.items() if origin in found)
    if any(content.get("postprocessing") for content in contents):
        yield "Post-processing was fitted on the dev part alone."


def _words(run: Run) -> Iterator[str]:
    """How many of the tested words have a vector, and whether a space of sound lies over that of the text."""
    found = [content["words"] for content in _contents(run) if content.get("words")]
    tested = [part["test"] for part in found if part.get("test")]
    if n_said := sum(part["said"] for part in tested):
        share = sum(part["known"] for part in tested) / n_said
        yield f"Of the words said in the test parts {share:.1%} have a vector."
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
            + ("." if n_above else ": by this map what is heard carries no meaning that the text's vectors share.")
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
    return fraction(mean_known({str(k): part[key] for k, part in enumerate(parts)}))


def _count(parts: Sequence[Mapping[str, Any]], key: str, value: str) -> int:
    return sum(part[key] == value for part in parts)


def _raters(run: Run) -> Iterator[str]:
    """How far the raters agree whose gold standard the labels of a corpus are."""
    for corpus, told in run.environment.get("raters", {}).items():
        agreement = ", ".join(f"{name} {fraction(value)}" for name, value in told["ccc"].items())
        yield (
            f"Labels of {corpus} are the gold standard (evaluator weighted estimator) of "
            f"{' or '.join(map(str, told['n_raters']))} raters a recording; CCC between raters: {agreement}."
        )


def _attention(run: Run) -> dict[str, float]:
    """The mean share of the words' stream over folds, where words are said and where not; empty without attention."""
    shares: dict[str, list[float]] = {}
    for content in _contents(run):
        for name, share in (content.get("attention") or {}).items():
            shares.setdefault(name, []).append(share)
    return {name: sum(found) / len(found) for name, found in shares.items()}


def _contents(run: Run) -> Iterator[dict[str, Any]]:
    """Read each fold's traces.json, where there is one."""
    for fold in run.scores["per_fold"]:
        content = _told(run.fold_folder(fold["seed"], fold["fold"]) / TREATMENT)
        if content is not None:
            yield content


def _told(path: Path) -> dict[str, Any] | None:
    """The content of a fold's traces.json; None without one."""
    if not path.is_file():
        return None
    try:
        content = read_json(path)
    except ValueError as error:
        raise CheckpointError(f"{path}: not readable: {str(error).splitlines()[0]}") from error
    return content if isinstance(content, dict) else {}
