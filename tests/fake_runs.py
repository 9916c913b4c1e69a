"""Run directories made up for tests of overviews."""

import numpy as np
import pandas as pd

from affectra.files import write_json, write_text
from affectra.tasks.classes import Classes
from affectra.tasks.evaluation import Conditions, evaluate
from affectra.tasks.tables import write_predictions

CLASSES = {"arousal": ["low", "high"], "valence": ["negative", "positive"], "emotion4": ["a", "b", "c", "d"]}


def predictions(tested, classes, right, n_seeds=1, n_speakers=4, n=20, fold_of=lambda corpus: 0):
    """`n` utterances of each speaker; a share `right` of each class is recognised, in each corpus another."""
    rows = []
    for k, corpus in enumerate(tested):
        rng = np.random.default_rng(k)
        for seed in range(n_seeds):
            for utterance in range(n_speakers * n):
                truth = classes[utterance % len(classes)]
                share = right[corpus] if isinstance(right, dict) else right
                answer = truth if rng.random() < share else classes[(utterance + 1) % len(classes)]
                speaker = f"s{utterance % n_speakers}"
                rows.append((f"{corpus}/{utterance}", corpus, speaker, seed, fold_of(corpus), truth, answer))
    return pd.DataFrame(rows, columns=["utterance", "corpus", "speaker", "seed", "fold", "truth", "predicted"])


def fake_run(
    folder, corpora, protocol="multi-corpus", tested=None, task="arousal", recipe="tiny", right=0.7, epochs=3,
    independent=True, transductive=False, adaptation="none", leaks=(), synthetic=False, n_folds=1, n_seeds=1,
    only=None, dev=False, utterances=None, **rest,
):  # fmt: skip
    tested = corpora if tested is None else tested
    table = predictions(tested, CLASSES[task], right, n_seeds, **rest)
    conditions = Conditions(
        protocol={"name": protocol, "version": 1, "hash": "0" * 64, "speaker_independent": independent},
        n_folds=n_folds,
        n_seeds=n_seeds,
        paper=None,
        synthetic=synthetic,
        normalization={"mode": "corpus" if transductive else "none", "transductive": transductive},
        leaks=leaks,
        adaptation=adaptation,
    )
    lines = [f"name: {recipe}", "description: Tiny.", "paper:", f"seeds: {n_seeds}", "training:", f"  epochs: {epochs}"]
    lines += [f"protocol: {{name: {protocol}, options: {{dev: {str(dev).lower()}}}}}", f"only: {only or '{}'}"]
    write_text(folder / "recipe.yaml", "\n".join(lines) + "\n")
    write_json(folder / "scores.json", evaluate(table, Classes(task, tuple(CLASSES[task])), conditions))
    write_predictions(table, folder / "predictions.csv")
    n_of = dict.fromkeys(corpora, 80) if utterances is None else utterances
    described = {corpus: {"utterances": n_of[corpus], "speakers": 4, "fingerprint": "c0ffee"} for corpus in corpora}
    environment = {"corpora": described, "labels": {}, "audit": {}, "command": "affectra run tiny"}
    write_json(folder / "environment.json", environment)
    return folder
