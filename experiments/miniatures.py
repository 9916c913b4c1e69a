"""Whole runs on miniatures of the licensed corpora: above chance as labelled, at chance with shuffled labels.

python experiments/miniatures.py [FOLDER [CORPUS...]]

`dialogues` in place of a corpus runs the miniature of IEMOCAP dialogue by dialogue, under its three protocols.

The miniatures (tests/miniatures) have the published layouts and the embedded corpus's speech, so the scores are on
SYNTHETIC speech: they say that reader, labels, protocol and training fit together, nothing of the corpora themselves.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from affectra.corpora import read_corpus
from affectra.corpora.manifest import Corpus
from affectra.corpora.sources import write_corpus
from affectra.corpora.synthetic import corpus as synthetic
from affectra.reports.facts import summary_line
from affectra.runs.plan import plan_run
from affectra.runs.run import execute
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
    "protocol": {"name": "kfold-speaker", "options": {"k": 2}},
    "training.epochs": 15,
    "training.schedule.milestones": [8, 11, 13],
}

DIALOGUES = "dialogues"
PROTOCOLS = ("session5", "losession", "loso")
QUICK = {  # as above: enough to tell what is heard from chance
    "modalities.audio.model.options.channels": [8, 8, 16, 16, 32, 32],
    "modalities.audio.training.epochs": 8,
    "modalities.text.training.epochs": 5,
    "context.training.epochs": 10,
    "fusion.training.epochs": 10,
}


def laid(folder: Path, name: str, embedded: Corpus) -> Corpus:
    """A miniature, laid once, read by its own reader."""
    root = folder / name / "corpus"
    if not root.is_dir():
        import_module(f"miniatures.{MINIATURES[name]}").write(root, embedded)
    return read_corpus(name, root)


def run_dialogues(folder: Path, corpus: Corpus) -> None:
    """Context and both modalities, as labelled and shuffled, a line for each protocol."""
    later = [str(int(session) + 1) for session in corpus.manifest["session"]]  # it has four; session5 wants a fifth
    corpus = replace(corpus, manifest=corpus.manifest.assign(session=later))
    for kind, labelled in (("as labelled", corpus), ("shuffled", shuffled(corpus))):
        manifest = folder / DIALOGUES / f"{kind.replace(' ', '-')}.csv"
        write_corpus(labelled, manifest)
        for protocol in PROTOCOLS:
            out = manifest.with_suffix("") / protocol
            plan = plan_run("dutta2022-cpu", [f"iemocap={manifest}"], protocol=protocol, settings=QUICK, out=out)
            scores = execute(plan, resume=out.is_dir(), n_processes=N_PROCESSES)
            title = f"iemocap, miniature of synthetic speech in dialogues, {len(scores['classes'])} classes, {kind}"
            print(f"{title}: {summary_line(scores)}", flush=True)


def main(folder: Path, names: Sequence[str]) -> None:
    """Lay each miniature, run it as labelled and shuffled, print a line for each."""
    embedded = synthetic.read(synthetic.render())
    for name in names:
        if name == DIALOGUES:
            run_dialogues(folder, laid(folder, "iemocap", embedded))
            continue
        corpus = laid(folder, name, embedded)
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
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("runs/miniatures"), sys.argv[2:] or [*MINIATURES, DIALOGUES])
