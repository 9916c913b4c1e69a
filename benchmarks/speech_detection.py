"""Fits the weights of the speech detector `energy` (`--fit`) and measures both detectors.

    python benchmarks/speech_detection.py DATA [--fit]

DATA holds emodb, ravdess, nemo and esc10 as published. Fitted on EMO-DB (clean, and in noise of ESC-10 folds 1 and 2,
through random equalisers) against those noises, tones and coloured noise; measured on RAVDESS, nEMO and fold 3.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import scipy.signal
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from affectra.audio import read
from affectra.audio.voice_activity import (
    _CUES,
    DETECTORS,
    FRAME_LENGTH,
    SAMPLE_RATE,
    EnergyDetector,
    speech_detector,
    speech_frames,
)

Samples = np.ndarray


def recordings(data: Path, name: str, every: int = 1) -> Iterator[Samples]:
    """Recordings of a corpus at 16 kHz."""
    patterns = {"emodb": "emodb/wav/*.wav", "ravdess": "ravdess/*/*", "nemo": "nemo/samples/*"}
    patterns |= {f"esc {fold}": f"esc10/*/{fold}-*.ogg" for fold in (1, 2, 3)}
    for path in sorted(data.glob(patterns[name]))[::every]:
        yield read(path, SAMPLE_RATE).samples


def mixed(speech: Samples, noise: Samples, snr_db: float) -> Samples:
    """Speech in noise."""
    noise = np.resize(noise, len(speech))
    gain = np.sqrt(np.square(speech).mean() / max(np.square(noise).mean(), 1e-12)) * 10 ** (-snr_db / 20)
    return (speech + gain * noise).astype(np.float32)


def equalised(samples: Samples, rng: np.random.Generator) -> Samples:
    """As another microphone would have it, at another level."""
    out = scipy.signal.lfilter([1, -rng.uniform(-0.6, 0.6)], [1], samples)
    if rng.random() < 0.5:
        band = [rng.uniform(50, 300), rng.uniform(3000, 7500)]
        out = scipy.signal.lfilter(*scipy.signal.butter(2, band, "band", fs=SAMPLE_RATE), out)
    return (out * 10 ** rng.uniform(-1.5, 0.3) * 0.3 / max(1e-6, np.abs(out).max())).astype(np.float32)


def telephone(samples: Samples) -> Samples:
    """Between 300 and 3400 Hz."""
    band = scipy.signal.butter(4, [300, 3400], "band", fs=SAMPLE_RATE)
    return scipy.signal.lfilter(*band, samples).astype(np.float32)


def no_speech_by_rule(rng: np.random.Generator) -> Iterator[Samples]:
    """Hum, tones, coloured noise and clicks, 5 s each."""
    times = np.arange(5 * SAMPLE_RATE) / SAMPLE_RATE
    for pitch_hz in (50, 60, 100, 120, 150, 220, 300, 440, 1000):
        for n_partials in (1, 5, 20):
            partials = [k for k in range(1, n_partials + 1) if pitch_hz * k < 7000]
            tone = sum(np.sin(2 * np.pi * pitch_hz * k * times + rng.uniform(0, 6)) / k for k in partials)
            yield (0.1 * tone + 1e-4 * rng.standard_normal(len(times))).astype(np.float32)
    for colour in (0, 0.9, 0.97, 0.995):
        noise = scipy.signal.lfilter([1], [1, -colour], rng.standard_normal(len(times)))
        yield (0.1 * noise / noise.std()).astype(np.float32)
    clicks = np.zeros(len(times), np.float32)
    clicks[:: SAMPLE_RATE // 2] = 0.8
    yield clicks


def cues(samples: Samples) -> tuple[np.ndarray, np.ndarray]:
    """Cues and levels of a recording's frames."""
    return EnergyDetector().cues(samples)


def active(levels_db: np.ndarray) -> np.ndarray:
    """Frames loud enough to be more than a pause."""
    return levels_db > levels_db.max() - 35


def fit(data: Path) -> None:
    """Print weights and bias."""
    rng = np.random.default_rng(1)
    noises = [noise for fold in (1, 2) for noise in recordings(data, f"esc {fold}")]
    loud = [noise for noise in noises if np.square(noise[: len(noise) // 2]).mean() > 1e-8]
    examples, truth = [], []
    for speech in recordings(data, "emodb"):
        clean, levels_db = cues(speech)
        noisy, _ = cues(equalised(mixed(speech, loud[rng.integers(len(loud))], rng.uniform(5, 30)), rng))
        spoken = active(levels_db) & (np.arange(len(levels_db)) > 4)
        examples += [clean[spoken], noisy[spoken]]
        truth.append(np.ones(2 * spoken.sum()))
    for sound in [*noises, *no_speech_by_rule(rng), *(equalised(noise, rng) for noise in noises + noises)]:
        examples.append(cues(sound)[0][5:])
        truth.append(np.zeros(len(examples[-1])))
    scaler = StandardScaler().fit(np.concatenate(examples))
    model = LogisticRegression(class_weight="balanced", max_iter=1000)
    model.fit(scaler.transform(np.concatenate(examples)), np.concatenate(truth))
    weights = model.coef_[0] / scaler.scale_
    print(dict(zip(_CUES, np.round(weights, 4).tolist(), strict=True)))
    print("bias, half a unit stricter than even:", round(float(model.intercept_[0] - weights @ scaler.mean_ - 0.5), 2))


def measure(data: Path, detector: str) -> None:
    """Print how often speech is missed, and noise taken for it."""
    rng = np.random.default_rng(2)
    noises = list(recordings(data, "esc 3"))
    loud = [noise for noise in noises if np.square(noise).mean() > 1e-6]
    sets = {name: recordings(data, name) for name in ("emodb", "ravdess", "nemo")}

    def in_noise(snr_db: float) -> Iterator[Samples]:
        for speech in recordings(data, "ravdess", 5):
            yield mixed(speech, loud[rng.integers(len(loud))], snr_db)

    def at_level(level_db: float) -> Iterator[Samples]:
        for speech in recordings(data, "ravdess", 5):
            yield np.round(speech * 10 ** (level_db / 20) / speech.std() * 32768).astype(np.float32) / 32768

    sets |= {f"ravdess, noise at {snr_db} dB": in_noise(snr_db) for snr_db in (20, 10, 5, 0)}
    sets |= {f"ravdess, 16 bit at {level_db} dB RMS": at_level(level_db) for level_db in (-50, -60, -70)}
    sets["ravdess, telephone"] = (telephone(speech) for speech in recordings(data, "ravdess", 5))
    sets["esc 1-2"] = (noise for fold in (1, 2) for noise in recordings(data, f"esc {fold}"))
    sets["esc 3"] = iter(noises)
    sets["tones, noise, clicks"] = no_speech_by_rule(rng)
    print(f"| {detector} | files | without 0.3 s of speech | share of frames that are speech |\n|---|---|---|---|")
    for name, samples in sets.items():
        found = [speech_frames(speech_detector(detector).feed(one)) for one in samples]
        without = np.mean([frames.sum() * FRAME_LENGTH / SAMPLE_RATE < 0.3 for frames in found])
        print(f"| {name} | {len(found)} | {without:.1%} | {np.mean(np.concatenate(found)):.1%} |", flush=True)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    if "--fit" in sys.argv:
        fit(folder)
    else:
        for each in DETECTORS:
            measure(folder, each)
