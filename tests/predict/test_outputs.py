"""Predictions out: each format is read back, intervals tile the time, a second run goes on, nothing is half-written."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from affectra.errors import AudioError, ConfigError
from affectra.predict.outputs import (
    FORMATS,
    PictureFile,
    PictureFolder,
    Printer,
    ResumableFile,
    TextGridFolder,
    columns_of,
    draw_prediction,
    layout_of,
    names_in,
    open_outputs,
    predict_files,
    write_picture,
)
from affectra.reports.figures import DARK, LIGHT
from affectra.reports.prediction_picture import _spread
from affectra.reports.textgrid import intervals, textgrid

CLASSES = ("anger", "happiness", "neutral", "sadness")
COLUMNS = columns_of(CLASSES)
SETTINGS = {"model": "affectra-base", "timeline": False}


def row(file: str = "voice.wav", start: float = 0.0, end: float = 3.0, **changes: Any) -> dict[str, Any]:
    scores = dict(zip((f"score_{name}" for name in CLASSES), (0.1, 0.2, 0.6, 0.1), strict=True))
    found = {"file": file, "start": start, "end": end, "emotion": "neutral", "confidence": 0.6, **scores}
    return {**found, "arousal": 0.25, "valence": None, "flags": "", **changes}


def timeline(duration: float, seed: int = 0, window: float = 3.0) -> list[dict[str, Any]]:
    """Windows of at most 3 s that end at each second and at the end."""
    rng = np.random.default_rng(seed)
    ends = sorted({*(float(k) for k in range(1, int(duration) + 1)), duration})
    emotions = rng.choice([*CLASSES, "unknown"], len(ends))
    return [
        row(start=max(0.0, end - window), end=end, emotion=str(emotion), confidence=float(k) / len(ends))
        for k, (end, emotion) in enumerate(zip(ends, emotions, strict=True))
    ]


def files(folder: Path, names: Sequence[str]) -> list[Path]:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return [folder / name for name in names]


def predict_one(path: Path) -> list[dict[str, Any]]:
    if path.name.startswith("bad"):
        raise AudioError(f"{path}: is not audio")
    return [row(str(path)), row(str(path), 1.0, 4.0)]


def predict(recordings: Sequence[Path], *outputs: Any) -> tuple[int, list[str]]:
    complaints: list[str] = []
    n_failed = predict_files(
        recordings, predict_one, outputs, complain=complaints.append, progress=lambda done, total: None
    )
    return n_failed, complaints


# TextGrid


def read_textgrid(text: str) -> dict[str, list[tuple[float, float, str]]]:
    """A naive reader of Praat's format: numbers and quoted texts in order are all that counts to Praat."""
    tokens: list[str | float] = []
    k = 0
    while k < len(text):
        if text[k] == '"':
            end = k + 1
            while text[end] != '"' or text[end + 1 : end + 2] == '"':
                end += 2 if text[end] == '"' else 1
            tokens.append(text[k + 1 : end].replace('""', '"'))
            k = end + 1
        else:
            word = text[k:].split(maxsplit=1)[0] if text[k:].strip() else ""
            if not text[k].isspace():
                if word and (word[0].isdigit() or word[0] == "-"):
                    tokens.append(float(word))
                k += len(word)
            else:
                k += 1
    assert tokens[:2] == ["ooTextFile", "TextGrid"]
    _, xmax, size, *rest = tokens[2:]
    tiers: dict[str, list[tuple[float, float, str]]] = {}
    stream = iter(rest)
    for _ in range(int(size)):
        kind, name, low, high, n = (next(stream) for _ in range(5))
        assert kind == "IntervalTier" and (low, high) == (0.0, xmax)
        tiers[str(name)] = [(next(stream), next(stream), next(stream)) for _ in range(int(n))]  # type: ignore[misc]
    assert list(stream) == []
    return tiers


@pytest.mark.parametrize("duration", [0.3, 1.0, 2.5, 17.25])
def test_every_tier_tiles_the_recording(duration: float) -> None:
    tiers = read_textgrid(textgrid(timeline(duration)))
    assert list(tiers) == ["emotion", "confidence", "arousal", "flags"]
    for found in tiers.values():
        assert found[0][0] == 0 and found[-1][1] == pytest.approx(duration)
        assert all(a < b for a, b, _ in found) and all(one[1] == other[0] for one, other in pairwise(found))


def test_each_moment_has_the_answer_of_the_window_whose_middle_is_nearest() -> None:
    windows = timeline(20.4, seed=3)
    found = read_textgrid(textgrid(windows))["emotion"]
    for moment in np.random.default_rng(0).uniform(0, 20.4, 300):
        (text,) = (text for start, end, text in found if start <= moment < end)
        distances = [abs((w["start"] + w["end"]) / 2 - moment) for w in windows]
        best = int(np.argmin(distances))
        if sorted(distances)[1] - distances[best] > 1e-5:
            assert text == windows[best]["emotion"]


def test_equal_neighbours_are_one_interval_of_the_answer_but_numbers_stay_apart() -> None:
    windows = [row(start=float(k), end=k + 3.0, emotion="anger" if k < 4 else "sadness") for k in range(8)]
    tiers = read_textgrid(textgrid(windows))
    assert [text for *_, text in tiers["emotion"]] == ["anger", "sadness"] and tiers["emotion"][0][1] == 5.0
    assert len(tiers["arousal"]) == 8 and tiers["arousal"][0][2] == "0.250" and tiers["flags"][0][2] == ""


def test_what_no_window_covers_has_no_text_and_windows_keep_to_their_own_time() -> None:
    windows = [row(start=1, end=2, emotion="anger"), row(start=5, end=6, emotion="anger"), row(start=5.9, end=20)]
    found = read_textgrid(textgrid(windows))["emotion"]
    assert [(a, b, text) for a, b, text in found[:4]] == [(0, 1, ""), (1, 2, "anger"), (2, 5, ""), (5, 6, "anger")]
    assert found[-1] == (6, 20, "neutral")


def test_windows_of_any_pace_give_intervals_that_lie_in_them() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        starts = np.sort(rng.uniform(0, 10, rng.integers(1, 8)).round(3))
        ends = np.sort(starts + rng.uniform(0.001, 5, len(starts)))
        windows = [row(start=float(s), end=float(e)) for s, e in zip(starts, ends, strict=True)]
        found = intervals(windows, lambda w: w["emotion"])
        assert found[0].start == 0 and found[-1].end == max(w["end"] for w in windows)
        assert all(one.end == other.start for one, other in pairwise(found))
        for piece in found:  # a labelled stretch lies in some window, an unlabelled one in none
            middle = (piece.start + piece.end) / 2
            assert bool(piece.text) == any(w["start"] <= middle <= w["end"] for w in windows)


def test_quotes_lines_and_letters_of_any_script_survive() -> None:
    label = 'say "cheese"\n"" żółć 怒り'
    tiers = read_textgrid(textgrid([row(emotion=label, flags="clipped;silent")]))
    assert tiers["emotion"] == [(0.0, 3.0, label.replace("\n", " "))]
    assert tiers["flags"][0][2] == "clipped;silent"


def test_a_recording_of_no_length_to_speak_of_is_still_a_textgrid() -> None:
    assert len(read_textgrid(textgrid([row(end=1e-7)]))["emotion"]) == 1


# Rows to a stream


def printed(format_: str, n: int, error: type[BaseException] | None = None) -> str:
    stream = io.StringIO()
    try:
        with Printer(stream, layout_of(format_, COLUMNS)) as printer:
            for k in range(n):
                printer.write(Path(f"{k}.wav"), [row(f"{k}.wav"), row(f"{k}.wav", 1.0, 4.0)])
            if error:
                raise error
    except KeyboardInterrupt:
        pass
    return stream.getvalue()


@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
@pytest.mark.parametrize("n", [0, 1, 3])
def test_whatever_ends_it_what_was_printed_can_be_read(n: int, error: type[BaseException] | None) -> None:
    as_json = json.loads(printed("json", n, error))
    as_csv = list(csv.DictReader(io.StringIO(printed("csv", n, error))))
    as_table = printed("table", n, error).splitlines()
    expected = [f"{k}.wav" for k in range(n) for _ in range(2)]
    assert [found["file"] for found in as_json] == [found["file"] for found in as_csv] == expected
    assert [line.split("\t")[0] for line in as_table] == ["file", *expected]
    assert all(tuple(found) == COLUMNS for found in as_json)
    assert all(found["valence"] is None for found in as_json) and all(found["valence"] == "" for found in as_csv)


def test_each_recording_is_out_before_the_next_one_begins() -> None:
    class Stream(io.StringIO):
        n_flushes = 0

        def flush(self) -> None:
            self.n_flushes += 1

    stream = Stream()
    with Printer(stream, layout_of("csv", COLUMNS)) as printer:
        for k in range(3):
            printer.write(Path("x"), [row(f"{k}.wav")])
            assert stream.n_flushes == k + 1 and stream.getvalue().count("\n") == k + 2


def test_a_table_for_eyes_is_aligned_and_keeps_the_end_of_a_long_name() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    long = Path("a" * 60 + "end.wav")
    with Printer(terminal, layout_of("table", COLUMNS), [Path("b.wav"), long]) as printer:
        for name in ("b.wav", str(long)):
            printer.write(Path(name), [row(name, emotion="unknown", flags="out_of_domain;truncated;clipped")])
    head, first, second = terminal.getvalue().splitlines()
    assert second.startswith("…") and "end.wav" in second and "score_" not in head
    assert head.index("emotion") == first.index("unknown") == second.index("unknown")
    assert second.endswith("out_of_domain;truncated;clipped")


def test_a_reader_that_leaves_is_no_second_error() -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError), Printer(Closed(), layout_of("json", COLUMNS)) as printer:
        printer.write(Path("x"), [row()])


def test_an_unknown_format_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="unknown format 'jsn'; did you mean 'json'"):
        layout_of("jsn", COLUMNS)


def test_what_would_break_a_line_of_a_table_does_not() -> None:
    layout = layout_of("table", ["file", "emotion"])
    assert layout.block([{"file": "a\tb\n.wav", "emotion": "anger"}]) == "a b .wav\tanger\n"
    lines = layout_of("csv", ["file", "emotion"]).block([{"file": 'a,"b\n.wav', "emotion": "anger"}])
    assert list(csv.reader(io.StringIO(lines))) == [['a,"b\n.wav', "anger"]]


# A file that is gone on with


def read_output(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        return [Path(found["file"]).name for found in json.loads(text)]
    return [Path(found["file"]).name for found in csv.DictReader(io.StringIO(text))]


def resumed(path: Path, recordings: Sequence[Path], **settings: Any) -> ResumableFile:
    format_ = path.suffix[1:] if path.suffix[1:] in FORMATS else "table"
    return ResumableFile(path, layout_of(format_, COLUMNS), {**SETTINGS, **settings}, recordings)


@pytest.mark.parametrize("name", ["out.csv", "out.json"])
def test_a_second_run_does_what_is_missing_and_ends_as_one_run_would(tmp_path: Path, name: str) -> None:
    recordings = files(tmp_path / "in", ["a.wav", "b.wav", "bad.wav", "c.wav"])
    with resumed(tmp_path / "once" / name, recordings) as out:
        assert predict(recordings, out) == (1, [f"{recordings[2]}: is not audio"])
    path = tmp_path / "twice" / name
    with resumed(path, recordings[:2]) as out:
        assert predict(recordings[:2], out)[0] == 0
    assert read_output(path) == ["a.wav"] * 2 + ["b.wav"] * 2
    with resumed(path, recordings) as out:
        assert [out.is_done(r) for r in recordings] == [True, True, False, False]
        predict(recordings, out)
    assert path.read_bytes() == (tmp_path / "once" / name).read_bytes()
    before = path.stat().st_mtime_ns
    with resumed(path, recordings) as out:  # all is done: nothing is touched
        assert predict(recordings, out)[0] == 1
    assert path.stat().st_mtime_ns == before


@pytest.mark.parametrize("name", ["out.csv", "out.json"])
def test_the_file_is_whole_after_each_recording(tmp_path: Path, name: str) -> None:
    recordings = files(tmp_path / "in", ["a.wav", "b.wav", "c.wav"])
    with resumed(tmp_path / name, recordings) as out:
        assert read_output(tmp_path / name) == []
        for k, recording in enumerate(recordings):
            out.write(recording, predict_one(recording))
            assert len(read_output(tmp_path / name)) == 2 * (k + 1)


@pytest.mark.parametrize("name", ["out.csv", "out.json"])
def test_a_recording_that_changed_is_done_again_and_no_other(tmp_path: Path, name: str) -> None:
    recordings = files(tmp_path / "in", ["a.wav", "b.wav", "c.wav"])
    with resumed(tmp_path / name, recordings) as out:
        predict(recordings, out)
    recordings[1].write_bytes(b"another recording")
    with resumed(tmp_path / name, recordings) as out:
        assert [out.is_done(r) for r in recordings] == [True, False, True]
        assert read_output(tmp_path / name) == ["a.wav"] * 2 + ["c.wav"] * 2
        predict(recordings, out)
    assert read_output(tmp_path / name) == ["a.wav"] * 2 + ["c.wav"] * 2 + ["b.wav"] * 2


@pytest.mark.parametrize("name", ["out.csv", "out.json"])
def test_wherever_a_crash_cuts_file_or_journal_the_next_run_mends_it(tmp_path: Path, name: str) -> None:
    recordings = files(tmp_path / "in", ["a.wav", "b.wav", "c.wav"])
    path, journal = tmp_path / name, tmp_path / f"{name}.done"
    with resumed(path, recordings) as out:
        predict(recordings, out)
    whole, entries = path.read_bytes(), journal.read_bytes()
    rng = np.random.default_rng(0)
    settings_end = entries.index(b"\n") + 1
    for _ in range(25):
        path.write_bytes(whole[: rng.integers(0, len(whole) + 1)] + b"half a li" * rng.integers(0, 2))
        journal.write_bytes(entries[: rng.integers(settings_end, len(entries) + 1)])
        with resumed(path, recordings) as out:
            predict(recordings, out)
        assert sorted(read_output(path)) == sorted(read_output_of(whole, path)) and len(read_output(path)) == 6


def read_output_of(content: bytes, path: Path) -> list[str]:
    other = path.with_name("whole" + path.suffix)
    other.write_bytes(content)
    return read_output(other)


def test_rows_that_somebody_edited_are_written_again(tmp_path: Path) -> None:
    recordings = files(tmp_path / "in", ["a.wav", "b.wav"])
    path = tmp_path / "out.csv"
    with resumed(path, recordings) as out:
        predict(recordings, out)
    whole = path.read_text()
    path.write_text(whole.replace("neutral", "boredom", 2))  # the two rows of a.wav
    with resumed(path, recordings) as out:
        assert [out.is_done(r) for r in recordings] == [False, True]
        predict(recordings, out)
    assert "boredom" not in path.read_text() and sorted(read_output(path)) == sorted(["a.wav", "b.wav"] * 2)


def test_other_settings_and_other_peoples_files_are_refused(tmp_path: Path) -> None:
    recordings = files(tmp_path / "in", ["a.wav"])
    with resumed(tmp_path / "out.csv", recordings) as out:
        predict(recordings, out)
    with pytest.raises(ConfigError, match="made with another model"), resumed(tmp_path / "out.csv", [], model="x"):
        pass
    (tmp_path / "thesis.csv").write_text("precious")
    with pytest.raises(ConfigError, match="is of no earlier run"), resumed(tmp_path / "thesis.csv", recordings):
        pass
    assert (tmp_path / "thesis.csv").read_text() == "precious"
    (tmp_path / "odd.csv.done").write_text("precious")
    with pytest.raises(ConfigError, match="no record of an output"), resumed(tmp_path / "odd.csv", recordings):
        pass


def test_two_writers_of_the_same_file_do_not_meet(tmp_path: Path) -> None:
    (recording,) = files(tmp_path, ["a.wav"])
    with resumed(tmp_path / "out.csv", [recording]) as out:
        with pytest.raises(ConfigError, match="another process is writing it"), resumed(tmp_path / "out.csv", []):
            pass
        predict([recording], out)
    with resumed(tmp_path / "out.csv", []):  # whoever was refused has not kept the lock
        assert read_output(tmp_path / "out.csv") == ["a.wav"] * 2


@pytest.mark.parametrize("name", ["out.csv", "out.json"])
def test_an_interrupt_amidst_a_recording_leaves_a_whole_file(tmp_path: Path, name: str) -> None:
    recordings = files(tmp_path / "in", ["a.wav", "b.wav"])
    with pytest.raises(KeyboardInterrupt), resumed(tmp_path / name, recordings) as out:
        out.write(recordings[0], predict_one(recordings[0]))
        with (tmp_path / name).open("ab") as file:
            file.write(b'{"file": "b.w')  # as far as it came
        raise KeyboardInterrupt
    assert read_output(tmp_path / name) == ["a.wav"] * 2


@pytest.mark.usefixtures("interruptible")
def test_a_real_interrupt_loses_nothing_that_was_done(tmp_path: Path) -> None:
    recordings = files(tmp_path / "in", [f"{k}.wav" for k in range(400)])
    script = tmp_path / "slow.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import sys, time
            from pathlib import Path
            from affectra.predict.outputs import ResumableFile, layout_of, predict_files
            recordings = sorted(Path({str(tmp_path / "in")!r}).iterdir())
            layout = layout_of("json", ["file"])
            def one(path):
                time.sleep(0.01)
                return [{{"file": str(path)}}]
            with ResumableFile(Path({str(tmp_path / "out.json")!r}), layout, {{}}, recordings) as out:
                predict_files(recordings, one, [out], complain=print, progress=lambda done, total: None)
            """
        )
    )
    process = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    journal = tmp_path / "out.json.done"
    while time.monotonic() < deadline and not (journal.is_file() and journal.read_text().count("\n") > 5):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) != 0
    n_done = len(read_output(tmp_path / "out.json"))
    assert 5 <= n_done < len(recordings) and n_done >= journal.read_text().count("\n") - 1


# Many recordings


def test_one_bad_recording_is_named_and_the_rest_is_done(tmp_path: Path) -> None:
    recordings = files(tmp_path, ["a.wav", "bad1.wav", "b.wav", "bad2.wav"])
    stream = io.StringIO()
    with Printer(stream, layout_of("csv", COLUMNS)) as printer:
        n_failed, complaints = predict(recordings, printer)
    assert n_failed == 2 and all("bad" in line and "is not audio" in line for line in complaints)
    assert stream.getvalue().count("a.wav") == 2 and stream.getvalue().count("b.wav") == 2


def test_a_disk_that_fails_to_read_is_one_recordings_fault_and_one_that_fails_to_write_is_not(tmp_path: Path) -> None:
    def no_such_disk(path: Path) -> list[dict[str, Any]]:
        raise OSError(5, "Input/output error", str(path))

    class Full:
        def is_done(self, recording: Path) -> bool:
            return False

        def write(self, recording: Path, rows: Sequence[Any]) -> None:
            raise OSError(28, "No space left on device")

    said: list[str] = []
    recordings = [Path("a.wav"), Path("b.wav")]
    done: list[tuple[int, int]] = []
    n = predict_files(
        recordings, no_such_disk, [Full()], complain=said.append, progress=lambda k, total: done.append((k, total))
    )
    assert n == 2 and said == ["a.wav: Input/output error", "b.wav: Input/output error"]
    assert done == [(0, 2), (1, 2), (2, 2)]
    with pytest.raises(OSError, match="No space left"):
        predict(recordings, Full())


def test_a_textgrid_for_each_recording_is_made_once(tmp_path: Path) -> None:
    recordings = files(tmp_path / "in", ["a.wav", "x/b.wav", "y/b.wav"])
    with TextGridFolder(tmp_path / "out", SETTINGS, recordings) as out:
        predict(recordings, out)
        assert all(out.is_done(r) for r in recordings)
    made = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.TextGrid"))
    assert made == ["a.TextGrid", "x/b.wav.TextGrid", "y/b.wav.TextGrid"]
    assert "emotion" in read_textgrid((tmp_path / "out" / "a.TextGrid").read_text(encoding="utf-8"))
    (tmp_path / "out" / "a.TextGrid").unlink()
    recordings[2].write_bytes(b"changed")
    with TextGridFolder(tmp_path / "out", SETTINGS, recordings) as out:
        assert [out.is_done(r) for r in recordings] == [False, True, False]
    with pytest.raises(ConfigError, match="made with another timeline"):
        TextGridFolder(tmp_path / "out", {**SETTINGS, "timeline": True}, recordings).__enter__()


def test_no_two_recordings_share_a_name(tmp_path: Path) -> None:
    recordings = [tmp_path / name for name in ("a/x.wav", "b/x.wav", "b/x.mp3", "b/y.wav", "z.wav")]
    found = names_in(Path("out"), recordings, ".png")
    assert len(set(found.values())) == len(recordings) and found[recordings[3]] == Path("out/y.png")
    assert all(Path("out") in path.parents and path.name.endswith(".png") for path in found.values())
    outside = names_in(Path("out"), [Path("../x.wav"), Path("x.wav")], ".png")
    assert all(".." not in path.parts for path in outside.values())


def test_an_absolute_and_a_relative_path_are_the_same_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (recording,) = files(tmp_path, ["a.wav"])
    monkeypatch.chdir(tmp_path)
    with resumed(tmp_path / "out.csv", [recording]) as out:
        predict([recording], out)
        assert out.is_done(Path("a.wav"))


@pytest.mark.skipif(os.name == "nt", reason="names there are Unicode")
def test_a_name_that_is_no_unicode_is_written_all_the_same(tmp_path: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav"))
    odd.write_bytes(b"x")
    for name in ("out.csv", "out.json"):
        with resumed(tmp_path / name, [odd]) as out:
            predict([odd], out)
            assert out.is_done(odd)
        assert read_output(tmp_path / name)[0].startswith("caf")


# What was asked for


def asked(recordings: Sequence[Path], format_: str | None, out: Path | None, plot: Path | None) -> None:
    with ExitStack() as stack:
        outputs = open_outputs(stack, recordings, CLASSES, "m", format_=format_, out=out, plot=plot, settings=SETTINGS)
        predict(recordings, *outputs)


@pytest.mark.parametrize("format_", [*FORMATS, "textgrid", None])
def test_each_format_goes_to_standard_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], format_: str | None
) -> None:
    asked(files(tmp_path, ["a.wav"]), format_, None, None)
    out = capsys.readouterr().out
    starts = {"csv": "file,start", "json": "[\n", "textgrid": "File type", "table": "file\tstart"}
    assert out.startswith(starts[format_ or "table"])


def test_the_ending_of_the_output_says_its_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recordings = files(tmp_path, ["a.wav", "b.wav"])
    asked(recordings, None, tmp_path / "x.json", tmp_path / "plots")
    asked(recordings, "csv", tmp_path / "x.csv", None)
    asked(recordings, None, tmp_path / "x.tsv", None)
    asked(recordings, "textgrid", tmp_path / "grids", None)
    asked(recordings[:1], None, tmp_path / "one.TextGrid", tmp_path / "one.png")
    assert read_output(tmp_path / "x.json") == read_output(tmp_path / "x.csv") == ["a.wav"] * 2 + ["b.wav"] * 2
    assert (tmp_path / "x.tsv").read_text().startswith("file\tstart")
    assert (tmp_path / "one.TextGrid").read_text() == (tmp_path / "grids" / "a.TextGrid").read_text()
    assert {p.name for p in (tmp_path / "plots").iterdir()} == {"a.png", "b.png"} and (tmp_path / "one.png").is_file()
    assert capsys.readouterr().out == ""


def test_a_picture_that_is_missing_is_drawn_though_the_rows_are_there(tmp_path: Path) -> None:
    recordings = files(tmp_path, ["a.wav"])
    asked(recordings, None, tmp_path / "x.csv", None)
    asked(recordings, None, tmp_path / "x.csv", tmp_path / "a.png")
    assert (tmp_path / "a.png").is_file() and read_output(tmp_path / "x.csv") == ["a.wav"] * 2


@pytest.mark.parametrize(
    ("format_", "out", "plot", "words"),
    [
        ("textgrid", None, None, "a TextGrid is of one recording and 2 are given; give --out FOLDER"),
        (None, "one.TextGrid", None, "a TextGrid is of one recording"),
        (None, None, "x.png", r"draws one recording and 2 are given; give a folder"),
        (None, "x.xlsx", None, r"expected a name that ends in \.csv, \.json, \.tsv, \.textgrid"),
        (None, "folder", None, "or --format textgrid"),
        ("json", "x.csv", None, "is not of --format json"),
    ],
)
def test_what_does_not_go_together_is_said_before_anything_is_printed(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    format_: str | None,
    out: str | None,
    plot: str | None,
    words: str,
) -> None:
    recordings = files(tmp_path, ["a.wav", "b.wav"])
    with pytest.raises(ConfigError, match=words):
        asked(recordings, format_, tmp_path / out if out else None, tmp_path / plot if plot else None)
    assert capsys.readouterr().out == "" and {p.name for p in tmp_path.iterdir()} == {"a.wav", "b.wav"}


# Pictures


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_a_picture_is_what_its_name_says_and_the_same_again(tmp_path: Path, suffix: str) -> None:
    starts = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}
    recording = tmp_path / "voice.wav"
    PictureFile(tmp_path / f"one{suffix}", "affectra-base").write(recording, timeline(9.5))
    content = (tmp_path / f"one{suffix}").read_bytes()
    assert content.startswith(starts[suffix]) and len(content) > 5000
    if suffix == ".svg":
        assert b"<dc:date>" not in content


def test_another_ending_is_refused_before_anything_is_recognised() -> None:
    with pytest.raises(ConfigError, match=r"--plot voice\.gif: expected a name that ends in \.png, \.svg, \.pdf"):
        PictureFile(Path("voice.gif"), "m")


def test_a_picture_has_title_names_answers_and_flags() -> None:
    windows = timeline(12.0)
    for k, window in enumerate(windows):
        window["emotion"] = "anger" if k < 6 else "unknown"
        window["flags"] = "clipped;truncated" if k > 4 else ""
    for theme in (LIGHT, DARK):
        figure = draw_prediction(windows, "a $x$ b.wav", "affectra-base", theme)
        assert figure.get_suptitle() == "a $x$ b.wav  ·  affectra-base"
        texts = [text.get_text() for axes in figure.axes for text in axes.texts]
        assert {*CLASSES, "high arousal", "unknown", "clipped\ntruncated"} <= set(texts)
        assert "positive valence" not in texts and len(figure.axes) == 4
        lines = {tuple(np.asarray(line.get_ydata()).round(6)) for line in figure.axes[2].lines}
        assert tuple(0.6 for _ in windows) in lines  # neutral's scores


def test_one_answer_is_bars_with_their_numbers() -> None:
    figure = draw_prediction([row(flags="clipped")], "voice.wav", "m", LIGHT)
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [0.1, 0.2, 0.6, 0.1, 0.25]
    assert "clipped" in axes.get_xlabel() and "neutral" in axes.get_xlabel()


def test_names_of_lines_that_end_together_are_kept_apart() -> None:
    rng = np.random.default_rng(0)
    for n in (1, 2, 7, 20):
        heights = {f"n{k}": float(v) for k, v in enumerate(rng.choice([0.0, 0.01, 0.5, 1.0], n))}
        placed = _spread(heights, 0.06)
        ordered = sorted(placed.values())
        assert ordered[0] >= -1e-9 and ordered[-1] <= 1 + 1e-9
        gap = min(0.06, 1 / max(1, n - 1))
        assert all(b - a >= gap - 1e-9 for a, b in pairwise(ordered))
        assert sorted(heights, key=heights.get) == sorted(placed, key=placed.get)  # type: ignore[arg-type]


def test_many_classes_and_letters_that_no_font_has_are_drawn(tmp_path: Path) -> None:
    names = [f"class{k}" for k in range(16)]
    windows = [
        {"file": "x", "start": float(k), "end": k + 2.0, "emotion": names[k], "confidence": 0.5,
         **{f"score_{name}": 1 / 16 for name in names}, "arousal": None, "valence": None, "flags": ""}
        for k in range(16)
    ]  # fmt: skip
    write_picture(tmp_path / "x.png", windows, "怒り.wav", "m")
    PictureFolder(tmp_path / "plots", [Path("怒り.wav")], "m").write(Path("怒り.wav"), [row()])
    assert (tmp_path / "plots" / "怒り.png").is_file()


def test_printing_imports_nothing_heavy() -> None:
    heavy = "{'torch', 'pandas', 'scipy', 'sklearn', 'matplotlib', 'jinja2', 'rich'}"
    code = f"import sys, affectra.predict.outputs; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
