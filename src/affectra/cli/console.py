"""Parts that commands share: the app, its common options, tables, progress, and the models and recordings they get."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from affectra import __version__

app = App(
    name="affectra",
    help="Speech emotion recognition, from raw audio to an honest result.",
    version=__version__,
    suppress_keyboard_interrupt=False,
)

Sources = Annotated[list[str], Parameter(name="--corpus", negative="", help="NAME=FOLDER or NAME=MANIFEST")]
Settings = Annotated[list[str], Parameter(name="--set", negative="", help="key=value, e.g. training.epochs=2")]


def print_error(message: str, code: int = 2) -> int:
    """Print an error on stderr; the exit code, for a command to return."""
    print(f"affectra: {message}", file=sys.stderr)
    return code


def say(line: str) -> None:
    """Print a line of progress on stderr."""
    print(line, file=sys.stderr, flush=True)


def print_table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print rows as a table; a pipe gets plain lines, tab between columns."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not sys.stdout.isatty():
        print("\t".join(columns))
        for row in rows:
            print("\t".join(_cell(row.get(column)) for column in columns))
        return
    table = Table(*columns)
    for row in rows:
        table.add_row(*(Text(_cell(row.get(column))) for column in columns))
    Console().print(table)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3f}"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


@contextmanager
def progress_bar(title: str, is_shown: bool = True) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal's stderr; gives what is called with done and all."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(
        console=Console(stderr=True), disable=not (is_shown and sys.stderr.isatty()), transient=True
    ) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def refuse(options: Mapping[str, Any], why: str) -> None:
    """Raise a `ConfigError` for the first of these options that was given."""
    from affectra.errors import ConfigError

    for name, value in options.items():
        if value:
            raise ConfigError(f"{name} {why}; leave it out")


def load_model(name_or_dir: str) -> Any:
    """A model, and on stderr what it is."""
    from affectra.predict.model import load

    return introduced(load(name_or_dir))


def introduced(model: Any) -> Any:
    """The model itself, and on stderr what it is."""
    licence = f", {model.licence}" if model.licence else ""
    say(f"model: {model.name}{licence}{' (trained on synthetic speech)' if model.synthetic else ''}")
    return model


def recordings_in(paths: Sequence[Path], suffixes: Iterable[str]) -> list[Path]:
    """Files as given, and the recordings below folders, in order."""
    known = tuple(suffixes)
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(
                p
                for p in path.rglob("*")
                if p.suffix.lower() in known
                and p.is_file()
                and not any(n.startswith(".") for n in p.relative_to(path).parts)
            )
            found += inside or [path]
        else:
            found.append(path)
    return found
