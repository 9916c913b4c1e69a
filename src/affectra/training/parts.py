"""Parts of a model by name: what is frozen, handed over, or learns at a rate of its own."""

import re
from collections.abc import Iterator, Mapping

from torch import nn

from affectra.errors import ConfigError
from affectra.recipes.recipe import TrainingPlan
from affectra.registry import unknown_name

SEVERAL = re.compile(r"(?P<list>.+)\.(?P<first>\d+)-(?P<last>\d+)")  # layers of a list


def trainable_parts(model: nn.Module) -> list[str]:
    """Names of the parts that have parameters: "front_end", "network" and the layers in them ("network.cnn")."""
    return [name for name, part in model.named_modules() if name and any(True for _ in part.parameters())]


def modules_of(model: nn.Module, part: str) -> Iterator[tuple[str, nn.Module]]:
    """The modules that a name stands for, with the full name of each; "network.layers.0-3" are four.

    Raises:
        ConfigError: the model has no trainable part of this name.

    Example:
        >>> model = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 2), nn.ReLU())
        >>> [name for name, _ in modules_of(nn.ModuleDict({"cnn": model}), "cnn.0-1")]
        ['cnn.0', 'cnn.1']
    """
    known = trainable_parts(model)
    found = SEVERAL.fullmatch(part)
    names = [f"{found['list']}.{k}" for k in range(int(found["first"]), int(found["last"]) + 1)] if found else [part]
    for name in names or [part]:
        if name not in known:
            shown = [one for one in known if one.count(".") <= 1]  # of layers in layers there are hundreds
            raise ConfigError(unknown_name("trainable part", name, shown))
        yield name, model.get_submodule(name)


def check_parts(model: nn.Module, plan: TrainingPlan) -> None:
    """Raise a `ConfigError` unless a model has the parts that its training names, and something is left to train."""
    for key, parts in (("freeze", plan.freeze), ("rates", plan.rates), ("take", plan.take)):
        for part in parts:
            try:
                list(modules_of(model, part))
            except ConfigError as error:
                raise ConfigError(f"{key}: {error}") from error
    frozen = {id(parameter) for parameter in frozen_parameters(model, plan)}
    if plan.freeze and frozen.issuperset(map(id, model.parameters())):
        raise ConfigError(
            f"freeze: {', '.join(plan.freeze)} is all that can be trained; leave out what is to be trained"
        )


def frozen_parameters(model: nn.Module, plan: TrainingPlan) -> Iterator[nn.Parameter]:
    """The parameters of the parts that a training leaves as they are."""
    for part in plan.freeze:
        for _, module in modules_of(model, part):
            yield from module.parameters()


def freeze(model: nn.Module, plan: TrainingPlan) -> None:
    """Leave parts as they are: they get no gradient."""
    for parameter in frozen_parameters(model, plan):
        parameter.requires_grad_(False)


def rate_of(rates: Mapping[str, float], model: nn.Module) -> dict[nn.Parameter, float]:
    """The factor of the learning rate of each parameter that has one of its own; of parts in parts the inner one's."""
    found: dict[nn.Parameter, float] = {}
    named = [(name, module, rate) for part, rate in rates.items() for name, module in modules_of(model, part)]
    for _, module, rate in sorted(named, key=lambda one: one[0].count(".")):
        found |= dict.fromkeys(module.parameters(), rate)
    return found


def is_in(name: str, parts: list[str], model: nn.Module) -> bool:
    """Whether a tensor of a state dictionary belongs to one of these parts."""
    return any(name.startswith(f"{one}.") for part in parts for one, _ in modules_of(model, part))
