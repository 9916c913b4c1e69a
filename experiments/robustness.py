"""How a run's models hold up when the recording gets worse: each utterance by the fold that had not heard its speaker.

python experiments/robustness.py NOISES RUN [RUN ...] --corpus NAME=FOLDER ... [--every N]

NOISES is a folder of ESC-10; of it fold 3 (files that begin with 3-) is used, which no augmentation of ours knows.
"""

import argparse
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
from scipy.signal import butter, fftconvolve, sosfilt

from affectra.audio import read
from affectra.corpora.manifest import join_manifests, utterance_keys
from affectra.corpora.sources import open_corpus
from affectra.files import read_json
from affectra.metrics import unweighted_average_recall
from affectra.models.recognizer import load_checkpoint
from affectra.predict.torch_folds import TorchRecognizer

RATE = 16_000
Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]
MP3_LEVEL = 0.84  # libsndfile's compression level that gives 32 kbit/s at 16 kHz


def in_noise(noises: list[np.ndarray], snr_db: float) -> Change:
    """With a noise at this ratio to the utterance, both as powers over the whole."""

    def change(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        noise = np.resize(noises[rng.integers(len(noises))], len(samples))
        power = (samples**2).mean() / max((noise**2).mean(), 1e-12)
        return samples + noise * np.sqrt(power * 10 ** (-snr_db / 10))

    return change


def telephone(samples: np.ndarray, _: np.random.Generator) -> np.ndarray:
    """300 to 3400 Hz, what is left of 8 kHz telephony."""
    return sosfilt(butter(6, [300, 3400], "bandpass", fs=RATE, output="sos"), samples)


def mp3(samples: np.ndarray, _: np.random.Generator) -> np.ndarray:
    """Through an mp3 of 32 kbit/s."""
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format="MP3", compression_level=MP3_LEVEL, bitrate_mode="CONSTANT")
    file.seek(0)
    return soundfile.read(file)[0]


def reverberant(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """In a room of 0.6 s, direct sound and tail alike in power."""
    seconds = np.arange(round(0.6 * RATE)) / RATE
    tail = rng.standard_normal(len(seconds)) * 10 ** (-3 * seconds / 0.6)
    tail /= np.sqrt((tail**2).sum())
    tail[0] += 1
    return fftconvolve(samples, tail)[: len(samples)]


def changes(noises: list[np.ndarray]) -> dict[str, Change]:
    """By name."""
    noisy = {f"noise {snr} dB": in_noise(noises, snr) for snr in (20, 10, 5, 0)}
    return {
        "clean": lambda samples, _: samples,
        **noisy,
        "telephone": telephone,
        "mp3 32 kbit/s": mp3,
        "reverb": reverberant,
        "-20 dB": lambda samples, _: 0.1 * samples,
    }


def table(
    run: Path, manifest: pd.DataFrame, roots: dict[str, Path], noises: list[np.ndarray], every: int
) -> pd.DataFrame:
    """Truth and answers of every n-th test utterance of each fold of the first seed, a column a change."""
    rows_of = manifest.assign(key=utterance_keys(manifest)).set_index("key")
    found = []
    for folder in sorted((run / "seed-0").glob("fold-*")):
        recognizer = TorchRecognizer([load_checkpoint(folder)])
        predictions = pd.read_csv(folder / "predictions.csv", dtype=str)
        for number, row in enumerate(predictions.iloc[::every].to_dict("records")):
            about = rows_of.loc[row["utterance"]]
            samples = read(roots[about["corpus"]] / about["file"], RATE).samples.astype(np.float64)
            answers = {}
            for name, change in changes(noises).items():
                changed = change(samples, np.random.default_rng(number)).astype(np.float32)
                probabilities = recognizer(changed).probabilities
                answers[name] = recognizer.specification.classes[int(probabilities.argmax())]
            found.append({"truth": row["truth"], "corpus": about["corpus"], "gender": about["gender"], **answers})
    return pd.DataFrame(found)


def main() -> None:
    """Print a table a run: UA over all and by gender."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("noises", type=Path)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--corpus", action="append", required=True)
    parser.add_argument("--every", type=int, default=1)
    given = parser.parse_args()
    corpora = [open_corpus(source) for source in given.corpus]
    manifest = join_manifests([corpus.manifest for corpus in corpora])
    roots = {corpus.name: corpus.root for corpus in corpora}
    noises = [read(path, RATE).samples for path in sorted(given.noises.glob("*/3-*.ogg"))]
    noises = [noise for noise in noises if np.abs(noise).max() > 1e-4]
    for run in given.runs:
        answers = table(run, manifest, roots, noises, given.every)
        protocol = read_json(run / "scores.json")["protocol"]["name"]
        print(f"{run.name}: {protocol}, {len(answers)} utterances")
        groups = {"all": answers, **dict(list(answers.groupby("gender"))), **dict(list(answers.groupby("corpus")))}
        result = {
            name: {group: round(float(unweighted_average_recall(part["truth"].to_numpy(), part[name].to_numpy())), 3)
                   for group, part in groups.items()}
            for name in changes(noises)
        }  # fmt: skip
        print(pd.DataFrame(result).T.to_string())
        print(json.dumps(result))


if __name__ == "__main__":
    main()
