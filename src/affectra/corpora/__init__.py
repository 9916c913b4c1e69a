"""Corpora: speakers, their words and the labels.

Takes a corpus's folder or one's own table; gives a manifest with one row an utterance, tables beside it, and the faults
that were found. It knows no splits and no features. Open `manifest.py` first; each corpus has a reader of its own,
`importers/` reads one's own corpora, `synthetic/` is the embedded one, `doctor.py` checks any of them.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from affectra.corpora import (
    crema_d,
    emodb,
    emov_db,
    iemocap,
    meld,
    msp_improv,
    nemo,
    ravdess,
    savee,
    sewa,
    synthetic,
    tess,
    urdu,
)
from affectra.corpora.importers import audformat, emobox
from affectra.corpora.importers import table_and_folder as importers
from affectra.corpora.manifest import Corpus, CorpusInfo
from affectra.errors import CorpusError
from affectra.registry import check_options, unknown_name

CORPORA: Mapping[str, CorpusInfo] = {
    module.INFO.name: module.INFO
    for module in (
        crema_d, emodb, emov_db, iemocap, meld, msp_improv, nemo, ravdess, savee, sewa, synthetic, tess, urdu,
    )
}  # fmt: skip


# Anybody's own corpora, by what describes them.
IMPORTERS: Mapping[str, Callable[..., Corpus]] = {
    "audformat": audformat.read,
    "csv": importers.read_csv,
    "emobox": emobox.read,
    "folder": importers.read_folder,
}


def find_corpus(name: str) -> CorpusInfo:
    """Find a corpus by its name, which may be spelt with other case, hyphens and spaces ("EMO-DB").

    Raises:
        CorpusError: unknown, with the nearest known name.
    """
    plain = "".join(letter for letter in name.casefold() if letter.isalnum())
    if plain not in CORPORA:
        raise CorpusError(unknown_name("corpus", name, CORPORA))
    return CORPORA[plain]


def read_corpus(name: str, root: str | Path, options: Mapping[str, Any] | None = None) -> Corpus:
    """Read a known corpus from its folder.

    Args:
        name: the corpus.
        root: its folder.
        options: of its reader.

    Raises:
        CorpusError: unknown corpus, or nothing of it in `root`.
        ConfigError: an option that its reader does not have.
    """
    info = find_corpus(name)
    check_options(f"corpus {info.name}", info.read, options or {}, also=("root",))
    return info.read(Path(root), **(options or {}))
