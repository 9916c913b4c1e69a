"""Words for turns that have none: a speech recogniser where there is one."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from affectra.features.frames.spectral import Array
from affectra.text.asr.transcripts import RECOGNIZERS
from affectra.text.asr.words import Recognizer

NONE = "none"
DEFAULT = "pocketsphinx"


@dataclass(frozen=True)
class Words:
    """Where the words of a turn without a transcript come from.

    Attributes:
        name: of the recogniser, "" where there is none.
        recognizer: of speech, or None.
        notice: what a user is to know of it.
    """

    name: str
    recognizer: Recognizer | None
    notice: str

    def of(self, samples: Array, sample_rate: int) -> str:
        """Recognise the words spoken in samples (sample,); "" where nothing is understood."""
        return "" if self.recognizer is None else self.recognizer.transcribe(samples, sample_rate).text


def find_words(asked: str | None = None) -> Words:
    """The recogniser asked for; by default pocketsphinx, or none where it is not installed.

    Args:
        asked: a name in `RECOGNIZERS`, with the name of its model behind a colon where it takes one, e.g.
            hugging-face:openai/whisper-small; "none" for no recogniser.

    Raises:
        ConfigError: no such recogniser, or its extra is not installed.
    """
    without = "turns without a transcript are recognised without words"
    if asked == NONE:
        return Words("", None, without)
    if asked is None and find_spec(DEFAULT) is None:
        remedy = "for a speech recogniser: pip install 'affectra[asr]' (Python 3.11 and 3.13)"
        return Words("", None, f"{without}; {remedy}")
    name, _, model = (asked or DEFAULT).partition(":")
    options: dict[str, Any] = {"model": model} if model else {}
    recognizer: Recognizer = RECOGNIZERS.build(name, options)
    language = ", which knows English alone" if name == DEFAULT else ""
    return Words(asked or DEFAULT, recognizer, f"the words of turns without a transcript: {name}{language}")
