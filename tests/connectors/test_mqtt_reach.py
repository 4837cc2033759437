"""Reaching a broker: every transport and login, and what is said when it does not work."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

import pytest
from brokers import free_port, listens, wait_until
from mqtt_tools import Reader, connected, make_sink, make_source

from connectors.mqtt import client as mqtt_client
from connectors.mqtt import connection as mqtt_connection
from connectors.mqtt.explain import why_not_reached
from connectors.mqtt.settings import Address, MqttSourceSettings, Tls
from streamlnn.pipeline.contract import NotConnected, Output

SECRET = "correct-horse"


def refusal(url: str, *topics: str, **settings: object) -> str:
    """What the source says when it cannot connect."""
    source = make_source(url, *topics, **settings)
    with pytest.raises(NotConnected) as caught:
        source.connect(None)
    assert not source.ready
    words = str(caught.value)
    assert "'plant'" in words
    assert url in words
    del caught
    gc.collect()  # paho leaves a socket that did not connect to the collector: do it here
    return words


# --- nobody there


def test_a_broker_that_is_down_is_named_with_the_way_out():
    assert "start the broker" in refusal(f"mqtt://127.0.0.1:{free_port()}", "a")


def test_a_host_name_that_is_none_is_no_crash():
    assert "check the url" in refusal(f"mqtt://{'a' * 70}.example:1883", "a")


def test_an_unknown_host_name_says_so():
    address = Address.parse("mqtt://broker.nowhere")
    words = why_not_reached(socket.gaierror(-2, "Name or service not known"), address)
    assert words.startswith("the name 'broker.nowhere' is not known")


def test_a_silent_firewall_says_so():
    assert "firewall" in why_not_reached(TimeoutError(), Address.parse("mqtt://h"))


def test_a_listener_that_hangs_up_is_told():
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            for _ in range(2):
                listener.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        words = refusal(f"mqtt://127.0.0.1:{listener.getsockname()[1]}", "a")
        thread.join()
    assert "MQTT broker listens there" in words or "connection" in words.lower()


@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestWarning")
def test_a_missing_unix_socket_is_told(tmp_path):
    assert "No such file" in refusal(f"unix://{tmp_path}/none.sock", "a")


def test_a_unix_socket_on_which_nobody_answers_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(mqtt_client, "_REACH_SECS", 0.3)
    path = str(tmp_path / "busy.sock")
    with socket.socket(socket.AF_UNIX) as busy, contextlib.ExitStack() as waiting:
        busy.bind(path)
        busy.listen(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                knocking = waiting.enter_context(socket.socket(socket.AF_UNIX))
                knocking.setblocking(False)
                knocking.connect(path)
        assert "see whether the broker hangs" in refusal(f"unix://{path}", "a")


def test_a_websocket_that_greets_letter_by_letter_is_given_up(monkeypatch):
    monkeypatch.setattr(mqtt_client, "_REACH_SECS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            peer, _ = listener.accept()
            with peer, contextlib.suppress(OSError):
                while True:
                    peer.sendall(b"x")
                    time.sleep(0.1)

        thread = threading.Thread(target=drip)
        thread.start()
        assert "cannot connect" in refusal(f"ws://127.0.0.1:{listener.getsockname()[1]}", "a")
        thread.join()


# --- logging in


@pytest.fixture
def guarded(make_broker, tmp_path):
    """A broker that knows alice, who reads only `in/#` and writes only `streamlnn/#`."""
    passwords, rights = tmp_path / "passwords", tmp_path / "rights"
    subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, "alice", SECRET], check=True)
    rights.write_text("user alice\ntopic readwrite in/#\ntopic readwrite streamlnn/plant1/#\n")
    for path in (passwords, rights):
        path.chmod(0o644)
    broker = make_broker(f"password_file {passwords}", f"acl_file {rights}", anonymous=False)
    broker.login = ("alice", SECRET)
    return broker


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_the_right_password_is_let_in(guarded, version):
    login = {"username": "alice", "password": SECRET, "version": version}
    with connected(guarded, "in/a", **login) as source:
        guarded.publish("in/a", b"1")
        assert Reader(source).until_count(1)


@pytest.mark.parametrize("version", ["5", "3.1.1"])
@pytest.mark.parametrize("login", [{}, {"username": "alice", "password": "wrong-" + SECRET}])
def test_a_wrong_or_missing_password_is_told_without_the_password(guarded, login, version):
    words = refusal(guarded.url, "in/a", version=version, **login)
    assert "check username and password" in words
    assert SECRET not in words


def test_a_password_file_is_read_at_each_connect(guarded, tmp_path, caplog):
    path = tmp_path / "password"
    path.write_text("old")
    path.chmod(0o600)
    source = make_source(guarded.url, "in/a", username="alice", password_file=str(path))
    with pytest.raises(NotConnected, match="password"):
        source.connect(None)
    path.write_text(f"{SECRET}\n")
    source.connect(None)
    assert source.ready
    assert "chmod" not in caplog.text
    source.close()


def test_a_password_file_open_to_others_is_refused_until_it_is_closed(guarded, tmp_path):
    path = tmp_path / "password"
    path.write_text(SECRET)
    path.chmod(0o644)
    source = make_source(guarded.url, "in/a", username="alice", password_file=str(path))
    with pytest.raises(NotConnected, match=f"chmod 600 {path}") as caught:
        source.connect(None)
    assert SECRET not in str(caught.value)
    path.chmod(0o600)
    source.connect(None)
    source.close()


def test_a_missing_password_file_is_told(guarded, tmp_path):
    source = make_source(guarded.url, "a", username="alice", password_file=f"{tmp_path}/none")
    with pytest.raises(NotConnected, match=r"none cannot be read \(No such file"):
        source.connect(None)


def test_an_output_that_is_not_allowed_is_told_once_and_does_not_stall(guarded, caplog):
    login = {"username": "alice", "password": SECRET}
    sink = make_sink(url=guarded.url, base_topic="forbidden", **login)
    sink.connect()
    sink.write([Output("forecast", b"{}", "a", lsn=lsn) for lsn in (1, 2)])
    assert sink.flush(5) == 2
    assert sink.stats["refused"] == {"Not authorized": 2}
    assert caplog.text.count("let this user write to forbidden/plant1/#") == 1
    sink.close()


# --- versions


@pytest.fixture
def old_broker():
    """A broker of MQTT 3.1.1 only; gives its port."""
    amqtt = pytest.importorskip("amqtt.broker")
    logging.getLogger("amqtt").setLevel(logging.ERROR)
    logging.getLogger("transitions").setLevel(logging.ERROR)
    port, loop = free_port(), asyncio.new_event_loop()
    config = {
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    }
    started, stop = threading.Event(), asyncio.Event()

    async def serve() -> None:
        broker = amqtt.Broker(config, loop)
        await broker.start()
        started.set()
        await stop.wait()
        await broker.shutdown()

    thread = threading.Thread(target=loop.run_until_complete, args=[serve()])
    thread.start()
    assert started.wait(20)
    yield port
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


def test_an_old_broker_is_spoken_to_in_its_version_with_one_warning(
    old_broker, caplog, monkeypatch
):
    monkeypatch.setattr(mqtt_connection, "_OPEN_SECS", 2.0)  # amqtt does not answer version 5
    source = make_source(f"mqtt://127.0.0.1:{old_broker}", "a")
    sink = make_sink(source)
    source.connect(None)
    assert source.connection.version == "3.1.1"
    sink.connect()
    sink.write([Output("forecast", b"{}", "b", lsn=1, identity={"seq": "1"})])
    assert sink.flush(10) == 1
    source.connect(None)
    assert source.connection.version == "3.1.1"
    assert caplog.text.count("speaks only MQTT 3.1.1") == 1
    source.close()


def test_version_5_alone_does_not_fall_back(old_broker, monkeypatch):
    monkeypatch.setattr(mqtt_connection, "_OPEN_SECS", 0.5)
    words = refusal(f"mqtt://127.0.0.1:{old_broker}", "a", version="5")
    assert "check that a broker of MQTT 5 listens there" in words


# --- transports


def test_a_unix_socket_works(make_broker, tmp_path):
    path = tmp_path / "mosquitto.sock"
    broker = make_broker(f"listener 0 {path}")
    wait_until(path.exists, "the socket")
    source = make_source(f"unix://{path}", "a")
    source.connect(None)
    broker.publish("a", b"1")
    assert Reader(source).until_count(1)
    source.close()


def test_websockets_work(make_broker):
    port = free_port()
    broker = make_broker(f"listener {port} 127.0.0.1", "protocol websockets")
    wait_until(lambda: listens(port), "websockets")
    source = make_source(f"ws://127.0.0.1:{port}/mqtt", "a")
    source.connect(None)
    broker.publish_all([("a", b"x" * 300)] * 500)
    reader = Reader(source)
    reader.until_count(500)
    assert set(reader.payloads) == {b"x" * 300}
    source.close()


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory) -> Path:
    """A folder with an authority `ca`, a server's and a client's certificate, and a stranger."""
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("ca", "stranger"):
        openssl(folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", "/CN=ca")  # fmt: skip
    for name in ("server", "client"):
        extensions = folder / f"{name}.ext"
        extensions.write_text("subjectAltName=DNS:localhost\n")
        openssl(folder, "req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key",
                "-out", f"{name}.csr", "-subj", f"/CN={name}")  # fmt: skip
        openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                "-CAcreateserial", "-days", "2", "-extfile", extensions.name,
                "-out", f"{name}.pem")  # fmt: skip
    openssl(folder, "x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
            "-days", "0", "-extfile", "server.ext", "-out", "expired.pem")  # fmt: skip
    for path in folder.iterdir():
        path.chmod(0o644)
    (folder / "client.key").chmod(0o600)
    return folder


@pytest.fixture
def secure(make_broker, certificates):
    """`secure(*lines)`: a broker with a TLS listener on `broker.tls_port`."""

    def make(*lines: str, certificate: str = "server.pem"):
        port = free_port()
        broker = make_broker(
            f"listener {port} 127.0.0.1",
            f"cafile {certificates}/ca.pem",
            f"certfile {certificates}/{certificate}",
            f"keyfile {certificates}/server.key",
            *lines,
        )
        wait_until(lambda: listens(port), "the encrypted listener")
        broker.tls_port = port
        return broker

    return make


def test_an_encrypted_connection_works(secure, certificates):
    broker = secure()
    tls = {"ca": str(certificates / "ca.pem"), "cert": "", "key": ""}
    source = make_source(f"mqtts://localhost:{broker.tls_port}", "a", tls=tls)
    source.connect(None)
    broker.publish_all([("a", b"x" * 100)] * 500)
    assert Reader(source).until_count(500)
    source.close()


def test_encrypted_websockets_work(secure, certificates):
    broker = secure("protocol websockets")
    tls = {"ca": str(certificates / "ca.pem")}
    source = make_source(f"wss://localhost:{broker.tls_port}/mqtt", "a", tls=tls)
    source.connect(None)
    broker.publish_all([("a", b"x" * 100)] * 500)
    assert Reader(source).until_count(500)
    source.close()


def test_a_certificate_of_a_stranger_is_refused(secure, certificates):
    tls = {"ca": str(certificates / "stranger.pem")}
    words = refusal(f"mqtts://localhost:{secure().tls_port}", "a", tls=tls)
    assert "certificate is not trusted" in words
    assert "set tls.ca" in words


def test_a_certificate_of_another_name_is_refused(secure, certificates):
    tls = {"ca": str(certificates / "ca.pem")}
    words = refusal(f"mqtts://127.0.0.1:{secure().tls_port}", "a", tls=tls)
    assert "check the name in the url" in words


def test_encryption_on_a_plain_port_is_told(broker):
    assert "check the port and the tls table" in refusal(f"mqtts://127.0.0.1:{broker.port}", "a")


def test_a_broker_that_wants_our_certificate_gets_it(secure, certificates):
    broker = secure("require_certificate true")
    tls = {name: str(certificates / file) for name, file in
           {"ca": "ca.pem", "cert": "client.pem", "key": "client.key"}.items()}  # fmt: skip
    source = make_source(f"mqtts://localhost:{broker.tls_port}", "a", tls=tls)
    source.connect(None)
    assert source.ready
    source.close()
    words = refusal(f"mqtts://localhost:{broker.tls_port}", "a", tls={"ca": tls["ca"]})
    assert "client certificate" in words


def test_a_missing_certificate_file_is_told(secure, tmp_path):
    url = f"mqtts://localhost:{secure().tls_port}"
    assert "check ca, cert and key" in refusal(url, "a", tls={"ca": str(tmp_path / "none")})


def test_old_encryption_is_refused(certificates):
    context = Tls(ca=str(certificates / "ca.pem")).context()
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.check_hostname


def test_an_expired_certificate_is_refused(secure, certificates):
    broker = secure(certificate="expired.pem")
    url, tls = f"mqtts://localhost:{broker.tls_port}", {"ca": str(certificates / "ca.pem")}
    time.sleep(1.0)  # it was good for the second in which it was made
    assert "certificate has expired" in refusal(url, "a", tls=tls)


def test_renewed_files_are_seen_at_the_next_connect(secure, certificates, tmp_path):
    broker = secure("require_certificate true")
    trusted, shown = tmp_path / "trusted.pem", tmp_path / "client.pem"
    shutil.copy(certificates / "stranger.pem", trusted)
    shutil.copy(certificates / "client.pem", shown)
    tls = {"ca": str(trusted), "cert": str(shown), "key": str(certificates / "client.key")}
    source = make_source(f"mqtts://localhost:{broker.tls_port}", "a", tls=tls)
    with pytest.raises(NotConnected, match="not trusted"):
        source.connect(None)
    shutil.copy(certificates / "ca.pem", trusted)
    source.connect(None)
    assert source.ready
    source.close()


def test_a_key_that_others_can_read_is_refused(certificates, tmp_path):
    shutil.copy(certificates / "client.key", tmp_path / "client.key")
    (tmp_path / "client.key").chmod(0o640 if os.geteuid() else 0o644)
    tls = Tls(cert=str(certificates / "client.pem"), key=str(tmp_path / "client.key"))
    with pytest.raises(ValueError, match="chmod 600"):
        tls.context()


@pytest.mark.parametrize(
    ("url", "is_told"),
    [
        ("mqtt://plant.example", True),
        ("ws://10.0.0.1", True),
        ("mqtts://plant.example", False),
        ("mqtt://127.0.0.1", False),
        ("mqtt://localhost", False),
        ("unix:///run/mosquitto.sock", False),
    ],
)
def test_a_password_in_plain_text_is_told_unless_it_stays_on_this_machine(url, is_told):
    login = {"username": "alice", "password": SECRET}
    told = MqttSourceSettings(url=url, **login).doubts()
    assert [("plain text" in one and SECRET not in one) for one in told] == [True] * is_told
    assert MqttSourceSettings(url=url).doubts() == []
