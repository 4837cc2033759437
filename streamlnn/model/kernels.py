"""The compiled inner loops, and nothing else.

Every compiled function of the package is in this one file, because numba's cache does not notice
a change in a file that the changed function's caller lives in. The classes beside it own the
arrays and say what they mean; `Forecaster` says how the parts play together.

`run` is the only door that the forecaster uses: one record and a whole recording go through the
same machine code, so their numbers agree bit for bit. Sums may be reordered and fused
(`reassoc`, `contract`) where that lets them use vector instructions, and nowhere else; the other
liberties of fast maths cost accuracy here.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
# ruff: noqa: D103 - most of these are named after the one thing they do
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit, types
from numba.experimental import structref
from numpy.typing import NDArray


def _compiled(**options: Any) -> Any:
    """Return a decorator like numba's `njit` that caches where it can and does without elsewhere.

    numba refuses to cache, by an exception, where neither the package's folder nor the user's
    cache folder can be written; then every process compiles anew.
    """

    def decorate(function: Any) -> Any:
        settings = {"nogil": True, "error_model": "numpy", **options}
        try:
            return njit(cache=True, **settings)(function)
        except RuntimeError:
            return njit(**settings)(function)

    return decorate


exact = _compiled()
fused = _compiled(fastmath={"reassoc", "contract"})

LAGS = 24
"""Past values of its own that the autoregressions of a target look at."""

REFRESH_EVERY = 4
"""Samples from one ridge refresh to the next."""

GAP = 3.0
"""A silence longer than so many usual steps teaches nothing. It is told as a gap when it is also
longer than so many long steps, of which a learned cadence knows the 99 % quantile: on a stream of
LoRaWAN packets, of which every twelfth is late, that tells 5 gaps and not 640. To learn from the
others instead is 1 % better there, and up to a third worse where every twentieth step is long."""

FEW_GAPS = 8
"""Elapsed times that must have been seen before one can be called long."""

WARM_AFTER = 32
"""Records, and scored forecasts of the shortest horizon, before a model counts as warm."""

LARGEST = 1e300
"""A greater magnitude counts as missing: differences of two such values would overflow."""

NO_ANSWER = np.nan

# State.scales, per field: see scaling.py
SCALES = 10
MEAN, SPREAD, STEP, BIGGEST_SPREAD, BIGGEST_STEP, LOW, HIGH, SEEN, STEPS, FRESH = range(SCALES)

# State.counts
COUNTS = 8
SEQ, PUSHED, GAPS, THINNED, SEASON_PUSHED, ARRIVAL, NEWS, STATUS = range(COUNTS)

# State.clock, float64: coordinates are seconds, or record numbers for a stream by sample; LONG is
# the 99 % quantile of the elapsed times
LAST, CADENCE, FIXED_CADENCE, BEFORE, LONG = range(5)

# counts[ARRIVAL]: what was odd about the time of the newest record
REGULAR, AFTER_SILENCE, AFTER_GAP, CLOCK_SET_BACK = range(4)

# counts[STATUS]
WARMING, OK, IN_DRIFT = range(3)

# the experts, in State.losses and, after the forecast and the mixtures, in waiting_experts
PERSISTENCE, RESERVOIR, FIRST_OWN = range(3)

# State.scores, per target and horizon
SCORES = 5
SCORED, COVERAGE, ERROR, NAIVE_ERROR, CHANGE = range(SCORES)

# State.monitor, per target: see monitor.py
WATCHED = 24
(
    ERRORS,
    SIZE,
    Q90,
    Q99,
    PEAK,
    FAST,
    SLOW,
    ROOT,
    SCORE,
    SIGN,
    ACTIVE,
    CALM,
    REST,
    SINCE_SEQ,
    SINCE_TIME,
    DRIFTING,
    DRIFT_SEQ,
    DRIFT_TIME,
    ANOMALY_TOLD,
    DRIFT_TOLD,
    LATEST,
    LATEST_Y,
    LATEST_YHAT,
    LATEST_HALF,
) = range(WATCHED)
NOTHING, STARTED, ENDED = range(3)

MEMORIES = np.array([0.99, 0.998, 0.9995])
"""How much of a squared loss is kept from one record to the next, one mixture for each."""
TOP_MEMORY = 0.998
POWER = 8.0

TRACKER_RATES = np.array([0.01, 0.03, 0.1, 0.01, 0.01])
"""Learning rates of the quantile trackers; the last two ride on a running mean of the scores."""
MEAN_RATES = np.array([0.0, 0.0, 0.0, 1.0 / 50.0, 1.0 / 150.0])


class State(NamedTuple):
    """All that a forecaster knows, as plain arrays.

    F fields, T targets, H horizons, M features, L autoregressions of A = 1 + LAGS features,
    E experts, G mixtures, Q trackers, C slots for forecasts not yet settled, K past values for
    the seasons. `f` marks arrays of the model's dtype; the others are float64 or int64.
    """

    # fixed by the settings
    by_time: NDArray[Any]  # (1,) bool: horizons and seasons are seconds
    horizons: NDArray[Any]  # (H,)
    seasons: NDArray[Any]  # (S,)
    targets: NDArray[Any]  # (T,) indices of fields
    alpha: NDArray[Any]  # (1,) share of values allowed outside the band
    readout_settings: NDArray[Any]  # (1 + L, 2) forgetting and ridge: reservoir, autoregressions
    taps: NDArray[Any]  # (units, fan_in) int64: which unit each connection comes from
    W: NDArray[Any]  # f (units, fan_in)
    W_in: NDArray[Any]  # f (units, F)
    bias: NDArray[Any]  # f (units,)
    tau: NDArray[Any]  # f (units,) in usual steps
    V: NDArray[Any]  # f (units, F * lags)
    V_bias: NDArray[Any]  # f (units,)
    # learned
    counts: NDArray[Any]
    clock: NDArray[Any]
    gaps: NDArray[Any]  # (32,) the latest elapsed times
    scales: NDArray[Any]  # (F, SCALES)
    history: NDArray[Any]  # (F, LAGS) newest first, missing values filled in
    before: NDArray[Any]  # (T,) the record before the newest, NaN where missing
    x: NDArray[Any]  # f (units,) reservoir
    features: NDArray[Any]  # f (M,)
    own: NDArray[Any]  # f (T, A)
    U: NDArray[Any]  # f (M (M - 1) / 2,)
    D: NDArray[Any]  # f (M,)
    weights: NDArray[Any]  # f (T, H, M)
    U_own: NDArray[Any]  # f (T, L, A (A - 1) / 2)
    D_own: NDArray[Any]  # f (T, L, A)
    own_weights: NDArray[Any]  # f (T, L, H, A)
    losses: NDArray[Any]  # (T, H, G, E)
    top_losses: NDArray[Any]  # (T, H, G)
    log_q: NDArray[Any]  # (T, H, Q)
    band_means: NDArray[Any]  # (T, H, Q)
    band_losses: NDArray[Any]  # (T, H, Q)
    scores: NDArray[Any]  # (T, H, SCORES)
    monitor: NDArray[Any]  # (T, WATCHED)
    forecast: NDArray[Any]  # (3, H, T) yhat, lower, upper
    quality: NDArray[Any]  # (2, H, T) coverage, skill
    # forecasts that wait for their targets
    due: NDArray[Any]  # (H,) int64: the oldest forecast not settled, counted from the first ever
    stride: NDArray[Any]  # (H,) int64: of so many records, one is learned from
    waiting_at: NDArray[Any]  # (C,) coordinate of issue
    waiting_seq: NDArray[Any]  # (C,) int64
    waiting_base: NDArray[Any]  # (C, T, 2) last value and scale at issue
    waiting_experts: NDArray[Any]  # (C, T, H, 1 + G + E) forecast, mixtures, experts
    waiting_bands: NDArray[Any]  # (C, T, H, 1 + Q) half width, trackers, in scales
    waiting_x: NDArray[Any]  # f (C, M)
    waiting_gain: NDArray[Any]  # f (C, M)
    waiting_own: NDArray[Any]  # f (C, T, A)
    waiting_own_gain: NDArray[Any]  # f (C, T, L, A)
    refresh_gain: NDArray[Any]  # f (C / 4 + 2, M)
    refresh_own_gain: NDArray[Any]  # f (C / 4 + 2, T, L, A)
    # past values for the seasonal experts
    season_at: NDArray[Any]  # (K,)
    season_values: NDArray[Any]  # (K, T)
    season_spacing: NDArray[Any]  # (1,)


@structref.register
class _HandleType(types.StructRef):
    """How numba sees a `Handle`."""

    def preprocess_fields(self, fields: Any) -> Any:
        """Forget what is only true of one array, so that one compilation serves all."""
        return tuple((name, types.unliteral(kind)) for name, kind in fields)


class Handle(structref.StructRefProxy):
    """One reference to all arrays of a `State`.

    Passed around instead of fifty arrays, it makes a call 25 microseconds cheaper and the
    compilation twice as fast. It keeps the arrays alive and sees every change in them.
    """

    __slots__ = ()


structref.define_constructor(Handle, _HandleType, list(State._fields))
structref.define_boxing(_HandleType, Handle)


@exact
def bind(state):
    """Return the handle of a state's arrays."""
    return Handle(*state)


# ---------------------------------------------------------------------------------------- readout


@fused
def dot(a, b):
    total = a.dtype.type(0)
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@exact
def copy(a, b):
    for i in range(a.size):
        b[i] = a[i]


@exact
def fill(a, value):
    for i in range(a.size):
        a[i] = value


@fused
def add_scaled(y, a, x):
    for i in range(y.size):
        y[i] += a * x[i]


@fused
def _sweep(column, gain, p, g):
    for i in range(column.size):
        u = column[i]
        column[i] = u + gain[i] * p
        gain[i] += u * g


@exact
def _absorb_column(column, gain, D, j, f, alpha, forgetting):
    g = D[j] * f
    grown = alpha + f * g
    _sweep(column, gain[:j], -f / alpha, g)
    gain[j] = g
    D[j] *= alpha / (grown * forgetting)
    return grown


@exact
def _divide(gain, alpha):
    for j in range(gain.size):
        gain[j] /= alpha


@exact
def absorb(U, D, x, forgetting, gain):
    """Take features x into the covariance U D U' and leave the gain they earn in `gain`."""
    lam = D.dtype.type(forgetting)
    alpha = lam
    for j in range(D.size):
        column = U[j * (j - 1) // 2 : j * (j + 1) // 2]
        f = x[j] + dot(column, x)
        alpha = _absorb_column(column, gain, D, j, f, alpha, lam)
    _divide(gain, alpha)


@exact
def refresh(U, D, unit, weight, gain):
    """Absorb one pseudo-observation of the prior: weight `unit` is 0, with `weight`."""
    one = D.dtype.type(1)
    alpha = D.dtype.type(1.0 / weight)
    fill(gain, 0)
    for j in range(unit, D.size):
        column = U[j * (j - 1) // 2 : j * (j + 1) // 2]
        f = one if j == unit else column[unit]
        alpha = _absorb_column(column, gain, D, j, f, alpha, one)
    _divide(gain, alpha)


@exact
def refresh_weight(forgetting, ridge, features):
    return ridge * (1.0 - forgetting) * features * REFRESH_EVERY


@exact
def correct(weights, x, gain, target, repeats):
    """Learn one target with the gain its features earned; return the error made before.

    `repeats` is how many records this one stands for: the gain of an observation of that weight.
    """
    error = weights.dtype.type(target) - dot(weights, x)
    share = gain.dtype.type(1)
    if repeats > 1:
        share = gain.dtype.type(repeats / (1.0 + (repeats - 1) * dot(x, gain)))
    add_scaled(weights, share * error, gain)
    return error


@exact
def relax(weights, unit, gain):
    """Pull the weights towards the prior with the gain of a refresh of `unit`."""
    add_scaled(weights, -weights[unit], gain)


# ---------------------------------------------------------------------------------------- scaling


@exact
def _running(size, deviation, count):
    """Return a running root mean square that, once it is something, doubles its square at most."""
    rate = max(1.0 / count, 0.001)
    limit = size / np.sqrt(rate)
    if count > 8 and size > 0.0:
        deviation = min(max(deviation, -limit), limit)
    return np.hypot(np.sqrt(1.0 - rate) * size, np.sqrt(rate) * deviation)


@exact
def _floored(size, biggest):
    return max(size, 1e-6 * biggest)


@exact
def update_scale(scale, value, last):
    """Let the running location and scales of one field see an observed value."""
    first = scale[SEEN] == 0.0
    scale[SEEN] += 1.0
    scale[MEAN] = value if first else scale[MEAN]
    scale[LOW] = value if first else min(scale[LOW], value)
    scale[HIGH] = value if first else max(scale[HIGH], value)
    scale[MEAN] += (value - scale[MEAN]) * max(1.0 / scale[SEEN], 0.001)
    spread = _running(scale[SPREAD], value - scale[MEAN], scale[SEEN])
    scale[BIGGEST_SPREAD] = max(scale[BIGGEST_SPREAD], spread)
    scale[SPREAD] = _floored(spread, scale[BIGGEST_SPREAD])
    if scale[FRESH] > 0.0:
        scale[STEPS] += 1.0
        step = _running(scale[STEP], value - last, scale[STEPS])
        scale[BIGGEST_STEP] = max(scale[BIGGEST_STEP], step)
        scale[STEP] = _floored(step, scale[BIGGEST_STEP])


@exact
def step_scale(scale):
    """Root mean square of the change from one record to the next; 1 while nothing ever changed."""
    return scale[STEP] if scale[STEP] > 0.0 else 1.0


@exact
def level(scale, value):
    """Standardised value, within +-5."""
    if scale[SPREAD] == 0.0:
        return 0.0
    return min(max((value - scale[MEAN]) / scale[SPREAD], -5.0), 5.0)


# ------------------------------------------------------------------------------------------- time


@exact
def median(a):
    """Return the upper median by counting, for a handful of numbers."""
    for i in range(a.size):
        below, equal = 0, 0
        for k in range(a.size):
            below += a[k] < a[i]
            equal += a[k] == a[i]
        if below <= a.size // 2 < below + equal:
            return a[i]
    return np.nan


@exact
def _learn_cadence(s, elapsed):
    n = s.counts[GAPS]
    s.gaps[n % s.gaps.size] = elapsed
    s.counts[GAPS] = n + 1
    if s.clock[FIXED_CADENCE] == 0.0 and (n < s.gaps.size or n % s.gaps.size == 0):
        s.clock[CADENCE] = median(s.gaps[: min(n + 1, s.gaps.size)])
    _learn_long(s, elapsed, n)


@exact
def _learn_long(s, elapsed, n):
    """Track the 99 % quantile of elapsed times, from the usual one on: it falls slowly."""
    if n < FEW_GAPS:
        s.clock[LONG] = s.clock[CADENCE]
        return
    rate = max(0.05, 2.0 / (n + 10.0))
    s.clock[LONG] *= np.exp(rate * ((1.0 if elapsed > s.clock[LONG] else 0.0) - 0.01))


@exact
def _silence(s, elapsed, steps):
    """Say whether nothing came for longer than usual, and whether that is worth telling."""
    given = s.clock[FIXED_CADENCE] > 0.0
    if steps <= GAP or not (given or s.counts[GAPS] >= FEW_GAPS):
        return REGULAR
    return AFTER_GAP if given or elapsed > GAP * s.clock[LONG] else AFTER_SILENCE


@exact
def _forget_time(s):
    if s.by_time[0]:
        fill(s.due, s.counts[PUSHED])
        s.counts[SEASON_PUSHED] = 0


@exact
def _take_time(s, time):
    """Return the elapsed time in usual steps, and mark what is odd about it."""
    last, cadence = s.clock[LAST], s.clock[CADENCE]
    s.counts[ARRIVAL] = REGULAR
    s.clock[LAST] = time
    if np.isnan(time) or np.isnan(last):
        return 1.0
    if time < last:
        s.counts[ARRIVAL] = CLOCK_SET_BACK
        _forget_time(s)
        return 1.0
    if time == last:
        return 0.0
    steps = min((time - last) / cadence, 1e6) if cadence > 0.0 else 1.0
    s.counts[ARRIVAL] = _silence(s, time - last, steps)
    _learn_cadence(s, time - last)
    return steps


# ---------------------------------------------------------------------------------------- filling


@exact
def _target_of(s, field):
    for t in range(s.targets.size):
        if s.targets[t] == field:
            return t
    return -1


@exact
def _filled(s, field, steps):
    """Stand in for a missing value: a straight line towards the shortest forecast."""
    last = s.history[field, 0]
    t = _target_of(s, field)
    if t < 0 or np.isnan(s.forecast[0, 0, t]):
        return last
    usual = s.clock[CADENCE] if s.by_time[0] else 1.0
    share = min(1.0, steps * usual / s.horizons[0]) if usual > 0.0 else 1.0
    return last + share * (s.forecast[0, 0, t] - last)


@exact
def _take_value(s, field, value, steps):
    scale = s.scales[field]
    seen = abs(value) <= LARGEST
    if scale[SEEN] == 0.0:
        fill(s.history[field], value if seen else 0.0)
    now = value if seen else _filled(s, field, steps)
    if seen:
        update_scale(scale, value, s.history[field, 0])
    scale[FRESH] = 1.0 if seen else 0.0
    for k in range(LAGS - 1, 0, -1):
        s.history[field, k] = s.history[field, k - 1]
    s.history[field, 0] = now


# --------------------------------------------------------------------------------------- features


@exact
def leak(x, drive, tau, dt):
    """Let leaky units follow their drive over dt usual steps: exact, the drive held constant."""
    for i in range(x.size):
        x[i] += x.dtype.type(1.0 - np.exp(-dt / tau[i])) * (drive[i] - x[i])


@exact
def reservoir_drive(x, u, taps, W, W_in, bias, drive):
    for i in range(x.size):
        total = bias[i] + dot(W_in[i], u)
        for k in range(taps.shape[1]):
            total += W[i, k] * x[taps[i, k]]
        drive[i] = np.tanh(total)


@exact
def lag_units(window, V, bias, out):
    for i in range(out.size):
        out[i] = np.tanh(bias[i] + dot(V[i], window))


@exact
def _lags_into(out, scale, history, lags):
    """One field's level and its latest changes, in scales."""
    out[0] = level(scale, history[0])
    size = step_scale(scale)
    for k in range(1, lags):
        change = (history[k - 1] - history[k]) / size
        out[k] = min(max(change, -32.0), 32.0)


@exact
def _make_features(s, steps):
    fields, units = s.history.shape[0], s.x.size
    lags = s.V.shape[1] // fields
    s.features[0] = 1
    window = np.empty(fields * lags, s.features.dtype)
    u = np.empty(fields, s.features.dtype)
    for i in range(fields):
        _lags_into(s.features[1 + i * lags :], s.scales[i], s.history[i], lags)
        u[i] = level(s.scales[i], s.history[i, 0])
        for k in range(lags):
            window[i * lags + k] = level(s.scales[i], s.history[i, k])
    end = 1 + fields * lags
    drive = np.empty(units, s.x.dtype)
    reservoir_drive(s.x, u, s.taps, s.W, s.W_in, s.bias, drive)
    leak(s.x, drive, s.tau, steps)
    lag_units(window, s.V, s.V_bias, s.features[end : end + units])
    copy(s.x, s.features[end + units :])


@exact
def _make_own_features(s):
    for t in range(s.targets.size):
        field = s.targets[t]
        s.own[t, 0] = 1
        _lags_into(s.own[t, 1:], s.scales[field], s.history[field], LAGS)


# ---------------------------------------------------------------------------------------- seasons


@exact
def _remember(s, at):
    """Keep the newest values for later seasons, unless the last kept are near enough."""
    n, size = s.counts[SEASON_PUSHED], s.season_at.size
    if size == 0 or (n > 0 and at < s.season_at[(n - 1) % size] + s.season_spacing[0]):
        return
    s.season_at[n % size] = at
    for t in range(s.targets.size):
        field = s.targets[t]
        fresh = s.scales[field, FRESH] > 0.0
        s.season_values[n % size, t] = s.history[field, 0] if fresh else np.nan
    s.counts[SEASON_PUSHED] = n + 1


@exact
def _find(s, at):
    """Return the first kept record at or after `at`, counted from the first ever kept."""
    size = s.season_at.size
    high = s.counts[SEASON_PUSHED]
    low = max(0, high - size)
    while low < high:
        middle = (low + high) // 2
        if s.season_at[middle % size] < at:
            low = middle + 1
        else:
            high = middle
    return low


@exact
def _past_value(s, at, t, widest):
    """Target t at coordinate `at`, between the kept records around it; NaN when unknown."""
    size, n = s.season_at.size, s.counts[SEASON_PUSHED]
    right = _find(s, at)
    if right < n and s.season_at[right % size] - at < 1e-6 * widest:
        return s.season_values[right % size, t]
    if right == n and n > 0:
        return s.history[s.targets[t], 0]
    if right == max(0, n - size):
        return NO_ANSWER
    a, b = (right - 1) % size, right % size
    width = s.season_at[b] - s.season_at[a]
    if width > widest:
        return NO_ANSWER
    share = (at - s.season_at[a]) / width
    return s.season_values[a, t] + share * (s.season_values[b, t] - s.season_values[a, t])


@exact
def _seasonal(s, at, t, h, season):
    """Return the newest known value a whole number of seasons before the time forecast."""
    ahead = s.horizons[h]
    usual = s.clock[CADENCE] if s.by_time[0] else 1.0
    back = season * np.ceil(ahead / season - 1e-9)
    return _past_value(s, at + ahead - back, t, GAP * max(usual, s.season_spacing[0]))


# --------------------------------------------------------------------------------------- mixture


@exact
def power_weights(losses, out):
    """Weights proportional to loss ** -POWER, by logarithms; equal while no loss is known."""
    best = np.inf
    for k in range(losses.size):
        best = min(best, losses[k])
    best = max(best, 1e-24)
    total = 0.0
    for k in range(losses.size):
        out[k] = np.exp(-POWER * np.log(max(losses[k], 1e-24) / best))
        total += out[k]
    for k in range(losses.size):
        out[k] /= total


@exact
def _mixed(losses, values, weights):
    """Weighted mean, taken around the first value so that equal values stay what they are."""
    power_weights(losses, weights)
    shift = 0.0
    for k in range(values.size):
        shift += weights[k] * (values[k] - values[0])
    return values[0] + shift


@exact
def discount(losses, values, y, size, limit, memory):
    """Let every forecaster's discounted squared loss see its error, in scales, within +-limit."""
    for k in range(values.size):
        error = min(max((y - values[k]) / size, -limit), limit)
        losses[k] = memory * losses[k] + error * error


# -------------------------------------------------------------------------------------- intervals


@exact
def _tracker(log_q, means, k):
    if MEAN_RATES[k] == 0.0:
        return max(np.exp(log_q[k]), 1e-6)
    return max(means[k] * np.exp(log_q[k]), 1e-6)


@exact
def band(log_q, means, losses, out):
    """Half width in scales, and each tracker's own behind it, into `out`."""
    best = np.inf
    for k in range(losses.size):
        out[1 + k] = _tracker(log_q, means, k)
        best = min(best, losses[k])
    best = max(best, 1e-24)
    total, mean = 0.0, 0.0
    for k in range(losses.size):
        weight = (max(losses[k], 1e-24) / best) ** -4.0
        total += weight
        mean += weight * np.log(out[1 + k])
    out[0] = np.exp(mean / total)


@exact
def track(log_q, means, losses, issued, score, alpha, count, delay):
    """Learn from one absolute error in scales and the half widths that were issued for it.

    `delay` is how many forecasts are under way. Until as many have been scored, the error is held
    against the width of now: else each of those under way would push for one and the same miss.
    """
    young = count < delay
    for k in range(losses.size):
        q = issued[1 + k]
        losses[k] = 0.99 * losses[k] + (score - q) * ((1.0 if score > q else 0.0) - alpha)
        if count == 0.0:
            log_q[k] = np.log(max(score, 1e-3)) if MEAN_RATES[k] == 0.0 else 0.7
            means[k] = score
            continue
        above = 1.0 if score > (_tracker(log_q, means, k) if young else q) else 0.0
        means[k] += max(1.0 / (count + 1.0), MEAN_RATES[k]) * (score - means[k])
        rate = max(TRACKER_RATES[k], 1.0 / (count + 10.0))
        log_q[k] = min(max(log_q[k] + rate * (above - alpha), -14.0), 50.0)


# ---------------------------------------------------------------------------------------- monitor


@exact
def tail(m, size):
    """How often an error is at least so big: linear below the 90 % quantile, a power above."""
    q90 = max(m[Q90], 1e-9)
    if size <= q90:
        return 1.0 - 0.9 * size / q90
    steepness = 2.302585 / np.log(max(m[Q99] / q90, 1.3))
    return 0.1 * (size / q90) ** -steepness


@exact
def _learn_tail(m, size):
    n = m[ERRORS]
    m[ERRORS] = n + 1.0
    if n == 0.0:
        m[Q90], m[Q99], m[PEAK] = 1.7, 2.6, 2.6
    fast, slow = max(0.02, 1.0 / (n + 10.0)), max(0.05, 2.0 / (n + 10.0))
    m[Q90] *= np.exp(fast * ((1.0 if size > m[Q90] else 0.0) - 0.1))
    m[Q99] *= np.exp(slow * ((1.0 if size > m[Q99] else 0.0) - 0.01))
    m[Q90] = max(m[Q90], 0.1)
    m[Q99] = max(m[Q99], 1.3 * m[Q90])
    m[PEAK] = max(m[PEAK] * (1.0 - 1.0 / 2000.0), min(size, 2.0 * m[PEAK]), m[Q99])


@exact
def _watch_anomaly(m, size, sign, p, seq, time, quiet):
    m[ANOMALY_TOLD] = NOTHING
    m[REST] = max(0.0, m[REST] - 1.0)
    if m[ACTIVE] > 0.0:
        m[CALM] = m[CALM] + 1.0 if p > 0.05 else 0.0
        if m[CALM] >= 8.0 or seq - m[SINCE_SEQ] >= 128.0:
            m[ACTIVE], m[SIGN], m[REST], m[ANOMALY_TOLD] = 0.0, 0.0, 64.0, ENDED
    elif not quiet and p < 1e-4 and size > 1.2 * m[PEAK] and m[REST] == 0.0:
        m[ACTIVE], m[SIGN], m[CALM], m[ANOMALY_TOLD] = 1.0, sign, 0.0, STARTED
        m[SINCE_SEQ], m[SINCE_TIME] = seq, time


@exact
def _watch_drift(m, error, seq, time, quiet):
    """Compare the latest errors with the usual ones."""
    n = m[ERRORS]
    error = min(error, 5.0 * m[SLOW]) if n > 8.0 else error
    rate = max(1.0 / n, 0.001)
    m[FAST] += max(1.0 / n, 1.0 / 64.0) * (error - m[FAST])
    m[SLOW] += rate * (error - m[SLOW])
    m[ROOT] = np.hypot(np.sqrt(1.0 - rate) * m[ROOT], np.sqrt(rate) * error)
    spread = np.sqrt(max(m[ROOT] - m[SLOW], 0.0)) * np.sqrt((m[ROOT] + m[SLOW]) / 127.0)
    m[DRIFT_TOLD] = NOTHING
    if m[DRIFTING] > 0.0:
        if m[FAST] < 1.3 * m[SLOW] or seq - m[DRIFT_SEQ] >= 2000.0:
            m[DRIFTING], m[DRIFT_TOLD] = 0.0, ENDED
    elif not quiet and n > 200.0 and m[FAST] > m[SLOW] + 6.0 * spread and m[FAST] > 2.0 * m[SLOW]:
        m[DRIFTING], m[DRIFT_TOLD] = 1.0, STARTED
        m[DRIFT_SEQ], m[DRIFT_TIME] = seq, time


@exact
def watch(m, error, least, seq, time, quiet):
    """Judge one error of the shortest horizon; `quiet` while nothing may begin.

    Its size is told in usual errors, which count as no smaller than `least`.
    """
    usual = max(m[SIZE] if m[ERRORS] > 0.0 else abs(error), least)
    size = abs(error) / usual
    p = tail(m, size) if m[ERRORS] > 0.0 else 1.0
    m[SCORE] = 1.0 - p
    _watch_anomaly(m, size, np.sign(error), p, seq, time, quiet)
    _learn_tail(m, size)
    _watch_drift(m, abs(error), seq, time, quiet)
    m[SIZE] += max(1.0 / m[ERRORS], 0.002) * (min(abs(error), 5.0 * usual) - m[SIZE])


# --------------------------------------------------------------------------------------- settling


@exact
def _learn(s, slot, t, h, y):
    """Teach both readouts the change from the time of issue, freed of wild outliers."""
    base, size = s.waiting_base[slot, t, 0], s.waiting_base[slot, t, 1]
    usual = s.scores[t, h, CHANGE]
    limit = min(8.0 * max(1.0, usual), 1e6)
    change = min(max((y - base) / size, -limit), limit)
    rate = max(1.0 / (s.scores[t, h, SCORED] + 1.0), 0.001)
    s.scores[t, h, CHANGE] = np.sqrt(usual * usual + rate * (change * change - usual * usual))
    repeats = s.stride[h]
    correct(s.weights[t, h], s.waiting_x[slot], s.waiting_gain[slot], change, repeats)
    for k in range(s.own_weights.shape[1]):
        own_gain = s.waiting_own_gain[slot, t, k]
        correct(s.own_weights[t, k, h], s.waiting_own[slot, t], own_gain, change, repeats)
    return limit


@exact
def _score(s, slot, t, h, y, half):
    """Let the running scores see the forecast as it was issued."""
    scores = s.scores[t, h]
    yhat = s.waiting_experts[slot, t, h, 0]
    rate = max(1.0 / (scores[SCORED] + 1.0), 0.002)
    inside = 1.0 if abs(y - yhat) <= half else 0.0
    scores[COVERAGE] += rate * (inside - scores[COVERAGE])
    scores[ERROR] += rate * (abs(y - yhat) - scores[ERROR])
    scores[NAIVE_ERROR] += rate * (abs(y - s.waiting_base[slot, t, 0]) - scores[NAIVE_ERROR])
    scores[SCORED] += 1.0


@exact
def _settle_target(s, slot, t, h, y):
    issued = s.waiting_experts[slot, t, h]
    bands = s.waiting_bands[slot, t, h]
    mixtures = MEMORIES.size
    size = max(s.waiting_base[slot, t, 1], step_scale(s.scales[s.targets[t]]))
    limit = _learn(s, slot, t, h, y)
    for g in range(mixtures):
        discount(s.losses[t, h, g], issued[1 + mixtures :], y, size, limit, MEMORIES[g])
    discount(s.top_losses[t, h], issued[1 : 1 + mixtures], y, size, limit, TOP_MEMORY)
    score = min(abs(y - issued[0]) / size, 1e6)
    count = s.scores[t, h, SCORED]
    log_q, means, losses = s.log_q[t, h], s.band_means[t, h], s.band_losses[t, h]
    track(log_q, means, losses, bands, score, s.alpha[0], count, s.counts[PUSHED] - s.due[h])
    half = bands[0] * s.waiting_base[slot, t, 1]
    _score(s, slot, t, h, y, half)
    if h == 0:
        m = s.monitor[t]
        m[LATEST], m[LATEST_Y], m[LATEST_YHAT], m[LATEST_HALF] = y - issued[0], y, issued[0], half


@exact
def _relax_all(s, slot, h):
    seq = s.waiting_seq[slot]
    if seq % REFRESH_EVERY != 0 or s.stride[h] > 1:
        return
    turn = seq // REFRESH_EVERY
    row = turn % s.refresh_gain.shape[0]
    for t in range(s.targets.size):
        relax(s.weights[t, h], turn % s.D.size, s.refresh_gain[row])
        for k in range(s.own_weights.shape[1]):
            unit = turn % s.D_own.shape[2]
            relax(s.own_weights[t, k, h], unit, s.refresh_own_gain[row, t, k])


@exact
def _arrived(s, t, due, now, bridged):
    """Target t at coordinate `due`, between the newest record and the one before it."""
    field = s.targets[t]
    y = s.history[field, 0] if s.scales[field, FRESH] > 0.0 else np.nan
    if not s.by_time[0] or now - due <= 1e-3 * s.clock[CADENCE]:
        return y
    if not bridged:
        return NO_ANSWER
    share = (due - s.clock[BEFORE]) / (now - s.clock[BEFORE])
    return s.before[t] + share * (y - s.before[t])


@exact
def _settle(s, now):
    """Settle every forecast that has fallen due, oldest first, one horizon after the other."""
    slots = s.waiting_at.size
    slack = 1e-3 * s.clock[CADENCE] if s.by_time[0] else 0.0
    bridged = s.counts[ARRIVAL] == REGULAR
    for h in range(s.horizons.size):
        while s.due[h] < s.counts[PUSHED]:
            slot = s.due[h] % slots
            due = s.waiting_at[slot] + s.horizons[h]
            if due > now + slack:
                break
            s.due[h] += 1
            if s.waiting_seq[slot] % s.stride[h] != 0:
                continue
            for t in range(s.targets.size):
                y = _arrived(s, t, due, now, bridged)
                if not np.isnan(y) and not np.isnan(s.waiting_base[slot, t, 0]):
                    _settle_target(s, slot, t, h, y)
            _relax_all(s, slot, h)


# ------------------------------------------------------------------------------------- forecasting


@exact
def _bounded(s, field, value):
    """Keep an answer near the range seen; it is the last value when it is not a number."""
    half = (s.scales[field, HIGH] - s.scales[field, LOW]) / 2.0
    low, high = s.scales[field, LOW] - half, s.scales[field, HIGH] + half
    value = value if np.isfinite(value) else s.history[field, 0]
    return min(max(value, low), high)


@exact
def _ask_experts(s, at, t, h, answers):
    field = s.targets[t]
    last, size = s.history[field, 0], step_scale(s.scales[field])
    answers[PERSISTENCE] = last
    answers[RESERVOIR] = last + size * dot(s.weights[t, h], s.features)
    memories = s.own_weights.shape[1]
    for k in range(memories):
        answers[FIRST_OWN + k] = last + size * dot(s.own_weights[t, k, h], s.own[t])
    for k in range(s.seasons.size):
        answers[FIRST_OWN + memories + k] = _seasonal(s, at, t, h, s.seasons[k])
    for k in range(answers.size):
        answers[k] = _bounded(s, field, answers[k])


@exact
def _forecast_one(s, at, slot, t, h, weights):
    field, mixtures = s.targets[t], MEMORIES.size
    issued = s.waiting_experts[slot, t, h]
    _ask_experts(s, at, t, h, issued[1 + mixtures :])
    for g in range(mixtures):
        issued[1 + g] = _mixed(s.losses[t, h, g], issued[1 + mixtures :], weights)
    issued[0] = _mixed(s.top_losses[t, h], issued[1 : 1 + mixtures], weights)
    bands = s.waiting_bands[slot, t, h]
    band(s.log_q[t, h], s.band_means[t, h], s.band_losses[t, h], bands)
    if h > 0 and s.scores[t, h, SCORED] < WARM_AFTER:
        # Nothing is known of this horizon yet: as wide as a random walk that the last one knows.
        shorter = s.waiting_bands[slot, t, h - 1, 0]
        bands[0] = max(bands[0], shorter * np.sqrt(s.horizons[h] / s.horizons[h - 1]))
    half = bands[0] * step_scale(s.scales[field])
    if s.scales[field, SEEN] == 0.0:
        issued[0] = np.nan
    s.forecast[0, h, t] = issued[0]
    s.forecast[1, h, t] = issued[0] - half
    s.forecast[2, h, t] = issued[0] + half


@exact
def _issue(s, at):
    """Forecast every target and horizon, and let the forecasts wait for their values."""
    slot = s.counts[PUSHED] % s.waiting_at.size
    s.waiting_at[slot], s.waiting_seq[slot] = at, s.counts[SEQ]
    weights = np.empty(s.waiting_experts.shape[3])
    for t in range(s.targets.size):
        field = s.targets[t]
        seen = s.scales[field, SEEN] > 0.0
        s.waiting_base[slot, t, 0] = s.history[field, 0] if seen else np.nan
        s.waiting_base[slot, t, 1] = step_scale(s.scales[field])
        for h in range(s.horizons.size):
            _forecast_one(s, at, slot, t, h, weights)
    s.counts[PUSHED] += 1
    return slot


@exact
def _absorb_all(s, slot):
    """Take the newest features into the covariances; their gains wait beside them."""
    copy(s.features, s.waiting_x[slot])
    absorb(s.U, s.D, s.features, s.readout_settings[0, 0], s.waiting_gain[slot])
    for t in range(s.targets.size):
        copy(s.own[t], s.waiting_own[slot, t])
        for k in range(s.own_weights.shape[1]):
            gain, forgetting = s.waiting_own_gain[slot, t, k], s.readout_settings[1 + k, 0]
            absorb(s.U_own[t, k], s.D_own[t, k], s.own[t], forgetting, gain)


@exact
def _refresh_all(s):
    if s.counts[SEQ] % REFRESH_EVERY != 0:
        return
    turn = s.counts[SEQ] // REFRESH_EVERY
    row = turn % s.refresh_gain.shape[0]
    forgetting, ridge = s.readout_settings[0]
    weight = refresh_weight(forgetting, ridge, s.D.size)
    refresh(s.U, s.D, turn % s.D.size, weight, s.refresh_gain[row])
    size = s.D_own.shape[2]
    for k in range(s.own_weights.shape[1]):
        forgetting, ridge = s.readout_settings[1 + k]
        weight = refresh_weight(forgetting, ridge, size)
        for t in range(s.targets.size):
            gain = s.refresh_own_gain[row, t, k]
            refresh(s.U_own[t, k], s.D_own[t, k], turn % size, weight, gain)


# ----------------------------------------------------------------------------------------- a step


@exact
def _watch_all(s, time):
    seq, news = s.counts[SEQ], 0
    quiet = s.counts[ARRIVAL] != REGULAR
    for t in range(s.targets.size):
        m = s.monitor[t]
        m[ANOMALY_TOLD], m[DRIFT_TOLD], m[SCORE] = NOTHING, NOTHING, 0.0
        if not np.isnan(m[LATEST]):
            young = s.scores[t, 0, SCORED] < 2 * WARM_AFTER
            least = 0.05 * step_scale(s.scales[s.targets[t]])
            watch(m, m[LATEST], least, seq, time, quiet or young)
        news += m[ANOMALY_TOLD] != NOTHING or m[DRIFT_TOLD] != NOTHING
    s.counts[NEWS] = news


@exact
def skill(error, naive):
    """1 - error / naive, also where one or both are 0."""
    if naive == 0.0 and error == 0.0:
        return 0.0
    return 1.0 - error / max(naive, 1e-9 * error)


@exact
def _grade(s):
    """Say how good the forecasts have been lately, and how the model is doing as a whole."""
    scored, drifting = 0.0, False
    for t in range(s.targets.size):
        scored = max(scored, s.scores[t, 0, SCORED])
        drifting |= s.monitor[t, DRIFTING] > 0.0
        for h in range(s.horizons.size):
            scores = s.scores[t, h]
            if scores[SCORED] > 0.0:
                s.quality[0, h, t] = scores[COVERAGE]
                s.quality[1, h, t] = skill(scores[ERROR], scores[NAIVE_ERROR])
    warm = scored >= WARM_AFTER and s.counts[SEQ] >= WARM_AFTER
    s.counts[STATUS] = (IN_DRIFT if drifting else OK) if warm else WARMING


@exact
def _step(s, time, values):
    s.clock[BEFORE] = s.clock[LAST]
    for t in range(s.targets.size):
        field = s.targets[t]
        fresh = s.scales[field, FRESH] > 0.0
        s.before[t] = s.history[field, 0] if fresh else np.nan
    steps = _take_time(s, time)
    for field in range(values.size):
        _take_value(s, field, values[field], steps)
    at = time if s.by_time[0] else float(s.counts[SEQ])
    fill(s.monitor[:, LATEST], np.nan)
    _settle(s, at)
    _watch_all(s, time)
    _grade(s)
    _remember(s, at)
    _make_features(s, steps)
    _make_own_features(s)
    slot = _issue(s, at)
    _absorb_all(s, slot)
    _refresh_all(s)
    s.counts[SEQ] += 1


@exact
def _oldest(due):
    oldest = due[0]
    for h in range(1, due.size):
        oldest = min(oldest, due[h])
    return oldest


@exact
def run(s, times, values, forecasts):
    """Step through records; return how many: fewer than all when no slot is left to wait in.

    times (n,) seconds or NaN, values (n, F), forecasts (n, 3, H, T) to be filled.
    """
    for i in range(times.size):
        if s.counts[PUSHED] - _oldest(s.due) >= s.waiting_at.size:
            return i
        _step(s, times[i], values[i])
        copy(s.forecast.reshape(-1), forecasts[i].reshape(-1))
    return times.size


def warm() -> None:
    """Compile all that a `Forecaster` of the default dtype needs, or load it from the cache.

    Takes about 11 seconds cold and half a second from the cache.
    """
    from streamlnn.model.forecaster import Forecaster  # it imports this file

    Forecaster([1]).step(None, 0.0)
