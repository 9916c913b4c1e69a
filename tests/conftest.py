"""Fixtures shared by all tests."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

# One thread a process: two processes run the suite, and threads that wait for a busy core are ten times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import soundfile

from affectra.corpora.manifest import manifest_from_rows, write_manifest
from affectra.reports.figures import png

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Real corpora beside the checkout (or `$AFFECTRA_DATA`)."""
    data = Path(os.environ.get("AFFECTRA_DATA", REPOSITORY.parent / "shared" / "data"))
    if not data.is_dir():
        pytest.skip("no real corpora beside this checkout; set AFFECTRA_DATA to test on them")
    return data


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests keep features and the embedded corpus in a cache of their own."""
    if "AFFECTRA_TEST_CACHE" in os.environ:  # to render the embedded corpus once for many test runs
        os.environ["AFFECTRA_CACHE"] = os.environ["AFFECTRA_TEST_CACHE"]
    else:
        os.environ["AFFECTRA_CACHE"] = str(tmp_path_factory.getbasetemp().parent / "affectra-cache")


@pytest.fixture(scope="session", autouse=True)
def _undrawn() -> Iterator[None]:
    """Figures of reports are made but not rendered, which is half of a quick run; `drawn` renders them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("affectra.reports.pages.png", lambda figure: b"\x89PNG" + bytes(20))
        yield


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Programs that a test starts can be interrupted, also where the suite itself runs in a shell's background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that look at pictures."""
    monkeypatch.setattr("affectra.reports.pages.png", png)


@pytest.fixture(scope="session")
def tone_manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of 4 speakers with 2 emotions of 3 utterances each; a class is a pitch, so it can be learnt."""
    folder = tmp_path_factory.mktemp("tones")
    rng = np.random.default_rng(0)
    rows = []
    for speaker in range(4):
        for emotion, pitch_hz in (("anger", 900.0), ("sadness", 250.0)):
            for take in range(3):
                time_s = np.arange(int(16_000 * rng.uniform(0.9, 2.8))) / 16_000
                tone = 0.3 * np.sin(2 * np.pi * pitch_hz * rng.uniform(0.9, 1.1) * time_s)
                name = f"s{speaker}_{emotion}_{take}"
                soundfile.write(folder / f"{name}.wav", tone + 0.01 * rng.standard_normal(len(tone)), 16_000)
                rows.append(
                    {"utterance": name, "file": f"{name}.wav", "speaker": f"s{speaker}", "emotion": emotion}
                    | {"gender": "female" if speaker % 2 else "male", "session": f"session{speaker // 2}"}
                )
    write_manifest(manifest_from_rows(rows, "tones"), folder / "tones.csv")
    return folder / "tones.csv"
