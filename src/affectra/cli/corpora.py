"""Commands on corpora: corpora, doctor, prepare."""

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from affectra.cli.console import Settings, app, print_table, progress_bar, say


@app.command
def corpora(*, json_: Annotated[bool, Parameter(name="--json", negative="")] = False) -> None:
    """List corpora: name, languages, licence, how to get it, published counts."""
    from affectra.corpora import CORPORA

    rows = [
        {
            "name": info.name,
            "title": info.title,
            "languages": list(info.languages),
            "licence": info.licence,
            "utterances": info.expected.get("utterances"),
            "speakers": info.expected.get("speakers"),
            "access": info.access,
            "expected": dict(info.expected),
            "synthetic": info.synthetic,
        }
        for info in CORPORA.values()
    ]
    if json_:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        print_table(rows, ["name", "languages", "licence", "utterances", "speakers", "access"])


@app.command
def doctor(
    corpus: str,
    *,
    root: Path,
    settings: Settings = [],  # noqa: B006, cyclopts reads the default, nobody changes it
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Read and check one corpus: counts against the published ones, faults, quirks. Exit code 1 if run would refuse it.

    Parameters
    ----------
    corpus
        Name of a known corpus; csv, folder (one sub-folder a class), audformat, emobox.
    root
        Its folder.
    settings
        Options of the corpus's reader, e.g. label_source=target.
    """
    from affectra.corpora import CORPORA, IMPORTERS
    from affectra.corpora.doctor import examine
    from affectra.recipes.config import parse_assignments
    from affectra.tasks.labels import count_classes

    opened = _read(corpus, root, parse_assignments(settings))
    with progress_bar(f"listening to {opened.name}") as progress:
        diagnosis = examine(
            opened, CORPORA.get(opened.name) if corpus not in IMPORTERS else None, progress, count_classes
        )
    if json_:
        print(json.dumps(diagnosis.to_json(), indent=2, ensure_ascii=False))
    else:
        print("\n".join(diagnosis.lines()))
    return 0 if diagnosis.ok else 1


@app.command
def prepare(
    corpus: str,
    *,
    root: Path,
    out: Path,
    audio: Path | None = None,
    name: str | None = None,
    speaker_pattern: str | None = None,
    format_: Annotated[Literal["manifest", "audformat"], Parameter(name="--format")] = "manifest",
    settings: Settings = [],  # noqa: B006
) -> int:
    """Write a corpus's manifest (.csv or .parquet). Exit code 1 if rows of a table had to be left out.

    Parameters
    ----------
    corpus
        Name of a known corpus; csv (a table with file, speaker, emotion; rows with a channel get a file of that channel
        beside the manifest); folder (one sub-folder a class); audformat (a database); emobox (its JSON lines).
    root
        Folder of the audio; for csv and emobox also the table itself.
    out
        The manifest, whose file column is relative to root; with --format audformat a folder.
    audio
        For csv and emobox: the folder that the table's files are relative to, if not the table's own.
    name
        What to call a corpus of one's own; default: the table's or folder's name.
    speaker_pattern
        For folder: regular expression whose first group, in the relative path, is the speaker.
    format_
        Write a manifest, or an audformat database.
    settings
        Options of the corpus's reader, e.g. label_source=target.
    """
    from affectra.corpora.names import spelling_warnings
    from affectra.corpora.sources import write_corpus
    from affectra.errors import ConfigError
    from affectra.recipes.config import parse_assignments

    if root.is_file() and out.resolve() == root.resolve():
        raise ConfigError(f"--out {out} would overwrite the table it is made from")
    if audio is not None and corpus not in ("csv", "emobox"):
        raise ConfigError(f"--audio belongs to csv and emobox; the audio of {corpus} lies below --root")
    options = {"root": audio, "speaker_pattern": speaker_pattern, "name": name}
    if corpus == "csv":
        options["channel_folder"] = out if format_ == "audformat" else out.parent
    given = {option: value for option, value in options.items() if value is not None}
    opened = _read(corpus, root, {**given, **parse_assignments(settings)})
    if format_ == "audformat":
        from affectra.corpora.importers.audformat_export import write as write_audformat

        write_audformat(opened, out)
        if out.resolve() != opened.root.resolve():
            say(f"affectra: the database's files are relative to {opened.root}; put it there, or the audio beside it")
    else:
        write_corpus(opened, out)
    for warning in (*opened.faults, *spelling_warnings(opened.manifest)):
        say(f"affectra: {warning}")
    speakers = opened.manifest["speaker"].replace("", None).nunique()
    print(f"{out}: {len(opened.manifest)} utterances, {speakers} speakers")
    # A row of one's own table that failed; a corpus may hold files that are none of its utterances.
    own = corpus in ("csv", "audformat", "emobox")
    return 1 if own and any(fault.endswith("left out") for fault in opened.faults) else 0


def _read(corpus: str, root: Path, options: Mapping[str, Any]) -> Any:
    """Read a known corpus, or somebody's own through an importer."""
    from affectra.corpora import IMPORTERS, read_corpus
    from affectra.registry import check_options

    if corpus in IMPORTERS:
        place, *_ = inspect.signature(IMPORTERS[corpus]).parameters
        check_options(f"corpus {corpus}", IMPORTERS[corpus], options, also=(place,))
        return IMPORTERS[corpus](root, **options)
    return read_corpus(corpus, root, options)
