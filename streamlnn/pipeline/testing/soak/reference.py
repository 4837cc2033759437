"""The uncut run: the same samples, in the same order, through `streamlnn replay`."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

from streamlnn.pipeline.testing.soak.samples import Sample, record
from streamlnn.pipeline.testing.soak.tally import Tally
from streamlnn.pipeline.testing.soak.waiting import SoakFailed


def replay(folder: Path, command: Sequence[str], config: Path, samples: Iterable[Sample]) -> Tally:
    """Return what a replay of the samples says with the daemon's configuration.

    Its files go to `folder`, which is made. Raises `SoakFailed` when the replay fails.
    """
    folder.mkdir(parents=True)
    recording, events, log = (folder / name for name in ("samples.jsonl", "events", "replay.log"))
    record(recording, samples)
    whole = [*command, "replay", str(recording), "--config", str(config), "--events", str(events)]
    tally = Tally()
    with log.open("wb") as errors:
        process = subprocess.Popen(whole, stdout=subprocess.PIPE, stderr=errors)  # noqa: S603
        with process:
            assert process.stdout is not None
            for line in process.stdout:
                tally.forecast(line.rstrip(b"\n"))
    if process.returncode != 0:
        raise SoakFailed(f"the replay ended with {process.returncode}: {log.read_text()[-500:]}")
    for line in events.read_bytes().splitlines():
        tally.event(line)
    return tally
