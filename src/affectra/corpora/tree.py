"""The files below a corpus's folder: listing them, reading those named by code, reporting what is not understood."""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from affectra.audio import AUDIO_SUFFIXES
from affectra.corpora.manifest import Corpus, manifest_from_rows
from affectra.errors import CorpusError

RECORDING_SUFFIXES = (".wav", ".flac")  # what corpus readers accept; where both are there, the first is taken
MEDIA_SUFFIXES = frozenset((*AUDIO_SUFFIXES, ".aac", ".avi", ".m4a", ".mkv", ".mov", ".mp4", ".mpg", ".webm", ".wma"))
JUNK = (".ds_store", "thumbs.db", "desktop.ini")  # what file managers leave behind
N_NAMED = 5  # files that a reader names one by one before it condenses equal faults into one line

Row = dict[str, Any]
Fault = tuple[str, str]  # file (relative to the root), what is wrong with it


def list_files(root: Path) -> list[PurePosixPath]:
    """Every file below a folder, relative to it and sorted, without what operating systems leave behind.

    Links are followed, each folder once.

    Raises:
        CorpusError: not a readable folder, or a file name that no manifest can hold.
    """
    if not root.is_dir():
        found = "a file" if root.is_file() else "not there"
        raise CorpusError(f"{root}: {found}; expected the corpus's folder (unpack an archive first)")
    files, seen = [], set()
    for folder, folders, names in os.walk(root, onerror=_refuse, followlinks=True):
        place = os.path.realpath(folder)
        if place in seen:
            folders.clear()
            continue
        seen.add(place)
        relative = PurePosixPath(Path(folder).relative_to(root).as_posix())
        files += [relative / name for name in names if not name.startswith("._") and name.casefold() not in JUNK]
    for file in files:
        try:
            str(file).encode()
        except UnicodeEncodeError:
            raise CorpusError(f"{root}: the file name {str(file)!r} is not UTF-8; rename it") from None
    return sorted(files, key=_order)


def _refuse(error: OSError) -> NoReturn:
    raise CorpusError(f"{error.filename}: cannot be listed ({error.strerror}); check its permissions") from error


def _order(file: PurePosixPath) -> tuple[str, str, int, str]:
    """Folder, stem, and of one stem the accepted suffixes first."""
    suffix = file.suffix.lower()
    rank = RECORDING_SUFFIXES.index(suffix) if suffix in RECORDING_SUFFIXES else len(RECORDING_SUFFIXES)
    return str(file.parent), file.stem, rank, file.suffix


def is_media(file: PurePosixPath) -> bool:
    """Whether a file's suffix says that it is a recording of any kind, video included."""
    return file.suffix.lower() in MEDIA_SUFFIXES


def find_recording(root: Path, file: str, suffixes: Sequence[str] = RECORDING_SUFFIXES) -> str | None:
    """Where a recording that a table names really is, relative to the root; None if nowhere.

    Tables say `.wav` where the disk has `.flac`, or spell letters with accents in the other Unicode form.

    Args:
        root: the corpus's folder.
        file: as the table has it, relative to the root.
        suffixes: instead of which the named suffix may stand.
    """
    named = PurePosixPath(file)
    other = [named.with_suffix(suffix) for suffix in suffixes] if named.suffix else []
    for candidate in (named, *other):
        for form in (str(candidate), *(unicodedata.normalize(form, str(candidate)) for form in ("NFC", "NFD"))):
            if (root / form).is_file():
                return form
    return None


def read_document(root: Path, name: str) -> list[tuple[str, str]]:
    """The lines of a document that some copies of a corpus have and others lack; none where there is no such document.

    Args:
        root: the corpus's folder; the document may lie anywhere below it, and of several the first is taken.
        name: of the document, in any case.

    Returns:
        Place (`file:line`) and text of each line that is not blank; bytes that are not UTF-8 become U+FFFD.

    Raises:
        CorpusError: the document cannot be read.
    """
    found = [file for file in list_files(root) if file.name.casefold() == name.casefold()]
    if not found:
        return []
    try:
        text = (root / found[0]).read_bytes().decode("utf-8-sig", errors="replace")
    except OSError as error:
        raise CorpusError(f"{root / found[0]}: cannot be read ({error.strerror})") from error
    return [(f"{found[0]}:{number}", line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]


def read_lines(root: Path, file: PurePosixPath, faults: list[Fault]) -> list[tuple[str, str]]:
    """The lines of a text file in UTF-8 or, where it is not, Windows-1252; none and a fault where it cannot be read.

    Args:
        root: the corpus's folder.
        file: relative to it.
        faults: where the fault goes.

    Returns:
        Place (`file:line`) and text, without the space around it, of each line; blank ones are empty.
    """
    try:
        content = (root / file).read_bytes()
    except OSError as error:
        faults.append((str(file), f"cannot be read ({error.strerror}); left out"))
        return []
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", errors="replace")
    return [(f"{file}:{number}", line.strip()) for number, line in enumerate(text.split("\n"), start=1)]


def condense(faults: Iterable[Fault]) -> tuple[str, ...]:
    """One line a fault; where many files have the same one, one line that names the first and the number of others.

    Example:
        >>> condense((f"labels/a.csv:{line}", "no label; left out") for line in range(1, 8))
        ('labels/a.csv:1 and 6 other lines: no label; left out',)
    """
    by_message: dict[str, list[str]] = defaultdict(list)
    for file, message in faults:
        by_message[message].append(file)
    lines = []
    for message, files in by_message.items():
        if len(files) > N_NAMED:
            others = "lines" if re.search(r":\d+($| \()", files[0]) else "files"
            lines.append(f"{files[0]} and {len(files) - 1} other {others}: {message}")
        else:
            lines += [f"{file}: {message}" for file in files]
    return tuple(lines)


def unknown_code(*codes: tuple[str, str, Collection[str]]) -> str | None:
    """Message on the first unknown code of a name, each (kind, code, known codes); None if all are known.

    Example:
        >>> unknown_code(("text", "a01", ["a01", "a02"]), ("emotion", "Q", ["N", "W"]))
        "unknown emotion code 'Q', expected one of N W"
    """
    for kind, code, known in codes:
        if code not in known:
            return f"unknown {kind} code {code!r}, expected one of {' '.join(sorted(known))}"
    return None


def contradiction(kind: str, in_folder: str, in_name: str) -> str | None:
    """Message on a file whose folder and name differ; None if they agree or the folder has no such label.

    Example:
        >>> contradiction("emotion", "sadness", "anger")
        "its folder says emotion 'sadness', its name 'anger'"
    """
    if in_folder and in_folder != in_name:
        return f"its folder says {kind} {in_folder!r}, its name {in_name!r}"
    return None


def read_named_files(
    corpus: str,
    root: Path,
    parse: Callable[[PurePosixPath], Row | str],
    expected: str,
    documents: Collection[str] = (),
) -> Corpus:
    """Read a corpus whose file names say everything.

    Every recording below the root is either an utterance or a fault; other files are faults only in folders that hold
    utterances, since corpora come with documents.

    Args:
        corpus: its name.
        root: its folder.
        parse: path relative to the root -> manifest row with at least `utterance`, or what is wrong with the name.
        expected: file names that the corpus has, for the message when there are none.
        documents: names of files that the reader itself understands, no faults wherever they lie.

    Raises:
        CorpusError: no utterance below the root.
    """
    files = list_files(root)
    rows: dict[str, Row] = {}
    faults: list[Fault] = []
    for file in filter(is_media, files):
        row = parse(file)
        if isinstance(row, str):
            faults.append((str(file), f"{row}; left out"))
        elif file.suffix.lower() not in RECORDING_SUFFIXES:
            faults.append((str(file), f"expected {' or '.join(RECORDING_SUFFIXES)}; left out"))
        elif row["utterance"] in rows:
            faults.append((str(file), f"the same utterance as {rows[row['utterance']]['file']}; left out"))
        else:
            rows[row["utterance"]] = {"file": str(file), **row}
    if not rows:
        recordings = sum(map(is_media, files))
        first = f", {faults[0][0]}: {faults[0][1]}" if faults else ""
        raise CorpusError(f"{root}: no utterance of {corpus} among {recordings} recordings{first}; expected {expected}")
    homes = {PurePosixPath(row["file"]).parent for row in rows.values()}
    understood = {name.casefold() for name in documents}
    faults += [
        (str(file), "not a recording")
        for file in files
        if file.parent in homes and not is_media(file) and file.name.casefold() not in understood
    ]
    return Corpus(corpus, root, manifest_from_rows(rows.values(), corpus), condense(faults))
