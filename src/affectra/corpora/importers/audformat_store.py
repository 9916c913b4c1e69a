"""An audformat database loaded without running anything that stands in it."""

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from affectra.corpora.tree import Fault
from affectra.errors import CorpusError

TEXT_ALONE = "text_alone"  # what the export calls the table of utterances without audio,
ROW = "row"  # and the index of its tables that are none of files


@contextmanager
def quietly() -> Iterator[None]:
    """The library calls pandas in ways that pandas is about to drop, which is no affair of the user."""
    with warnings.catch_warnings():
        for category in (DeprecationWarning, FutureWarning):
            warnings.simplefilter("ignore", category)
        yield


def load(root: Path, faults: list[Fault]) -> Any:
    """The database in a folder, with all of its tables that can be read; the others are faults.

    The library's own loader would run what a header's tags or a pickled table tell it to, so the header is read here,
    and the library is shown links to the other tables alone.

    Raises:
        CorpusError: no header, or not one of audformat.
    """
    import audformat

    header = root / "db.yaml"
    yaml = YAML(typ="safe", pure=True)
    yaml.version = (1, 1)  # as the library writes it
    try:
        database = audformat.Database.load_header_from_yaml(yaml.load(header.read_text(encoding="utf-8")))
    except OSError as error:
        raise CorpusError(f"{header}: {error.strerror}; expected the folder of an audformat database") from error
    except (YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise CorpusError(f"{header}: not the header of an audformat database: {_reason(error)}") from error
    with tempfile.TemporaryDirectory() as links:
        for file in root.glob("db.*"):
            if file.suffix in (".csv", ".parquet"):
                (Path(links) / file.name).symlink_to(file.resolve())
        for tables in (database.misc_tables, database.tables):  # the former may be labels of schemes
            for table_id, table in list(tables.items()):
                reason = _load_table(table, Path(links) / f"db.{table_id}")
                if reason:
                    faults.append((f"db.{table_id}", f"{reason}; left out"))
                    tables.pop(table_id)
    return database


def _load_table(table: Any, path: Path) -> str | None:
    """Load a table, or say why not."""
    if not any(path.with_name(f"{path.name}.{suffix}").is_file() for suffix in ("csv", "parquet")):
        return "no such table as csv or parquet, and pickles are not read"
    try:
        table.load(str(path))
    except (OSError, AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        return f"not a table of this database: {_reason(error)}"
    return None


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def is_number(values: pd.Series) -> bool:
    """Whether a column has numbers, which true and false are not."""
    return bool(pd.api.types.is_numeric_dtype(values.dtype) and not pd.api.types.is_bool_dtype(values.dtype))
