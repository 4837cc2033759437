"""How a soak goes: players on the stage, harm for a while, a calm, and the verdict."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import compress
from multiprocessing import active_children, get_context
from pathlib import Path

from streamlnn.errors import StoreError
from streamlnn.pipeline.testing.soak import records
from streamlnn.pipeline.testing.soak.broker import Broker
from streamlnn.pipeline.testing.soak.checks import Evidence, Violation, check, found_amiss
from streamlnn.pipeline.testing.soak.consumer import Consumer
from streamlnn.pipeline.testing.soak.daemon import INSTANCE, Daemon
from streamlnn.pipeline.testing.soak.faults import Faults
from streamlnn.pipeline.testing.soak.line import Line
from streamlnn.pipeline.testing.soak.plan import Kind, plan
from streamlnn.pipeline.testing.soak.progress import Progress
from streamlnn.pipeline.testing.soak.publisher import Publisher
from streamlnn.pipeline.testing.soak.reference import replay
from streamlnn.pipeline.testing.soak.report import Report
from streamlnn.pipeline.testing.soak.samples import samples
from streamlnn.pipeline.testing.soak.tally import Tally
from streamlnn.pipeline.testing.soak.vitals import Vitals
from streamlnn.pipeline.testing.soak.waiting import SoakFailed, wait_while_moving

PATIENCE_SECS = 60.0
"""In the calm: when nothing has moved for so long, nothing will."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What to do for `secs` seconds: `rate` samples a second over `streams` streams, and `counts`.

    `counts` says how often each fault comes. `command` runs streamlnn. With `folder` all files go
    there and stay, and the payloads heard with them; else to a temporary folder, which stays only
    when something was violated, or for `keep`.
    """

    secs: float = 600.0
    rate: float = 1000.0
    streams: int = 20
    seed: int = 1
    garbage: float = 0.005
    counts: Mapping[Kind, int] = field(default_factory=dict)
    command: Sequence[str] = (sys.executable, "-P", "-m", "streamlnn")
    folder: Path | None = None
    keep: bool = False


def soak(settings: Settings) -> Report:
    """Put the daemon through it, and return what was found; never raises for what it finds."""
    folder = settings.folder or Path(tempfile.mkdtemp(prefix="streamlnn-soak-"))
    report = Course(settings, folder).run()
    if settings.keep or settings.folder or not report.held:
        report.folder = str(folder)
    else:
        shutil.rmtree(folder)
    return report


class Course:
    """One soak in one folder."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings = settings
        self._total = round(settings.secs * settings.rate) + settings.streams
        self._folder = folder
        self._broker = Broker(folder / "broker")
        self._line = Line(self._broker.port) if settings.counts.get("reconnect") else None
        port = self._line.port if self._line else self._broker.port
        self._daemon = Daemon(folder / "daemon", settings.command, port)
        heard = folder / "heard.jsonl" if settings.keep or settings.folder else None
        below = f"streamlnn/{INSTANCE}/stream"
        self._consumer = Consumer(self._broker.port, below, keep=heard)
        self._publisher = Publisher(
            self._broker.port,
            samples(settings.seed, settings.streams),
            rate=settings.rate,
            garbage=settings.garbage,
            seed=settings.seed,
        )
        self._faults = Faults(self._broker, self._line, self._daemon, self._consumer)
        self._vitals = Vitals(self._daemon)
        self._troubles: list[str] = []
        self._began = time.monotonic()

    def run(self) -> Report:
        """Play, judge and report."""
        try:
            # A process of its own: a thread that computes would keep ours from their sockets.
            with ProcessPoolExecutor(1, get_context("spawn")) as beside:
                evidence = self._evidence(self._played(beside))
        except (SoakFailed, StoreError) as error:
            self._troubles.append(str(error))
            return self._report(found_amiss(self._all_troubles()), "none")
        return self._report(check(evidence), evidence.reference.digest())

    def _played(self, beside: Executor) -> Tally:
        try:
            return self._play(beside).result()
        except BaseException:
            # Nobody wants the reference any more, which may take as long again.
            for process in active_children():
                process.terminate()
            raise

    def _play(self, beside: Executor) -> Future[Tally]:
        """Play to the end, and let the reference be made meanwhile."""
        with ExitStack() as stage:
            stage.callback(self._broker.stop)
            self._broker.start()
            if self._line:
                stage.enter_context(self._line)
            stage.enter_context(self._consumer)
            stage.callback(self._daemon.kill)
            stage.enter_context(Progress(self._look))
            self._daemon.start()
            self._daemon.wait_ready()
            reference = self._refer(beside)
            stage.enter_context(self._publisher)
            self._harm()
            self._calm()
        return reference

    def _refer(self, beside: Executor) -> Future[Tally]:
        settings, folder = self._settings, self._folder / "reference"
        return beside.submit(
            replay,
            folder,
            self._daemon.config,
            seed=settings.seed,
            streams=settings.streams,
            count=self._total,
        )

    def _harm(self) -> None:
        settings = self._settings
        self._publisher.limit = self._total - settings.streams
        self._faults.all(plan(settings.seed, settings.secs, settings.counts), settings.secs)

    def _calm(self) -> None:
        """Let all be taken, and then a fresh sample of each stream; end the daemon in order."""
        self._daemon.wait_ready()
        if not self._is_told(self._publisher.limit):
            self._troubles.append("not all came back in the calm")
        self._publisher.limit = self._total
        if not self._is_told(self._consumer.tally.count + self._settings.streams):
            self._troubles.append("a fresh sample did not get through")
        self._daemon.stop()

    def _is_told(self, count: int) -> bool:
        """Wait until so many forecasts were heard; False once nothing moves any more."""
        publisher, tally = self._publisher, self._consumer.tally
        return wait_while_moving(
            lambda: publisher.all_confirmed and tally.count >= count,
            lambda: (publisher.confirmations, tally.count),
            PATIENCE_SECS,
        )

    def _evidence(self, reference: Tally) -> Evidence:
        publisher = self._publisher
        drawn = samples(self._settings.seed, self._settings.streams)
        confirmed = compress(drawn, publisher.confirmed)
        return Evidence(
            confirmed=records.of_samples(confirmed),
            journal=records.of_journal(self._daemon.data_dir),
            heard=self._consumer.tally,
            reference=reference,
            troubles=self._all_troubles(),
        )

    def _all_troubles(self) -> list[str]:
        return [*self._daemon.troubles, *self._troubles]

    def _report(self, violations: list[Violation], reference: str) -> Report:
        publisher, heard = self._publisher, self._consumer.tally
        looks = [look for life in self._vitals.looks.values() for look in life]
        return Report(
            seed=self._settings.seed,
            secs=time.monotonic() - self._began,
            handed=publisher.handed,
            confirmed=publisher.confirmations,
            acknowledged=self._vitals.acknowledged,
            rubbish=publisher.rubbish,
            forecasts=heard.count,
            repeats=heard.repeats,
            events=len(heard.events),
            digest=heard.digest(),
            reference=reference,
            faults=self._faults.done,
            torn=self._daemon.torn,
            starts=self._daemon.starts,
            most_rss=max((look.rss for look in looks), default=0),
            growth=self._vitals.growth(),
            violations=violations,
        )

    def _look(self) -> str:
        self._vitals.look()
        publisher, done, newest = self._publisher, self._faults.done, self._vitals.newest
        told = self._consumer.tally.count
        return (
            f"{time.monotonic() - self._began:4.0f} s  sent {publisher.handed}  "
            f"confirmed {publisher.confirmations}  forecast {told}  "
            f"backlog {publisher.handed - told}  kills {done['kill']}  "
            f"restarts {len(self._daemon.starts)}  "
            + (f"RSS {newest.rss / 1e6:.0f} MB  {newest.fds} fds" if newest else "")
        )
