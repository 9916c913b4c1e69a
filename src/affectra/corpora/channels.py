"""Recordings with a channel a speaker: which channel a table means, and each channel as a mono file of its own."""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import numpy as np
import soundfile

from affectra.audio import Blocks, probe
from affectra.errors import AudioError, CorpusError
from affectra.files import atomic_path

CHANNEL_NUMBERS = {"left": 0, "right": 1}

_BLOCK_S = 10.0  # ours
_STEPS = 1 << 23  # from silence to full scale in 24 bits, the most that FLAC takes


def parse_channel(cell: str) -> int | None:
    """The channel that a table's cell names, counted from 0 on; None if it names none.

    Example:
        >>> parse_channel("Right"), parse_channel("2"), parse_channel("1.0"), parse_channel("middle")
        (1, 2, 1, None)
    """
    number = cell.removesuffix(".0")  # as tables with gaps write it
    return CHANNEL_NUMBERS.get(cell.lower(), int(number) if number.isdecimal() else None)


def nowhere_to_write(table: Path) -> CorpusError:
    """The error for a table with channels of recordings, read where no files can be written."""
    return CorpusError(
        f"{table}: the column 'channel' names channels of recordings, which become files of their own; run "
        f"`affectra prepare csv --root {table} --out MANIFEST.csv` and give that manifest"
    )


class ChannelFiles:
    """Channels of recordings as mono files, each written once, when it is first asked for.

    Args:
        root: folder of the recordings.
        folder: where the files go, in sub-folders as those of `root`.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        self.root, self.folder = root, folder
        self._found: dict[tuple[str, int], PurePosixPath | str] = {}
        self._sources: dict[PurePosixPath, str] = {}

    def find(self, file: str, channel: int) -> PurePosixPath | str:
        """The file of a channel relative to `folder`, or why there is none.

        Args:
            file: the recording, relative to `root`.
            channel: from 0 on.

        Raises:
            CorpusError: it cannot be written.
        """
        if (file, channel) not in self._found:
            self._found[file, channel] = self._write(PurePosixPath(file), channel)
        return self._found[file, channel]

    def _write(self, file: PurePosixPath, channel: int) -> PurePosixPath | str:
        name = file.with_name(f"{file.stem}.channel-{channel}")
        if (other := self._sources.setdefault(name, str(file))) != str(file):
            return f"its channel {channel} would be called {name}, as that of {other}; rename one of the two"
        try:
            suffix = write_channel(self.root / file, channel, self.folder / name)
        except AudioError as error:
            return str(error)
        return name.with_name(name.name + suffix)


def write_channel(source: Path, channel: int, target: Path) -> str:
    """Write one channel of a recording as a mono file of the same samples, in memory that does not grow with it.

    That is FLAC where its 24 bits hold every sample, as of all PCM up to 24 bits, A-law and mu-law; else, as of mp3,
    floating-point WAV.

    Args:
        source: the recording.
        channel: from 0 on.
        target: the file without its suffix; renamed to that when it is whole.

    Returns:
        The suffix.

    Raises:
        AudioError: the recording cannot be read, or has no such channel.
        CorpusError: it cannot be written, or another recording has its name.
    """
    sample_rate = probe(source).sample_rate

    def samples() -> Blocks:
        return Blocks(source, sample_rate, _BLOCK_S, allow_truncated=False, channel=channel)

    is_held = all(_is_held(block) for block in samples())
    suffix = ".flac" if is_held else ".wav"
    path = target.with_name(target.name + suffix)
    if path.exists():
        if not _is_same(path, sample_rate, samples()):
            raise CorpusError(f"{path}: is there already and is not channel {channel} of {source}; move it away")
        return suffix
    if is_held:
        whole = ((block * _STEPS).astype(np.int32) << 8 for block in samples())
        _write_blocks(path, whole, sample_rate, "FLAC", "PCM_24")
    else:
        _write_blocks(path, samples(), sample_rate, "RF64", "FLOAT")  # also beyond 4 GiB
    return suffix


def _is_same(path: Path, sample_rate: int, blocks: Iterable[np.ndarray]) -> bool:
    """Whether a file has these samples and no others."""
    try:
        with soundfile.SoundFile(path) as file:
            if (file.samplerate, file.channels) != (sample_rate, 1):
                return False
            return all(np.array_equal(file.read(len(b), "float32"), b) for b in blocks) and not len(file.read(1))
    except soundfile.SoundFileError:
        return False


def _is_held(block: np.ndarray) -> bool:
    """Whether samples in 24 bits are the same samples."""
    steps = block * _STEPS  # exact, a power of two
    return bool((steps == np.trunc(steps)).all() and steps.min() >= -_STEPS and steps.max() < _STEPS)


def _write_blocks(path: Path, blocks: Iterable[np.ndarray], sample_rate: int, format_: str, subtype: str) -> None:
    with atomic_path(path) as temporary:
        try:
            with soundfile.SoundFile(temporary, "w", sample_rate, 1, subtype, format=format_) as file:
                for block in blocks:
                    file.write(block)
        except soundfile.SoundFileError as error:
            raise CorpusError(f"{path}: cannot be written ({error}); is there room on the disk?") from error
