"""MELD (Poria et al. 2019): dialogues of the series Friends as text, and as audio if it has been extracted."""

import csv
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath

from affectra.corpora.manifest import Corpus, CorpusInfo, manifest_from_rows
from affectra.corpora.tree import RECORDING_SUFFIXES, Fault, Row, condense, is_media, list_files
from affectra.errors import CorpusError

NUMBERS = ("Dialogue_ID", "Utterance_ID", "Season", "Episode")
FIELDS = ("Utterance", "Speaker", "Emotion", "Sentiment", *NUMBERS)
EMOTIONS = {
    "anger": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "joy": "happiness",
    "neutral": "neutral",
    "sadness": "sadness",
    "surprise": "surprise",
}
SENTIMENTS = {"negative": -1, "neutral": 0, "positive": 1}
SPLITS = ("train", "dev", "test")
TABLE = re.compile(rf"({'|'.join(SPLITS)})_sent_emo\.csv")
CLIP = re.compile(r"dia(?P<dialogue>\d+)_utt(?P<turn>\d+)")
SPLIT_IN_FOLDER = re.compile(rf"(?:^|[^a-z])({'|'.join(SPLITS)})(?:[^a-z]|$)")

# Windows' punctuation where Unicode has control characters; 5 of the 32 stand for nothing and go.
CP1252 = {code: bytes([code]).decode("cp1252", errors="ignore") for code in range(0x80, 0xA0)}


def read(root: Path) -> Corpus:
    """Read MELD: `train_sent_emo.csv`, `dev_sent_emo.csv` and `test_sent_emo.csv`, as many as there are, and audio.

    The release has videos; audio extracted from them as `dia0_utt0.wav` (or .flac) is found anywhere below the root in
    folders whose names say the split (`train_splits`, `dev_splits_complete`, `output_repeated_splits_test`, or others
    with such a word). Without audio `file` is empty and the text is what there is.

    Some copies of the tables are UTF-8 with the control characters U+0080 to U+009F where Windows-1252 has quotation
    marks, dashes and dots; those are repaired. Sentiment becomes `valence`: -1 negative, 0 neutral, 1 positive.
    Speakers are the names of the roles, over all splits; names such as "All" or "Man" are no single person. A session
    is an episode, such as s4e7; episodes are in several splits. The tables' times are positions in the episode, not in
    a clip, and are left out.

    Raises:
        CorpusError: no table below the root, a column missing, or no usable row.
    """
    files = list_files(root)
    faults: list[Fault] = []
    tables = _find_tables(root, files, faults)
    rows: dict[str, Row] = {}
    for split, table in tables.items():
        for line, cells in _read_table(root, table):
            row = cells if isinstance(cells, str) else _parse(cells, split)
            if isinstance(row, str):
                faults.append((f"{table}:{line}", f"{row}; left out"))
            elif row["utterance"] in rows:
                faults.append((f"{table}:{line}", f"{row['utterance']} stands there twice; left out"))
            else:
                rows[row["utterance"]] = row
    clips = _find_clips(files, tuple(tables), rows, faults)
    for utterance, row in list(rows.items()):
        row["file"] = clips.get(utterance, "")
        if not row["file"] and not row["text"]:
            faults.append((utterance, "neither text nor a recording; left out"))
            del rows[utterance]
    if not rows:
        reason = f"; {condense(faults)[0]}" if faults else ""
        raise CorpusError(f"{root}: no usable row of meld in {', '.join(map(str, tables.values()))}{reason}")
    return Corpus("meld", root, manifest_from_rows(rows.values(), "meld"), (*_missing(rows, clips), *condense(faults)))


def _find_tables(root: Path, files: list[PurePosixPath], faults: list[Fault]) -> dict[str, PurePosixPath]:
    """The tables by split, in the order of `SPLITS`; of two for one split the one nearer to the root."""
    found: dict[str, PurePosixPath] = {}
    for file in sorted(files, key=lambda file: len(file.parts)):
        match = TABLE.fullmatch(file.name)
        if match and match[1] in found:
            faults.append((str(file), f"a second table of this split beside {found[match[1]]}; left out"))
        elif match:
            found[match[1]] = file
    if not found:
        names = ", ".join(f"{split}_sent_emo.csv" for split in SPLITS)
        raise CorpusError(f"{root}: no table of meld among {len(files)} files; expected one or all of {names}")
    return {split: found[split] for split in SPLITS if split in found}


def _read_table(root: Path, table: PurePosixPath) -> Iterator[tuple[int, dict[str, str] | str]]:
    """Number and cells of each line, or what is wrong with it.

    Each line is parsed for itself: no cell has line breaks, and a stray quotation mark must not swallow more than one.
    """
    try:
        content = (root / table).read_bytes()
    except OSError as error:
        raise CorpusError(f"{root / table}: cannot be read ({error.strerror})") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:  # copies saved by a spreadsheet
        text = content.decode("cp1252", errors="replace")
    header: list[str] = []
    for number, line in enumerate(text.translate(CP1252).split("\n"), start=1):
        try:
            cells = [cell.strip() for cell in next(csv.reader([line.removesuffix("\r")], strict=True), [])]
        except csv.Error as error:
            yield number, f"not a row of a table ({error})"
            continue
        if not header:
            header = cells
            missing = [name for name in FIELDS if name not in header]
            if missing:
                raise CorpusError(f"{root / table}: column {missing[0]!r} is missing, found {', '.join(header)}")
        elif len(cells) == len(header):
            yield number, dict(zip(header, cells, strict=True))
        elif cells:
            yield number, f"{len(cells)} cells, expected {len(header)}"


def _parse(cells: dict[str, str], split: str) -> Row | str:
    for name in NUMBERS:
        if not re.fullmatch(r"[0-9]+", cells[name]):
            return f"{name} is {cells[name]!r}, expected a number"
    dialogue, turn, season, episode = (int(cells[name]) for name in NUMBERS)
    emotion, sentiment = cells["Emotion"], cells["Sentiment"]
    if emotion not in EMOTIONS:
        return f"unknown emotion {emotion!r}, expected one of {' '.join(EMOTIONS)}"
    if sentiment not in SENTIMENTS:
        return f"unknown sentiment {sentiment!r}, expected one of {' '.join(SENTIMENTS)}"
    return {
        "utterance": f"{split}_dia{dialogue}_utt{turn}",
        "speaker": cells["Speaker"],
        "language": "en-US",
        "session": f"s{season}e{episode}",
        "dialogue": f"{split}_dia{dialogue}",
        "turn": turn,
        "text": cells["Utterance"],
        "emotion": EMOTIONS[emotion],
        "valence": SENTIMENTS[sentiment],
        "style": "acted",
        "split": split,
    }


def _find_clips(
    files: list[PurePosixPath], splits: tuple[str, ...], utterances: Collection[str], faults: list[Fault]
) -> dict[str, str]:
    """The recording of each utterance that has one."""
    found: dict[str, str] = {}
    videos: dict[str, str] = {}
    for file in filter(is_media, files):
        match, split = CLIP.fullmatch(file.stem), _split_of(file, splits)
        utterance = f"{split}_dia{int(match['dialogue'])}_utt{int(match['turn'])}" if match else ""
        if not match:
            faults.append((str(file), "not a name of MELD such as dia0_utt0; left out"))
        elif split is None:
            faults.append((str(file), "no folder above it says whether it is train, dev or test; left out"))
        elif utterance not in utterances:
            faults.append((str(file), f"no usable row of {split}_sent_emo.csv says what it is; left out"))
        elif file.suffix.lower() not in RECORDING_SUFFIXES:
            videos.setdefault(utterance, str(file))
        elif utterance in found:
            faults.append((str(file), f"the same clip as {found[utterance]}; left out"))
        else:
            found[utterance] = str(file)
    wanted = f"expected {' or '.join(RECORDING_SUFFIXES)}; extract the audio"
    faults += [(file, wanted) for utterance, file in videos.items() if utterance not in found]
    return found


def _split_of(file: PurePosixPath, splits: tuple[str, ...]) -> str | None:
    """The split that the nearest folder names, since names of clips repeat; if there is one table alone, its split."""
    for folder in reversed(file.parts[:-1]):
        named = set(SPLIT_IN_FOLDER.findall(folder.lower()))
        if len(named) == 1:
            return str(named.pop())
    return splits[0] if len(splits) == 1 else None


def _missing(rows: Mapping[str, Row], clips: Mapping[str, str]) -> tuple[str, ...]:
    """One line on all rows without a recording, for a corpus that has some."""
    missing = [row for utterance, row in rows.items() if utterance not in clips]
    if not clips or not missing:
        return ()
    n_rows, n_missing = (Counter(row["split"] for row in some) for some in (rows.values(), missing))
    counts = ", ".join(f"{n} of {n_rows[split]} {split}" for split, n in n_missing.items())
    return (f"{missing[0]['utterance']}: no recording; {counts} utterances have text alone",)


INFO = CorpusInfo(
    name="meld",
    title="Multimodal EmotionLines Dataset (MELD)",
    languages=("en-US",),
    licence="GPL-3.0 (labels); the recordings are a television series",
    access="free: https://github.com/declare-lab/MELD, tables in data/MELD, videos in MELD.Raw.tar.gz",
    read=read,
    expected={
        "utterances": 13708,
        "emotion": {
            "anger": 1607, "disgust": 361, "fear": 358, "happiness": 2308, "neutral": 6436, "sadness": 1002,
            "surprise": 1636,
        },
        "split": {"train": 9989, "dev": 1109, "test": 2610},
    },
)  # fmt: skip
