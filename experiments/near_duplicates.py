"""What the audio fingerprint finds and what it does not: the study that its thresholds were chosen on.

python experiments/near_duplicates.py [DATA]    DATA: folder with emodb, ravdess and nemo; default ../shared/data
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import soundfile
import soxr

from affectra.audio import probe, read
from affectra.corpora import read_corpus
from affectra.corpora.manifest import Corpus
from affectra.splits.leakage.by_ear.fingerprint import Fingerprint, fingerprint
from affectra.splits.leakage.by_ear.matching import SHORTEST, bit_error, near_duplicates
from affectra.splits.leakage.by_name.codes import STRIDE

N_COPIES = 200
CORPORA = ("emodb", "ravdess", "nemo")

Sound = tuple[np.ndarray, int]  # (sample,), Hz


def _at(rate_hz: int) -> Callable[[np.ndarray, int], Sound]:
    return lambda samples, rate: (soxr.resample(samples, rate, rate_hz), rate_hz)


def _cut(samples: np.ndarray, rate: int, seconds: float = 0.1) -> Sound:
    return samples[int(seconds * rate) :], rate


def _noisy(samples: np.ndarray, rate: int, snr_db: float) -> Sound:
    noise = np.random.default_rng(0).standard_normal(len(samples))
    level = np.sqrt(np.mean(samples**2) * 10 ** (-snr_db / 10))
    return samples + level * noise, rate


def _speed(factor: float) -> Callable[[np.ndarray, int], Sound]:
    """As sox and torchaudio do it: pitch and tempo together, 1 / factor as long."""
    return lambda samples, rate: (soxr.resample(samples, rate * factor, rate), rate)


def _padded(samples: np.ndarray, rate: int) -> Sound:
    return np.concatenate([np.zeros(int(0.73 * rate)), samples, np.zeros(rate // 2)]), rate


# Name of a copy -> what is done to the samples, and the file it is written to. -20 dB is a tenth.
COPIES: dict[str, tuple[Callable[[np.ndarray, int], Sound], str]] = {
    "mp3 64 kbit/s": (lambda x, rate: (x, rate), ".mp3"),
    "8 kHz": (_at(8000), ".wav"),
    "-20 dB": (lambda x, rate: (0.1 * x, rate), ".wav"),
    "cut 100 ms": (_cut, ".wav"),
    "cut, -20 dB, 8 kHz, mp3": (lambda x, rate: _at(8000)(*_cut(0.1 * x, rate)), ".mp3"),
    "cut 103.7 ms, 11.025 kHz": (lambda x, rate: _at(11_025)(*_cut(x, rate, 0.1037)), ".wav"),
    "silence in front and behind": (_padded, ".wav"),
    "polarity, stereo, flac": (lambda x, rate: (np.stack([-x, -x], axis=1), rate), ".flac"),
    "ogg": (lambda x, rate: (x, rate), ".ogg"),
    "noise, 20 dB SNR": (lambda x, rate: _noisy(x, rate, 20), ".wav"),
    "noise, 10 dB SNR": (lambda x, rate: _noisy(x, rate, 10), ".wav"),
    "speed x0.9": (_speed(0.9), ".wav"),
    "speed x1.1": (_speed(1.1), ".wav"),
    "speed x0.95": (_speed(0.95), ".wav"),
    "speed x1.05": (_speed(1.05), ".wav"),
    "speed x0.9, cut, -20 dB, 8 kHz, mp3": (lambda x, rate: _at(8000)(*_cut(*_speed(0.9)(0.1 * x, rate))), ".mp3"),
    "speed x1.1, 20 dB SNR": (lambda x, rate: _noisy(*_speed(1.1)(x, rate), 20), ".wav"),
    "speed x0.9 beside x1.1, no original": (_speed(0.9), ".wav"),
    "speed x0.95 beside x1.05, no original": (_speed(0.95), ".wav"),
    "speed x1.02": (_speed(1.02), ".wav"),
    "speed x1.2": (_speed(1.2), ".wav"),
}
INSTEAD = {"speed x0.9 beside x1.1, no original": 1.1, "speed x0.95 beside x1.05, no original": 1.05}
MP3_LEVELS = {16_000: 0.6, 8000: 0.0}  # libsndfile's compression level that gives 64 kbit/s


def write_copy(sound: Sound, path: Path) -> None:
    """Write samples; mp3 with 64 kbit/s."""
    samples, rate = sound
    if path.suffix == ".mp3":
        soundfile.write(path, samples, rate, compression_level=MP3_LEVELS[rate], bitrate_mode="CONSTANT")
    else:
        soundfile.write(path, samples, rate)


def loudest(samples: np.ndarray, rate: int, seconds: float | None) -> np.ndarray:
    """The stretch of so many seconds with the most energy; all of it if None."""
    length = len(samples) if seconds is None else int(seconds * rate)
    if length >= len(samples):
        return samples
    energy = np.cumsum(samples**2)
    start = int(np.argmax(energy[length:] - energy[:-length]))
    return samples[start : start + length]


def study_copies(corpus: Corpus, folder: Path, seconds: float | None) -> Iterator[str]:
    """A row for each kind of copy: how many of 200 are found among all originals, and what is found wrongly."""
    originals: dict[str, Fingerprint] = {}
    sounds: dict[str, Sound] = {}
    for row in corpus.manifest.itertuples():
        rate = probe(corpus.path(row)).sample_rate
        samples = loudest(read(corpus.path(row), rate).samples, rate, seconds)
        sounds[row.utterance] = samples, rate
        write_copy(sounds[row.utterance], folder / "original.wav")
        originals[row.utterance] = fingerprint(folder / "original.wav")
    chosen = np.random.default_rng(0).permutation(sorted(sounds))[:N_COPIES].tolist()
    for kind, (change, suffix) in COPIES.items():
        present, copies = dict(originals), {}
        for name in chosen:
            if kind in INSTEAD:
                write_copy(_speed(INSTEAD[kind])(*sounds[name]), folder / "original.wav")
                present[name] = fingerprint(folder / "original.wav")
            write_copy(change(*sounds[name]), folder / f"copy{suffix}")
            copies[f"{name} copy"] = fingerprint(folder / f"copy{suffix}")
        pairs = near_duplicates(present | copies)
        right = {pair.first: pair for pair in pairs if pair.second == f"{pair.first} copy"}
        worst = f"{1 - min(pair.similarity for pair in right.values()):.3f}" if right else "-"
        wrong = len(pairs) - len(right)
        yield f"| {kind} | {len(right)} of {len(chosen)} | {worst} | {wrong} |"


def study_originals(corpus: Corpus) -> str:
    """A row for a corpus: pairs found, and how near the nearest takes of one sentence come to each other."""
    begun = time.process_time()
    found = {row.utterance: fingerprint(corpus.path(row)) for row in corpus.manifest.itertuples()}
    heard_s = time.process_time() - begun
    pairs = near_duplicates(found)
    matched_s = time.process_time() - begun - heard_s
    true = {(pair.first, pair.second) for pair in pairs}
    errors, faster = [], []
    for _, takes in corpus.manifest.groupby(["speaker", "sentence", "emotion", "intensity"]):
        for one, other in combinations(takes["utterance"], 2):
            if (one, other) not in true:
                errors.append(nearest(found[one].codes, found[other].codes))
                for slow, fast in ((one, other), (other, one)):
                    faster += [nearest(codes, found[fast].codes, STRIDE) for codes in found[slow].faster]
    size = np.mean([sum(codes.nbytes for codes in (one.codes, *one.faster)) for one in found.values()])
    names = ", ".join(f"{pair.first} = {pair.second}" for pair in pairs) or "none"
    return (
        f"| {corpus.name} | {len(found)} | {names} | {len(errors)} | {min(errors, default=np.nan):.3f} | "
        f"{min(faster, default=np.nan):.3f} | {1000 * heard_s / len(found):.1f} s | {matched_s:.2f} s | {size:.0f} |"
    )


def nearest(one: np.ndarray, other: np.ndarray, stride: int = 1) -> float:
    """The smallest share of differing bits over all ways to align codes with others, `stride` as of `bit_error`."""
    offsets = range(SHORTEST - stride * len(one), len(other) - SHORTEST + 1)
    errors = [bit_error(one, other, offset, stride) for offset in offsets]
    return min((error for error, n_frames in errors if stride * n_frames >= SHORTEST), default=1.0)


def main(data: Path) -> None:
    """Print the tables."""
    corpora = {name: read_corpus(name, data / name) for name in CORPORA}
    print(
        "| corpus | files | pairs found | takes compared | nearest | at other speeds | heard, 1000 | matched | bytes |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for corpus in corpora.values():
        print(study_originals(corpus), flush=True)
    for seconds, title in ((None, "whole utterances"), (1.0, "1 s"), (0.5, "0.5 s")):
        print(f"\n| EMO-DB, {title} | found | largest bit error | false pairs |\n|---|---|---|---|")
        with tempfile.TemporaryDirectory() as folder:
            for line in study_copies(corpora["emodb"], Path(folder), seconds):
                print(line, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("../shared/data"))
