"""Checks of a recipe's training part, before any corpus is read, without the library that trains."""

from typing import Any

import torch

from affectra.errors import ConfigError
from affectra.models import fits_without_epochs
from affectra.models.dialogue.dialogue import DIALOGUE_MODELS
from affectra.models.dialogue.dialogue_checkpoint import build_head
from affectra.models.recognizer import Recognizer
from affectra.recipes.recipe import Head, TrainingPlan
from affectra.registry import check_options, unknown_name
from affectra.training.objective import Sizes
from affectra.training.objectives import OBJECTIVES, check_classes, is_of_segments
from affectra.training.parts import check_parts, trainable_parts

OPTIMIZERS = {
    "adadelta": torch.optim.Adadelta,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}


class _OptionsAlone(torch.optim.Optimizer):
    """Ends the construction of an optimizer once it has checked its options: what follows imports torch's compiler."""

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:  # noqa: ARG002
        self.defaults, self.param_groups = defaults, []


def check_training(plan: TrainingPlan, unit: str = "utterance") -> None:
    """Raise a `ConfigError` for an unknown optimizer, objective or option, before any corpus is read.

    Args:
        plan: the recipe's training part.
        unit: what is learnt over.
    """
    OBJECTIVES.check_options(plan.objective.name, plan.objective.options, also=("sizes",))
    able = [name for name in OBJECTIVES if unit in OBJECTIVES[name].units]
    if plan.objective.name not in able:
        raise ConfigError(
            f"objective {plan.objective.name!r} is not for runs over unit {unit}; choose {' or '.join(able)}"
        )
    some = Sizes(("a", "b"), 2, 2, dict.fromkeys(plan.objective.options.get("domains", ()), 2))
    OBJECTIVES.build(plan.objective.name, plan.objective.options, sizes=some)
    if plan.unlabelled_batch_size and not OBJECTIVES[plan.objective.name].uses_unlabelled:
        raise ConfigError(
            f"unlabelled_batch_size: found {plan.unlabelled_batch_size}, and objective {plan.objective.name} learns "
            "nothing from utterances without a label; set it to 0, or choose another objective"
        )
    if plan.keep == "best-dev" and is_of_segments(plan.objective.name):
        raise ConfigError(f"keep: best-dev: objective {plan.objective.name} has no score on a dev part; leave keep out")
    check_optimizer(plan)


def check_optimizer(plan: TrainingPlan) -> None:
    """Raise a `ConfigError` for an unknown optimizer or option."""
    if plan.optimizer.name not in OPTIMIZERS:
        raise ConfigError(unknown_name("optimizer", plan.optimizer.name, OPTIMIZERS))
    constructor: Any = OPTIMIZERS[plan.optimizer.name]
    label = f"optimizer {plan.optimizer.name!r}"
    check_options(label, constructor, plan.optimizer.options, also=("params",))
    try:
        type(label, (constructor, _OptionsAlone), {})([], **plan.optimizer.options)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{label}: {error}") from error


def check_fitting(model: str, plan: TrainingPlan | None) -> None:
    """Raise a `ConfigError` unless a model has the training part it needs, and none where it needs none."""
    if fits_without_epochs(model):
        if plan is not None:
            raise ConfigError(f"training: model {model!r} is fitted without epochs; leave training out")
        return
    if plan is None:
        raise ConfigError(f"training: model {model!r} learns through epochs; say epochs, batch_size, optimizer, ...")
    if is_of_segments(plan.objective.name):
        raise ConfigError(
            f"training: the objective {plan.objective.name} trains no classifier, so nothing could be predicted; "
            "give it to one of the stages before, and training another one, e.g. cross-entropy"
        )
    check_training(plan)


def check_recognizer(recognizer: Recognizer, plan: TrainingPlan) -> None:
    """Raise a `ConfigError` unless a recogniser has the parts and classes that its training names."""
    check_parts(recognizer, plan)
    check_classes(plan.objective, recognizer.specification.classes)
    parts = trainable_parts(recognizer)
    if is_of_segments(plan.objective.name) and "network.autoencoder" not in parts:
        shown = [name for name in parts if name.count(".") <= 1]
        raise ConfigError(
            f"objective {plan.objective.name}: needs a network with the part 'autoencoder', e.g. autoencoder-fusion; "
            f"this recogniser has {', '.join(shown)}"
        )


def check_head(head: Head, n_modalities: int) -> None:
    """Raise a `ConfigError` for a network or training that could not be, before any corpus is read."""
    constructor = DIALOGUE_MODELS[head.model.name]
    DIALOGUE_MODELS.check_options(head.model.name, head.model.options, also=("n_features", "n_classes"))
    if getattr(constructor, "is_fusion", False) != (n_modalities > 1):
        wanted = "several modalities" if n_modalities > 1 else "one modality"
        able = [name for name in DIALOGUE_MODELS
                if getattr(DIALOGUE_MODELS[name], "is_fusion", False) == (n_modalities > 1)]  # fmt: skip
        raise ConfigError(f"model {head.model.name!r} is not for {wanted}; choose {' or '.join(able)}")
    check_parts(build_head(head, [2] * n_modalities, 2), head.training)
    check_training(head.training, "dialogue")
    if head.training.unlabelled_batch_size or head.training.take:
        raise ConfigError("training: a network over dialogues takes no unlabelled_batch_size and no take")


def check_frame_training(plan: TrainingPlan) -> None:
    """Raise a `ConfigError` for a training over time that could not be, before any corpus is read."""
    check_training(plan, "time")
    if plan.unlabelled_batch_size or plan.take or plan.channels_last:
        raise ConfigError("training: a network over time takes no unlabelled_batch_size, take or channels_last")
