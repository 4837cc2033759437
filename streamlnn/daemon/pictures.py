"""`streamlnn plot`: the pictures of one stream, from a recording or from a daemon's store.

A recording is played through a new forecaster. Of a store the oldest snapshot is taken, or the
beginning where every record is still kept, and the records behind it are stepped: what the daemon
did, bit for bit. Nothing in the store is changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from streamlnn.daemon.bar import Bar
from streamlnn.daemon.config import Config
from streamlnn.daemon.eval_plans import Asked, plans_for, times_of
from streamlnn.daemon.eval_reading import read_all
from streamlnn.daemon.problems import nearest
from streamlnn.daemon.replay import INSTANCE
from streamlnn.daemon.state import reading
from streamlnn.daemon.warming import warm_up
from streamlnn.errors import InputUnavailable
from streamlnn.evaluation.episodes import episodes
from streamlnn.evaluation.played import Played, go_on
from streamlnn.model.forecaster import Forecaster
from streamlnn.model.records import NANOSECONDS, Record
from streamlnn.model.units import ahead
from streamlnn.pipeline.journal import Journal, StreamRow
from streamlnn.pipeline.live import oldest
from streamlnn.pipeline.plan import ModelSettings
from streamlnn.pipeline.streams import USUAL, FoundTime

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """Whose picture it is: the model as it stands at the end, and what it said on the way."""

    model: Forecaster
    played: Played


def draw(
    kind: str,
    output: Path,
    *,
    state: Path | None = None,
    replay: Path | None = None,
    config: Config | None = None,
    stream: str | None = None,
    target: str | None = None,
    last: int | None = None,
    format: str = "auto",  # noqa: A002 - the option's name
    time: FoundTime = USUAL,
) -> int:
    """Write one picture of a stream to `output`; return the exit code.

    `state` is a store or its configuration, else `replay` is a recording. `last` is how many
    records the picture of the states shows. Raises `InputUnavailable` when there is no such stream
    or target, nothing to show, or no matplotlib.
    """
    try:
        from streamlnn.daemon.album import probe, save
    except ModuleNotFoundError:
        problem = "plot needs matplotlib: pip install 'streamlnn[plot]'"
        raise InputUnavailable(problem) from None
    probe(output, "-o")
    if state is not None:
        subject = _from_store(state, stream)
    else:
        assert replay is not None
        subject = _from_recording(replay, config, stream, format, time)
    save(_picture(kind, subject, _place(subject.played, target), last), output, "-o")
    click.echo(f"{output}: {kind} of {subject.played.words.stream}", err=True)
    if target is None and kind not in ("connectivity", "spectrum"):
        _tell_others(subject.played.words.targets)
    return 0


def _tell_others(targets: Sequence[str]) -> None:
    """Say which target was drawn when none was named, and which others there are."""
    if len(targets) > 1:
        more = ", ".join(targets[1:11]) + (" ..." if len(targets) > 11 else "")
        click.echo(f"target {targets[0]!r}, the first; choose with --target: {more}", err=True)


def _picture(kind: str, subject: Subject, m: int, last: int | None) -> Figure:
    from streamlnn import plot
    from streamlnn.plot.course import scores
    from streamlnn.plot.fan import fan

    played, name = subject.played, subject.played.words.stream
    if kind == "connectivity":
        return plot.connectivity(subject.model.connectivity, title=f"{name}: connectivity matrix")
    if kind == "spectrum":
        return plot.spectrum(subject.model.connectivity, title=f"{name}: spectrum")
    if kind == "weights":
        return _weights(subject, m)
    if not np.isfinite(played.bands[:, 0]).any():
        raise InputUnavailable(
            f"there is no record of {name!r} behind its oldest snapshot, so that nothing can be "
            "shown over time: wait for more, and let keep in [daemon] be longer"
        )
    if kind == "states":
        return _states(subject, m, last)
    return {"forecast": fan, "scores": scores}[kind](played, m, episodes([played]))


def _weights(subject: Subject, m: int) -> Figure:
    from streamlnn import plot

    words = subject.played.words
    groups = subject.model.readout_weights()
    if len(words.targets) > 1:
        groups = {group: part[:, m] for group, part in groups.items()}
    horizons = [ahead(h, words.clock) for h in words.horizons]
    title = f"{words.stream}, {words.targets[m]}: weights of the readout on the reservoir"
    return plot.weights(groups, horizons, title=title)


def _states(subject: Subject, m: int, last: int | None) -> Figure:
    from streamlnn import plot
    from streamlnn.plot.painter import Painter

    played = subject.played
    assert played.states is not None
    painter = Painter(played, m, ())
    first = painter.latest()[0] if last is None else max(0, len(painter.x) - last)
    first = max(first, int(np.flatnonzero(np.isfinite(played.states[:, 0]))[0]))
    if len(painter.x) - first < 2:
        raise InputUnavailable(
            f"of {played.words.stream!r} there is one record to be shown over time: name a larger "
            "--last, or wait for more"
        )
    return plot.states(
        played.states[first:],
        painter.x[first:],
        values=painter.y[first:],
        time_constants=subject.model.time_constants,
        title=f"{played.words.stream}: reservoir state over time",
        label=painter.label,
        along=painter.axis,
    )


def _from_recording(
    file: Path,
    config: Config | None,
    stream: str | None,
    form: str,
    time: FoundTime = USUAL,
) -> Subject:
    streams = read_all(file, config, [], time, form)
    readings = streams[_chosen(stream, list(streams), str(file))]
    model = config.model if config else ModelSettings()
    [plan] = plans_for(readings, Asked([] if config else [1, 12, 48], (), (), None, model))
    words = plan.speaker(INSTANCE, readings[0].stream, 0)
    values = np.stack([one.values for one in readings])
    warm_up()
    forecaster = plan.forecaster()
    times = times_of(readings)
    with Bar("forecasting", total=len(values)) as bar:
        played = go_on(forecaster, words, plan, times, values, states=True, after_each=bar.add)
    return Subject(forecaster, played)


def _from_store(where: Path, stream: str | None) -> Subject:
    with reading(where) as journal:
        rows = journal.streams()
        row = rows[_chosen(stream, list(rows), str(where))]
        warm_up()
        forecaster, lsn = oldest(row, journal)
        before, after = _records(row, journal, lsn)
        learned = 0 if journal.is_carried(row) else forecaster.seq
    if not after and 0 < learned <= len(before):
        forecaster = row.plan.forecaster()
        before, after = before[:-learned], before[-learned:]
    records = [*before, *after]
    fields = len(row.plan.layout.names)
    played = go_on(
        forecaster,
        row.plan.speaker("", row.name, row.epoch),
        row.plan,
        _times(records),
        np.array([one.values for one in records]).reshape(-1, fields),
        first=len(before),
        states=True,
    )
    return Subject(forecaster, played)


def _records(row: StreamRow, journal: Journal, lsn: int) -> tuple[list[Record], list[Record]]:
    """Return the stream's records that are kept, up to a log number and behind it."""
    after = [one for _, one in journal.records_after(lsn) if one.stream == row.name]
    newest = journal.newest(row)
    return newest[: max(0, len(newest) - len(after))], after


def _times(records: Sequence[Record]) -> np.ndarray | None:
    if any(one.time is None for one in records):
        return None
    return np.array([one.time for one in records], float) / NANOSECONDS


def _chosen(stream: str | None, known: list[str], where: str) -> str:
    """Return the stream to be drawn: as asked, or the only one there is."""
    listed = ", ".join(sorted(known)[:10]) + (" ..." if len(known) > 10 else "")
    if stream is None and len(known) == 1:
        return known[0]
    if stream is None:
        raise InputUnavailable(
            f"{where} has {len(known)} streams: name one with --stream: {listed}"
        )
    if stream not in known:
        hint = nearest(stream, known) or f"; it has {listed or 'none'}"
        raise InputUnavailable(f"{where} has no stream {stream!r}{hint}")
    return stream


def _place(played: Played, target: str | None) -> int:
    known = list(played.words.targets)
    if target is not None and target not in known:
        hint = nearest(target, known) or f"; there are {', '.join(known)}"
        raise InputUnavailable(f"{played.words.stream!r} has no target {target!r}{hint}")
    return known.index(target) if target is not None else 0
