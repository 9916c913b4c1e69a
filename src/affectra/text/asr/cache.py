"""Transcripts on disk: one small file a span of audio, named after the audio's bytes and the recogniser."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from affectra.files import cache_dir, read_json, sha256_json, write_json
from affectra.text.asr.words import Transcript, Word

FORMAT = 1  # changes when what is stored for the same recogniser does


class TranscriptCache:
    """Files of transcripts; equal names mean equal content, so any number of processes and runs may share them.

    Args:
        recognizer: all that determines its transcripts: name, options, version.
        folder: default `cache_dir()/"transcripts"`.
    """

    def __init__(self, recognizer: Mapping[str, Any], folder: Path | None = None) -> None:
        self.folder = (folder or cache_dir() / "transcripts") / sha256_json({"format": FORMAT, **recognizer})[:16]

    def path(self, audio_hash: str, start_s: float = 0.0, end_s: float | None = None) -> Path:
        """Where the transcript of a span (s) of the recording with this SHA-256 is kept."""
        span = "" if start_s == 0 and end_s is None else f"-{start_s!r}-{end_s!r}"
        return self.folder / audio_hash[:2] / f"{audio_hash[:40]}{span}.json"


def store(path: Path, transcript: Transcript) -> None:
    """Write a transcript whole or not at all."""
    write_json(path, asdict(transcript))


def load(path: Path) -> Transcript | None:
    """The transcript of a file, None where there is none that can be read."""
    try:
        stored = read_json(path)
        return Transcript(stored["text"], tuple(Word(**word) for word in stored["words"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # a file that somebody cut off is computed again
        return None
