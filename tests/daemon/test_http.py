"""The HTTP server, asked over a real socket."""

import contextlib
import json
import re
import socket
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import quote, urlsplit

import pytest
from brokers import wait_until
from prometheus_client.parser import text_string_to_metric_families
from starlette.datastructures import URL
from starlette.requests import Request

from streamlnn.daemon import impatience
from streamlnn.daemon.address import split_address
from streamlnn.daemon.http import Server, serve
from streamlnn.daemon.status import Status
from streamlnn.errors import StreamlnnError

if TYPE_CHECKING:
    from streamlnn.pipeline.live import LiveStream

NOW = 1_700_000_000_000_000_000
PUMP = "north/pump 7"


def forecast(stream: str) -> bytes:
    document = {
        "v": 1, "stream": stream, "time": "2026-11-23T10:00:00Z", "epoch": 0, "seq": 9,
        "status": "ok", "targets": {"temperature": {"y": 71.2, "forecast": []}},
    }  # fmt: skip
    return json.dumps(document).encode()


def get(server: Server, path: str, **headers: str) -> tuple[int, str, dict[str, str]]:
    connection = HTTPConnection(urlsplit(server.address).netloc, timeout=10)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), dict(answer.getheaders())
    finally:
        connection.close()


def get_json(server: Server, path: str) -> tuple[int, Any]:
    code, body, _ = get(server, path)
    return code, json.loads(body)


@pytest.fixture
def ticks() -> list[float]:
    """What the clock that never jumps says: the last of them."""
    return [0.0]


@pytest.fixture
def status(ticks: list[float]) -> Status:
    return Status(lambda: ticks[-1])


@pytest.fixture
def server(status: Status) -> Iterator[Server]:
    running = serve(status, "127.0.0.1:0", None)
    yield running
    running.stop()


@pytest.fixture
def guarded(status: Status) -> Iterator[Server]:
    running = serve(status, "127.0.0.1:0", "s3cret")
    yield running
    running.stop()


def test_healthz_follows_the_heartbeat(server: Server, status: Status, ticks: list[float]) -> None:
    assert get_json(server, "/healthz") == (200, {"status": "starting"})
    status.beat(NOW)
    assert get_json(server, "/healthz") == (200, {"status": "ok"})
    ticks.append(61.0)
    code, body = get_json(server, "/healthz")
    assert (code, body["reason"]) == (503, "the pipeline's loop has not turned for 60 s")


def test_a_start_that_never_ends_is_told(
    server: Server, status: Status, ticks: list[float]
) -> None:
    ticks.append(899.0)
    assert get_json(server, "/healthz")[0] == 200
    ticks.append(901.0)
    code, body = get_json(server, "/healthz")
    assert (code, body["reason"]) == (503, "the model has not been loaded within 900 s")


def test_readyz_says_what_is_missing(server: Server, status: Status) -> None:
    status.recovered()
    status.source("plant", "lost", "connection refused by 10.0.0.5:1883")
    assert get_json(server, "/readyz") == (
        503,
        {
            "status": "not ready",
            "missing": ["source 'plant' is lost: connection refused by 10.0.0.5:1883"],
        },
    )
    status.source("plant", "ready")
    assert get_json(server, "/readyz") == (200, {"status": "ready"})
    status.sink("out", "lost", "disk full")
    assert get_json(server, "/readyz") == (
        200,
        {"status": "ready", "degraded": ["sink 'out' is lost: disk full"]},
    )
    status.sink("out", "full", "disk full")
    code, body = get_json(server, "/readyz")
    assert (code, body["missing"]) == (
        503,
        ["sink 'out' is full, and nothing is read until it has room: disk full"],
    )


def test_metrics_are_valid_prometheus_text_and_carry_the_prefix(
    server: Server, status: Status
) -> None:
    status.beat(NOW)
    status.count("records_total", 7, source="plant")
    status.count("dropped_total", source='odd "source"\n', reason="late")
    status.gauge("lag_seconds", 0.25)
    status.source("plant", "ready")
    status.forecast(PUMP, forecast(PUMP))
    code, body, headers = get(server, "/metrics")
    assert code == 200
    assert headers["content-type"].startswith("text/plain; version=")
    families = list(text_string_to_metric_families(body))
    assert all(family.name.startswith("streamlnn_") for family in families)
    assert len({family.name for family in families}) == len(families)
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }
    assert samples["streamlnn_records_total", (("source", "plant"),)] == 7
    labels = (("reason", "late"), ("source", 'odd "source"\n'))
    assert samples["streamlnn_dropped_total", labels] == 1
    assert samples["streamlnn_lag_seconds", ()] == 0.25
    assert samples["streamlnn_source_ready", (("source", "plant"),)] == 1
    assert samples["streamlnn_streams", ()] == 1
    assert samples["streamlnn_restored", ()] == 0
    assert samples["streamlnn_heartbeat_timestamp_seconds", ()] == NOW / 1e9
    assert PUMP not in body, "a stream's id must not become a label"


def test_streams_are_listed_with_the_address_of_each(server: Server, status: Status) -> None:
    assert get_json(server, "/api/v1/streams") == (200, {"v": 1, "streams": []})
    status.forecast(PUMP, forecast(PUMP))
    _, body = get_json(server, "/api/v1/streams")
    assert body["streams"] == [
        {
            "stream": PUMP,
            "url": "/api/v1/streams/north%2Fpump%207",
            "time": "2026-11-23T10:00:00Z",
            "status": "ok",
            "epoch": 0,
            "seq": 9,
            "stale": False,
        }
    ]


def test_a_silent_stream_is_marked_and_counted_until_it_speaks(
    server: Server, status: Status
) -> None:
    status.forecast(PUMP, forecast(PUMP))
    path = "/api/v1/streams/" + quote(PUMP, safe="")
    for is_stale in (True, False):
        status.stale(PUMP, is_stale)
        assert get_json(server, path)[1]["stale"] is is_stale
        assert get_json(server, "/api/v1/streams")[1]["streams"][0]["stale"] is is_stale
        assert f"streamlnn_streams_stale {float(is_stale)}" in get(server, "/metrics")[1]


@pytest.mark.parametrize("stream", [PUMP, "plain", "a/b/c", "100%2F", "/lead", "tail/", "Ä?#&+"])
def test_a_stream_of_any_id_is_found_by_its_encoded_id(
    server: Server, status: Status, stream: str
) -> None:
    status.forecast(stream, forecast(stream))
    status.event(json.dumps({"v": 1, "id": "1", "stream": stream}).encode())
    status.event(json.dumps({"v": 1, "id": "2", "stream": "another"}).encode())
    code, body = get_json(server, "/api/v1/streams/" + quote(stream, safe=""))
    assert code == 200
    assert body["stream"] == stream
    assert body["targets"]["temperature"]["y"] == 71.2
    assert [event["id"] for event in body["events"]] == ["1"]


def test_a_stream_tells_why_its_forecast_is_what_it_is(server: Server, status: Status) -> None:
    """Asked when somebody wants to know; null while nobody can tell."""
    status.forecast(PUMP, forecast(PUMP))
    path = "/api/v1/streams/" + quote(PUMP, safe="")
    assert get_json(server, path)[1]["explanation"] is None
    asked = []
    why = lambda: {"targets": {"temperature": asked.append(1) or []}}  # noqa: E731
    status.stream(PUMP, cast("LiveStream", SimpleNamespace(explanation=why, last=None)))
    assert get_json(server, path)[1]["explanation"] == {"targets": {"temperature": []}}
    assert asked == [1]


def test_an_unknown_stream_is_404_with_the_way_out(server: Server) -> None:
    code, body = get_json(server, "/api/v1/streams/no%2Fsuch")
    assert code == 404
    assert body == {"error": "no stream 'no/such'; /api/v1/streams lists those there are"}


def test_the_page_may_load_what_is_ours_and_nothing_else(server: Server) -> None:
    code, body, headers = get(server, "/")
    assert code == 200
    for path in re.findall(r'(?:src|href)="(web/[^"]+)"', body):
        assert get(server, f"/{path}")[0] == 200
    rules = dict(rule.split(" ", 1) for rule in headers["content-security-policy"].split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["connect-src"] == "'self'"


@pytest.mark.parametrize(
    "path", ["/web/../api.py", "/web/..%2fapi.py", "/web/%2e%2e/api.py", "/web/"]
)
def test_only_the_pages_own_files_are_given_out(server: Server, path: str) -> None:
    assert get(server, path)[0] == 404


def test_the_api_tells_what_there_is_to_ask(server: Server) -> None:
    code, told = get_json(server, "/api/v1")
    assert code == 200
    assert {"/metrics", "/api/v1/live", "/api/v1/streams/ID/history"} <= set(told)


def test_with_a_token_only_probes_and_the_empty_page_answer_without_it(
    guarded: Server, status: Status
) -> None:
    status.beat(NOW)
    assert get(guarded, "/healthz")[0] == 200
    assert get(guarded, "/readyz")[0] == 503
    assert get(guarded, "/")[0] == get(guarded, "/web/page.js")[0] == 200
    for path in ("/metrics", "/api/v1", "/api/v1/streams", "/api/v1/live", "/nowhere"):
        code, body, headers = get(guarded, path)
        assert code == 401
        assert headers["www-authenticate"] == "Bearer"
        assert "Authorization: Bearer" in json.loads(body)["error"]
        assert "s3cret" not in body
    assert get(guarded, "/metrics", Authorization="Bearer wrong")[0] == 401
    assert get(guarded, "/metrics", Authorization="Bearer s3cret")[0] == 200


def test_readers_that_take_nothing_hold_up_nobody(server: Server, status: Status) -> None:
    """They are told less: what they do not take is not made, and all others hear everything."""
    address = urlsplit(server.address)
    deaf = []
    for _ in range(5):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect((address.hostname, address.port))
        sock.sendall(f"GET /api/v1/live HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode())
        deaf.append(sock)
    connection = HTTPConnection(address.netloc, timeout=10)
    connection.request("GET", "/api/v1/live")
    answer = connection.getresponse()
    answer.read1()
    large = "x" * 100_000
    for n in range(20):
        status.event(json.dumps({"stream": "a", "n": n, "text": large}).encode())
        wait_until(lambda: _heard(answer, len(large)), "the event")
        assert get_json(server, "/api/v1/streams")[0] == 200
    for sock in deaf:
        sock.close()
    connection.close()


def _heard(answer: HTTPResponse, size: int) -> bool:
    """Take an event of that size."""
    taken = 0
    while taken < size:
        taken += len(answer.read1())
    return True


def test_who_still_listens_does_not_hold_up_the_end(
    status: Status, caplog: pytest.LogCaptureFixture
) -> None:
    running = serve(status, "127.0.0.1:0", None)
    connection = HTTPConnection(urlsplit(running.address).netloc, timeout=10)
    connection.request("GET", "/api/v1/live")
    answer = connection.getresponse()
    assert answer.getheader("content-type", "").startswith("text/event-stream")
    assert answer.read1().startswith(b"event: daemon\n")
    running.stop()
    answer.read()  # to its end
    connection.close()
    assert not running._thread.is_alive()
    assert caplog.text == ""


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "", "127.0.0.1.evil.example"])
def test_on_the_loopback_a_foreign_host_name_is_refused(server: Server, host: str) -> None:
    assert get(server, "/api/v1/streams", Host=host)[0] == 400


@pytest.mark.parametrize(
    "host", ["127.0.0.1/healthz?", "127.0.0.1/#", "a@localhost", "localhost\\", "local host"]
)
def test_a_host_that_is_more_than_a_name_is_refused(
    server: Server, guarded: Server, host: str
) -> None:
    """Versions of starlette that we may run with read the path of a request out of it."""
    assert get(server, "/api/v1/streams", Host=host)[0] == 400
    assert get(guarded, "/api/v1/streams", Host=host)[0] == 400


def test_what_is_open_is_told_by_the_path_alone(
    guarded: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Request, "url", URL("http://127.0.0.1/healthz"))
    assert get(guarded, "/api/v1/streams")[0] == 401


@pytest.mark.parametrize("host", ["localhost", "localhost:9", "LOCALHOST", "127.0.0.1", "[::1]:9"])
def test_on_the_loopback_its_own_names_are_welcome(server: Server, host: str) -> None:
    assert get(server, "/api/v1/streams", Host=host)[0] == 200


@pytest.mark.parametrize(
    ("origin", "code"),
    [
        ("http://localhost:9", 200),
        ("http://LOCALHOST:9", 200),
        ("http://localhost:10", 403),
        ("https://evil.example", 403),
        ("null", 403),
        ("", 403),
        ("localhost:9", 403),
    ],
)
def test_a_page_of_another_origin_is_refused(server: Server, origin: str, code: int) -> None:
    assert get(server, "/metrics", Host="localhost:9", Origin=origin)[0] == code


@pytest.mark.parametrize("path", ["/", "/web/page.js", "/healthz", "/api/v1/streams", "/nowhere"])
def test_every_answer_tells_browsers_to_be_careful(server: Server, path: str) -> None:
    _, _, headers = get(server, path)
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    is_page = path == "/" or path.startswith("/web/")  # the same for everybody
    assert headers["cache-control"] == ("no-cache" if is_page else "no-store")
    assert "server" not in headers


def test_bound_to_all_addresses_any_host_name_is_welcome(status: Status) -> None:
    running = serve(status, "0.0.0.0:0", "s3cret")
    try:
        running.address = running.address.replace("0.0.0.0", "127.0.0.1")
        answer = get(running, "/api/v1/streams", Host="box.lan:1", Authorization="Bearer s3cret")
        assert answer[0] == 200
    finally:
        running.stop()


def said(server: Server, raw: bytes) -> bytes:
    """What the server answers to bytes, until it hangs up."""
    address = urlsplit(server.address)
    with socket.create_connection((address.hostname, address.port), timeout=10) as sock:
        sock.sendall(raw)
        return b"".join(iter(lambda: sock.recv(65_536), b""))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "X"])
def test_only_reading_is_allowed(server: Server, method: str) -> None:
    for path in ("/api/v1/streams", "/nowhere"):
        raw = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        told = said(server, raw.encode())
        assert told.startswith(b"HTTP/1.1 405 ")
        assert b"allow: GET, HEAD" in told


@pytest.mark.parametrize("header", ["Content-Length: 99999999", "Transfer-Encoding: chunked"])
def test_a_body_is_refused_before_it_is_read(server: Server, header: str) -> None:
    told = said(server, f"GET / HTTP/1.1\r\nHost: localhost\r\n{header}\r\n\r\n".encode())
    assert told.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 70_000,
        b"GET /" + b"x" * 70_000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100) + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
    ids=["header", "target", "tls", "two hosts", "no host"],
)
def test_what_is_too_long_or_no_http_is_hung_up_on(server: Server, raw: bytes) -> None:
    assert said(server, raw).startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 431 "))


def test_no_answer_is_cut_by_the_end_of_a_connection_that_is_used_again(server: Server) -> None:
    """Every answer ends its connection: the next one has its whole time for itself."""
    assert get(server, "/healthz")[2]["connection"] == "close"
    assert said(server, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").endswith(b"}")


def test_nobody_keeps_others_out_by_being_slow(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slowloris: more half requests than there may be connections; then all are let in again."""
    monkeypatch.setattr(impatience, "CONNECTION_SECS", 0.5)
    address = urlsplit(server.address)
    socks = [socket.create_connection((address.hostname, address.port)) for _ in range(70)]
    for sock in socks:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: local")
    wait_until(lambda: get(server, "/healthz")[0] == 200, "room")
    for sock in socks:
        sock.settimeout(10)
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(1) == b""
        sock.close()


def test_a_port_in_use_is_an_error_that_names_it_and_the_way_out(server: Server) -> None:
    listen = urlsplit(server.address).netloc
    with pytest.raises(StreamlnnError) as caught:
        serve(Status(), listen, None)
    assert str(caught.value) == (
        f"http.listen: cannot listen on {listen}: another program, perhaps a second streamlnn, "
        "uses that port; choose another, or false for none"
    )


def test_an_unknown_host_is_an_error_that_names_it() -> None:
    with pytest.raises(StreamlnnError, match=r"cannot listen on no\.such\.host\.invalid:80"):
        serve(Status(), "no.such.host.invalid:80", None)


@pytest.mark.parametrize("listen", ["", "8642", "127.0.0.1", "127.0.0.1:port", ":8642", "h:99999"])
def test_an_address_without_host_or_port_is_refused(listen: str) -> None:
    with pytest.raises(ValueError, match="is no address; write HOST:PORT"):
        split_address(listen)


def test_stop_frees_the_port_even_with_a_connection_open(status: Status) -> None:
    running = serve(status, "127.0.0.1:0", None)
    address = urlsplit(running.address)
    with socket.create_connection((address.hostname, address.port), timeout=10):
        running.stop()
    again = serve(status, address.netloc, None)
    assert again.address == running.address
    again.stop()
