"""Refusal of a client's request: a status and one line of JSON."""

from collections.abc import Mapping

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from affectra.errors import AffectraError

_LONGEST = 400  # characters of a message: it may repeat what was sent


class Refusal(Exception):
    """A request that is not granted.

    Args:
        status: HTTP status.
        message: one line: what was found, what was expected, what to do.
        headers: of the answer.
    """

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers


class Busy(Refusal):
    """Too much at once; what is refused now may be granted in a few seconds."""

    def __init__(self, message: str) -> None:
        super().__init__(503, f"{message}; try again in a few seconds", {"Retry-After": "5"})


def refuse(status: int, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The answer `{"error": message}`, on one line."""
    return JSONResponse({"error": one_line(message)}, status, dict(headers or {}))


def one_line(message: str) -> str:
    """A message on one line, of a length that can be read."""
    line = " ".join(message.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} ..."


def install(app: FastAPI) -> None:
    """Answer every error of an app with `{"error": ...}`, and none with a traceback."""

    @app.exception_handler(Refusal)
    async def refused(_: Request, refusal: Refusal) -> JSONResponse:
        return refuse(refusal.status, refusal.message, refusal.headers)

    @app.exception_handler(AffectraError)
    async def mistaken(_: Request, error: AffectraError) -> JSONResponse:
        return refuse(422, str(error))

    @app.exception_handler(RequestValidationError)
    async def misspelt(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return refuse(422, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")

    @app.exception_handler(404)
    @app.exception_handler(405)
    async def unknown(request: Request, error: HTTPException) -> JSONResponse:
        found = "no such page" if error.status_code == 404 else f"{request.method} is not offered here"
        return refuse(error.status_code, f"{found}; see /openapi.json for what there is", error.headers)

    @app.exception_handler(Exception)
    async def failed(_: Request, __: Exception) -> JSONResponse:  # the server logs it
        return refuse(500, "the server failed at this; its log says why", {"Connection": "close"})
