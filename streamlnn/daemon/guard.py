"""Who may ask the HTTP server, and what: everything that reaches the API has passed here.

A web page elsewhere must not read the data through a visitor's browser. It could point its own
name at 127.0.0.1 (DNS rebinding), so that on the loopback only the loopback's names are answered;
or ask us from its own address, which the browser tells in `Origin`.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OPEN_PATHS = ("/healthz", "/readyz", "/")
"""Answered without a token: for machines that only ask whether we live, and the page, which asks
for the token itself. Its files are open, too: they tell nothing of the streams."""
_OPEN_FOLDER = "/web/"

_NO_HOST = re.compile(r"[/?#@\\\s]")
"""With one of these in it a Host would be read in one way here and in another way elsewhere."""

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


@dataclass
class Access:
    """`hosts` are the names the server may be called by (None: any); the token may change."""

    hosts: tuple[str, ...] | None = None
    token: str | None = None


class Guard:
    """Lets in who only reads, under our own name and, where one is asked for, with the token."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a refusal, or let the application answer; the safe headers go with both."""

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await (self._refusal(Request(scope)) or self._app)(scope, receive, send_guarded)

    def _refusal(self, request: Request) -> Response | None:
        if request.method not in ("GET", "HEAD"):
            return _refused(405, "everything here is read only: GET and HEAD", Allow="GET, HEAD")
        if request.headers.get("content-length", "0") != "0" or _is_chunked(request):
            return _refused(413, "a request has no body here", Connection="close")
        if _NO_HOST.search(request.headers.get("host", "")):
            return _refused(400, "wrong Host header: it is a name and a port, nothing else")
        if self._access.hosts and _name(request.headers.get("host")) not in self._access.hosts:
            return _refused(400, f"wrong Host header: ask for one of {self._access.hosts}")
        if not _is_same_origin(request):
            return _refused(403, "pages of other origins are not answered")
        # The path of `request.url` is not taken: what is in Host may end up in it.
        if not _is_open(request.scope["path"]) and not self._is_known(request):
            how = "send the token of [http] as: Authorization: Bearer TOKEN"
            return _refused(401, how, **{"WWW-Authenticate": "Bearer"})
        return None

    def _is_known(self, request: Request) -> bool:
        if self._access.token is None:
            return True
        given = request.headers.get("authorization", "").encode()
        return secrets.compare_digest(given, f"Bearer {self._access.token}".encode())


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or path.startswith(_OPEN_FOLDER)


def as_json(body: Any, code: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return `body` as the answer."""
    return Response(msgspec.json.encode(body), code, headers, media_type="application/json")


def _refused(code: int, why: str, **headers: str) -> Response:
    return as_json({"error": why}, code, headers)


def _is_chunked(request: Request) -> bool:
    return "transfer-encoding" in request.headers


def _is_same_origin(request: Request) -> bool:
    """Tell whether no page asks, or one of ours: behind a proxy the scheme may be another."""
    origin = request.headers.get("origin")
    host = request.headers.get("host", "").lower()
    return origin is None or (host != "" and origin.lower().partition("://")[2] == host)


def _name(host: str | None) -> str | None:
    try:
        return urlsplit(f"//{host or ''}").hostname
    except ValueError:
        return None
