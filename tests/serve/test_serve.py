"""The server: what it answers, what it refuses, and what it leaves behind, over real sockets."""

import asyncio
import contextlib
import io
import json
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile
from fastapi import WebSocketDisconnect
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from affectra.errors import ConfigError
from affectra.features.specification import Specification
from affectra.models.recognizer import Recognizer, save_checkpoint
from affectra.predict.model import Model, as_row, load
from affectra.recipes.config import load_recipe
from affectra.serve import Limits
from affectra.serve.app import listen, serve
from affectra.serve.live import Closed, dismiss
from serving import CLASSES, RATE, LoudnessModel, Running, running

FIELDS = [
    "start",
    "end",
    "emotion",
    "confidence",
    *(f"score_{name}" for name in CLASSES),
    "arousal",
    "valence",
    "flags",
]
QUICK = Limits(
    upload_bytes=2 << 20, upload_s=2.0, upload_idle_s=0.4, audio_s=30.0, work_s=0.5, n_workers=1, n_waiting=1,
    n_streams=2, stream_s=20.0, stream_idle_s=0.6, ahead_s=2.0, message_bytes=1 << 16, messages_per_s=20.0,
    n_uploads=4, shutdown_s=2.0,
)  # fmt: skip


def voice(seconds: float = 3.5, rate: int = RATE) -> np.ndarray:
    """Sound that gets louder from second to second, as 16-bit samples."""
    loudness = np.repeat(np.linspace(0.05, 0.6, math.ceil(seconds)), rate)[: round(seconds * rate)]
    return (loudness * np.random.default_rng(0).uniform(-1, 1, len(loudness)) * 32767).astype("<i2")


def wav(samples: np.ndarray, rate: int = RATE, **options: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, **{"format": "WAV", **options})
    return file.getvalue()


VOICE = wav(voice())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("server"), limits=QUICK) as running_server:
        yield running_server


@pytest.fixture
def client(server: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=20, trust_env=False) as http:
        yield http
    wait_until(lambda: not server.leftovers())


def wait_until(condition: "object", limit_s: float = 5.0) -> None:
    end = time.monotonic() + limit_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.02)


def send(client: httpx.Client, content: bytes, name: str = "voice.wav", **query: object) -> httpx.Response:
    return client.post("/predict", files={"file": (name, content)}, params=query)


def error_of(response: httpx.Response, status: int) -> str:
    """The one line that a refused client gets."""
    assert response.status_code == status, response.text
    content = response.json()
    assert list(content) == ["error"] and "\n" not in content["error"] and "Traceback" not in content["error"]
    return content["error"]


# What it answers.


def test_a_recording_gets_the_rows_of_the_command_line(client: httpx.Client, tmp_path: Path) -> None:
    path = tmp_path / "voice.wav"
    path.write_bytes(VOICE)
    model = LoudnessModel()
    assert send(client, VOICE).json() == [as_row("voice.wav", model.recognize_file(path))]
    rows = send(client, VOICE, timeline=True).json()
    assert rows == [as_row("voice.wav", prediction) for prediction in model.timeline_of_file(path)] and len(rows) == 4


@pytest.mark.parametrize("kind", [("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS"), ("FLAC", "PCM_16")])
def test_recordings_joined_to_one_file_are_answered_to_the_end(client: httpx.Client, kind: tuple[str, str]) -> None:
    one = wav(voice(2.0), format=kind[0], subtype=kind[1])
    assert [row["end"] for row in send(client, one + one).json()] == [4.0]
    assert send(client, one + one, timeline=True).json()[-1]["end"] == 4.0


def test_classes_restrict_and_silence_is_unknown_unless_forced(client: httpx.Client) -> None:
    (row,) = send(client, VOICE, classes="sadness, anger").json()
    assert [key for key in row if key.startswith("score_")] == ["score_anger", "score_sadness"]
    silence = wav(np.zeros(RATE, np.int16))
    (row,) = send(client, silence).json()
    assert row["emotion"] == "unknown" and row["flags"] == "silent"
    assert send(client, silence, abstain=False).json()[0]["emotion"] in CLASSES


def test_the_model_and_health_say_what_they_are(client: httpx.Client) -> None:
    facts = client.get("/model").json()
    assert facts["name"] == "loudness" and facts["classes"] == list(CLASSES) and facts["licence"] == "CC0-1.0"
    assert facts["limits"] == {"upload_bytes": 2 << 20, "audio_s": 30.0}
    assert client.get("/health").json()["status"] == "ok"


def test_openapi_describes_the_upload_and_nothing_is_fetched_from_elsewhere(client: httpx.Client) -> None:
    schema = client.get("/openapi.json").json()
    assert {"/health", "/model", "/predict"} <= set(schema["paths"])
    assert "multipart/form-data" in schema["paths"]["/predict"]["post"]["requestBody"]["content"]
    assert "/live" in schema["info"]["description"]  # OpenAPI has no WebSockets
    for path in ("/docs", "/redoc"):  # would fetch their scripts from elsewhere
        error_of(client.get(path), 404)


@pytest.mark.parametrize("path", ["/", "/model", "/page/main.js", "/nothing"])
def test_every_answer_carries_the_security_headers(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff" and "access-control-allow-origin" not in headers


# What it refuses.


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"not audio at all", "not audio"),
        (b"RIFF\xff\xff\xff\xffWAVE", "damaged"),
        (VOICE[:44], "zero-length"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git-lfs"),
        (wav(np.full(RATE, np.nan), subtype="FLOAT"), "NaN"),
        (wav(np.zeros(31 * 8000, np.int16), 8000), "30"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "not audio"),
        (b"PK\x03\x04" + bytes(100), "not audio"),
    ],
)
def test_what_is_no_recording_is_refused_in_one_line_that_names_it(
    client: httpx.Client, content: bytes, says: str
) -> None:
    message = error_of(send(client, content, "my voice.wav"), 422)
    assert message.startswith("my voice.wav: ") and says in message and "/" not in message.split(":")[0]


@pytest.mark.parametrize(
    ("request_", "status", "says"),
    [
        ({"files": {"file": ("a.wav", VOICE)}, "params": {"classes": "joy"}}, 422, "unknown class 'joy'"),
        ({"files": {"file": ("a.wav", VOICE)}, "params": {"timeline": "perhaps"}}, 422, "timeline"),
        ({"files": [("file", ("a", VOICE)), ("file", ("b", VOICE))]}, 400, "one by one"),
        ({"data": {"file": "a.wav"}}, 415, 'field "file"'),
        ({"json": {"file": "a.wav"}}, 415, 'field "file"'),
        ({"content": VOICE}, 415, 'field "file"'),
        ({"content": b"--x", "headers": {"content-type": "multipart/form-data"}}, 415, 'field "file"'),
        ({"content": b"gibberish", "headers": {"content-type": "multipart/form-data; boundary=x"}}, 400, "well-formed"),
        ({"content": b"--x--\r\n", "headers": {"content-type": "multipart/form-data; boundary=x"}}, 400, "no whole"),
        ({"files": {"file": ("a.wav", bytes(3 << 20))}}, 413, "larger than 2 MiB"),
        (
            {"content": b"", "headers": {"content-type": f"multipart/form-data; boundary={'x' * 999}"}},
            400,
            "well-formed",
        ),
    ],
)
def test_what_is_no_upload_is_refused_in_one_line(
    client: httpx.Client, request_: dict[str, object], status: int, says: str
) -> None:
    assert says in error_of(client.post("/predict", **request_), status)  # type: ignore[arg-type]


def test_a_body_without_a_length_is_cut_off_at_the_limit(client: httpx.Client) -> None:
    def endless() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(40):
            yield bytes(1 << 16)

    headers = {"content-type": "multipart/form-data; boundary=x"}
    assert "larger" in error_of(client.post("/predict", content=endless(), headers=headers), 413)


@pytest.mark.parametrize("name", ["../../x.wav", "/etc/passwd", "C:\\x.wav", "..", "a\x00b", "\n\r", "ü" * 300, "-rf"])
def test_a_path_in_the_name_is_only_a_name(client: httpx.Client, server: Running, name: str) -> None:
    before = sorted(server.folder.parent.rglob("*.wav"))
    (row,) = send(client, VOICE, name).json()
    assert row["file"] and not set(row["file"]) & set("/\\\x00\n\r") and len(row["file"]) <= 100
    assert sorted(server.folder.parent.rglob("*.wav")) == before


def test_a_failure_of_ours_is_one_line_without_a_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Broken(LoudnessModel):
        def recognize_file(self, path: Path, **_: object) -> "object":  # type: ignore[override]
            raise ZeroDivisionError(f"secret of {path}")

    with running(tmp_path, Broken()) as server, httpx.Client(base_url=server.url, trust_env=False) as client:
        assert "secret" not in error_of(send(client, VOICE), 500)
        assert client.get("/health").status_code == 200
    assert "secret" in capsys.readouterr().err  # for whoever runs the server


def test_a_stream_that_fails_on_our_side_is_told_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Broken(LoudnessModel):
        def answer(self, *_: object) -> "object":  # type: ignore[override]
            raise ZeroDivisionError("secret")

    with running(tmp_path, Broken()) as server, live(server) as stream:
        stream.send(voice(1.0).tobytes())
        found, code, reason = end_of(stream)
        assert code == 1011 and "secret" not in reason and "log" in str(found[0]["error"])
    assert "secret" in capsys.readouterr().err


def test_a_disk_that_takes_no_recording_is_no_failure(tmp_path: Path) -> None:
    with running(tmp_path) as server, httpx.Client(base_url=server.url, trust_env=False) as client:
        (folder,) = server.folder.glob("affectra-serve-*")
        folder.rmdir()
        assert "cannot be kept" in error_of(send(client, VOICE), 503)
        folder.mkdir()
        assert send(client, VOICE).status_code == 200


def test_a_long_message_is_cut(client: httpx.Client) -> None:
    assert len(error_of(send(client, VOICE, classes="x" * 5000), 422)) < 500


def test_days_of_silence_in_a_small_file_are_refused(client: httpx.Client, server: Running) -> None:
    bomb = wav(np.zeros(2 * 3600 * 8000, np.int16), 8000, format="FLAC")
    assert len(bomb) < 200_000
    begun = time.monotonic()
    assert "longer than 30 s" in error_of(send(client, bomb), 422) and time.monotonic() - begun < 10
    endless = bytearray(bomb)
    endless[21] &= 0xF0  # the header does not say how long it is
    endless[22:26] = bytes(4)
    assert "longer than 30 s" in error_of(send(client, bytes(endless)), 422)


def test_decoding_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    limits = Limits(decode_s=0.0, n_workers=1, n_waiting=0)
    with running(tmp_path, limits=limits) as server, httpx.Client(base_url=server.url, trust_env=False) as client:
        for _ in range(2):  # the worker is free again
            assert "not decoded within" in error_of(send(client, VOICE), 422)


# Other web pages.


def test_only_the_servers_own_page_may_send(client: httpx.Client, server: Running) -> None:
    own = f"http://127.0.0.1:{server.port}"
    for origin, status in {own: 200, "http://evil.example": 403, "null": 403, f"{own}1": 403, f"{own}/x": 403}.items():
        files = {"file": ("a.wav", VOICE)}
        assert client.post("/predict", files=files, headers={"origin": origin}).status_code == status, origin
        if status == 200:
            with live(server, origin=origin):
                pass
        else:
            with pytest.raises(InvalidStatus, match="403"), live(server, origin=origin):
                pass


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "evil.example:80", "0.0.0.0", "x@localhost", ""]
)
def test_a_server_on_loopback_answers_to_no_foreign_name(client: httpx.Client, host: str) -> None:
    for path in ("/", "/model"):
        error_of(client.get(path, headers={"host": host}), 403)


def test_localhost_and_ipv6_are_names_of_loopback(client: httpx.Client, server: Running) -> None:
    for host in ("localhost", f"localhost:{server.port}", f"[::1]:{server.port}", "LOCALHOST"):
        assert client.get("/health", headers={"host": host}).status_code == 200


# Slow and cut connections.


def raw(server: Running, announced: int, sent: bytes) -> socket.socket:
    """A connection that has sent the head of an upload and a part of its body."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    head = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
    connection.sendall(f"{head}Content-Length: {announced}\r\n\r\n".encode() + sent)
    return connection


PART = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'


def test_an_upload_that_stops_or_drips_is_given_up(client: httpx.Client, server: Running) -> None:
    with raw(server, 100_000, PART) as stopped:
        assert b" 408 " in stopped.recv(200)
    with raw(server, 100_000, PART) as dripping:
        begun, answer = time.monotonic(), b""
        dripping.settimeout(0.2)
        while not answer and time.monotonic() < begun + 5:
            dripping.sendall(b"x")
            try:
                answer = dripping.recv(200)
            except TimeoutError:
                continue
        assert b" 408 " in answer and time.monotonic() - begun == pytest.approx(QUICK.upload_s, abs=3)


def test_a_connection_cut_in_the_middle_leaves_nothing(client: httpx.Client, server: Running) -> None:
    for part in (b"", PART, PART + VOICE[:1000]):
        raw(server, 100_000, part).close()
    wait_until(lambda: client.get("/health").json()["uploads"] == 0 and not server.leftovers())
    assert send(client, VOICE).status_code == 200


@pytest.mark.parametrize("sent", [b"", b"POST /pre", b"GET /health HTTP/1.1\r\nHost: localhost\r\n"])
def test_a_client_that_does_not_say_what_it_wants_is_hung_up_on(server: Running, sent: bytes) -> None:
    whole = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for before in (b"", whole):  # at first, and after an answer
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            begun = time.monotonic()
            connection.sendall(before)
            while before and b'"ok"' not in connection.recv(1000):
                pass
            for k in range(len(sent)):  # a byte now and then is no request either
                connection.sendall(sent[k : k + 1])
                time.sleep(0.01)
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(100) == b""
            assert time.monotonic() - begun < math.ceil(QUICK.upload_idle_s) + 5


def test_a_body_that_goes_on_after_its_refusal_is_hung_up_on(server: Running) -> None:
    with raw(server, 1 << 40, b"") as connection:
        assert b" 413 " in connection.recv(1000)
        begun = time.monotonic()
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < begun + 8:
                connection.sendall(b"x")
                time.sleep(0.05)
        assert time.monotonic() - begun < math.ceil(QUICK.upload_idle_s) + 5


def test_a_body_that_is_no_http_gets_one_answer_and_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
    with running(tmp_path, limits=QUICK) as server:
        for kind in (b"multipart/form-data; boundary=x", b"text/plain"):  # one is read, the other refused at once
            for pause_s in (0.0, 0.1):
                with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
                    connection.sendall(head + b"Content-Type: " + kind + b"\r\n\r\n")
                    time.sleep(pause_s)
                    connection.sendall(b"zz\r\n")
                    answer = b""
                    with contextlib.suppress(ConnectionResetError):
                        while part := connection.recv(1000):
                            answer += part
                assert answer.count(b"HTTP/1.1 4") == 1, answer
        wait_until(lambda: not server.leftovers())
    said = capsys.readouterr().err
    assert "Invalid HTTP" in said and "Traceback" not in said and "Fatal" not in said


def test_an_honest_client_may_take_its_time_between_requests_and_for_an_answer(tmp_path: Path) -> None:
    limits = Limits(upload_idle_s=0.5)
    with running(tmp_path, LoudnessModel(work_s=2.0), limits) as server:
        with httpx.Client(base_url=server.url, timeout=20, trust_env=False) as client:
            for _ in range(2):
                assert send(client, VOICE).status_code == 200
                time.sleep(0.5)
        with live(server) as stream:  # a WebSocket is no request that waits
            for _ in range(25):
                stream.send(voice(0.1).tobytes())
                time.sleep(0.1)
            stream.send("end")
            assert end_of(stream)[1] == 1000


# Too much at once.


def test_when_all_places_are_taken_the_next_is_told_to_come_again(tmp_path: Path) -> None:
    limits = Limits(n_workers=1, n_waiting=1)
    codes: list[tuple[int, str | None]] = []

    def one(client: httpx.Client) -> None:
        response = send(client, VOICE)
        codes.append((response.status_code, response.headers.get("retry-after")))

    with (
        running(tmp_path, LoudnessModel(work_s=0.7), limits) as server,
        httpx.Client(base_url=server.url, timeout=20, trust_env=False) as client,
    ):
        threads = [threading.Thread(target=one, args=(client,)) for _ in range(6)]
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        assert client.get("/health").elapsed.total_seconds() < 0.3  # others are served meanwhile
        for thread in threads:
            thread.join()
        assert sorted(codes, key=str) == [(200, None)] * 2 + [(503, "5")] * 4
        assert send(client, VOICE).status_code == 200


def test_work_that_takes_too_long_is_given_up_but_keeps_its_place(tmp_path: Path) -> None:
    limits = Limits(n_workers=1, n_waiting=0, work_s=0.2)
    with (
        running(tmp_path, LoudnessModel(work_s=0.8), limits) as server,
        httpx.Client(base_url=server.url, timeout=20, trust_env=False) as client,
    ):
        assert "not done within 0.2 s" in error_of(send(client, VOICE), 422)
        assert "too many" in error_of(send(client, VOICE), 503)  # the thread is still at it
        time.sleep(0.9)
        error_of(send(client, VOICE), 422)
        time.sleep(0.9)


def test_uploads_at_a_time_are_limited(tmp_path: Path) -> None:
    with (
        running(tmp_path, limits=Limits(n_uploads=1)) as server,
        raw(server, 100_000, PART),
        httpx.Client(base_url=server.url, timeout=20, trust_env=False) as client,
    ):
        wait_until(lambda: client.get("/health").json()["uploads"] == 1)
        response = send(client, VOICE)
        assert "too many uploads" in error_of(response, 503) and response.headers["retry-after"]


# Live.


def live(server: Running, rate: object = RATE, origin: str | None = None) -> ClientConnection:
    address = f"ws://127.0.0.1:{server.port}/live?rate={rate}"
    return connect(address, origin=origin, proxy=None, legacy=True, max_size=None)  # type: ignore[arg-type]


def end_of(stream: ClientConnection) -> tuple[list[dict[str, object]], int | None, str]:
    """All that comes until the stream is closed, its code and its reason."""
    messages: list[dict[str, object]] = []
    try:
        while True:
            messages.append(json.loads(stream.recv(timeout=10)))
    except ConnectionClosed:
        return messages, stream.close_code, stream.close_reason or ""


def test_a_live_stream_answers_each_second_as_the_timeline_of_the_file(client: httpx.Client, server: Running) -> None:
    samples = voice()
    with live(server) as stream:
        for begin in range(0, len(samples), 700):
            stream.send(samples[begin : begin + 700].tobytes())
            time.sleep(0.04)
        stream.send("end")
        updates, code, _ = end_of(stream)
    assert code == 1000 and [list(update) for update in updates] == [FIELDS] * 4
    rows = send(client, VOICE, timeline=True).json()
    assert updates == [{key: row[key] for key in FIELDS} for row in rows]


def test_updates_come_while_the_stream_goes_on(server: Running) -> None:
    with live(server) as stream:
        stream.send(voice(1.1).tobytes())
        update = json.loads(stream.recv(timeout=2))
        assert (update["start"], update["end"]) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("messages", "code", "says"),
    [
        ([b"\x00"], 1003, "two bytes each"),
        ([b""], 1003, "two bytes each"),
        (["stop"], 1003, "end"),
        (["{" * 1000], 1003, "end"),
        ([bytes(1 << 17)], 1009, ""),
        ([b"\x00\x00"] * 200, 1008, "too many messages"),
        ([], 1008, "no audio for 0.6 s"),
    ],
)
def test_a_stream_that_breaks_a_rule_is_closed_with_the_reason(
    server: Running, messages: list[bytes | str], code: int, says: str
) -> None:
    with live(server) as stream:
        try:
            for message in messages:
                stream.send(message)
        except ConnectionClosed:
            pass
        found, closed_with, reason = end_of(stream)
    assert closed_with == code and says in reason
    assert code == 1009 or says in str(found[-1]["error"])


@pytest.mark.parametrize("rate", ["", "fast", "-1", "0", "100", "1e9", "9" * 30, "16000.5", "١٦٠٠٠", "7999", "192001"])
def test_a_rate_that_is_none_is_refused(server: Running, rate: str) -> None:
    with live(server, rate) as stream:
        _, code, reason = end_of(stream)
    assert code == 1008 and "from 8000 to 192000" in reason


def test_one_stream_too_many_is_told_to_come_again(server: Running, client: httpx.Client) -> None:
    wait_until(lambda: client.get("/health").json()["live_streams"] == 0)
    with live(server), live(server):
        wait_until(lambda: client.get("/health").json()["live_streams"] == 2)
        with live(server) as third:
            found, code, _ = end_of(third)
        assert code == 1013 and "too many" in str(found[0]["error"])
    wait_until(lambda: client.get("/health").json()["live_streams"] == 0)


def test_a_client_faster_than_speech_is_held_back_to_its_pace(server: Running) -> None:
    begun = time.monotonic()
    with live(server) as stream:
        for second in range(5):
            stream.send(voice(1.0 + 0 * second).tobytes())
        stream.send("end")
        updates, code, _ = end_of(stream)
    assert code == 1000 and len(updates) == 5
    assert 5 - QUICK.ahead_s - 0.1 < time.monotonic() - begun < 20


def test_a_stream_longer_than_allowed_is_closed(tmp_path: Path) -> None:
    with running(tmp_path, limits=Limits(stream_s=1.5)) as server:
        with live(server) as stream:
            stream.send(voice(1.0).tobytes())
            stream.send(voice(1.0).tobytes())
            found, code, reason = end_of(stream)
        assert code == 1008 and "1.5 s" in reason and len(found) == 2
        with live(server) as stream:  # and one that lasts by the clock, however little it says
            try:
                while True:
                    stream.send(b"\x00\x00")
                    time.sleep(0.1)
            except ConnectionClosed:
                assert stream.close_code == 1008


def test_streams_that_are_cut_leave_no_place_taken(server: Running, client: httpx.Client) -> None:
    for sent in (b"", b"\x82", b"\x82\xfe\xff\xff", b"\x81\x85abcd"):
        connection = socket.create_connection(("127.0.0.1", server.port))
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        head = "GET /live?rate=16000 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        connection.sendall(f"{head}{key}\r\n".encode())
        assert b" 101 " in connection.recv(1000)
        connection.sendall(sent)
        connection.close()
        wait_until(lambda: client.get("/health").json()["live_streams"] == 0)


HANDSHAKE = (
    b"GET /live?rate=%s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def test_a_client_that_breaks_the_protocol_while_it_is_dismissed_is_gone_and_no_failure_of_ours() -> None:
    class Broken:
        """As uvicorn answers once it has closed a connection on which came no frame."""

        async def send_text(self, _: str) -> None:
            raise RuntimeError("Unexpected ASGI message 'websocket.send', after sending 'websocket.close'.")

    with pytest.raises(WebSocketDisconnect):
        asyncio.run(dismiss(Broken(), Closed(1008, "a rate that is none")))  # type: ignore[arg-type]


def test_pings_that_nobody_reads_the_answers_to_end_the_stream(tmp_path: Path) -> None:
    with running(tmp_path, limits=Limits(upload_idle_s=1.0)) as server, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(HANDSHAKE % b"16000")
        assert b" 101 " in connection.recv(100)
        connection.settimeout(10)
        pings, begun = (b"\x89\xfd" + bytes(4 + 125)) * 500, time.monotonic()
        with pytest.raises(ConnectionError):
            while time.monotonic() < begun + 10:  # less than the patience for audio
                connection.sendall(pings)


# Malice at random.


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_upload_at_random_makes_the_server_fail(client: httpx.Client, server: Running, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["bytes", "mutated", "body"]))
    name = data.draw(st.text(max_size=40))
    if kind == "bytes":
        response = send(client, data.draw(st.binary(max_size=3000)), name)
    elif kind == "mutated":
        content = bytearray(data.draw(st.sampled_from(SEEDS)))
        for _ in range(data.draw(st.integers(1, 8))):
            content[data.draw(st.integers(0, min(len(content) - 1, 200)))] = data.draw(st.integers(0, 255))
        response = send(client, bytes(content[: data.draw(st.integers(1, len(content)))]), name)
    else:
        kind_of = "multipart/form-data; boundary=" + data.draw(st.text(st.characters(codec="ascii"), max_size=8))
        body = data.draw(st.binary(max_size=300)) + b"--x\r\n" + data.draw(st.binary(max_size=300))
        response = client.post("/predict", content=body, headers={"content-type": repr(kind_of)[1:-1].strip()})
    assert response.status_code in (200, 400, 413, 415, 422), (response.status_code, response.text)
    assert isinstance(response.json(), list) or set(response.json()) == {"error"}
    assert str(server.folder) not in response.text


def seeds() -> list[bytes]:
    """Sound recordings to damage: every format that can be written here."""
    samples = voice(0.3)
    formats = [
        ("WAV", "PCM_16"),
        ("WAV", "FLOAT"),
        ("FLAC", "PCM_16"),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
        ("AIFF", "PCM_16"),
    ]
    return [wav(samples, format=kind, subtype=subtype) for kind, subtype in formats] + [
        wav(samples, format="MP3", subtype="MPEG_LAYER_III")
    ]


SEEDS = seeds()


NAMES = [
    "Content-Type",
    "Content-Length",
    "Content-Encoding",
    "Transfer-Encoding",
    "Expect",
    "Range",
    "Host",
    "Upgrade",
]
HEADERS = st.lists(st.tuples(st.sampled_from(NAMES), st.text(st.characters(codec="latin-1"), max_size=30)), max_size=6)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    first=st.sampled_from(
        ["POST /predict HTTP/1.1", "GET /live?rate=16000 HTTP/1.1", "PUT /%00/.. HTTP/1.1", "\x16\x03"]
    ),
    headers=HEADERS,
    body=st.binary(max_size=300),
)
def test_no_bytes_at_random_on_the_socket_make_the_server_fail(
    client: httpx.Client, server: Running, first: str, headers: list[tuple[str, str]], body: bytes
) -> None:
    lines = [first, "Host: localhost", *(f"{name}: {value}" for name, value in headers), "", ""]
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
        connection.sendall("\r\n".join(lines).encode("latin-1") + body)
        connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            assert b" 500 " not in connection.recv(100)
    assert client.get("/health").status_code == 200


# From start to stop.


def test_a_server_that_stops_tells_its_live_streams(tmp_path: Path) -> None:
    with running(tmp_path, limits=QUICK) as server:
        stream = live(server)
        stream.send(voice(0.5).tobytes())
    _, code, _ = end_of(stream)
    assert code == 1012


def test_an_address_in_use_is_said_in_one_line() -> None:
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ConfigError, match=f"127.0.0.1 port {port}: .*--port"):
            serve(LoudnessModel(), port=port)
    with pytest.raises(ConfigError, match="port 99999"):
        listen("127.0.0.1", 99_999)


def test_beyond_loopback_it_warns_that_there_is_no_authentication(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("uvicorn.Server.run", lambda *_, **__: None)
    serve(LoudnessModel(), host="127.0.0.1", port=0)
    assert "authentication" not in capsys.readouterr().err
    serve(LoudnessModel(), host="0.0.0.0", port=0)
    assert "no authentication" in capsys.readouterr().err


def is_up(server: Running) -> bool:
    try:
        return httpx.get(f"{server.url}/health", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_cleanly(tmp_path: Path, sign: signal.Signals) -> None:
    script = "from serving import LoudnessModel; from affectra.serve import serve; serve(LoudnessModel(), port=0)"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "TMPDIR": str(tmp_path)}
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    said = process.stderr.readline()
    port = int(said.split("127.0.0.1:")[1].split()[0])
    server = Running(port, tmp_path)
    wait_until(lambda: is_up(server))
    with live(server):
        assert list(tmp_path.glob("affectra-serve-*"))
        process.send_signal(sign)
        _, rest = process.communicate(timeout=20)
    assert process.returncode in (0, -sign) and "Traceback" not in rest
    assert not list(tmp_path.glob("affectra-serve-*"))


def python(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)


def test_without_its_packages_the_extra_is_named() -> None:
    said = python("import sys; sys.modules['fastapi'] = None; import affectra.serve").stderr
    assert "pip install 'affectra[serve]'" in said


def test_a_server_needs_neither_torch_nor_corpora() -> None:
    unwanted = "{'torch', 'lightning', 'affectra.corpora', 'affectra.splits.protocols', 'affectra.training'}"
    assert python(f"import sys, affectra.serve; print({unwanted} & set(sys.modules))").stdout.strip() == "set()"


# With a model of ours.


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """An untrained one: what is tested here does not depend on what it knows."""
    import torch

    recipe = load_recipe("li2018-cpu").recipe
    parts = {
        "model": recipe.model.model_dump(), "front_end": recipe.front_end.model_dump(), "normalization": "none",
        "segments": recipe.segments.model_dump(), "task": "emotion4", "classes": CLASSES, "synthetic": True,
    }  # fmt: skip
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model") / "untrained"
    folder.mkdir()
    save_checkpoint(Recognizer(Specification(**parts)).eval(), folder)
    return load(folder)


def test_several_live_streams_at_once_each_get_the_timeline_of_their_own_sound(model: Model, tmp_path: Path) -> None:
    rate, found = 22_050, {}
    sounds = {k: np.roll(voice(2.4, rate), 3000 * k) for k in range(3)}

    def speak(k: int) -> None:
        with live(server, rate) as stream:
            for begin in range(0, len(sounds[k]), 1000):
                stream.send(sounds[k][begin : begin + 1000].tobytes())
            stream.send("end")
            found[k] = end_of(stream)[0]

    with running(tmp_path, model, open_stream=None) as server:
        threads = [threading.Thread(target=speak, args=(k,)) for k in sounds]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with httpx.Client(base_url=server.url, timeout=20, trust_env=False) as client:
            offline = {k: send(client, wav(sound, rate), timeline=True).json() for k, sound in sounds.items()}
            assert client.get("/model").json()["synthetic"] is True
            assert send(client, VOICE).json()[0]["file"] == "voice.wav"
    for k, rows in offline.items():
        assert [update["end"] for update in found[k]] == [1.0, 2.0, 2.4]
        for update, row in zip(found[k], rows, strict=True):
            assert [update[f"score_{n}"] for n in CLASSES] == pytest.approx(
                [row[f"score_{n}"] for n in CLASSES], abs=1e-4
            )
