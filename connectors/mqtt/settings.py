"""The options of everything that speaks MQTT, and what a broker's address means."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import AfterValidator, ConfigDict, Field, SecretStr, field_validator, model_validator

from connectors.mqtt.topics import check_filter, is_topic
from streamlnn.pipeline.contract import Duration, NotConnected, Settings, check_private, read_secret

Transport = Literal["tcp", "websockets", "unix"]

_TRANSPORTS: dict[str, tuple[Transport, bool, int]] = {
    "mqtt": ("tcp", False, 1883),
    "mqtts": ("tcp", True, 8883),
    "ws": ("websockets", False, 80),
    "wss": ("websockets", True, 443),
    "unix": ("unix", False, 1),
}


_HOST = re.compile(r"[\w.-]{1,80}(:\d{1,5})?")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a broker listens; `host` is a path for a unix socket, `path` is a websocket's.

    >>> Address.parse("mqtts://broker.local")
    Address(transport='tcp', secure=True, host='broker.local', port=8883, path='')
    """

    transport: Transport
    secure: bool
    host: str
    port: int
    path: str = ""

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read `url`. Raises `ValueError`, with the way out, when it is no broker's address."""
        parts = urlsplit(url)
        if parts.scheme not in _TRANSPORTS:
            raise ValueError(
                f"a broker's url begins with {', '.join(_TRANSPORTS)}, then ://{_meant(url)}"
            )
        if parts.username is not None or parts.password is not None:
            raise ValueError("a url is logged: write username and password_file instead")
        transport, secure, usual = _TRANSPORTS[parts.scheme]
        if transport == "unix":
            return cls(transport, secure, _socket_path(url), usual)
        if not parts.hostname:
            raise ValueError(f"the url names no host: write {parts.scheme}://HOST:PORT")
        path = parts.path if transport == "websockets" else ""
        return cls(transport, secure, parts.hostname, _port(parts) or usual, path)

    @property
    def is_private(self) -> bool:
        """True where nobody on the way can read along: encrypted, or on this machine."""
        return self.secure or self.is_here

    @property
    def is_here(self) -> bool:
        """True when the broker is on this machine."""
        if self.transport == "unix" or self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


def _port(parts: SplitResult) -> int | None:
    try:
        return parts.port
    except ValueError:
        usual = f"{parts.scheme}://{parts.hostname}:{_TRANSPORTS[parts.scheme][2]}"
        raise ValueError(f"the port is a number up to 65535: write {usual}") from None


def _meant(url: str) -> str:
    """Return what an address without one of our schemes was meant to be, in words."""
    scheme, _, rest = url.rpartition("://")
    host = rest.partition("/")[0]
    if "@" in url or not _HOST.fullmatch(host):
        return ""  # a password may stand in it, and would be logged
    secure = scheme.lower() in ("ssl", "tls", "https", "tcps", "mqtt+ssl")
    return f"; did you mean {'mqtts' if secure else 'mqtt'}://{host}?"


def _socket_path(url: str) -> str:
    path = unquote(url.removeprefix("unix:").removeprefix("//"))
    if not path.startswith("/"):
        raise ValueError("the url names no socket: write unix:///run/mosquitto.sock")
    return path


def _check_url(url: str) -> str:
    Address.parse(url)
    return url


Url = Annotated[str, AfterValidator(_check_url)]
Filter = Annotated[str, AfterValidator(check_filter)]


class _TidySocket(ssl.SSLSocket):
    """Closes itself when the handshake fails; paho would leave that to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


class Tls(Settings):
    """Which certificates to trust, and which to show; an empty string is none."""

    ca: str = Field(default="", description="file of authorities to trust; empty: the system's")
    cert: str = Field(default="", description="our certificate, where the broker asks for one")
    key: str = Field(default="", description="the private key of cert")

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if bool(self.cert) != bool(self.key):
            raise ValueError("cert and key belong together: give both or none")
        return self

    def context(self) -> ssl.SSLContext:
        """Return what to check the broker with; names are checked, and nothing switches that off.

        The files are read anew at each call. Raises `OSError` for one that cannot be read and
        `ValueError` for a key that others can read.
        """
        context = ssl.create_default_context(cafile=self.ca or None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.sslsocket_class = _TidySocket
        if self.cert:
            check_private(Path(self.key), Path(self.key).stat())
            context.load_cert_chain(self.cert, self.key)
        return context


class BrokerSettings(Settings):
    """How to reach a broker and to be let in; shared by the source and a sink of its own."""

    model_config = ConfigDict(hide_input_in_errors=True)

    url: Url = Field(default="", description="mqtt, mqtts, ws, wss or unix, then ://HOST:PORT")
    version: Literal["auto", "5", "3.1.1"] = Field(
        default="auto", description="5, falling back to 3.1.1 with a warning, unless named"
    )
    username: str = ""
    password: SecretStr | None = None
    password_file: str = Field(default="", description="read at each connect")
    tls: Tls = Field(default=Tls(), examples=[{"ca": "/etc/streamlnn/ca.pem"}])
    keepalive: Duration = Field(
        default="30s", validate_default=True, description="how soon a dead connection is noticed"
    )
    client_id: str = Field(default="", description="empty: made of the instance and the id")
    max_packet_size: int = Field(
        default=1_048_576,
        ge=1024,
        le=268_435_455,
        description="bytes; what is larger is dropped and counted",
    )

    @property
    def address(self) -> Address:
        """Where the broker listens."""
        return Address.parse(self.url)

    @field_validator("keepalive")
    @classmethod
    def _sensible(cls, secs: float) -> float:
        if not 1 <= secs <= 65_535:
            raise ValueError("keepalive lies between 1s and 65535s")
        return secs

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.password is not None and self.password_file:
            raise ValueError("password and password_file are both given: keep one of them")
        if (self.password is not None or self.password_file) and not self.username:
            raise ValueError("a password without a username: add username")
        if self.url and self.tls != Tls() and not self.address.secure:
            raise ValueError("tls is given, but the url is not encrypted: write mqtts or wss")
        return self

    def secret(self) -> str | None:
        """Return the password, read now when it lies in a file.

        Raises `NotConnected` when the file cannot be read, or others can read it too: it may be
        mounted, or closed to them, later.
        """
        if not self.password_file:
            return self.password.get_secret_value() if self.password else None
        path = self.password_file
        try:
            return read_secret(path)
        except OSError as error:
            reason = (
                f"{path} cannot be read ({error.strerror}): let this user read it, or correct "
                "the path"
            )
        except ValueError as error:
            reason = str(error)
        raise NotConnected(f"password_file {reason}")

    def doubts(self) -> list[str]:
        """Return that a password would go over the network for all to read, or another doubt."""
        told = []
        if self.url and not self.address.secure and self.address.port == _TRANSPORTS["mqtts"][2]:
            told.append(f"{self.url}: port 8883 is that of encrypted connections: write mqtts://")
        if self.username and self.url and not self.address.is_private:
            told.append(
                f"the password for {self.url} goes over the network in plain text: "
                "write mqtts or wss, and let the broker listen there"
            )
        return told


class MqttSourceSettings(BrokerSettings):
    """The options of `[[source]] kind = "mqtt"`."""

    kind: Literal["mqtt"] = "mqtt"
    id: str = "mqtt"
    url: Url = Field(description="mqtt, mqtts, ws, wss or unix, then ://HOST:PORT")
    topics: tuple[Filter, ...] = Field(default=(), description="empty: derived from the streams")
    qos: int = Field(default=1, ge=0, description="0 or 1")
    retained: Literal["ignore", "seed", "use"] = Field(
        default="ignore", description="what to do with messages the broker kept from before"
    )
    session_expiry: Duration = Field(
        default="7d", validate_default=True, description="how long the broker queues for us"
    )
    receive_maximum: int = Field(
        default=4096, ge=1, le=65_535, description="messages under way at once; MQTT 5 only"
    )
    format: str = Field(default="json", description="the codec")

    @field_validator("session_expiry")
    @classmethod
    def _a_session(cls, secs: float) -> float:
        if secs < 1:
            raise ValueError("without a session the broker queues nothing while we are away")
        return secs

    @field_validator("qos")
    @classmethod
    def _not_two(cls, qos: int) -> int:
        if qos > 1:
            raise ValueError(
                "QoS 2 would lose what was not yet stored when the process is killed: "
                "write qos = 1, which loses nothing and repeats at worst"
            )
        return qos


def check_beginning(text: str) -> str:
    """Return `text` when our topics may begin with it. Raises `ValueError`, with the way out."""
    if not is_topic(text) or text.endswith("/") or text.startswith("$"):
        raise ValueError(
            f"{text!r} cannot begin a topic: write one such as streamlnn or site/streamlnn, "
            "without wildcards, $ or a / at its end"
        )
    return text


class MqttSinkSettings(BrokerSettings):
    """The options of `[[sink]] kind = "mqtt"`: via a source's connection, or by its own url."""

    kind: Literal["mqtt"] = "mqtt"
    id: str = "mqtt"
    via: str = Field(default="", description="the id of the mqtt source whose connection to use")
    base_topic: Annotated[str, AfterValidator(check_beginning)] = "streamlnn"
    qos: Literal[0, 1] = Field(default=1, description="of forecasts and events")
    retain_state: bool = Field(default=True, description="the broker keeps each stream's state")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.via) == bool(self.url):
            raise ValueError("give either via, the id of an mqtt source, or a url of its own")
        if self.via and (foreign := self.model_fields_set & set(BrokerSettings.model_fields)):
            raise ValueError(f"{', '.join(sorted(foreign))}: belongs to the source named by via")
        return self
