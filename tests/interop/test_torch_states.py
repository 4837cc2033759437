"""The states of the module: the same whichever way they are computed, and as the textbook says."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.func import functional_call, grad, jvp

from streamlnn import Reservoir
from streamlnn.interop.torch import ESN, states
from streamlnn.model import sequence

TOLERANCE = {torch.float32: 2e-6, torch.float64: 1e-7}


def network(units: int = 30, inputs: int = 2, **more: Any) -> ESN:
    more = {"tau": (0.5, 20.0), "bias": 0.3, **more}
    return ESN(inputs, units, 1, **more)


def drawn(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def textbook(model: ESN, x: Tensor, dt: float) -> Tensor:
    """Plain leaky units of one sequence, in float64 and in one line (Jaeger et al. 2007)."""
    W, W_in = model.W_res.double(), model.W_in.double()
    share, state, made = -torch.expm1(-dt / model.tau.double()), torch.zeros(len(W)).double(), []
    for u in x.double():
        state = (1 - share) * state + share * torch.tanh(W_in @ u + W @ state + model.bias)
        made.append(state)
    return torch.stack(made)


@pytest.mark.parametrize("dt", [1.0, 0.3, 7.0])
def test_the_states_are_those_of_the_textbook(dt: float) -> None:
    model, x = network(), drawn(200, 2)
    torch.testing.assert_close(
        model.states(x, dt=dt).double(), textbook(model, x, dt), rtol=0, atol=2e-6
    )


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("liquid", [False, True], ids=["plain", "liquid"])
@pytest.mark.parametrize("batch", [1, 5, 16, 70, 150])
def test_compiled_loops_and_torch_give_the_same(
    batch: int, liquid: bool, dtype: torch.dtype
) -> None:
    model = network(liquid=liquid, dtype=dtype)
    x, dt = drawn(batch, 60, 2, dtype=dtype), drawn(batch, 60, seed=1, dtype=dtype).abs()
    compiled = model.states(x, dt=dt)
    through_torch = model.states(x.clone().requires_grad_(), dt=dt)
    assert through_torch.requires_grad
    assert not compiled.requires_grad
    torch.testing.assert_close(compiled, through_torch, rtol=0, atol=TOLERANCE[dtype])


@settings(deadline=None, max_examples=30)
@given(
    units=st.integers(1, 40),
    inputs=st.integers(1, 4),
    batch=st.integers(1, 36),
    time=st.integers(1, 12),
    dt=st.sampled_from([0.0, 0.01, 1.0, 1e6, float("inf")]),
    liquid=st.booleans(),
    seed=st.integers(0, 9),
)
def test_every_stream_of_a_batch_goes_its_own_way(
    units: int, inputs: int, batch: int, time: int, dt: float, liquid: bool, seed: int
) -> None:
    """And as the daemon's reservoir steps it."""
    model = ESN(inputs, units, 1, tau=(0.5, 20.0), liquid=liquid, dtype=torch.float64, seed=seed)
    x, begin = drawn(batch, time, inputs, dtype=torch.float64), drawn(batch, units).double().tanh()
    given = begin.clone()
    together, twin = model.states(x, begin, dt=dt), model.to_reservoir()
    assert torch.equal(begin, given)
    for stream in {0, batch - 1}:
        alone = model.states(x[stream], begin[stream], dt=dt)
        torch.testing.assert_close(together[stream], alone, rtol=0, atol=1e-12)
        state = begin[stream].numpy()
        for t in range(time):
            state = twin.step(state, x[stream, t].numpy(), dt)
            np.testing.assert_allclose(alone[t].numpy(), state, rtol=0, atol=1e-8)


def test_a_state_carried_on_gives_what_one_long_sequence_gives() -> None:
    model, x = network(), drawn(3, 1100, 2)
    whole, state, parts = model.states(x), None, []
    for part in x.split(157, dim=1):
        y, state = model(part, state, every_step=True, return_state=True)
        assert not state.requires_grad
        parts.append(y)
    torch.testing.assert_close(torch.cat(parts, 1), model.W_out(whole), rtol=0, atol=1e-6)
    torch.testing.assert_close(state, whole[:, -1], rtol=0, atol=1e-6)
    assert torch.equal(model(x), model.W_out(whole[:, -1]))


def test_a_sequence_without_a_batch_has_answers_without_one() -> None:
    model, x = network(), drawn(20, 2)
    y, state = model(x, every_step=True, return_state=True)
    assert (y.shape, state.shape, model(x).shape) == ((20, 1), (30,), (1,))
    torch.testing.assert_close(model(x), model(x[None])[0], rtol=0, atol=1e-6)
    y, state = model(x, state, return_state=True)
    assert (y.shape, state.shape) == ((1,), (30,))


def test_time_may_stand_still_or_be_given_for_each_step_and_stream() -> None:
    model, x, begin = network(), drawn(4, 10, 2), drawn(4, 30).tanh()
    still = model.states(x, begin, dt=0.0)
    assert torch.equal(still, begin[:, None].expand(-1, 10, -1))
    times = torch.linspace(0.1, 3.0, 10)
    for_all = model.states(x, dt=times)
    torch.testing.assert_close(for_all, model.states(x, dt=times.expand(4, 10)), rtol=0, atol=1e-6)
    assert not torch.allclose(for_all, model.states(x))


def test_numbers_do_not_depend_on_how_many_threads_there_are() -> None:
    model, x = network(100), drawn(150, 300, 2)
    one = model.states(x)
    torch.set_num_threads(2)
    try:
        assert torch.equal(model.states(x), one)
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize("liquid", [False, True], ids=["plain", "liquid"])
def test_the_gradient_reaches_inputs_times_and_the_state(liquid: bool) -> None:
    model = network(8, liquid=liquid, dtype=torch.float64)
    given = (
        drawn(2, 4, 2, dtype=torch.float64).requires_grad_(),
        drawn(2, 8, dtype=torch.float64).tanh().requires_grad_(),
        drawn(2, 4, dtype=torch.float64).abs().requires_grad_(),
    )
    assert torch.autograd.gradcheck(lambda x, state, dt: model.states(x, state, dt=dt), given)


def test_the_echo_of_where_it_began_dies_away() -> None:
    model, x = network(100, tau=None), drawn(2, 300, 2)
    apart = (model.states(x) - model.states(x, drawn(2, 100).tanh())).abs().amax((0, 2))
    assert apart[0] > 0.1
    assert apart[-1] < 1e-5


def test_a_network_that_is_dense_or_hears_nan_goes_through_torch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dense, sparse = network(100, fan_in=100), network(100)
    monkeypatch.setattr(states, "run_sequences", lambda *_: pytest.fail("the compiled loops"))
    assert dense.states(drawn(5, 2)).isfinite().all()
    missing = drawn(5, 2)
    missing[2, 0] = torch.nan
    assert sparse.states(missing)[1].isfinite().all()
    assert sparse.states(missing)[2].isnan().any()


def test_the_state_that_is_returned_is_a_copy_to_be_changed() -> None:
    model, x = network(), drawn(4, 600, 2)
    for more in ({}, {"every_step": True}):
        y, state = model(x, return_state=True, **more)
        state[1] = 0.0
        y.sum().backward()
        assert state.untyped_storage().nbytes() == 4 * 30 * 4


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # of torch, by itself
def test_torchs_transforms_see_the_network_as_it_is() -> None:
    model, x = network(dtype=torch.float64), drawn(4, 30, 2, dtype=torch.float64)
    torch.nn.init.normal_(model.W_out.weight)
    weights, along = dict(model.named_parameters()), drawn(4, 30, 2, dtype=torch.float64, seed=2)

    def total(weights: Any, x: Tensor) -> Tensor:
        said: Tensor = functional_call(model, weights, (x,)).sum()
        return said

    total(weights, x).backward()
    by_weights = grad(total)({name: each.detach() for name, each in weights.items()}, x)
    torch.testing.assert_close(by_weights["W_out.weight"], model.W_out.weight.grad)
    leaf = x.clone().requires_grad_()
    by_inputs = torch.autograd.grad(total(weights, leaf), leaf)[0]
    torch.testing.assert_close(grad(total, argnums=1)(weights, x), by_inputs)
    _, tangent = jvp(lambda x: total(weights, x), (x,), (along,))
    torch.testing.assert_close(tangent, (by_inputs * along).sum())


@pytest.mark.parametrize("inputs_learn", [False, True])
def test_autocast_leaves_the_states_as_they_are(inputs_learn: bool) -> None:
    model, x = network(), drawn(4, 30, 2).requires_grad_(inputs_learn)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        states = model.states(x)
        assert model(x).dtype == torch.bfloat16
    torch.testing.assert_close(states, model.states(x), rtol=0, atol=1e-6)


def test_a_forked_process_goes_on_by_itself() -> None:
    """The threads of its parent are not there; torch's own are not either, and not made anew.

    So there are few enough inputs for torch to take one thread for them.
    """
    code = (
        "import os, torch; from streamlnn.interop.torch import ESN; torch.set_num_threads(2); "
        "model, x = ESN(1, 100, 1), torch.zeros(80, 300, 1); model(x); child = os.fork(); "
        "model(x); os._exit(0) if child == 0 else os.waitpid(child, 0)"
    )
    subprocess.run([sys.executable, "-P", "-W", "ignore", "-c", code], timeout=120, check=True)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64], ids=str)
def test_the_network_moves_to_another_dtype(dtype: torch.dtype) -> None:
    model, x = network(), drawn(2, 30, 2)
    before = model.states(x)
    after = model.to(dtype).states(x.to(dtype))
    assert after.dtype == dtype
    torch.testing.assert_close(after.float(), before, rtol=0, atol=0.1)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("liquid", [False, True], ids=["plain", "liquid"])
def test_a_gpu_gives_the_same(liquid: bool) -> None:
    model, x = network(liquid=liquid, dtype=torch.float64), drawn(5, 60, 2, dtype=torch.float64)
    here = model.states(x)
    there = model.cuda().states(x.cuda())
    assert there.device.type == "cuda"
    torch.testing.assert_close(there.cpu(), here, rtol=0, atol=TOLERANCE[torch.float64])


@pytest.mark.parametrize(
    ("call", "wrong"),
    [
        (lambda m: m(drawn(4, 5, 3)), r"x has shape \(4, 5, 3\); \(batch, time, 2\) or"),
        (lambda m: m(drawn(2)), r"x has shape \(2,\)"),
        (lambda m: m(drawn(4, 0, 2)), "x holds no step"),
        (lambda m: m(drawn(4, 5, 2), drawn(3, 30)), r"state has shape \(3, 30\); \(4, 30\)"),
        (lambda m: m(drawn(5, 2), drawn(1, 30)), r"state has shape \(1, 30\); \(30,\)"),
        (lambda m: m(drawn(4, 5, 2), dt=torch.ones(4)), r"dt has shape \(4,\); a number, \(5,\)"),
        (lambda m: m(drawn(4, 5, 2), dt=-1.0), "dt holds -1; 0 or more is wanted"),
        (lambda m: m(drawn(4, 5, 2), torch.ones(4, 30).long()), "state is torch.int64, the netw"),
        (lambda m: m(drawn(4, 5, 2), dt=torch.nan), "dt holds nan; 0 or more is wanted"),
        (lambda m: m(drawn(4, 5, 2).double()), r"x is torch.float64, the network torch.float32"),
        (lambda _: ESN(0, 10, 1), "input_size must be 1 or more, not 0"),
        (lambda _: ESN(1, 0, 1), "reservoir_size must be 1 or more, not 0"),
        (lambda _: ESN(1, 10, 0), "output_size must be 1 or more, not 0"),
        (lambda _: ESN(1, 10, 1, leak=2.0), r"leak must be in \(0, 1\], not 2 \(unit 0\)"),
        (lambda _: ESN(1, 10, 1, leak=0.5, tau=3.0), "give tau or leak, not both"),
        (lambda _: ESN(1, 10, 1, tau=(3.0, 1.0)), "tau must be two positive numbers, rising"),
        (lambda _: ESN(1, 10, 1, tau=np.ones(10)), "tau must be two positive numbers, rising"),
        (lambda _: ESN(1, 10, 1, input_scale=0.0), "input_scale must be two positive"),
        (lambda _: ESN(1, 10, 1, spectral_radius=-1.0), "spectral_radius must be 0 or more"),
        (lambda _: ESN(1, 10, 1, fan_in=0), "fan_in must be 1 or more"),
        (lambda _: ESN(1, 10, 1, bias=-0.1), "bias must be 0 or more"),
        (lambda _: ESN(1, 10, 1, washout=-1), "washout must be 0 or more"),
        (lambda _: ESN(1, 10, 1, forgetting=1.1), r"forgetting must be in \(0, 1\]"),
        (lambda _: ESN(1, 10, 1, ridge=0.0), "ridge must be positive"),
    ],
)
def test_what_does_not_fit_is_told(call: Any, wrong: str) -> None:
    with pytest.raises((ValueError, TypeError), match=wrong):
        call(network())


# ------------------------------------------------------------------------ the loops without torch


@pytest.mark.parametrize("inputs", [1, 3])
def test_a_sequence_is_as_good_as_its_steps(inputs: int) -> None:
    reservoir, random = Reservoir(40, inputs), np.random.default_rng(0)
    u, dt, x = random.standard_normal((50, inputs)), random.uniform(0, 3, 50), np.full(40, 0.1)
    made = sequence.run(reservoir, u, dt, x)
    for t in range(50):
        x = reservoir.step(x, u[t], dt[t])
        np.testing.assert_allclose(made[t], x, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ((np.zeros((5, 3)),), r"u has shape \(5, 3\); \(n, 2\) is wanted"),
        ((np.zeros((5, 2)), 1.0, np.zeros(3)), r"x has shape \(3,\); \(40,\) is wanted"),
        ((np.zeros((5, 2)), np.zeros(4)), r"dt has shape \(4,\).*a number or \(5,\)"),
        ((np.zeros((5, 2)), -1.0), r"its least is -1; a number or \(5,\), 0 or more, is wanted"),
    ],
)
def test_a_sequence_that_does_not_fit_is_refused(given: Any, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        Reservoir(40, 2).run(*given)


@pytest.mark.parametrize(
    ("x", "u", "dt"),
    [
        (np.zeros(45), np.zeros(2), 1.0),
        (np.zeros(3), np.zeros(2), 1.0),
        (np.zeros(40), np.zeros(1), 1.0),
        (np.zeros(40), np.zeros(27), 1.0),
        (np.zeros(40), 0.5, 1.0),
        (np.zeros(40), np.zeros(2), -1.0),
        (np.zeros(40), np.zeros(2), np.nan),
    ],
)
def test_a_step_that_does_not_fit_is_refused(x: Any, u: Any, dt: float) -> None:
    with pytest.raises(ValueError, match=r"\(40,\), \(2,\) and 0 or more are wanted"):
        Reservoir(40, 2).step(x, u, dt)
