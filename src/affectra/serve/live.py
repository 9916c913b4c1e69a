"""A live stream: PCM in over a WebSocket, an answer out for each second of it."""

import asyncio
import json
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import numpy as np
from fastapi import WebSocket, WebSocketDisconnect

from affectra.errors import AffectraError
from affectra.predict.model import Prediction, as_row
from affectra.serve.batching import Block
from affectra.serve.limits import Limits
from affectra.serve.model import Listens
from affectra.serve.refusal import Refusal, one_line
from affectra.serve.workers import Workers

UNSUPPORTED, POLICY, TOO_BIG, FAILED, TRY_AGAIN = (
    1003,
    1008,
    1009,
    1011,
    1013,
)  # RFC 6455 and its registry of close codes
LiveWorkers = Workers[Block, list[Prediction]]
_BLOCK_S = 0.05  # audio gathered before it is handed on: tiny messages cost no thread each
_BURST_S = 5.0  # messages of so long may come at once, as after a pause of the network
_BYTES = 2  # a sample
_LAST_WORD_S = 5.0  # for a client to take the reason why it is dismissed


class Closed(Exception):
    """The stream ends for a reason that the client gets.

    Args:
        code: of the WebSocket's close frame.
        message: one line.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class LiveSession:
    """One client's live stream.

    Args:
        websocket: accepted.
        stream: recognises.
        rate: samples a second of what the client sends.
        workers: where it recognises.
        limits: pace, sizes, patience.
    """

    def __init__(self, websocket: WebSocket, stream: Listens, rate: int, workers: LiveWorkers, limits: Limits) -> None:
        self._websocket, self._stream, self._rate = websocket, stream, rate
        self._workers, self._limits = workers, limits
        self._pending = bytearray()
        self._n_bytes = self._n_messages = 0
        self._begun = time.monotonic()

    async def run(self) -> None:
        """Answer until the client ends the stream, leaves or breaks a rule."""
        # How it ends unless something else ends it: a fault of ours, which goes on to the log.
        end: Closed | None = Closed(FAILED, "the server failed at this; its log says why")
        with suppress(WebSocketDisconnect, TimeoutError):  # the client is gone, or reads nothing any more
            try:
                await self._listen()
                await _sent(self._websocket.close(), _LAST_WORD_S)
                end = None
            except Closed as closed:
                end = closed
            except Refusal as refusal:
                end = Closed(TRY_AGAIN, refusal.message)
            except AffectraError as error:
                end = Closed(UNSUPPORTED, str(error))
            except (WebSocketDisconnect, TimeoutError, asyncio.CancelledError):
                end = None
                raise
            finally:
                if end is not None:
                    await dismiss(self._websocket, end)

    async def _listen(self) -> None:
        while (message := await self._next()) != "end":
            if isinstance(message, str):
                raise Closed(UNSUPPORTED, 'a text message that is not "end"; audio goes into binary messages')
            self._check(message)
            self._pending += message
            if len(self._pending) >= _BLOCK_S * self._rate * _BYTES:
                await self._feed()
            await self._keep_pace()
        if self._pending:
            await self._feed()
        if self._n_bytes:
            await self._answer(await self._workers.run(Block(self._stream, None), self._limits.work_s))

    async def _next(self) -> str | bytes:
        patience_s = min(self._limits.stream_idle_s, self._begun + self._limits.stream_s - time.monotonic())
        try:
            message = await asyncio.wait_for(self._websocket.receive(), max(patience_s, 0.0))
        except TimeoutError as error:
            raise Closed(
                POLICY, f"no audio for {self._limits.stream_idle_s:g} s, or the longest stream is over"
            ) from error
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        text: str | None = message.get("text")
        data: bytes = message.get("bytes") or b""
        return data if text is None else text

    def _check(self, message: bytes) -> None:
        self._n_messages += 1
        self._n_bytes += len(message)
        if len(message) > self._limits.message_bytes:
            raise Closed(TOO_BIG, f"a message of {len(message)} bytes; send at most {self._limits.message_bytes}")
        if not message or len(message) % _BYTES:
            raise Closed(UNSUPPORTED, f"a message of {len(message)} bytes; expected 16-bit samples, two bytes each")
        if self._n_messages > self._limits.messages_per_s * (time.monotonic() - self._begun + _BURST_S):
            raise Closed(POLICY, "too many messages; send a tenth of a second of audio in each")
        if self._n_bytes > self._limits.stream_s * self._rate * _BYTES:
            raise Closed(POLICY, f"longer than {self._limits.stream_s:g} s; start a new stream")

    async def _keep_pace(self) -> None:
        """Read no further while the client is ahead of real time; the connection then holds it back."""
        ahead_s = self._n_bytes / _BYTES / self._rate - (time.monotonic() - self._begun)
        if ahead_s > self._limits.ahead_s:
            await asyncio.sleep(ahead_s - self._limits.ahead_s)

    async def _feed(self) -> None:
        samples = np.frombuffer(bytes(self._pending), dtype="<i2").astype(np.float32) / np.float32(32768)
        self._pending.clear()
        await self._answer(await self._workers.run(Block(self._stream, samples), self._limits.work_s))

    async def _answer(self, predictions: list[Prediction]) -> None:
        for prediction in predictions:
            await self._send(update(prediction))

    async def _send(self, content: dict[str, Any]) -> None:
        text = json.dumps(content, allow_nan=False)
        await _sent(self._websocket.send_text(text), self._limits.stream_idle_s)


async def dismiss(websocket: WebSocket, end: Closed) -> None:
    """Tell a client why its stream ends, as a message (a browser shows it) and as close code and reason."""
    message = one_line(end.message)
    reason = message.encode()[:120].decode("utf-8", "ignore")  # a close frame holds 125 bytes
    await _sent(websocket.send_text(json.dumps({"error": message})), _LAST_WORD_S)
    await _sent(websocket.close(end.code, reason), _LAST_WORD_S)


async def _sent(sending: Coroutine[Any, Any, None], limit_s: float) -> None:
    try:
        await asyncio.wait_for(sending, limit_s)
    except RuntimeError as error:  # so uvicorn calls it where the client has broken the connection meanwhile
        raise WebSocketDisconnect(1006) from error


def update(prediction: Prediction) -> dict[str, Any]:
    """Give the message that is sent for a prediction: the fields of `affectra predict` but for the file."""
    row = as_row("", prediction)
    del row["file"]
    return row
