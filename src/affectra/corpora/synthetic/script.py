"""The script of the embedded corpus: who speaks to whom, in which emotion, which sentence, in which voice and manner.

Everything is drawn from one seed before a sound is made, so the script names the rendering. All numbers here are ours.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from affectra.corpora.synthetic.text import SHARED, WORDED

EMOTIONS = ("anger", "happiness", "neutral", "sadness")
N_TURNS = 10  # in a dialogue
N_CHAIN_DRAWS = 400  # of a pair's emotions, that the best balanced one is chosen from

# Next turn's emotion given this turn's, in the order of EMOTIONS; symmetric, so in the long run all are as frequent.
TRANSITIONS = np.array([
    [0.55, 0.05, 0.15, 0.25],
    [0.05, 0.60, 0.25, 0.10],
    [0.15, 0.25, 0.45, 0.15],
    [0.25, 0.10, 0.15, 0.50],
])  # fmt: skip


@dataclass(frozen=True)
class Speaker:
    """A voice: an espeak variant (formants, timbre) with its own pitch and range (0 to 100) and rate (words/min)."""

    name: str
    gender: str
    language: str
    voice: str
    pitch: float
    range: float
    rate: float


PAIRS = {  # session: its two speakers
    "us": (
        Speaker("us-f", "female", "en-US", "en-us+f2", 46, 48, 182),
        Speaker("us-m", "male", "en-US", "en-us+m3", 50, 52, 174),
    ),
    "gb": (
        Speaker("gb-f", "female", "en-GB", "en-gb-x-rp+f4", 42, 55, 176),
        Speaker("gb-m", "male", "en-GB", "en-gb-x-rp+m1", 55, 46, 188),
    ),
    "de1": (
        Speaker("de1-f", "female", "de", "de+f1", 44, 50, 172),
        Speaker("de1-m", "male", "de", "de+m7", 52, 56, 178),
    ),
    "de2": (
        Speaker("de2-f", "female", "de", "de+f3", 40, 46, 184),
        Speaker("de2-m", "male", "de", "de+m2", 48, 50, 168),
    ),
}

# How an emotion sounds: espeak's pitch and range in points, rate in per cent, pause between words in 10 ms,
# spectral tilt in dB per octave, level in dB; all against the speaker's own.
MANNER = {
    "anger": (4.0, 10.0, 22.0, 0.0, 3.0, 4.0),
    "happiness": (19.0, 26.0, 4.0, 0.0, 0.5, 2.0),
    "neutral": (0.0, -4.0, 0.0, 1.0, -0.5, 0.0),
    "sadness": (-6.0, -24.0, -16.0, 4.0, -2.5, -4.0),
}
OF_SPEAKER = (2.5, 6.0, 4.0, 0.5, 0.5, 1.0)  # standard deviations: how a speaker differs in each emotion
OF_UTTERANCE = (4.0, 10.0, 6.0, 1.0, 1.0, 2.5)  # and how an utterance differs


@dataclass(frozen=True)
class Manner:
    """How an utterance is spoken and recorded.

    Attributes:
        strength: how strongly the emotion is expressed, about 1.
        rate, pitch, range, word_gap: as espeak takes them.
        tilt_db: change of the spectrum per octave.
        gain_db: level against the corpus's usual one.
        noise_db: level of the background noise against full scale.
        before_s, after_s: silence around the speech.
        noise_seed: seed of the background noise and of the noise in the traces.
    """

    strength: float
    rate: int
    pitch: int
    range: int
    word_gap: int
    tilt_db: float
    gain_db: float
    noise_db: float
    before_s: float
    after_s: float
    noise_seed: int


@dataclass(frozen=True)
class Turn:
    """One utterance before it is rendered; `turn` counts from 1 in its dialogue."""

    utterance: str
    session: str
    dialogue: str
    turn: int
    speaker: Speaker
    emotion: str
    sentence: str
    text: str
    manner: Manner


def write_script(seed: int, n_dialogues: int) -> list[Turn]:
    """Draw all turns, in the order of dialogues and turns.

    Args:
        seed: everything follows from it.
        n_dialogues: dialogues of `N_TURNS` turns, dealt to the four pairs in turn.
    """
    rng = np.random.default_rng([seed, n_dialogues])
    habits = {
        (speaker, emotion): rng.normal(0.0, OF_SPEAKER)
        for pair in PAIRS.values()
        for speaker in pair
        for emotion in EMOTIONS
    }
    sentences = _Sentences(rng)
    sessions = list(PAIRS)
    emotions = {
        session: _draw_emotions(rng, len(range(place, n_dialogues, len(sessions))))
        for place, session in enumerate(sessions)
    }
    turns = []
    for number in range(n_dialogues):
        round_, place = divmod(number, len(sessions))
        session, dialogue = sessions[place], f"d{number + 1:02d}"
        for turn, emotion in enumerate(emotions[session][round_]):
            speaker = PAIRS[session][(round_ + turn) % 2]  # the two take turns in opening, too
            sentence, text = sentences.draw(speaker.language[:2], emotion)
            manner = _draw_manner(rng, speaker, emotion, habits[speaker, emotion])
            utterance = f"{dialogue}-{turn + 1:02d}-{speaker.name}"
            turns.append(Turn(utterance, session, dialogue, turn + 1, speaker, emotion, sentence, text, manner))
    return turns


def _draw_emotions(rng: np.random.Generator, n_dialogues: int) -> list[list[str]]:
    """Markov chains for a pair's dialogues, the best balanced of several draws for each of the two speakers."""
    chains = []
    cumulated = TRANSITIONS.cumsum(axis=1)
    speaker = (np.arange(n_dialogues)[:, None] + np.arange(N_TURNS)) % 2
    for _ in range(N_CHAIN_DRAWS):
        chain = np.empty((n_dialogues, N_TURNS), dtype=int)
        chain[:, 0] = rng.integers(len(EMOTIONS), size=n_dialogues)
        for turn in range(1, N_TURNS):
            chain[:, turn] = (rng.random((n_dialogues, 1)) < cumulated[chain[:, turn - 1]]).argmax(axis=1)
        counts = np.bincount((speaker * len(EMOTIONS) + chain).ravel(), minlength=2 * len(EMOTIONS))
        chains.append((float(counts.reshape(2, -1).std()), chain))
    _, best = min(chains, key=lambda chain: chain[0])
    return [[EMOTIONS[e] for e in dialogue] for dialogue in best]


class _Sentences:
    """Deals sentences so that each is used as often as the others, and every second one of an emotion is worded."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._decks: dict[tuple[str, str, bool], Iterator[int]] = {}
        self._n_dealt: dict[tuple[str, str], int] = {}

    def draw(self, language: str, emotion: str) -> tuple[str, str]:
        """The next sentence of a language for an emotion: its id and its text."""
        place = self._n_dealt.get((language, emotion), int(self._rng.integers(2)))
        self._n_dealt[language, emotion] = place + 1
        worded = place % 2 == 1
        pool = WORDED[language][emotion] if worded else SHARED[language]
        deck = self._decks.setdefault((language, emotion, worded), self._deal(pool))
        number = next(deck)
        return f"{language}-{emotion if worded else 'shared'}-{number + 1:02d}", pool[number]

    def _deal(self, pool: Sequence[str]) -> Iterator[int]:
        while True:
            yield from (int(number) for number in self._rng.permutation(len(pool)))


def _draw_manner(rng: np.random.Generator, speaker: Speaker, emotion: str, habit: np.ndarray) -> Manner:
    """The manner of one utterance: the emotion's, the speaker's habit in this emotion, and chance."""
    strength = float(np.clip(rng.normal(1.0, 0.25), 0.4, 1.6))
    drawn = strength * np.array(MANNER[emotion]) + habit + rng.normal(0.0, OF_UTTERANCE)
    pitch, range_, rate, word_gap, tilt, gain = drawn.tolist()
    return Manner(
        strength=round(strength, 3),
        rate=round(speaker.rate * (1 + rate / 100)),
        pitch=round(min(max(speaker.pitch + pitch, 0), 99)),
        range=round(min(max(speaker.range + range_, 0), 99)),
        word_gap=round(max(word_gap, 0)),
        tilt_db=round(tilt, 2),
        gain_db=round(gain, 2),
        noise_db=round(rng.uniform(-58.0, -42.0), 2),
        before_s=round(rng.uniform(0.1, 0.3), 3),
        after_s=round(rng.uniform(0.1, 0.3), 3),
        noise_seed=int(rng.integers(2**31)),
    )


def as_records(turns: Sequence[Turn]) -> list[dict[str, object]]:
    """The script as plain values, for its hash."""
    return [asdict(turn) for turn in turns]
