"""What the HTTP server answers: health, readiness, metrics, the streams as JSON, and the page.

Everything is read-only and made from the `Status`, the `History`, and the store.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from streamlnn.daemon.guard import Access, Guard, as_json
from streamlnn.daemon.metrics import StreamCollector, alone, registry
from streamlnn.daemon.status import HEARTBEAT_LIMIT_SECS, START_LIMIT_SECS, Status
from streamlnn.daemon.web import page
from streamlnn.daemon.web.history import History
from streamlnn.daemon.web.live import frames
from streamlnn.daemon.web.past import past, reservoir

ENDPOINTS = {
    "/healthz": "200 while the pipeline's loop turns",
    "/readyz": "200 once the state is restored and every source is connected",
    "/metrics": "Prometheus metrics",
    "/metrics/streams": "the newest value and forecasts of single streams, also for Prometheus; "
    "?match=PATTERN of those that fit",
    "/api/v1/streams": "the streams: the newest forecast's time and status of each, who is stale",
    "/api/v1/streams/ID": "the newest forecast of a stream, its events, and why it is what it is",
    "/api/v1/streams/ID/history": "its latest hours: values, and what was forecast",
    "/api/v1/streams/ID/reservoir": "its connectivity matrix and spectrum",
    "/api/v1/live": "what happens, as server-sent events; ?stream=ID tells one in full, "
    "?match=PATTERN every newest forecast of those that fit",
}


def application(
    status: Status, access: Access, history: History, store: Path | None = None
) -> Starlette:
    """Return the ASGI application, for those whom `access` lets in; `store` is the daemon's."""
    views = _Views(status, history, store)
    routes = [
        *page.routes(),
        Route("/healthz", views.health),
        Route("/readyz", views.readiness),
        Route("/metrics", views.metrics),
        Route("/api/v1", views.endpoints),
        Route("/metrics/streams", views.stream_metrics),
        Route("/api/v1/streams", views.streams),
        Route("/api/v1/streams/{id:path}", views.stream),
        Route("/api/v1/live", views.live),
    ]
    around = [Middleware(Guard, access=access), Middleware(GZipMiddleware)]
    return Starlette(
        routes=routes, middleware=around, exception_handlers={HTTPException: _not_found}
    )


class _Views:
    """What each address answers."""

    def __init__(self, status: Status, history: History, store: Path | None) -> None:
        self._status = status
        self._history = history
        self._store = store
        self._registry = registry(status)

    def endpoints(self, request: Request) -> Response:  # noqa: ARG002
        return as_json(ENDPOINTS)

    def health(self, request: Request) -> Response:  # noqa: ARG002
        if self._status.alive():
            return as_json({"status": "starting" if self._status.starting else "ok"})
        reason = (
            f"the model has not been loaded within {START_LIMIT_SECS} s"
            if self._status.starting
            else f"the pipeline's loop has not turned for {HEARTBEAT_LIMIT_SECS} s"
        )
        return as_json({"status": "failing", "reason": reason}, 503)

    def readiness(self, request: Request) -> Response:  # noqa: ARG002
        missing, degraded = self._status.missing(), self._status.degraded()
        also = {"degraded": degraded} if degraded else {}
        if not missing:
            return as_json({"status": "ready"} | also)
        return as_json({"status": "not ready", "missing": missing} | also, 503)

    def metrics(self, request: Request) -> Response:  # noqa: ARG002
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)

    def stream_metrics(self, request: Request) -> Response:
        collector = StreamCollector(self._status, request.query_params.get("match", "*"))
        return Response(generate_latest(alone(collector)), media_type=CONTENT_TYPE_LATEST)

    def streams(self, request: Request) -> Response:  # noqa: ARG002
        now = self._status.snapshot()
        listed = [
            _summary(stream, now.forecasts[stream]) | {"stale": stream in now.stale}
            for stream in sorted(now.forecasts)
        ]
        return as_json({"v": 1, "streams": listed})

    def stream(self, request: Request) -> Response:
        stream, what = self._named(request)
        lives = self._status.watched()
        if what == "history" and stream in lives:
            return as_json(past(lives[stream], self._history, self._store))
        if what == "reservoir" and stream in lives:
            return as_json(reservoir(lives[stream]))
        snapshot = self._status.snapshot()
        if stream not in snapshot.forecasts:
            raise HTTPException(404, f"no stream {stream!r}; /api/v1/streams lists those there are")
        events = [msgspec.json.decode(event) for event in snapshot.events]
        own = [event for event in events if event["stream"] == stream]
        why = self._status.explanation(stream)
        newest = msgspec.json.decode(snapshot.forecasts[stream])
        stale = stream in snapshot.stale
        return as_json(newest | {"stale": stale, "events": own, "explanation": why})

    async def live(self, request: Request) -> Response:
        query = request.query_params
        told = frames(
            self._status,
            self._history,
            query.get("stream"),
            query.get("match"),
            after=request.headers.get("last-event-id"),
        )
        return StreamingResponse(told, media_type="text/event-stream")

    def _named(self, request: Request) -> tuple[str, str]:
        """Return the stream that a path names, and what of it: a / in its id may be written %2F."""
        whole = str(request.path_params["id"])
        stream, _, what = whole.rpartition("/")
        if what in ("history", "reservoir") and stream in self._status.watched():
            return stream, what
        return whole, ""


def _summary(stream: str, payload: bytes) -> dict[str, Any]:
    forecast = msgspec.json.decode(payload)
    kept = {key: forecast.get(key) for key in ("time", "status", "epoch", "seq")}
    return {"stream": stream, "url": _url(stream)} | kept


def _url(stream: str) -> str:
    return f"/api/v1/streams/{quote(stream, safe='')}"


def _not_found(request: Request, error: Exception) -> Response:  # noqa: ARG001
    assert isinstance(error, HTTPException)
    return as_json({"error": error.detail}, error.status_code)
