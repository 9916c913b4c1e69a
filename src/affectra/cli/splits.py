"""Commands on splits: protocols, split, audit."""

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from affectra.cli.console import Settings, app, print_table, progress_bar, say


@app.command
def protocols(*, json_: Annotated[bool, Parameter(name="--json", negative="")] = False) -> None:
    """List protocols with one line on what each is."""
    from affectra.splits.protocols import PROTOCOLS

    promises = {True: "speaker-independent", False: "speaker-dependent", None: "as its input"}
    rows = [
        {
            "name": p.name,
            "version": p.version,
            "speakers": promises[p.speaker_independent],
            "keeps_apart": sorted(p.promises),
            "title": p.title,
        }
        for p in PROTOCOLS.values()
    ]
    if json_:
        print(json.dumps(rows, indent=2))
    else:
        print_table(rows, ["name", "version", "speakers", "keeps_apart", "title"])


@app.command
def split(
    protocol: str,
    manifests: Annotated[list[Path], Parameter(name="MANIFEST")],
    /,
    *,
    out: Path,
    settings: Settings = [],  # noqa: B006, cyclopts reads the default, nobody changes it
) -> None:
    """Write a protocol's folds as JSON, with its name, version and hash.

    Parameters
    ----------
    protocol
        A name from `affectra protocols`.
    manifests
        One manifest or several.
    out
        The JSON file.
    settings
        Options of the protocol, e.g. dev=false.
    """
    from affectra.corpora.manifest import join_manifests, read_manifest
    from affectra.corpora.names import spelling_warnings
    from affectra.recipes.config import parse_assignments
    from affectra.splits.protocols import apply_protocol, write_splits

    manifest = join_manifests([read_manifest(path) for path in manifests])
    splits = apply_protocol(protocol, manifest, parse_assignments(settings))
    write_splits(splits, out)
    for warning in spelling_warnings(manifest):
        say(f"affectra: {warning}")
    stamp = "speaker-independent" if splits.speaker_independent else "SPEAKER-DEPENDENT"
    folds = f"{len(splits.folds)} fold{'s' * (len(splits.folds) != 1)}"
    print(f"{out}: {folds}, {stamp}, hash {splits.hash}")


@app.command
def audit(
    splits: Path,
    manifests: Annotated[list[Path], Parameter(name="MANIFEST")],
    /,
    *,
    root: Path | None = None,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Judge any split: what of its test parts is in training too, by name and by ear. Exit code 1 on a leak.

    Parameters
    ----------
    splits
        Folds as `affectra split` writes them, or somebody else's as JSON, CSV or a folder of EmoBox.
    manifests
        The manifests of its utterances.
    root
        Folder of the audio; default: where the manifests lie or were prepared from.
    json_
        Print everything as JSON.
    """
    from affectra.splits.leakage.files import audit_file

    with progress_bar("listening for copies") as progress:
        found = audit_file(splits, manifests, root, progress, say)
    print(json.dumps(found.to_json(), indent=2, ensure_ascii=False) if json_ else "\n".join(found.lines()))
    return 0 if found.ok else 1
