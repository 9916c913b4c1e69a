"""The doctor: a corpus's counts against the published ones, and what is wrong with its files and rows."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from affectra.corpora.manifest import Corpus, CorpusInfo
from affectra.corpora.names import spelling_warnings
from affectra.corpora.recordings import Recording, inspect
from affectra.corpora.tree import condense
from affectra.errors import AudioError
from affectra.files import sha256_json

SEVERITIES = ("error", "warning", "note")
GROUPS = ("sessions", "dialogues")  # counted where the corpus has them
WORDS = ("emotion", "style", "split")  # counted by word
SHORT_S = 0.3  # ours: shorter than a spoken word with its emotion
LONG_FACTOR = 10  # ours: times the corpus's median
QUIET_DB = -60  # ours: of full scale; about 30 steps of 16 bit
SPEAKER_DB = 12  # ours: far beyond how much louder one person speaks than another
END_TOLERANCE_S = 0.05  # ours: labels are often rounded
CountClasses = Callable[[pd.DataFrame, str], Mapping[str, int]]  # of a manifest and the name of a task


@dataclass(frozen=True)
class Finding:
    """Something found.

    Attributes:
        severity: "error": a run refuses it, or it cannot be that corpus; "warning": look at it; "note": good to know.
        file: relative to the root; "" if it is about the whole corpus.
        message: what is wrong.
    """

    severity: str
    file: str
    message: str


@dataclass(frozen=True)
class Diagnosis:
    """Result of checking a corpus: counts beside the published ones, and faults.

    Attributes:
        corpus: its name.
        counts: "utterances", "speakers", "sessions", "dialogues", "files", "seconds" (numbers), "emotion", "style",
            "split", "speaker", "sample_rate", "channels" (counts by value), "tasks" (counts by class of each task
            with published ones).
        expected: the published counts, empty if none are known.
        faults: findings, errors first.
        fingerprint: SHA-256 of all utterances' names and samples, the same in another container or layout.
    """

    corpus: str
    counts: Mapping[str, Any]
    expected: Mapping[str, Any]
    faults: tuple[Finding, ...]
    fingerprint: str

    @property
    def ok(self) -> bool:
        """Whether a run would take the corpus."""
        return not any(finding.severity == "error" for finding in self.faults)

    def to_json(self) -> dict[str, Any]:
        """Everything, as values that JSON has."""
        return {
            "corpus": self.corpus,
            "ok": self.ok,
            "counts": dict(self.counts),
            "expected": dict(self.expected),
            "fingerprint": self.fingerprint,
            "faults": [vars(finding) for finding in self.faults],
        }

    def lines(self) -> list[str]:
        """Text: counts, findings (many equal ones in one line), verdict."""
        counts, expected = self.counts, self.expected
        utterances, speakers = (_beside(counts, expected, kind) for kind in ("utterances", "speakers"))
        size = f"{counts['files']} files, {counts['seconds'] / 60:.1f} min"
        groups = "".join(f", {_beside(counts, expected, kind)} {kind}" for kind in GROUPS if counts[kind])
        lines = [f"{self.corpus}: {utterances} utterances, {speakers} speakers{groups}, {size}"]
        tables = {kind: (counts[kind], expected.get(kind, {})) for kind in ("emotion", "style", "split", "speaker")}
        tables |= {f"task {task}": (counts["tasks"][task], expected["tasks"][task]) for task in counts["tasks"]}
        for kind, (found, published) in tables.items():
            values = sorted({*found, *published})
            if kind in ("emotion", "speaker") or set(values) - {""}:
                beside = (f"{value or '(none)'} {_beside(found, published, value)}" for value in values)
                lines.append(f"{kind}: " + ", ".join(beside))
        for kind, unit in (("sample_rate", "Hz"), ("channels", "channel(s)")):
            lines.append(f"{kind}: " + ", ".join(f"{value} {unit} {n}" for value, n in counts[kind].items()))
        totals = []
        for severity in SEVERITIES:
            found = [finding for finding in self.faults if finding.severity == severity]
            about_all = [finding.message for finding in found if not finding.file]
            about_files = condense((finding.file, finding.message) for finding in found if finding.file)
            lines += [f"{severity}: {text}" for text in (*about_all, *about_files)]
            totals.append(f"{len(found)} {severity}{'' if len(found) == 1 else 's'}")
        return [*lines, f"fingerprint: {self.fingerprint}", f"{'ok' if self.ok else 'NOT ok'}: {', '.join(totals)}"]


def _beside(counts: Mapping[str, int], expected: Mapping[str, int], key: str) -> str:
    """A count and, where it differs, the published one."""
    n = counts.get(key, 0)
    return f"{n} (published {expected[key]})" if key in expected and expected[key] != n else str(n)


def examine(
    corpus: Corpus,
    info: CorpusInfo | None = None,
    progress: Callable[[int, int], None] | None = None,
    count_classes: CountClasses | None = None,
) -> Diagnosis:
    """Examine a corpus: every row, every file, every sample, one file in memory at a time.

    Args:
        corpus: as read.
        info: what is published of it; None for a corpus of one's own.
        progress: called with files done and files in all.
        count_classes: utterances a class of a manifest and a task's name, as of `affectra.tasks.labels.count_classes`;
            without it the published counts of tasks are not compared.
    """
    recordings: dict[str, Recording] = {}
    findings = [Finding("warning", "", fault) for fault in corpus.faults]
    files = [file for file in dict.fromkeys(corpus.manifest["file"]) if file]
    for done, file in enumerate(files, start=1):
        path = corpus.root / file
        try:
            recordings[file] = inspect(path)
        except AudioError as error:
            findings.append(Finding("error", file, str(error).removeprefix(f"{path}: ")))
        if progress is not None:
            progress(done, len(files))
    expected = dict(info.expected) if info else {}
    counts = _count(corpus.manifest, recordings)
    counts["tasks"] = {
        task: count_classes(corpus.manifest, task) for task in expected.get("tasks", ()) if count_classes
    }
    findings += _compare(counts, expected)
    findings += [Finding("warning", "", warning) for warning in spelling_warnings(corpus.manifest)]
    findings += _look_at_rows(corpus.manifest, over_time="continuous" in corpus.tables)
    findings += _look_at_ratings(corpus.manifest, expected.get("scale"))
    findings += _look_at_times(corpus.manifest, recordings)
    findings += _look_at_recordings(recordings)
    findings += _look_at_speakers(corpus.manifest, recordings)
    findings += _look_for_copies(corpus.manifest, recordings)
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))  # stable
    return Diagnosis(corpus.name, counts, expected, tuple(findings), _fingerprint(corpus.manifest, recordings))


def _count(manifest: pd.DataFrame, recordings: Mapping[str, Recording]) -> dict[str, Any]:
    infos = [recording.info for recording in recordings.values()]
    distinct = {kind: len(set(manifest[kind.removesuffix("s")]) - {""}) for kind in ("speakers", *GROUPS)}
    return {
        "utterances": len(manifest),
        **distinct,
        "files": len(set(manifest["file"]) - {""}),
        "seconds": round(sum(info.duration_s for info in infos), 3),
        **{kind: dict(sorted(Counter(manifest[kind]).items())) for kind in (*WORDS, "speaker")},
        "sample_rate": dict(Counter(str(info.sample_rate) for info in infos).most_common()),
        "channels": dict(Counter(str(info.n_channels) for info in infos).most_common()),
    }


def _compare(counts: Mapping[str, Any], expected: Mapping[str, Any]) -> Iterator[Finding]:
    """Fewer than published is a part of the corpus; more cannot be the corpus."""
    numbers = ("utterances", "speakers", *GROUPS)
    pairs = [(kind, counts[kind], expected[kind]) for kind in numbers if kind in expected]
    tables = [("utterances of", counts[kind], expected[kind]) for kind in WORDS if kind in expected]
    by_task = counts["tasks"].items()
    tables += [(f"utterances of task {task},", classes, expected["tasks"][task]) for task, classes in by_task]
    for title, found, published in tables:
        words = sorted({*published, *found} - {""})
        pairs += [(f"{title} {word}", found.get(word, 0), published.get(word, 0)) for word in words]
    for kind, n, m in pairs:
        whole = kind in numbers or counts["utterances"] >= expected.get("utterances", 0)
        if n > m and whole:
            yield Finding("error", "", f"{n} {kind}, published {m}; it cannot be this corpus alone")
        elif n != m:
            hint = "more than the whole corpus has" if n > m else "a part is missing"
            yield Finding("warning", "", f"{n} {kind}, published {m}; {hint}")


def _look_at_ratings(manifest: pd.DataFrame, scale: tuple[float, float] | None) -> Iterator[Finding]:
    """Ratings that the corpus's scale does not have, as a lost decimal point leaves them."""
    if scale is None:
        return
    for column in ("arousal", "valence", "dominance"):
        outside = manifest[(manifest[column] < scale[0]) | (manifest[column] > scale[1])]
        for row in outside.to_dict("records"):
            text = f"{column} of {row['utterance']} is {row[column]:g}, on a scale from {scale[0]:g} to {scale[1]:g}"
            yield Finding("warning", row["file"], text)


def _look_at_rows(manifest: pd.DataFrame, over_time: bool) -> Iterator[Finding]:
    """Rows that protocols or tasks cannot use, segments that are two utterances, sentences that speakers share."""
    for column, why in (("speaker", "protocols by speaker refuse them"), ("emotion", "no task by emotion takes them")):
        n_empty = int((manifest[column] == "").sum())
        if n_empty and column == "emotion" and over_time:
            yield Finding("note", "", f"{n_empty} of {len(manifest)} utterances are labelled over time, without a word")
        elif n_empty:
            yield Finding("warning", "", f"{n_empty} of {len(manifest)} utterances have no {column}; {why}")
    silent = manifest["file"] == ""
    if silent.any():
        text = f"{int(silent.sum())} of {len(manifest)} utterances have text and no audio"
        yield Finding("note" if silent.all() else "warning", "", text)
    for row in manifest[manifest.duplicated(["file", "start", "end"]) & ~silent].to_dict("records"):
        yield Finding("warning", row["file"], f"{row['utterance']} is the same segment as another utterance")
    known = manifest[(manifest["sentence"] != "") & (manifest["speaker"] != "")]
    n_speakers = known.groupby("sentence")["speaker"].nunique()
    n_shared = int((n_speakers > 1).sum())
    if n_shared:
        text = f"{n_shared} of {len(n_speakers)} sentences are spoken by several speakers"
        yield Finding("note", "", f"{text}; folds by speaker have the same sentences in training and test")


def _look_at_times(manifest: pd.DataFrame, recordings: Mapping[str, Recording]) -> Iterator[Finding]:
    """Starts and ends beyond the recording."""
    for row in manifest[manifest["start"].notna() | manifest["end"].notna()].to_dict("records"):
        if row["file"] not in recordings:
            continue
        length_s = recordings[row["file"]].info.duration_s
        if row["start"] >= length_s:
            text = f"{row['utterance']} starts at {row['start']:g} s, the file ends at {length_s:g} s"
            yield Finding("error", row["file"], text)
        elif row["end"] > length_s + END_TOLERANCE_S:
            text = f"{row['utterance']} ends at {row['end']:g} s, the file at {length_s:g} s"
            yield Finding("warning", row["file"], text)


def _look_at_recordings(recordings: Mapping[str, Recording]) -> Iterator[Finding]:
    if not recordings:
        return
    infos = [recording.info for recording in recordings.values()]
    sample_rate = Counter(info.sample_rate for info in infos).most_common(1)[0][0]
    n_channels = Counter(info.n_channels for info in infos).most_common(1)[0][0]
    median_s = float(np.median([info.duration_s for info in infos]))
    for file, recording in recordings.items():
        info = recording.info
        if "silent" in recording.flags:
            yield Finding("warning", file, "silent")
        elif recording.level_db < QUIET_DB:
            yield Finding("warning", file, f"nearly silent: below {QUIET_DB} dB of full scale")
        if "clipped" in recording.flags:
            yield Finding("warning", file, "clipped")
        if "truncated" in recording.flags:
            yield Finding("warning", file, "cut off or damaged, and read as far as it goes; fetch it again")
        if info.duration_s < SHORT_S:
            yield Finding("warning", file, f"very short: {info.duration_s:.3f} s")
        if info.duration_s > LONG_FACTOR * median_s:
            yield Finding("warning", file, f"very long: {info.duration_s:.1f} s, the median is {median_s:.1f} s")
        if info.sample_rate != sample_rate:
            yield Finding("note", file, f"{info.sample_rate} Hz, most are {sample_rate} Hz")
        if info.n_channels != n_channels:
            yield Finding("note", file, f"{info.n_channels} channels, most have {n_channels}")


def _look_at_speakers(manifest: pd.DataFrame, recordings: Mapping[str, Recording]) -> Iterator[Finding]:
    """Speakers recorded at quite another level than the rest."""
    levels: dict[str, list[float]] = defaultdict(list)
    for file, speaker in zip(manifest["file"], manifest["speaker"], strict=True):
        if speaker and file in recordings and math.isfinite(recordings[file].level_db):
            levels[speaker].append(recordings[file].level_db)
    medians = {speaker: float(np.median(values)) for speaker, values in sorted(levels.items())}
    for speaker, median in medians.items():
        others = [level for name, level in medians.items() if name != speaker]
        difference = median - float(np.median(others)) if others else 0.0
        if abs(difference) > SPEAKER_DB:
            how = "louder" if difference > 0 else "quieter"
            yield Finding("note", "", f"speaker {speaker} is {abs(difference):.0f} dB {how} than the others")


def _look_for_copies(manifest: pd.DataFrame, recordings: Mapping[str, Recording]) -> Iterator[Finding]:
    """Each later copy of a recording, and whether the copies are labelled differently."""
    groups: dict[str, list[str]] = defaultdict(list)
    for file, recording in recordings.items():
        groups[recording.samples_hash].append(file)
    rows = {row["file"]: row for row in manifest.to_dict("records")}
    for first, *copies in groups.values():
        for copy in copies:
            same = "bytes" if recordings[copy].bytes_hash == recordings[first].bytes_hash else "samples"
            differs = [
                f"{column} {rows[copy][column] or '(none)'} here, {rows[first][column] or '(none)'} there"
                for column in ("emotion", "speaker")
                if rows[copy][column] != rows[first][column]
            ]
            contradiction = f", but {'; '.join(differs)}" if differs else ""
            yield Finding("warning", copy, f"a copy: the same {same} as {first}{contradiction}")


def _fingerprint(manifest: pd.DataFrame, recordings: Mapping[str, Recording]) -> str:
    content = []
    for row in manifest.sort_values("utterance").to_dict("records"):
        span = [None if second != second else second for second in (row["start"], row["end"])]
        samples = recordings[row["file"]].samples_hash if row["file"] in recordings else None
        content.append([row["utterance"], *span, samples])
    return sha256_json(content)
