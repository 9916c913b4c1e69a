"""The input of a turn: its samples, what is wrong with them, its words."""

from dataclasses import dataclass

from affectra.audio import read
from affectra.audio.speech_track import speech_share
from affectra.errors import AudioError
from affectra.features.frames.spectral import Array
from affectra.predict.conversation.turns import Turn
from affectra.predict.conversation.words import Words
from affectra.predict.windows import length_flags

LONGEST_S = 600.0  # ours: what is longer is no turn, and is recognised in one piece
SLACK_S = 0.1  # ours: tables round, and end a little behind the recording


@dataclass(frozen=True)
class TurnInput:
    """Samples, words and flags of a turn, as far as it has them.

    Attributes:
        samples: (sample,), None without a recording.
        duration_s: of the samples; of a turn without a recording what the table says, else 0.
        text: the words, given or recognised, "" without any.
        flags: of too_short, silent, clipped, truncated, no_speech, no_audio, no_text and asr (recognised words).
    """

    samples: Array | None
    duration_s: float
    text: str
    flags: frozenset[str]


def read_turn(turn: Turn, sample_rate: int, *, words: Words | None) -> TurnInput:
    """Read a turn, and recognise its words where it has none.

    Args:
        turn: with a recording.
        sample_rate: of the samples, Hz.
        words: where words come from that are not given; None where nobody asks for them.

    Raises:
        AudioError: it cannot be read, or reaches beyond its recording.
    """
    assert turn.file is not None
    recording = read(
        turn.file, sample_rate, start_s=turn.start, end_s=turn.end, channel=turn.channel, allow_truncated=True,
        max_duration_s=LONGEST_S,
    )  # fmt: skip
    samples = recording.samples
    duration_s = len(samples) / sample_rate
    if turn.end is not None and turn.start + duration_s < turn.end - SLACK_S:
        raise AudioError(
            f"{turn.file}: turn {turn.number} is from {turn.start:g} s to {turn.end:g} s, and the recording ends at "
            f"{turn.start + duration_s:.2f} s; correct the table"
        )
    flags = {*recording.flags, *length_flags(duration_s, duration_s * speech_share(samples, sample_rate))}
    text = turn.text
    if words is not None and not text:
        text = words.of(samples, sample_rate)
        flags |= {"asr"} if text else {"no_text"}
    return TurnInput(samples, duration_s, text, frozenset(flags))


def without_recording(turn: Turn, *, wants_audio: bool, wants_text: bool) -> TurnInput:
    """A turn without a recording, or with one that cannot be read."""
    duration_s = 0.0 if turn.end is None else turn.end - turn.start
    flags = [*(["no_audio"] if wants_audio else []), *(["no_text"] if wants_text and not turn.text else [])]
    return TurnInput(None, duration_s, turn.text, frozenset(flags))
