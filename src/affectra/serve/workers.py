"""A bounded number of threads and a bounded queue before them."""

import asyncio
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from affectra.serve.refusal import Busy, Refusal

T = TypeVar("T")


@dataclass
class _Job:
    function: Callable[[], Any]
    loop: asyncio.AbstractEventLoop
    begun: asyncio.Future[None] = field(init=False)
    done: asyncio.Future[Any] = field(init=False)

    def __post_init__(self) -> None:
        self.begun, self.done = self.loop.create_future(), self.loop.create_future()


class Workers:
    """Runs functions in threads, so that the server goes on answering meanwhile.

    A thread cannot be stopped from outside: a function that takes too long is given up by whoever waits for it, but
    keeps its place until it ends, so there is never more work than threads and queue hold. The threads are daemons and
    do not keep the server from stopping.

    Args:
        n_threads: functions that run at a time.
        n_waiting: functions that wait for a thread.
    """

    def __init__(self, n_threads: int, n_waiting: int) -> None:
        self._capacity = n_threads + n_waiting
        self._n_jobs = 0
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(n_threads)]
        for thread in self._threads:
            thread.start()

    @property
    def is_full(self) -> bool:
        """Whether the next function would be refused."""
        return self._n_jobs >= self._capacity

    def check(self) -> None:
        """Raise `Busy` when full."""
        if self.is_full:
            raise Busy("too many recordings at once")

    async def run(self, function: Callable[[], T], limit_s: float) -> T:
        """What the function returns.

        Args:
            function: called in a thread.
            limit_s: how long it may take once its turn has come.

        Raises:
            Refusal: no place is left, or it takes too long.
        """
        self.check()
        job = _Job(function, asyncio.get_running_loop())
        self._n_jobs += 1
        self._queue.put(job)
        try:
            await job.begun
            result: T = await asyncio.wait_for(job.done, limit_s)
        except TimeoutError as error:
            raise Refusal(422, f"not done within {limit_s:g} s; send a shorter recording") from error
        finally:
            job.begun.cancel()  # whoever asked is gone: a thread that has not begun need not
        return result

    def stop(self) -> None:
        """Let the threads end after what they are doing."""
        for _ in self._threads:
            self._queue.put(None)

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            try:
                self._run(job)
            except RuntimeError:  # the event loop is closed: the server has stopped
                return

    def _run(self, job: _Job) -> None:
        if job.begun.cancelled():
            job.loop.call_soon_threadsafe(self._finish, job, None, None)
            return
        job.loop.call_soon_threadsafe(_settle, job.begun, None, None)
        try:
            result, error = job.function(), None
        except BaseException as raised:  # whatever it is, it belongs to whoever waits
            result, error = None, raised
        job.loop.call_soon_threadsafe(self._finish, job, result, error)

    def _finish(self, job: _Job, result: Any, error: BaseException | None) -> None:
        self._n_jobs -= 1
        _settle(job.done, result, error)


def _settle(future: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
