"""The README's commands do what it says, on miniature data."""

import re
import shlex
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
import soundfile

from affectra.cli import main

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
ENGLISH = ("only.language=[en-US, en-GB]", "protocol.options.k=2", "protocol.options.dev=false")  # half the corpus
QUICK = {
    "li2018-cpu": ["--set", "training.epochs=1", "--set", "model.options.channels=[4, 4, 4, 4]"],
    "gao2022-dann2-center-cpu": ["--set", "training.epochs=1"],
    "gao2021-cpu": ["--set", "training.epochs=1"],
    "voice-linear": ["--set", "augmentation.copies=1"],
    "conversation-words": ["--set", "modalities.text.training.epochs=1", "--set", "context.training.epochs=1"],
    "dutta2022-cpu": [
        word
        for setting in (
            "modalities.audio.training.epochs=1", "modalities.text.training.epochs=1", "context.training.epochs=1",
            "modalities.audio.model.options.channels=[4, 4]", "fusion.training.epochs=1", *ENGLISH,
        )
        for word in ("--set", setting)
    ],
    "tzirakis2021-cpu": [
        word
        for setting in (
            "training.epochs=1", "words.vectors.options.n_epochs=1", "words.vectors.options.n_starts=1",
            "words.vectors.options.adversary.n_epochs=1", *ENGLISH,
        )
        for word in ("--set", setting)
    ],
}  # fmt: skip
MELD_COLUMNS = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime"
RAVDESS_WORDS = {"01": "neutral", "03": "happiness", "04": "sadness", "05": "anger"}
NEMO_WORDS = ("neutral", "happiness", "sadness", "anger")


def commands() -> list[list[str]]:
    """The lines of the README's shell blocks as words, comments and the program's name taken off.

    What installs, or goes on until somebody ends it, is left out; tests of its own run that.
    """
    blocks = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
    lines = [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]
    assert {words[0] for words in lines} == {"affectra", "pip", "ffmpeg"}
    return [words[1:] for words in lines if words[0] == "affectra" and words[1] not in ("listen", "serve")]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the README's capital words stand for: EMODB, MINE, RECORDING."""
    rng = np.random.default_rng(0)

    def voice(path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.1 * rng.standard_normal(16_000), 16_000)

    for speaker in ("03", "08", "09"):
        for letter in "WLEAFTN":
            voice(tmp_path / "EMODB" / "wav" / f"{speaker}a01{letter}a.wav")
    rows = ["file,speaker,emotion"]
    for name in ("ada", "ben", "cem"):
        for emotion in ("angry", "happy"):
            voice(tmp_path / "MINE" / emotion / f"{name}_1.wav")
            rows.append(f"{emotion}/{name}_1.wav,{name},{emotion}")
    (tmp_path / "MINE" / "labels.csv").write_text("\n".join(rows) + "\n")
    lines = ["file_id\temotion\traw_text\tnormalized_text\tspeaker_id\tgender\tage"]
    for person in ("01", "02"):
        for code in RAVDESS_WORDS:
            voice(tmp_path / "RAVDESS" / f"Actor_{person}" / f"03-01-{code}-01-01-01-{person}.wav")
        for word in NEMO_WORDS:
            voice(tmp_path / "NEMO" / "samples" / f"A{person}_{word}_1.wav")
            gender = "female" if person == "01" else "male"
            lines.append(f"A{person}_{word}_1.wav\t{word}\tTak.\ttak\tA{person}\t{gender}\t30")
    (tmp_path / "NEMO" / "data.tsv").write_text("\n".join(lines) + "\n")
    for part, n_dialogues in (("train", 6), ("dev", 2)):
        (tmp_path / "MELD").mkdir(exist_ok=True)
        turns = [MELD_COLUMNS]
        for dialogue in range(n_dialogues):
            for turn, (emotion, sentiment) in enumerate((("joy", "positive"), ("anger", "negative"))):
                times = '"00:00:01,000","00:00:02,000"'
                said = f'"So, {emotion}!",Speaker {turn},{emotion},{sentiment},{dialogue},{turn},1,1,{times}'
                turns.append(f"{len(turns)},{said}")
        (tmp_path / "MELD" / f"{part}_sent_emo.csv").write_text("\n".join(turns) + "\n")
    two = np.stack([0.1 * rng.standard_normal(48_000) for _ in range(2)], axis=1)
    soundfile.write(tmp_path / "CALL.wav", two, 16_000)
    table = ["file,speaker,start,end,text,channel", "CALL.wav,caller,0,1.2,Good morning.,0"]
    (tmp_path / "TURNS.csv").write_text("\n".join([*table, "CALL.wav,agent,1.2,2.9,Good morning to you!,1"]) + "\n")
    for name in (
        "A.wav",
        "B.wav",
        "C.wav",
        "CALLS/1.wav",
        "CALLS/2.wav",
        "ME/1.wav",
        "ME/2.wav",
        "ME/3.wav",
        "voice.wav",
    ):
        voice(tmp_path / name)
    shutil.copy(tmp_path / "voice.wav", tmp_path / "RECORDING.m4a")  # what is inside decides
    (tmp_path / "voice.wav").rename(tmp_path / "RECORDING")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("drawn")
def test_every_command_of_the_readme_works_in_its_order(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = commands()
    assert len(found) >= 12
    for words in found:
        jobs = [i for i, word in enumerate(words) if word == "--jobs"]
        quick = [
            word for i, word in enumerate(words) if not any(i in (j, j + 1) for j in jobs)
        ]  # one process is quicker
        code = main([*quick, *(QUICK[quick[1]] if quick[0] == "run" and quick[1] in QUICK else [])])
        printed = capsys.readouterr()
        assert code == 0 or (quick[0] == "doctor" and code in (0, 1)), f"{words}: {printed.err}"
    assert (home / "runs" / "mine" / "report.html").is_file()
    assert (home / "runs" / "li2018-cpu-emodb" / "report.html").is_file()
    namespace: dict[str, object] = {}
    (example,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    exec(example, namespace)
    assert capsys.readouterr().out.strip()


def test_the_rooms_of_readme_and_architecture_are_those_on_disk_in_the_order_of_imports() -> None:
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = next(contract["layers"] for contract in contracts["contracts"] if contract["type"] == "layers")
    ground, *rooms = layers[::-1]
    entries = {path.name for path in (REPOSITORY / "src/affectra").iterdir() if path.name != "__pycache__"}
    others = {"__init__.py", "__main__.py", "shipped"}
    assert {*rooms, *(f"{name}.py" for name in ground.split(" : "))} | others == entries
    for page in (README, (REPOSITORY / "docs/architecture.md").read_text(encoding="utf-8")):
        assert re.findall(r"^\| `(\w+)/` \|", page, re.MULTILINE) == rooms
        assert set(re.findall(r"^\| ((?:`\w+` ?)+)\|", page, re.MULTILINE)[0].replace("`", "").split()) == {
            *ground.split(" : ")
        }
    for room in rooms:
        assert len((REPOSITORY / f"src/affectra/{room}/__init__.py").read_text(encoding="utf-8")) > 150, room


def test_each_file_that_the_architecture_names_is_there() -> None:
    page = (REPOSITORY / "docs/architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:\w+/)+\w+\.py)", page))
    assert len(named) > 15
    assert not [name for name in named if not (REPOSITORY / "src/affectra" / name).is_file()]


def test_make_is_named_as_the_two_commands() -> None:
    assert "make demo" in README and "make test" in README
    assert shutil.which("make")
