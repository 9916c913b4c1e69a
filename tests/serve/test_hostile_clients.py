"""The benchmark of hostile clients: the same ones again, of all kinds, and a few of them against a real server."""

import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from affectra.serve import Limits
from serving import running

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
FINE = {"-", "none", "200", "400", "403", "404", "405", "413", "415", "422"}
PATIENT = {"slow clients", "live streams"}  # too slow for a test


@pytest.fixture(scope="module")
def hostile() -> Any:
    """benchmarks/hostile_uploads.py, whose neighbours are found beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        import hostile_uploads

        yield hostile_uploads
        for name in ("hostile_uploads", "hostile_cases", "hostile_recordings", "serve"):
            sys.modules.pop(name, None)


def test_a_seed_gives_the_same_hostile_clients_of_every_kind(hostile: Any) -> None:
    cases = hostile.cases(200, 3)
    assert cases == hostile.cases(200, 3) and cases != hostile.cases(200, 4)
    kinds = Counter(case.kind for case in cases)
    assert len(kinds) == 10 and sum(kinds.values()) == 200 and min(kinds.values()) >= 8
    assert {case.way for case in cases} == {"whole", "drip", "hold", "cut", "reset", "deaf"}


def test_what_hostile_clients_are_answered_is_told_apart(hostile: Any, tmp_path: Path) -> None:
    limits = Limits(upload_s=2.0, upload_idle_s=0.5, audio_s=30.0, n_workers=1)
    with running(tmp_path, limits=limits) as server:
        whole = hostile.cases(100, 0)[0].__class__
        sound = sys.modules["hostile_cases"].upload(hostile.recordings()[0])
        assert hostile.answer(server.port, whole("sound", sound)) == "200"
        assert hostile.answer(server.port, whole("noise", sound.replace(b"RIFF", b"XXXX"))) == "422"
        assert hostile.answer(server.port, whole("silent", b"POST /", "hold")) == "none"
        assert hostile.answer(server.port, whole("gone", sound, "reset")) == "-"
        for case in hostile.cases(60, 0):
            if case.kind not in PATIENT:
                assert hostile.answer(server.port, case) in FINE, case
        end = time.monotonic() + 5
        while server.leftovers() and time.monotonic() < end:
            time.sleep(0.05)
        assert not server.leftovers()
