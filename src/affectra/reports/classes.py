"""The part of a report that is of classes: scores beside the paper and chance, recall, and pictures."""

from typing import Any

import numpy as np

from affectra.evaluation.run_directory import Run, read_probes
from affectra.reports.class_pictures import sections
from affectra.reports.facts import paper_text, stamps

__all__ = ["facts", "overview_line", "sections"]

TITLES = {
    "ua": "UA (average recall)",
    "wa": "WA (accuracy)",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
}


def facts(run: Run) -> dict[str, Any]:
    """Everything that the template `classes` shows; numbers are formatted there."""
    scores = run.scores
    return {
        "headline": _headline(run),
        "material": _material(run),
        "chance": 1 / len(scores["classes"]),
        "classes": _classes(run),
        "probes": read_probes(run),
        "speakers": sorted(scores["per_speaker"].items(), key=lambda item: (item[1]["ua"], item[0])),
    }


def overview_line(name: str, run: Run) -> dict[str, Any]:
    """The row of a run in an overview."""
    scores = run.scores
    return {
        "name": name,
        "recipe": run.recipe["name"],
        "protocol": scores["protocol"]["name"],
        "task": scores["task"],
        "corpora": ", ".join(run.environment["corpora"]),
        "n_seeds": scores["n_seeds"],
        "folds_done": scores["folds_done"],
        "ua": scores["metrics"]["ua"],
        "interval": scores["interval"]["ua"],
        "wa": scores["metrics"]["wa"],
        "weighted_f1": scores["metrics"]["weighted_f1"],
        "word_error_rate": run.environment.get("transcripts", {}).get("word_error_rate"),
        "chance": 1 / len(scores["classes"]),
        "stamps": stamps(scores),
    }


def _headline(run: Run) -> list[dict[str, Any]]:
    scores = run.scores
    counts = [sum(row) for row in scores["confusion"]["matrix"]]
    chance = {
        "ua": (1 / len(counts), "1 / number of classes"),
        "wa": (max(counts) / sum(counts), "the most frequent class"),
    }
    return [
        {
            "title": TITLES[name],
            "ours": scores["metrics"][name],
            "interval": scores["interval"][name],
            "mean_over_folds": scores["mean_over_folds"][name],
            "paper": _paper_result(run, name),
            "chance": chance.get(name),
        }
        for name in TITLES
    ]


def _material(run: Run) -> list[str]:
    """Describe what the tests of a run over dialogues read and lacked, a line each; a score means little without it."""
    lines = []
    if words := run.environment.get("transcripts"):
        options = ", ".join(f"{name} {value}" for name, value in words["options"].items())
        where = "in tests and in training" if words["used"] == "always" else "in tests; training read the corpus's own"
        rate = words["word_error_rate"]
        errors = "the corpus has no transcripts to count errors against"
        if words["used"] == "missing":
            where = f"in {words['n_filled']} of {words['n_missing']} turns without a text, in tests and in training"
            errors = "the other turns' words are the corpus's own, so there are no errors to count"
        if rate is not None:
            errors = f"word error rate {rate:.3f} over {words['n_words']} words of the turns that are scored"
        lines.append(f"Words: by {words['source']}{f' ({options})' if options else ''} {where}; {errors}.")
    if withheld := run.recipe.get("withheld"):
        lines.append(f"Withheld in tests: {', '.join(withheld)}; training had it.")
    return lines


def _paper_result(run: Run, metric: str) -> str:
    """The published number, and where it was measured if not where this run was."""
    paper = run.recipe["paper"]
    return paper_text(paper, metric, run.scores["paper"].get(metric) is not None)  # decided by the run


def _classes(run: Run) -> list[dict[str, Any]]:
    """For each class its utterances, recall, and the class it is most often mistaken for."""
    names, matrix = run.scores["confusion"]["classes"], np.array(run.scores["confusion"]["matrix"])
    counts = run.predictions.drop_duplicates("utterance")["truth"].value_counts()
    mistakes = matrix - np.diag(np.diag(matrix))
    rows = []
    for k, name in enumerate(names):
        n_mistaken, rival = mistakes[k].max(), names[mistakes[k].argmax()]
        rows.append(
            {
                "name": name,
                "n": int(counts.get(name, 0)),
                "recall": run.scores["metrics"]["recall"][name],
                "taken_for": f"{rival} ({n_mistaken / matrix[k].sum():.2f})" if n_mistaken else "",
            }
        )
    return rows
