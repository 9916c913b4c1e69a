"""Random streams: each derived from where it is used, so that a resumed run draws what an uninterrupted one would."""

import hashlib


def derive_seed(*parts: int | str) -> int:
    """A 63-bit seed for a place in a run, e.g. `derive_seed(seed, fold, "train", epoch, index)`.

    Example:
        >>> derive_seed(0, 1, "train", 2) == derive_seed(0, 1, "train", 2) != derive_seed(0, 1, "train", 3)
        True
    """
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
