"""Row "slow disk" of the fault matrix: every commit takes 200 ms longer.

Injected: the journal's transaction waits before it commits, while a broker has more than a window
for us, and while a file is appended to.

Must hold: nothing is lost; forecasts are made of nothing that is not on disk; no more is read than
the next commit takes, as the broker and the file wait instead.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from brokers import Broker, wait_until
from mqtt_plant import FORECASTS, TOPIC, Plant, number, sample
from runs import pipeline, said

from connectors.tail import TailSettings, TailSource
from streamlnn.pipeline.contract import Batch, Context
from streamlnn.pipeline.journal import Journal
from streamlnn.pipeline.testing import CollectingSink


@pytest.fixture(autouse=True)
def commits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Every commit takes 200 ms; returns when each was done."""
    done: list[float] = []
    transaction = Journal.transaction

    @contextmanager
    def slow(self: Journal) -> Iterator[None]:
        with transaction(self):
            yield
            time.sleep(0.2)
        done.append(time.monotonic())

    monkeypatch.setattr(Journal, "transaction", slow)
    return done


@pytest.mark.timeout(120)
def test_a_broker_waits(tmp_path: Path, broker: Broker) -> None:
    """With what is beyond its window, if it keeps that; test_mqtt_windows asks one that does."""
    count = 900
    with (
        Plant(tmp_path, broker.url, receive_maximum=100) as plant,
        broker.collect(FORECASTS) as heard,
    ):
        plant.wait_ready()
        broker.publish_all([(TOPIC, sample(n)) for n in range(1, count + 1)])
        wait_until(lambda: len(heard.messages) >= count, "every forecast", 60)
    assert plant.journalled() == list(range(1, count + 1))
    assert sorted({number(one.payload) for one in heard.messages}) == list(range(1, count + 1))


def test_a_file_waits_with_all_but_a_batch(tmp_path: Path, commits: list[float]) -> None:
    path, sink, count = tmp_path / "x.jsonl", CollectingSink(), 6000
    path.write_bytes(b"".join(sample(n) + b"\n" for n in range(count)))
    read: list[int] = []

    class Noting(TailSource):
        def read(self, timeout: float) -> Batch | None:
            batch = super().read(timeout)
            if batch is not None and batch.messages:
                read.append(len(batch.messages))
                assert len(read) <= len(commits) + 1, "read before the last batch was on disk"
            elif sum(one.kind == "forecast" for one in sink.durable) == count:
                made.stop.set()
            return batch

    source = Noting(TailSettings(paths=[str(path)], start="begin"), Context())
    made = pipeline(tmp_path / "data", source, sink, {"topic": None, "id": "{stem}"})
    made.run()
    assert len(said(sink.durable)) == count
    assert sum(read) == count
    assert max(read) < 5000, "a chunk of 64 KiB that made a thousand messages full"
