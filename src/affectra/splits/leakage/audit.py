"""The auditor: which parts of a fold's test data training or dev data have already, whoever made the folds."""

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from affectra.corpora.manifest import utterance_keys
from affectra.errors import ProtocolError
from affectra.splits.leakage.by_ear.copies import copy_checks
from affectra.splits.leakage.by_ear.fingerprint import Fingerprint, sample_hashes
from affectra.splits.leakage.caveats import check_audio, check_classes, check_people
from affectra.splits.leakage.checks import Check, Group, PartPair, Parts
from affectra.splits.leakage.findings import KINDS, Audit, Finding, make_audit
from affectra.splits.leakage.groups import group_checks
from affectra.splits.protocols.folds import PARTS, Fold
from affectra.splits.protocols.kinds import members

PART_PAIRS: tuple[PartPair, ...] = (("train", "test"), ("dev", "test"), ("train", "dev"))
SAME_SOUND = KINDS[: KINDS.index("speaker")]  # the same recording or a part of it


def audit(
    folds: Sequence[Fold],
    manifest: pd.DataFrame,
    *,
    promises: Collection[str] | None = None,
    fingerprints: Mapping[str, Fingerprint] | None = None,
    hashes: Mapping[str, str] | None = None,
    labels: str = "emotion",
) -> Audit:
    """Judge folds: is anything of the test part also in train or dev?

    The same recording, a copy or a segment of it, and the same speaker are leaks in any split. Whether a shared
    session, dialogue or sentence is one depends on what the split claims: what a protocol promises to keep apart is a
    leak if it is not; else a dialogue or session is a leak in a split of unknown claims and a warning in a known
    protocol, a sentence a note. Between train and dev all are warnings, but for speakers where promised.

    Args:
        folds: the folds, whose parts hold utterance keys; they need not be sound.
        manifest: the utterances.
        promises: kinds that the protocol keeps apart (see `affectra.splits.protocols.kinds.KINDS`); None: unknown.
        fingerprints: of the audio by key, to find copies by ear (see `fingerprint_corpora`).
        hashes: of the samples by key, to find exact copies alone; by default those of the fingerprints.
        labels: the manifest's column with the classes.

    Raises:
        ProtocolError: a fold names an utterance that the manifest does not have, or an utterance stands there twice.
    """
    keys = utterance_keys(manifest)
    if keys.duplicated().any():
        raise ProtocolError(f"audit: {keys[keys.duplicated()].iloc[0]!r} stands in the manifests twice")
    listed = _read_parts(folds, keys)
    parts: list[Parts] = [{name: np.unique(rows) for name, rows in part.items()} for part in listed]
    if hashes is None and fingerprints is not None:
        hashes = sample_hashes(fingerprints)
    sentences = members(manifest, "sentence")
    words = manifest[labels].astype("str").where(manifest[labels].notna(), "").astype("str")
    classes, class_names = pd.factorize(words.where(words != "", None))
    checks = group_checks(manifest, sentences, promises)
    checks += copy_checks(manifest, keys, words.tolist(), sentences.tolist(), fingerprints, hashes)
    names = keys.tolist()
    findings = [*_check_utterances(listed, names), *check_people(parts, manifest, names)]
    for k, part in enumerate(parts):
        if not pd.api.types.is_numeric_dtype(manifest[labels]):  # numbers are no classes
            findings += check_classes(k, part, classes, list(class_names))
        findings += _run_checks(k, part, checks, promises, names)
    if fingerprints is not None:
        findings += check_audio(parts, manifest, names, fingerprints)
    return make_audit(len(folds), findings, audio_compared=hashes is not None)


def _read_parts(folds: Sequence[Fold], keys: pd.Series) -> list[Parts]:
    """Rows of each part of each fold."""
    rows = dict(zip(keys, range(len(keys)), strict=True))
    parts: list[Parts] = []
    for k, fold in enumerate(folds):
        part: dict[str, np.ndarray] = {}
        for name in PARTS:
            found = [rows.get(key, -1) for key in getattr(fold, name)]
            if -1 in found:
                unknown = getattr(fold, name)[found.index(-1)]
                raise ProtocolError(f"audit: fold {k}: {name} names {unknown!r}, which the manifest does not have")
            part[name] = np.array(found, dtype=np.int64)
        parts.append(part)
    return parts


def _run_checks(
    fold: int, parts: Parts, checks: Sequence[Check], promises: Collection[str] | None, keys: Sequence[str]
) -> Iterator[Finding]:
    """Findings of the checks in a fold; no warning about dev where the same check already found a leak."""
    for check in checks:
        worst = None
        for pair in PART_PAIRS:
            severity = _severity(check, pair, promises)
            if severity is None or (severity == "warning" and worst == "leak"):
                continue
            for finding in check.find(fold, severity, pair, parts, keys):
                worst = worst or severity
                yield finding


def _severity(check: Check, pair: PartPair, promises: Collection[str] | None) -> str | None:
    """How bad it is that something is in both parts; None: it is not."""
    kind = check.kind
    if check.severity is not None:
        return check.severity if "test" in pair else None
    promised = promises is not None and kind in promises
    if kind in SAME_SOUND:
        return "leak" if "test" in pair else None if isinstance(check, Group) and check.names else "warning"
    if kind == "speaker":
        return "leak" if promised or pair == ("train", "test") else "warning"
    if promised:
        return "leak" if "test" in pair else None
    if pair != ("train", "test"):
        return None
    return "note" if kind == "sentence" else "leak" if promises is None else "warning"


def _check_utterances(parts: Sequence[Parts], keys: Sequence[str]) -> Iterator[Finding]:
    """Utterances in two parts of a fold, listed twice in one, or tested in several folds."""
    tested: dict[int, int] = {}
    for k, part in enumerate(parts):
        for there, here in PART_PAIRS:
            both = np.intersect1d(part[there], part[here])
            if len(both):
                severity = "leak" if here == "test" else "warning"
                total = len(np.unique(part[here]))
                examples = tuple(keys[row] for row in both)
                yield Finding(
                    "utterance", severity, k, len(both), total, f"utterances of {here} are in {there} too", examples
                )
        for name in PARTS:
            rows, counts = np.unique(part[name], return_counts=True)
            twice = rows[counts > 1]
            if len(twice):
                severity = "leak" if name == "test" else "warning"
                examples = tuple(keys[row] for row in twice)
                yield Finding(
                    "utterance", severity, k, len(twice), len(rows), f"utterances are in {name} twice", examples
                )
        test = np.unique(part["test"]).tolist()
        again = [row for row in test if row in tested]
        if again:
            examples = tuple(f"{keys[row]} in fold {tested[row]}" for row in again)
            what = "utterances of test were tested in an earlier fold, so they count twice"
            yield Finding("utterance", "warning", k, len(again), len(test), what, examples)
        tested = {**dict.fromkeys(test, k), **tested}
