"""Caveats, which spoil a result without leakage: classes never trained on, one class, speakers missing."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from affectra.corpora.names import alike_speakers
from affectra.splits.leakage.by_ear.fingerprint import Fingerprint
from affectra.splits.leakage.checks import Codes, Parts
from affectra.splits.leakage.findings import Finding
from affectra.splits.protocols.kinds import members


def check_classes(fold: int, parts: Parts, codes: Codes, names: Sequence[str]) -> Iterator[Finding]:
    """Classes that are tested and not trained on; a part with one class alone.

    Args:
        fold: its number.
        parts: its rows.
        codes: (row,) the class, -1 where there is none.
        names: of the classes.
    """
    classes = {
        part: sorted(names[code] for code in np.unique(codes[rows]) if code >= 0) for part, rows in parts.items()
    }
    missing = [name for name in classes["test"] if name not in classes["train"]]
    if missing and classes["train"]:
        what = "classes of test are not in train"
        examples = tuple(missing)
        yield Finding("class-missing", "warning", fold, len(missing), len(classes["test"]), what, examples)
    for part in ("train", "test"):
        if len(classes[part]) == 1 and len(parts[part]) > 1:
            what = f"class alone is in {part}"
            yield Finding("constant-labels", "warning", fold, 1, 0, what, tuple(classes[part]))


def check_people(parts: Sequence[Parts], manifest: pd.DataFrame, keys: Sequence[str]) -> Iterator[Finding]:
    """Speakers who take no part; whom no fold tests though there are several; who may be one; rows without one."""
    speakers = members(manifest, "speaker")
    used = {part: _rows(parts, part) for part in ("train", "dev", "test")}
    known = set(speakers) - {""}
    taking_part = {part: set(speakers.iloc[rows]) for part, rows in used.items()}
    absent = sorted(known.difference(*taking_part.values()))
    if absent:
        what = "speakers of the manifest are in no fold"
        yield Finding("speaker-missing", "warning", None, len(absent), len(known), what, tuple(absent))
    untested = sorted(known - taking_part["test"] - set(absent))
    if untested and len(parts) > 1:
        what = "speakers are tested in no fold"
        yield Finding("speaker-missing", "note", None, len(untested), len(known), what, tuple(untested))
    rows = np.unique(np.concatenate([*used.values()]))
    unknown = rows[(speakers == "").to_numpy()[rows]]
    if len(unknown):
        what = "utterances have no speaker, so nobody can say whether theirs are apart"
        examples = tuple(keys[row] for row in unknown)
        yield Finding("unknown-speaker", "warning", None, len(unknown), len(rows), what, examples)
    alike = alike_speakers(manifest.iloc[rows])
    if alike:
        n_names, n_known = sum(len(found.names) for found in alike), speakers.iloc[rows].replace("", None).nunique()
        what = "names may be the same speaker"
        yield Finding("speaker-spelling", "warning", None, n_names, n_known, what, tuple(map(str, alike)))


def check_audio(
    parts: Sequence[Parts], manifest: pd.DataFrame, keys: Sequence[str], fingerprints: Mapping[str, Fingerprint]
) -> Iterator[Finding]:
    """Recordings that could not be read, and with which nothing was compared."""
    rows = np.unique(np.concatenate([_rows(parts, part) for part in ("train", "dev", "test")]))
    has_audio = (manifest["file"] != "").to_numpy()
    unread = {
        keys[row]: getattr(fingerprints.get(keys[row]), "fault", "no fingerprint")
        for row in rows[has_audio[rows]]
        if keys[row] not in fingerprints or fingerprints[keys[row]].fault
    }
    if unread:
        what = "recordings could not be read, and were compared with nothing"
        examples = tuple(f"{key}: {fault}" for key, fault in list(unread.items()))
        yield Finding("unheard", "warning", None, len(unread), int(has_audio[rows].sum()), what, examples)


def _rows(parts: Sequence[Parts], part: str) -> Codes:
    """The rows that any fold has in a part."""
    return np.unique(np.concatenate([np.zeros(0, np.int64), *(fold[part] for fold in parts)]))
