"""What a dry run says of time: real steps on blank utterances, within a budget, and nothing heavy imported for it."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affectra.runs.plan import plan_run
from affectra.runs.units import duration
from affectra.runs.units.duration import Range, Visits, blank_utterances, training_time
from affectra.runs.units.utterance_jobs import specification

ONE_EACH = Visits(1, 0)


class Clock:
    """Each look at it takes a second."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


@pytest.fixture
def parts(tone_manifest: Path) -> dict[str, Any]:
    plan = plan_run("li2018-cpu", [f"t={tone_manifest}"])
    built = specification(plan)
    blanks = blank_utterances(plan.data.labelled.manifest, plan.data.corpora, built)
    return {"specification": built, "plan": plan.recipe.training, "blanks": blanks}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (Range(0.2, 0.6), "1 s"),
        (Range(20, 44), "20 to 44 s"),
        (Range(70, 130), "70 to 130 s"),
        (Range(3000, 6600), "50 to 110 min"),
        (Range(7200, 36_000), "2 to 10 h"),
    ],
)
def test_a_range_is_told_in_the_largest_unit_that_has_four_of_it(seconds: Range, words: str) -> None:
    assert str(seconds) == words


def test_blank_utterances_are_as_long_and_as_wide_as_the_real_ones(tone_manifest: Path) -> None:
    from affectra.runs.units.utterance_jobs import features

    plan = plan_run("li2018-cpu", [f"t={tone_manifest}"])
    cached, _ = features(plan, lambda _: None)
    for blank in blank_utterances(plan.data.labelled.manifest, plan.data.corpora, specification(plan)):
        real = np.load(cached[blank.key].path, mmap_mode="r")
        assert (blank.load().shape, blank.load().dtype) == (real.shape, real.dtype)
        assert not blank.load().any()


def test_a_budget_that_is_spent_ends_the_timing_and_a_large_one_reaches_the_whole_step(
    parts: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duration, "time", type("Time", (), {"monotonic": Clock(), "process_time": Clock()}))
    monkeypatch.setattr(duration, "STEP_S", 0.0)
    n_segments = 2  # of the first step that is timed
    short, long = (training_time(**parts, visits=ONE_EACH, budget_s=seconds) for seconds in (0.5, 1e9))
    assert short.most / long.most == pytest.approx(parts["plan"].batch_size / n_segments)


def test_twice_the_visits_take_twice_as_long(parts: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duration, "time", type("Time", (), {"monotonic": Clock(), "process_time": Clock()}))
    once, twice = (training_time(**parts, visits=Visits(n, 3 * n), budget_s=0.5) for n in (10, 20))
    assert twice.least == pytest.approx(2 * once.least) and once.least < once.most


@pytest.mark.parametrize("recipe", ["li2018-cpu", "gao2022-dann2-center-cpu", "gao2021-autoencoder-cpu"])
def test_a_dry_run_tells_a_range_without_importing_what_trains(
    recipe: str, tone_manifest: Path, tmp_path: Path
) -> None:
    arguments = ["run", recipe, "--corpus", f"tones={tone_manifest}", "--protocol", "loso", "--task", "emotion"]
    if recipe.startswith("gao2021"):  # has a stage on corpora that are never tested
        others = tone_manifest.with_name("others.csv")
        others.write_text(tone_manifest.read_text().replace(",tones,", ",others,"))
        arguments += ["--corpus", f"others={others}", "--set", "pretraining={corpora: [others], task: emotion}"]
    script = (
        "import sys; from affectra.cli import main; "
        f"assert main({[*arguments, '--dry-run', '--out', str(tmp_path / 'run')]!r}) == 0; "
        "heavy = {'lightning', 'sklearn', 'matplotlib', 'transformers', 'torch._dynamo'}; "
        "loaded = heavy & set(sys.modules); assert not loaded, loaded"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^time +(\d+ to )?\d+ (s|min|h) of training", done.stdout, re.MULTILINE), done.stdout
    assert not (tmp_path / "run").exists()


def test_a_dry_run_over_dialogues_tells_a_range_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from affectra.cli import main

    (tmp_path / "turns.csv").write_text(
        "utterance,corpus,file,speaker,dialogue,turn,text,emotion\n"
        + "".join(
            f"u{d}{t},t,,s{d}{t % 2},d{d},{t},{'what a day' if t % 2 else 'no'},{('anger', 'neutral')[t % 2]}\n"
            for d in range(4)
            for t in range(4)
        )
    )
    arguments = ["run", "conversation-words", "--corpus", f"t={tmp_path / 'turns.csv'}", "--protocol", "kfold-speaker"]
    arguments += ["--dry-run", "--out", str(tmp_path / "run")]
    assert main(arguments) == 0
    assert re.search(r"^time +(\d+ to )?\d+ s of training text", capsys.readouterr().out, re.MULTILINE)
