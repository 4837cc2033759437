"""The page: its files, the charts' code from the package plotly, and what the browser may load."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

FILES = Path(__file__).parent / "static"
_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",  # plotly makes its style sheet as it starts
        "img-src 'self' data: blob:",
        "connect-src 'self'",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)
_CHARTS = "package_data/plotly.min.js"


class _Files(StaticFiles):
    """Files that a browser asks for again after every update: what it has is kept if unchanged."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        answer = super().file_response(*args, **kwargs)
        answer.headers["Cache-Control"] = "no-cache"
        return answer


def routes() -> list[BaseRoute]:
    """Return the page's routes; without plotly it shows no charts, and says so."""
    return [
        Route("/", _index),
        Route("/web/plotly.min.js", _charts),
        Mount("/web", _Files(directory=FILES)),
    ]


def charts() -> Path | None:
    """Return the file of the chart library for browsers; None where it is not installed."""
    spec = find_spec("plotly")
    folders = (spec.submodule_search_locations or []) if spec else []
    return next((Path(one) / _CHARTS for one in folders if (Path(one) / _CHARTS).exists()), None)


def _index(request: Request) -> Response:  # noqa: ARG001
    headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"}
    return FileResponse(FILES / "index.html", headers=headers)


def _charts(request: Request) -> Response:  # noqa: ARG001
    path = charts()
    if path is None:
        return Response("", media_type="text/javascript")
    return FileResponse(path, headers={"Cache-Control": "private, max-age=86400"})
