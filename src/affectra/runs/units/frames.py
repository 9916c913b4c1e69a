"""Runs over time: dimensions of emotion frame by frame, from the voice and the spoken words."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from affectra.corpora.manifest import Corpus, join_manifests
from affectra.errors import ConfigError
from affectra.evaluation.run_directory import read_run
from affectra.models.frame.frame_network import FrameNetwork
from affectra.recipes.recipe import ContinuousRecipe
from affectra.registry import unknown_name
from affectra.reports.over_time import word_lines
from affectra.runs.units.frame_jobs import TARGET, prepare, recipe_of, recorded_turns, traces_of
from affectra.runs.units.inputs import with_modality
from affectra.runs.units.plan_types import Plan
from affectra.runs.units.spoken_words import check_transcripts
from affectra.tasks.dimensions import Dimensions
from affectra.tasks.labels import NOT_YET, LabelledUtterances, select, unknown_task
from affectra.training.checks import check_frame_training
from affectra.training.parts import check_parts
from affectra.training.units.timelines import network_plan
from affectra.training.units.word_space import check_word_space

__all__ = ["check", "check_fit", "facts", "finish", "label", "outline", "prepare"]

TASK = "continuous"
WITHOUT = "without time-continuous labels"


def check(recipe: ContinuousRecipe) -> None:
    """Every name and option a recipe uses, before any corpus is read."""
    if recipe.task != TASK:
        planned = recipe.task in NOT_YET
        raise ConfigError(
            unknown_task(recipe.task) if planned else unknown_name("task of a recipe over time", recipe.task, [TASK])
        )
    if len(set(recipe.dimensions)) < len(recipe.dimensions):
        raise ConfigError(f"dimensions: each once, found {', '.join(recipe.dimensions)}")
    if recipe.delay_s != "search" and recipe.delay_s < 0:
        raise ConfigError(f"delay_s: raters answer later, so it is 0 or more, or search; found {recipe.delay_s}")
    if recipe.words is not None:
        check_word_space(recipe.words.vectors)
        if recipe.words.transcripts is not None:
            check_transcripts(recipe.words.transcripts)
    check_frame_training(recipe.training)
    check_parts(FrameNetwork(network_plan(recipe)), recipe.training)


def label(corpora: Sequence[Corpus], recipe: ContinuousRecipe) -> LabelledUtterances:
    """The recordings with a label that is known; they have the target "traces" in place of a class.

    Raises:
        AffectraError: there are none, or none of a dimension.
    """
    manifest = join_manifests([corpus.manifest for corpus in corpora])
    selected, excluded = select(with_modality(manifest, "audio"), recipe.only)
    traces = traces_of(corpora, recipe).traces
    names = selected["corpus"] + "/" + selected["utterance"]
    rated = names.isin(list(traces))
    for k, dimension in enumerate(recipe.dimensions):
        if not any(traces[name].known[:, k].any() for name in names[rated]):
            raise ConfigError(
                f"dimensions: none of {len(selected)} utterances has a label of {dimension}; leave it out with "
                "--set dimensions=[...]"
            )
    labelled = selected[rated].assign(target=TARGET).reset_index(drop=True)
    if n_others := int((~rated).sum()):
        excluded = {WITHOUT: n_others, **excluded}
    return LabelledUtterances(labelled, Dimensions(recipe.task, tuple(recipe.dimensions)), {}, excluded)


def check_fit(plan: Plan) -> None:
    """Raise a `ConfigError` for what is to be fitted on a dev part that a fold has not."""
    recipe, splits = recipe_of(plan), plan.data.splits
    if recipe.postprocessing and not all(fold.dev for fold in splits.folds):
        raise ConfigError(
            f"postprocessing: is fitted on a dev part, and protocol {splits.protocol} keeps none; --set "
            "postprocessing=false, or have a dev part, e.g. --protocol kfold-speaker --set protocol.options.dev=true"
        )


def outline(plan: Plan, n_processes: int) -> list[str]:
    """The parts of the model, and how long the recordings are together."""
    del n_processes
    recipe, turns = recipe_of(plan), recorded_turns(plan)
    lengths = turns.groupby("conversation").size()
    network = FrameNetwork(network_plan(recipe))
    n_parameters = sum(p.numel() for p in network.parameters() if p.requires_grad)
    front_end = recipe.frames.front_end.name if recipe.frames.front_end else "nothing"
    read = f"{recipe.words.vectors.name}, times of the {recipe.words.times}" if recipe.words else "none"
    faults = [(corpus.name, corpus.faults) for corpus in plan.data.corpora if corpus.faults]
    return [
        *(f"faults    {name}: {len(found)}, the first: {found[0]}; see affectra doctor" for name, found in faults),
        f"over time {len(turns)} utterances in {len(lengths)} sequences; {', '.join(recipe.dimensions)}",
        f"voice     {front_end}",
        f"words     {read}",
        f"model     {recipe.model.name}, {n_parameters} parameters",
        f"training  {recipe.training.epochs} epochs, {recipe.seeds} seed(s)",
    ]


def facts(plan: Plan) -> dict[str, Any]:
    """Give the facts of a run over time for environment.json."""
    mode = recipe_of(plan).frames.normalization
    return {"normalization": {"mode": mode, "transductive": False}, "adaptation": "none"}


def finish(plan: Plan, scores: Mapping[str, Any], say: Callable[[str], None]) -> None:
    """Say what was found out about the words."""
    del scores
    for line in word_lines(read_run(plan.folder)):
        say(f"words: {line}")
