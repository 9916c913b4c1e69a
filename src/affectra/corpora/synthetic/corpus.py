"""The embedded corpus: synthetic emotional dialogues in English and German, rendered here by espeak-ng.

It is there so that every command, recipe and test has something to work on without a licence or a download: a minute
of training shows that a system learns, and shuffled labels that it does not cheat. Eight synthetic speakers in four
pairs talk in dialogues; anger, happiness, neutral and sadness change pitch, range, rate, pauses, timbre and level,
differently by speaker and utterance, over background noise. Half of the sentences say nothing of the emotion, and a
turn's emotion depends on the one before, so voice, words and context each tell something and none tells all.

It is NOT evidence about human speech: the emotions are rules of ours, the voices one formant synthesiser, the noise a
filter. A score on it says that the machinery works, never how well a method recognises emotion. Whatever is made with
it is marked synthetic.
"""

import json
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from affectra.corpora.manifest import Corpus, CorpusInfo, manifest_from_rows, read_manifest, write_manifest
from affectra.corpora.synthetic.script import PAIRS, Turn, as_records, write_script
from affectra.corpora.synthetic.sound import DIMENSIONS, SAMPLE_RATE, place_words, produce, trace
from affectra.errors import ConfigError, CorpusError, require_extra
from affectra.files import cache_dir, sha256_json

VERSION = "1"  # raise it when the same script would sound different
N_DIALOGUES = 24


def render(seed: int = 0, root: Path | None = None, *, n_dialogues: int = N_DIALOGUES) -> Path:
    """Render the corpus unless it is there already; the same seed gives the same bytes on the same machine.

    Args:
        seed: of everything drawn.
        root: folder that renderings are kept in, each under a name of its own; default: the cache.
        n_dialogues: dialogues of ten turns; fewer than the usual 24 for a quick look.

    Returns:
        The corpus's folder, for `read`.

    Raises:
        ConfigError: espeakng-loader is missing, or less than one dialogue is asked for.
        CorpusError: espeak-ng failed.
    """
    require_extra("espeakng_loader", "demo", "rendering the embedded corpus")
    if n_dialogues < 1:
        raise ConfigError(f"synthetic: n_dialogues is {n_dialogues}; a rendering needs at least 1")
    turns = write_script(seed, n_dialogues)
    engine = version("espeakng-loader")
    folder = (root or cache_dir()) / f"synthetic-{VERSION}-{sha256_json([engine, as_records(turns)])[:12]}"
    if (folder / "manifest.csv").is_file():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".synthetic-", dir=folder.parent) as temporary:
        made = Path(temporary) / "corpus"
        made.mkdir()
        _speak(turns, Path(temporary))
        _produce(turns, Path(temporary), made)
        try:
            made.replace(folder)
        except OSError as error:  # there by now: another process rendered the same, and its files are as good
            if not (folder / "manifest.csv").is_file():
                raise CorpusError(f"{folder}: not a whole rendering; remove this folder") from error
    return folder


def _speak(turns: list[Turn], folder: Path) -> None:
    """Run the renderer in its own process: espeak's speech and word spans of every turn into `folder`."""
    jobs = [
        {
            "name": turn.utterance,
            "text": turn.text,
            "voice": turn.speaker.voice,
            "rate": turn.manner.rate,
            "pitch": turn.manner.pitch,
            "range": turn.manner.range,
            "word_gap": turn.manner.word_gap,
        }
        for turn in turns
    ]
    # By its path, and not `-m`, so that nothing of the package is imported into a process that forks.
    renderer = Path(__file__).with_name("_espeak.py")
    done = subprocess.run(
        [sys.executable, "-P", str(renderer)],
        input=json.dumps({"folder": str(folder), "jobs": jobs}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise CorpusError(
            f"synthetic: espeak-ng failed: {reason}; pip install --force-reinstall espeakng-loader may help"
        )


def _produce(turns: list[Turn], spoken: Path, folder: Path) -> None:
    """Write the recordings, the manifest and the tables beside it from what espeak spoke."""
    (folder / "wav").mkdir()
    rows, words, traces = [], [], []
    mood = np.zeros(len(DIMENSIONS))
    for turn in turns:
        speech, sample_rate = soundfile.read(spoken / f"{turn.utterance}.wav")
        recording = produce(turn, speech, sample_rate)
        file = f"wav/{turn.utterance}.wav"
        soundfile.write(folder / file, recording, SAMPLE_RATE, subtype="PCM_16")
        spans = json.loads((spoken / f"{turn.utterance}.json").read_text(encoding="utf-8"))["spans"]
        words += (placed := place_words(turn, spans))
        mood = np.zeros(len(DIMENSIONS)) if turn.turn == 1 else mood
        table, mood = trace(turn, placed, len(recording) / SAMPLE_RATE, mood)
        traces.append(table)
        rows.append(_row(turn, file, table))
    pd.DataFrame(words).to_csv(folder / "words.csv", index=False, lineterminator="\n")
    pd.concat(traces).to_csv(folder / "continuous.csv", index=False, lineterminator="\n")
    write_manifest(manifest_from_rows(rows, "synthetic"), folder / "manifest.csv")


def _row(turn: Turn, file: str, table: pd.DataFrame) -> dict[str, object]:
    means = {dimension: round(float(table[dimension].mean()), 4) for dimension in DIMENSIONS}
    return {
        "utterance": turn.utterance,
        "file": file,
        "speaker": turn.speaker.name,
        "gender": turn.speaker.gender,
        "language": turn.speaker.language,
        "session": turn.session,
        "dialogue": turn.dialogue,
        "turn": turn.turn,
        "text": turn.text,
        "sentence": turn.sentence,
        "emotion": turn.emotion,
        "style": "acted",
        **means,
    }


def read(root: Path) -> Corpus:
    """Read a rendering; needs no espeak.

    Tables beside the manifest: "words" (utterance, word, start, end) and "continuous" (utterance, time, arousal,
    valence, liking; in [-1, 1], ten a second). An utterance's arousal, valence and liking are the means of its traces.

    Raises:
        CorpusError: no rendering in `root`.
    """
    for name in ("manifest.csv", "words.csv", "continuous.csv"):
        if not (root / name).is_file():
            raise CorpusError(f"{root}: no {name}; expected a folder that affectra.corpora.synthetic.render wrote")
    words = pd.read_csv(root / "words.csv", dtype={"utterance": "str", "word": "str"}, keep_default_na=False)
    continuous = pd.read_csv(root / "continuous.csv", dtype={"utterance": "str"})
    manifest = read_manifest(root / "manifest.csv", "synthetic")
    return Corpus("synthetic", root, manifest, tables={"words": words, "continuous": continuous})


INFO = CorpusInfo(
    name="synthetic",
    title="Embedded corpus: synthetic emotional dialogues in English and German",
    languages=("en-US", "en-GB", "de"),
    licence="as this package; spoken by espeak-ng (GPL-3)",
    access="rendered on the spot by espeak-ng: pip install 'affectra[demo]'",
    read=read,
    expected={"utterances": 240, "speakers": sum(len(pair) for pair in PAIRS.values())},
    synthetic=True,
)
