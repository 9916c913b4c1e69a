"""Copies at another speed: each is found with its factor, and no take of the same words is taken for one."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from affectra.corpora import read_corpus
from affectra.splits.leakage.audit import audit
from affectra.splits.leakage.by_ear.fingerprint import Fingerprint, fingerprint
from affectra.splits.leakage.by_ear.matching import bit_error, near_duplicates
from affectra.splits.leakage.by_name.codes import SPEEDS, STRIDE
from affectra.splits.protocols import Fold

N_FILES = 60


@pytest.fixture(scope="module")
def emodb(data_dir: Path) -> dict[str, Path]:
    """Recordings of EMO-DB, many of them takes of one sentence by one speaker."""
    files = sorted((data_dir / "emodb" / "wav").glob("*.wav"))
    return {file.stem: file for file in files[:N_FILES]}


@pytest.fixture(scope="module")
def heard(emodb: dict[str, Path]) -> dict[str, Fingerprint]:
    return {name: fingerprint(file) for name, file in emodb.items()}


def at_speed(path: Path, factor: float, to: Path, begin_s: float = 0.0) -> Fingerprint:
    """The fingerprint of a copy as sox makes it: resampled, so that pitch and tempo change together."""
    samples, rate = soundfile.read(path, dtype="float32")
    soundfile.write(to, soxr.resample(samples, rate * factor, rate)[int(begin_s * rate) :], rate, format="WAV")
    return fingerprint(to)


def test_codes_of_a_recording_sped_up_are_those_of_its_copy_at_that_speed(
    emodb: dict[str, Path], tmp_path: Path
) -> None:
    for file in list(emodb.values())[::12]:
        for speed, faster in zip(SPEEDS, fingerprint(file).faster, strict=True):
            error, n_frames = bit_error(faster, at_speed(file, speed, tmp_path / "copy").codes, 0, STRIDE)
            assert error < 0.02 and STRIDE * n_frames > 50, (file, speed)


@pytest.mark.parametrize(
    ("present", "factor"), [(1.0, 0.9), (1.0, 1.1), (1.1, 0.9), (1.0, 0.95), (1.0, 1.05), (0.95, 1.05)]
)
def test_copies_at_another_speed_are_found_with_their_factor_and_nothing_else(
    present: float, factor: float, emodb: dict[str, Path], heard: dict[str, Fingerprint], tmp_path: Path
) -> None:
    chosen = list(emodb)[::4]
    there = heard | {name: at_speed(emodb[name], present, tmp_path / "copy") for name in chosen if present != 1}
    copies = {f"{name} copy": at_speed(emodb[name], factor, tmp_path / "copy", 0.1) for name in chosen}
    for everything in (there | copies, copies | there):
        found = near_duplicates(everything)
        assert sorted(tuple(sorted(pair[:2])) for pair in found) == sorted((name, f"{name} copy") for name in chosen)
        for pair in found:
            speed = pair.speed if pair.second.endswith("copy") else 1 / pair.speed
            offset_s = pair.offset_s if pair.second.endswith("copy") else -pair.offset_s * speed**-1
            assert speed == pytest.approx(factor / present, rel=0.006)
            assert offset_s == pytest.approx(-0.1, abs=0.06)


def test_bits_are_compared_at_the_places_that_belong_together() -> None:
    """The rule frame by frame: k of the first with k * stride + offset of the second."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        one, other = (rng.integers(0, 3, rng.integers(1, 30)).astype(np.uint32) for _ in range(2))
        stride, offset = int(rng.integers(1, 6)), int(rng.integers(-40, 40))
        pairs = [
            (int(one[k]), int(other[k * stride + offset]))
            for k in range(len(one))
            if 0 <= k * stride + offset < len(other) and one[k] and other[k * stride + offset]
        ]
        error = sum((a ^ b).bit_count() for a, b in pairs) / (32 * len(pairs)) if pairs else 1.0
        assert bit_error(one, other, offset, stride) == (error, len(pairs))


@pytest.mark.parametrize(("factor", "said"), [(0.9, "{test} 1.11"), (1.1, "{train} 1.10")])
def test_a_copy_at_another_speed_under_an_unrelated_name_is_caught_as_augmented_in_its_fold(
    factor: float, said: str, data_dir: Path, emodb: dict[str, Path], heard: dict[str, Fingerprint], tmp_path: Path
) -> None:
    manifest = read_corpus("emodb", data_dir / "emodb").manifest
    manifest = manifest[manifest["utterance"].isin(list(emodb))].reset_index(drop=True)
    first, second = (manifest["utterance"][manifest["speaker"] == s].tolist() for s in manifest["speaker"].unique()[:2])
    folds = [Fold(tuple(second[8:]), (), tuple(first)), Fold(tuple(second[:8]), (), tuple(first))]
    assert audit(folds, manifest, fingerprints=heard).ok
    planted = heard | {second[5]: at_speed(emodb[first[3]], factor, tmp_path / "copy")}
    found = audit(folds, manifest, fingerprints=planted)
    (leak,) = [finding for finding in found.findings if finding.severity == "leak"]
    assert (leak.kind, leak.fold, leak.count) == ("augmented", 1, 1)
    assert f"{first[3]} in test, {second[5]} in train" in leak.message and "at another speed" in leak.message
    assert f"{said.format(test=first[3], train=second[5])} times as fast" in leak.message
