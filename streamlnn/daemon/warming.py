"""The model's machine code, loaded or compiled; whoever has to wait for it is told."""

from __future__ import annotations

import threading

import click

LOADING = "loading the compiled model; a machine's first start compiles it: 20 to 60 s"

_PATIENCE_SECS = 2.0
"""Longer than it takes from the cache: who waits so long waits for a compiler."""


def warm_up() -> None:
    """Load the compiled model, or compile it; tell on stderr that it is, where it takes long."""
    from streamlnn.model import stepping

    timer = threading.Timer(_PATIENCE_SECS, click.echo, [LOADING], {"err": True})
    timer.daemon = True
    timer.start()
    try:
        stepping.warm()
    finally:
        timer.cancel()
