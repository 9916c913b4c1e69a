"""A bounded number of threads and a bounded queue before them."""

import asyncio
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from affectra.serve.refusal import Busy, Refusal

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass
class _Job(Generic[Item]):
    item: Item
    loop: asyncio.AbstractEventLoop
    begun: asyncio.Future[None] = field(init=False)
    done: asyncio.Future[Any] = field(init=False)

    def __post_init__(self) -> None:
        self.begun, self.done = self.loop.create_future(), self.loop.create_future()


class Workers(Generic[Item, Result]):
    """Does work in threads, so that the server goes on answering meanwhile.

    What waits when a thread is free is shared out evenly among the threads: nothing ever waits for more to come.

    A thread cannot be stopped from outside: work that takes too long is given up by whoever waits for it, but keeps
    its place until it ends, so there is never more of it than threads and queue hold. The threads are daemons and do
    not keep the server from stopping.

    Args:
        work: done in a thread; of each item its result, or what it raised.
        n_threads: that work at a time.
        n_waiting: items that wait for a thread.
        most: items that a thread takes at once.
    """

    def __init__(
        self,
        work: Callable[[list[Item]], Sequence[Result | BaseException]],
        n_threads: int,
        n_waiting: int,
        most: int = 1,
    ) -> None:
        self._do, self._most, self._n_threads = work, most, n_threads
        self._capacity = n_threads + n_waiting
        self._n_jobs = 0
        self._queue: queue.SimpleQueue[_Job[Item] | None] = queue.SimpleQueue()
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

    async def run(self, item: Item, limit_s: float) -> Result:
        """Process an item and give its result.

        Args:
            item: to work on.
            limit_s: how long it may take once its turn has come.

        Raises:
            Refusal: no place is left, or it takes too long.
        """
        self.check()
        job = _Job(item, asyncio.get_running_loop())
        self._n_jobs += 1
        self._queue.put(job)
        try:
            await job.begun
            result: Result = await asyncio.wait_for(job.done, limit_s)
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
                self._run([job, *self._more()])
            except RuntimeError:  # the event loop is closed: the server has stopped
                return

    def _more(self) -> Iterator[_Job[Item]]:
        """This thread's part of what waits besides."""
        for _ in range(min(self._most - 1, self._queue.qsize() // self._n_threads)):
            try:
                job = self._queue.get_nowait()
            except queue.Empty:  # another thread was faster
                return
            if job is None:  # a thread is to stop, this one after what it has
                self._queue.put(None)
                return
            yield job

    def _run(self, jobs: list[_Job[Item]]) -> None:
        wanted = []
        for job in jobs:
            if job.begun.cancelled():
                job.loop.call_soon_threadsafe(self._finish, job, None, None)
            else:
                job.loop.call_soon_threadsafe(_settle, job.begun, None, None)
                wanted.append(job)
        try:
            results = self._do([job.item for job in wanted]) if wanted else []
            assert len(results) == len(wanted), "a result for each item"
        except BaseException as raised:  # whatever it is, it belongs to whoever waits
            results = [raised] * len(wanted)
        for job, result in zip(wanted, results, strict=True):
            error = result if isinstance(result, BaseException) else None
            job.loop.call_soon_threadsafe(self._finish, job, None if error else result, error)

    def _finish(self, job: _Job[Item], result: Any, error: BaseException | None) -> None:
        self._n_jobs -= 1
        _settle(job.done, result, error)


def _settle(future: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


def attempt(function: Callable[..., Result], *arguments: Any) -> Result | BaseException:
    """Call a function; give what it returns or raises."""
    try:
        return function(*arguments)
    except BaseException as raised:
        return raised
