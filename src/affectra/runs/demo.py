"""The demonstration: the whole way on the embedded corpus, which is synthetic."""

from collections.abc import Callable, Iterator
from pathlib import Path

from affectra.corpora.synthetic import render
from affectra.predict.model import as_row, load
from affectra.reports.facts import summary_line
from affectra.runs.plan import outline, plan_run
from affectra.runs.run import execute

SETTINGS = {  # half the epochs and four folds of two speakers, to be done in a few minutes on two cores
    "protocol": {"name": "kfold-speaker", "options": {"k": 4}},
    "training.epochs": 25,
    "training.schedule.milestones": [11, 16, 21],
}


def run_demo(folder: Path, n_processes: int, say: Callable[[str], None]) -> Iterator[str]:
    """Render, train, report, recognise; yields the lines to print.

    Args:
        folder: run directory; what is done there already is kept.
        n_processes: folds at a time.
        say: takes lines of progress.
    """
    say("rendering the embedded corpus (synthetic speech by espeak-ng)")
    root = render()
    plan = plan_run("li2018-cpu", ["synthetic"], settings=SETTINGS, out=folder)
    for line in outline(plan, n_processes):
        say(line)
    scores = execute(plan, resume=True, n_processes=n_processes, say=say)
    yield summary_line(scores)
    row = plan.data.labelled.manifest.iloc[0]
    recording = root / row["file"]
    answer = as_row(str(recording), load(folder).recognize_file(recording))
    description = f"{recording.name} (synthetic speech, heard in training, labelled {row['emotion']})"
    yield f"{description}: {answer['emotion']}, confidence {answer['confidence']:.2f}"
    yield f"corpus:   {root}"
    yield f"run:      {folder}"
    yield f"report:   {folder / 'report.html'}"
    yield f"next:     affectra predict YOUR_RECORDING --model {folder}"
