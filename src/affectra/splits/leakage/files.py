"""An audit of files: somebody's splits, the manifests of their utterances, and the audio where it can be found."""

from collections.abc import Callable, Sequence
from pathlib import Path

from affectra.corpora.manifest import Corpus, join_manifests, read_manifest
from affectra.corpora.sources import find_root
from affectra.errors import CorpusError
from affectra.splits.leakage.audit import audit
from affectra.splits.leakage.by_ear.fingerprint import fingerprint_corpora
from affectra.splits.leakage.findings import Audit
from affectra.splits.protocols.named import promises_of
from affectra.splits.protocols.published import is_as_written, read_published


def audit_file(
    splits: Path,
    manifests: Sequence[Path],
    root: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Audit:
    """Judge a splits file.

    Args:
        splits: as `affectra split` writes it, or another format that `read_published` knows.
        manifests: of its utterances.
        root: folder of the audio; default: where each manifest lies or was prepared from.
        progress: called with utterances done and utterances in all.
        say: takes what the reader should know besides.

    Raises:
        CorpusError: a manifest that is none, or two of one corpus.
        ProtocolError: splits that cannot be read, or that name utterances which the manifests lack.
    """
    corpora, silent = [], []
    for path in manifests:
        manifest = read_manifest(path)
        place = root or find_root(path, manifest)
        first = next((file for file in manifest["file"] if file), "")
        if root is not None and not (root / first).exists():
            raise CorpusError(f"{root}: {first} of {path} is not below it; give the folder its file column starts from")
        if place is None:
            silent.append(str(path))
        corpora.append(Corpus(path.stem, place or path.parent, manifest))
    joined = join_manifests([corpus.manifest for corpus in corpora])
    folds, claimed = read_published(splits, joined)
    promises = promises_of(claimed)
    if not is_as_written(splits):
        say(f"{splits}: the folds were changed after they were stamped; they are held to what {claimed} promises")
    if not (joined["file"] != "").any():
        return audit(folds, joined, promises=promises)
    if silent:
        say(
            f"the audio of {', '.join(silent)} was not found, so copies are looked for by name alone; --root says where"
        )
        return audit(folds, joined, promises=promises)
    return audit(folds, joined, promises=promises, fingerprints=fingerprint_corpora(corpora, joined, progress))
