"""`streamlnn health` against a running server."""

import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from streamlnn.daemon.config import Config, loads
from streamlnn.daemon.health import health
from streamlnn.daemon.http import Server, serve
from streamlnn.daemon.status import Status

NOW = 1_700_000_000_000_000_000


def listening(listen: str, extra: str = "") -> Config:
    return loads(f'[http]\nlisten = "{listen}"\n{extra}', live=False)


@pytest.fixture
def ticks() -> list[float]:
    """What the clock that never jumps says: the last of them."""
    return [0.0]


@pytest.fixture
def status(ticks: list[float]) -> Status:
    return Status(lambda: ticks[-1])


@pytest.fixture
def server(status: Status) -> Iterator[Server]:
    running = serve(status, "127.0.0.1:0", "s3cret")
    yield running
    running.stop()


def test_a_living_daemon_is_exit_0_and_its_answer_is_printed(
    server: Server, status: Status, capsys: pytest.CaptureFixture[str]
) -> None:
    status.beat(NOW)
    assert health(listening(urlsplit(server.address).netloc)) == 0
    assert json.loads(capsys.readouterr().out) == {"status": "ok"}


def test_a_stuck_daemon_is_exit_1_and_the_reason_is_printed(
    server: Server, status: Status, ticks: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    status.beat(NOW)
    ticks.append(61.0)
    assert health(listening(urlsplit(server.address).netloc)) == 1
    assert json.loads(capsys.readouterr().out)["status"] == "failing"


def test_a_daemon_bound_to_all_addresses_is_asked_on_the_loopback(status: Status) -> None:
    status.beat(NOW)
    running = serve(status, "0.0.0.0:0", "s3cret")
    try:
        assert health(listening(urlsplit(running.address).netloc, 'token = "s3cret"')) == 0
    finally:
        running.stop()


def test_nobody_there_is_exit_1_with_the_way_out(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    listen = urlsplit(server.address).netloc
    server.stop()
    assert health(listening(listen)) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert f"no answer from {listen}: " in told.err
    assert "is `streamlnn run` up?" in told.err


def test_http_turned_off_is_exit_1_with_the_way_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert health(listening("")) == 1
    assert (
        'http.listen is off; give an address, such as "127.0.0.1:8642"' in capsys.readouterr().err
    )
