"""The cache: content-addressed, whole files only, safe between processes."""

import multiprocessing
import resource
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from affectra.errors import AudioError
from affectra.features.cache import FrameCache, load_frames
from affectra.features.extract import AudioSpan, extract
from affectra.features.front_ends import FRONT_ENDS
from affectra.recipes.config import load_recipe

FRONT_END = load_recipe("li2018-cpu").recipe.front_end.model_dump()


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AFFECTRA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 40_000), 16_000)
    return path


def test_frames_are_computed_once_and_read_as_a_map(recording: Path) -> None:
    (found,) = extract([AudioSpan(recording)], FRONT_END)
    written = found.path.stat().st_mtime_ns
    (again,) = extract([AudioSpan(recording)], FRONT_END)
    assert again == found and found.path.stat().st_mtime_ns == written
    frames = load_frames(found.path)
    assert isinstance(frames, np.memmap) and frames.shape == (found.n_frames, 100)


def test_other_options_other_audio_and_other_stretches_are_kept_apart(recording: Path, tmp_path: Path) -> None:
    other = tmp_path / "b.wav"
    soundfile.write(other, np.random.default_rng(1).uniform(-0.5, 0.5, 40_000), 16_000)
    copy = tmp_path / "copy.wav"
    copy.write_bytes(recording.read_bytes())
    changed = {**FRONT_END, "options": {**FRONT_END["options"], "pool_bins": 2}}
    (one,), (two,) = extract([AudioSpan(recording)], FRONT_END), extract([AudioSpan(recording)], changed)
    (three,), (four,) = extract([AudioSpan(other)], FRONT_END), extract([AudioSpan(recording, 0.5, 1.5)], FRONT_END)
    assert len({one.path, two.path, three.path, four.path}) == 4
    assert extract([AudioSpan(copy)], FRONT_END)[0].path == one.path, "a copy of the audio shares its frames"


def test_a_stretch_has_the_frames_of_its_samples(tmp_path: Path) -> None:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 48_000).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, 16_000, subtype="FLOAT")
    (found,) = extract([AudioSpan(tmp_path / "a.wav", 0.5, 2.0)], FRONT_END)
    front_end = FRONT_ENDS.build(FRONT_END["name"], FRONT_END["options"])
    expected = front_end.frames(torch.from_numpy(samples[8_000:32_000])).numpy()
    np.testing.assert_array_equal(load_frames(found.path), expected.astype(np.float16))


def test_a_file_that_was_cut_off_is_computed_again(recording: Path) -> None:
    (found,) = extract([AudioSpan(recording)], FRONT_END)
    whole = found.path.read_bytes()
    found.path.write_bytes(whole[: len(whole) // 2])
    assert load_frames(found.path) is None
    extract([AudioSpan(recording)], FRONT_END)
    assert found.path.read_bytes() == whole


def test_an_interrupted_write_leaves_nothing_that_looks_whole(tmp_path: Path) -> None:
    cache = FrameCache(FRONT_END, tmp_path / "frames")
    path = cache.path("0" * 64)

    def interrupted() -> np.ndarray:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.ensure(path, interrupted)
    assert list(path.parent.parent.rglob("*.npy")) == []


def _extract_all(recordings: list[Path]) -> list[bytes]:
    return [found.path.read_bytes() for found in extract([AudioSpan(path) for path in recordings], FRONT_END)]


def test_concurrent_runs_share_the_cache(tmp_path: Path) -> None:
    recordings = []
    for i in range(20):
        recordings.append(tmp_path / f"{i}.wav")
        soundfile.write(recordings[-1], np.random.default_rng(i).uniform(-0.5, 0.5, 16_000), 16_000)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        first, second = pool.map(_extract_all, [recordings, recordings])
    assert first == second == _extract_all(recordings)


def _peak_mib(recording: Path, n_utterances: int) -> float:
    """Peak memory so far of a process that extracts this many stretches of a recording."""
    stretches = [AudioSpan(recording, 0.001 * i) for i in range(n_utterances)]
    extract(stretches, FRONT_END)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def test_memory_does_not_grow_with_the_corpus(tmp_path: Path) -> None:
    recording = tmp_path / "long.wav"
    soundfile.write(recording, np.random.default_rng(0).uniform(-0.5, 0.5, 16_000 * 20), 16_000)
    with multiprocessing.get_context("spawn").Pool(1) as pool:  # the frames of 300 would be 60 MiB in half precision
        peaks = [pool.apply(_peak_mib, (recording, n_utterances)) for n_utterances in (10, 300)]
    assert peaks[1] < peaks[0] + 20, peaks


def test_every_refused_recording_is_counted(recording: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"no audio")
    stretches = [AudioSpan(tmp_path / "bad.wav"), AudioSpan(recording), AudioSpan(tmp_path / "missing.wav")]
    with pytest.raises(AudioError, match=r"bad\.wav.*1 more recordings are refused"):
        extract(stretches, FRONT_END)
