"""Corpora: who said what, how; one reader a file."""

from collections.abc import Mapping
from pathlib import Path

from affectra.corpora import emodb, nemo, ravdess, savee, synthetic
from affectra.corpora.utterance import Corpus, CorpusInfo
from affectra.errors import CorpusError
from affectra.registry import unknown_name

CORPORA: Mapping[str, CorpusInfo] = {
    module.INFO.name: module.INFO for module in (emodb, nemo, ravdess, savee, synthetic)
}


def find_corpus(name: str) -> CorpusInfo:
    """What is known of a corpus.

    Raises:
        CorpusError: unknown, with the nearest known name.
    """
    if name not in CORPORA:
        raise CorpusError(unknown_name("corpus", name, CORPORA))
    return CORPORA[name]


def read_corpus(name: str, root: str | Path) -> Corpus:
    """Read a known corpus from its folder.

    Raises:
        CorpusError: unknown corpus, or nothing of it in `root`.
    """
    return find_corpus(name).read(Path(root))
