"""Many recordings: one after the other, what is done already skipped, a bad one named and the rest done."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from affectra.errors import AudioError


class Output(Protocol):
    """Where predictions go."""

    def is_done(self, recording: Path) -> bool:
        """Whether it has this recording, as it is now, from before."""

    def write(self, recording: Path, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take a recording's rows; they are there when this returns."""


def predict_files(
    recordings: Sequence[Path],
    predict_one: Callable[[Path], Sequence[Mapping[str, Any]]],
    outputs: Sequence[Output],
    *,
    complain: Callable[[str], object],
    progress: Callable[[int, int], object],
) -> int:
    """Predict each recording and write it to every output before the next one begins.

    Args:
        recordings: in order; one that every output has already is skipped.
        predict_one: a recording's rows, one or one a window, as of `affectra.predict.model.as_row`.
        outputs: where they go.
        complain: called for each recording that cannot be read.
        progress: called with how many are done, and of how many.

    Returns:
        How many could not be read.
    """
    n_failed = 0
    for k, recording in enumerate(recordings):
        progress(k, len(recordings))
        if all(output.is_done(recording) for output in outputs):
            continue
        try:
            rows = predict_one(recording)
        except (AudioError, OSError) as error:  # OSError: a disk or share that fails while it is read
            complain(str(error) if isinstance(error, AudioError) else f"{recording}: {error.strerror or error}")
            n_failed += 1
            continue
        for output in outputs:
            output.write(recording, rows)
    progress(len(recordings), len(recordings))
    return n_failed
