"""Nothing that Affectra starts calls a host that the user did not name, or leaves a file where nobody asked for one."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile

REPORTS_WITHIN_S = 12.0  # left alone, ONNX Runtime 1.31 looks its maker's host up about 8 s after its import
AFFECTRA = (sys.executable, "-m", "affectra")
LOADED_IN_A_WORKER = """
import multiprocessing
import affectra

def load():
    import onnxruntime

if __name__ == "__main__":
    worker = multiprocessing.get_context("spawn").Process(target=load)
    worker.start()
    worker.join()
    raise SystemExit(worker.exitcode)
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    time_s = np.arange(32_000) / 16_000
    soundfile.write(tmp_path / "voice.wav", 0.3 * np.sin(2 * np.pi * 200 * time_s) * np.sin(8 * time_s), 16_000)
    return tmp_path / "voice.wav"


def environment(home: Path) -> dict[str, str]:
    """As of a user who has set nothing, in a home where nothing is."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "OMP_NUM_THREADS") if name in os.environ}
    return {**kept, "HOME": str(home)}


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def run(command: Sequence[str | Path], home: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, env=environment(home), cwd=home.parent, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done


def can_trace() -> bool:
    return (
        shutil.which("strace") is not None
        and subprocess.run(["strace", "-qq", "-o", os.devnull, "true"]).returncode == 0
    )


def traced(trace: Path) -> list[str]:
    options = ("-f", "-qq", "-e", "trace=connect,sendto,sendmsg,sendmmsg,openat", "-o", str(trace))
    return ["strace", *options]


def calls(trace: Path) -> list[str]:
    """Lines of a trace that look a host up, or speak to one that is not this machine."""
    lookups = re.compile(r'"/etc/(resolv\.conf|hosts)"|nscd/socket')
    others = re.compile(r'sin6?_addr=inet_(addr|pton)\((?!"127\.|AF_INET6, "::1")')
    return [line for line in trace.read_text().splitlines() if lookups.search(line) or others.search(line)]


def serve_one_request(command: Sequence[str | Path], home: Path, recording: Path, stay_s: float = 0.0) -> None:
    """Start a server, have one recording recognised, and stop it as Ctrl-C does."""
    process = subprocess.Popen(
        command, env=environment(home), stderr=subprocess.PIPE, text=True, start_new_session=True, cwd=home.parent
    )
    assert process.stderr is not None
    try:
        address = next(found[0] for line in process.stderr if (found := re.search(r"http://127[^ ]+", line)))
        with httpx.Client(trust_env=False, transport=httpx.HTTPTransport(retries=50), timeout=60) as client:
            answer = client.post(f"{address}/predict", files={"file": recording.read_bytes()})
        assert answer.status_code == 200, answer.text
        time.sleep(stay_s)
    finally:
        os.killpg(process.pid, signal.SIGINT)
        _, rest = process.communicate(timeout=60)
    assert "Traceback" not in rest, rest


needs_strace = pytest.mark.skipif(not can_trace(), reason="strace is not there, or may not trace")


def test_recognising_a_recording_leaves_no_file(home: Path, recording: Path) -> None:
    assert "voice.wav" in run([*AFFECTRA, "predict", recording, "--format", "csv"], home).stdout
    assert files_in(home) == []


def test_a_worker_process_leaves_no_file_either(home: Path) -> None:
    (home.parent / "worker.py").write_text(LOADED_IN_A_WORKER)
    run([sys.executable, home.parent / "worker.py"], home)
    assert files_in(home) == []


def test_a_picture_leaves_its_list_of_fonts_in_the_cache_of_affectra(home: Path, recording: Path) -> None:
    run([*AFFECTRA, "predict", recording, "--timeline", "--plot", home.parent / "plot.png"], home)
    assert {name.split("/")[0] for name in files_in(home)} <= {".cache"}
    assert files_in(home / ".cache")[0] == "affectra"
    assert all(name.startswith("affectra") for name in files_in(home / ".cache"))


@needs_strace
def test_recognising_a_recording_calls_no_host(home: Path, recording: Path) -> None:
    trace = home.parent / "trace"
    run([*traced(trace), *AFFECTRA, "predict", recording], home)
    assert calls(trace) == []


def test_serving_leaves_no_file(home: Path, recording: Path) -> None:
    serve_one_request([*AFFECTRA, "serve", "--port", "0"], home, recording)
    assert files_in(home) == []


@needs_strace
def test_serving_calls_no_host(home: Path, recording: Path) -> None:
    trace = home.parent / "trace"
    serve_one_request([*traced(trace), *AFFECTRA, "serve", "--port", "0"], home, recording, REPORTS_WITHIN_S)
    assert calls(trace) == []


@needs_strace
def test_the_trace_sees_a_lookup_where_there_is_one(home: Path) -> None:
    trace = home.parent / "trace"
    look_up = "import socket\ntry: socket.getaddrinfo('affectra.invalid', 80)\nexcept OSError: pass"
    run([*traced(trace), sys.executable, "-c", look_up], home)
    assert calls(trace)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other customs")
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "home/.cache/affectra"),
        ({"XDG_CACHE_HOME": "caches"}, "caches/affectra"),
        ({"XDG_CACHE_HOME": "caches", "AFFECTRA_CACHE": "own"}, "own"),
    ],
)
def test_the_cache_is_where_the_user_keeps_caches(
    given: dict[str, str], expected: str, home: Path, tmp_path: Path
) -> None:
    variables = {name: str(tmp_path / folder) for name, folder in given.items()}
    code = "from affectra.files import cache_dir; print(cache_dir())"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**environment(home), **variables}, capture_output=True, text=True, check=True
    )
    assert Path(done.stdout.strip()) == tmp_path / expected
