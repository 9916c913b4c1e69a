"""Pretrained models by directory or hub name: local files are read, and the hub is asked once for what is missing."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.error import HTTPError
from urllib.request import Request, urlopen

PATIENCE_S = 5.0  # ours; huggingface_hub itself would try again for the better part of a minute
T = TypeVar("T")


def read_model(model: str, read: Callable[[bool], T]) -> T:
    """Read a model from its directory or the cache of huggingface_hub, and where that fails, from the hub.

    Args:
        model: a directory or a name on the hub.
        read: reads it; its argument is whether from local files only.

    Raises:
        OSError: not there, and no hub to ask; and whatever `read` raises for a directory or of the hub.
    """
    try:
        return read(True)
    except (OSError, ValueError) as error:
        if Path(model).is_dir():
            raise
        here = error
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE or not is_reachable(constants.ENDPOINT):
        reason = (str(here) or type(here).__name__).splitlines()[0]
        raise OSError(
            f"it is not in the cache, {constants.HF_HUB_CACHE}, or not whole ({reason}), and {constants.ENDPOINT} "
            "cannot be reached; run once with a network, or give a local directory instead of the name"
        ) from here
    return read(False)


def is_reachable(endpoint: str) -> bool:
    """Whether anybody answers at an http address, whatever the answer; proxies are those of the environment."""
    try:
        urlopen(Request(endpoint, method="HEAD"), timeout=PATIENCE_S).close()
    except OSError as error:  # huggingface_hub may know certificates that Python does not
        return isinstance(error, HTTPError) or isinstance(getattr(error, "reason", None), ssl.SSLError)
    return True
