"""Audio: any recording as samples, and what is known of its sound before any model.

Takes a path, a microphone or an array; gives mono float32 (sample,) at the rate asked for, with quality flags, or one
clear error that names the file. Beside that: voice activity, loudness, and augmentation of samples. Open `reading.py`
first; `opened.py` and the containers below it know file formats.
"""

from affectra.audio.arrays import to_mono
from affectra.audio.opened import AudioInfo
from affectra.audio.quality import quality_flags
from affectra.audio.reading import AUDIO_SUFFIXES, Blocks, Recording, blocks, probe, read

__all__ = [
    "AUDIO_SUFFIXES", "AudioInfo", "Blocks", "Recording", "blocks", "probe", "quality_flags", "read", "to_mono",
]  # fmt: skip
