"""The command line: thin commands that import what they need when they run.

Takes arguments; gives results on stdout, progress and complaints on stderr, and an exit code. One file has a group of
commands, `console.py` what they share.
"""

import os
import sys
from collections.abc import Sequence

from cyclopts import CycloptsError

from affectra.cli import corpora, models, predict, runs, splits  # noqa: F401, each registers its commands
from affectra.cli.console import app, print_error
from affectra.errors import AffectraError
from affectra.files import cache_dir

__all__ = ["app", "main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0 done, 1 a part failed, 2 a user's mistake, 130 interrupted."""
    # Matplotlib keeps a list of fonts: in Affectra's cache, so that a command writes nowhere else unasked.
    os.environ.setdefault("MPLCONFIGDIR", str(cache_dir() / "matplotlib"))
    try:
        result = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        return print_error(" ".join(str(error).split()) + " (affectra --help)")
    except AffectraError as error:
        return print_error(" ".join(str(error).split("\n")))
    except KeyboardInterrupt:
        return print_error(
            "interrupted; finished folds and epochs of a run are kept, run it again with --resume", code=130
        )
    except BrokenPipeError:
        sys.stderr.close()  # the reader has left; Python would complain of it once more at exit
        return 0
    except OSError as error:  # no permission, no space, no such device: the system says it best
        return print_error(f"{error.filename2 or error.filename or 'files'}: {error.strerror or error}")
    return result if isinstance(result, int) else 0
