"""Find the season of a stream when nobody told it, and notice when it has gone.

The caller keeps the latest values of a series in a ring, evenly spaced, and calls `consider` when
`is_due` says so. That takes a look at the newest `LONGEST_LOOK` entries:

1. *Clean*: a missing value is the one before it; an increment counts at most `CLIP` mean absolute
   increments. Outliers, level shifts and trends then weigh little, and profiles keep their shape.
2. *Evidence*: the periodogram of the series, whitened by a first-order autoregression, is divided
   by its background, the larger of two: a parabola in log frequency fitted to the log periodogram
   (coloured noise), and the mean of the bins next to the line (a resonance is broad, a season is
   not). In noise each ratio is exponential, so that k harmonics of one frequency sum up to a Gamma
   variable; its tail is the evidence, for the best k up to `HARMONICS`. That is Fisher's (1929)
   test on whitened data, extended to the comb of harmonics as in Hartley (1949).
3. *Use*: a season must forecast. Changes over 3/8 of a season, in which a random walk leaves no
   trace at that lag, are correlated with those one season ago, and their pattern in the older half
   of the cycles with that in the newer half, phase by phase (Buys Ballot's table). A pseudo-cycle
   of noise or chaos agrees with its neighbour and not with cycles far away.
4. *Unseen data*: what one look finds counts only when the pattern of the entries until then also
   forecasts those that came after, at the next look; twice for a length that is not natural.

Periods that people and the sun keep (`NATURAL`) are tried first where there is a clock, with less
asked of them. Of the multiples of a season the shortest is taken that forecasts about as well as
the best: the fundamental, not its harmonics; and the day before the week. One season is in use at
a time; it stays until it fails three looks in a row, or fails one and another is confirmed.

Measured, 13 looks each, with a clock and without: of 3,200 series of 35 kinds of noise (white,
autoregressive, walks, steps, bursts, quantised, missing values) and of the first two coordinates of
the Lorenz system none was called seasonal, of another 200 one; of the third coordinate, one in
seven. Without the parabola there were five false calls in 1,200 series of noise. Of 72 kinds of
season, a tenth as strong as the noise to free of it, 74 % were found within 2,000 entries without
a clock, 87 % with one.

Limits: a season has 6 entries at least, and three cycles of it must be in the ring; without a clock
four and a half, and some ten until it is confirmed. An oscillator whose period hardly varies (the
third coordinate of the Lorenz system, a thermostat) may be called: there the value one cycle ago
does forecast, for a while. A pattern of the day that the weekend breaks may be missed.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LONGEST_LOOK = 1024
"""Entries that a look takes in, at most."""

FEWEST = 64
"""Entries before the first look. Further ones follow when a quarter is new, half of a full ring."""

SHORTEST, CYCLES = 5.75, 2.9
"""Entries that a season must have, and times that it must have been seen: 6 and 3, rounded."""

NATURAL = np.array([3600.0, 43200.0, 86400.0, 604800.0])
"""Seconds of the periods that people and the sun keep: hour, half a day, day, week."""

HARMONICS = 8
"""Harmonics that the evidence is summed over, at most."""

CLIP, CLIPPINGS = 5.0, 8
"""An increment counts at most so many times their mean size, found in so many turns."""

# Asked of a season of any length, and of a natural one: evidence, in nats; correlation with the
# cycles before; cycles seen; times that it must have forecast what came after.
EVIDENCE = (16.0, 10.0)
CORRELATION = (0.25, 0.2)
SEEN = (4.4, CYCLES)
CONFIRMED = (2, 1)

SPREADS, SPREADS_UNSEEN, SPREADS_NATURAL = 1.5, 1.25, 2.0
"""Far cycles may disagree so many times as much as neighbours do: then time blurs no pattern."""

LASTS = 0.4
"""A natural season may also keep that share of its correlation, as days do in the turn of weeks."""

GONE, LOOKS_GONE = 0.1, 3
"""A season whose pattern correlates less than that with what came after, so often, has gone."""

SEARCH = 5
LOOKED, IN_USE, WAITING, HITS, MISSES = range(SEARCH)
"""Where the last look was; the season in use (0: none), the one that waits to be confirmed, how
often that has forecast, and how often the one in use has not."""

_LAG = 0.375
_BINS = 64
_PEAKS = 8
_ASIDE = np.array([1.0, 1.5, 2.0, 2.5, 3.0])
_BOTH_SIDES = np.concatenate([-_ASIDE, _ASIDE])
_MULTIPLES = np.array([1.0 / 7.0, 1.0 / 3.0, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])
_ORDERS = np.arange(HARMONICS)
_FACTORIALS = np.array([math.factorial(k) for k in range(HARMONICS)], np.float64)


class Spectrum(NamedTuple):
    """Periodogram of `size` whitened entries, and the log of what noise would have there."""

    power: Floats
    background: Floats
    size: int

    @property
    def grid(self) -> int:
        """Bins per cycle and entry."""
        return 2 * (self.power.size - 1)


def initial_search() -> Floats:
    """Return the state of a search that has seen nothing: (SEARCH,)."""
    return np.zeros(SEARCH)


def seasons_in_use(state: Floats) -> list[float]:
    """Return the lengths of the seasons in use, in the caller's coordinates.

    >>> seasons_in_use(initial_search())
    []
    """
    return [float(state[IN_USE])] if state[IN_USE] > 0.0 else []


def is_due(state: Floats, size: int, pushed: int, spacing: float) -> bool:
    """Say whether it is time for a look: a quarter of the entries is new, half of a full ring.

    size: entries that the ring holds at most. A count that was set back makes a look due as well.

    >>> is_due(initial_search(), 1024, 63, 1.0), is_due(initial_search(), 1024, 64, 1.0)
    (False, True)
    """
    n = min(pushed, size, LONGEST_LOOK)
    fresh = pushed - state[LOOKED] / spacing
    return bool(n >= FEWEST and (fresh * (4 if n < LONGEST_LOOK else 2) >= n or fresh <= -1.0))


def consider(state: Floats, ring: Floats, pushed: int, spacing: float, seconds: float) -> bool:
    """Look for a season where it is time to; return whether the one in use has changed.

    state: of `initial_search`, changed in place. ring: (size,), NaN where a value is missing; entry
    `(pushed - 1) % size` is the newest of `pushed`. spacing: distance of entries in the caller's
    coordinates, which the season in use is told in. seconds: length of one unit of them, 0
    without a clock. A caller that keeps only every second entry halves `pushed` and doubles
    `spacing`. Costs about a millisecond where a look is due.

    >>> state, ring = initial_search(), np.zeros(512)
    >>> noise = np.random.default_rng(0).standard_normal(512)
    >>> for i in range(512):
    ...     ring[i] = np.sin(2.0 * np.pi * i / 24.0) + 0.5 * noise[i]
    ...     if consider(state, ring, i + 1, 1.0, 3600.0):
    ...         print(i + 1, seasons_in_use(state))
    115 [24.0]
    """
    if not is_due(state, ring.size, pushed, spacing):
        return False
    n = min(pushed, ring.size, LONGEST_LOOK)
    fresh = int(pushed - state[LOOKED] / spacing)
    state[LOOKED] = pushed * spacing
    y = _cleaned(ring[np.arange(pushed - n, pushed) % ring.size])
    natural = NATURAL / (spacing * seconds) if seconds > 0.0 else np.empty(0)
    s = _found(y, float(state[IN_USE]) / spacing, natural)
    known = _is_natural(s, natural)
    return _judge(state, y, s, spacing, known, n if fresh < 0 else min(fresh, n))


def _increments(x: Floats) -> Floats:
    d, there = np.zeros(x.size), np.flatnonzero(np.isfinite(x))
    d[there[1:]] = np.diff(x[there])
    return d


@np.errstate(over="ignore")
def _cleaned(x: Floats) -> Floats:
    """Return the series with gaps held and increments clipped, around 0 and free of units."""
    d, limit = _increments(x), 0.0
    for _ in range(CLIPPINGS):
        limit = CLIP * float(np.abs(d).mean())
        d = np.clip(d, -limit, limit)
    y = np.cumsum(d / limit if 0.0 < limit < np.inf else np.zeros(d.size))
    return np.asarray(y - y.mean())


def _whitened(y: Floats) -> Floats:
    """Return what a first-order autoregression does not foresee: (n - 1,), around 0."""
    slope = float(y[1:] @ y[:-1]) / (float(y[1:] @ y[1:]) + 1e-300)
    e = y[1:] - min(max(slope, 0.0), 1.0) * y[:-1]
    return np.asarray(e - e.mean())


def _periodogram(e: Floats) -> Floats:
    """Power at j / grid cycles per entry, 1 on average for white noise: (grid / 2 + 1,)."""
    grid = max(2 * FEWEST, 1 << (2 * e.size - 1).bit_length())
    return np.asarray(np.abs(np.fft.rfft(e, grid)) ** 2 / (e @ e + 1e-300))


@lru_cache(maxsize=16)
def _parabola(low: int, high: int) -> tuple[Ints, Floats, Floats]:
    """Bins to fit the background to, ever fewer; their weight's root; what spans the parabolas."""
    bins = [low]
    while bins[-1] + max(1, bins[-1] // 64) <= high:
        bins.append(bins[-1] + max(1, bins[-1] // 64))
    at = np.array(bins)
    root = np.sqrt(np.maximum(1, at // 64) / at)
    span, _ = np.linalg.qr(root[:, None] * np.vander(np.log(at), 3))
    return at, root, span


def _background(P: Floats, low: int) -> Floats:
    """Log of the expected power at every bin: a parabola, fitted again without what stands out."""
    bins, root, span = _parabola(low, P.size - 1)
    fit = logs = np.log(P[bins] + 1e-12)
    for _ in range(3):
        near = np.clip(logs, fit - 5.0, fit + 1.4)
        fit = span @ (span.T @ (root * near)) / root
    out = np.interp(np.arange(P.size), bins, fit + np.euler_gamma)
    out[:low] = np.inf
    return out


def _spectrum(y: Floats) -> Spectrum:
    e = _whitened(y)
    P = _periodogram(e)
    lowest = 2 * (P.size - 1) // e.size
    return Spectrum(P, _background(P, lowest), e.size)


def _beside(spectrum: Spectrum, comb: Floats) -> Floats:
    """Mean power beside each frequency, 1 to 3 true bins away, less where the harmonic is near."""
    high, reach = spectrum.power.size - 1, spectrum.size * comb[:, :1, None] - 1.5
    at = np.rint((comb[..., None] + _BOTH_SIDES / spectrum.size) * spectrum.grid).astype(np.int64)
    counted = (at >= 1) & (np.abs(_BOTH_SIDES) <= np.maximum(reach, 1.5) + 1e-9)
    power = spectrum.power[high - np.abs(high - np.maximum(at, 0))]
    return np.asarray((power * counted).sum(-1) / counted.sum(-1))


def _surprise(power: Floats) -> Floats:
    """Return -log of the chance that 1, 2, ... exponential variables sum to that: Gamma tails."""
    terms = np.minimum(power, 1e40)[..., None] ** _ORDERS / _FACTORIALS
    return np.asarray(power - np.log((terms * np.tri(HARMONICS)).sum(-1)))


def _evidence(spectrum: Spectrum, f: Floats) -> Floats:
    """Return the greatest surprise at the first harmonics of each frequency, in nats."""
    comb = f[:, None] * np.arange(1, HARMONICS + 1)
    there, comb = comb <= 0.5, np.minimum(comb, 0.5)
    at = np.rint(comb * spectrum.grid).astype(np.int64)
    noise = np.maximum(np.exp(spectrum.background[at]), _beside(spectrum, comb)) + 1e-300
    return np.asarray(_surprise(np.cumsum(there * spectrum.power[at] / noise, 1)).max(1))


def _peaks(spectrum: Spectrum) -> Floats:
    """Frequencies of the highest peaks over the background, each the vertex of a parabola."""
    a, b, c = spectrum.power[1:-2], spectrum.power[2:-1], spectrum.power[3:]
    at = np.flatnonzero((b >= a) & (b > c))
    over = np.log(b[at] + 1e-300) - spectrum.background[at + 2]
    at = at[np.argsort(-over, kind="stable")[:_PEAKS]]
    a, b, c = np.sqrt(a[at]), np.sqrt(b[at]), np.sqrt(c[at])
    between = 0.5 * (a - c) / np.minimum(a - 2.0 * b + c, -1e-300)
    return np.asarray((at + 2 + between) / spectrum.grid)


def _suspect(spectrum: Spectrum) -> tuple[float, float]:
    """Return the frequency with most evidence, and that; a peak may be its harmonic 1 to 4."""
    f = (_peaks(spectrum)[:, None] / np.arange(1, 5)).ravel()
    f = f[(f * spectrum.size >= CYCLES) & (f * SHORTEST <= 1.0)]
    if f.size == 0:
        return 0.0, 0.0
    evidence = _evidence(spectrum, f)
    best = int(np.argmax(evidence))
    return float(f[best]), float(evidence[best])


def _fits(s: float, n: int) -> bool:
    return s >= SHORTEST and s * CYCLES <= n


def _changes(y: Floats, s: float) -> tuple[Floats, int]:
    """Return changes over h entries, 3/8 of a season, with mean 0 and variance 1: (n - h,); h."""
    h = max(1, round(_LAG * s))
    z = y[h:] - y[:-h]
    z -= z.mean()
    return z / math.sqrt(z @ z / z.size + 1e-300), h


def _table(z: Floats, s: float, start: int, stop: int) -> Floats:
    """Sum and count z[start:stop] by cycle and phase: (2, cycles, phases)."""
    phases = min(_BINS, max(4, math.ceil(s)))
    key = (np.arange(start, stop) * (phases / s) + 0.5).astype(np.int64)
    size = (key[-1] // phases + 1) * phases
    table = np.zeros((2, size))
    table[0], table[1] = np.bincount(key, z[start:stop], size), np.bincount(key, minlength=size)
    return table.reshape(2, -1, phases)


def _agreement(z: Floats, s: float) -> float:
    """Mean correlation of changes at the same phase of any two cycles."""
    table = _table(z, s, 0, z.size)
    products, pairs = (table.sum(1) ** 2).sum(1) - (table**2).sum((1, 2))
    return float(products / max(pairs, 1.0))


def _across(z: Floats, s: float, split: int, skip: int) -> float:
    """Mean correlation of changes before `split` with those at the same phase `skip` after it."""
    before, after = _table(z, s, 0, split), _table(z, s, split + skip, z.size)
    products, pairs = (before.sum(1) * after.sum(1)).sum(1)
    return float(products / max(pairs, 1.0))


def _adjacent(z: Floats, s: float) -> float:
    """Correlation of changes with those one season ago, between entries where that falls there."""
    lag, share = int(s), s - int(s)
    ago = (1.0 - share) * z[1 : z.size - lag] + share * z[: z.size - lag - 1]
    return float(z[lag + 1 :] @ ago / ago.size)


def _near_and_far(y: Floats, s: float) -> tuple[float, float]:
    """Return the correlation of neighbouring cycles, and of the older half with the newer one."""
    z, _ = _changes(y, s)
    return _adjacent(z, s), _across(z, s, z.size // 2, 0)


def _lasts(near: float, far: float, spreads: float, natural: bool) -> bool:
    """Say whether far cycles agree about as well as neighbours do."""
    if natural and far >= LASTS * near:
        return True
    return 1.0 - far <= (SPREADS_NATURAL if natural else spreads) * (1.0 - near) + 0.02


def _convincing(y: Floats, s: float, evidence: float, natural: bool) -> float:
    """Return how well the season forecasts, as a correlation; 0 where it does not convince."""
    if evidence < EVIDENCE[natural] or y.size < SEEN[natural] * s:
        return 0.0
    near, far = _near_and_far(y, s)
    good = _lasts(near, far, SPREADS, natural) and 0.5 * (near + far) >= CORRELATION[natural]
    return 0.5 * (near + far) if good else 0.0


def _shortest_good(values: Floats, n: int) -> int:
    """Return the first of some correlations (positive) that is about as good as the best; -1."""
    best = values.max(initial=0.0)
    enough = max(best - 0.05 - 1.5 / math.sqrt(n), 0.6 * best)
    good = np.flatnonzero((values > 0.0) & (values >= enough))
    return int(good[0]) if good.size else -1


def _refined(y: Floats, s: float) -> float:
    """Return the length near s, within 0.6 bins, at which the cycles agree best."""
    z, _ = _changes(y, s)
    near = [1.0 / (1.0 / s + 0.15 * step / y.size) for step in range(-4, 5)]
    return max((t for t in near if _fits(t, y.size)), key=lambda t: _agreement(z, t), default=s)


def _fundamental(y: Floats, s: float) -> float:
    """Return the shortest multiple of s that forecasts about as well as the best of them."""
    values = np.zeros(_MULTIPLES.size)
    for k, t in enumerate(s * _MULTIPLES):
        if _fits(t, y.size):
            values[k] = 0.5 * sum(_near_and_far(y, t))
    k = _shortest_good(values, y.size)
    return s if k < 0 else float(s * _MULTIPLES[k])


def _settled(y: Floats, s: float, natural: Floats) -> float:
    """Return a natural or a whole length, if one is within resolution and not clearly worse."""
    z, _ = _changes(y, s)
    floor = _agreement(z, s) - 0.03 - 0.5 / math.sqrt(y.size)
    for t in (*natural, round(s)):
        if abs(s / t - 1.0) <= 0.25 * s / y.size and _agreement(z, t) >= floor:
            return float(t)
    return s


def _is_natural(s: float, natural: Floats) -> bool:
    return bool((np.abs(natural - s) < 1e-9 * s).any())


def _natural(y: Floats, spectrum: Spectrum, natural: Floats) -> float:
    """Return the shortest convincing natural season, in entries, or 0."""
    fitting = [float(s) for s in natural if _fits(s, y.size)]
    evidence = _evidence(spectrum, 1.0 / np.array(fitting))
    values = [_convincing(y, s, e, True) for s, e in zip(fitting, evidence, strict=True)]
    k = _shortest_good(np.array(values), y.size)
    return fitting[k] if k >= 0 else 0.0


def _other(y: Floats, spectrum: Spectrum, natural: Floats) -> float:
    """Return a convincing season of any length, in entries, or 0."""
    f, evidence = _suspect(spectrum)
    if evidence < EVIDENCE[False]:
        return 0.0
    s = _settled(y, _fundamental(y, _refined(y, 1.0 / f)), natural)
    return s if _convincing(y, s, evidence, False) > 0.0 else 0.0


def _kept(y: Floats, spectrum: Spectrum, s: float, natural: Floats) -> float:
    """Return the season in use s, its length followed, as long as it convinces, or 0."""
    if not _fits(s, y.size):
        return 0.0
    known = _is_natural(s, natural)
    t = s if known else _settled(y, _refined(y, s), natural)
    evidence = float(_evidence(spectrum, np.array([1.0 / t]))[0])
    return t if _convincing(y, t, evidence, known) > 0.0 else 0.0


def _found(y: Floats, now: float, natural: Floats) -> float:
    """Return the season in y, in entries, or 0: the one in use now, as long as it convinces."""
    spectrum = _spectrum(y)
    return (
        _kept(y, spectrum, now, natural)
        or _natural(y, spectrum, natural)
        or _other(y, spectrum, natural)
    )


def _same(a: float, b: float, n: int) -> bool:
    return a > 0.0 and b > 0.0 and abs(1.0 / a - 1.0 / b) * n < 0.5


def _unseen(y: Floats, s: float, fresh: int) -> float:
    """Correlation of the pattern before the fresh entries with those; NaN when they are too few."""
    z, h = _changes(y, s)
    if fresh < h + 0.5 * s or z.size - fresh < s:
        return math.nan
    return _across(z, s, z.size - fresh, h)


def _counted(count: float, seen: float, hit: bool) -> float:
    """Count on where it was a hit, from 0 where not; leave the count where nothing was seen."""
    return count if math.isnan(seen) else (count + 1.0) * hit


def _has_gone(state: Floats, y: Floats, s: float, fresh: int) -> bool:
    """Say whether the season in use forecast nothing at some looks in a row."""
    if not _fits(s, y.size):
        return False
    seen = _unseen(y, s, fresh)
    state[MISSES] = _counted(state[MISSES], seen, seen < GONE)
    return bool(state[MISSES] >= LOOKS_GONE)


def _is_confirmed(state: Floats, y: Floats, s: float, fresh: int, natural: bool) -> bool:
    """Say whether the waiting season s has forecast what came after a look, often enough."""
    seen, near = _unseen(y, s, fresh), _adjacent(_changes(y, s)[0], s)
    hit = _lasts(near, seen, SPREADS_UNSEEN, natural)
    state[HITS] = _counted(state[HITS], seen, hit)
    return bool(state[HITS] >= CONFIRMED[natural])


def _judge(state: Floats, y: Floats, s: float, spacing: float, known: bool, fresh: int) -> bool:
    """Take in what a look has found, s or 0; say whether the season in use has changed."""
    now, before = float(state[IN_USE]) / spacing, float(state[WAITING]) / spacing
    gone = _has_gone(state, y, now, fresh)
    if gone:
        state[IN_USE], state[MISSES] = 0.0, 0.0
    if s == 0.0 or (not gone and _same(s, now, y.size)):
        state[IN_USE:MISSES] = (s * spacing or state[IN_USE], 0.0, 0.0)
        return gone
    if not _same(s, before, y.size - fresh):
        state[WAITING:MISSES] = (s * spacing, 0.0)
        return gone
    state[WAITING] = s * spacing
    if not _is_confirmed(state, y, before, fresh, known):
        return gone
    state[IN_USE:] = (s * spacing, 0.0, 0.0, 0.0)
    return True
