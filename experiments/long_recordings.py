"""Long recordings as a whole and in windows: a run's folds on chains of utterances of one speaker and one emotion.

python experiments/long_recordings.py RUN --corpus NAME=FOLDER ... [--chains 60]

RUN is a run over utterances whose front end gives one vector an utterance. Each utterance is heard by the fold that
was tested with it. Chains of 2, 4, 8 and 16 utterances are as long recordings are: somebody speaks, pauses, goes on.
Probabilities are as the networks give them, windows weigh as much as there is speech in them.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from affectra.audio import read
from affectra.audio.speech_track import SpeechTrack
from affectra.corpora.manifest import join_manifests, utterance_keys
from affectra.corpora.sources import open_corpus
from affectra.metrics import unweighted_average_recall
from affectra.models.recognizer import load_checkpoint
from affectra.predict.torch_folds import TorchRecognizer
from affectra.predict.windows import OF_VECTORS, Windowing, hear

RATE = 16_000
LENGTHS = (2, 4, 8, 16)  # utterances
WINDOWINGS = {
    "whole": Windowing(3600.0, 3600.0, 3600.0),
    "10 s every 5 s": Windowing(10.0, 10.0, 5.0),
    "3 s every 1.5 s": OF_VECTORS,
}


def chains(predictions: pd.DataFrame, length: int, most: int, rng: np.random.Generator) -> list[tuple[list[str], str]]:
    """Keys of utterances that follow each other, and their emotion."""
    found = []
    for (_, emotion), group in predictions.groupby(["speaker", "truth"]):
        keys = list(rng.permutation(group["utterance"]))
        found += [(keys[i : i + length], str(emotion)) for i in range(0, len(keys) - length + 1, length)]
    return [found[i] for i in rng.permutation(len(found))[:most]]


def main() -> None:
    """Print UA of each corpus and length, over all folds, by how the chain is cut."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--corpus", action="append", required=True)
    parser.add_argument("--chains", type=int, default=60, help="of a length and fold, at most")
    options = parser.parse_args()
    corpora = {corpus.name: corpus for corpus in map(open_corpus, options.corpus)}
    manifest = join_manifests([corpus.manifest for corpus in corpora.values()])
    roots = {name: corpus.root for name, corpus in corpora.items()}
    files = {
        key: roots[row.corpus] / row.file
        for key, row in zip(utterance_keys(manifest), manifest.itertuples(), strict=True)
    }
    predictions = pd.read_csv(options.run / "predictions.csv", dtype={"speaker": str})
    answers: dict[tuple[str, int], list[tuple[float, str, list[str]]]] = {}  # (corpus, length) -> (s, truth, answers)
    for (seed, fold, corpus), part in predictions.groupby(["seed", "fold", "corpus"]):
        recognizer = TorchRecognizer([load_checkpoint(options.run / f"seed-{seed}" / f"fold-{fold}")])
        classes = recognizer.specification.classes
        for length in LENGTHS:
            for keys, emotion in chains(part, length, options.chains, np.random.default_rng(0)):
                sound = np.concatenate([read(files[key], RATE).samples for key in keys])
                heard = [hear(recognizer, [sound], SpeechTrack(RATE), cut) for cut in WINDOWINGS.values()]
                said = [classes[one.probabilities.argmax()] for one in heard]
                answers.setdefault((str(corpus), length), []).append((len(sound) / RATE, emotion, said))
    print(f"| corpus | utterances | chains | median s | {' | '.join(WINDOWINGS)} |\n|{'---|' * (4 + len(WINDOWINGS))}")
    for (corpus, length), rows in sorted(answers.items()):
        seconds, truth, said = zip(*rows, strict=True)
        cells = " | ".join(f"{unweighted_average_recall(truth, one):.3f}" for one in zip(*said, strict=True))
        print(f"| {corpus} | {length} | {len(rows)} | {np.median(seconds):.0f} | {cells} |")


if __name__ == "__main__":
    main()
