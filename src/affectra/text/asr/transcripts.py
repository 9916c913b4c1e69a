"""Transcripts of a whole corpus: recognised once, kept on disk, in as many processes as are given."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Protocol

from affectra.audio import read
from affectra.errors import AffectraError, AudioError
from affectra.files import sha256_file
from affectra.registry import Registry
from affectra.text.asr.cache import TranscriptCache, load, store
from affectra.text.asr.pocketsphinx import PocketSphinx
from affectra.text.asr.words import Recognizer, Transcript

ASR_RATE = 16_000  # Hz that files are read at, which is that of nearly all recognisers; others resample

RECOGNIZERS: Registry = Registry("speech recogniser")
RECOGNIZERS.register("pocketsphinx")(PocketSphinx)


@RECOGNIZERS.register("hugging-face")
def _hugging_face(*, model: str) -> Recognizer:
    from affectra.text.asr.hugging_face import HuggingFaceAsr  # torch only where it is asked for

    return HuggingFaceAsr(model=model)


class AudioSpan(Protocol):
    """A span of a recording, in s; `affectra.features.extract.AudioSpan` is one."""

    @property
    def audio(self) -> Path:
        """The file."""

    @property
    def start_s(self) -> float:
        """Where it starts."""

    @property
    def end_s(self) -> float | None:
        """Where it ends; None is the end of the file."""


@dataclass(frozen=True)
class Transcripts:
    """Transcripts of spans, in their order.

    Attributes:
        transcripts: None where the recording is refused.
        refused: why, by place in `transcripts`.
    """

    transcripts: tuple[Transcript | None, ...]
    refused: Mapping[int, str]


@dataclass(frozen=True)
class _Job:
    """A span whose transcript is to be put at `path`."""

    path: Path
    audio: Path
    start_s: float
    end_s: float | None

    def run(self, recognizer: Recognizer) -> Transcript | str:
        """The transcript, or why the recording is refused."""
        try:
            samples = read(self.audio, ASR_RATE, start_s=self.start_s, end_s=self.end_s).samples
        except AudioError as error:
            return str(error)
        transcript = recognizer.transcribe(samples, ASR_RATE)
        store(self.path, transcript)
        return transcript


def transcribe_files(
    spans: Sequence[AudioSpan],
    recognizer: str,
    options: Mapping[str, Any],
    on_done: Callable[[int], None] = lambda _: None,
    *,
    n_processes: int = 1,
) -> Transcripts:
    """Recognise the words of each span unless the cache has it.

    Each transcript is stored as soon as it is there, so interrupted work goes on where it was, and equal recordings
    are recognised once. A recording that cannot be read is named and does not stop the others.

    Args:
        spans: what to recognise.
        recognizer: a name in `RECOGNIZERS`.
        options: of the recogniser.
        on_done: called with the number done so far.
        n_processes: more than 1 start so many fresh processes, each with a recogniser of its own.

    Raises:
        ConfigError: no such recogniser or option, or its extra is not installed.
        AffectraError: a process was killed.
    """
    shared: Recognizer = RECOGNIZERS.build(recognizer, options)
    cache = TranscriptCache({"name": recognizer, "options": dict(options), "version": shared.version})
    places, jobs, found = _plan(spans, cache)
    n_done = len(spans) - len(jobs)
    if n_done:
        on_done(n_done)
    n_workers = min(n_processes, len(jobs))
    done = _in_pool(jobs, recognizer, options, n_workers) if n_workers > 1 else ((job, job.run(shared)) for job in jobs)
    for job, outcome in done:
        found[job.path] = outcome
        n_done += 1
        on_done(n_done)
    results = [place if isinstance(place, str) else found[place] for place in places]
    return Transcripts(
        tuple(result if isinstance(result, Transcript) else None for result in results),
        {i: result for i, result in enumerate(results) if isinstance(result, str)},
    )


def _plan(
    spans: Sequence[AudioSpan], cache: TranscriptCache
) -> tuple[list[Path | str], list[_Job], dict[Path, Transcript | str]]:
    """Where each span's transcript is kept (or why there is none), what is still to do, and what is there."""
    hashes: dict[Path, str] = {}
    places: list[Path | str] = []
    jobs: dict[Path, _Job] = {}
    found: dict[Path, Transcript | str] = {}
    for span in spans:
        try:
            if span.audio not in hashes:
                hashes[span.audio] = sha256_file(span.audio)
        except OSError as error:
            places.append(f"{span.audio}: cannot be read: {error.strerror}")
            continue
        path = cache.path(hashes[span.audio], span.start_s, span.end_s)
        places.append(path)
        if path in found or path in jobs:
            continue
        if (stored := load(path)) is not None:
            found[path] = stored
        else:
            jobs[path] = _Job(path, span.audio, span.start_s, span.end_s)
    return places, list(jobs.values()), found


def _in_pool(
    jobs: Sequence[_Job], recognizer: str, options: Mapping[str, Any], n_workers: int
) -> Iterator[tuple[_Job, Transcript | str]]:
    """Run jobs in fresh processes, as they come."""
    context = multiprocessing.get_context("spawn")  # torch must not be forked
    pool = ProcessPoolExecutor(n_workers, context, initializer=_start_worker, initargs=(recognizer, dict(options)))
    try:
        futures = {pool.submit(_work, job): job for job in jobs}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool as error:
        raise AffectraError(
            "a process that recognises speech was killed, often for want of memory; take fewer, what is done is kept"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_of_worker: list[Recognizer] = []  # the one recogniser of a worker process


def _start_worker(recognizer: str, options: Mapping[str, Any]) -> None:
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    _of_worker.append(RECOGNIZERS.build(recognizer, options))


def _leave_with_parent() -> None:
    """End this process when its parent was killed; it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _work(job: _Job) -> Transcript | str:
    return job.run(_of_worker[0])
