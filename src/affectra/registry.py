"""Named constructors: what a recipe or a command line may refer to by name."""

import difflib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError

from affectra.errors import ConfigError

T = TypeVar("T", bound=Callable[..., Any])


def unknown_name(kind: str, name: str, known: Iterable[str]) -> str:
    """One line for an unknown name: the nearest known name, then all of them.

    Example:
        >>> unknown_name("protocol", "loss", ["fixed", "loso"])
        "unknown protocol 'loss'; did you mean 'loso'? Known: fixed, loso"
    """
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return f"unknown {kind} {name!r}{hint} Known: {', '.join(known)}"


class Registry(Generic[T]):
    """Constructors of one kind by name.

    Args:
        kind: what is registered, in the singular, for messages ("model", "corpus", "protocol").

    Example:
        >>> shapes = Registry("shape")
        >>> @shapes.register("square")
        ... def square(side: float = 1.0) -> float: return side ** 2
        >>> shapes.build("square", {"side": 2.0})
        4.0
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that files a constructor under `name`."""

        def add(constructor: T) -> T:
            assert name not in self._entries, f"{self.kind} {name!r} is registered twice"
            self._entries[name] = constructor
            return constructor

        return add

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries))

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __getitem__(self, name: str) -> T:
        """The constructor called `name`; a `ConfigError` lists the known names."""
        if name not in self._entries:
            raise ConfigError(unknown_name(self.kind, name, self))
        return self._entries[name]

    def check_options(self, name: str, options: Mapping[str, Any], also: Iterable[str] = ()) -> None:
        """Raise a `ConfigError` unless the constructor called `name` can be called so; see `check_options`."""
        check_options(f"{self.kind} {name!r}", self[name], options, also)

    def build(self, name: str, options: Mapping[str, Any], **added: Any) -> Any:
        """Construct `name` from a recipe's options plus what the caller adds, after checking the names."""
        self.check_options(name, options, also=added)
        return self[name](**options, **added)


def check_options(
    label: str, constructor: Callable[..., Any], options: Mapping[str, Any], also: Iterable[str] = ()
) -> None:
    """Raise a `ConfigError` unless a constructor takes each option and gets all it needs.

    Args:
        label: what is constructed, for messages.
        constructor: the callable; its signature names the options.
        options: keyword arguments a user gives.
        also: keyword arguments the caller adds itself (a user may not give these).
    """
    also = set(also)
    offered = {
        p.name: p
        for p in inspect.signature(constructor).parameters.values()
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name not in also
    }
    for option in options:
        if not offered:
            raise ConfigError(f"{label}: takes no option {option}, nor any other")
        if option not in offered:
            raise ConfigError(f"{label}: " + unknown_name("option", option, offered))
        _check_value(f"{label}: option {option}", offered[option].annotation, options[option])
    missing = [name for name, p in offered.items() if p.default is p.empty and name not in options]
    if missing:
        raise ConfigError(f"{label}: option(s) missing: {', '.join(missing)}")


def _check_value(place: str, annotation: Any, value: Any) -> None:
    """Raise a `ConfigError` unless a value has the type its parameter is annotated with."""
    if annotation is inspect.Parameter.empty:
        return
    try:
        adapter = TypeAdapter(annotation)
    except PydanticSchemaGenerationError:
        return  # a type of another library, which checks it itself
    try:
        adapter.validate_python(value, strict=True)
    except ValidationError as error:
        raise ConfigError(f"{place}: {error.errors()[0]['msg'].lower()}, found {value!r}") from error
