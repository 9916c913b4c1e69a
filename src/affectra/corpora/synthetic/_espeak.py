"""The renderer of the embedded corpus: sentences in, speech and the times of its words out, through espeak-ng.

espeak-ng is GPL-3 and keeps state, so it lives in this process of its own, which imports neither torch nor pandas nor
the rest of the package. It reads one JSON object on standard input,

    {"folder": where to write, "jobs": [{"name", "text", "voice", "rate", "pitch", "range", "word_gap"}, ...]}

and writes `<name>.wav` (16 bit, espeak's own rate) and `<name>.json` (`spans`: [character, start, end] with the place
in the text and seconds, one for each word that espeak speaks as one).

A second sentence out of the same engine differs from a first one, so each is spoken by a child forked from a parent
that is initialised and has never spoken: the same job gives the same bytes, in any order and on any number of cores.
"""

import ctypes
import json
import os
import sys
import tempfile
import wave
from pathlib import Path
from typing import Any

# speak_lib.h
SYNCHRONOUS = 2
PHONEME_EVENTS, DONT_EXIT = 0x0001, 0x8000
WORD_EVENT, PHONEME_EVENT = 1, 7
UTF8 = 1
PARAMETERS = {"rate": 1, "pitch": 3, "range": 4, "word_gap": 7}  # words/min, 0 to 100, 0 to 100, 10 ms
MAX_DATA_PATH = 140  # characters; espeak keeps it, with "/espeak-ng-data" behind it, in a buffer of 160

Event = tuple[int, int, int, str]  # type, character in the text from 0, sample, phoneme


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class RenderError(Exception):
    """The engine refused something; the message goes to standard error as one line."""


def short_path(data: str, folder: str) -> str:
    """A path to espeak's data that its buffer holds: `data` itself, or a link to it in `folder` when it is too long."""
    if len(os.fsencode(data)) <= MAX_DATA_PATH:
        return data
    link = Path(folder) / "espeak-ng-data"
    link.symlink_to(data, target_is_directory=True)
    return str(link)


def word_spans(events: list[Event], n_samples: int) -> list[tuple[int, int, int]]:
    """Where each word starts and ends.

    espeak reports where a word starts; it ends at the pause after its last sounding phoneme, else at the next word.

    Args:
        events: word and phoneme events in the order of time.
        n_samples: length of the speech.

    Returns:
        (character in the text, first sample, sample after the last) of each word.
    """
    spans: list[tuple[int, int, int]] = []
    for kind, character, sample, phoneme in [*events, (WORD_EVENT, -1, n_samples, "")]:
        if kind == WORD_EVENT:
            if spans and spans[-1][2] < 0:
                spans[-1] = (*spans[-1][:2], sample)
            spans.append((character, sample, -1))
        elif spans and phoneme.startswith("_"):
            if spans[-1][2] < 0:
                spans[-1] = (*spans[-1][:2], sample)
        elif spans:
            spans[-1] = (*spans[-1][:2], -1)  # the word goes on after a glottal stop or a pause within
    return [span for span in spans[:-1] if span[2] > span[1]]


def start_engine(library: str, data: str) -> tuple[ctypes.CDLL, int]:
    """Load and initialise espeak-ng: the library and its sample rate in Hz."""
    try:
        espeak = ctypes.CDLL(library)
    except OSError as error:
        raise RenderError(f"{library}: cannot be loaded: {error}") from error
    sample_rate = espeak.espeak_Initialize(SYNCHRONOUS, 0, os.fsencode(data), PHONEME_EVENTS | DONT_EXIT)
    if sample_rate <= 0:
        raise RenderError(f"{data}: espeak_Initialize returned {sample_rate} instead of a sample rate")
    return espeak, sample_rate


def speak(espeak: ctypes.CDLL, job: dict[str, Any]) -> tuple[bytes, list[Event]]:
    """Speak one sentence: its samples as native 16-bit integers and its events."""
    speech = bytearray()
    events: list[Event] = []

    def receive(samples: Any, n_samples: int, batch: Any) -> int:
        if samples and n_samples:
            speech.extend(ctypes.string_at(samples, 2 * n_samples))
        for event in batch:
            if event.type == 0:
                break
            if event.type in (WORD_EVENT, PHONEME_EVENT):
                phoneme = event.id.string.decode(errors="replace") if event.type == PHONEME_EVENT else ""
                events.append((event.type, event.text_position - 1, event.sample, phoneme))
        return 0

    espeak.espeak_ng_SetRandSeed(ctypes.c_long(1))  # else its noise is new in each process
    callback = _CALLBACK(receive)
    espeak.espeak_SetSynthCallback(callback)
    if espeak.espeak_SetVoiceByName(job["voice"].encode()) != 0:
        raise RenderError(f"{job['name']}: espeak has no voice {job['voice']!r}")
    for name, number in PARAMETERS.items():
        espeak.espeak_SetParameter(number, int(job[name]), 0)
    text = job["text"].encode()
    if espeak.espeak_Synth(text, len(text) + 1, 0, 1, 0, UTF8, None, None) != 0 or not speech:
        raise RenderError(f"{job['name']}: espeak gave no speech")
    return bytes(speech), events


def write_speech(folder: Path, name: str, speech: bytes, events: list[Event], sample_rate: int) -> None:
    """Write `<name>.wav` and `<name>.json`."""
    if sys.byteorder == "big":
        speech = b"".join(speech[i + 1 : i + 2] + speech[i : i + 1] for i in range(0, len(speech), 2))
    with wave.open(str(folder / f"{name}.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(speech)
    spans = [(c, start / sample_rate, end / sample_rate) for c, start, end in word_spans(events, len(speech) // 2)]
    (folder / f"{name}.json").write_text(json.dumps({"spans": spans}), encoding="utf-8")


def render_in_child(espeak: ctypes.CDLL, sample_rate: int, folder: Path, job: dict[str, Any]) -> int:
    """Fork, and speak one job in the child; returns the child's process id."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        speech, events = speak(espeak, job)
        write_speech(folder, job["name"], speech, events, sample_rate)
        status = 0
    except (RenderError, OSError) as error:
        print(error, file=sys.stderr, flush=True)
    finally:
        os._exit(status)  # nothing of the parent may be cleaned up in its child


def render_all(espeak: ctypes.CDLL, sample_rate: int, folder: Path, jobs: list[dict[str, Any]]) -> int:
    """Speak all jobs, as many at a time as there are cores; returns the number that failed."""
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    running: set[int] = set()
    n_failed = 0
    for job in [*jobs, *[None] * n_cores]:
        if job is None or len(running) == n_cores:
            if not running:
                break
            child, status = os.wait()
            running.discard(child)
            n_failed += status != 0
        if job is not None:
            running.add(render_in_child(espeak, sample_rate, folder, job))
    return n_failed


def main() -> int:
    """Render what standard input asks for; 0 when all of it was."""
    import espeakng_loader

    if not hasattr(os, "fork"):
        print("rendering the embedded corpus needs a system with fork (Linux, macOS)", file=sys.stderr)
        return 1
    request = json.load(sys.stdin)
    with tempfile.TemporaryDirectory(prefix="espeak-") as links:
        try:
            data = short_path(espeakng_loader.get_data_path(), links)
            espeak, sample_rate = start_engine(espeakng_loader.get_library_path(), data)
        except RenderError as error:
            print(error, file=sys.stderr)
            return 1
        return int(render_all(espeak, sample_rate, Path(request["folder"]), request["jobs"]) > 0)


if __name__ == "__main__":
    sys.exit(main())
