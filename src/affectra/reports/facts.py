"""Facts that the report of every run shows: its result in one line, its warnings, sizes, folds and the paper."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from affectra.evaluation.run_directory import Run
from affectra.tasks.evaluation import task_of_scores
from affectra.tasks.tables import speaker_names


def summary_line(scores: Mapping[str, Any]) -> str:
    """The result of a run in one line, with what it was measured under, from the content of scores.json.

    Example:
        >>> summary_line({
        ...     "metrics": {"ua": 0.7123, "wa": 0.73}, "interval": {"ua": [0.651, 0.774]}, "n_folds": 8, "n_seeds": 1,
        ...     "complete": True, "folds_done": "8/8", "synthetic": True, "leaks": [], "task": "emotion",
        ...     "classes": ["anger", "fear"], "normalization": {"mode": "none", "transductive": False},
        ...     "protocol": {"name": "loso", "speaker_independent": True},
        ... })
        'UA 0.712 [0.65, 0.77], WA 0.730, 8 folds, loso, speaker-independent, synthetic'
    """
    protocol = scores["protocol"]
    folds = f"{scores['n_folds']} fold{'s' * (scores['n_folds'] != 1)}"
    if scores["n_seeds"] > 1:
        folds += f" x {scores['n_seeds']} seeds"
    result = [
        *task_of_scores(scores, "scores.json").results(scores),
        folds if scores["complete"] else f"PARTIAL ({scores['folds_done']} folds)",
        protocol["name"],
        "speaker-independent" if protocol["speaker_independent"] else "SPEAKER-DEPENDENT",
    ]
    others = [stamp for stamp in stamps(scores) if not stamp.startswith(("PARTIAL", "SPEAKER-DEPENDENT"))]
    n_first = len(scores["leaks"]) > 0
    return ", ".join([*others[:n_first], *result, *others[n_first:]])


def stamps(scores: Mapping[str, Any]) -> list[str]:
    """Give the warnings a reader needs before the number, in a few words each, from the content of scores.json.

    Example:
        >>> stamps({
        ...     "leaks": ["speaker"], "complete": False, "folds_done": "3/8", "synthetic": True,
        ...     "protocol": {"speaker_independent": False}, "normalization": {"mode": "none", "transductive": False},
        ... })
        ['LEAK (speaker)', 'PARTIAL (3/8 folds)', 'SPEAKER-DEPENDENT', 'synthetic']
    """
    found = [f"LEAK ({', '.join(scores['leaks'])})"] if scores["leaks"] else []
    if not scores["complete"]:
        found.append(f"PARTIAL ({scores['folds_done']} folds)")
    if not scores["protocol"]["speaker_independent"]:
        found.append("SPEAKER-DEPENDENT")
    if alike := scores.get("alike_speakers"):  # runs of version 0.1 do not say
        found.append(f"MAY BE THE SAME SPEAKER ({alike[0]}{'; ...' * (len(alike) > 1)})")
    if scores["normalization"]["transductive"]:
        found.append(f"TRANSDUCTIVE (normalised per {scores['normalization']['mode']})")
    if scores.get("adaptation", "none") != "none":  # runs of version 0.1 do not say
        found.append(f"TRANSDUCTIVE ({scores['adaptation']})")
    return [*found, "synthetic"] if scores["synthetic"] else found


def describe_sizes(sizes: Mapping[str, Any]) -> str:
    """How much is trained on, kept as dev part and tested, in a few words, from `sizes` of scores.json.

    Example:
        >>> folds = [{"train": 9, "dev": 0, "test": 3}, {"train": 8, "dev": 0, "test": 4}]
        >>> describe_sizes({"unit": "turns", "folds": folds[:1]})
        'train 9, dev 0, test 3 turns'
        >>> describe_sizes({"unit": "turns", "folds": folds})
        'train 8-9, dev 0, test 3-4 turns in each of 2 folds'
    """
    folds = sizes["folds"]
    parts = ", ".join(f"{part} {_range([fold[part] for fold in folds])}" for part in folds[0])
    return f"{parts} {sizes['unit']}" + (f" in each of {len(folds)} folds" if len(folds) > 1 else "")


def describe_heads(domains: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """How many values the domain heads tell apart, and which learn nothing of their own, from environment.json.

    Example:
        >>> describe_heads({"train": {"heads": {"gender": [2, 2], "speaker": [8, 9]}, "notes": ["gender is ..."]}})
        ['heads for gender 2, speaker 8-9', 'gender is ...']
        >>> describe_heads({"pretrain": {"heads": {"corpus": [3]}, "notes": []}})
        ['heads of stage pretrain for corpus 3']
    """
    lines = []
    for stage, found in domains.items():
        sizes = ", ".join(f"{name} {_range(n)}" for name, n in found["heads"].items())
        lines += [f"heads{'' if stage == 'train' else f' of stage {stage}'} for {sizes}", *found["notes"]]
    return lines


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low}-{high}" if high > low else str(low)


def common_facts(run: Run) -> dict[str, Any]:
    """Give the facts that the page of every run shows: what was run, on what, and how to run it again."""
    environment = run.environment
    command = environment["command"]
    return {
        "summary": summary_line(run.scores),
        "recipe": run.recipe,
        "recipe_text": run.recipe_text,
        "environment": environment,
        "scores": run.scores,
        "command": command if isinstance(command, str) else shlex.join(command),
        "sizes": describe_sizes(run.scores["sizes"]) if "sizes" in run.scores else "",  # older runs do not say
        "folds": folds_of(run),
        "domains": describe_heads(environment.get("domains", {})),
        "paper_differs": "; ".join(run.scores.get("paper_differs", [])),
        "versions": {key: value for key, value in environment.items() if isinstance(value, str | int | float | None)
                     and key not in ("command", "seconds", "synthetic", "adaptation")},
    }  # fmt: skip


def paper_text(paper: Mapping[str, Any] | None, metric: str, is_comparable: bool) -> str:
    """A number under a paper's `results`, with where it was measured if that is not where the run was."""
    value = paper["results"].get(metric) if paper else None
    if paper is None or value is None:
        return "n/a"
    if is_comparable:
        return f"{value:.3f}"
    return f"{value:.3f} on {', '.join(paper['corpora'])}, not comparable ({paper['task']}, {paper['protocol']})"


def folds_of(run: Run) -> list[dict[str, Any]]:
    """The scores of each fold and the speakers of its test part, or its corpora where there are many speakers."""
    tested = run.predictions[["seed", "fold", "corpus", "speaker"]].drop_duplicates()
    named = tested.assign(name=speaker_names(tested))
    folds = []
    for scores in run.scores["per_fold"]:
        rows = named[(named["seed"] == scores["seed"]) & (named["fold"] == scores["fold"])]
        speakers = sorted(set(rows["name"]) - {""})
        tested_on = ", ".join(speakers)
        if len(speakers) not in range(1, 5):
            tested_on = ", ".join(sorted(set(rows["corpus"]))) + (f" ({len(speakers)} speakers)" if speakers else "")
        folds.append({**scores, "tested_on": tested_on})
    return folds
