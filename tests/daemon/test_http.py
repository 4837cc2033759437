"""The HTTP server, asked over a real socket."""

import json
import socket
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from streamlnn.daemon.address import split_address
from streamlnn.daemon.http import Server, serve
from streamlnn.daemon.status import Status
from streamlnn.errors import StreamlnnError

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
def status() -> Status:
    return Status()


@pytest.fixture
def server(status: Status) -> Iterator[Server]:
    running = serve(status, "127.0.0.1:0", None, clock=lambda: NOW)
    yield running
    running.stop()


@pytest.fixture
def guarded(status: Status) -> Iterator[Server]:
    running = serve(status, "127.0.0.1:0", "s3cret", clock=lambda: NOW)
    yield running
    running.stop()


def test_healthz_follows_the_heartbeat(server: Server, status: Status) -> None:
    code, body = get_json(server, "/healthz")
    assert (code, body["reason"]) == (503, "the pipeline's loop has not begun to turn")
    status.beat(NOW)
    assert get_json(server, "/healthz") == (200, {"status": "ok"})
    status.beat(NOW - 31_000_000_000)
    code, body = get_json(server, "/healthz")
    assert (code, body["reason"]) == (503, "the pipeline's loop has not turned for 30 s")


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
    status.stream(PUMP, lambda: {"targets": {"temperature": asked.append(1) or []}})
    assert get_json(server, path)[1]["explanation"] == {"targets": {"temperature": []}}
    assert asked == [1]


def test_an_unknown_stream_is_404_with_the_way_out(server: Server) -> None:
    code, body = get_json(server, "/api/v1/streams/no%2Fsuch")
    assert code == 404
    assert body == {"error": "no stream 'no/such'; /api/v1/streams lists those there are"}


def test_the_index_links_everything_and_escapes_ids(server: Server, status: Status) -> None:
    status.forecast("<script>", forecast("<script>"))
    code, body, _ = get(server, "/")
    assert code == 200
    assert "/metrics" in body
    assert '<a href="/api/v1/streams/%3Cscript%3E">&lt;script&gt;</a>' in body
    assert "<script>" not in body


def test_with_a_token_only_the_probes_answer_without_it(guarded: Server, status: Status) -> None:
    status.beat(NOW)
    assert get(guarded, "/healthz")[0] == 200
    assert get(guarded, "/readyz")[0] == 503
    for path in ("/", "/metrics", "/api/v1/streams", "/api/v1/streams/x", "/nowhere"):
        code, body, headers = get(guarded, path)
        assert code == 401
        assert headers["www-authenticate"] == "Bearer"
        assert "Authorization: Bearer" in json.loads(body)["error"]
        assert "s3cret" not in body
    assert get(guarded, "/metrics", Authorization="Bearer wrong")[0] == 401
    assert get(guarded, "/metrics", Authorization="Bearer s3cret")[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "", "127.0.0.1.evil.example"])
def test_on_the_loopback_a_foreign_host_name_is_refused(server: Server, host: str) -> None:
    assert get(server, "/api/v1/streams", Host=host)[0] == 400


@pytest.mark.parametrize("host", ["localhost", "localhost:9", "LOCALHOST", "127.0.0.1", "[::1]:9"])
def test_on_the_loopback_its_own_names_are_welcome(server: Server, host: str) -> None:
    assert get(server, "/api/v1/streams", Host=host)[0] == 200


def test_bound_to_all_addresses_any_host_name_is_welcome(status: Status) -> None:
    running = serve(status, "0.0.0.0:0", "s3cret")
    try:
        running.address = running.address.replace("0.0.0.0", "127.0.0.1")
        answer = get(running, "/api/v1/streams", Host="box.lan:1", Authorization="Bearer s3cret")
        assert answer[0] == 200
    finally:
        running.stop()


def test_only_reading_is_allowed(server: Server) -> None:
    connection = HTTPConnection(urlsplit(server.address).netloc, timeout=10)
    connection.request("POST", "/api/v1/streams", body="{}")
    assert connection.getresponse().status == 405
    connection.close()


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
