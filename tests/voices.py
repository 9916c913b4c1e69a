"""Voices to test with: tones of known pitch, written as recordings."""

from pathlib import Path

import numpy as np
import soundfile

from affectra.corpora.manifest import manifest_from_rows, write_manifest

RATE = 16_000


PITCHES_HZ = {"anger": 260, "boredom": 105, "fear": 300, "happiness": 340, "neutral": 160, "sadness": 120}


def write_voices(folder: Path, name: str, take: int = 0) -> Path:
    """A manifest of 4 speakers with a harmonic sound of each emotion; in corpora and takes the noise differs."""
    rng = np.random.default_rng([take, *map(ord, name)])
    rows = []
    for speaker in range(4):
        for emotion, pitch_hz in PITCHES_HZ.items():
            time_s = np.arange(int(RATE * rng.uniform(0.4, 0.6))) / RATE
            phase = 2 * np.pi * pitch_hz * rng.uniform(0.95, 1.05) * time_s
            voice = sum(0.1 / k * np.sin(k * phase) for k in range(1, 9))
            file = f"{name}_{take}_{speaker}_{emotion}.wav"
            soundfile.write(folder / file, voice + 0.02 * rng.standard_normal(len(time_s)), RATE)
            rows.append({"utterance": f"s{speaker}_{emotion}", "file": file, "speaker": f"s{speaker}"})
            rows[-1] |= {"emotion": emotion, "gender": "female" if speaker % 2 else "male", "language": "en"}
    path = folder / f"{name}_{take}.csv"
    write_manifest(manifest_from_rows(rows, name), path)
    return path
