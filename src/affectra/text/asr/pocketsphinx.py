"""The recogniser PocketSphinx (extra `asr`): English words with their times, and forced alignment of a known text."""

import importlib
import re
from importlib.metadata import version
from typing import Any

import numpy as np
import numpy.typing as npt

from affectra.audio import quality_flags, to_mono
from affectra.errors import AudioError, require_extra
from affectra.text.asr.pronunciation import pronounce
from affectra.text.asr.words import Transcript, Word, spoken_words, transcript_of

_VERSION = "1"  # raise it when the same samples would give other words
_FRAME_S = 0.01
_ALTERNATE = re.compile(r"\(\d+\)$")  # "was(2)" is the second pronunciation of "was"

# Ours. With pauses likelier and beams wider than usual, and the best path without a lattice, which loses the last word
# now and then, no English utterance of the embedded corpus fails; with PocketSphinx's own settings 3 of 120 do.
_ALIGNING = {"lm": None, "bestpath": False, "silprob": 0.1, "beam": 1e-80, "pbeam": 1e-80, "wbeam": 1e-60}


class PocketSphinx:
    """PocketSphinx 5 with the English model that comes with it: small, without any download, and often mistaken.

    It recognises English alone; for other languages and for fewer errors take `affectra.text.asr.hugging_face`. One
    object is for one thread. Each utterance is recognised as if it were the first, so their order changes nothing.

    Raises:
        ConfigError: the extra is not installed.
    """

    sample_rate = 16_000

    def __init__(self) -> None:
        require_extra("pocketsphinx", "asr", "the recogniser pocketsphinx (Python 3.11 and 3.13)")
        self._recognizing: Any = None
        self._aligning: Any = None

    @property
    def version(self) -> str:
        """As of `Recognizer`."""
        return f"{_VERSION}-pocketsphinx-{version('pocketsphinx')}"

    def transcribe(self, samples: npt.NDArray[np.floating], sample_rate: int) -> Transcript:
        """Recognise the words; nothing in silence (see `affectra.audio.quality_flags`) and in less than a frame.

        Args:
            samples: (sample,) or (sample, channel), full scale 1.
            sample_rate: Hz; another than 16 kHz is resampled.

        Raises:
            AudioError: samples that are no audio.
        """
        if self._recognizing is None:
            self._recognizing = _decoder()
        mono = to_mono(samples, sample_rate, self.sample_rate)
        return transcript_of(
            [] if "silent" in quality_flags(mono, self.sample_rate) else _decode(self._recognizing, mono)
        )

    def align(self, samples: npt.NDArray[np.floating], sample_rate: int, text: str) -> tuple[Word, ...]:
        """Find the times of each word of a text (forced alignment).

        Words that the dictionary lacks are aligned by a pronunciation spelled from their letters, so every word gets
        a time; see `affectra.text.asr.pronunciation`. Other languages in Latin letters can be aligned in the same way.

        Args:
            samples: as for `transcribe`.
            sample_rate: Hz.
            text: the words spoken, all of them and nothing else.

        Returns:
            One `Word` for each of `spoken_words(text)`, in order.

        Raises:
            AudioError: samples that are no audio, or in which the text cannot be found. About half of the texts that
                are not spoken there are not noticed, so this is no test of a transcript.
        """
        mono = to_mono(samples, sample_rate, self.sample_rate)
        words = spoken_words(text)
        if not words:
            return ()
        if self._aligning is None:
            self._aligning = _decoder(**_ALIGNING)  # of its own, since words are added to its dictionary
        for word in words:
            if self._aligning.lookup_word(word) is None:
                self._aligning.add_word(word, pronounce(word))
        self._aligning.set_align_text(" ".join(words))
        found = _decode(self._aligning, mono)
        if tuple(word.word for word in found) != words:
            duration_s = len(mono) / self.sample_rate
            raise AudioError(
                f"alignment: {text[:60]!r} ({len(words)} words) cannot be found in these {duration_s:.2f} s of audio; "
                "expected that all of it is spoken there and nothing else"
            )
        return tuple(found)


def _decoder(**settings: Any) -> Any:
    return importlib.import_module("pocketsphinx").Decoder(samprate=16_000, loglevel="FATAL", **settings)


def _decode(decoder: Any, mono: npt.NDArray[np.float32]) -> list[Word]:
    """The words a decoder finds in 16 kHz samples, without pauses and noises."""
    decoder.reinit_feat()  # else what was learnt of the last utterance's noise would change this one's words
    decoder.start_utt()
    pcm = np.round(np.clip(mono, -1.0, 1.0) * 32767).astype(np.int16)
    decoder.process_raw(pcm.tobytes(), full_utt=True)
    decoder.end_utt()
    if decoder.hyp() is None:
        return []
    end_s = len(mono) / 16_000
    return [
        Word(
            _ALTERNATE.sub("", segment.word),
            round(segment.start_frame * _FRAME_S, 2),
            min(round((segment.end_frame + 1) * _FRAME_S, 2), end_s),
        )
        for segment in decoder.seg()
        if not segment.word.startswith(("<", "[", "+"))
    ]
