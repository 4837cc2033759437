"""The uncut run: the same samples, in the same order, through `streamlnn replay`."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import islice
from pathlib import Path

from streamlnn.pipeline.testing.soak.samples import record, samples
from streamlnn.pipeline.testing.soak.tally import Tally
from streamlnn.pipeline.testing.soak.waiting import SoakFailed

_NICE = 15


def replay(folder: Path, config: Path, *, seed: int, streams: int, count: int) -> Tally:
    """Return what a replay of the first samples says with the daemon's configuration.

    Its files go to `folder`, which is made. To be called in a process of its own: that takes from
    then on what the others leave of the processor. Raises `SoakFailed` when the replay fails.
    """
    os.setpriority(os.PRIO_PROCESS, 0, _NICE)
    folder.mkdir(parents=True)
    recording, events, log = (folder / name for name in ("samples.jsonl", "events", "replay.log"))
    record(recording, islice(samples(seed, streams), count))
    command = [sys.executable, "-P", "-m", "streamlnn", "replay", str(recording)]
    command += ["--config", str(config), "--events", str(events)]
    tally = Tally()
    with log.open("wb") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors)  # noqa: S603
        with process:
            assert process.stdout is not None
            for line in process.stdout:
                tally.forecast(line.rstrip(b"\n"))
    if process.returncode != 0:
        raise SoakFailed(f"the replay ended with {process.returncode}: {log.read_text()[-500:]}")
    for line in events.read_bytes().splitlines():
        tally.event(line)
    return tally
