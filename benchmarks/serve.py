"""How a server bears many live streams at once and many requests one after the other: latency, processor, memory.

    python benchmarks/serve.py --model NAME|DIR [--streams 50] [--seconds 60] [--requests 1000] [--limit-s 1.0]

The server runs in a process of its own. Every live stream sends noise in blocks of 40 ms at the pace of speech, each
stream begun at another moment of the second. The latency of an update is the time from when the block that completes
its second was sent to when the update is there, so it holds the network, the queue, the resampler and the model. Then
recordings of one second are sent, four at a time, and the server's memory is read as they go. Exit code 1 if the
95th percentile of the latency is over the limit, an update is missing, or memory grows by more than a tenth.
"""

import argparse
import asyncio
import io
import json
import os
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import soundfile
from websockets.asyncio.client import connect

RATE, BLOCK_S = 48_000, 0.04
SERVER = """
import json, sys
from affectra import load
from affectra.serve import Limits, serve
serve(load(sys.argv[1]), port=int(sys.argv[2]), limits=Limits(**json.loads(sys.argv[3])))
"""


class Process:
    """A server's process as the system sees it."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")

    def memory_mib(self) -> float:
        """Resident memory."""
        lines = (self._folder / "status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:"))

    def cpu_s(self) -> float:
        """Processor time so far, of all threads."""
        fields = (self._folder / "stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def n_open_files(self) -> int:
        """Files, sockets and pipes."""
        return len(list((self._folder / "fd").iterdir()))

    def n_threads(self) -> int:
        """Of all kinds."""
        return len(list((self._folder / "task").iterdir()))


@contextmanager
def serving(
    model: str, limits: Mapping[str, float] | None = None, folder: Path | None = None
) -> Iterator[tuple[int, Process]]:
    """A server of a model on a free port, and its process.

    Args:
        model: name or folder.
        limits: those that are not to be as they are by default.
        folder: for its temporary files and its log, `server.log`; default: the system's, and no log.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-c", SERVER, model, str(port), json.dumps(dict(limits or {}))]
    environment = dict(os.environ) if folder is None else {**os.environ, "TMPDIR": str(folder)}
    with open(os.devnull if folder is None else folder / "server.log", "wb") as log:
        process = subprocess.Popen(command, stderr=log, env=environment)
    try:
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False)
                break
            except httpx.TransportError:
                if process.poll() is not None:
                    raise SystemExit(f"the server ended with {process.returncode}") from None
                time.sleep(0.1)
        yield port, Process(process.pid)
    finally:
        process.terminate()
        process.wait(20)


async def speak(port: int, seconds: int, delay_s: float) -> list[float]:
    """One live stream at the pace of speech; the latency of each of its updates, s."""
    block = round(BLOCK_S * RATE)
    rng = np.random.default_rng(round(1000 * delay_s))
    noise = [(0.1 * 32767 * rng.standard_normal(block)).astype("<i2").tobytes() for _ in range(10)]
    await asyncio.sleep(delay_s)
    completed: list[float] = []  # when the block that completes second k was sent
    latencies: list[float] = []
    async with connect(f"ws://127.0.0.1:{port}/live?rate={RATE}", proxy=None) as stream:

        async def listen() -> None:
            async for message in stream:
                second = round(json.loads(message)["end"])
                latencies.append(time.monotonic() - completed[second - 1])

        listening = asyncio.create_task(listen())
        begun = time.monotonic()
        for k in range(1, seconds * RATE // block + 1):
            await asyncio.sleep(begun + k * BLOCK_S - time.monotonic())
            if k * block % RATE < block:
                completed.append(time.monotonic())
            await stream.send(noise[k % len(noise)])
        await stream.send("end")
        await listening
    return latencies


async def live(port: int, n_streams: int, seconds: int) -> list[float]:
    """All latencies of streams begun over one second."""
    found = await asyncio.gather(*(speak(port, seconds, k / n_streams) for k in range(n_streams)))
    return [latency for latencies in found for latency in latencies]


async def requests(port: int, n_requests: int, process: Process) -> list[float]:
    """Send a recording of one second so often; the server's memory at ten moments, the first after a tenth, MiB."""
    file = io.BytesIO()
    soundfile.write(file, 0.1 * np.random.default_rng(0).standard_normal(16_000), 16_000, format="WAV")
    memory: list[float] = []
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:

        async def some(n: int) -> None:
            for _ in range(n):
                response = await client.post("/predict", files={"file": ("one.wav", file.getvalue())})
                response.raise_for_status()

        for _ in range(10):
            await asyncio.gather(*(some(n_requests // 40) for _ in range(4)))
            memory.append(process.memory_mib())
    return memory


def main() -> int:
    """Measure, print a table, and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--streams", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--limit-s", type=float, default=1.0)
    options = parser.parse_args()
    with serving(options.model) as (port, process):
        idle_mib, cpu_s = process.memory_mib(), process.cpu_s()
        latencies = asyncio.run(live(port, options.streams, options.seconds))
        busy = (process.cpu_s() - cpu_s) / options.seconds
        live_mib = process.memory_mib()
        begun = time.monotonic()
        memory = asyncio.run(requests(port, options.requests, process)) if options.requests else [live_mib]
        per_s = options.requests / (time.monotonic() - begun)
    p50, p95, most = (*np.quantile(latencies, [0.5, 0.95]), max(latencies))
    missing = options.streams * options.seconds - len(latencies)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, model {options.model}")
    print(f"{options.streams} live streams, {options.seconds} s: {len(latencies)} updates, {missing} missing")
    print(f"latency p50 {1000 * p50:.0f} ms, p95 {1000 * p95:.0f} ms, most {1000 * most:.0f} ms")
    print(f"processor {busy:.2f} cores; memory {idle_mib:.0f} MiB idle, {live_mib:.0f} MiB after")
    print(f"{options.requests} requests, {per_s:.0f} a second; memory {', '.join(f'{m:.0f}' for m in memory)} MiB")
    grows = memory[-1] > 1.1 * memory[0]
    return 1 if p95 > options.limit_s or missing or grows else 0


if __name__ == "__main__":
    raise SystemExit(main())
