"""The demo with labels shuffled within each speaker: a score above chance would mean that something leaks.

python experiments/shuffled_labels.py [RUN_DIRECTORY]
"""

import sys
from pathlib import Path

import numpy as np

from affectra.corpora.manifest import Corpus
from affectra.corpora.sources import write_corpus
from affectra.corpora.synthetic.corpus import read, render
from affectra.reports.facts import summary_line
from affectra.runs.demo import SETTINGS
from affectra.runs.plan import plan_run
from affectra.runs.run import execute


def shuffled(corpus: Corpus, seed: int = 0) -> Corpus:
    """The corpus with the emotions of each speaker in another order."""
    manifest = corpus.manifest.copy()
    rng = np.random.default_rng(seed)
    for _, rows in manifest.groupby("speaker"):
        manifest.loc[rows.index, "emotion"] = rng.permutation(rows["emotion"].to_numpy())
    return Corpus(corpus.name, corpus.root, manifest)


def main(folder: Path) -> None:
    """Shuffle, train, print the scores."""
    root = render()
    manifest = folder.with_name(f"{folder.name}-manifest.csv")
    write_corpus(shuffled(read(root)), manifest)
    plan = plan_run("li2018-cpu", [f"synthetic={manifest}"], settings=SETTINGS, out=folder)
    scores = execute(plan, resume=True, n_processes=2, say=lambda line: print(line, file=sys.stderr))
    print("labels shuffled:", summary_line(scores))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("runs/shuffled-labels"))
