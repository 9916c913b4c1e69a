"""What a thousand hostile clients do to a server: its answers by kind, and whether anything of them stays behind.

    python benchmarks/hostile_uploads.py [--model NAME|DIR] [--cases 1000] [--seed 0]

The server runs in a process of its own, with its usual limits but for its patience, which is cut to seconds. Damaged
recordings, random bytes, bombs of silence, names that are paths, wrong types, broken forms and requests, live streams
against the rules, slow clients and cut connections come in random order, many at a time (hostile_cases.py). As many of
another seed go ahead, so that what is kept to be used again is there. Exit code 1 if the server dies, answers 500, logs
a failure or holds a connection, if afterwards it answers an honest recording otherwise than before, has more memory
(by a tenth), other open files or threads, or keeps a recording.
"""

import argparse
import contextlib
import json
import os
import platform
import socket
import struct
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from hostile_cases import Case, cases, recordings

from serve import Process, serving

PATIENCE = {"upload_s": 3.0, "upload_idle_s": 1.0, "stream_idle_s": 1.0}  # s, limits of the server
HELD_S = 90.0  # a connection that is open so long is held; a server may decode for 60 s
DRIP_S = 0.1
WAITING = ("slow clients", "live streams")  # these sit there, so they have threads of their own
FAILURES = ("Exception in ASGI application", "Fatal error", "never retrieved")  # as uvicorn and asyncio log them
AT_ONCE = 6  # of those that wait, and of the others; a server takes 8 uploads at a time


def answer(port: int, case: Case) -> str:
    """What a hostile client gets: a status, "none" for a closed connection, "-" if it did not wait, or "held"."""
    with socket.create_connection(("127.0.0.1", port), timeout=HELD_S) as connection:
        try:
            if case.way == "drip":
                return _status(connection, _drip(connection, case))
            connection.sendall(case.sent[: case.n_at_once])
            time.sleep(DRIP_S if case.n_at_once else 0.0)
            connection.sendall(case.sent[case.n_at_once :])
        except ConnectionError:  # closed in the middle; what it said may still be there
            return _status(connection, b"")
        if case.way == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if case.way in ("cut", "reset"):
            return "-"
        if case.way == "deaf":
            time.sleep(0.5)
            return "-"
        return _status(connection, b"")


def _drip(connection: socket.socket, case: Case) -> bytes:
    """Send byte by byte until the server has enough of it; its first words."""
    connection.sendall(case.sent[: case.n_at_once])
    connection.settimeout(DRIP_S)
    end = time.monotonic() + HELD_S
    for k in range(case.n_at_once, len(case.sent)):
        connection.sendall(case.sent[k : k + 1])
        with contextlib.suppress(TimeoutError):
            return connection.recv(1 << 16)
        if time.monotonic() > end:
            break
    return b""


def _status(connection: socket.socket, said: bytes) -> str:
    """Read until the server closes; the status in what it said."""
    end = time.monotonic() + HELD_S
    try:
        while time.monotonic() < end:
            connection.settimeout(max(0.01, end - time.monotonic()))
            if not (more := connection.recv(1 << 16)):
                break
            said = said[:100] + more if len(said) < 100 else said
        else:
            return "held"
    except TimeoutError:
        return "held"
    except ConnectionError:
        pass
    words = said[:100].split(b" ", 2)
    return words[1].decode() if len(words) == 3 and words[0].startswith(b"HTTP/") else "none"


def attack(port: int, clients: Sequence[Case], process: Process) -> tuple[dict[str, Counter[str]], list[float]]:
    """Statuses by kind, and the server's memory after each tenth, MiB."""
    found: dict[str, Counter[str]] = {}
    memory: list[float] = []
    with ThreadPoolExecutor(AT_ONCE) as quick, ThreadPoolExecutor(AT_ONCE) as waiting:
        pools = [waiting if case.kind in WAITING else quick for case in clients]
        answers = [pool.submit(answer, port, case) for pool, case in zip(pools, clients, strict=True)]
        for k, (case, status) in enumerate(zip(clients, answers, strict=True), start=1):
            found.setdefault(case.kind, Counter())[status.result()] += 1
            if k % max(1, len(clients) // 10) == 0:
                memory.append(process.memory_mib())
    return found, memory


def state(port: int, process: Process, folder: Path) -> dict[str, object]:
    """What must be the same afterwards, once nothing is under way: the answer to honest sound, files, threads."""
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=HELD_S, trust_env=False) as client:
        client.get("/").raise_for_status()  # the thread that reads files is there
        rows = client.post("/predict", files={"file": ("honest.wav", recordings()[0])}).raise_for_status().json()
        end = time.monotonic() + HELD_S
        while any(client.get("/health").json()[name] for name in ("uploads", "live_streams")):
            if time.monotonic() > end:
                break
            time.sleep(0.2)
    time.sleep(2.0)  # sockets take a moment to be gone
    kept = [path.name for path in folder.glob("affectra-serve-*/*")]
    return {"answer": rows, "open files": process.n_open_files(), "threads": process.n_threads(), "kept": kept}


def main() -> int:
    """Attack, print a table, and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="affectra-base")
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with serving(options.model, PATIENCE, folder) as (port, process):
            warm = attack(port, cases(options.cases, options.seed + 1), process)[1]
            before, memory_before, cpu_s = state(port, process, folder), process.memory_mib(), process.cpu_s()
            begun = time.monotonic()
            found, memory = attack(port, cases(options.cases, options.seed), process)
            took_s, cpu_s = time.monotonic() - begun, process.cpu_s() - cpu_s
            after, memory_after = state(port, process, folder), process.memory_mib()
        log = (folder / "server.log").read_text(errors="replace")
    total = sum(found.values(), Counter())
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, model {options.model}")
    print(
        f"{total.total()} hostile clients, seed {options.seed}, {took_s:.0f} s, {cpu_s:.0f} s of the server's processor"
    )
    for kind, statuses in sorted(found.items()):
        print(f"{kind:20} {json.dumps(dict(sorted(statuses.items())))}")
    other = sum(n for status, n in total.items() if status.startswith("5") and status not in ("500", "503"))
    print(f"500: {total['500']}, 503 (busy): {total['503']}, other 5xx: {other}, held: {total['held']}")
    failures = sum(log.count(words) for words in FAILURES)
    print(f"failures in the log: {failures}")
    if failures:
        print(log[min(log.index(words) for words in FAILURES if words in log) :][:5000])
    print(f"memory {memory_before:.0f} MiB before, {memory_after:.0f} after; {', '.join(f'{m:.0f}' for m in memory)}")
    print(f"of those that went ahead: memory {', '.join(f'{m:.0f}' for m in warm)}")
    for what in ("open files", "threads", "kept"):
        print(f"{what} {before[what]} before, {after[what]} after")
    failed = total["500"] + other + total["held"] + failures
    return 1 if failed or before != after or memory_after > 1.1 * memory_before else 0


if __name__ == "__main__":
    raise SystemExit(main())
