"""The whole daemon under harm. Injected: kill -9 at random times, also in recovery, garbage behind
the journal's last write, a restart of the broker, a cut line, unreadable payloads, on a real
mosquitto. Must hold: no sample that the broker confirmed is missing, the forecasts a consumer heard
equal an uncut replay bit for bit, none with two values, and a fresh sample gets through.

The oracle itself must bite: each of its checks is shown a defect, and it is given a daemon that
acknowledges before it writes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from brokers import find_mosquitto

from streamlnn.pipeline.testing.soak.checks import Evidence, check
from streamlnn.pipeline.testing.soak.course import Settings, soak
from streamlnn.pipeline.testing.soak.plan import plan
from streamlnn.pipeline.testing.soak.samples import samples
from streamlnn.pipeline.testing.soak.tally import Tally

needs_mosquitto = pytest.mark.skipif(find_mosquitto() is None, reason="needs mosquitto")


@needs_mosquitto
@pytest.mark.timeout(900)
def test_nothing_is_lost_in_25_kills(tmp_path: Path) -> None:
    report = soak(
        Settings(
            secs=60,
            rate=1000,
            counts={"kill": 25, "broker restart": 1, "reconnect": 1},
            folder=tmp_path / "soak",
        )
    )
    assert report.held, report.text()
    assert report.digest == report.reference
    assert report.forecasts == report.confirmed == 60_020
    assert report.faults["kill"] == 25
    assert report.torn == 2


EAGER = '''
"""Acknowledges what it reads before it writes it, and dies once between the two."""

import os
import pathlib

import streamlnn.pipeline.loop as loop
from streamlnn.daemon.cli import main

take = loop.Pipeline._take
marker = pathlib.Path(__file__).with_suffix(".died")


def eager(self, feed, batch):
    feed.source.ack(batch.position)
    feed.idle()
    if batch.messages and self._journal.last_lsn > 100 and not marker.exists():
        marker.touch()
        os._exit(9)
    take(self, feed, batch)


loop.Pipeline._take = eager
main()
'''


@needs_mosquitto
@pytest.mark.timeout(600)
def test_a_daemon_that_acknowledges_too_early_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamlnn.pipeline.testing.soak.course.PATIENCE_SECS", 3.0)
    script = tmp_path / "eager.py"
    script.write_text(EAGER)
    command = (sys.executable, "-P", str(script))
    settings = Settings(secs=1, rate=500, streams=2, command=command, folder=tmp_path / "soak")
    report = soak(settings)
    assert json.loads(json.dumps(report.document()))["held"] is False
    found = {violation.what for violation in report.violations}
    assert "confirmed samples are missing from the journal" in found
    assert any("ended by itself with 9" in str(violation) for violation in report.violations)
    assert "a fresh sample did not get through" not in report.text()


# Each check bites


def told(*seqs: int, value: float = 1.0) -> list[bytes]:
    return [
        msgspec.json.encode({"stream": "a", "epoch": 0, "seq": seq, "y": value}) for seq in seqs
    ]


def event(kind: str, number: int = 1) -> bytes:
    said = {"type": kind, "id": str(number), "phase": "start", "time": None}
    return msgspec.json.encode(said)


def tally(forecasts: list[bytes], events: list[bytes] | None = None) -> Tally:
    made = Tally()
    for payload in forecasts:
        made.forecast(payload)
    for payload in events or []:
        made.event(payload)
    return made


def sound() -> Evidence:
    """What is seen when all holds: three samples, repeats, events of the wall clock."""
    rows = {"a": np.array([[1.0, 0.5], [2.0, 0.6], [3.0, 0.7]])}
    heard = tally(told(0, 2, 1, 1), [event("drift"), event("stale")])
    return Evidence(rows, rows, heard, tally(told(0, 1, 2), [event("drift")]))


def fewer(rows: slice) -> dict[str, np.ndarray]:
    return {"a": sound().journal["a"][rows]}


DEFECTS: dict[str, Callable[[Evidence], Evidence]] = {
    "confirmed samples are missing from the journal": lambda seen: replace(
        seen, journal=fewer(slice(0, 2))
    ),
    "records in the journal were never sent, or stand there twice": lambda seen: replace(
        seen, journal={"a": seen.journal["a"][[0, 1, 1, 2]]}
    ),
    "forecasts came with two values": lambda seen: replace(
        seen, heard=tally([*told(0, 1, 2), *told(1, value=2.0)], [event("drift")])
    ),
    "forecasts are missing at the consumer": lambda seen: replace(
        seen, heard=tally(told(0, 2), [event("drift")])
    ),
    "forecasts that the reference does not know": lambda seen: replace(
        seen, heard=tally(told(0, 1, 2, 3), [event("drift")])
    ),
    "forecasts differ from the reference": lambda seen: replace(
        seen, heard=tally([*told(0, 1), *told(2, value=2.0)], [event("drift")])
    ),
    "events are missing at the consumer": lambda seen: replace(seen, heard=tally(told(0, 1, 2))),
    "events that the reference does not know": lambda seen: replace(
        seen, heard=tally(told(0, 1, 2), [event("drift"), event("drift", 2)])
    ),
    "messages cannot be read": lambda seen: replace(
        seen, heard=tally([*told(0, 1, 2), b"{"], [event("drift")])
    ),
    "losses of the daemon's session": lambda seen: replace(
        seen, heard=tally(told(0, 1, 2), [event("drift"), event("session_lost")])
    ),
    "troubles": lambda seen: replace(seen, troubles=["a fresh sample did not get through"]),
}


def test_sound_evidence_is_held_sound() -> None:
    assert check(sound()) == []


@pytest.mark.parametrize("what", DEFECTS)
def test_each_check_finds_its_defect_and_no_other(what: str) -> None:
    found = check(DEFECTS[what](sound()))
    assert [violation.what for violation in found] == [what]
    assert found[0].count == 1


def test_a_record_that_nobody_sent_is_found() -> None:
    seen = replace(sound(), confirmed=fewer(slice(1, 3)))
    assert [str(violation) for violation in check(seen)] == [
        "1 records in the journal were never sent, or stand there twice: a at 1"
    ]


def test_the_digest_knows_no_order_but_every_value() -> None:
    assert tally(told(0, 1)).digest() == tally(told(1, 0, 0)).digest()
    assert tally(told(0, 1)).digest() != tally([*told(0), *told(1, value=2.0)]).digest()


def test_a_seed_gives_the_same_samples_and_the_same_harm() -> None:
    def drawn(seed: int) -> list[bytes]:
        return [sample.payload for sample, _ in zip(samples(seed, 3), range(50), strict=False)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert plan(1, 60.0, {"kill": 9}) == plan(1, 60.0, {"kill": 9}) != plan(2, 60.0, {"kill": 9})


def test_harm_is_spread_over_the_time() -> None:
    faults = plan(7, 100.0, {"kill": 10, "broker freeze": 2})
    assert sorted(fault.at for fault in faults) == [fault.at for fault in faults]
    kills = [int(fault.at // 10) for fault in faults if fault.kind == "kill"]
    assert kills == list(range(10))
