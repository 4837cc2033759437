"""`streamlnn state`: look into a store, move or reset what a stream has learned, forget a sink.

Looking never disturbs a daemon that runs on the store; what changes it is refused meanwhile.
"""

from __future__ import annotations

import json as jsonlib
import math
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np

from streamlnn.daemon.config import load
from streamlnn.daemon.footprint import size
from streamlnn.daemon.kept import asked
from streamlnn.daemon.problems import nearest
from streamlnn.daemon.state_text import listed, shown
from streamlnn.errors import InputUnavailable, StateError
from streamlnn.model.records import NANOSECONDS
from streamlnn.model.settling import ERROR, NAIVE_ERROR, SCORED
from streamlnn.model.state import COVERED, SKILL
from streamlnn.pipeline.journal import FILE, Journal, StreamRow
from streamlnn.pipeline.live import LiveStream
from streamlnn.pipeline.moving import current, export_stream, import_stream, reset_stream
from streamlnn.pipeline.replacing import as_call, replace_model
from streamlnn.pipeline.timestamps import rfc3339


def list_streams(where: Path, *, json: bool) -> int:
    """Print every stream of a store in a line; return the exit code.

    `where` is a configuration, or the data directory itself; so it is for all commands here.
    """
    with reading(where) as journal:
        streams = [_summary(row, journal) for row in journal.streams().values()]
    click.echo(jsonlib.dumps(streams) if json else listed(streams))
    return 0


def show_stream(where: Path, name: str, *, json: bool) -> int:
    """Print how one stream stands, its scores, and how much each expert is heard.

    All as of its newest record, those after its snapshot among them.
    """
    with reading(where) as journal:
        row = _row(journal, name)
        report = _report(current(row, journal, ""), _summary(row, journal))
    click.echo(jsonlib.dumps(report) if json else shown(report))
    return 0


def export_to(where: Path, name: str, file: Path) -> int:
    """Write all that a stream is to a file, as of its newest record."""
    with reading(where) as journal:
        live = current(_row(journal, name), journal, "")
        file.write_bytes(export_stream(live, journal))
    click.echo(f"{file}: {name}, {live.forecaster.seq} records", err=True)
    return 0


def import_from(where: Path, file: Path) -> int:
    """Put an exported stream into a store, in place of one of the same name."""
    data = _content(file)
    with _held(where) as journal, _of(file):
        row = import_stream(journal, data)
    click.echo(f"{row.name}: goes on as imported, epoch {row.epoch}", err=True)
    return 0


def import_model(where: Path, file: Path, name: str) -> int:
    """Let a stream of the store go on with the model that a file holds.

    Under the settings that the configuration asks for, where that is what `where` names.
    """
    _begun(where, "run the daemon once, or `streamlnn replay FILE --config CONFIG --into STORE`")
    data, config = _content(file), None if where.is_dir() else load(where, live=False)
    with _held(where) as journal, _of(file):
        row = _row(journal, name)
        before, newest = current(row, journal, "").forecaster.seq, row.clock.last
        model = replace_model(
            journal, row, data, row.plan if config is None else asked(row, config)
        )
    click.echo(
        f"{name}: goes on with this model, {model.seq} records, in place of one with {before}, "
        f"epoch {row.epoch}",
        err=True,
    )
    if model.time is not None and newest is not None and model.time < newest / NANOSECONDS:
        click.echo(
            f"{name}: the model has learned up to {rfc3339(round(model.time * NANOSECONDS))}, the "
            f"stream has read up to {rfc3339(newest)}: what came between is not learned",
            err=True,
        )
    return 0


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputUnavailable(
            f"cannot read {file}: {error.strerror}; name a file that `state export` or, in "
            "Python, `Forecaster.save` wrote"
        ) from None


@contextmanager
def _of(file: Path) -> Iterator[None]:
    try:
        yield
    except StateError as error:
        raise StateError(f"{file}: {error}") from error


def reset(where: Path, name: str) -> int:
    """Let a stream forget what it has learned."""
    with _held(where) as journal:
        row = _row(journal, name)
        reset_stream(journal, row)
    click.echo(f"{name}: begins to learn anew with its next record, epoch {row.epoch}", err=True)
    return 0


def forget_sink(where: Path, name: str) -> int:
    """Delete what a sink has not confirmed, and how far it had come."""
    with _held(where) as journal:
        _refuse_unknown(journal, name)
        before = journal.size()
        with journal.transaction():
            count = journal.forget_sink(name)
        freed = max(0, before - journal.size())
    told = f"{name}: forgotten, with {count} outputs that it had not confirmed ({size(freed)})"
    click.echo(told, err=True)
    return 0


def _refuse_unknown(journal: Journal, sink: str) -> None:
    standing = journal.standing()
    known = sorted({*standing["watermarks"], *standing["waiting"]})
    if sink not in known:
        hint = nearest(sink, known) or f"; it has {', '.join(map(repr, known)) or 'none'}"
        raise InputUnavailable(f"the store has no sink {sink!r}{hint}")


def _store(where: Path) -> Path:
    """Return the data directory; what is not there yet, and is no TOML by its name, is one too."""
    if where.is_dir() or not (where.exists() or where.suffix == ".toml"):
        return where
    return load(where, live=False).daemon.data_dir


_NAMED = "name a configuration, or the data directory of one that has"


def _begun(where: Path, way_out: str = _NAMED) -> Path:
    folder = _store(where)
    if not (folder / FILE).exists():
        raise InputUnavailable(f"{folder} holds no {FILE}: no daemon has run on it yet; {way_out}")
    return folder


@contextmanager
def reading(where: Path) -> Iterator[Journal]:
    """Open a store to look into it. Raises `InputUnavailable` where there is none."""
    folder = _begun(where)
    with closing(Journal(folder, read_only=True)) as journal, journal.reading():
        yield journal


@contextmanager
def _held(where: Path) -> Iterator[Journal]:
    with closing(Journal(_store(where))) as journal, journal.reading():
        yield journal


def _row(journal: Journal, name: str) -> StreamRow:
    rows = journal.streams()
    if name not in rows:
        hint = nearest(name, list(rows)) or "; `streamlnn state ls` lists those there are"
        raise InputUnavailable(f"the store has no stream {name!r}{hint}")
    return rows[name]


def _summary(row: StreamRow, journal: Journal) -> dict[str, Any]:
    lsn, state = next(journal.snapshots(row), (row.since_lsn, b""))
    return {
        "stream": row.name,
        "epoch": row.epoch,
        "time": None if row.clock.last is None else rfc3339(row.clock.last),
        "targets": list(row.plan.targets),
        "horizons": list(row.plan.horizons),
        "bytes": len(state),
        "settled": lsn >= row.last_lsn,
    }


def _report(live: LiveStream, summary: dict[str, Any]) -> dict[str, Any]:
    row, model = live.row, live.forecaster
    return {
        **summary,
        "topic": row.owner or None,
        "records": model.seq,
        "usual_step_secs": model.cadence,
        "settings": msgspec.to_builtins(row.plan),
        "in_python": as_call(row.plan.forecaster().settings),
        "scores": _scores(live),
        "explanation": live.explanation(),
    }


def _scores(live: LiveStream) -> dict[str, list[dict[str, float | None]]]:
    """Return per target and horizon the recent coverage, skill and mean absolute errors."""
    state, words = live.forecaster.state(), live.speaker
    rows = np.stack([*state["forecast"][[COVERED, SKILL]], *_errors(state)], axis=-1)
    names = ("coverage", "skill", "mae", "mae_persistence")
    return {
        target: [
            {"h": h, **{name: _known(value) for name, value in zip(names, row[m], strict=True)}}
            for h, row in zip(words.horizons, rows.tolist(), strict=True)
        ]
        for m, target in enumerate(words.targets)
    }


def _errors(state: dict[str, Any]) -> Any:
    scores = state["scores"]
    settled = np.where(scores[:, :, [SCORED]] > 0.0, scores[:, :, [ERROR, NAIVE_ERROR]], np.nan)
    return np.moveaxis(settled, 2, 0).swapaxes(1, 2)


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
