"""Recipes: strict models of what a run does, read from YAML whose comments say where each number comes from."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from affectra.errors import ConfigError
from affectra.files import write_text
from affectra.registry import unknown_name


class Strict(BaseModel):
    """No unknown key, no silent conversion, no change after reading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Component(Strict):
    """A registered name and the options its constructor takes."""

    name: str
    options: dict[str, Any] = {}


class Paper(Strict):
    """The published result a run stands beside: fractions, on exactly these corpora, task and protocol."""

    title: str
    authors: str
    venue: str
    year: int
    corpora: list[str]
    task: str
    protocol: str
    results: dict[str, float]
    source: str


class Augmentation(Strict):
    """Augmented copies of each training utterance, made once from the recording and cached; see `affectra.augment`."""

    model_config = ConfigDict(allow_inf_nan=False)

    copies: int = Field(gt=0, le=100)
    stretch_s: tuple[Annotated[float, Field(ge=0.1)], float]  # length of what is cut out, at random
    speed: float = Field(ge=0, lt=1)  # at most so much faster or slower
    tilt_db: float = Field(ge=0)  # an octave, deviation
    equalizer_db: float = Field(ge=0)  # deviation
    reverb_share: float = Field(ge=0, le=1)  # of the copies
    noise_share: float = Field(ge=0, le=1)
    snr_db: tuple[float, float]
    band_share: float = Field(ge=0, le=1)

    @field_validator("stretch_s", "snr_db", mode="before")
    @classmethod
    def _two_numbers(cls, value: Any) -> Any:
        return tuple(float(v) for v in value) if isinstance(value, list) and len(value) == 2 else value

    @field_validator("stretch_s", "snr_db")
    @classmethod
    def _in_order(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError("the lower one comes first")
        return value


class SegmentPlan(Strict):
    """Stretches of an utterance: length and shifts in s; `frames` is the width of the network's input, zero-padded."""

    length_s: float = Field(gt=0, le=3600)
    frames: int = Field(gt=0, le=1_000_000)
    train_shift_s: float = Field(gt=0, le=3600)
    test_shift_s: float = Field(gt=0, le=3600)


class Schedule(Strict):
    """Learning rate over epochs.

    "constant"; "step": multiplied by `factor` from each of the epochs in `milestones` on (the first epoch is 1);
    "cosine": from the full rate to zero after the last epoch.
    """

    name: Literal["constant", "step", "cosine"]
    milestones: list[int] = []
    factor: float = 1.0


class TrainingPlan(Strict):
    """How a model is fitted; the weights after the last epoch are kept."""

    epochs: int = Field(gt=0)
    batch_size: int = Field(gt=0)  # segments
    optimizer: Component
    schedule: Schedule
    precision: Literal["32-true", "bf16-mixed"]
    channels_last: bool
    objective: Component = Component(name="cross-entropy")
    unlabelled_batch_size: int = Field(default=0, ge=0)  # utterances of corpora that are tested alone, unlabelled
    freeze: list[str] = []  # parts of the network that stay as they are


class Stage(Strict):
    """Training before the last one, which gives it the weights to start from.

    `data`: "pretraining", the corpora that only this is for, once for all folds of a seed; "train", the fold's own.
    """

    name: str = Field(pattern="^[a-z][a-z0-9-]*$")
    data: Literal["pretraining", "train"]
    training: TrainingPlan


class Pretraining(Strict):
    """Corpora that are learnt from and never tested, and the task that gives them the classes of the run."""

    corpora: list[str] = Field(min_length=1)
    task: str


class Recipe(Strict):
    """Everything a run does, apart from where the corpora lie."""

    name: str
    description: str
    paper: Paper | None
    corpora: list[str]
    task: str
    auxiliary: list[str] = []  # binary tasks, arousal and valence, learnt beside the classes
    only: dict[str, list[str]] = {}  # manifest column -> the values that take part
    protocol: Component
    allow_leak: list[str] = []  # kinds of leakage that the protocol is known to have
    seeds: int = Field(gt=0)
    augmentation: Augmentation | None = None
    segments: SegmentPlan | None = None  # none where the front end gives one vector an utterance
    front_end: Component
    normalization: Literal["none", "utterance", "train", "speaker", "corpus"]
    model: Component
    pretraining: Pretraining | None = None
    stages: list[Stage] = []  # before `training`, in order; those on the pretraining corpora first
    training: TrainingPlan | None = None  # none where the model is fitted at once

    @field_validator("only", mode="before")
    @classmethod
    def _one_value_is_a_list(cls, only: Any) -> Any:
        if not isinstance(only, dict):
            return only
        return {column: [values] if isinstance(values, str) else values for column, values in only.items()}


@dataclass(frozen=True)
class RecipeDocument:
    """A recipe with the comments of its YAML.

    Attributes:
        data: the YAML mapping with its comments, complete (what it extends is merged in).
        recipe: the same, checked.
    """

    data: CommentedMap
    recipe: Recipe

    def text(self) -> str:
        """The recipe as YAML; reading it again gives the same recipe."""
        stream = io.StringIO()
        _yaml().dump(self.data, stream)
        return stream.getvalue()

    def sources(self) -> dict[str, str]:
        """Where each value comes from: dotted key -> its end-of-line comment."""
        return dict(_comments(self.data, ""))


def _yaml() -> YAML:
    yaml = YAML()  # the round-trip loader: safe, keeps comments and order
    yaml.width = 4096  # never fold a line: a comment belongs to its line
    return yaml


def recipe_names() -> list[str]:
    """Names of the shipped recipes."""
    return sorted(p.name.removesuffix(".yaml") for p in _folder().iterdir() if p.name.endswith(".yaml"))


def _folder() -> Any:
    return resources.files("affectra") / "recipes"


def load_recipe(name: str, overrides: Mapping[str, Any] | None = None) -> RecipeDocument:
    """Load a shipped recipe by name, or one's own from a .yaml file.

    Args:
        name: shipped name or path of a YAML file.
        overrides: dotted key -> value, put over the recipe's own.

    Raises:
        ConfigError: unknown recipe or key, or a value of the wrong kind, each by its name.
    """
    data = _merged(name)
    for key, value in (overrides or {}).items():
        _put(data, key, value, name)
    return _checked(data, name)


def _checked(data: CommentedMap, source: str) -> RecipeDocument:
    try:
        return RecipeDocument(data, Recipe.model_validate(_plain(data)))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            parent = Recipe
            known = _fields_at(parent, [str(part) for part in first["loc"][:-1]])
            raise ConfigError(f"recipe {source}: " + unknown_name("key", str(first["loc"][-1]), known)) from error
        found = "" if first["type"] == "missing" else f", found {first['input']!r}"
        raise ConfigError(f"recipe {source}: {place}: {first['msg'].lower()}{found}") from error


def _fields_at(model: Any, path: Sequence[str]) -> list[str]:
    for part in path:
        annotation = model.model_fields[part].annotation
        kinds = (annotation, *get_args(annotation))  # an optional part is the union of a model and None
        model = next(kind for kind in kinds if isinstance(kind, type))
    return list(model.model_fields)


def _merged(name: str) -> CommentedMap:
    """The mapping of a recipe file over that of the recipe it extends."""
    if name.endswith((".yaml", ".yml")):
        path: Any = Path(name)
        if not path.is_file():
            raise ConfigError(f"{name}: no such recipe file")
    elif name in recipe_names():
        path = _folder() / f"{name}.yaml"
    else:
        raise ConfigError(unknown_name("recipe", name, recipe_names()))
    try:
        data = _yaml().load(path.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name}: not a YAML file: {' '.join(str(error).split())}") from error
    if not isinstance(data, CommentedMap):
        raise ConfigError(f"{name}: a recipe is a mapping of keys to values")
    if "extends" not in data:
        return data
    base = _merged(str(data.pop("extends")))
    _overlay(base, data)
    return base


def _overlay(base: CommentedMap, over: CommentedMap) -> None:
    for key, value in over.items():
        if isinstance(value, CommentedMap) and isinstance(base.get(key), CommentedMap) and "name" not in value:
            _overlay(base[key], value)  # a part that names a component replaces it whole
        else:
            base[key] = value
            base.ca.items.pop(key, None)
            if key in over.ca.items:
                base.ca.items[key] = over.ca.items[key]


def _put(data: CommentedMap, key: str, value: Any, source: str) -> None:
    *parents, last = key.split(".")
    node: Any = data
    if parents == ["only"]:  # recipes rarely select, so the key is seldom there
        data.setdefault("only", CommentedMap())
    for parent in parents:
        if not isinstance(node, CommentedMap) or parent not in node:
            raise ConfigError(f"recipe {source}: " + unknown_name("key", key, _dotted(data)))
        node = node[parent]
    is_option = bool(parents) and parents[-1] in ("options", "only")  # checked later, against constructor and manifest
    if not isinstance(node, CommentedMap) or (last not in node and not is_option and parents):
        raise ConfigError(f"recipe {source}: " + unknown_name("key", key, _dotted(data)))
    node[last] = _commented(value)
    node.ca.items.pop(last, None)
    if not isinstance(value, dict | list):
        node.yaml_add_eol_comment("set for this run", last)


def _commented(value: Any) -> Any:
    """Mappings as ruamel's own, so that later overrides may go into them."""
    return CommentedMap({k: _commented(v) for k, v in value.items()}) if isinstance(value, dict) else value


def _dotted(node: Mapping[str, Any], prefix: str = "") -> list[str]:
    keys = []
    for key, value in node.items():
        keys += _dotted(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [f"{prefix}{key}"]
    return keys


def _comments(node: CommentedMap, prefix: str) -> list[tuple[str, str]]:
    found = []
    for key, value in node.items():
        if isinstance(value, CommentedMap):
            found += _comments(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            for i, part in enumerate(value):
                found += _comments(part, f"{prefix}{key}.{i}.") if isinstance(part, CommentedMap) else []
        tokens = node.ca.items.get(key)
        if tokens and tokens[2] is not None:
            found.append((f"{prefix}{key}", tokens[2].value.split("\n")[0].lstrip("# ").strip()))
    return found


def _plain(node: Any) -> Any:
    """ruamel's own scalar and container types as plain Python ones, as the strict models want them."""
    if isinstance(node, Mapping):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value) for value in node]
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node


def parse_assignments(assignments: Sequence[str]) -> dict[str, Any]:
    """`key=value` words as a dictionary; values are read as YAML.

    Raises:
        ConfigError: a word without "=", or a value that is not YAML.

    Example:
        >>> parse_assignments(["training.epochs=2", "training.schedule.milestones=[1, 2]"])
        {'training.epochs': 2, 'training.schedule.milestones': [1, 2]}
    """
    parsed = {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key:
            raise ConfigError(f"{assignment!r}: expected key=value, e.g. training.epochs=2")
        try:
            # What selects utterances is text: a speaker 03 is no number.
            kind = "base" if key.partition(".")[0] == "only" else "safe"
            parsed[key] = _plain(YAML(typ=kind, pure=True).load(value))
        except YAMLError as error:
            raise ConfigError(f"{assignment!r}: the value is not YAML") from error
    return parsed


def write_recipe(document: RecipeDocument, path: str | Path) -> None:
    """Write a resolved recipe with its comments, atomically."""
    write_text(path, document.text())
