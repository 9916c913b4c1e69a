"""The errors a user can meet; each message says where, what was found, what was expected and what to do."""

import importlib.util


class AffectraError(Exception):
    """A mistake the user can mend. The command line prints it as one line and exits with code 2."""


class AudioError(AffectraError):
    """A recording cannot be read: not audio, empty, cut off, NaN or infinite samples."""


class CorpusError(AffectraError):
    """A corpus or manifest is missing something or contradicts itself."""


class ProtocolError(AffectraError):
    """A protocol cannot be applied to these utterances."""


class ConfigError(AffectraError):
    """A recipe, option or command line is not valid."""


class CheckpointError(AffectraError):
    """A run directory or checkpoint cannot be read."""


def require_extra(package: str, extra: str, purpose: str) -> None:
    """Raise a `ConfigError` that names the extra to install when an optional package is missing.

    Example:
        >>> require_extra("json", "demo", "rendering the embedded corpus")
    """
    if importlib.util.find_spec(package) is None:
        raise ConfigError(f"{purpose} needs the package {package}: pip install 'affectra[{extra}]'")
