"""Splits in other people's formats: JSON, tables, and EmoBox's folders."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from affectra.corpora.tables import TABLE_SUFFIXES, read_records
from affectra.errors import CorpusError, ProtocolError
from affectra.splits.protocols.folds import PARTS, Fold, membership_hash, read_splits
from affectra.splits.protocols.naming import Member, Resolver

PART_OF = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("dev", "devel", "development", "val", "valid", "validation"), "dev"),
    **dict.fromkeys(("test", "testing"), "test"),
}
NAME_COLUMNS = ("key", "utterance", "file", "filename", "path", "wav", "name", "id")  # the first that is there
PART_COLUMNS = ("split", "part", "partition", "subset", "set")
ALWAYS_TRAINED = "-1"  # scikit-learn's mark for what no fold tests

_EMOBOX = re.compile(r".+_(?P<part>train|valid|test)_fold(?P<line>_?)(?P<fold>\d+)\.jsonl")

Parts = dict[str, list[Member]]


def read_published(path: str | Path, manifest: pd.DataFrame) -> tuple[list[Fold], str | None]:
    """Read folds in one of these formats; utterances that they do not name take no part.

    - what `affectra split` writes;
    - JSON: an object with train, dev (or val, valid, validation) and test, each a list of names; a list or an object of
      such; an object of name: part; an object of name: number of the fold that tests it;
    - a table (.csv, .tsv, .jsonl) with a column utterance, key, file, path or name, and a column split (or part,
      partition, subset, set), or fold (the fold that tests the row; -1: none does), or both;
    - a folder of EmoBox: `fold_1` with `<corpus>_train_fold_1.jsonl` and `<corpus>_test_fold_1.jsonl`, or the folder
      that holds such.

    Names are the manifest's keys or utterances, or paths whose ends or stems are those of its files. The folds need not
    be sound: what is in two parts is for `affectra.splits.leakage.audit` to find.

    Args:
        path: the file or folder.
        manifest: the utterances.

    Returns:
        The folds, and the name of the protocol that the file says they are of, if it is our own; they may have been
        changed since, see `is_as_written`.

    Raises:
        ProtocolError: no such file, another format, a name that the manifest does not have or has twice, or a fold
            without a train or test part.
    """
    path = Path(path)
    protocol = None
    if path.is_dir():
        folds = _read_emobox(path)
    elif not path.is_file():
        raise ProtocolError(f"{path}: no such splits file; `affectra split` writes one")
    elif path.suffix.lower() in TABLE_SUFFIXES:
        folds = _read_table(path)
    else:
        content = _parse(path)
        if _is_our_own(content):
            found = read_splits(path)
            protocol = str(content["protocol"].get("name", "")) or None
            folds = [
                {part: [Member((key,), f"fold {k}: {part}") for key in getattr(fold, part)] for part in PARTS}
                for k, fold in enumerate(found)
            ]
        else:
            folds = _read_json(content, path)
    return _resolve(folds, Resolver(manifest, str(path)), path), protocol


def is_as_written(path: Path) -> bool:
    """Whether the folds of a file are those that its stamp was made for; other people's files have no stamp."""
    if path.is_dir() or path.suffix.lower() in TABLE_SUFFIXES:
        return True
    content = _parse(path)
    return not _is_our_own(content) or content["protocol"].get("hash") == membership_hash(read_splits(path))


def _resolve(folds: Sequence[Parts], resolver: Resolver, path: Path) -> list[Fold]:
    """Names to keys, after checking that each fold has a train and a test part."""
    resolved = []
    for k, parts in enumerate(folds):
        for part in ("train", "test"):
            if not parts.get(part):
                raise ProtocolError(f"{path}: fold {k}: the {part} part is empty; expected train and test in each fold")
        resolved.append(Fold(*(tuple(resolver.keys(parts.get(part, []))) for part in PARTS)))
    resolver.check()
    return resolved


def _parse(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ProtocolError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    except json.JSONDecodeError as error:
        raise ProtocolError(f"{path}:{error.lineno}: not JSON ({error.msg})") from error


def _is_our_own(content: Any) -> bool:
    """Whether `affectra split` wrote it; other people's folds may have a protocol too, but call dev otherwise."""
    return (
        isinstance(content, dict)
        and isinstance(content.get("protocol"), dict)
        and isinstance(content.get("folds"), list)
        and all(isinstance(fold, dict) and set(fold) <= set(PARTS) for fold in content["folds"])
    )


def _read_json(content: Any, path: Path) -> list[Parts]:
    """Folds of JSON that is not our own."""
    if isinstance(content, dict) and set(content) & {"folds", "splits"} and not _has_parts(content):
        content = content.get("folds", content.get("splits"))
    if isinstance(content, list) and content and all(map(_is_record, content)):
        rows = [({str(k).lower(): _cell(v) for k, v in row.items()}, f"entry {i}") for i, row in enumerate(content)]
        return _from_rows(rows, path)
    if isinstance(content, dict) and not _has_parts(content) and any(map(_has_parts, content.values())):
        content = [content[name] for name in sorted(content, key=_naturally) if isinstance(content[name], (dict, list))]
    if _has_parts(content):
        content = [content]
    if isinstance(content, list) and content and all(map(_has_parts, content)):
        return [_from_parts(fold, f"fold {k}", path) for k, fold in enumerate(content)]
    if isinstance(content, dict) and content and not any(isinstance(v, (dict, list)) for v in content.values()):
        words = {str(value).strip().lower() for value in content.values()}
        column = "split" if words & set(PART_OF) else "fold"
        return _from_rows([({"key": k, column: _cell(v)}, repr(k)) for k, v in content.items()], path)
    raise ProtocolError(
        f"{path}: not splits; expected train, dev and test with lists of names, a list or an object of such folds, or "
        "an object that gives each name its part or its test fold"
    )


def _is_record(value: Any) -> bool:
    return isinstance(value, dict) and not _has_parts(value) and any(str(k).lower() in NAME_COLUMNS for k in value)


def _has_parts(value: Any) -> bool:
    return isinstance(value, dict) and any(
        str(key).lower() in PART_OF and isinstance(names, (list, dict)) for key, names in value.items()
    )


def _cell(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _number(fold: str) -> str:
    """The number of a fold without the .0 that a table with gaps has got."""
    return fold[:-2] if re.fullmatch(r"-?\d+\.0", fold) else fold


def _naturally(name: str) -> list[tuple[int, str]]:
    """fold_2 before fold_10."""
    return [(int(piece), "") if piece.isdigit() else (-1, piece) for piece in re.split(r"(\d+)", str(name))]


def _from_parts(fold: Mapping[str, Any], place: str, path: Path) -> Parts:
    """One fold given as lists of names, or of records with names."""
    parts: Parts = {part: [] for part in PARTS}
    for word, names in fold.items():
        part = PART_OF.get(str(word).lower())
        if part is None:
            if isinstance(names, (list, dict)):
                raise ProtocolError(f"{path}: {place}: unknown part {word!r}, expected one of {', '.join(PART_OF)}")
            continue  # a fold may have a number or a seed
        entries = (
            [{"key": k, **v} if isinstance(v, dict) else k for k, v in names.items()]
            if isinstance(names, dict)
            else names
        )
        if not isinstance(entries, list):
            raise ProtocolError(f"{path}: {place}: {word} is not a list of names")
        for entry in entries:
            record = {"key": entry} if isinstance(entry, str) else entry
            found = _names_of({str(k).lower(): _cell(v) for k, v in record.items()}) if isinstance(record, dict) else ()
            if not found:
                raise ProtocolError(f"{path}: {place}: {word} has {json.dumps(entry)[:60]}, expected a name")
            parts[part].append(Member(found, f"{place}: {word}"))
    return parts


def _names_of(record: Mapping[str, str]) -> tuple[str, ...]:
    """Names that a record may use for its utterance.

    EmoBox puts the corpus in front of its keys (emodb-03a01Fa), and MELD's part behind (meld-dia0_utt0-dev).
    """
    found = [record[column] for column in NAME_COLUMNS if record.get(column)]
    key, dataset = record.get("key", ""), record.get("dataset", "")
    if dataset and key.startswith(f"{dataset}-"):
        short = key.removeprefix(f"{dataset}-")
        found += [short, re.sub(r"(.+)-(train|dev|test)", r"\2_\1", short)]
    if record.get("corpus"):
        found = [*(f"{record['corpus']}/{name}" for name in found), *found]
    return tuple(dict.fromkeys(found))


def _read_table(path: Path) -> list[Parts]:
    try:
        records = read_records(path)
    except CorpusError as error:
        raise ProtocolError(str(error)) from error
    rows = []
    for line, record in records:
        if isinstance(record, str):
            raise ProtocolError(f"{path}:{line}: {record}")
        rows.append((record, f"line {line}"))
    return _from_rows(rows, path)


def _from_rows(rows: Sequence[tuple[Mapping[str, str], str]], path: Path) -> list[Parts]:
    """Folds of rows with a name and a part, a fold, or both."""
    columns = list(dict.fromkeys(column for row, _ in rows for column in row))
    part_column = next((column for column in PART_COLUMNS if column in columns), None)
    if not set(columns) & set(NAME_COLUMNS) or not (part_column or "fold" in columns):
        raise ProtocolError(
            f"{path}: columns {', '.join(columns)}; expected one of {', '.join(NAME_COLUMNS)}, and split, fold or both"
        )
    members = []  # (fold, part, member), "" where the table does not say
    for row, place in rows:
        names = _names_of(row)
        if not names:
            raise ProtocolError(f"{path}: {place}: no name of an utterance")
        word = row.get(part_column, "").lower() if part_column else ""
        if word and word not in PART_OF:
            raise ProtocolError(f"{path}: {place}: unknown part {word!r}, expected one of {', '.join(PART_OF)}")
        members.append((_number(row.get("fold", "")), PART_OF.get(word, ""), Member(names, place)))
    if part_column is None:
        return _k_folds([(fold, member) for fold, _, member in members if fold], path)
    folds: dict[str, Parts] = {}
    for fold, part, member in members:
        if part:  # a row without a part takes none
            folds.setdefault(fold, {name: [] for name in PARTS})[part].append(member)
    if not folds:
        raise ProtocolError(f"{path}: no row has a part; expected {', '.join(PART_OF)} in the column {part_column!r}")
    return [folds[fold] for fold in sorted(folds, key=_naturally)]


def _k_folds(members: Sequence[tuple[str, Member]], path: Path) -> list[Parts]:
    """One fold for each number: its rows are tested, all others trained on."""
    numbers = sorted({fold for fold, _ in members} - {ALWAYS_TRAINED}, key=_naturally)
    if len(numbers) < 2:
        raise ProtocolError(
            f"{path}: one fold alone ({', '.join(numbers) or 'none'}), and no column says who is in train or test; "
            "expected two folds or a column split"
        )
    return [
        {"train": [m for fold, m in members if fold != number], "test": [m for fold, m in members if fold == number]}
        for number in numbers
    ]


def _read_emobox(folder: Path) -> list[Parts]:
    """The folds of a folder of EmoBox, of one corpus."""
    found: dict[int, dict[str, list[tuple[bool, Path]]]] = {}
    for file in sorted([*folder.glob("*.jsonl"), *folder.glob("fold*/*.jsonl")]):
        match = _EMOBOX.fullmatch(file.name)
        if match and not file.name.startswith("._"):
            parts = found.setdefault(int(match["fold"]), {})
            # Older folders also hold emodb_train_fold1.jsonl, which the one with the line replaced.
            parts.setdefault(PART_OF[match["part"]], []).append((not match["line"], file))
    if not found:
        raise ProtocolError(
            f"{folder}: no folds; expected EmoBox's fold_1/<corpus>_train_fold_1.jsonl and ..._test_fold_1.jsonl"
        )
    folds = []
    for number, parts in sorted(found.items()):
        for part in ("train", "test"):
            if part not in parts:
                raise ProtocolError(f"{folder}: fold_{number} has no file for {part}; expected train and test")
        chosen = {part: [file for old, file in files if old == min(files)[0]] for part, files in parts.items()}
        doubled = Counter({part: len(files) for part, files in chosen.items()}).most_common(1)[0]
        if doubled[1] > 1:
            raise ProtocolError(f"{folder}: fold_{number} has several files for {doubled[0]}; give one corpus's folder")
        folds.append({part: list(_read_lines(files[0])) for part, files in chosen.items()})
    return folds


def _read_lines(file: Path) -> Iterator[Member]:
    try:
        records = read_records(file)
    except CorpusError as error:
        raise ProtocolError(str(error)) from error
    for line, record in records:
        place = f"{file.name}:{line}"
        if isinstance(record, str):
            raise ProtocolError(f"{file}:{line}: {record}")
        names = _names_of(record)
        if not names:
            raise ProtocolError(f"{file}:{line}: no key and no wav; expected EmoBox's fields")
        yield Member(names, place)
