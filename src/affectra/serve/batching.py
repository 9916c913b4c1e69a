"""Micro-batching: windows of several live streams recognised in one run of the model."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from affectra.features.specification import UtteranceOutput
from affectra.predict.model import Prediction
from affectra.predict.windows import Recognizes, Window
from affectra.serve.model import Listens
from affectra.serve.workers import attempt

MOST_BLOCKS = 4  # ours: of as many streams at once; more would make the first of them wait for no gain


@dataclass(frozen=True)
class Block:
    """Block of samples (sample,) in [-1, 1] that a live stream has received, or None: it is over."""

    stream: Listens
    samples: npt.NDArray[np.float32] | None


def recognize_blocks(recognizer: Recognizes, blocks: Sequence[Block]) -> list[list[Prediction] | BaseException]:
    """The answers that each block completes, or what went wrong with it and with no other.

    Args:
        recognizer: of the model that all the streams are of.
        blocks: of different streams.
    """
    taken = [attempt(_take, block) for block in blocks]
    parts = [part for part in taken if not isinstance(part, BaseException)]
    outputs = iter(_outputs(recognizer, parts))
    answers: list[list[Prediction] | BaseException] = []
    for block, part in zip(blocks, taken, strict=True):
        if isinstance(part, BaseException):
            answers.append(part)
            continue
        found = next(outputs)
        answers.append(found if isinstance(found, BaseException) else attempt(block.stream.tell, part, found))
    return answers


def _take(block: Block) -> list[Window]:
    return block.stream.take_rest() if block.samples is None else block.stream.take(block.samples)


def _outputs(recognizer: Recognizes, parts: Sequence[Sequence[Window]]) -> list[list[UtteranceOutput] | BaseException]:
    """Of each part, in one run; where that fails, in one for each, so that nobody pays for somebody else's sound."""
    found = attempt(recognizer.recognize_batch, [window.samples for part in parts for window in part])
    if isinstance(found, BaseException):
        return [attempt(recognizer.recognize_batch, [window.samples for window in part]) for part in parts]
    rest = iter(found)
    return [list(islice(rest, len(part))) for part in parts]
