"""Units that a run learns over: utterances, dialogues, or time; each a module with the same functions.

`check(recipe)`, `label(corpora, recipe)`, `check_fit(plan)`, `outline(plan, n_processes)`,
`prepare(plan, threads, say)`, `facts(plan)`, `score(folds, out, environment, **facts)`,
`summary_line(scores)`, `so_far(scores)`, `finish(plan, scores, say)`.
"""

from typing import Any

from affectra.runs.units import continuous, dialogues, utterances

UNITS: dict[str, Any] = {"utterance": utterances, "dialogue": dialogues, "time": continuous}
