"""Speed behind River's interfaces: microseconds a sample beside River's own models, one thread.

Medians of interleaved rounds of processor time, all on one wave with noise. A forecaster learns
each value and forecasts 12 steps ahead; a regressor predicts each value and then learns it. River's
models look 24 values back, as ours do at least; errors are in `benchmarks.accuracy --river`.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy comes

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import click
import numpy as np

from benchmarks.common import figure, markdown, quick_option
from benchmarks.river_peers import SMOOTHING, RATES, _holt_winters, _snarimax
from benchmarks.speed_timing import Candidate, cpu, rounds
