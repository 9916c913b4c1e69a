"""Hostile requests by kind, each as the bytes that go over a socket and how they are sent; a seed gives the same."""

import random
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from hostile_recordings import bombs, packed_zeros, recordings

BOUNDARY = b"----hostile"
FORM = b"multipart/form-data; boundary=" + BOUNDARY
HOST = b"Host: localhost\r\n"
CLOSE = b"Connection: close\r\n"
# "whole": all at once, then read; "drip": a few bytes now and then; "hold": all, then silence with the socket open;
# "cut": all, then closed unread; "reset": the same with a TCP reset; "deaf": all, the answer is never read.
Way = Literal["whole", "drip", "hold", "cut", "reset", "deaf"]
ENDS: tuple[Way, ...] = ("cut", "reset", "deaf")
Rng = random.Random

STARTS = [
    b"", b"RIFF", b"fLaC", b"OggS", b"ID3\x04\x00", b"\xff\xfb\x90", b"#!AMR\n", b"\xff\xf1", b"FORM", b"caff\x00\x01",
    b"\x1a\x45\xdf\xa3", b"\x00\x00\x00\x20ftypM4A ",
]  # fmt: skip
OTHER_FILES = [
    b"\x89PNG\r\n\x1a\n", b"PK\x03\x04", b"%PDF-1.7", b"\x7fELF", b"\x1f\x8b\x08", b"GIF89a", b"<!doctype html>", b"MZ",
    b"#!/bin/sh\n", b"#EXTM3U\nhttp://localhost/\n", b"{}", b"\xff\xd8\xff\xe0", b"SQLite format 3\x00",
    b"version https://git-lfs.github.com/spec/v1\n", b"ffconcat version 1.0\nfile /etc/passwd\n",
]  # fmt: skip
OTHER_TYPES = [
    b"application/json", b"text/plain", b"audio/wav", b"application/x-www-form-urlencoded", b"", b"\xff/\xfe",
    b"multipart/form-data", b"multipart/mixed; boundary=x", b"multipart/form-data; boundary=",
]  # fmt: skip
NAME_PARTS = [
    "..", "/", "\\", "etc/passwd", "C:", "%2e%2e%2f", "~", "$(reboot)", "`id`", "{0.__class__}", "%n%s", "\x00",
    "\u202e", "'; DROP TABLE", "<img src=x>", "CON", "-rf", "file://", "é" * 50, ".wav", " ", "\x7f", "a" * 9000,
]  # fmt: skip
PART_HEADS = [
    b'Content-Disposition: form-data; name="file"; filename="a.wav"', b"Content-Disposition: form-data",
    b"Content-Disposition: form-data; filename*=utf-8''%ff", b"Content-Disposition:", b":", b"X" * 9000 + b": 1",
    b'Content-Disposition: form-data; name="file"; filename="a', b"\x00\x01: \x02", b"Content-Length: -1",
]  # fmt: skip
FIRST_LINES = [
    b"GARBAGE", b"POST /predict", b"POST /predict HTTP/9.9", b"TRACE / HTTP/1.1", b"\x16\x03\x01\x02\x00\x01\x00",
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1", b"CONNECT localhost:1 HTTP/1.1", b"PUT /%00/../.. HTTP/1.1",
    b"GET /page/../../../etc/passwd HTTP/1.1", b"GET /page/%2e%2e/app.py HTTP/1.1", b"OPTIONS * HTTP/1.1",
    b"GET http://elsewhere.example/ HTTP/1.1", b"HEAD / HTTP/1.0", b"POST /live HTTP/1.1", b"POST /predict HTTP/1.1",
]  # fmt: skip
HEAD_LINES = [
    b"Content-Length: 5\r\nContent-Length: 6", b"Content-Length: -1", b"Content-Length: 1e9", b"Host: elsewhere",
    b"Transfer-Encoding: chunked\r\nContent-Length: 3", b"Transfer-Encoding: gzip, chunked", b"Expect: 100-continue",
    b"Origin: http://elsewhere.example", b"Range: bytes=0-,0-,0-", b"\xff\xfe: \xff", b"X: " + b"y" * 70_000,
    b"Upgrade: h2c\r\nConnection: Upgrade", b" folded: 1", b"Content-Length: " + b"9" * 400, b"Content-Type: " + FORM,
    b"Transfer-Encoding: chunked",
]  # fmt: skip
BODIES = [b"", b"5\r\nhello\r\n0\r\n\r\n", b"ffffffffffffffffff\r\n", b"-1\r\nx", b"zz\r\n"]
LIVE_RATES = [b"16000"] * 4 + [b"8000", b"0", b"-1", b"9" * 30, b"", b"x", b"192001"]
LIVE_KEYS = [b"dGhlIHNhbXBsZSBub25jZQ=="] * 8 + [b"short", b""]
OPCODES = [0x82] * 5 + [0x81, 0x80, 0x02, 0x89, 0x8A, 0x88, 0xF2, 0x83]  # audio, mostly; text, pieces, pings, unknown


@dataclass(frozen=True)
class Case:
    """One hostile client.

    Attributes:
        kind: what it tries.
        sent: all it says.
        way: how it says it.
        n_at_once: bytes that come first; then it waits a moment, or begins to drip.
    """

    kind: str
    sent: bytes
    way: Way = "whole"
    n_at_once: int = 0


def upload(content: bytes, name: bytes = b"voice.wav", *, headers: bytes = b"", query: bytes = b"") -> bytes:
    """A request to /predict with one file in a form."""
    part = b'Content-Disposition: form-data; name="file"; filename="' + name + b'"\r\n' + headers + b"\r\n"
    body = b"--" + BOUNDARY + b"\r\n" + part + content + b"\r\n--" + BOUNDARY + b"--\r\n"
    return posted(body, query=query)


def posted(
    body: bytes, kind: bytes = FORM, *, query: bytes = b"", headers: bytes = CLOSE, announced: int | None = None
) -> bytes:
    """A request to /predict with this body and content type; `announced`: the length it claims, where that is a lie."""
    length = len(body) if announced is None else announced
    head = b"POST /predict" + query + b" HTTP/1.1\r\n" + HOST + headers + b"Content-Type: " + kind + b"\r\n"
    return head + f"Content-Length: {length}\r\n\r\n".encode() + body


def damaged(rng: Rng) -> Case:
    """A recording with bytes of its head changed, pieces left out or put twice, or its end missing."""
    content = bytearray(rng.choice(recordings()))
    for _ in range(rng.randint(1, 8)):
        where = rng.randrange(min(len(content), 300))
        change = rng.randrange(4)
        if change == 0:
            content[where] = rng.randrange(256)
        elif change == 1:
            number = rng.choice([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
            content[where : where + 4] = struct.pack(rng.choice("<>") + "I", number)
        elif change == 2:
            del content[where : where + rng.randint(1, 8)]
        else:
            content[where:where] = content[where : where + 16]
    end = len(content) if rng.random() < 0.6 else rng.randint(1, len(content))
    query = rng.choice([b"", b"?timeline=true", b"?abstain=false", b"?classes=anger,neutral"])
    return Case("damaged recordings", upload(bytes(content[:end]), query=query))


def noise(rng: Rng) -> Case:
    """Bytes at random, some with the first bytes of a format."""
    return Case("random bytes", upload(rng.choice(STARTS) + rng.randbytes(rng.randrange(20_000))))


def bomb(rng: Rng) -> Case:
    """Hours of silence in a small file; or zeros, compressed, that a server may unpack if it is a fool."""
    if rng.random() < 0.9:
        return Case("bombs of silence", upload(rng.choice(bombs())))
    headers = CLOSE + b"Content-Encoding: deflate\r\n"
    return Case("bombs of silence", posted(packed_zeros(), headers=headers))


def path_name(rng: Rng) -> Case:
    """A sound recording under a name that is a path, a command, a format string, or no text at all."""
    name = "".join(rng.choices(NAME_PARTS, k=rng.randint(1, 8))).encode()
    if rng.random() < 0.2:
        name = rng.choice([b"", rng.randbytes(40)])
    return Case("names of paths", upload(recordings()[0], name.translate(None, b'\r\n"')))


def wrong_type(rng: Rng) -> Case:
    """What is no recording, or no upload of one."""
    content = rng.choice(OTHER_FILES) + rng.randbytes(rng.randrange(3000))
    if rng.random() < 0.5:
        return Case("wrong types", upload(content, headers=b"Content-Type: audio/wav\r\n"))
    return Case("wrong types", posted(content, rng.choice(OTHER_TYPES)))


def broken_form(rng: Rng) -> Case:
    """A form that is not well-formed: no end, no name, many parts, strange heads of parts, strange boundaries."""
    line = b"\r\n--" + BOUNDARY
    body = line[2:] if rng.random() < 0.8 else rng.randbytes(30)
    for _ in range(rng.choice([0, 1, 1, 2, 5, 300])):
        heads = b"\r\n".join(rng.choices(PART_HEADS, k=rng.randrange(4)))
        body += b"\r\n" + heads + b"\r\n\r\n" + rng.randbytes(rng.randrange(200)) + line
    body += rng.choice([b"--\r\n", b"--", b"", b"\r\n", b"\n"])
    boundary = rng.choice(
        [BOUNDARY] * 3 + [b"x", b"b" * 300, b'"' + BOUNDARY, rng.randbytes(8).translate(None, b"\r\n")]
    )
    announced = rng.choice([len(body)] * 3 + [0, max(0, len(body) - 7)])
    return Case("broken forms", posted(body, b"multipart/form-data; boundary=" + boundary, announced=announced))


def broken_request(rng: Rng) -> Case:
    """No HTTP, or of the kind that is read in two ways."""
    if rng.random() < 0.3:
        flipped = bytearray(upload(recordings()[0]))
        for _ in range(rng.randint(1, 5)):
            flipped[rng.randrange(150)] = rng.randrange(256)
        return Case("broken requests", bytes(flipped))
    heads = b"".join(line + b"\r\n" for line in rng.choices(HEAD_LINES, k=rng.randrange(4)))
    head = rng.choice(FIRST_LINES) + b"\r\n" + HOST + CLOSE + heads + b"\r\n"
    return Case("broken requests", head + rng.choice(BODIES))


def live(rng: Rng) -> Case:
    """A live stream that breaks the rules of WebSockets or ours."""
    head = b"GET /live?rate=" + rng.choice(LIVE_RATES) + b" HTTP/1.1\r\n" + HOST
    head += b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    head += b"Sec-WebSocket-Key: " + rng.choice(LIVE_KEYS) + b"\r\n\r\n"
    sizes = [0, 1, 2, 126, 3200, 32_000, 70_000]
    frames = b"".join(
        frame(rng.randbytes(rng.choice(sizes)), rng.choice(OPCODES), masked=rng.random() < 0.95)
        for _ in range(rng.randrange(12))
    )
    ends = [b"", frame(b"end", 0x81), b"\x82\xff" + bytes(8), b"\x82\xff\xff" + bytes(7), rng.randbytes(20)]
    n_at_once = len(head) if rng.random() < 0.8 else 0
    return Case("live streams", head + frames + rng.choice(ends), rng.choice(("whole", *ENDS)), n_at_once)


def frame(content: bytes, opcode: int, *, masked: bool = True) -> bytes:
    """A WebSocket frame (RFC 6455, 5.2), masked with zeros."""
    bit = 0x80 if masked else 0
    if len(content) < 126:
        head = bytes([opcode, bit | len(content)])
    elif len(content) < 1 << 16:
        head = bytes([opcode, bit | 126]) + struct.pack(">H", len(content))
    else:
        head = bytes([opcode, bit | 127]) + struct.pack(">Q", len(content))
    return head + (bytes(4) if masked else b"") + content


def slow(rng: Rng) -> Case:
    """A client that stops in the middle of the head or the body, drips, or says nothing at all."""
    whole = upload(recordings()[0])
    body = whole.index(b"\r\n\r\n") + 4
    if rng.random() < 0.5:
        return Case("slow clients", whole, "drip", rng.choice([0, body - 30, body, body + 200]))
    return Case("slow clients", whole[: rng.choice([0, 10, 60, body - 2, body, len(whole) // 2])], "hold")


def cut(rng: Rng) -> Case:
    """A connection that is closed or reset anywhere, or whose answer is never read."""
    whole = upload(rng.choice(recordings()), query=b"?timeline=true")
    end = rng.randint(0, len(whole)) if rng.random() < 0.7 else len(whole)
    return Case("cut connections", whole[:end], rng.choice(ENDS))


# Ours: how many of a thousand.
KINDS: Mapping[Callable[[Rng], Case], int] = {
    damaged: 300, noise: 100, bomb: 40, path_name: 100, wrong_type: 100, broken_form: 100, broken_request: 80,
    live: 80, slow: 40, cut: 60,
}  # fmt: skip


def cases(n: int, seed: int) -> list[Case]:
    """About n hostile clients of all kinds, shuffled; at least one of each."""
    rng = Rng(seed)
    made = [make(rng) for make, share in KINDS.items() for _ in range(max(1, round(n * share / 1000)))]
    rng.shuffle(made)
    return made
