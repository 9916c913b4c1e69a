"""The grid of a run: folds times seeds, one after the other or in a process pool."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import TypeVar

from affectra.errors import AffectraError
from affectra.runs.units.plan_types import Job

Done = TypeVar("Done", bound=Job)


def run_jobs(jobs: Sequence[Done], n_processes: int, on_done: Callable[[Done], None]) -> None:
    """Run folds, or what they start from; each writes its own folder.

    Args:
        jobs: those still to be done.
        n_processes: 1 runs them here; more start that many fresh processes.
        on_done: called in this process after each fold.
    """
    if n_processes == 1 or len(jobs) <= 1:
        for job in jobs:
            job.run()
            on_done(job)
        return
    # spawn: torch must not be forked. The watcher ends a worker whose parent was killed, so that nothing goes on
    # writing into a run directory that is resumed.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(n_processes, len(jobs)), mp_context=context, initializer=_watch_parent)
    try:
        futures = {pool.submit(job.run): job for job in jobs}
        for future in as_completed(futures):
            future.result()
            on_done(futures[future])
    except BrokenProcessPool as error:
        raise AffectraError(
            "a process of --jobs was killed, often for want of memory; fewer --jobs, then --resume"
        ) from error
    except BaseException:
        for process in list(pool._processes.values()):
            process.kill()  # not terminate: Lightning catches that signal
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _watch_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None

    def leave_with_parent() -> None:
        wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=leave_with_parent, daemon=True).start()
