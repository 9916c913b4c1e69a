"""Whole runs on miniatures of the licensed corpora: above chance as labelled, at chance with shuffled labels.

python experiments/miniatures.py [FOLDER [CORPUS...]]

The miniatures (tests/miniatures) have the published layouts and the embedded corpus's speech, so the scores are on
SYNTHETIC speech: they say that reader, labels, protocol and training fit together, nothing of the corpora themselves.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from affectra.corpora import read_corpus, synthetic
from affectra.corpora.sources import write_corpus
from affectra.plan import plan_run
from affectra.report import summary_line
from affectra.run import execute
from shuffled_labels import shuffled

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

MINIATURES = {  # corpus -> its file of tests/miniatures
    "iemocap": "iemocap",
    "mspimprov": "msp_improv",
    "emovdb": "emov_db",
    "cremad": "crema_d",
    "tess": "tess",
    "savee": "savee",
    "urdu": "urdu",
}
N_PROCESSES = 1
SETTINGS = {  # two folds and few epochs: enough to tell what is heard from chance
    "protocol": {"name": "kfold-speaker", "options": {"k": 2, "dev": False}},
    "training.epochs": 15,
    "training.schedule.milestones": [8, 11, 13],
}


def main(folder: Path, names: Sequence[str]) -> None:
    """Lay each miniature, run it as labelled and shuffled, print a line for each."""
    embedded = synthetic.read(synthetic.render())
    for name in names:
        layout = MINIATURES[name]
        root = folder / name / "corpus"
        if not root.is_dir():
            import_module(f"miniatures.{layout}").write(root, embedded)
        corpus = read_corpus(name, root)
        for kind, labelled in (("as labelled", corpus), ("shuffled", shuffled(corpus))):
            manifest = folder / name / f"{kind.replace(' ', '-')}.csv"
            write_corpus(labelled, manifest)
            plan = plan_run(
                "li2018-cpu",
                [f"{name}={manifest}"],
                task="emotion" if name == "emovdb" else "emotion4",  # EmoV-DB has neither happiness nor sadness
                settings=SETTINGS,
                out=manifest.with_suffix(""),
            )
            scores = execute(plan, resume=manifest.with_suffix("").is_dir(), n_processes=N_PROCESSES)
            title = f"{name}, miniature of synthetic speech, {len(scores['classes'])} classes, {kind}"
            print(f"{title}: {summary_line(scores)}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("runs/miniatures"), sys.argv[2:] or list(MINIATURES))
