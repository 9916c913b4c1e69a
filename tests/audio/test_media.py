"""Phone and browser files through PyAV: the signal survives, bounds hold, and nothing hostile is obeyed."""

import http.server
import io
import re
import struct
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from affectra.audio import blocks, probe, read
from affectra.errors import AudioError

av = pytest.importorskip("av", reason="the extra media is not installed")

RATE = 16000

# Suffix -> FFmpeg's writer, encoder, rate, and the least correlation with the original that its coding leaves.
FORMATS: dict[str, tuple[str, str, int, float]] = {
    "m4a": ("ipod", "aac", 16000, 0.98),
    "mp4": ("mp4", "aac", 44100, 0.98),
    "mov": ("mov", "pcm_s16le", 22050, 0.999),
    "aac": ("adts", "aac", 48000, 0.95),
    "webm": ("webm", "libopus", 48000, 0.98),
    "mkv": ("matroska", "flac", 16000, 0.9999),
    "alac": ("ipod", "alac", 44100, 0.999),
    "3gp": ("3gp", "libopencore_amrnb", 8000, 0.8),
    "amr": ("amr", "libopencore_amrnb", 8000, 0.8),
}
BLIND = ("aac", "amr")  # formats without any word on their length
KINDS = {"m4a": "mp4", "mov": "mp4", "3gp": "mp4", "alac": "mp4", "mkv": "webm"}


def encode(samples: np.ndarray, sample_rate: int, container: str, codec: str, **options: str) -> bytes:
    """Samples (sample,) or (sample, channel) as PyAV writes them."""
    buffer = io.BytesIO()
    framed = samples.reshape(len(samples), -1).astype(np.float32)
    layout = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}[framed.shape[1]]
    with av.open(buffer, "w", format=container, container_options=options) as file:
        stream = file.add_stream(codec, rate=sample_rate, layout=layout)
        stream.bit_rate = 12200 if "amr" in codec else 96000
        converter = av.AudioResampler(format=stream.format, layout=layout, rate=sample_rate)
        for start in range(0, len(framed), 1000):
            part = np.ascontiguousarray(framed[start : start + 1000]).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(part, format="flt", layout=layout)
            frame.sample_rate, frame.pts = sample_rate, start
            for converted in converter.resample(frame):
                file.mux(stream.encode(converted))
        for converted in converter.resample(None):
            file.mux(stream.encode(converted))
        file.mux(stream.encode(None))
    return buffer.getvalue()


def speechlike(n_samples: int) -> np.ndarray:
    noise = scipy.signal.lfilter([1.0], [1.0, -0.97], np.random.default_rng(1).standard_normal(n_samples))
    return (0.05 * noise * (0.5 + 0.5 * np.sin(np.arange(n_samples) / 3000))).astype(np.float32)


def video(with_sound: bool) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as file:
        picture = file.add_stream("mpeg4", rate=10)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        sound = file.add_stream("aac", rate=RATE, layout="mono") if with_sound else None
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 25 * number, np.uint8), format="rgb24")
            file.mux(picture.encode(frame))
        file.mux(picture.encode(None))
        if sound is not None:
            for start in range(0, RATE, 1000):
                tone = 0.3 * np.sin(2 * np.pi * 200 * np.arange(start, start + 1000) / RATE)
                frame = av.AudioFrame.from_ndarray(tone[np.newaxis].astype(np.float32), format="fltp", layout="mono")
                frame.sample_rate, frame.pts = RATE, start
                file.mux(sound.encode(frame))
            file.mux(sound.encode(None))
    return buffer.getvalue()


def written(folder: Path, content: bytes, name: str = "odd file.mp4") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def refusal(path: Path, **options: float) -> str:
    with pytest.raises(AudioError) as error:
        read(path, RATE, **options)  # type: ignore[arg-type]
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert message.isprintable()
    return message


ENCODED = {
    name: encode(speechlike(3 * rate), rate, container, codec) for name, (container, codec, rate, _) in FORMATS.items()
}
M4A = ENCODED["m4a"]
FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "500000"}
FRAGMENTS = encode(speechlike(3 * RATE), RATE, "mp4", "aac", **FRAGMENTED)
LIVE_WEBM = encode(speechlike(3 * 48000), 48000, "webm", "libopus", live="1")  # as browsers record: no length, no index


# What was recorded comes out


def aligned(decoded: np.ndarray, original: np.ndarray) -> tuple[int, float]:
    """Delay of the decoded signal (raw aac and amr keep their encoder's), and the correlation there."""
    found = scipy.signal.correlate(decoded, original, "full")
    delay = int(found.argmax()) - len(original) + 1
    decoded, original = decoded[max(0, delay) :], original[max(0, -delay) :]
    n_both = min(len(decoded), len(original))
    return delay, float(np.corrcoef(decoded[:n_both], original[:n_both])[0, 1])


@pytest.mark.parametrize("name", FORMATS)
def test_real_speech_keeps_its_signal_level_and_duration(name: str, data_dir: Path, tmp_path: Path) -> None:
    container, codec, rate, least = FORMATS[name]
    original, _ = soundfile.read(sorted((data_dir / "emodb" / "wav").glob("*.wav"))[3], dtype="float32")
    source = soxr.resample(original, RATE, rate)
    path = written(tmp_path, encode(source, rate, container, codec), f"speech.{name}")
    info = probe(path)
    assert (info.format, info.sample_rate, info.n_channels) == (KINDS.get(name, name), rate, 1)
    recording = read(path, RATE)
    delay, correlation = aligned(recording.samples, original)
    assert correlation > least
    assert abs(delay) < 0.13 * RATE if name in ("aac", "amr", "3gp") else abs(delay) <= 1
    longest = 0.13 if name in ("aac", "amr", "3gp") else 0.003  # padding that the file does not speak of
    assert -0.003 < len(recording.samples) / RATE - len(original) / RATE < longest
    assert info.duration_s == pytest.approx(len(recording.samples) / RATE, abs=0.03)
    level_db = 20 * np.log10(recording.samples.std() / original.std())
    assert abs(level_db) < (2.0 if least < 0.9 else 0.5)
    assert recording.flags == ()


@pytest.mark.parametrize("name", ["m4a", "webm", "mkv", "mov"])
def test_channels_are_averaged_and_mono_comes_out(name: str, tmp_path: Path) -> None:
    container, codec, _, least = FORMATS[name]
    times = np.arange(48000) / 48000
    channels = np.stack([0.4 * np.sin(2 * np.pi * 300 * times), 0.2 * np.sin(2 * np.pi * 700 * times)], axis=1)
    path = written(tmp_path, encode(channels, 48000, container, codec))
    assert probe(path).n_channels == 2
    mono = soxr.resample(channels.mean(axis=1), 48000, RATE)
    assert aligned(read(path, RATE).samples, mono)[1] > least


@pytest.mark.parametrize("content", [*ENCODED.values(), FRAGMENTS, LIVE_WEBM], ids=[*ENCODED, "fragments", "live"])
def test_blocks_are_what_read_gives_whatever_their_length(content: bytes, tmp_path: Path) -> None:
    path = written(tmp_path, content)
    whole = read(path, RATE)
    assert probe(path).duration_s == pytest.approx(len(whole.samples) / RATE, abs=0.05)
    for block_s in (0.013, 1.0, 60.0):
        stream = blocks(path, RATE, block_s=block_s)
        pieces = list(stream)
        np.testing.assert_array_equal(np.concatenate(pieces), whole.samples)
        assert stream.flags == whole.flags == ()
        assert all(len(piece) for piece in pieces)


@pytest.mark.parametrize("name", FORMATS)
def test_a_stretch_is_the_same_part_of_the_whole(name: str, tmp_path: Path) -> None:
    path = written(tmp_path, ENCODED[name])
    rate = FORMATS[name][2]
    whole = read(path, rate).samples
    for start_s, end_s in ((0.0, 0.5), (0.25, 0.75), (2.5, None), (2.9, 100.0)):
        stop = None if end_s is None else round(end_s * rate)
        stretch = read(path, rate, start_s=start_s, end_s=end_s)
        np.testing.assert_array_equal(stretch.samples, whole[round(start_s * rate) : stop])
        assert stretch.flags == ()
    expected = "not one sample" if name in BLIND else "beyond its end"
    assert expected in refusal(path, start_s=7.0)


JOINED = {**ENCODED, "fragments": FRAGMENTS, "live": LIVE_WEBM}


@pytest.mark.parametrize("name", JOINED)
def test_joined_recordings_are_read_one_after_the_other(name: str, tmp_path: Path) -> None:
    content = JOINED[name]
    path = written(tmp_path, content)
    rate = probe(path).sample_rate
    alone = read(path, rate).samples
    path.write_bytes(content + content)
    whole = read(path, rate)
    assert (len(whole.samples), whole.flags) == (2 * len(alone), ())
    assert probe(path).duration_s == pytest.approx(2 * len(alone) / rate, abs=0.03)
    if name == "aac":  # the decoder goes on, with the noise that it makes up
        assert np.corrcoef(whole.samples, np.concatenate([alone, alone]))[0, 1] > 0.95
    else:
        np.testing.assert_array_equal(whole.samples, np.concatenate([alone, alone]))
        for start_s, end_s in ((0.5, 1.0), (2.5, 3.5), (3.5, 4.5), (5.5, None)):
            stretch = read(path, rate, start_s=start_s, end_s=end_s).samples
            stop = None if end_s is None else round(end_s * rate)
            np.testing.assert_array_equal(stretch, whole.samples[round(start_s * rate) : stop])


@pytest.mark.parametrize("name", ["m4a", "mp4", "mov", "aac", "mkv", "alac", "webm"])
def test_joined_recordings_of_other_rates_and_channels_keep_their_tones(name: str, tmp_path: Path) -> None:
    container, codec, _, _ = FORMATS[name]
    rates = (48000, 24000, 48000) if codec == "libopus" else (16000, 44100, 16000)
    contents = []
    for number, rate in enumerate(rates):
        tone = 0.3 * np.sin(2 * np.pi * (400 + 300 * number) * np.arange(2 * rate) / rate)
        contents.append(encode(np.stack([tone] * (1 + number), 1)[:, :2], rate, container, codec))
    path = written(tmp_path, b"".join(contents))
    recording = read(path, RATE)
    assert recording.flags == ()
    assert probe(path).duration_s == pytest.approx(len(recording.samples) / RATE, abs=0.05)
    assert len(recording.samples) / RATE == pytest.approx(6.0, abs=0.4 if name == "aac" else 0.01)
    for number in range(3):
        inner = recording.samples[round((2 * number + 0.5) * RATE) :][:RATE]
        assert np.abs(np.fft.rfft(inner)).argmax() == 400 + 300 * number


@pytest.mark.parametrize("junk", [bytes(3000), b"TAG".ljust(128, b"x")], ids=["zeros", "ID3v1"])
@pytest.mark.parametrize("name", [*(name for name in FORMATS if name != "amr"), "fragments", "live"])
def test_what_is_no_recording_changes_nothing(name: str, junk: bytes, tmp_path: Path) -> None:
    alone = read(written(tmp_path, JOINED[name]), RATE)
    behind = read(written(tmp_path, JOINED[name] + junk), RATE)
    np.testing.assert_array_equal(behind.samples, alone.samples)
    assert behind.flags == ()


@pytest.mark.parametrize("name", ["fragments", "webm", "live"])
def test_a_recording_that_is_cut_is_flagged_whatever_follows_it(name: str, tmp_path: Path) -> None:
    content = JOINED[name]
    recording = read(written(tmp_path, content[: round(0.6 * len(content))] + content), RATE)
    assert len(recording.samples) > 4 * RATE
    assert recording.flags == ("truncated",) or name == "live"  # which says nothing of its length


def test_the_sound_of_a_video_is_read(tmp_path: Path) -> None:
    samples = read(written(tmp_path, video(with_sound=True)), RATE).samples
    assert len(samples) == RATE
    spectrum = np.abs(np.fft.rfft(samples[RATE // 4 : 3 * RATE // 4]))
    assert spectrum.argmax() == 100  # 200 Hz in half a second


@pytest.mark.parametrize("name", FORMATS)
def test_a_cut_file_is_read_as_far_as_it_goes_or_refused(name: str, tmp_path: Path) -> None:
    content = ENCODED[name]
    path = written(tmp_path, content[: len(content) // 2])
    if KINDS.get(name, name) == "mp4":  # the index of these is at their end
        assert "index (moov) is missing" in refusal(path)
        return
    recording = read(path, RATE)
    assert 1.0 < len(recording.samples) / RATE < 2.0
    assert recording.flags == (() if name in BLIND else ("truncated",)) or recording.flags == ("truncated",)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.77])
def test_a_cut_stream_of_fragments_is_read_as_far_as_it_goes(share: float, tmp_path: Path) -> None:
    whole = read(written(tmp_path, FRAGMENTS), RATE).samples
    begun = FRAGMENTS.rfind(b"moof", 0, round(share * len(FRAGMENTS)))
    for cut in (round(share * len(FRAGMENTS)), begun + 30):  # within the sound, within an index
        recording = read(written(tmp_path, FRAGMENTS[:cut]), RATE)
        n_same = len(recording.samples) - 2048
        assert n_same > 0.1 * len(whole)
        np.testing.assert_allclose(recording.samples[:n_same], whole[:n_same], atol=1e-6)
        assert recording.flags == ("truncated",)


# What is refused


def test_a_video_without_sound_is_refused(tmp_path: Path) -> None:
    assert "is a video without a sound track" in refusal(written(tmp_path, video(with_sound=False)))


@pytest.mark.parametrize("tag", [b"enca", b"drms"])
def test_encrypted_sound_is_refused(tag: bytes, tmp_path: Path) -> None:
    assert "its sound is encrypted" in refusal(written(tmp_path, M4A.replace(b"mp4a", tag)))


def test_a_codec_that_is_not_fenced_in_is_refused(tmp_path: Path) -> None:
    content = encode(speechlike(RATE), RATE, "matroska", "tta")
    assert "its sound is tta, which is not supported" in refusal(written(tmp_path, content))
    unknown = ENCODED["mkv"].replace(b"A_FLAC", b"A_FLOP")
    assert "its sound is of an unknown codec, which is not supported" in refusal(written(tmp_path, unknown))


def test_six_channels_are_averaged_and_eight_refused(tmp_path: Path) -> None:
    """PyAV's planar frames of eight channels end the process."""
    one = speechlike(RATE)
    for codec in ("aac", "flac"):
        six = np.stack([one] + [np.zeros_like(one)] * 5, axis=1)
        samples = read(written(tmp_path, encode(six, RATE, "matroska", codec)), RATE).samples
        assert aligned(samples, one / 6)[1] > 0.9
        eight = encode(np.stack([one] * 8, axis=1), RATE, "matroska", codec)
        assert "its sound has 8 channels, at most 7" in refusal(written(tmp_path, eight))


@pytest.mark.parametrize("tag", [b"mp4\xff", b"\0\0\0\0", b"text"])
def test_a_track_of_a_kind_that_no_one_knows_never_crashes(tag: bytes, tmp_path: Path) -> None:
    path = written(tmp_path, M4A.replace(b"mp4a", tag))
    try:
        assert len(read(path, RATE).samples) > 2 * RATE  # the rest of its description names the codec
    except AudioError as error:
        assert str(error).startswith(f"{path}: ")


def test_without_the_package_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    for name, content in ENCODED.items():
        assert "pip install 'affectra[media]'" in refusal(written(tmp_path, content, f"speech.{name}"))


@pytest.mark.parametrize("content", [*ENCODED.values(), FRAGMENTS, LIVE_WEBM], ids=[*ENCODED, "fragments", "live"])
def test_what_is_longer_than_allowed_is_refused(content: bytes, tmp_path: Path) -> None:
    path = written(tmp_path, content)
    assert "longer than 2.5 s" in refusal(path, max_duration_s=2.5)
    assert len(read(path, RATE, max_duration_s=3.2).samples) >= 3 * RATE


def test_minutes_of_silence_in_a_few_bytes_is_stopped_while_it_is_decoded(tmp_path: Path) -> None:
    """FLAC in Matroska without a length: the header cannot give it away."""
    content = encode(np.zeros(600 * RATE, np.float32), RATE, "matroska", "flac", live="1")
    assert len(content) < 200_000  # 38 MB decoded
    path = written(tmp_path, content)
    n_samples = 0
    with pytest.raises(AudioError, match="longer than 20 s"):
        for block in blocks(path, RATE, block_s=1.0, max_duration_s=20.0):
            n_samples += len(block)
    assert 19 * RATE <= n_samples <= 20 * RATE


def test_an_index_larger_than_its_file_is_never_built(tmp_path: Path) -> None:
    """19 KB that FFmpeg would turn into gigabytes: 60 million frames of one byte."""
    table = bytearray(M4A)
    struct.pack_into(">II", table, table.find(b"stsz") + 8, 1, 60_000_000)
    assert re.search(r"announces \d+ frames", refusal(written(tmp_path, bytes(table))))
    fragment = bytearray(FRAGMENTS)
    struct.pack_into(">II", fragment, fragment.find(b"trun") + 4, 1, 50_000_000)
    assert re.search(r"announces \d+ frames", refusal(written(tmp_path, bytes(fragment))))


def test_an_index_hidden_where_another_points_is_never_built(tmp_path: Path) -> None:
    hidden = struct.pack(">I4s", 100, b"moof") + struct.pack(">I4s", 80, b"traf") + struct.pack(">I4s", 60, b"trun")
    sound = struct.pack(">I4s", 8 + len(hidden), b"mdat") + hidden
    pointer = struct.pack(">I4s", 16, b"sidx") + bytes(8)
    assert "hides an index" in refusal(written(tmp_path, FRAGMENTS + pointer + sound))
    assert len(read(written(tmp_path, M4A + sound), RATE).samples) > 2 * RATE  # nothing points there


def test_hours_of_plain_samples_are_no_bomb(tmp_path: Path) -> None:
    content = encode(np.zeros((40 * 48000, 1), np.float32), 48000, "mov", "pcm_u8")  # a byte a frame in the table
    assert len(read(written(tmp_path, content), RATE, max_duration_s=60).samples) == 40 * RATE


# Hostile playlists


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str]]]:
    """A web server that notes what is asked of it."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(M4A)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()
    thread.join()


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{target}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{target}'\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{target}</BaseURL></MPD>',
    "sdp": "v=0\nc=IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\na=control:{target}\n",
    "asx": '<asx version="3.0"><entry><ref href="{target}"/></entry></asx>',
    "smil": '<smil><body><audio src="{target}"/></body></smil>',
    "rtsp text": "rtsptextRTSP {target}",
}


@pytest.mark.parametrize("suffix", ["mp4", "webm", "m3u8", "aac"])
@pytest.mark.parametrize("kind", PLAYLISTS)
def test_a_playlist_is_refused_and_nothing_that_it_names_is_opened(
    kind: str, suffix: str, listener: tuple[str, list[str]], tmp_path: Path
) -> None:
    address, asked = listener
    secret = written(tmp_path, M4A, "secret.m4a")
    for target in (f"{address}/secret.m4a", f"file://{secret}", "secret.m4a"):
        content = PLAYLISTS[kind].format(target=target)
        assert "not audio" in refusal(written(tmp_path, content.encode(), f"innocent.{suffix}"))
    assert asked == []


def with_sound_elsewhere(content: bytes, target: Path) -> bytes:
    """An MP4 file of which only the index is left, with a QuickTime alias that says where the sound is."""
    path = str(target).encode()
    alias = bytes(10) + b"\3Mac".ljust(28, b"\0") + bytes(12) + bytes([len(target.name)])
    alias += target.name.encode().ljust(63, b"\0") + bytes(16) + struct.pack(">HH", 1, 1) + bytes(16)
    alias += struct.pack(">HH", 2, len(path)) + path + b"\0" * (len(path) % 2) + struct.pack(">HH", 0xFFFF, 0)
    entry = struct.pack(">I", len(alias) + 12) + b"alis\0\0\0\0" + alias
    place = content.find(b"url \0\0\0\1") - 4
    changed = bytearray(content[:place] + entry + content[place + 12 :])
    for box in (b"dref", b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        at = changed.find(box) - 4
        struct.pack_into(">I", changed, at, struct.unpack_from(">I", changed, at)[0] + len(entry) - 12)
    start, end = changed.find(b"mdat") + 4, changed.find(b"moov") - 4
    changed[start:end] = bytes(end - start)
    return bytes(changed)


def test_an_mp4_that_keeps_its_sound_in_another_file_is_refused(tmp_path: Path) -> None:
    secret = written(tmp_path, M4A, "secret.m4a")
    path = written(tmp_path, with_sound_elsewhere(M4A, secret))
    with av.open(str(path), container_options={"enable_drefs": "1"}) as obedient:
        assert any(frame.to_ndarray().any() for frame in obedient.decode(audio=0))  # FFmpeg can be led there
    assert "not one sample can be decoded" in refusal(path)


# Damage of all kinds

WHOLE = {**ENCODED, "fragments": FRAGMENTS, "live webm": LIVE_WEBM, "video": video(with_sound=True)}


@settings(max_examples=300, deadline=None)
@given(
    kind=st.sampled_from(sorted(WHOLE)),
    changes=st.lists(st.tuples(st.floats(0, 1), st.booleans(), st.integers(0, 255)), max_size=8),
    length=st.none() | st.floats(0, 1),
)
def test_a_damaged_file_is_refused_or_read_but_never_crashes(
    tmp_path_factory: pytest.TempPathFactory,
    kind: str,
    changes: list[tuple[float, bool, int]],
    length: float | None,
) -> None:
    damaged = bytearray(WHOLE[kind])
    for share, from_the_end, value in changes:  # headers are at the ends
        offset = int(share * min(2000, len(damaged) - 1))
        damaged[len(damaged) - 1 - offset if from_the_end else offset] = value
    kept = bytes(damaged if length is None else damaged[: int(length * len(damaged))])
    path = written(tmp_path_factory.getbasetemp(), kept, "damaged")
    try:
        recording = read(path, RATE, max_duration_s=30.0)
        probe(path)
    except AudioError as error:
        assert str(error).startswith(f"{path}: ")
        assert str(error).isprintable()
    else:
        assert np.isfinite(recording.samples).all()
        assert len(recording.samples)


@settings(max_examples=100, deadline=None)
@given(
    start=st.sampled_from([b"\0\0\0\x20ftypM4A ", b"\x1a\x45\xdf\xa3", b"\xff\xf1\x50\x80", b"#!AMR\n", M4A[:300]]),
    rest=st.binary(max_size=600),
)
def test_rubbish_behind_a_good_start_never_crashes(
    tmp_path_factory: pytest.TempPathFactory, start: bytes, rest: bytes
) -> None:
    path = written(tmp_path_factory.getbasetemp(), start + rest, "rubbish")
    try:
        read(path, RATE, max_duration_s=30.0)
    except AudioError as error:
        assert str(error).startswith(f"{path}: ")


def test_rubbish_does_not_hold_the_decoder_up(tmp_path: Path) -> None:
    """A frame header a million times over, none with sound behind it."""
    path = written(tmp_path, ENCODED["aac"][:4000] + b"\xff\xf1\x50\x80\x01\x1f\xfc\0" * 1_000_000)
    assert len(read(path, RATE).samples) < 10 * RATE
