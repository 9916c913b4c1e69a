"""The doctor finds every fault that is planted, names its file, and finds nothing in a healthy corpus."""

import json
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from affectra.corpora import CORPORA, find_corpus, read_corpus
from affectra.corpora.doctor import Diagnosis, Finding, examine
from affectra.corpora.manifest import Corpus, CorpusInfo, manifest_from_rows
from affectra.corpora.recordings import check_audio
from affectra.errors import AudioError
from affectra.tasks.labels import count_classes

RATE = 16000
N_FILES = 8


def speech(seed: int, seconds: float = 1.0) -> np.ndarray:
    """Noise at a speaking level, different for each seed."""
    samples = np.random.default_rng(seed).normal(0.0, 0.05, int(seconds * RATE))
    return (np.clip(samples, -0.9, 0.9) * 32768).astype("int16")


def write(path: Path, samples: np.ndarray, rate: int = RATE, subtype: str = "PCM_16") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype=subtype)


@pytest.fixture
def healthy(tmp_path: Path) -> Corpus:
    rows = []
    for k in range(N_FILES):
        write(tmp_path / f"wav/{k}.wav", speech(k))
        speaker, emotion = f"S{k % 4}", ("anger", "sadness")[k % 2]
        rows.append({"utterance": f"u{k}", "file": f"wav/{k}.wav", "speaker": speaker, "emotion": emotion})
    return Corpus("mine", tmp_path, manifest_from_rows(rows, "mine"))


def change(corpus: Corpus, utterance: str, **values: object) -> Corpus:
    manifest = corpus.manifest.copy()
    for column, value in values.items():
        manifest.loc[manifest["utterance"] == utterance, column] = value
    return replace(corpus, manifest=manifest)


def found(diagnosis: Diagnosis, severity: str, file: str, text: str) -> list[Finding]:
    return [
        finding
        for finding in diagnosis.faults
        if (finding.severity, finding.file) == (severity, file) and text in finding.message
    ]


def published(**expected: object) -> CorpusInfo:
    return CorpusInfo(
        "mine", "Mine", ("en",), "CC0", "here", read=lambda root: Corpus("mine", root, None), expected=expected
    )  # type: ignore[arg-type]


def test_a_healthy_corpus_has_no_findings(healthy: Corpus) -> None:
    info = published(utterances=N_FILES, speakers=4, emotion={"anger": 4, "sadness": 4})
    diagnosis = examine(healthy, info)
    assert (diagnosis.faults, diagnosis.ok) == ((), True)
    assert diagnosis.counts["emotion"] == {"anger": 4, "sadness": 4}
    assert diagnosis.counts["speaker"] == {f"S{k}": 2 for k in range(4)}
    assert diagnosis.counts["seconds"] == pytest.approx(N_FILES)
    check_audio(healthy)


def test_published_counts_of_groups_words_and_tasks_stand_beside_those_found(healthy: Corpus) -> None:
    manifest = healthy.manifest.assign(session="1", style="acted", emotion=["anger", "excitement"] * (N_FILES // 2))
    tasks = {"emotion4": {"anger": 4, "happiness": 5}, "emotion4-strict": {"anger": 4}}
    info = published(utterances=N_FILES, sessions=2, style={"acted": 7, "scripted": 1}, tasks=tasks)
    diagnosis = examine(replace(healthy, manifest=manifest), info, count_classes=count_classes)
    assert found(diagnosis, "warning", "", "1 sessions, published 2")
    assert found(diagnosis, "error", "", "8 utterances of acted, published 7; it cannot be this corpus")
    assert found(diagnosis, "warning", "", "0 utterances of scripted, published 1")
    assert found(diagnosis, "warning", "", "4 utterances of task emotion4, happiness, published 5")
    assert found(diagnosis, "warning", "", "0 utterances of task emotion4-strict, anger")  # one class is no task
    text = "\n".join(diagnosis.lines())
    assert "1 (published 2) sessions" in text and "task emotion4: anger 4, happiness 4 (published 5)" in text
    assert json.loads(json.dumps(diagnosis.to_json()))["counts"]["tasks"]["emotion4"] == {"anger": 4, "happiness": 4}


def test_ratings_off_the_scale_and_labels_over_time_are_told_apart_from_faults(healthy: Corpus) -> None:
    rated = change(change(healthy, "u1", arousal=33.4), "u2", arousal=5.0)
    (finding,) = found(examine(rated, published(scale=(1.0, 5.0))), "warning", "wav/1.wav", "arousal of u1 is 33.4")
    assert "from 1 to 5" in finding.message
    assert not examine(rated).faults, "a corpus of unknown scale"
    wordless = replace(healthy, manifest=healthy.manifest.assign(emotion=""))
    assert found(examine(wordless), "warning", "", "8 of 8 utterances have no emotion")
    traced = replace(wordless, tables={"continuous": pd.DataFrame()})
    assert found(examine(traced), "note", "", "8 of 8 utterances are labelled over time")


def test_text_without_audio_is_said_and_only_a_run_on_audio_refuses_it(healthy: Corpus) -> None:
    part = change(change(healthy, "u1", text="Yes.", file=""), "u2", text="No.", file="")
    diagnosis = examine(part)
    assert found(diagnosis, "warning", "", "2 of 8 utterances have text and no audio") and diagnosis.ok
    assert not any("same stretch" in finding.message for finding in diagnosis.faults)
    assert diagnosis.counts["files"] == N_FILES - 2
    with pytest.raises(AudioError, match=r"mine: 2 of 8 utterances have text and no audio, the first is u1"):
        check_audio(part)
    text_alone = replace(healthy, manifest=healthy.manifest.assign(file="", text="Yes."))
    assert found(examine(text_alone), "note", "", "8 of 8 utterances have text and no audio")


def test_memory_does_not_grow_with_the_corpus_and_progress_is_told_file_by_file(tmp_path: Path) -> None:
    write(tmp_path / "0.wav", speech(0, 20.0))
    for k in range(1, 120):
        (tmp_path / f"{k}.wav").hardlink_to(tmp_path / "0.wav")

    def peak(n_files: int) -> int:
        rows = [{"utterance": f"u{k}", "file": f"{k}.wav", "speaker": "S", "emotion": "anger"} for k in range(n_files)]
        calls: list[tuple[int, int]] = []
        tracemalloc.start()
        examine(Corpus("m", tmp_path, manifest_from_rows(rows, "m")), progress=lambda *done: calls.append(done))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert calls == [(k, n_files) for k in range(1, n_files + 1)]
        return peak

    few, many = peak(10), peak(120)
    assert (many - few) / 110 < 10_000, "a file more keeps its facts, not its 1.28 MB of samples"


# ---- broken files: a run refuses them


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-8000])


def keep_header_only(path: Path) -> None:
    write(path, np.zeros(0, "int16"))


def spoil(value: float) -> Callable[[Path], None]:
    def plant(path: Path) -> None:
        samples = speech(99).astype("float32") / 32768
        samples[8000] = value
        write(path, samples, subtype="FLOAT")

    return plant


def replace_by(content: bytes) -> Callable[[Path], None]:
    def plant(path: Path) -> None:
        path.write_bytes(content)

    return plant


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 32044\n".encode()

BROKEN: dict[str, Callable[[Path], None]] = {
    "missing": Path.unlink,
    "folder": make_folder,
    "empty": replace_by(b""),
    "text": replace_by(b"no audio at all\n" * 50),
    "html": replace_by(b"<!DOCTYPE html><html>404</html>"),
    "git-lfs pointer": replace_by(POINTER),
    "header cut off": replace_by(b"RIFF\x24\x7d\x00\x00WAVEfmt \x10\x00"),
    "no samples": keep_header_only,
    "cut off": cut,
    "NaN": spoil(float("nan")),
    "infinite": spoil(float("inf")),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_an_error_that_names_it_and_the_rest_is_examined(kind: str, healthy: Corpus) -> None:
    BROKEN[kind](healthy.root / "wav/3.wav")
    diagnosis = examine(healthy)
    (error,) = diagnosis.faults
    assert (error.severity, error.file, diagnosis.ok) == ("error", "wav/3.wav", False)
    assert error.message and "\n" not in error.message and str(healthy.root) not in error.message
    assert diagnosis.counts["seconds"] == pytest.approx(N_FILES - 1)


@pytest.mark.parametrize("kind", sorted(set(BROKEN) - {"NaN", "infinite"}))  # those show in the samples only
def test_a_run_refuses_a_broken_file_by_its_header(kind: str, healthy: Corpus) -> None:
    BROKEN[kind](healthy.root / "wav/3.wav")
    with pytest.raises(AudioError, match=r"^mine: .*wav/3\.wav") as refused:
        check_audio(healthy)
    assert "\n" not in str(refused.value)


def test_a_run_is_told_of_the_first_broken_file_and_the_number_of_others(healthy: Corpus) -> None:
    for k in (2, 5, 6):
        (healthy.root / f"wav/{k}.wav").write_bytes(b"")
    with pytest.raises(AudioError, match=r"wav/2\.wav.*2 other files"):
        check_audio(healthy)


@pytest.mark.parametrize("damage", ["cut off", "zeros"])
def test_a_flac_file_without_its_second_half_is_flagged(damage: str, healthy: Corpus) -> None:
    path = healthy.root / "wav/3.flac"
    write(path, speech(3))
    content = path.read_bytes()
    half = len(content) // 2
    path.write_bytes(content[:half] + (bytes(half) if damage == "zeros" else b""))
    diagnosis = examine(change(healthy, "u3", file="wav/3.flac"))
    assert found(diagnosis, "warning", "wav/3.flac", "cut off or damaged")


# ---- sound files that are read, with a flag


def silence(corpus: Corpus) -> None:
    write(corpus.root / "wav/3.wav", np.zeros(RATE, "int16"))


def whisper(corpus: Corpus) -> None:
    write(corpus.root / "wav/3.wav", speech(3) // 100)


def clip(corpus: Corpus) -> None:
    write(corpus.root / "wav/3.wav", np.clip(speech(3).astype(int) * 60, -32768, 32767).astype("int16"))


def shorten(corpus: Corpus) -> None:
    write(corpus.root / "wav/3.wav", speech(3, 0.1))


def lengthen(corpus: Corpus) -> None:
    write(corpus.root / "wav/3.wav", speech(3, 25.0))


def resample(corpus: Corpus) -> None:
    write(corpus.root / "wav/3.wav", speech(3), rate=22050)


def widen(corpus: Corpus) -> None:
    write(corpus.root / "wav/3.wav", np.stack([speech(3), speech(13)], axis=1))


def copy_bytes(corpus: Corpus) -> None:
    (corpus.root / "wav/3.wav").write_bytes((corpus.root / "wav/1.wav").read_bytes())


def copy_samples(corpus: Corpus) -> None:
    soundfile.write(corpus.root / "wav/3.wav", speech(1), RATE, subtype="PCM_24")


ODD: dict[str, tuple[Callable[[Corpus], None], str, str]] = {
    "silent": (silence, "warning", "silent"),
    "nearly silent": (whisper, "warning", "nearly silent: below -60 dB"),
    "clipped": (clip, "warning", "clipped"),
    "short": (shorten, "warning", "very short: 0.100 s"),
    "long": (lengthen, "warning", "very long: 25.0 s, the median is 1.0 s"),
    "rate": (resample, "note", "22050 Hz, most are 16000 Hz"),
    "stereo": (widen, "note", "2 channels, most have 1"),
    "copied bytes": (copy_bytes, "warning", "the same bytes as wav/1.wav"),
    "copied samples": (copy_samples, "warning", "the same samples as wav/1.wav"),
}


@pytest.mark.parametrize("kind", ODD)
def test_an_odd_file_is_flagged_and_not_refused(kind: str, healthy: Corpus) -> None:
    plant, severity, text = ODD[kind]
    plant(healthy)
    diagnosis = examine(healthy)
    assert len([finding for finding in diagnosis.faults if finding.file]) == 1
    assert found(diagnosis, severity, "wav/3.wav", text)
    assert diagnosis.ok
    check_audio(healthy)


def test_copies_with_contradicting_labels_say_so(healthy: Corpus) -> None:
    (healthy.root / "wav/6.wav").write_bytes((healthy.root / "wav/1.wav").read_bytes())
    assert found(examine(healthy), "warning", "wav/6.wav", "but emotion anger here, sadness there; speaker S2 here, S1")


def test_one_end_of_a_long_silence_is_enough_to_be_no_silence(healthy: Corpus) -> None:
    write(healthy.root / "wav/3.wav", np.concatenate([np.zeros(15 * RATE, "int16"), speech(3)]))
    assert not found(examine(healthy), "warning", "wav/3.wav", "silent")


# ---- rows and counts


def test_rows_that_protocols_or_tasks_cannot_use_are_counted(healthy: Corpus) -> None:
    diagnosis = examine(change(healthy, "u2", speaker="", emotion=""))
    assert found(diagnosis, "warning", "", "1 of 8 utterances have no speaker")
    assert found(diagnosis, "warning", "", "1 of 8 utterances have no emotion")


def test_spellings_that_may_be_one_speaker_are_found(healthy: Corpus) -> None:
    diagnosis = examine(change(healthy, "u2", speaker="s 1"))
    assert found(diagnosis, "warning", "", "may be the same speaker: 'S1', 's 1' (corpus mine)") and diagnosis.ok
    assert "may be the same speaker" in json.dumps(diagnosis.to_json())


def test_two_utterances_of_one_stretch_are_found(healthy: Corpus) -> None:
    assert found(examine(change(healthy, "u2", file="wav/1.wav")), "warning", "wav/1.wav", "u2 is the same segment")


def test_an_utterance_that_starts_after_its_file_is_an_error(healthy: Corpus) -> None:
    late = change(healthy, "u2", start=1.5, end=2.0)
    diagnosis = examine(late)
    assert found(diagnosis, "error", "wav/2.wav", "u2 starts at 1.5 s, the file ends at 1 s")
    assert not diagnosis.ok
    with pytest.raises(AudioError, match=r"wav/2\.wav: an utterance starts at 1\.5 s"):
        check_audio(late)


def test_an_utterance_that_ends_after_its_file_is_a_warning_unless_rounded(healthy: Corpus) -> None:
    assert found(examine(change(healthy, "u2", end=1.2)), "warning", "wav/2.wav", "u2 ends at 1.2 s, the file at 1 s")
    assert examine(change(healthy, "u2", end=1.01)).faults == ()


def test_fewer_than_published_is_a_warning_and_more_an_error(healthy: Corpus) -> None:
    fewer = examine(healthy, published(utterances=10, speakers=5, emotion={"anger": 4, "sadness": 4, "fear": 2}))
    assert [finding.severity for finding in fewer.faults] == ["warning"] * 3
    assert found(fewer, "warning", "", "0 utterances of fear, published 2; a part is missing")
    more = examine(healthy, published(utterances=7, emotion={"anger": 3, "sadness": 4}))
    assert [finding.severity for finding in more.faults] == ["error"] * 2
    assert found(more, "error", "", "4 utterances of anger, published 3; it cannot be this corpus alone")


def test_what_the_reader_did_not_understand_is_passed_on(healthy: Corpus) -> None:
    diagnosis = examine(replace(healthy, faults=("wav/x.wav: not a name of mine; left out",)))
    assert found(diagnosis, "warning", "", "wav/x.wav: not a name of mine")


def test_sentences_that_speakers_share_are_noted(healthy: Corpus) -> None:
    shared = change(change(healthy, "u1", sentence="s1"), "u2", sentence="s1")
    assert found(examine(shared), "note", "", "1 of 1 sentences are spoken by several speakers")


def test_a_speaker_recorded_20_db_quieter_is_noted(healthy: Corpus) -> None:
    for k in (3, 7):
        write(healthy.root / f"wav/{k}.wav", (speech(k) / 10).astype("int16"))
    (note,) = examine(healthy).faults
    assert (note.severity, note.message) == ("note", "speaker S3 is 20 dB quieter than the others")


# ---- the diagnosis


def test_errors_come_first_and_text_and_json_say_the_same(healthy: Corpus) -> None:
    silence(healthy)
    (healthy.root / "wav/4.wav").unlink()
    diagnosis = examine(healthy, published(utterances=9))
    assert [finding.severity for finding in diagnosis.faults] == ["error", "warning", "warning"]
    lines = diagnosis.lines()
    assert lines[0].startswith("mine: 8 (published 9) utterances, 4 speakers, 8 files")
    assert "error: wav/4.wav: no such file" in lines
    assert lines[-1] == "NOT ok: 1 error, 2 warnings, 0 notes"
    record = json.loads(json.dumps(diagnosis.to_json(), allow_nan=False))
    assert (record["ok"], record["counts"]["utterances"], len(record["faults"])) == (False, 8, 3)


def test_many_equal_findings_are_one_line(healthy: Corpus) -> None:
    for k in range(6):
        write(healthy.root / f"wav/{k}.wav", np.stack([speech(k), speech(k + 20)], axis=1))
    lines = examine(healthy).lines()
    assert [line for line in lines if "most have" in line] == [
        f"note: wav/{k}.wav: 1 channels, most have 2" for k in (6, 7)
    ]
    for k in range(8):
        write(healthy.root / f"wav/{k}.wav", np.zeros(RATE + k, "int16"))
    assert "warning: wav/0.wav and 7 other files: silent" in examine(healthy).lines()


def test_progress_counts_every_file(healthy: Corpus) -> None:
    seen: list[tuple[int, int]] = []
    examine(healthy, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(k, N_FILES) for k in range(1, N_FILES + 1)]


def test_the_fingerprint_goes_by_samples_and_not_by_container_or_place(healthy: Corpus) -> None:
    before = examine(healthy).fingerprint
    flac = healthy
    for k in range(N_FILES):
        write(healthy.root / f"flac/{k}.flac", speech(k))
        flac = change(flac, f"u{k}", file=f"flac/{k}.flac")
    assert examine(flac).fingerprint == before
    shuffled = replace(healthy, manifest=healthy.manifest.sample(frac=1.0, random_state=0).reset_index(drop=True))
    assert examine(shuffled).fingerprint == before
    samples = speech(3)
    samples[5] += 1
    write(healthy.root / "wav/3.wav", samples)
    assert examine(healthy).fingerprint != before


# ---- the real corpora


@pytest.fixture(scope="module")
def diagnoses(data_dir: Path) -> dict[str, Diagnosis]:
    return {
        name: examine(read_corpus(name, data_dir / name), find_corpus(name)) for name in ("emodb", "ravdess", "nemo")
    }


def test_the_real_corpora_are_fit_for_a_run(diagnoses: dict[str, Diagnosis], data_dir: Path) -> None:
    for name, diagnosis in diagnoses.items():
        assert diagnosis.ok, diagnosis.lines()
        check_audio(read_corpus(name, data_dir / name))


def test_emodb_has_the_published_counts_and_shares_its_sentences(diagnoses: dict[str, Diagnosis]) -> None:
    diagnosis = diagnoses["emodb"]
    assert not any("published" in finding.message for finding in diagnosis.faults)
    assert diagnosis.counts["emotion"] == CORPORA["emodb"].expected["emotion"]
    assert found(diagnosis, "note", "", "10 of 10 sentences are spoken by several speakers")


def test_ravdess_has_one_copy_two_stereo_files_and_near_silence(diagnoses: dict[str, Diagnosis]) -> None:
    faults = diagnoses["ravdess"].faults
    copies = [finding for finding in faults if "a copy" in finding.message]
    assert [finding.file for finding in copies] == ["Actor_07/03-01-03-01-02-02-07.flac"]
    assert "03-01-03-01-02-01-07.flac" in copies[0].message
    stereo = {finding.file for finding in faults if "2 channels" in finding.message}
    assert stereo == {f"Actor_01/{name}.wav" for name in ("03-01-02-01-01-02-01", "03-01-08-01-02-02-01")}
    quiet = {finding.file for finding in faults if "nearly silent" in finding.message}
    assert len(quiet) == 5 and all(file.startswith("Actor_09/") for file in quiet)
    assert sum("48000 Hz" in finding.message for finding in faults) == 60
    assert found(diagnoses["ravdess"], "warning", "", "1080 utterances, published 1440; a part is missing")


def test_nemo_has_no_copies(diagnoses: dict[str, Diagnosis]) -> None:
    assert not any("a copy" in finding.message for finding in diagnoses["nemo"].faults)
    assert found(diagnoses["nemo"], "note", "", "90 of 90 sentences are spoken by several speakers")
