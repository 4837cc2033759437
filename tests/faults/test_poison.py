"""Row "hostile payloads" of the fault matrix: whatever comes, it is counted, kept and passed over.

Injected: numbers beyond a double, a million digits or beyond any exponent, text and truth in the
place of numbers, nesting and repetition without end, bytes that are no text, NUL, keys and cells by
the hundred thousand; as value, as time and as the name of the stream, through every codec, and the
whole pipeline, which is killed in between and meets the same again.

Must hold: no crash and no standstill (a payload must not take minutes to be found bad, so that
these tests have a short time limit), nothing infinite in a forecast, a bounded number of dead
letters, memory that stays flat, and a good sample that gets through afterwards.
"""

from __future__ import annotations

import json
import math
import os
from contextlib import closing
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from runs import TABLE, pipeline, run_to_the_end, said

from streamlnn.errors import DecodeError
from streamlnn.pipeline import journal
from streamlnn.pipeline.contract import Batch, Message, Output
from streamlnn.pipeline.journal import Journal
from streamlnn.pipeline.observer import Observer
from streamlnn.pipeline.streams import StreamMap, StreamSettings
from streamlnn.pipeline.testing import ABORT, CollectingSink, ScriptedSource
from streamlnn.pipeline.timestamps import parser

MEGABYTE = 1 << 20
BIG = 1 << 18

VALUES = [
    *(b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1e400", b"1e-400", b"1e999999999"),
    *(b"1" * 400, b"1" * 5000, b"0." + b"1" * 5000, b"1" * BIG),
    *(b"true", b"null", b'"1.5"', b'"hot"', b'"NaN"', b'"1e400"', b'"-inf"', b'"1_000"', b'"0x1"'),
    *(b'"1e999999"', b'"+' + b"1" * BIG + b'e"', b'"' + b"x" * BIG + b'"'),
    *(b"[1,2]", b"{}", b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000),
    *(b'"\\ud800"', b'"\xff"', b'"\\u0000"', '"١٢"'.encode()),
]
WHOLE = [
    *(
        b"",
        b" ",
        b"\0",
        b"\xff\xfe",
        b"\xef\xbb\xbf1",
        b"{",
        b'{"v":1',
        b"+" + b"1" * BIG + b"e",
    ),
    *(b" " * BIG, b"-" * BIG, b"," * BIG, b'"' * BIG, b"1." * (BIG // 2)),
    *(b"[" + b"1," * 100_000 + b"1]", b'{"v":1,' + b'"v":2,' * 100_000 + b'"t":1}', b"1,2,3,4"),
    json.dumps({f"key{n}": n for n in range(60_000)}).encode(),
    json.dumps({"k" * BIG: 1, ".".join("a" * 5000): 2, "a\0b": 3, "": 4}).encode(),
]
POISON = [*WHOLE, *(b'{"t":1,"v":' + value + b"}" for value in VALUES)]
STAMPS = [b'{"v":1,"t":' + value + b"}" for value in VALUES]

CODECS = [point.name for point in entry_points(group="streamlnn.codecs")]

TABLES: dict[str, dict[str, Any]] = {
    "named": {"fields": {"v": "v"}},
    "deep": {"fields": {"v": "a.b.c"}},
    "found": {},
    "untimed": {"time": None, "horizons": [1]},
    "named by itself": {"topic": "s/#", "id": "{v}"},
}

pytestmark = pytest.mark.timeout(120)


def codec(name: str) -> Any:
    (point,) = entry_points(group="streamlnn.codecs", name=name)
    return point.load()()


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("name", CODECS)
def test_every_codec_gives_a_finite_reading_or_says_why_not(name: str, table: str) -> None:
    """And so does every kind of table, with and without the columns of a CSV file."""
    streams = StreamMap([StreamSettings(**{**TABLE, **TABLES[table]})], codec(name))
    for columns in (None, ("t", "v")) if name == "csv" else (None,):
        for poison in (*POISON, *STAMPS):
            try:
                told = streams.read_each(Message("s/pump", poison, 1, columns=columns))
            except DecodeError:
                continue
            for one in told:
                assert isinstance(one, DecodeError) or not any(map(math.isinf, one.values))


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
@pytest.mark.parametrize("form", ["auto", "unix", "unix_ns", "rfc3339", "%Y-%m-%d %H:%M:%S"])
def test_a_stamp_is_a_time_or_refused_at_once(form: str, zone: str) -> None:
    """A number of a million digits takes a minute to become an integer: it need not become one."""
    parse = parser(form, zone)
    hostile = ["1e999999", "-1e999999", "1e99999999", "1" * BIG, "0." + "1" * BIG, "nan"]
    ends = ["0001-01-01 00:00:00", "9999-12-31 23:59:59", "9999-12-31T23:59:59-14:00", 10**308]
    for stamp in [*hostile, *ends, "x" * BIG, 1e308, True, None, [], {}, "\ud800", "1/1/1"]:
        try:
            assert abs(parse(stamp)) < 2**63
        except DecodeError:
            continue


def finite(outputs: list[Output]) -> bool:
    """No output says NaN or infinity, which `json` would read."""
    for output in outputs:
        json.loads(output.payload, parse_constant=pytest.fail)
    return True


def good(n: int) -> Message:
    payload = json.dumps({"t": 10**6 + n, "v": math.sin(n)}).encode()
    return Message("s/pump", payload, 10**9 * n)


def test_poison_met_again_after_a_kill_changes_nothing(tmp_path: Path) -> None:
    """Between good samples, in one batch with them, before and after the process dies."""
    poison = [Message("s/pump", payload, 1) for payload in (*POISON, *STAMPS)]
    stamped = {"time": {"path": "t", "format": "auto"}, "fields": {"v": "v"}}
    items: list[Any] = []
    for n, bad in enumerate(poison):
        items += [Batch([good(3 * n), bad, good(3 * n + 1)], ""), Batch([bad], "")]
    kills = [item for batch in items for item in (batch, ABORT)]

    def play(script: list[Any], folder: Path) -> CollectingSink:
        sink, source = CollectingSink(), ScriptedSource(script)
        run_to_the_end(folder, source, sink, stamped)
        return sink

    cut, whole = play(kills[: 2 * 30], tmp_path / "cut"), play(items[:30], tmp_path / "whole")
    assert said(cut.durable) == said(whole.durable)
    everything = play([*items, good(10**6)], tmp_path / "all")
    assert finite(everything.durable)
    times = {json.loads(one.payload)["time"] for one in everything.durable}
    assert "1970-01-24T03:33:20Z" in times, "the good sample at the end got through"


class Counting(Observer):
    def __init__(self) -> None:
        self.letters = 0

    def count(self, name: str, n: int = 1, **labels: str) -> None:
        self.letters += n if name == "dead_letters_total" else 0


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(50_000, id="short"),
        pytest.param(1_000_000, id="long", marks=[pytest.mark.soak, pytest.mark.timeout(1800)]),
    ],
)
def test_a_flood_of_bad_payloads_fills_neither_disk_nor_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """From origins without end; a good sample gets through at once afterwards."""
    monkeypatch.setattr(journal, "DEAD_LETTERS_KEPT", 2_000)
    sizes: list[tuple[int, int]] = []
    kinds = (b'{"t":1,"v":', b'{"t":1,"w":1}', b'{"t":1,"v":"hot"}', b"\xff" * 300)

    class Flood(ScriptedSource):
        def read(self, timeout: float) -> Batch | None:
            if self._at % 10 == 0:
                sizes.append((resident(), made._journal.size()))
            return super().read(timeout)

    batches = [
        Batch([Message(f"s/{n % 997}", kinds[n % 4], n) for n in range(at, at + 500)], "")
        for at in range(0, 5_000, 500)
    ] * (count // 5_000)
    sink, observer = CollectingSink(), Counting()
    table = {"fields": {"v": "v"}}
    made = pipeline(tmp_path, Flood([*batches, good(1)]), sink, table, observer=observer)
    made.run()
    assert observer.letters == count
    assert len(said(sink.durable)) == 1
    warm, end = sizes[len(sizes) // 2], sizes[-1]
    assert end[0] - warm[0] < 20 * MEGABYTE, "memory is flat"
    assert end[1] <= warm[1] + MEGABYTE, "so is the journal"
    with closing(Journal(tmp_path)) as kept:
        assert len(kept.dead_letters()) == 2_000
    print(
        f"\n{count} bad payloads: {end[0] / 2**20:.0f} MiB of memory at the end, "
        f"{warm[0] / 2**20:.0f} half way; journal {end[1] / 2**20:.2f} and {warm[1] / 2**20:.2f}"
    )
