"""Domains that the domain heads of a run tell apart, known before anything is used."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pandas as pd

from affectra.corpora.manifest import utterance_keys
from affectra.recipes.domains import domain_values, redundant_domains
from affectra.runs.units.plan_types import Plan
from affectra.runs.units.utterance_jobs import adaptation_keys, recipe_of
from affectra.training.units.utterance_fold import LAST


def domain_heads(plan: Plan) -> dict[str, dict[str, Any]]:
    """The heads of each training that has any, as environment.json says them.

    Returns:
        Stage, "train" for the last one -> "heads": of each domain, how many values its head tells apart in each fold
        (once for pretraining, which all folds share); "notes": heads that learn nothing of their own, a line each.
    """
    recipe, manifest = recipe_of(plan), plan.data.labelled.manifest
    row_of = {key: row for row, key in enumerate(utterance_keys(manifest))}
    stages = [(stage.name, stage.data, stage.training) for stage in recipe.stages]
    found = {}
    for name, data, training in [*stages, (LAST, "train", recipe.training)]:
        domains = training.objective.options.get("domains", ()) if training else ()
        if not training or not domains:
            continue
        if data == "pretraining" and plan.data.pretraining_labelled is not None:
            used = [plan.data.pretraining_labelled.manifest]
        else:
            adapts = training.unlabelled_batch_size > 0
            used = [
                manifest.iloc[[row_of[key] for key in (*fold.train, *(adaptation_keys(fold, plan) if adapts else ()))]]
                for fold in plan.data.splits.folds
            ]
        found[name] = _heads(domains, used)
    return found


def _heads(domains: Sequence[str], used: Sequence[pd.DataFrame]) -> dict[str, Any]:
    values = [{name: domain_values(name, rows["corpus"], rows[name]) for name in domains} for rows in used]
    notes = Counter(note for found in values for note in redundant_domains(found))
    return {
        "heads": {name: [len(set(found[name]) - {""}) for found in values] for name in domains},
        "notes": [note if n == len(used) else f"{note} ({n} of {len(used)} folds)" for note, n in notes.items()],
    }
