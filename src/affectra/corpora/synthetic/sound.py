"""From espeak's speech to a recording of the embedded corpus, the times of its words, and its affect traces."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import soxr

from affectra.corpora.synthetic.script import Turn
from affectra.corpora.synthetic.text import KEYWORDS

SAMPLE_RATE = 16000
SPEECH_DB = -26.0  # usual level of the speech against full scale
PEAK = 0.97  # louder recordings are turned down to it
NOISE_TILT_DB = -3.0  # per octave: pink
TRACE_RATE_HZ = 10
INERTIA_S = 0.8  # time constant of the traces: affect follows voice and words with this lag
CARRIED = 0.4  # how much of the turn before is left in a dialogue at the start of a turn

# What voice and words push the traces towards: arousal, valence, liking (ours).
VOICED = {
    "anger": (0.7, -0.5, -0.5),
    "happiness": (0.6, 0.6, 0.5),
    "neutral": (-0.1, 0.0, 0.0),
    "sadness": (-0.6, -0.5, -0.1),
}
WORDED = {
    "anger": (0.3, -0.5, -0.6),
    "happiness": (0.2, 0.5, 0.5),
    "neutral": (-0.2, 0.0, 0.1),
    "sadness": (-0.3, -0.5, -0.2),
}
DIMENSIONS = ("arousal", "valence", "liking")


def tilt(samples: np.ndarray, sample_rate: int, db_per_octave: float) -> np.ndarray:
    """Tilt a spectrum around 500 Hz, level below 100 Hz; (sample,) -> (sample,), no delay."""
    spectrum = np.fft.rfft(samples)
    octaves = np.log2(np.maximum(np.fft.rfftfreq(len(samples), 1 / sample_rate), 100.0) / 500.0)
    return np.fft.irfft(spectrum * 10 ** (db_per_octave * octaves / 20), n=len(samples))


def at_level(samples: np.ndarray, level_db: float) -> np.ndarray:
    """Scale to a root mean square in dB against full scale."""
    scaled: np.ndarray = samples * (10 ** (level_db / 20) / np.sqrt(np.mean(samples**2)))
    return scaled


def produce(turn: Turn, speech: np.ndarray, sample_rate: int) -> np.ndarray:
    """Make a recording of espeak's speech: vocal effort, level, silence around it, background noise.

    Args:
        turn: what the script says of the utterance.
        speech: (sample,) in [-1, 1].
        sample_rate: espeak's, in Hz.

    Returns:
        int16 (sample,) at `SAMPLE_RATE`.
    """
    voiced = tilt(soxr.resample(speech.astype(np.float64), sample_rate, SAMPLE_RATE), SAMPLE_RATE, turn.manner.tilt_db)
    padding = (round(turn.manner.before_s * SAMPLE_RATE), round(turn.manner.after_s * SAMPLE_RATE))
    recording = np.pad(at_level(voiced, SPEECH_DB + turn.manner.gain_db), padding)
    noise = np.random.default_rng(turn.manner.noise_seed).standard_normal(len(recording))
    recording = recording + at_level(tilt(noise, SAMPLE_RATE, NOISE_TILT_DB), turn.manner.noise_db)
    recording *= min(1.0, PEAK / np.abs(recording).max())
    samples: np.ndarray = np.round(recording * 32767).astype(np.int16)
    return samples


def place_words(turn: Turn, spans: Sequence[tuple[int, float, float]]) -> list[dict[str, Any]]:
    """Rows of the table of words: utterance, word, start, end (s in the recording).

    espeak speaks some words as one ("in the"); their time is shared out by their letters. Of others ("so much") it
    gives the times but the same place.

    Args:
        turn: what the script says of the utterance.
        spans: (character in the text, start, end) in the time of the speech.
    """
    words = list(re.finditer(r"[^\W\d_]+(?:['’][^\W\d_]+)*", turn.text))
    starts = [word.start() for word in words]
    places = np.maximum(np.searchsorted(starts, [span[0] for span in spans], side="right") - 1, 0).tolist()
    rows: list[dict[str, Any]] = []
    for place in sorted(set(places)):
        until = min((other for other in places if other > place), default=len(words))
        times = [span[1:] for span, other in zip(spans, places, strict=True) if other == place]
        for group, (start, end) in _pair([word.group() for word in words[place:until]], times):
            lengths = np.cumsum([0, *map(len, group)]) / sum(map(len, group))
            borders = np.round(turn.manner.before_s + start + (end - start) * lengths, 4).tolist()
            for word, left, right in zip(group, borders[:-1], borders[1:], strict=True):
                rows.append({"utterance": turn.utterance, "word": word, "start": left, "end": right})
    return rows


def _pair(words: list[str], times: list[tuple[float, float]]) -> Iterator[tuple[list[str], tuple[float, float]]]:
    """Words that espeak places together and the times it gives them: one each, and what is left over to the last."""
    last = min(len(words), len(times)) - 1
    for word, time in zip(words[:last], times[:last], strict=True):
        yield [word], time
    yield words[last:], (times[last][0], times[-1][1])


def trace(
    turn: Turn, words: Sequence[dict[str, Any]], duration_s: float, mood: np.ndarray
) -> tuple[pd.DataFrame, np.ndarray]:
    """Arousal, valence and liking in [-1, 1] at 10 Hz, and the mood that the next turn starts from.

    Each follows its target with the lag of `INERTIA_S`. While somebody speaks, the target is what the voice expresses,
    in its strength, plus what an affective word adds while it is spoken and half a second after; in silence it is 0.

    Args:
        turn: what the script says of the utterance.
        words: its rows of the table of words.
        duration_s: of the recording.
        mood: arousal, valence, liking at the end of the turn before; zeros at the start of a dialogue.
    """
    affect = {word: np.array(WORDED[emotion]) for emotion, known in KEYWORDS.items() for word in known}
    times = np.arange(int(np.ceil(duration_s * TRACE_RATE_HZ))) / TRACE_RATE_HZ
    voiced = turn.manner.strength * np.array(VOICED[turn.emotion])
    target = np.zeros((len(times), len(DIMENSIONS)))
    speaking = (times >= words[0]["start"]) & (times <= words[-1]["end"])
    target[speaking] += voiced
    for word in words:
        shift = affect.get(word["word"].lower())
        if shift is not None:
            target[(times >= word["start"]) & (times <= word["end"] + 0.5)] += shift
    rng = np.random.default_rng([turn.manner.noise_seed, 1])
    values = np.empty_like(target)
    state, wander = CARRIED * mood, np.zeros(len(DIMENSIONS))
    follow = 1 - np.exp(-1 / (TRACE_RATE_HZ * INERTIA_S))
    for step, aim in enumerate(target):
        state = state + follow * (aim - state)
        wander = 0.9 * wander + rng.normal(0.0, 0.03, len(DIMENSIONS))
        values[step] = state + wander
    table = pd.DataFrame(np.clip(values, -1, 1).round(4), columns=list(DIMENSIONS))
    table.insert(0, "time", times.round(1))
    table.insert(0, "utterance", turn.utterance)
    return table, state
