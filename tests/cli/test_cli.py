"""The command line: fast help, one line for a mistake, the contract's exit codes."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from affectra.cli import main
from affectra.corpora import CORPORA
from affectra.splits.protocols import PROTOCOLS


def test_help_imports_nothing_heavy() -> None:
    """What makes `--help` fast, whatever the machine: no torch, pandas or matplotlib."""
    code = (
        "import sys; from affectra.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(*sorted({'torch', 'pandas', 'matplotlib', 'lightning', 'sklearn'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Speech emotion recognition" in done.stdout and done.stderr.strip() == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["runn"], 'Did you mean "run"'),
        (["run"], "RECIPE requires an argument"),
        (["run", "li2019", "--corpus", "synthetic"], "did you mean 'li2018'"),
        (["run", "li2018-cpu", "--corpus", "emodb"], "say where it lies"),
        (["run", "li2018-cpu", "--corpus", "emodb=nowhere"], "neither a folder nor a manifest"),
        (["run", "li2018-cpu", "--corpus", "emodbb=."], "did you mean 'emodb'"),
        (["run", "li2018-cpu", "--corpus", "emodb=."], "emodb"),
        (["run", "li2018-cpu", "--jobs", "0"], "numbers from 1 on"),
        (["run", "li2018-cpu", "--set", "training.epoch=1"], "did you mean 'training.epochs'"),
        (["run", "li2018"], "iemocap"),
        (["split", "loso", "nothing.csv", "--out", "x.json"], "no such manifest"),
        (["prepare", "emodbb", "--root", ".", "--out", "m.csv"], "did you mean 'emodb'"),
        (["prepare", "folder", "--root", "nowhere", "--out", "m.csv"], "nowhere"),
        (["prepare", "emodb", "--root", ".", "--out", "m.csv", "--speaker-pattern", "(x)"], "takes no option"),
        (["doctor", "ravdes", "--root", "."], "did you mean 'ravdess'"),
        (["report", "nowhere"], "nowhere"),
        (["predict", "a.wav", "--model", "nowhere"], "nowhere"),
        (["predict", "a.wav", "--model", "affectra-bass"], "did you mean 'affectra-base'"),
        (["predict", "a.wav", "--model", "x", "--format", "xml"], "xml"),
    ],
)  # fmt: skip
def test_a_users_mistake_is_one_line_and_exit_code_2(
    arguments: list[str],
    words: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and words in printed.err
    assert printed.err.count("\n") == 1, printed.err
    assert list(tmp_path.iterdir()) == [], "nothing is left behind"


def test_listings_are_tables_and_json(capsys: pytest.CaptureFixture[str]) -> None:
    for command, names in (
        ("corpora", set(CORPORA)),
        ("protocols", set(PROTOCOLS)),
        ("recipes", {"li2018", "li2018-cpu"}),
    ):
        assert main([command, "--json"]) == 0
        listed = json.loads(capsys.readouterr().out)
        assert {row["name"] for row in listed} >= names
        assert main([command]) == 0
        table = capsys.readouterr().out
        assert all(name in table for name in names)


def test_prepare_split_and_run_on_the_manifest(
    tone_manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["split", "kfold-speaker", str(tone_manifest), "--out", str(tmp_path / "f.json"), "--set", "k=4"]) == 0
    content = json.loads((tmp_path / "f.json").read_text())
    assert content["protocol"]["options"] == {"k": 4, "dev": True} and len(content["folds"]) == 4
    out = tmp_path / "run"
    arguments = ["run", "li2018-cpu", "--corpus", f"t={tone_manifest}", "--out", str(out), "--dry-run"]
    assert main(arguments) == 0
    assert "4 folds" in capsys.readouterr().out and not out.exists()


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_and_kill_leave_no_half_written_file(
    tone_manifest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Interrupt a run in its first epochs (the rest takes far longer than the signal): all is whole, and it resumes."""
    out = tmp_path / "run"
    arguments = [
        "run", "li2018-cpu", "--corpus", f"t={tone_manifest}", "--out", str(out), "--resume",
        "--set", "training.epochs=20", "--set", "protocol={name: kfold-speaker, options: {k: 2, dev: false}}",
    ]  # fmt: skip
    command = [sys.executable, "-m", "affectra", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not list(out.glob("seed-0/fold-*/history.csv")):
        time.sleep(0.01)
    process.send_signal(2)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and "run it again with --resume" in errors, errors
    for path in out.rglob("*.json"):
        json.loads(path.read_text())
    assert {path.name for path in out.rglob(".*") if path.is_file()} <= {".lock"}, "a temporary file is left"
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "UA" in printed and "report.html" in printed
