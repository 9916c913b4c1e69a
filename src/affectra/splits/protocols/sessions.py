"""Protocols that keep recording sessions whole, and with them their speakers and dialogues."""

import numpy as np
import pandas as pd

from affectra.corpora.manifest import utterance_keys
from affectra.errors import ProtocolError
from affectra.splits.protocols.folds import Fold
from affectra.splits.protocols.groups import check_enough, leave_one_out, make_fold
from affectra.splits.protocols.kinds import known_members, members

FIFTH = "5"  # as the reader of IEMOCAP writes it


def losession(manifest: pd.DataFrame, dev: bool = True) -> list[Fold]:
    """Leave one session out.

    Args:
        manifest: the utterances.
        dev: whether the next session is the dev part.

    Raises:
        ProtocolError: sessions unknown or too few, or a speaker or dialogue that is in several.
    """
    return leave_one_out(_whole_sessions(manifest, "losession"), manifest, dev, "losession", "sessions")


def session5(manifest: pd.DataFrame, dev: bool = True) -> list[Fold]:
    """One fold of one corpus: session "5" is the test part, as is usual for IEMOCAP.

    Args:
        manifest: the utterances.
        dev: whether the session after it (cyclic, so IEMOCAP's first) is the dev part.

    Raises:
        ProtocolError: as `losession`; several corpora, or no session "5".
    """
    corpora = sorted(manifest["corpus"].unique())
    if len(corpora) > 1:
        raise ProtocolError(f"protocol session5: is for one corpus, found {', '.join(map(repr, corpora))}")
    _whole_sessions(manifest, "session5")
    sessions = manifest["session"].to_numpy()
    names = sorted(set(sessions))
    found = ", ".join(repr(name) for name in names)
    if FIFTH not in names:
        raise ProtocolError(f"protocol session5: no session {FIFTH!r}, found {found}; losession tests each in turn")
    check_enough(len(names), 3 if dev else 2, dev, "protocol session5", f"sessions (here {found})")
    following = names[(names.index(FIFTH) + 1) % len(names)]
    dev_rows = sessions == following if dev else np.zeros(len(sessions), dtype=bool)
    return [make_fold(utterance_keys(manifest).to_numpy(), sessions == FIFTH, dev_rows)]


def _whole_sessions(manifest: pd.DataFrame, protocol: str) -> pd.Series:
    """Each row's session, after checking that no speaker and no dialogue reaches beyond one."""
    speakers = known_members(manifest, "speaker", protocol)
    sessions = known_members(manifest, "session", protocol)
    for kind, names in (("speaker", speakers), ("dialogue", members(manifest, "dialogue"))):
        shared = sessions[names != ""].groupby(names[names != ""]).nunique()
        if (shared > 1).any():
            name = shared.index[shared > 1][0]
            raise ProtocolError(
                f"protocol {protocol}: {kind} {name!r} is in several sessions; if those are several {kind}s, name "
                f"them apart, else use loso"
            )
    return sessions
