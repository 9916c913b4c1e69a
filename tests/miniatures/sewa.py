"""SEWA in small: the challenges' layout; a recording is one voice's turns of one dialogue of the embedded corpus."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from affectra.corpora.manifest import Corpus

STEP_S = 0.1
PARTITIONS = {"us": "Train", "de1": "Train", "gb": "Devel", "de2": "Test"}  # by session, so that no voice is in two
CULTURES = {"us": "HU", "de1": "DE", "gb": "HU", "de2": "CN"}  # only the test part has Chinese
HEADER = "name;timestamp;arousal;valence;liking"


@dataclass(frozen=True)
class Recording:
    """One recording of the miniature: `turns` are start, end (s) and text, `labels` time, arousal, valence, liking."""

    name: str
    samples: np.ndarray
    sample_rate: int
    turns: list[tuple[float, float, str]]
    labels: pd.DataFrame


def write(root: Path, corpus: Corpus, suffix: str = ".wav", *, release: int = 2017) -> None:
    """Lay out a release: 2017 has no header and names in single quotes, 2019 a header and cultures in the names.

    As published, the test part has no labels.
    """
    for folder in ("audio", "labels", "turns", "transcriptions"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for recording in make_recordings(corpus, release):
        name = recording.name
        soundfile.write(root / f"audio/{name}{suffix}", recording.samples, recording.sample_rate, subtype="PCM_16")
        _write(root / f"turns/{name}.csv", [f"{start:.3f};{end:.3f}" for start, end, _ in recording.turns])
        _write(
            root / f"transcriptions/{name}.csv",
            [f"{start:.3f};{end:.3f};{text}" for start, end, text in recording.turns],
        )
        if name.startswith("Test"):
            continue
        quoted = f"'{name}'" if release == 2017 else name
        rows = [
            f"{quoted};{time:.1f};{arousal:.4f};{valence:.4f};{liking:.4f}"
            for time, arousal, valence, liking in recording.labels.itertuples(index=False)
        ]
        _write(root / f"labels/{name}.csv", ([] if release == 2017 else [HEADER]) + rows)


def make_recordings(corpus: Corpus, release: int = 2017) -> Iterator[Recording]:
    """The recordings in the order of their names' numbers, each turn filled up to a whole step of the labels."""
    numbers: dict[str, int] = {}
    traces = dict(iter(corpus.tables["continuous"].groupby("utterance")))
    for (session, _, _), rows in corpus.manifest.groupby(["session", "dialogue", "speaker"]):
        part = PARTITIONS[session] + (f"_{CULTURES[session]}" if release == 2019 else "")
        numbers[part] = numbers.get(part, 0) + 1
        yield _join(f"{part}_{numbers[part]:02}", rows, corpus, traces)


def _join(name: str, rows: pd.DataFrame, corpus: Corpus, traces: dict[str, pd.DataFrame]) -> Recording:
    pieces, turns, labels = [], [], []
    offset_s = 0.0
    sample_rate = 0
    for row in rows.to_dict("records"):
        samples, sample_rate = soundfile.read(corpus.root / row["file"], dtype="int16")
        length_s = len(samples) / sample_rate
        n_steps = int(np.ceil(length_s / STEP_S))
        pieces.append(np.pad(samples, (0, round(n_steps * STEP_S * sample_rate) - len(samples))))
        turns.append((offset_s, offset_s + length_s, row["text"]))
        trace = traces[row["utterance"]]
        assert len(trace) == n_steps
        labels.append(trace.drop(columns="utterance").assign(time=trace["time"] + offset_s))
        offset_s += n_steps * STEP_S
    return Recording(name, np.concatenate(pieces), sample_rate, turns, pd.concat(labels))


def _write(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
