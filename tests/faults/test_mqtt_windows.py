"""Rows: acknowledgement order, late acknowledgements, strict windows.

Injected by a broker of our own that keeps every rule of MQTT 5, gives the lowest free packet id (so
that ids come back at once), keeps to the client's receive maximum and demands its own, cuts
connections at random, and at every PUBACK looks into the journal on disk through a read-only
connection. It keeps its session or loses it, flags what it repeats or not, and sends whole windows
once more. What must hold: a record is on disk before its PUBACK, also when the packet id belonged
to another message a moment ago; no rule is broken; no deadlock; nothing is lost; repeats are
dropped; every record's forecast comes, in order.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from brokers import wait_until
from mqtt_plant import FORECASTS, SECOND, TOPIC, Plant, number, sample
from strict_broker import Script, StrictBroker

from connectors.mqtt import rivals


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connect again at once, and see no rival in a broker that hangs up for our sake."""
    monkeypatch.setattr("streamlnn.pipeline.link.FIRST_PAUSE_SECS", 0.01)
    monkeypatch.setattr("streamlnn.pipeline.link.LONGEST_PAUSE_SECS", 0.05)
    monkeypatch.setattr(rivals, "_KICKS_A_MINUTE", 10_000)


class Witness:
    """Looks into the journal at each PUBACK; `too_early` are the samples that were not there."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.seen: list[int] = []
        self.too_early: list[int] = []

    def __call__(self, payload: bytes) -> None:
        n = number(payload)
        self.seen.append(n)
        with closing(sqlite3.connect(f"file:{self.file}?mode=ro", uri=True)) as db:
            if not db.execute("SELECT 1 FROM log WHERE time = ?", [n * SECOND]).fetchone():
                self.too_early.append(n)


def first_words(broker: StrictBroker) -> list[int]:
    """The samples whose forecasts came, each where it came first; no two values of one."""
    values: dict[int, bytes] = {}
    for topic, payload in broker.published:
        if topic == FORECASTS:
            assert values.setdefault(number(payload), payload) == payload
    return list(values)


def run(folder: Path, script: Script, n: int, **settings: int) -> tuple[StrictBroker, Plant]:
    samples = [sample(i) for i in range(1, n + 1)]
    with StrictBroker(TOPIC, samples, script) as broker:
        plant = Plant(folder, broker.url, **settings)
        broker.on_ack = witness = Witness(plant.file)
        with plant:
            wait_until(lambda: broker.is_done, "everything to be acknowledged", secs=250)
            wanted = set(plant.journalled())
            wait_until(lambda: set(first_words(broker)) >= _forecast(wanted), "forecasts", secs=250)
    assert broker.violations == []
    assert witness.too_early == []
    assert set(witness.seen) <= wanted
    return broker, plant


def _forecast(records: set[int]) -> set[int]:
    """A forecast is numbered by its record's place in the stream."""
    return set(range(1, len(records) + 1))


@pytest.mark.parametrize(
    ("window", "n"), [(20, 300), (1000, 1500), pytest.param(4096, 6000, marks=pytest.mark.soak)]
)
def test_a_record_is_on_disk_before_its_acknowledgement(
    tmp_path: Path, window: int, n: int
) -> None:
    broker, plant = run(tmp_path, Script(window=1000), n, receive_maximum=window)
    assert plant.journalled() == list(range(1, n + 1))
    assert first_words(broker) == list(range(1, n + 1))


@pytest.mark.parametrize("window", [1, 20])
def test_no_more_is_published_at_once_than_the_broker_takes(tmp_path: Path, window: int) -> None:
    broker, _ = run(tmp_path, Script(window=window), 20 + 10 * window)
    assert first_words(broker) == list(range(1, 21 + 10 * window))


@pytest.mark.parametrize("dup", [True, False], ids=["flagged", "unflagged"])
def test_what_a_broker_sends_again_is_neither_lost_nor_taken_twice(
    tmp_path: Path, dup: bool
) -> None:
    """Cuts with a session that stays, and in between whole windows once more as new messages."""
    script = Script(cuts=6, cut_after=25, repeats=100, dup=dup)
    broker, plant = run(tmp_path, script, 250, receive_maximum=50)
    assert broker.connections == 7
    assert plant.journalled() == list(range(1, 251))
    assert first_words(broker) == list(range(1, 251))
    assert plant.observer.counts["dropped_total", "repeat"] >= 100
    assert plant.source.stats["sessions_lost"] == 0


def test_a_late_acknowledgement_never_hits_another_message(tmp_path: Path) -> None:
    """The session is lost at every cut, and the same packet ids come back for other messages."""
    script = Script(cuts=8, cut_after=20, forgetful=True)
    broker, plant = run(tmp_path, script, 250, receive_maximum=20)
    assert plant.source.stats["sessions_lost"] == broker.connections - 1 == 8


@pytest.mark.soak
@pytest.mark.timeout(1000)
@pytest.mark.parametrize("forgetful", [True, False], ids=["forgetful", "faithful"])
def test_hundreds_of_cuts(tmp_path: Path, forgetful: bool) -> None:
    script = Script(cuts=300, cut_after=50, forgetful=forgetful, repeats=5000, seed=7)
    _, plant = run(tmp_path, script, 20_000, receive_maximum=100)
    if not forgetful:
        assert plant.journalled() == list(range(1, 20_001))
