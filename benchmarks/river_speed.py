"""Speed behind River's interfaces: microseconds a sample beside River's own models, one thread.

Medians of interleaved rounds of processor time, on a wave with noise. A forecaster learns each
value and forecasts 12 steps ahead; a regressor predicts each value and then learns it. SNARIMAX
looks 24 values back, as ours does. What each gets for it, in errors: docs/river.md and
`benchmarks.accuracy --river`.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy comes

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import click
import numpy as np

from benchmarks.common import figure, markdown, quick_option
from benchmarks.river_peers import models
from benchmarks.speed_timing import Candidate, cpu, rounds

STEPS = 12
Row = tuple[str, str, str, str]


def values(quick: bool) -> list[float]:
    """Return the samples of a round."""
    n = 60 if quick else 300
    noise = np.random.default_rng(0).standard_normal(n)
    return (np.sin(np.arange(n) / 9.0) + 0.1 * noise).tolist()


def forecasting(model: Any, samples: list[float]) -> Candidate:
    """Return what learns each value and forecasts what follows it."""
    for value in samples[: 2 * STEPS]:  # HoltWinters forecasts nothing before
        model.learn_one(value)

    def work() -> None:
        for value in samples:
            model.learn_one(value)
            model.forecast(STEPS)

    return lambda: cpu(work, len(samples))


def plain(samples: list[float]) -> Candidate:
    """Return the same without River between."""
    from streamlnn import Forecaster

    model = Forecaster(range(1, STEPS + 1))

    def work() -> None:
        for value in samples:
            model.step(None, value).yhat.tolist()

    return lambda: cpu(work, len(samples))


def regressing(model: Any, samples: list[float]) -> Candidate:
    """Return what predicts each value from the one before, and then learns it."""

    def work() -> None:
        for now, following in pairwise(samples):
            model.predict_one({"now": now})
            model.learn_one({"now": now}, following)

    return lambda: cpu(work, len(samples) - 1)


def row(what: str, ours: Candidate, theirs: Candidate, quick: bool) -> Row:
    """Return a line of the table: medians, and that of theirs / ours."""
    own, peer, ratio = rounds(ours, theirs, 3 if quick else 15)
    return what, f"{figure(own)} us", f"{figure(peer)} us", f"{figure(ratio)}x"


def table(quick: bool) -> Iterator[Row]:
    """Yield the lines of the table."""
    from river import linear_model, preprocessing

    from streamlnn.interop.river import ReservoirFeatures, StreamForecaster

    samples, known = values(quick), dict(models(None))
    ours = f"StreamForecaster, {STEPS} steps"
    for name in ("SNARIMAX 1e-3", "HoltWinters .3 .1 .6"):
        mine = forecasting(StreamForecaster(STEPS), samples)
        yield row(f"{ours}; {name}", mine, forecasting(known[name], samples), quick)
    mine = forecasting(StreamForecaster(STEPS), samples)
    yield row(f"{ours}; Forecaster itself", mine, plain(samples), quick)
    readout = linear_model.BayesianLinearRegression()
    for units in (50, 100):
        mine = regressing(ReservoirFeatures(units) | readout.clone(), samples)
        theirs = regressing(preprocessing.StandardScaler() | readout.clone(), samples)
        yield row(f"Bayesian regression on {units} units; on the value", mine, theirs, quick)


@click.command(help=__doc__)
@quick_option
def main(quick: bool) -> None:
    """Print the table."""
    click.echo(markdown(["ours, theirs", "ours", "theirs", "theirs / ours"], list(table(quick))))


if __name__ == "__main__":
    main()
