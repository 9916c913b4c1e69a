"""Who may talk to the server: its own page and programs on this machine, no other page of the browser."""

from collections.abc import Awaitable, Callable, MutableMapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from affectra.serve.refusal import refuse

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; media-src blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
_ENCODED = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]


class Guard:
    """Middleware that refuses foreign hosts and origins, and adds the security headers.

    A web page anywhere can make a browser send a recording to, or open a WebSocket at, a server on the same machine; it
    then carries that page's Origin. By DNS rebinding it can even give the server its own name, which the Host header
    then shows. Programs that are no browsers send no Origin and may pass.

    Args:
        app: the application behind it.
        host: what the server is bound to; other names than those of loopback are refused only where it is loopback.
    """

    def __init__(self, app: App, host: str) -> None:
        self._app = app
        self._only_loopback = is_loopback(host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        fault = self._fault(scope)
        app = self._app if fault is None else refuse(403, fault)
        await app(scope, receive, _with_headers(send))

    def _fault(self, scope: Scope) -> str | None:
        hosts = _values(scope, b"host")
        if len(hosts) != 1:
            return f"{len(hosts)} Host headers, expected one"
        host = _address(f"{scope['scheme']}://{hosts[0]}")
        if host is None:
            return "the Host header is not a host and a port"
        if self._only_loopback and not is_loopback(host[0]):
            return "this server answers to localhost only; open it as http://localhost with its port"
        origins = _values(scope, b"origin")
        is_reading = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        if origins and not is_reading and any(_address(origin) != host for origin in origins):
            return "another web page may not use this server; open the server's own page"
        return None


def is_loopback(host: str) -> bool:
    """Whether a name or address is this machine's own.

    Example:
        >>> [is_loopback(host) for host in ("localhost", "127.0.0.1", "[::1]", "0.0.0.0", "example.org")]
        [True, True, True, False, False]
    """
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _address(url: str) -> tuple[str, int] | None:
    """Host and port of a URL; None where it has none, as the origin "null" of a file or a sandbox."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    is_plain = not (parts.username or parts.password or parts.path or parts.query or parts.fragment)
    return (parts.hostname, port) if parts.hostname and port and is_plain else None


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            given = {name for name, _ in message.get("headers", [])}
            added = [(name, value) for name, value in _ENCODED if name not in given]
            message = {**message, "headers": [*message.get("headers", []), *added]}
        await send(message)

    return sending
