"""Doing the harm that the plan asks for."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from streamlnn.pipeline.testing.soak.broker import Broker
from streamlnn.pipeline.testing.soak.consumer import Consumer
from streamlnn.pipeline.testing.soak.daemon import Daemon
from streamlnn.pipeline.testing.soak.line import Line
from streamlnn.pipeline.testing.soak.plan import Fault


class Faults:
    """Does harm, one at a time; `done` counts what was done, by kind."""

    def __init__(
        self, broker: Broker, line: Line | None, daemon: Daemon, consumer: Consumer
    ) -> None:
        self.done: Counter[str] = Counter()
        self._broker = broker
        self._line = line
        self._daemon = daemon
        self._consumer = consumer

    def all(self, plan: Sequence[Fault], secs: float) -> None:
        """Do all of a plan, each when it is due or as soon as its turn comes; last `secs` at least.

        Raises `SoakFailed` when the broker or the daemon does not come back.
        """
        began = time.monotonic()
        for fault in plan:
            self._sleep_until(began + fault.at)
            self._do(fault)
            self.done[fault.kind] += 1
        self._sleep_until(began + secs)

    def _sleep_until(self, moment: float) -> None:
        time.sleep(max(0.0, moment - time.monotonic()))

    def _do(self, fault: Fault) -> None:
        if fault.kind == "kill":
            self._kill(fault)
        elif fault.kind == "stop":
            self._daemon.wait_ready()
            time.sleep(fault.secs)
            self._daemon.stop()
            self._daemon.start()
        elif fault.kind == "broker restart":
            self._broker.restart(fault.secs)
        elif fault.kind == "broker freeze":
            self._broker.freeze(fault.secs)
        elif fault.kind == "consumer freeze":
            self._consumer.freeze(fault.secs)
        elif self._line is not None:
            self._line.cut()

    def _kill(self, fault: Fault) -> None:
        if fault.hasty:
            self._daemon.wait_begun()
        else:
            self._daemon.wait_ready()
        time.sleep(fault.secs)
        self._daemon.kill()
        if fault.tears:
            self._daemon.tear()
        self._daemon.start()
