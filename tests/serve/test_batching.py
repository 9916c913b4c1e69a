"""Micro-batching: what waits is recognised together, nothing waits for it, and nobody pays for another's sound."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from affectra.errors import AudioError
from affectra.features.specification import UtteranceOutput
from affectra.predict.model import Model
from affectra.predict.stream import Stream
from affectra.serve.batching import Block, recognize_blocks
from affectra.serve.refusal import Busy, Refusal
from affectra.serve.workers import Workers
from hearing import Ear, hearing


class Batched(Ear):
    """Keeps how many waveforms it was given at once, and hears no loud ones."""

    def __init__(self, loudest: float = 1.0) -> None:
        super().__init__()
        self.batches: list[int] = []
        self.loudest = loudest

    def recognize_batch(self, waveforms: Sequence[np.ndarray]) -> list[UtteranceOutput]:
        self.batches.append(len(waveforms))
        if any(np.abs(samples).max() > self.loudest for samples in waveforms):
            raise ZeroDivisionError("too loud")
        return super().recognize_batch(waveforms)


def sound(k: int, seconds: float = 2.5) -> np.ndarray:
    return (0.05 * (k + 1) * np.random.default_rng(k).uniform(-1, 1, round(16_000 * seconds))).astype(np.float32)


def test_streams_together_say_what_each_says_alone() -> None:
    ear = Batched()
    model = Model(ear, "ear")
    blocks = [Block(Stream(model, 16_000), sound(k, 0.7 + k)) for k in range(4)]
    found = [*recognize_blocks(ear, blocks)]
    rest = recognize_blocks(ear, [Block(block.stream, None) for block in blocks])
    assert ear.batches == [0 + 1 + 2 + 3, 4]
    for k in range(4):
        alone = Stream(hearing()[0], 16_000)
        assert [*found[k], *rest[k]] == [*alone.feed(sound(k, 0.7 + k)), *alone.finish()]  # type: ignore[misc]


def test_nobody_pays_for_the_sound_of_another() -> None:
    ear = Batched(loudest=0.3)
    model = Model(ear, "ear")
    sounds = [sound(0), sound(9), np.array([np.nan, 0.0], np.float32), sound(1)]
    answers = recognize_blocks(ear, [Block(Stream(model, 16_000), samples) for samples in sounds])
    assert isinstance(answers[1], ZeroDivisionError) and isinstance(answers[2], AudioError)
    for k, samples in ((0, sounds[0]), (3, sounds[3])):
        assert answers[k] == Stream(hearing()[0], 16_000).feed(samples)


class Work:
    """Doubles numbers once it is let, and keeps which came at once."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.may_go = threading.Event()

    def __call__(self, items: list[int]) -> list[int | BaseException]:
        self.batches.append(items)
        assert self.may_go.wait(5)
        return [ValueError(str(item)) if item < 0 else 2 * item for item in items]


async def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.005)


async def crowd(work: Work, workers: Workers[int, int], items: Sequence[int]) -> list[int | BaseException]:
    """Results of items of which the first ones keep every thread busy until the others wait."""
    running = []
    for item in items:
        running.append(asyncio.create_task(workers.run(item, 5.0)))
        n_begun = len(work.batches)
        if n_begun < len(workers._threads):
            await until(lambda n=n_begun: len(work.batches) > n)
    await asyncio.sleep(0.01)
    work.may_go.set()
    return await asyncio.gather(*running, return_exceptions=True)


@pytest.mark.parametrize(
    ("n_threads", "most", "batches"),
    [(1, 1, [[0], [1], [2], [3], [4], [5]]), (1, 3, [[0], [1, 2, 3], [4, 5]]), (1, 8, [[0], [1, 2, 3, 4, 5]])],
)
def test_what_waits_is_done_together_up_to_a_number(n_threads: int, most: int, batches: list[list[int]]) -> None:
    work = Work()
    workers: Workers[int, int] = Workers(work, n_threads, 10, most)
    assert asyncio.run(crowd(work, workers, range(6))) == [0, 2, 4, 6, 8, 10]
    workers.stop()
    assert work.batches == batches


def test_what_waits_is_shared_out_among_the_threads() -> None:
    work = Work()
    workers: Workers[int, int] = Workers(work, 2, 20, 8)
    assert asyncio.run(crowd(work, workers, range(12))) == [2 * k for k in range(12)]
    workers.stop()
    assert sorted(item for batch in work.batches for item in batch) == list(range(12))
    assert max(map(len, work.batches)) <= 6


def test_an_error_is_for_whom_it_concerns_and_every_place_is_free_again() -> None:
    work = Work()
    workers: Workers[int, int] = Workers(work, 1, 3, 8)

    async def full() -> list[int | BaseException]:
        found = asyncio.create_task(crowd(work, workers, [1, -2, 3, 4, 5]))
        return await found

    *found, refused = asyncio.run(full())
    assert found[0] == 2 and isinstance(found[1], ValueError) and found[2:] == [6, 8] and isinstance(refused, Busy)
    assert not workers.is_full and workers._n_jobs == 0
    workers.stop()


def test_who_gives_up_waiting_is_left_out_of_the_batch() -> None:
    work = Work()
    workers: Workers[int, int] = Workers(work, 1, 10, 8)

    async def some() -> list[int | BaseException]:
        first = asyncio.create_task(workers.run(1, 5.0))
        await until(lambda: bool(work.batches))
        others = [asyncio.create_task(workers.run(k, 5.0)) for k in (2, 3)]
        await asyncio.sleep(0.01)
        others[0].cancel()
        await asyncio.sleep(0.01)
        work.may_go.set()
        return await asyncio.gather(first, *others, return_exceptions=True)

    found = asyncio.run(some())
    assert found[0] == 2 and isinstance(found[1], asyncio.CancelledError) and found[2] == 6
    assert work.batches == [[1], [3]] and workers._n_jobs == 0
    workers.stop()


def test_what_takes_too_long_is_given_up() -> None:
    work = Work()
    workers: Workers[int, int] = Workers(work, 1, 10, 8)
    with pytest.raises(Refusal, match=r"not done within 0\.05 s"):
        asyncio.run(workers.run(1, 0.05))
    work.may_go.set()
    workers.stop()
