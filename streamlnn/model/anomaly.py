"""Anomaly: one error, or a run of errors to one side, that hardly ever comes.

How often an error so big comes is known from running 90 and 99 % quantiles of the errors and a
power tail beyond them. The evidence against "as usual" is minus the logarithm of that share; that
of the errors before is added, less 2 for each, as long as all lie on the same side: a step that no
single record makes clear is clear after three. Where errors follow one another anyway, because
forecasts of several steps ahead overlap, only the share that is new counts.

An anomaly starts when one error alone brings evidence of more than 9.2 (1 in 10,000) or a run more
than 13, *and* that is more by 1 and by 15 %, which an error larger by a fifth is, than a slowly
fading maximum of the evidence before: what keeps happening stops being news. It is told again each
time the evidence has doubled, three times at most; it is critical from 24 on (1 in 10 billion). It
ends when errors have been usual for 8 records, or after 128: a change of level becomes the new
normal. 64 records of rest follow, as they do after a gap: the forecasts have to find their way
first.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np

from streamlnn.model.compiled import exact

NOTHING, STARTED, UPDATED, ENDED = range(4)
"""What there is to tell of an event."""

LATEST, LATEST_Y, LATEST_YHAT, LATEST_HALF = range(4)
"""The newest error that was settled, its value, its forecast, and half the width of its band."""

AFTER_ANOMALY = 24
(
    ERRORS,
    SIZE,
    Q90,
    Q99,
    SCALED,
    CARRIED,
    EVIDENCE,
    PEAK,
    SCORE,
    SIGN,
    ACTIVE,
    CALM,
    REST,
    TOP,
    TOLD_AT,
    UPDATES,
    SINCE_SEQ,
    SINCE_TIME,
    ANOMALY_TOLD,
    SIDE,
) = range(4, AFTER_ANOMALY)
"""What is kept of a target, among the numbers of `monitor`. SIZE is the usual error, SCALED the
newest in standard deviations, CARRIED the correlation of an error with the one before."""

ALONE, TOGETHER, CRITICAL = 9.2, 13.0, 24.0
"""Evidence enough, of one error and of a run, and that from which an anomaly is critical."""

ALLOWANCE = 2.0
"""Evidence that one more error of a run must bring to count."""

NEWER = 1.0
MORE = 0.15
"""Evidence must exceed the maximum before by so much, or by that share of it."""

MOST_LEARNED = 3.0
"""How much one anomaly may raise the maximum by: a large spike does not hide the next."""

FADING = 1.0 - 1.0 / 2000.0
SHORT, LONGEST, BREAK = 8.0, 128.0, 64.0
MOST_UPDATES = 3.0


@exact
def tail(m, size):
    """How often an error is at least so big: linear below the 90 % quantile, a power above."""
    if m[ERRORS] == 0.0:
        return 1.0
    q90 = max(m[Q90], 1e-9)
    if size <= q90:
        return 1.0 - 0.9 * size / q90
    steepness = 2.302585 / np.log(max(m[Q99] / q90, 1.3))
    return 0.1 * (size / q90) ** -steepness


@exact
def usual_error(m, error, least):
    """Return what counts as the usual error: `least`, or more."""
    return max(m[SIZE] if m[ERRORS] > 0.0 else abs(error), least)


@exact
def carried(m):
    """Return the share of an error that was in the one before it, from 0 to 1."""
    return min(max(m[CARRIED], 0.0), 0.99)


@exact
def judge(m, error, usual):
    """Weigh one error and learn from it; return the evidence that it brings by itself."""
    size = abs(error) / usual
    surprise = -np.log(max(tail(m, size), 1e-300))
    side = np.sign(error)
    before = (m[EVIDENCE] - ALLOWANCE) * (1.0 - carried(m)) if side == m[SIDE] else 0.0
    m[EVIDENCE], m[SIDE] = max(0.0, before) + surprise, side
    m[SCORE] = 1.0 - np.exp(-m[EVIDENCE])
    _learn_tail(m, size)
    _learn_carried(m, error, usual)
    m[SIZE] += max(1.0 / m[ERRORS], 0.002) * (min(abs(error), 5.0 * usual) - m[SIZE])
    return surprise


@exact
def _learn_tail(m, size):
    n = m[ERRORS]
    m[ERRORS] = n + 1.0
    if n == 0.0:
        m[Q90], m[Q99] = 1.7, 2.6
    fast, slow = max(0.02, 1.0 / (n + 10.0)), max(0.05, 2.0 / (n + 10.0))
    m[Q90] *= np.exp(fast * ((1.0 if size > m[Q90] else 0.0) - 0.1))
    m[Q99] *= np.exp(slow * ((1.0 if size > m[Q99] else 0.0) - 0.01))
    m[Q90] = max(m[Q90], 0.1)
    m[Q99] = max(m[Q99], 1.3 * m[Q90])


@exact
def _learn_carried(m, error, usual):
    """Track the correlation of an error with the one before it; 0.8 sd is a usual error."""
    scaled = min(max(0.8 * error / usual, -3.0), 3.0)
    rate = max(1.0 / m[ERRORS], 0.001)
    m[CARRIED] += rate * (scaled * m[SCALED] - m[CARRIED])
    m[SCALED] = scaled


@exact
def rest(m):
    """Forget the run of errors, and let no anomaly start for a while."""
    m[EVIDENCE], m[REST] = 0.0, BREAK


@exact
def follow_anomaly(m, surprise, seq, time, quiet):
    """Say whether an anomaly starts, gets worse or ends; none starts while `quiet`."""
    m[REST] = max(0.0, m[REST] - 1.0)
    m[PEAK] *= FADING
    if m[ACTIVE] > 0.0:
        _go_on(m, surprise, seq)
        return
    enough = surprise > ALONE or m[EVIDENCE] > TOGETHER
    news = m[EVIDENCE] > m[PEAK] + max(NEWER, MORE * m[PEAK])
    if enough and news and m[REST] == 0.0 and not quiet:
        _start(m, seq, time)
    m[PEAK] = max(m[PEAK], min(m[EVIDENCE], m[PEAK] + MOST_LEARNED))


@exact
def _start(m, seq, time):
    m[ACTIVE], m[SIGN], m[CALM], m[UPDATES] = 1.0, m[SIDE], 0.0, 0.0
    m[TOP] = m[TOLD_AT] = m[EVIDENCE]
    m[SINCE_SEQ], m[SINCE_TIME], m[ANOMALY_TOLD] = seq, time, STARTED


@exact
def _go_on(m, surprise, seq):
    m[CALM] = m[CALM] + 1.0 if surprise < 3.0 else 0.0
    m[TOP] = max(m[TOP], m[EVIDENCE])
    if m[CALM] >= SHORT or seq - m[SINCE_SEQ] >= LONGEST:
        m[ACTIVE], m[SIGN], m[REST], m[ANOMALY_TOLD] = 0.0, 0.0, BREAK, ENDED
    elif m[TOP] >= 2.0 * m[TOLD_AT] and m[UPDATES] < MOST_UPDATES:
        m[TOLD_AT], m[ANOMALY_TOLD] = m[TOP], UPDATED
        m[UPDATES] += 1.0
