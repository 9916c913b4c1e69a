"""nEMO (Christop 2024): nine Polish actors, ninety sentences in six emotions each; a table says who, what and how."""

import csv
import unicodedata
from pathlib import Path, PurePosixPath

from affectra.corpora.manifest import GENDERS, Corpus, CorpusInfo, manifest_from_rows
from affectra.corpora.tree import RECORDING_SUFFIXES, Fault, Row, condense, find_recording, is_media, list_files
from affectra.errors import CorpusError

FIELDS = ("file_id", "emotion", "raw_text", "normalized_text", "speaker_id", "gender")
EMOTIONS = {
    "anger": "anger",
    "fear": "fear",
    "happiness": "happiness",
    "neutral": "neutral",
    "sadness": "sadness",
    "surprised": "surprise",
}


def read(root: Path) -> Corpus:
    """Read nEMO; the folder with `data.tsv` and `samples`.

    `sentence` is the normalized text itself, since the number in a file's name is no promise: the same sentences are
    spoken in all emotions, and splits by sentence must know them.

    Raises:
        CorpusError: no `data.tsv`, a column missing, or none of its recordings there.
    """
    files = [file for file in list_files(root) if is_media(file)]
    rows: dict[str, Row] = {}
    faults: list[Fault] = []
    for line, cells in _read_table(root / "data.tsv"):
        row = cells if isinstance(cells, str) else _parse(cells, root)
        if isinstance(row, str):
            place = f"data.tsv:{line}" if isinstance(cells, str) else f"data.tsv:{line} ({cells['file_id']})"
            faults.append((place, f"{row}; left out"))
        elif row["utterance"] in rows:
            faults.append((f"data.tsv:{line}", f"{row['utterance']} stands there twice; left out"))
        else:
            rows[row["utterance"]] = row
    if not rows:
        reason = f" ({faults[0][0]}: {faults[0][1]})" if faults else ""
        raise CorpusError(
            f"{root}: no utterance of nemo; expected data.tsv with rows, and their audio in samples/{reason}"
        )
    used = {row["file"] for row in rows.values()}
    faults += [
        (str(file), "no usable row of data.tsv says what it is; left out") for file in files if str(file) not in used
    ]
    return Corpus("nemo", root, manifest_from_rows(rows.values(), "nemo"), condense(faults))


def _read_table(path: Path) -> list[tuple[int, dict[str, str] | str]]:
    """Line number and cells (stripped: `speaker_id` is padded), or what is wrong with the line."""
    try:
        lines = list(
            csv.reader(path.read_text(encoding="utf-8-sig").splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
        )
    except OSError as error:
        raise CorpusError(
            f"{path}: {error.strerror}; expected the folder of nemo with data.tsv and samples/"
        ) from error
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path}: not UTF-8 ({error.reason}); fetch it again") from error
    header = [name.strip() for name in lines[0]] if lines else []
    missing = [name for name in FIELDS if name not in header]
    if missing:
        raise CorpusError(f"{path}: column {missing[0]!r} is missing, found {', '.join(header) or 'nothing'}")
    table: list[tuple[int, dict[str, str] | str]] = []
    for number, cells in enumerate(lines[1:], start=2):
        if len(cells) == len(header):
            table.append((number, {name: cell.strip() for name, cell in zip(header, cells, strict=True)}))
        elif cells:
            table.append((number, f"{len(cells)} cells, expected {len(header)}"))
    return table


def _parse(cells: dict[str, str], root: Path) -> Row | str:
    file, speaker, word = cells["file_id"], cells["speaker_id"], cells["emotion"]
    if word not in EMOTIONS:
        return f"unknown emotion {word!r}, expected one of {' '.join(EMOTIONS)}"
    if not speaker or cells["gender"] not in GENDERS:
        return f"speaker {speaker!r} of gender {cells['gender']!r}, expected a name and {' or '.join(GENDERS)}"
    if not file.startswith(f"{speaker}_{word}_"):
        return f"{file!r} contradicts speaker {speaker!r} and emotion {word!r}"
    found = find_recording(root, f"samples/{file}")
    if found is None:
        return f"no such file in samples, nor with {' or '.join(RECORDING_SUFFIXES)}"
    return {
        "utterance": PurePosixPath(file).stem,
        "file": found,
        "speaker": speaker,
        "gender": cells["gender"],
        "language": "pl",
        "text": cells["raw_text"],
        "sentence": _sentence(cells["normalized_text"]),
        "emotion": EMOTIONS[word],
        "style": "acted",
    }


def _sentence(text: str) -> str:
    """Letters and digits in small letters, so that a lost comma or another space does not make another sentence."""
    text = unicodedata.normalize("NFC", text).casefold()
    return " ".join("".join(letter if letter.isalnum() else " " for letter in text).split())


INFO = CorpusInfo(
    name="nemo",
    title="nEMO: Dataset of Emotional Speech in Polish",
    languages=("pl",),
    licence="CC BY-NC-SA 4.0",
    access="free: git clone https://github.com/amu-cai/nEMO",
    read=read,
    expected={
        "utterances": 4481,
        "speakers": 9,
        "emotion": {
            "anger": 749, "fear": 736, "happiness": 749, "neutral": 809, "sadness": 769, "surprise": 669,
        },
    },
)  # fmt: skip
