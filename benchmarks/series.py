"""The recorded series that accuracy is measured on, each with its season as data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.common import Array, Recording, joined, read, without_repeats
from streamlnn.evaluation.baselines import filled, seasonal_naive

DAY = 86_400.0
_FLOW = "Volume Flow RateRMS"
_VALVE = [f"skab_valve1_{session}.csv" for session in range(4)]


@dataclass(frozen=True, slots=True)
class Series:
    """One field of a recording: `time` (n,) seconds or None, and its values `y` (n,).

    `season` is in samples where samples are regular; `period`, in seconds, where they are not.
    `binary` if all values are 0 or 1, and a forecast is a probability.
    """

    name: str
    time: Array | None
    y: Array
    season: int | None = None
    period: float | None = None
    binary: bool = False

    def head(self, n: int | None) -> Series:
        """Return the first `n` samples; all of them for None."""
        time = None if self.time is None else self.time[:n]
        return Series(self.name, time, self.y[:n], self.season, self.period, self.binary)

    def seasonal(self, horizons: list[int]) -> Array | None:
        """Return the seasonal naive forecasts, (n, horizons); None if there is no season."""
        if self.period is not None and self.time is not None:
            return by_the_clock(self.time, self.y, horizons, self.period)
        return seasonal_naive(self.y, horizons, self.season) if self.season else None


def by_the_clock(time: Array, y: Array, horizons: list[int], period: float) -> Array:
    """Return the newest value that had come a period before the target's time, (n, horizons).

    Where samples are irregular that time is not known when a forecast of the h-th next sample is
    issued: this method is told it, in its favour. It is not told values later than those at hand.

    >>> by_the_clock(np.array([0.0, 6, 10, 16, 20]), np.arange(5.0), [1], 10.0)[:, 0]
    array([0., 0., 1., 2., 4.])
    """
    known, clock = filled(y), np.maximum.accumulate(time)
    out = np.repeat(known[:, None], len(horizons), axis=1)
    for k, h in enumerate(horizons):
        newest = np.searchsorted(clock, clock[h:] - period, side="right") - 1
        at_hand = np.arange(newest.size)
        out[: newest.size, k] = known[np.clip(newest, 0, at_hand)]
    return out


def _field(file: str, field: str) -> Callable[[Path], tuple[Array | None, Array]]:
    return lambda folder: _of(read(file, folder), field)


def _of(recording: Recording, field: str) -> tuple[Array | None, Array]:
    return recording.time, recording.column(field)


def _valve(folder: Path) -> tuple[Array | None, Array]:
    return _of(joined([read(name, folder) for name in _VALVE]), _FLOW)


def _once(folder: Path) -> tuple[Array | None, Array]:
    return _of(without_repeats(read("helium_ems.ndjson", folder), "fcnt"), "temperature")


_OCCUPANCY = "occupancy_datatraining.txt"
_SERIES: dict[str, tuple[Callable[[Path], tuple[Array | None, Array]], int | None]] = {
    "Oil temperature, hourly (ETTh1 OT)": (_field("ETTh1.csv", "OT"), 24),
    "Load, hourly (ETTh1 HUFL)": (_field("ETTh1.csv", "HUFL"), 24),
    "Oil temperature, 15 min (ETTm1 OT)": (_field("ETTm1_prefix.csv", "OT"), 96),
    "Wet bulb, hourly (WTH)": (_field("WTH.csv", "WetBulbCelsius"), 24),
    "Machine, 5 min (NAB)": (_field("nab_machine_temperature.csv", "value"), 288),
    "Demand, 30 min (vic_electricity)": (_field("vic_electricity.csv", "Demand"), 336),
    "Pump flow (SKAB anomaly-free)": (_field("skab_anomaly-free.csv", _FLOW), None),
    "Pump flow (SKAB valve1, joined)": (_valve, None),
    "LoRaWAN, as received (Helium)": (_field("helium_ems.ndjson", "temperature"), None),
    "LoRaWAN, repeats dropped (Helium)": (_once, None),
    "Bore hole (TCPD well_log)": (_field("well_log.txt", "value"), None),
    "Office CO2, 1 min (UCI occupancy)": (_field(_OCCUPANCY, "CO2"), 1_440),
    "Occupied or not (UCI occupancy)": (_field(_OCCUPANCY, "Occupancy"), 1_440),
}


def recorded(folder: Path, only: str = "") -> Iterator[Series]:
    """Yield every series whose name holds `only`."""
    for name, (load, season) in _SERIES.items():
        if only.lower() in name.lower():
            period = DAY if "Helium" in name else None
            yield Series(name, *load(folder), season, period, "Occupied" in name)
