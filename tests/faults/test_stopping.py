"""SIGTERM when the daemon waits for something that does not come.

Injected: SIGTERM to a real daemon (a) while its model is compiled for the first time, with an empty
cache; (b) while it connects to a broker that takes the connection and does not answer to TLS, and
forecasts wait for a sink whose broker is away; (c) and then SIGHUP, while the pipeline ends. A
frozen broker is in `test_reload`.

Must hold: it ends with exit code 0 within 8 s, and while compiling at once; liveness is green and
readiness says what is missing until then; what was not delivered is told and kept; the order to end
is final.
"""

from __future__ import annotations

import json
import socket
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from brokers import free_port, wait_until
from daemons import Daemon, answers

from streamlnn.daemon import service
from streamlnn.daemon.config import load
from streamlnn.daemon.orders import Order, Orders

MOST_SECS = 8.0
CONFIG = """
[daemon]
data_dir = "{folder}/data"
[http]
listen = "127.0.0.1:{http}"
[[source]]
kind = "tail"
id = "logs"
paths = ["{folder}/*.csv"]
start = "begin"
[[stream]]
from = "logs"
horizons = [1]
[model]
units = 20
[[sink]]
kind = "mqtt"
url = "{sink}"
"""
SILENT = """
[[source]]
kind = "mqtt"
id = "plant"
url = "%s"
[[stream]]
from = "plant"
topic = "a"
horizons = [1]
"""


def configure(folder: Path, sink: str, *more: str) -> tuple[Path, int]:
    http, config = free_port(), folder / "config.toml"
    config.write_text(CONFIG.format(folder=folder, http=http, sink=sink) + "".join(more))
    return config, http


def told(http: int, path: str) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{http}{path}", timeout=5) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return json.load(error)


def newest_seq(http: int) -> int:
    streams = told(http, "/api/v1/streams")["streams"]
    return streams[0]["seq"] if streams else -1


def end(daemon: Daemon) -> float:
    began = time.monotonic()
    assert daemon.stop() == 0, daemon.errors
    return time.monotonic() - began


def test_while_the_model_is_compiled(tmp_path: Path) -> None:
    config, http = configure(tmp_path, f"mqtt://127.0.0.1:{free_port()}")
    daemon = Daemon(config, NUMBA_CACHE_DIR=str(tmp_path / "cache"))
    try:
        wait_until(lambda: answers(f"http://127.0.0.1:{http}/healthz"), "liveness", secs=60)
        assert told(http, "/healthz") == {"status": "starting"}
        assert "the model is being loaded" in told(http, "/readyz")["missing"][0]
        assert end(daemon) < MOST_SECS
        assert daemon.has_ended_saying("told to stop while the model was being loaded")
    finally:
        daemon.kill()


def test_while_one_broker_does_not_answer_to_tls_and_another_is_away(tmp_path: Path) -> None:
    (tmp_path / "pump.csv").write_text("\n".join(["time,flow", *(f"{n},1" for n in range(50)), ""]))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        url = f"mqtts://127.0.0.1:{silent.getsockname()[1]}"
        config, http = configure(tmp_path, f"mqtt://127.0.0.1:{free_port()}", SILENT % url)
        daemon = Daemon(config)
        try:
            with silent.accept()[0]:
                assert answers(f"http://127.0.0.1:{http}/healthz")
                wait_until(lambda: newest_seq(http) == 49, "all lines to be forecast", secs=60)
            with silent.accept()[0]:
                assert end(daemon) < MOST_SECS
                # Where it took long to get here, a stale event is among them.
                assert daemon.has_ended_saying("forecasts and events are not confirmed by their")
        finally:
            daemon.kill()


@pytest.mark.parametrize(
    ("orders", "pipelines"),
    [
        ([Order.RELOAD], 2),
        ([Order.STOP, Order.RELOAD], 1),
        ([Order.RELOAD, Order.STOP], 1),
        ([Order.RELOAD, Order.STOP, Order.RELOAD], 1),
    ],
)
def test_whoever_was_told_to_stop_begins_no_new_pipeline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, orders: list[Order], pipelines: int
) -> None:
    """Between an order and the end of the pipeline there is time for another one."""
    begun: list[Any] = []

    def work(pipeline: Any, heard: Orders) -> Any:
        pipeline.journal.close()
        for order in [*([] if begun else orders), Order.OVER]:
            heard.put(order)
        begun.append(pipeline)
        return SimpleNamespace(pipeline=pipeline, error=None, loading=False)

    def build(_config: Any, _status: Any, journal: Any, **_: Any) -> Any:
        return SimpleNamespace(journal=journal, stop=threading.Event(), undelivered=0)

    monkeypatch.setattr(service, "Worker", work)
    monkeypatch.setattr(service, "build", build)
    config = load(configure(tmp_path, "mqtt://127.0.0.1:1")[0])
    told = Orders(for_secs=None, reloads=True)
    service.Service(config, told, False, set_up_logs=lambda _: None).run()
    assert len(begun) == pipelines
