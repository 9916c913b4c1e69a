"""Fingerprints: a copy is found whatever was done to it, and nothing else is."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from affectra.corpora import read_corpus
from affectra.corpora.manifest import Corpus, manifest_from_rows
from affectra.corpora.recordings import inspect
from affectra.corpora.synthetic import read as read_synthetic
from affectra.corpora.synthetic import render
from affectra.errors import AudioError
from affectra.splits.leakage.audit import audit
from affectra.splits.leakage.by_ear import fingerprint as module
from affectra.splits.leakage.by_ear.fingerprint import Fingerprint, fingerprint, fingerprint_corpora
from affectra.splits.leakage.by_ear.matching import SHORTEST, near_duplicates
from affectra.splits.leakage.by_name.codes import HOP_S, SPEEDS
from affectra.splits.protocols import Fold

Sound = tuple[np.ndarray, int]
N_FILES = 60


def mp3(rate_hz: int) -> Callable[[Path, Sound], None]:
    """A writer of mp3 with 64 kbit/s at 8 or 16 kHz."""
    level = {8000: 0.0, 16_000: 0.6}[rate_hz]

    def write(path: Path, sound: Sound) -> None:
        samples, rate = sound
        at_rate = samples if rate == rate_hz else soxr.resample(samples, rate, rate_hz)
        soundfile.write(path, at_rate, rate_hz, format="MP3", compression_level=level, bitrate_mode="CONSTANT")

    return write


def wav(path: Path, sound: Sound) -> None:
    soundfile.write(path, *sound, format="WAV")


def changed(change: Callable[[np.ndarray, int], np.ndarray], write: Callable[[Path, Sound], None] = wav) -> Callable:
    return lambda path, sound: write(path, (change(*sound), sound[1]))


COPIES: dict[str, Callable[[Path, Sound], None]] = {
    "mp3 64 kbit/s": mp3(16_000),
    "8 kHz": lambda path, sound: wav(path, (soxr.resample(*sound, 8000), 8000)),
    "44.1 kHz": lambda path, sound: wav(path, (soxr.resample(*sound, 44_100), 44_100)),
    "-20 dB": changed(lambda x, rate: 0.1 * x),
    "cut by 100 ms": changed(lambda x, rate: x[rate // 10 :]),
    "cut between two frames": changed(lambda x, rate: x[int(0.1037 * rate) :]),
    "cut, -20 dB, 8 kHz, mp3 64 kbit/s": changed(lambda x, rate: 0.1 * x[rate // 10 :], mp3(8000)),
    "silence around": changed(lambda x, rate: np.pad(x, (int(0.73 * rate), rate // 2))),
    "polarity": changed(lambda x, rate: -x),
    "stereo": changed(lambda x, rate: np.stack([x, x], axis=1)),
    "ogg": lambda path, sound: soundfile.write(path, *sound, format="OGG"),
}


@pytest.fixture(scope="module")
def emodb(data_dir: Path) -> dict[str, Path]:
    """Recordings of EMO-DB, many of them takes of one sentence by one speaker."""
    files = sorted((data_dir / "emodb" / "wav").glob("*.wav"))
    return {file.stem: file for file in files[:N_FILES]}


@pytest.fixture(scope="module")
def heard(emodb: dict[str, Path]) -> dict[str, Fingerprint]:
    return {name: fingerprint(file) for name, file in emodb.items()}


@pytest.fixture(scope="module", params=[None, 0.5])
def originals(
    request: pytest.FixtureRequest, emodb: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Sound, Fingerprint]]:
    """Whole recordings, or so many seconds of speech from every third; and how they are heard as files."""
    seconds, folder, found = request.param, tmp_path_factory.mktemp("originals"), {}
    for name, file in list(emodb.items())[:: 1 if seconds is None else 3]:
        samples, rate = soundfile.read(file, dtype="float32")
        if seconds is not None:
            middle = int(np.argmax(np.abs(samples)))  # speech, not the silence before it
            begin = max(0, min(middle - int(seconds * rate / 2), len(samples) - int(seconds * rate)))
            samples = samples[begin : begin + int(seconds * rate)]
        wav(folder / "original.wav", (samples, rate))
        found[name] = ((samples, rate), fingerprint(folder / "original.wav"))
    return found


@pytest.mark.parametrize("kind", COPIES)
def test_every_copy_is_found_and_nothing_else(
    kind: str, originals: dict[str, tuple[Sound, Fingerprint]], tmp_path: Path
) -> None:
    copies = {}
    for name, (sound, _) in originals.items():
        COPIES[kind](tmp_path / "copy", sound)
        copies[f"{name} copy"] = fingerprint(tmp_path / "copy")
    heard = {name: codes for name, (_, codes) in originals.items()}
    found = {(pair.first, pair.second) for pair in near_duplicates(heard | copies)}
    assert found == {(name, f"{name} copy") for name in originals}


def test_takes_of_one_sentence_by_one_speaker_are_not_copies(heard: dict[str, Fingerprint]) -> None:
    assert near_duplicates(heard) == []


def test_the_pair_of_ravdess_is_found_and_no_other(data_dir: Path) -> None:
    files = [file for actor in ("02", "07") for file in sorted((data_dir / "ravdess" / f"Actor_{actor}").iterdir())]
    (pair,) = near_duplicates({file.stem: fingerprint(file) for file in files})
    assert pair == ("03-01-03-01-02-01-07", "03-01-03-01-02-02-07", 1.0, 0.0, 1.0)


@pytest.fixture(scope="module")
def embedded() -> Corpus:
    return read_synthetic(render())


def test_one_synthetic_voice_in_240_turns_is_not_taken_for_copies(embedded: Corpus) -> None:
    assert (
        near_duplicates({row.utterance: fingerprint(embedded.path(row)) for row in embedded.manifest.itertuples()})
        == []
    )


def test_a_part_is_found_in_the_whole_at_its_place(embedded: Corpus, tmp_path: Path) -> None:
    path = embedded.path(next(embedded.manifest.itertuples()))
    samples, rate = soundfile.read(path)
    wav(tmp_path / "first.wav", (samples[: int(1.3 * rate)], rate))
    wav(tmp_path / "later.wav", (samples[int(0.6 * rate) :], rate))
    parts = {name: fingerprint(tmp_path / f"{name}.wav") for name in ("first", "later")}
    pairs = {(p.first, p.second): p.offset_s for p in near_duplicates({"whole": fingerprint(path), **parts})}
    assert pairs.keys() == {("whole", "first"), ("whole", "later"), ("first", "later")}
    for pair, offset_s in zip(pairs, (0.0, -0.6, -0.6), strict=True):
        assert pairs[pair] == pytest.approx(offset_s, abs=0.01)


def test_a_stretch_sounds_like_the_file_that_is_cut_out(embedded: Corpus, tmp_path: Path) -> None:
    path = embedded.path(next(embedded.manifest.itertuples()))
    samples, rate = soundfile.read(path, dtype="float32")
    wav(tmp_path / "cut.wav", (samples[rate // 2 : rate], rate))
    stretch, cut = fingerprint(path, 0.5, 1.0), fingerprint(tmp_path / "cut.wav")
    assert stretch.samples_hash == cut.samples_hash and np.array_equal(stretch.codes, cut.codes)


def test_the_hash_is_the_doctors_and_the_same_in_another_container(embedded: Corpus, tmp_path: Path) -> None:
    path = embedded.path(next(embedded.manifest.itertuples()))
    soundfile.write(tmp_path / "copy.flac", *soundfile.read(path, dtype="int16"))
    heard, copy = fingerprint(path), fingerprint(tmp_path / "copy.flac")
    assert heard.samples_hash == inspect(path).samples_hash == copy.samples_hash
    assert np.array_equal(heard.codes, copy.codes)


def test_a_recording_has_the_same_codes_in_whatever_blocks_it_is_read(
    embedded: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [embedded.path(row) for row in embedded.manifest.itertuples()]
    long = np.concatenate([soundfile.read(file)[0] for file in files[:10]])
    assert len(long) > 15 * 16_000, "longer than a block"
    wav(tmp_path / "long.wav", (long, 16_000))
    whole = fingerprint(tmp_path / "long.wav")
    assert len(whole.codes) == pytest.approx(len(long) / 16_000 / HOP_S, abs=10)
    for block_s in (0.05, 3.0, 60.0):
        monkeypatch.setattr(module, "_BLOCK_S", block_s)
        again = fingerprint(tmp_path / "long.wav")
        for one, other in zip((whole.codes, *whole.faster), (again.codes, *again.faster), strict=True):
            assert (one == other).mean() > 0.999, "all but rounding"


def tone(*pitches_hz: float, seconds: float = 2.0, fade: bool = False) -> np.ndarray:
    time_s = np.arange(int(seconds * 16_000)) / 16_000
    envelope = np.sin(np.pi * time_s / seconds) if fade else 1
    return envelope * sum(0.2 * np.sin(2 * np.pi * pitch * time_s + pitch) for pitch in pitches_hz)


def test_silence_tones_and_clips_of_a_moment_are_copies_of_nothing(embedded: Corpus, tmp_path: Path) -> None:
    speech, rate = soundfile.read(embedded.path(next(embedded.manifest.itertuples())))
    hiss = 1e-5 * np.random.default_rng(0).standard_normal(32_000)
    sounds = {
        "zeros": np.zeros(32_000),
        "more zeros": np.zeros(40_000),
        "hiss": hiss,
        "same hiss": hiss[8000:],
        "tone": tone(440),
        "quiet tone": 0.1 * tone(440),
        "other tone": tone(523),
        "fading": tone(440, fade=True),
        "fading higher": tone(523, fade=True),
        "fading, 1.1 times as high": tone(484, fade=True),
        "chord": tone(330, 440, 523),
        "chord again": 0.5 * tone(330, 440, 523, seconds=3),
        "clip": speech[rate : rate + rate // 8],
        "same clip": 0.5 * speech[rate : rate + rate // 8],
    }
    heard = {}
    for name, samples in sounds.items():
        wav(tmp_path / "x.wav", (samples, 16_000))
        heard[name] = fingerprint(tmp_path / "x.wav")
    assert near_duplicates(heard) == []
    assert not any(heard[name].samples_hash for name in ("zeros", "more zeros", "hiss", "same hiss"))
    rows = [{"utterance": name, "file": f"{name}.wav", "speaker": name, "emotion": "anger"} for name in sounds]
    found = audit(
        [Fold(tuple(list(sounds)[:-1:2]), (), tuple(list(sounds)[1::2]))],
        manifest_from_rows(rows, "c"),
        fingerprints=heard,
    )
    assert found.ok


def test_noise_of_two_recordings_is_not_alike_but_its_copy_is(tmp_path: Path) -> None:
    heard = {}
    for seed in range(20):
        noise = 0.1 * np.random.default_rng(seed).standard_normal(24_000)
        for name, samples in ((str(seed), noise), (f"{seed} copy", 0.3 * noise[800:])):
            wav(tmp_path / "x.wav", (samples, 16_000))
            heard[name] = fingerprint(tmp_path / "x.wav")
    assert [(p.first, p.second) for p in near_duplicates(heard)] == [(str(k), f"{k} copy") for k in range(20)]


def test_a_sound_that_hundreds_share_is_found_and_quickly() -> None:
    codes = np.random.default_rng(0).integers(1, 2**32, 300).astype(np.uint32)
    same = {f"same {k}": Fingerprint(codes) for k in range(40)}
    shifted = {f"cut {k}": Fingerprint(codes[k:]) for k in range(1, 150)}
    assert len(near_duplicates(same)) == 40 * 39 / 2
    found = near_duplicates(shifted)
    assert {name for pair in found for name in pair[:2]} == set(shifted)


def test_pairs_stand_in_the_order_of_the_keys_and_say_where() -> None:
    codes = np.random.default_rng(0).integers(1, 2**32, 200).astype(np.uint32)
    early, late = Fingerprint(codes), Fingerprint(np.concatenate([np.zeros(25, np.uint32), codes]))
    assert near_duplicates({"a": early, "b": late}) == [("a", "b", 1.0, 0.2, 1.0)]
    assert near_duplicates({"b": late, "a": early}) == [("b", "a", 1.0, -0.2, 1.0)]
    assert near_duplicates({"a": early, "b": Fingerprint(codes[: SHORTEST - 1])}) == [], "too little evidence"
    assert near_duplicates({}) == []


def write_corpus(root: Path, embedded: Corpus, n: int = 4) -> Corpus:
    rows = []
    for row in list(embedded.manifest.itertuples())[:n]:
        (root / f"{row.utterance}.wav").write_bytes(embedded.path(row).read_bytes())
        rows.append({"utterance": row.utterance, "file": f"{row.utterance}.wav", "speaker": row.speaker})
    return Corpus("c", root, manifest_from_rows(rows, "c"))


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AFFECTRA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_what_was_heard_once_is_not_heard_again(
    embedded: Corpus, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = write_corpus(tmp_path, embedded)
    corpus.manifest.loc[1, ["start", "end"]] = 0.5, 1.0
    before = fingerprint_corpora([corpus], corpus.manifest)
    stored = sorted(own_cache.rglob("*.npy"))
    assert len(stored) == 4 and all(file.stat().st_size < 10_000 for file in stored)

    def refuse(*_: object) -> Fingerprint:
        raise AssertionError("heard again")

    monkeypatch.setattr(module, "fingerprint", refuse)
    (tmp_path / f"{corpus.manifest['utterance'][0]}.wav").rename(tmp_path / "moved.wav")
    corpus.manifest.loc[0, "file"] = "moved.wav"  # the content counts, not the name
    calls: list[tuple[int, int]] = []
    again = fingerprint_corpora([corpus], corpus.manifest, lambda done, total: calls.append((done, total)))
    assert calls == [(k, 4) for k in range(1, 5)]
    for key, sound in before.items():
        assert np.array_equal(sound.codes, again[key].codes) and sound.samples_hash == again[key].samples_hash
        assert len(sound.faster) == len(SPEEDS) and all(map(np.array_equal, sound.faster, again[key].faster))
    stored[0].write_bytes(stored[0].read_bytes()[:50])
    with pytest.raises(AssertionError, match="heard again"):
        fingerprint_corpora([corpus], corpus.manifest)


def test_a_recording_that_cannot_be_heard_is_told_and_the_rest_is_heard(
    embedded: Corpus, tmp_path: Path, own_cache: Path
) -> None:
    corpus = write_corpus(tmp_path, embedded)
    names = list(corpus.manifest["utterance"])
    (tmp_path / f"{names[0]}.wav").write_bytes(b"")
    (tmp_path / f"{names[1]}.wav").unlink()
    corpus.manifest.loc[2, ["file", "text"]] = "", "words alone"
    with pytest.raises(AudioError, match="is empty"):
        fingerprint(tmp_path / f"{names[0]}.wav")
    heard = fingerprint_corpora([corpus], corpus.manifest)
    assert list(heard) == [names[0], names[1], names[3]]
    assert "is empty" in heard[names[0]].fault and "no such file" in heard[names[1]].fault and not heard[names[3]].fault
    found = audit([Fold((names[0], names[2]), (), (names[1], names[3]))], corpus.manifest, fingerprints=heard)
    (unheard,) = [finding for finding in found.findings if finding.kind == "unheard"]
    assert unheard.count == 2 and "is empty" in unheard.examples[0]


def test_real_copies_are_caught_by_the_auditor(data_dir: Path, emodb: dict[str, Path], tmp_path: Path) -> None:
    """EMO-DB left out by speaker, and one file of the test speaker put under a training speaker's name as an mp3."""
    chosen = read_corpus("emodb", data_dir / "emodb").manifest
    chosen = chosen[chosen["utterance"].isin(list(emodb))].reset_index(drop=True)
    speakers = sorted(chosen["speaker"].unique())
    tested = [name for name in emodb if name.startswith(speakers[0])]
    trained = [name for name in emodb if name.startswith(speakers[1])]
    sound = soundfile.read(emodb[tested[3]], dtype="float32")
    COPIES["cut, -20 dB, 8 kHz, mp3 64 kbit/s"](tmp_path / "copy.mp3", sound)
    heard = {name: fingerprint(emodb[name]) for name in tested + trained}
    folds = [Fold(tuple(trained), (), tuple(tested))]
    assert audit(folds, chosen, fingerprints=heard).ok
    heard[trained[5]] = fingerprint(tmp_path / "copy.mp3")
    found = audit(folds, chosen, fingerprints=heard)
    assert found.leaks == ("near-duplicate",) and f"{tested[3]} in test, {trained[5]} in train" in found.lines()[0]
