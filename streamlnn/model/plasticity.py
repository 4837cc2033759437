"""Intrinsic plasticity: the reservoir that tunes itself, unsupervised. Off by default.

Each unit adapts the gain and the bias of its own drive so that its output comes close to a normal
distribution of mean 0 and standard deviation `SPREAD` (Schrauwen et al. 2008, for tanh units): the
online form of what the article calls dynamic connectivity. Only the units' drives change, never
the readout. Since the features move under a readout that has learned them, the rate is small, and
still it does not pay: errors on Mackey-Glass and Lorenz grow by 30 % and more, on the recordings by
0.2 %, and streams that change their dynamics come out even.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

from streamlnn.model.compiled import fused

SPREAD = 0.3


@fused
def adapt(gain, bias, net, y, rate):
    """One step down the divergence from the normal distribution, for units tanh(gain net + bias).

    All (units,): `net` what each unit heard, `y` its output.
    """
    one, two = y.dtype.type(1), y.dtype.type(2)
    variance = y.dtype.type(SPREAD * SPREAD)
    least, most = y.dtype.type(0.1), y.dtype.type(10.0)
    for i in range(y.size):
        push = -rate * y[i] / variance * (two * variance + one - y[i] * y[i])
        bias[i] = min(max(bias[i] + push, -one), one)
        gain[i] = min(max(gain[i] + rate / gain[i] + push * net[i], least), most)
