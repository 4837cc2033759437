"""What the HTTP server answers: health, readiness, metrics, the streams as JSON.

Everything is read-only and made from the `Status`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from html import escape
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from streamlnn.daemon.metrics import registry
from streamlnn.daemon.status import HEARTBEAT_LIMIT_SECS, Status

OPEN_PATHS = ("/healthz", "/readyz")
"""Answered without a token: they are for machines that only ask whether we live."""

ENDPOINTS = {
    "/healthz": "200 while the pipeline's loop turns",
    "/readyz": "200 once the state is restored and every source is connected",
    "/metrics": "Prometheus metrics",
    "/api/v1/streams": "the streams: the newest forecast's time and status of each, who is stale",
}


def application(
    status: Status, token: str | None, hosts: tuple[str, ...] | None, clock: Callable[[], int]
) -> Starlette:
    """Return the ASGI application; `hosts` are the names it may be called by (None: any)."""
    views = _Views(status, clock)
    routes = [
        Route("/", views.index),
        Route("/healthz", views.health),
        Route("/readyz", views.readiness),
        Route("/metrics", views.metrics),
        Route("/api/v1/streams", views.streams),
        Route("/api/v1/streams/{id:path}", views.stream),
    ]
    guard = Middleware(_Guard, hosts=hosts, token=token)
    return Starlette(
        routes=routes, middleware=[guard], exception_handlers={HTTPException: _as_json}
    )


class _Views:
    """What each address answers."""

    def __init__(self, status: Status, clock: Callable[[], int]) -> None:
        self._status = status
        self._clock = clock
        self._registry = registry(status)

    def health(self, request: Request) -> Response:  # noqa: ARG002
        if self._status.alive(self._clock()):
            return _json({"status": "ok"})
        begun = self._status.snapshot().heartbeat is not None
        reason = (
            f"has not turned for {HEARTBEAT_LIMIT_SECS} s" if begun else "has not begun to turn"
        )
        return _json({"status": "failing", "reason": f"the pipeline's loop {reason}"}, 503)

    def readiness(self, request: Request) -> Response:  # noqa: ARG002
        missing = self._status.missing()
        if not missing:
            return _json({"status": "ready"})
        return _json({"status": "not ready", "missing": missing}, 503)

    def metrics(self, request: Request) -> Response:  # noqa: ARG002
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)

    def streams(self, request: Request) -> Response:  # noqa: ARG002
        now = self._status.snapshot()
        listed = [
            _summary(stream, now.forecasts[stream]) | {"stale": stream in now.stale}
            for stream in sorted(now.forecasts)
        ]
        return _json({"v": 1, "streams": listed})

    def stream(self, request: Request) -> Response:
        stream = request.path_params["id"]
        snapshot = self._status.snapshot()
        if stream not in snapshot.forecasts:
            raise HTTPException(404, f"no stream {stream!r}; /api/v1/streams lists those there are")
        events = [msgspec.json.decode(event) for event in snapshot.events]
        own = [event for event in events if event["stream"] == stream]
        why = self._status.explanation(stream)
        newest = msgspec.json.decode(snapshot.forecasts[stream])
        stale = stream in snapshot.stale
        return _json(newest | {"stale": stale, "events": own, "explanation": why})

    def index(self, request: Request) -> Response:  # noqa: ARG002
        streams = sorted(self._status.snapshot().forecasts)
        links = [(path, path, about) for path, about in ENDPOINTS.items()]
        links += [(_url(stream), stream, "") for stream in streams]
        items = "".join(
            f'<li><a href="{escape(url)}">{escape(name)}</a> {escape(about)}</li>'
            for url, name, about in links
        )
        return HTMLResponse(
            f'<!doctype html><html lang="en"><meta charset="utf-8"><title>streamlnn</title>'
            f"<h1>streamlnn</h1><ul>{items}</ul></html>",
            headers={"Content-Security-Policy": "default-src 'none'", "Cache-Control": "no-store"},
        )


class _Guard:
    """Lets in only requests for the right host and, where one is asked for, with the token."""

    def __init__(self, app: ASGIApp, hosts: tuple[str, ...] | None, token: str | None) -> None:
        self._app = app
        self._hosts = hosts
        self._expected = f"Bearer {token}".encode() if token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self._refusal(Request(scope)) or self._app)(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        if self._hosts and _host_name(request) not in self._hosts:
            return _json({"error": f"wrong Host header: ask for one of {self._hosts}"}, 400)
        if self._expected is None or request.url.path in OPEN_PATHS:
            return None
        given = request.headers.get("authorization", "").encode()
        if secrets.compare_digest(given, self._expected):
            return None
        return _json(
            {"error": "send the token of [http] as: Authorization: Bearer TOKEN"},
            401,
            {"WWW-Authenticate": "Bearer"},
        )


def _host_name(request: Request) -> str | None:
    try:
        return urlsplit(f"//{request.headers.get('host', '')}").hostname
    except ValueError:
        return None


def _summary(stream: str, payload: bytes) -> dict[str, Any]:
    forecast = msgspec.json.decode(payload)
    kept = {key: forecast.get(key) for key in ("time", "status", "epoch", "seq")}
    return {"stream": stream, "url": _url(stream)} | kept


def _url(stream: str) -> str:
    return f"/api/v1/streams/{quote(stream, safe='')}"


def _json(body: Any, code: int = 200, headers: dict[str, str] | None = None) -> Response:
    headers = {"Cache-Control": "no-store"} | (headers or {})
    return Response(msgspec.json.encode(body), code, headers, media_type="application/json")


def _as_json(request: Request, error: Exception) -> Response:  # noqa: ARG001
    assert isinstance(error, HTTPException)
    return _json({"error": error.detail}, error.status_code)
