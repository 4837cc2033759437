"""A recording played as if it were heard now: as fast as it can be read, or in its own time."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from pydantic import AfterValidator, BaseModel, Field, PositiveFloat, model_validator

from connectors.formats import READERS
from connectors.heard import Origin
from connectors.recognised import Format
from connectors.recordings import open_recording
from streamlnn.errors import ConfigError
from streamlnn.model.records import NANOSECONDS
from streamlnn.pipeline.contract import Batch, Context, EndOfSource, Message, Settings

log = logging.getLogger("streamlnn.replay")

BATCH = 1000
"""How many messages one read gives at most."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

TimeOf = Callable[[Message], int | None]


def _as_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


Moment = Annotated[datetime, AfterValidator(_as_utc)]


class ReplaySettings(Settings):
    """The options of a recording that is played.

    `speed` is "max" or a factor (10: ten times as fast as it was recorded); `from` and `to`
    bound the time of the messages; `time` "now" stamps them with the time of playing. Messages
    that the broker had kept from before are passed over, may begin a stream, or are used.
    """

    kind: Literal["replay"] = "replay"
    id: str = "replay"
    path: str
    format: Format = "auto"
    speed: Literal["max"] | PositiveFloat = "max"
    loop: bool = False
    start: Moment | None = Field(default=None, alias="from")
    until: Moment | None = Field(default=None, alias="to")
    time: Literal["recorded", "now"] = "recorded"
    retained: Literal["ignore", "seed", "use"] = "seed"

    @model_validator(mode="after")
    def _loop_goes_on(self) -> ReplaySettings:
        if self.loop and self.time == "recorded":
            raise ValueError('loop = true would repeat the recorded times: set time = "now" too')
        return self


class _Position(msgspec.Struct, frozen=True):
    offset: Annotated[int, msgspec.Meta(ge=0)]

    @classmethod
    def parse(cls, text: str | None) -> _Position:
        """Read what `text` was; the position of another kind of source counts as the beginning."""
        try:
            return msgspec.json.decode(text, type=cls) if text else cls(0)
        except msgspec.DecodeError:
            log.warning("the stored position %.80r is not of a recording: ignored", text)
            return cls(0)

    def text(self) -> str:
        """Return the form in which it is stored."""
        return msgspec.json.encode(self).decode()


class Pace:
    """When each message is due: an absolute schedule, so that waiting adds up no errors.

    `speed` is a factor. Messages without a time, or older than the first one, are due at once.

    >>> pace = Pace(speed=2.0)
    >>> pace.wait(0, now=100.0), pace.wait(3_000_000_000, now=100.5)
    (0.0, 1.0)
    """

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._first: tuple[int, float] | None = None

    def wait(self, stamp: int | None, now: float) -> float:
        """Return the seconds until a message of the time `stamp` (nanoseconds) is due."""
        if stamp is None:
            return 0.0
        if self._first is None:
            self._first = (stamp, now)
        first, began = self._first
        return max(0.0, began + (stamp - first) / NANOSECONDS / self._speed - now)


class ReplaySource:
    """Plays the messages of a recording and ends.

    `time_of` tells a message's time in nanoseconds, for the speed and for `from` and `to`: the
    time of receipt in the recording unless it is set, before the first `read`, to something that
    looks into the payload.
    `format` is known once connected. Can be resumed at any message. `opened` makes a `Recording`,
    or what stands in its place, of the path and the format.
    """

    Settings: ClassVar[type[BaseModel]] = ReplaySettings
    finite = True

    def __init__(
        self,
        settings: ReplaySettings,
        context: Context,
        opened: Callable[[str, str], Any] = open_recording,
    ) -> None:
        self.id = settings.id
        self.format = _codec_of(settings.format)
        self.time_of: TimeOf = _received
        self._settings = settings
        self._clock, self._is_live = context.clock, context.daemon
        self._open = opened
        self._recording: Any = None
        self._entries = _nothing()
        self._next: tuple[Message, int] | None = None
        self._speed = math.inf if settings.speed == "max" else settings.speed
        self._pace = Pace(self._speed)
        self._from, self._until = _nanoseconds(settings.start), _nanoseconds(settings.until)
        self._lap_gave_any = self._told = False
        self._offset = 0

    def connect(self, position: str | None) -> None:
        """Open and recognise the recording. Raises `InputUnavailable`.

        Raises `ConfigError` in the daemon, which had to choose a codec before anybody looked, for a
        recording whose payloads need another one.
        """
        self.close()
        self._recording = self._open(self._settings.path, self._settings.format)
        if self._is_live:
            self._refuse_unnamed(self._recording)
        self.format = self._recording.codec
        self._offset = _Position.parse(position).offset
        self._begin(self._recording)

    def read(self, timeout: float) -> Batch | None:
        """Return the messages that are due, up to `BATCH` of them."""
        self._tell_of_missing_times()
        deadline = time.monotonic() + timeout
        messages: list[Message] = []
        while len(messages) < BATCH and (message := self._due(deadline, wait=not messages)):
            messages.append(message)
        if messages:
            return Batch(messages, _Position(self._offset).text())
        if self._next is None:
            raise EndOfSource(f"{self._settings.path} is played to its end")
        return None

    def idle(self) -> None:
        """Do nothing: a recording waits by itself."""

    def ack(self, position: str) -> None:
        """Do nothing: a recording forgets nothing."""

    @property
    def ready(self) -> bool:
        """True once the recording is open."""
        return self._recording is not None

    @property
    def recording(self) -> Any:
        """What is played, or None before it is opened."""
        return self._recording

    @property
    def has_topics(self) -> bool:
        """True when the messages' origins are topics; known once connected."""
        return self._recording is not None and self._recording.has_topics

    @property
    def sources(self) -> dict[str, Origin]:
        """The sources of a recording of ours, by id; known once connected."""
        return self._recording.sources if self._recording else {}

    @property
    def progress(self) -> float | None:
        """How much of the recording has been read, from 0 to 1; None where nobody can tell."""
        size = self._recording.size if self._recording else None
        return min(1.0, self._offset / size) if size else None

    @property
    def stats(self) -> dict[str, int]:
        """How many lines were left out, for the metrics."""
        return {"lines_dropped": self.dropped}

    @property
    def dropped(self) -> int:
        """How many lines of the recording could not be read."""
        return self._recording.dropped if self._recording else 0

    def close(self) -> None:
        """Close the recording."""
        self._entries.close()
        self._recording = self._next = None

    def _refuse_unnamed(self, recording: Any) -> None:
        if recording.codec not in (_codec_of(self._settings.format), "csv"):
            told = f"{self._settings.path} needs to be told: format = {recording.format!r}"
            raise ConfigError([f"source {self.id!r}: {told}"])

    def _begin(self, recording: Any) -> None:
        self._pace = Pace(self._speed)
        self._entries = recording.entries(self._offset)
        self._lap_gave_any = self._offset > 0

    def _due(self, deadline: float, *, wait: bool) -> Message | None:
        if self._next is None:
            self._next = self._advance()
        if self._next is None:
            return None
        message, end = self._next
        if self._speed < math.inf and not self._is_time(message, deadline, wait=wait):
            return None
        self._next, self._offset = None, end
        return self._stamped(message)

    def _is_time(self, message: Message, deadline: float, *, wait: bool) -> bool:
        now = time.monotonic()
        seconds, left = self._pace.wait(self.time_of(message), now), max(0.0, deadline - now)
        if seconds == 0:
            return True
        if wait:
            time.sleep(min(seconds, left))
        return wait and seconds <= left

    def _advance(self) -> tuple[Message, int] | None:
        for message, end in self._entries:
            if self._in_range(message):
                self._lap_gave_any = True
                return message, end
        if not self._settings.loop or not self._lap_gave_any or self._recording is None:
            return None
        self._offset = 0
        self._begin(self._recording)
        return self._advance()

    def _in_range(self, message: Message) -> bool:
        if message.retained and self._settings.retained == "ignore":
            return False
        if self._from is None and self._until is None:
            return True
        stamp = self.time_of(message)
        return stamp is None or (
            (self._from is None or self._from <= stamp)
            and (self._until is None or stamp <= self._until)
        )

    def _stamped(self, message: Message) -> Message:
        if message.retained and self._settings.retained == "use":
            message = replace(message, retained=False)
        if self._settings.time == "recorded":
            return message
        return replace(message, received=self._clock())

    @property
    def _has_times(self) -> bool:
        return self.has_topics or bool(self.sources)

    def _tell_of_missing_times(self) -> None:
        timed = self._speed < math.inf or self._from is not None or self._until is not None
        if timed and not self._told and not self._has_times and self.time_of is _received:
            self._told = True
            log.warning(
                "%s does not tell when its messages were received: it is played whole, as fast "
                "as it can be read",
                self._settings.path,
            )


def _codec_of(form: str) -> str:
    """Return the codec of a format, as far as its name tells."""
    return getattr(READERS.get(form), "codec", "json")


def _nothing() -> Generator[tuple[Message, int]]:
    yield from ()


def _received(message: Message) -> int | None:
    return message.received


def _nanoseconds(moment: datetime | None) -> int | None:
    if moment is None:
        return None
    passed = moment - _EPOCH
    return (passed.days * 86400 + passed.seconds) * NANOSECONDS + passed.microseconds * 1000
