"""A stream's model, replaced by one that was made in Python: it goes on with what that has learned.

What a stream is stays: its fields, its topic, its clock, its settings. The model must be what those
ask for, so that it is forecast from as it was trained; what it brings are the arrays, those of a
reservoir that was given among them.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from streamlnn.errors import StateError
from streamlnn.model import arrays
from streamlnn.model.forecaster import Forecaster
from streamlnn.model.records import NANOSECONDS
from streamlnn.model.units import parse_duration
from streamlnn.pipeline.journal import Journal, StreamRow
from streamlnn.pipeline.live import begin
from streamlnn.pipeline.moving import check_settled
from streamlnn.pipeline.plan import Plan

Arguments = Mapping[str, Any]

_OF_THE_MODEL = ("units", "dtype", "plasticity")
"""What stands in the `[model]` table; all else stands in a `[[stream]]`."""


def replace_model(journal: Journal, row: StreamRow, data: bytes, plan: Plan) -> Forecaster:
    """Let a stream go on, under `plan` and in a new epoch, with the model that a file holds.

    The file is one that `Forecaster.save` or an export wrote. Returns the model. Raises
    `StateError` where it is none, where its settings are not those that the plan asks for, saying
    each that differs, or where it has learned records that the stream has yet to read; `StoreError`
    where the stream's past is not settled.
    """
    meta, kept = arrays.unpack(data)
    model = Forecaster.from_state(meta.get("settings", meta), kept)
    asked = plan.forecaster().settings
    _check_settings(row.name, model.settings, asked)
    _check_time(row, model)
    check_settled(journal, row)
    row.plan, row.epoch, row.since_lsn = plan, row.epoch + 1, journal.last_lsn
    # Under the plan's seed: the units are in the arrays, whoever drew them.
    live = replace(begin(row, ""), forecaster=Forecaster.from_state(asked, model.state()))
    with journal.transaction():
        journal.save_stream(row)
        journal.drop_snapshots(row)
        live.snapshot(journal)
        journal.carry(row)
    return live.forecaster


def as_call(settings: Arguments) -> str:
    """Return the call that makes a forecaster of these settings, without what it has anyway.

    >>> as_call(Forecaster([1, 12], fields=2, targets=[0, 1], units=50).settings)
    'Forecaster([1, 12], fields=2, units=50)'
    """
    usual = inspect.signature(Forecaster).parameters
    said = {key: value for key, value in settings.items() if key != "horizons"}
    if _meant("targets", settings) == list(range(settings["fields"])):
        del said["targets"]
    other = [
        f"{key}={value!r}" for key, value in said.items() if value not in ([], usual[key].default)
    ]
    return f"Forecaster({', '.join([repr(settings['horizons']), *other])})"


def _check_settings(name: str, have: Arguments, asked: Arguments) -> None:
    """Raise `StateError` that says what differs. The seed only drew what is in the arrays."""
    keys = [key for key in asked if key != "seed" and _meant(key, have) != _meant(key, asked)]
    if keys:
        said = "; ".join(
            f"{key}: {have[key]!r} in the file, {asked[key]!r} asked for" for key in keys
        )
        reservoir = f", with a reservoir of {asked['units']} units" if "units" in keys else ""
        raise StateError(
            f"not the model that stream {name!r} asks for: {said}; make it as {as_call(asked)}"
            f"{reservoir}, or change {_places(keys)}"
        )


def _meant(key: str, settings: Arguments) -> Any:
    """Return a setting so that two which say the same are equal."""
    value = settings[key]
    if key == "targets" and value is None:
        return list(range(settings["fields"]))
    if key in ("horizons", "seasons"):
        return [(parse_duration(one), "s") if isinstance(one, str) else (one, "") for one in value]
    return value


def _places(keys: list[str]) -> str:
    of_stream = [f"{key} of its [[stream]]" for key in keys if key not in _OF_THE_MODEL]
    of_model = [f"{key} of [model]" for key in keys if key in _OF_THE_MODEL]
    warning = " (all streams begin anew under another)" if of_model else ""
    return ", ".join([*of_stream, *of_model]) + " in the configuration" + warning


def _check_time(row: StreamRow, model: Forecaster) -> None:
    """Refuse a model that would learn for a second time what the stream has yet to read."""
    newest = row.clock.last
    if model.time is None or newest is None or model.time <= newest / NANOSECONDS:
        return
    raise StateError(
        f"the model has learned up to {model.time:.15g} s since 1970, stream {row.name!r} has read "
        f"up to {newest / NANOSECONDS:.15g} s: it would learn what is between twice; let the "
        "stream read that far first, or train the model up to there, with times in seconds"
    )
