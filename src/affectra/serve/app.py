"""The application: the page, `/health`, `/model`, `/predict` and `/live`, and the server that runs it."""

import math
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from fastapi import APIRouter, FastAPI, Query, Request, WebSocket, WebSocketDisconnect
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from affectra import __version__
from affectra.audio import blocks
from affectra.errors import AudioError, ConfigError
from affectra.predict.model import as_row
from affectra.serve import refusal
from affectra.serve.batching import MOST_BLOCKS, recognize_blocks
from affectra.serve.connection import HttpConnection, LiveConnection
from affectra.serve.guard import Guard, is_loopback
from affectra.serve.limits import LIVE_RATES, Limits
from affectra.serve.live import POLICY, TRY_AGAIN, Closed, LiveSession, LiveWorkers, dismiss
from affectra.serve.model import OpenStream, Recognizes, facts
from affectra.serve.upload import Upload, received
from affectra.serve.workers import Workers, attempt

PAGE = Path(__file__).with_name("page")
_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary", "description": "a recording"}},
                }
            }
        },
    }
}
_ABOUT = """Emotion in speech.

Live: the WebSocket `/live?rate=48000` takes binary messages of 16-bit little-endian mono PCM at that rate and answers
with one JSON message a second of audio, with the fields of `/predict` but for the file. The text message `end` flushes
what is left and closes the stream. A message `{"error": ...}` before the end says why it was closed.
"""
_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"description": meaning, "content": {"application/json": {"example": {"error": "one line"}}}}
    for status, meaning in {
        400: "not a well-formed upload",
        403: "another web page, or a foreign host name",
        408: "the recording came too slowly",
        413: "too large",
        415: "not multipart/form-data",
        422: "not audio, too long, or no such class",
        503: "busy; come again after Retry-After seconds",
    }.items()
}


def create_app(
    model: Recognizes, limits: Limits | None = None, *, host: str = "127.0.0.1", open_stream: OpenStream | None = None
) -> FastAPI:
    """The server's application.

    Args:
        model: answers.
        limits: what a client may ask.
        host: what it will be bound to; on loopback, requests under any other name are refused.
        open_stream: makes a live stream of a model and a sample rate; default `affectra.predict.stream.Stream`.
    """
    service = _Service(model, limits or Limits(), open_stream or _open_stream)
    app = FastAPI(
        title="Affectra", version=__version__, description=_ABOUT, lifespan=service.lifespan,
        docs_url=None, redoc_url=None,  # they would fetch their scripts from another server
    )  # fmt: skip
    app.add_middleware(Guard, host=host)
    app.include_router(service.router())
    app.mount("/page", StaticFiles(directory=PAGE))
    refusal.install(app)
    return app


def _open_stream(model: Any, rate: int) -> Any:
    from affectra.predict.stream import Stream

    return Stream(model, rate)


class _Service:
    """The endpoints and what they share: the threads, the counts, the folder of uploads."""

    def __init__(self, model: Recognizes, limits: Limits, open_stream: OpenStream) -> None:
        self._model, self._limits, self._open_stream = model, limits, open_stream
        self._n_uploads = self._n_streams = 0

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        """Threads and a private folder while the server runs."""
        limits = self._limits
        self._recordings: Workers[Callable[[], list[dict[str, Any]]], list[dict[str, Any]]] = Workers(
            lambda works: [attempt(work) for work in works], limits.n_workers, limits.n_waiting
        )
        # Apart, so that no long recording holds up who speaks.
        self._live: LiveWorkers = Workers(
            partial(recognize_blocks, self._model.recognizer), limits.n_workers, limits.n_streams, MOST_BLOCKS
        )
        with tempfile.TemporaryDirectory(prefix="affectra-serve-", ignore_cleanup_errors=True) as folder:
            self._folder = Path(folder)
            yield
        self._recordings.stop()
        self._live.stop()

    def router(self) -> APIRouter:
        """All endpoints."""
        router = APIRouter()
        router.add_api_route("/", self.page, include_in_schema=False)
        router.add_api_route("/health", self.health)
        router.add_api_route("/model", self.facts)
        router.add_api_route("/predict", self.predict, methods=["POST"], responses=_ERRORS, openapi_extra=_FORM)
        router.add_api_websocket_route("/live", self.live)
        return router

    async def page(self) -> FileResponse:
        """The web page."""
        return FileResponse(PAGE / "index.html")

    async def health(self) -> dict[str, Any]:
        """Whether the server runs, and how much there is to do."""
        return {"status": "ok", "version": __version__, "live_streams": self._n_streams, "uploads": self._n_uploads}

    async def facts(self) -> dict[str, Any]:
        """Describe the model: name, classes, licence, card; and the limits on what may be sent."""
        limits = {"upload_bytes": self._limits.upload_bytes, "audio_s": self._limits.audio_s}
        return {**facts(self._model), "limits": limits}

    async def predict(
        self,
        request: Request,
        timeline: Annotated[bool, Query(description="one row a window instead of one for the recording")] = False,
        classes: Annotated[str, Query(description="offer these alone, with commas between them")] = "",
        abstain: Annotated[bool, Query(description='answer "unknown" where there is no speech')] = True,
    ) -> list[dict[str, Any]]:
        """Recognise a recording: the rows that `affectra predict --format json` prints."""
        offered = self._model.offered([name.strip() for name in classes.split(",") if name.strip()])
        self._recordings.check()
        if self._n_uploads >= self._limits.n_uploads:
            raise refusal.Busy("too many uploads at once")
        self._n_uploads += 1
        try:
            async with received(request, self._folder, self._limits) as upload:
                work = lambda: self._recognize(upload, timeline, offered, abstain)  # noqa: E731
                return await self._recordings.run(work, self._limits.work_s)
        finally:
            self._n_uploads -= 1

    def _recognize(
        self, upload: Upload, timeline: bool, classes: tuple[str, ...], abstain: bool
    ) -> list[dict[str, Any]]:
        try:
            self._decode(upload.path)
            if timeline:
                found = self._model.timeline_of_file(upload.path, classes=classes, abstain=abstain)
            else:
                found = [self._model.recognize_file(upload.path, classes=classes, abstain=abstain)]
        except AudioError as error:
            raise AudioError(str(error).replace(str(upload.path), upload.name)) from error
        return [as_row(upload.name, prediction) for prediction in found]

    def _decode(self, path: Path) -> None:
        """Decode a recording once for its length alone: a small file can hold days of silence, and headers lie."""
        end = time.monotonic() + self._limits.decode_s
        for _ in blocks(path, self._model.sample_rate, allow_truncated=True, max_duration_s=self._limits.audio_s):
            if time.monotonic() > end:
                raise AudioError(f"{path}: not decoded within {self._limits.decode_s:g} s; send a shorter recording")

    async def live(self, websocket: WebSocket) -> None:
        """A live stream; see the module `live`."""
        await websocket.accept()
        with suppress(WebSocketDisconnect, TimeoutError):  # gone before it was answered
            if self._n_streams >= self._limits.n_streams:
                await dismiss(websocket, Closed(TRY_AGAIN, "too many live streams; try again later"))
                return
            rate = _rate(websocket.query_params.get("rate", ""))
            if rate is None:
                expected = f"expected ?rate= the samples a second of the audio, from {LIVE_RATES[0]} to {LIVE_RATES[1]}"
                await dismiss(websocket, Closed(POLICY, expected))
                return
            self._n_streams += 1
            try:
                stream = self._open_stream(self._model, rate)
                await LiveSession(websocket, stream, rate, self._live, self._limits).run()
            finally:
                self._n_streams -= 1


def _rate(text: str) -> int | None:
    is_number = text.isascii() and text.isdigit() and len(text) < 10
    return int(text) if is_number and LIVE_RATES[0] <= int(text) <= LIVE_RATES[1] else None


def serve(model: Recognizes, host: str = "127.0.0.1", port: int = 8000, limits: Limits | None = None) -> None:
    """Serve a model until interrupted; what is under way may then end.

    Args:
        model: answers.
        host: address to bind to. Beyond loopback anyone on the network can use the server: it knows no passwords.
        port: to listen on; 0: any that is free.
        limits: what a client may ask.

    Raises:
        ConfigError: the address cannot be bound to.
    """
    limits = limits or Limits()
    with listen(host, port) as listener:
        if not is_loopback(host):
            _say(f"warning: {host} is open to the network and there is no authentication; anyone there can send audio")
            _say("warning: browsers give the microphone to pages on localhost or behind https only")
        shown = f"[{host}]" if ":" in host else host
        _say(f"open http://{shown}:{listener.getsockname()[1]} (Ctrl-C to stop)")
        with suppress(KeyboardInterrupt):
            build_server(create_app(model, limits, host=host), limits).run(sockets=[listener])


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there.

    Raises:
        ConfigError: no such address, or another program has it.
    """
    if not 0 <= port < 1 << 16:
        raise ConfigError(f"port {port}, expected one up to 65535; choose another with --port")
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {host} port {port}: {error.strerror or error}; choose another with --port"
        ) from error


def build_server(app: FastAPI, limits: Limits) -> uvicorn.Server:
    """Build the server that runs an application: HTTP and WebSocket with the limits that lie before it."""
    config = uvicorn.Config(
        app,
        http=HttpConnection,
        ws=LiveConnection,
        timeout_keep_alive=math.ceil(limits.upload_idle_s),
        ws_max_size=limits.message_bytes,
        ws_per_message_deflate=False,  # PCM hardly shrinks, and a small message cannot swell to a large one
        limit_concurrency=limits.n_connections,
        timeout_graceful_shutdown=math.ceil(limits.shutdown_s),
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_level="warning",
    )
    return uvicorn.Server(config)


def _say(line: str) -> None:
    print(f"affectra: {line}", file=sys.stderr, flush=True)
