"""Broken recordings and corpora through the commands: one line that names the file, and the contract's exit code.

What the audio room and the doctor find is tested in theirs; here it is what a user sees.
"""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from affectra.cli import main
from affectra.features.specification import Specification
from affectra.models.recognizer import Recognizer, save_checkpoint

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 123\n"


def speech(path: Path, n_samples: int = 16_000, **options: object) -> bytes:
    """A readable recording, as bytes."""
    samples = 0.1 * np.random.default_rng(n_samples).standard_normal(n_samples)  # copies are leaks
    soundfile.write(path, samples, 16_000, **options)
    return path.read_bytes()


def _not_finite(value: float) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        samples = np.full(16_000, 0.1, dtype=np.float32)
        samples[5] = value
        soundfile.write(path, samples, 16_000, subtype="FLOAT")

    return write


REFUSED: dict[str, Callable[[Path], object]] = {
    "empty": lambda p: p.write_bytes(b""),
    "text": lambda p: p.write_text("this is not audio\n" * 50),
    "html error page": lambda p: p.write_text("<!DOCTYPE html><html>404</html>" * 20),
    "git-lfs pointer": lambda p: p.write_bytes(LFS),
    "zeros": lambda p: p.write_bytes(bytes(5000)),
    "random bytes": lambda p: p.write_bytes(np.random.default_rng(0).bytes(5000)),
    "zip": lambda p: p.write_bytes(b"PK\x03\x04" + bytes(500)),
    "m4a": lambda p: p.write_bytes(struct.pack(">I", 32) + b"ftypM4A " + bytes(500)),
    "header alone": lambda p: p.write_bytes(speech(p)[:20]),
    "cut in the format": lambda p: p.write_bytes(speech(p)[:30]),
    "no samples": lambda p: soundfile.write(p, np.zeros(0), 16_000),
    "NaN": _not_finite(np.nan),
    "infinite": _not_finite(np.inf),
    "integers as floats": lambda p: soundfile.write(p, 3e4 * np.sin(np.arange(16_000) / 9), 16_000, subtype="FLOAT"),
    "folder": lambda p: p.mkdir(),
}
# Refused by doctor and run, read by predict with a flag.
TRUNCATED = {"truncated": lambda p: p.write_bytes(speech(p)[:20_000])}
FLAGGED = {
    "silent": lambda p: soundfile.write(p, np.zeros(16_000), 16_000),
    "clipped": lambda p: soundfile.write(p, np.sign(np.sin(np.arange(16_000) / 20)), 16_000),
}


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from affectra.recipes.config import load_recipe

    recipe, folder = load_recipe("li2018-cpu").recipe, tmp_path_factory.mktemp("model")
    parts = (recipe.model.model_dump(), recipe.front_end.model_dump(), "none", recipe.segments.model_dump())
    save_checkpoint(Recognizer(Specification(*parts, "emotion", ("anger", "sadness"), True)), folder)
    return folder


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """An EMO-DB of three speakers with a file each for anger and sadness; the last one is to be broken."""
    folder = tmp_path / "emodb" / "wav"
    folder.mkdir(parents=True)
    for speaker in ("03", "08", "09"):
        for letter in "WT":
            speech(folder / f"{speaker}a01{letter}a.wav", 16_000 + 160 * int(speaker) + ord(letter))
    (folder / "09a01Wa.wav").unlink()
    return folder.parent


def _run(corpus: Path, out: Path) -> int:
    return main(["run", "li2018-cpu", "--corpus", f"emodb={corpus}", "--out", str(out), "--set", "training.epochs=1"])


@pytest.mark.parametrize("kind", REFUSED | TRUNCATED)
def test_run_refuses_a_broken_recording_before_training(
    kind: str, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (REFUSED | TRUNCATED)[kind](corpus / "wav" / "09a01Wa.wav")
    code = _run(corpus, tmp_path / "run")
    last = capsys.readouterr().err.strip().split("\n")[-1]
    if kind == "folder":  # readers look for files: the folder is no utterance, and the rest is whole
        assert code == 0
        return
    assert code == 2 and last.startswith("affectra: ") and "09a01Wa.wav" in last
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", sorted(set(REFUSED | TRUNCATED) - {"folder"}))
def test_doctor_names_a_broken_recording_and_leaves_with_1(
    kind: str, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (REFUSED | TRUNCATED)[kind](corpus / "wav" / "09a01Wa.wav")
    assert main(["doctor", "emodb", "--root", str(corpus)]) == 1
    lines = capsys.readouterr().out.split("\n")
    assert any("09a01Wa.wav" in line and "error" in line.lower() for line in lines)
    assert main(["doctor", "emodb", "--root", str(corpus), "--json"]) == 1
    assert "09a01Wa.wav" in json.dumps(json.loads(capsys.readouterr().out))


@pytest.mark.parametrize("kind", sorted(set(REFUSED) - {"folder"}))
def test_predict_names_a_broken_recording_and_goes_on(
    kind: str, model_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    REFUSED[kind](tmp_path / "broken.wav")
    speech(tmp_path / "good.wav")
    arguments = [
        str(tmp_path / "broken.wav"),
        str(tmp_path / "good.wav"),
        "--model",
        str(model_dir),
        "--format",
        "json",
    ]
    assert main(["predict", *arguments]) == 1
    printed = capsys.readouterr()
    (line,) = [line for line in printed.err.split("\n") if "broken.wav" in line]
    assert line.startswith("affectra: ")
    assert [Path(row["file"]).name for row in json.loads(printed.out)] == ["good.wav"]


@pytest.mark.parametrize("kind", TRUNCATED | FLAGGED)
def test_predict_reads_and_flags_what_is_merely_odd(
    kind: str, model_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (TRUNCATED | FLAGGED)[kind](tmp_path / "odd.wav")
    assert main(["predict", str(tmp_path / "odd.wav"), "--model", str(model_dir), "--format", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert kind in row["flags"].split(";")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "not a readable table"),
        ("file,speaker,emotion\na.wav,x,anger\n", "`affectra prepare csv` makes a manifest of a table"),
        ("utterance,file\n", "the manifest has no rows"),
        ("utterance,emotion\na,anger\n", "file"),
        ("utterance,file,speeker\na,a.wav,x\n", "did you mean 'speaker'"),
        ("utterance,file,emotion\na,a.wav,anger\na,b.wav,anger\n", "stands there twice"),
        ("utterance,file,start\na,a.wav,soon\n", "not a number"),
        ("utterance,file,start,end\na,a.wav,2,1\n", "end is not after start"),
        ("utterance,file,split\na,a.wav,train\nb,b.wav,train \n", "with space around it"),
        ("utterance,file,gender\na,a.wav,woman\n", "unknown gender 'woman'"),
        ("utterance,file,speaker,emotion\na,gone.wav,x,anger\nb,gone2.wav,y,fear\nc,gone3.wav,z,anger\n", "gone.wav"),
    ],
)
def test_a_broken_manifest_is_one_line(
    content: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m.csv").write_text(content)
    assert main(["run", "li2018-cpu", "--corpus", f"mine={tmp_path / 'm.csv'}", "--out", str(tmp_path / "run")]) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1 and words in printed.err and "m.csv" in printed.err
