"""Sound tracks of phone and browser files (m4a, mp4, webm, aac, amr and kin), decoded with PyAV within fixed bounds.

FFmpeg, beneath PyAV, can open addresses, and playlists that name other files. Here it never does: the bytes come from a
file that is already open, its first bytes choose the container, and decoders and protocols are fenced in.
"""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from affectra.audio.containers import Spliced
from affectra.audio.mp4 import check_mp4
from affectra.errors import AudioError

MEDIA_SUFFIXES = (".m4a", ".mp4", ".mov", ".3gp", ".aac", ".webm", ".mkv", ".amr")

# What a file is -> FFmpeg's reader for it.
_DEMUXERS = {"mp4": "mov", "webm": "matroska", "aac": "aac", "amr": "amr"}
_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")  # QuickTime files before 2001 have no ftyp
_DECODERS = (
    *("aac", "aac_latm", "ac3", "alac", "amrnb", "amrwb", "eac3", "flac", "mp2", "mp2float", "mp3", "mp3float", "opus"),
    *("libopencore_amrnb", "libopencore_amrwb", "libopus", "vorbis", "pcm_alaw", "pcm_mulaw", "pcm_s16be", "pcm_s16le"),
    *("pcm_f32be", "pcm_f32le", "pcm_s24be", "pcm_s24le", "pcm_s32be", "pcm_s32le", "pcm_u8"),
)
_ENCRYPTED = ("enca", "drms", "aavd")  # Common Encryption, bought music, audio books

# PyAV 18 looks for the channels of a planar frame up to a null pointer, which from 8 channels on is not there: the
# process would die, and one damaged byte turns mono AAC into 5.1.2.
_MOST_CHANNELS = 7
# Ours. Rubbish behind a good start costs time and gives nothing; a second of sound is some 50 packets.
_MAX_BARREN_PACKETS = 1000
_SHORT_S = 0.1  # missing end that counts as cut off; headers round, and codecs fade out


def media_kind(head: bytes) -> str | None:
    """Which family a file's first bytes belong to: mp4 (m4a, mov, 3gp), webm (mkv), aac, amr, or None.

    Example:
        >>> media_kind(bytes(4) + b"ftypM4A ")
        'mp4'
        >>> media_kind(b"#EXTM3U") is None
        True
    """
    if head[4:8] in _MP4_BOXES:
        return "mp4"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "webm"
    if head.startswith((b"\xff\xf0", b"\xff\xf1", b"\xff\xf8", b"\xff\xf9")):  # ADTS; other layers are mp3
        return "aac"
    return "amr" if head.startswith((b"#!AMR\n", b"#!AMR-WB\n")) else None


@contextmanager
def open_media(view: Spliced, kind: str, place: str) -> Iterator["MediaSound"]:
    """Open the sound track of a file of one of the kinds of `media_kind`.

    Args:
        view: the file's bytes.
        kind: as `media_kind` says.
        place: the file's name for messages.

    Raises:
        AudioError: the package `av` is missing; no sound track, an encrypted or damaged one, or of an odd codec.
    """
    av = _library(kind, place)
    unfinished = False
    if kind == "mp4":
        checked = check_mp4(view, view.size)
        if checked.fault:
            raise AudioError(f"{place}: not usable, {checked.fault}; convert it to wav or flac where it can be played")
        view, unfinished = Spliced(b"", view, (0, checked.usable_size)), checked.unfinished
    view.seek(0)
    options = {
        "protocol_whitelist": "none",
        "format_whitelist": _DEMUXERS[kind],
        "codec_whitelist": ",".join(_DECODERS),
    }
    try:
        container = av.open(view, format=_DEMUXERS[kind], container_options=options, metadata_errors="replace")
    except (av.FFmpegError, UnicodeError) as error:
        raise AudioError(f"{place}: {_named(kind)} file is damaged or cut off ({_reason(error)})") from error
    with container:
        yield MediaSound(av, container, kind, place, unfinished)


def _library(kind: str, place: str) -> Any:
    try:
        return importlib.import_module("av")
    except ImportError as error:
        found = f"{_named(kind)} needs the package av"
        raise AudioError(f"{place}: {found}: pip install 'affectra[media]'; or convert it to wav or flac") from error


def _named(kind: str) -> str:
    return {"mp4": "m4a or mp4", "webm": "webm or Matroska"}.get(kind, kind)


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or type(error).__name__)


class MediaSound:
    """The sound track of an open file, read forwards only.

    Attributes:
        samplerate: Hz.
        channels: how many.
        n_announced: samples that the header announces; None where it does not say.
        n_read: samples given out so far.
    """

    def __init__(self, av: Any, container: Any, kind: str, place: str, unfinished: bool) -> None:
        self._av, self._container, self._kind, self._place = av, container, kind, place
        self._unfinished, self._has_faults = unfinished, False
        self._stream = self._sound_track()
        self.samplerate = self.n_read = 0
        self._pieces = self._trimmed()
        first = next(self._pieces, None)
        if first is None:
            raise AudioError(f"{place}: not one sample can be decoded, it is cut off or damaged; fetch it again")
        self._rest = first
        self.channels: int = first.shape[1]
        self.n_announced = self._announced()

    @property
    def is_cut_off(self) -> bool:
        """Once all is read: whether the end is missing, or where no length is announced, anything was damaged."""
        if self._unfinished or self.n_announced is None:
            return self._unfinished or self._has_faults
        return self.n_announced - self.n_read > _SHORT_S * self.samplerate

    def read(self, out: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Fill `out` (sample, channel) as far as the track goes; returns the part that was filled."""
        n_filled = 0
        while n_filled < len(out):
            if not len(self._rest):
                piece = next(self._pieces, None)
                if piece is None:
                    break
                # A track may turn from mono to stereo on its way; no header speaks of that.
                self._rest = piece if piece.shape[1] == self.channels else piece.mean(axis=1, keepdims=True)
            part = self._rest[: len(out) - n_filled]
            out[n_filled : n_filled + len(part)] = part
            self._rest = self._rest[len(part) :]
            n_filled += len(part)
        self.n_read += n_filled
        return out[:n_filled]

    def count(self) -> int:
        """Samples of the whole track by its packets' times, without decoding the rest; nothing can be read after."""
        end_s = len(self._rest) / self.samplerate
        for packet in self._packets():
            if packet.pts is not None and packet.time_base:
                end_s = max(end_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        return round(end_s * self.samplerate)

    def _sound_track(self) -> Any:
        stream = self._container.streams.best("audio")
        if stream is None and self._container.streams.video:
            raise AudioError(f"{self._place}: is a video without a sound track, expected speech; record it with sound")
        if stream is None:
            raise AudioError(f"{self._place}: {_named(self._kind)} file without any sound, damaged or cut off")
        if _tag(stream) in _ENCRYPTED:
            raise AudioError(f"{self._place}: its sound is encrypted; export it without copy protection")
        codec = "of an unknown codec" if stream.codec_context is None else stream.codec_context.name
        if codec not in _DECODERS:
            raise AudioError(f"{self._place}: its sound is {codec}, which is not supported; convert it to wav or flac")
        if stream.channels > _MOST_CHANNELS:
            found = f"{stream.channels} channels, at most {_MOST_CHANNELS} can be read"
            raise AudioError(f"{self._place}: its sound has {found}; mix it down to mono")
        stream.codec_context.thread_count = 1
        return stream

    def _announced(self) -> int | None:
        duration_s = 0.0
        if self._kind == "mp4" and self._stream.duration:
            duration_s = float(self._stream.duration * self._stream.time_base)
        if self._kind == "webm" and self._container.duration and len(self._container.streams) == 1:
            duration_s = self._container.duration / self._av.time_base
        return (
            round(duration_s * self.samplerate) or None
        )  # of aac and amr FFmpeg guesses by the bit rate of the first packets

    def _packets(self) -> Iterator[Any]:
        try:
            yield from self._container.demux(self._stream)
        except self._av.FFmpegError:
            self._has_faults = True

    def _frames(self) -> Iterator[tuple[Any, int]]:
        """Frames, each with the samples that its packet announces (0 where it does not say)."""
        n_barren = n_samples = 0
        for packet in self._packets():
            if packet.has_sidedata("encryption_info"):
                raise AudioError(f"{self._place}: its sound is encrypted; export it without copy protection")
            try:
                frames = packet.decode()
            except self._av.FFmpegError:
                self._has_faults = True
                frames = []
            n_barren = 0 if frames else n_barren + 1
            if n_barren > _MAX_BARREN_PACKETS:
                return
            for frame in frames:
                if frame.layout.nb_channels > _MOST_CHANNELS:
                    self._has_faults = True
                    continue
                self.samplerate = self.samplerate or frame.sample_rate
                if frame.sample_rate != self.samplerate:  # another recording pasted behind
                    self._has_faults = True
                    return
                if packet.size and packet.time_base:
                    n_samples = round((packet.duration or 0) * packet.time_base * self.samplerate)
                if frame.samples:
                    yield frame, n_samples

    def _trimmed(self) -> Iterator[npt.NDArray[np.float32]]:
        """Frames as arrays (sample, channel); the last one without the padding that mp4 only hints at."""
        kept: tuple[npt.NDArray[np.float32], int] | None = None
        for frame, n_samples in self._frames():
            if kept is not None:
                yield kept[0]
            kept = _framed(frame), n_samples
        if kept is not None:
            samples, n_samples = kept
            yield samples[: n_samples or None] if self._kind == "mp4" else samples


def _tag(stream: Any) -> str:
    try:
        return "" if stream.codec_context is None else str(stream.codec_tag)
    except UnicodeDecodeError:  # a damaged one
        return ""


def _framed(frame: Any) -> npt.NDArray[np.float32]:
    """A frame's samples as float32 (sample, channel), full scale 1."""
    values: npt.NDArray[Any] = frame.to_ndarray()  # planar: (channel, sample), packed: (1, sample times channel)
    framed = values.T if frame.format.is_planar else values.reshape(-1, frame.layout.nb_channels)
    if framed.dtype.kind == "f":
        return framed.astype(np.float32)
    half = 2.0 ** (8 * framed.dtype.itemsize - 1)
    middle = half if framed.dtype.kind == "u" else 0.0
    return np.asarray((framed - middle) / half, dtype=np.float32)
