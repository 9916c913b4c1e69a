"""Connections that are given up where a client brings no request, breaks off in the middle, or takes no answer."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol


class HttpConnection(H11Protocol):
    """HTTP with a deadline for the head of each request, from when nothing else is under way, and for each answer.

    uvicorn has one for the pause between two requests alone, and any byte ends that pause: a few hundred clients that
    say half a line each would lock everybody else out. The time is `timeout_keep_alive` of its configuration.
    """

    _deadline: asyncio.TimerHandle | None = None
    _stall: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there: it may now say what it wants."""
        super().connection_made(transport)
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        _cancel(self._deadline, self._stall)
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """It has its answer and may say more."""
        self._expect_request()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """It takes its answer slowly, or not at all."""
        super().pause_writing()
        self._stall = self.loop.call_later(self.timeout_keep_alive, self.transport.abort)

    def resume_writing(self) -> None:
        """It has taken what was waiting."""
        _cancel(self._stall)
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Refuse data that is not HTTP; a handler whose request it was the body of need not answer any more."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):  # the answer has begun, or is over
            self.transport.close()
            return
        super().send_400_response(msg)
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()

    def _expect_request(self) -> None:
        _cancel(self._deadline)
        self._deadline = self.loop.call_later(self.timeout_keep_alive, self._give_up)

    def _give_up(self) -> None:
        is_upgraded = self not in self.connections  # to a WebSocket, which has patience of its own
        if not is_upgraded and (self.cycle is None or self.cycle.response_complete):
            self.transport.abort()


class LiveConnection(WebSocketsSansIOProtocol):
    """A WebSocket that hangs up on a client that takes nothing, and whose pings leave nothing to be sent meanwhile."""

    _stall: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        _cancel(self._stall)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """It reads slowly, or not at all."""
        super().pause_writing()
        self._stall = self.loop.call_later(self.config.timeout_keep_alive, self.transport.abort)

    def resume_writing(self) -> None:
        """It has read what was waiting."""
        _cancel(self._stall)
        super().resume_writing()

    def handle_ping(self) -> None:
        """Answer a ping, but not one of a client that does not read the answers: they would pile up in memory."""
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()


def _cancel(*timers: asyncio.TimerHandle | None) -> None:
    for timer in timers:
        if timer is not None:
            timer.cancel()
