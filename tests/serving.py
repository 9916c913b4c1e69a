"""A server on a free port of this machine, and a model whose answers follow from the sound in a way tests know."""

import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from affectra.audio import blocks
from affectra.errors import ConfigError
from affectra.predict.model import UNKNOWN, Prediction
from affectra.predict.windows import Window
from affectra.serve import Limits, create_app
from affectra.serve.app import build_server, listen

CLASSES = ("anger", "happiness", "neutral", "sadness")
RATE = 16_000


class Listener:
    """Hears samples as they are."""

    def recognize_batch(self, waveforms: Sequence[np.ndarray]) -> list[np.ndarray]:
        return list(waveforms)


class LoudnessModel:
    """Hears anger in loud seconds, sadness in soft ones, and cannot tell of silence."""

    name = "loudness"
    classes = CLASSES
    sample_rate = RATE
    licence = "CC0-1.0"
    synthetic = True
    card = "# Loudness\n\n## Trained on\n\n| corpus |\n|---|\n| none |\n\n- **Loud** is\n  angry <img src=x>.\n"

    def __init__(self, work_s: float = 0.0, dimensions: bool = True) -> None:
        self.work_s, self.dimensions = work_s, dimensions
        self.recognizer = Listener()

    def track_speech(self) -> None:
        """All of it counts."""

    def offered(self, classes: Sequence[str]) -> tuple[str, ...]:
        if unknown := set(classes) - set(CLASSES):
            raise ConfigError(f"unknown class {sorted(unknown)[0]!r}")
        return tuple(name for name in CLASSES if not classes or name in classes)

    def recognize_file(self, path: Path, *, classes: Sequence[str] = (), abstain: bool = True) -> Prediction:
        samples = self._read(path)
        return self.answer(samples, 0.0, len(samples) / RATE, classes, abstain)

    def timeline_of_file(self, path: Path, *, classes: Sequence[str] = (), abstain: bool = True) -> list[Prediction]:
        stream = LoudnessStream(self, RATE, classes, abstain)
        windows = [*stream.take(self._read(path)), *stream.take_rest()]
        return stream.tell(windows, self.recognizer.recognize_batch([window.samples for window in windows]))

    def _read(self, path: Path) -> np.ndarray:
        time.sleep(self.work_s)
        return np.concatenate(list(blocks(path, RATE, allow_truncated=True)))

    def answer(
        self, samples: np.ndarray, start: float, end: float, classes: Sequence[str] = (), abstain: bool = True
    ) -> Prediction:
        loudness = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
        anger = min(1.0, 2 * loudness)
        known = {"anger": 0.05 + 0.8 * anger, "happiness": 0.06, "neutral": 0.04, "sadness": 0.85 - 0.8 * anger}
        offered = self.offered(classes)
        total = sum(known[name] for name in offered)
        scores = {name: known[name] / total for name in offered}
        best = max(scores, key=scores.__getitem__)
        flags = ("silent",) if loudness < 1e-4 else ()
        emotion = UNKNOWN if flags and abstain else best
        levels = (anger, 0.5 - 0.3 * anger) if self.dimensions else (None, None)
        return Prediction(start, end, emotion, scores[best], scores, flags, *levels)


@dataclass
class LoudnessStream:
    """Answers at each second of audio."""

    model: LoudnessModel
    rate: int
    classes: Sequence[str] = ()
    abstain: bool = True

    def __post_init__(self) -> None:
        self.kept, self.n_done = np.zeros(0, np.float32), 0

    def take(self, samples: np.ndarray) -> list[Window]:
        self.kept = np.concatenate([self.kept, samples])
        found = []
        while len(self.kept) >= self.rate:
            found.append(self._next(self.rate))
        return found

    def take_rest(self) -> list[Window]:
        return [self._next(len(self.kept))] if len(self.kept) else []

    def tell(self, windows: Sequence[Window], outputs: Sequence[np.ndarray]) -> list[Prediction]:
        return [
            self.model.answer(heard, window.start, window.start + len(heard) / self.rate, self.classes, self.abstain)
            for window, heard in zip(windows, outputs, strict=True)
        ]

    def _next(self, n: int) -> Window:
        second, self.kept = self.kept[:n], self.kept[n:]
        start, self.n_done = self.n_done / self.rate, self.n_done + n
        return Window(second, start, 1.0)


@dataclass
class Running:
    """A server that runs, and where the recordings it is sent lie meanwhile."""

    port: int
    folder: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def leftovers(self) -> list[Path]:
        return list(self.folder.glob("affectra-serve-*/*"))


@contextmanager
def running(
    folder: Path, model: object | None = None, limits: Limits | None = None, open_stream: object = LoudnessStream
) -> Iterator[Running]:
    """Serve in a thread; recordings go below `folder`, which is empty again in the end."""
    limits = limits or Limits()
    server = build_server(create_app(model or LoudnessModel(), limits, open_stream=open_stream), limits)
    usual, tempfile.tempdir = tempfile.tempdir, str(folder)
    with listen("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.01)
            yield Running(listener.getsockname()[1], folder)
        finally:
            server.should_exit = True
            thread.join(20)
            tempfile.tempdir = usual
    assert not thread.is_alive(), "the server does not stop"
    assert not list(folder.glob("affectra-serve-*")), "the folder of recordings is left"
