"""The readout of the module: closed form, online, by gradient; and what is saved of it."""

from __future__ import annotations

import copy
import io
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from streamlnn import Reservoir
from streamlnn.interop.torch import ESN
from streamlnn.model.readout import Readout


def network(outputs: int = 2, **more: Any) -> ESN:
    more = {"tau": (0.5, 10.0), "ridge": 1e-3, "dtype": torch.float64, **more}
    return ESN(1, 20, outputs, **more)


def waves(batch: int, time: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return inputs (batch, time, 1), and what is to come next and next but one."""
    random = torch.Generator().manual_seed(seed)
    phases = 6 * torch.rand(batch, 1, generator=random, dtype=torch.float64)
    y = torch.sin(torch.arange(time + 2) / 4.0 + phases)
    y = y + 0.1 * torch.randn(y.shape, generator=random, dtype=torch.float64)
    return y[:, :-2, None], torch.stack([y[:, 1:-1], y[:, 2:]], -1)


def features(model: ESN, x: Tensor, **more: Any) -> Tensor:
    return nn.functional.pad(model.states(x, **more), (1, 0), value=1.0)


def solved(F: Tensor, y: Tensor, ridge: float) -> Tensor:
    """The normal equations of ridge regression, (features, outputs)."""
    return torch.linalg.solve(F.T @ F + ridge * torch.eye(F.shape[1], dtype=F.dtype), F.T @ y)


def learned(model: ESN) -> Tensor:
    return torch.cat([model.W_out.bias[:, None], model.W_out.weight], 1).detach().T


# ------------------------------------------------------------------------------------- closed form


def test_fit_solves_the_normal_equations_behind_the_washout() -> None:
    model, (x, y) = network(washout=30), waves(3, 200)
    assert model.fit(x, y) is model
    F = features(model, x)[:, 30:].flatten(0, 1)
    torch.testing.assert_close(learned(model), solved(F, y[:, 30:].flatten(0, 1), 1e-3))


def test_fit_on_last_states_is_the_articles_task() -> None:
    model, (x, y) = network(washout=30), waves(40, 50)
    model.fit(x, y[:, -1])
    torch.testing.assert_close(
        learned(model), solved(features(model, x)[:, -1], y[:, -1], 1e-3), rtol=1e-6, atol=1e-9
    )
    assert nn.functional.mse_loss(model(x), y[:, -1]) < 0.2 * y[:, -1].var()


def test_fit_takes_lists_of_any_lengths_and_single_sequences() -> None:
    model, parts = network(), [waves(1, n, seed=n) for n in (50, 80, 30)]
    model.fit([x[0] for x, _ in parts], [y[0] for _, y in parts])
    F = torch.cat([features(model, x[0]) for x, _ in parts])
    torch.testing.assert_close(learned(model), solved(F, torch.cat([y[0] for _, y in parts]), 1e-3))
    alone = network().fit(parts[0][0][0], parts[0][1][0])
    assert torch.equal(learned(alone), learned(network().fit(*parts[0])))


def test_steps_without_a_target_are_left_out() -> None:
    model, (x, y) = network(), waves(1, 300)
    y[0, 100:150, 1] = torch.nan
    F, known = features(model, x)[0], ~y[0].isnan().any(-1)
    model.fit(x, y)
    torch.testing.assert_close(learned(model), solved(F[known], y[0][known], 1e-3))


def test_a_washout_is_for_sequences_that_begin_at_rest() -> None:
    model, (x, y) = network(washout=100), waves(1, 200)
    _, state = model(x[:, :100], return_state=True)
    carried = network(washout=100).fit(x[:, 100:], y[:, 100:], state)
    torch.testing.assert_close(learned(carried), learned(model.fit(x, y)), rtol=1e-6, atol=1e-9)


def test_fit_knows_the_times_between_the_steps() -> None:
    model, (x, y) = network(), waves(2, 100)
    dt = torch.linspace(0.1, 5.0, 100)
    model.fit(x, y, dt=dt)
    F = features(model, x, dt=dt).flatten(0, 1)
    torch.testing.assert_close(learned(model), solved(F, y.flatten(0, 1), 1e-3))


def test_a_network_in_single_precision_is_fitted_in_double() -> None:
    double, single, (x, y) = network(), network(dtype=torch.float32), waves(2, 400)
    double.fit(x, y)
    single.fit(x.float(), y.float())
    torch.testing.assert_close(learned(single), learned(double).float(), rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(single(x.float()), double(x).float(), rtol=0, atol=1e-4)


# ------------------------------------------------------------------------------------------ online


def test_without_forgetting_online_learning_finds_what_fit_finds() -> None:
    online, closed, (x, y) = network(forgetting=1.0), network(), waves(1, 600)
    online.partial_fit(x, y)
    closed.fit(x, y)
    torch.testing.assert_close(learned(online), learned(closed), rtol=1e-6, atol=1e-8)


def test_what_is_returned_was_said_before_the_target_was_learned() -> None:
    """Each prediction is that of a network which has learned all before it, and nothing else."""
    model, (x, y) = network(), waves(1, 60)
    said = model.partial_fit(x, y)
    for cut in (0, 1, 17, 59):
        fresh, state = network(), None
        if cut:
            _, state = fresh.partial_fit(x[:, :cut], y[:, :cut], return_state=True)
        torch.testing.assert_close(said[:, cut], fresh(x[:, cut : cut + 1], state))


def test_it_learns_by_the_daemons_own_readout() -> None:
    model, (x, y) = network(forgetting=0.99), waves(1, 300)
    weights = learned(model).T.numpy()
    readout = Readout(21, 2, forgetting=0.99, ridge=1e-3)
    readout.weights[...] = weights
    said = model.partial_fit(x, y)
    for t, row in enumerate(features(model, x)[0].numpy()):
        np.testing.assert_array_equal(said[0, t].numpy(), readout.predict(row))
        readout.learn(row, y[0, t].numpy())
    np.testing.assert_array_equal(learned(model).T.numpy(), readout.weights)


def test_after_a_fit_it_goes_on_from_there_and_follows_a_change() -> None:
    model, (x, y) = network(forgetting=0.99), waves(1, 2000)
    y[:, 1000:] *= -1
    model.fit(x[:, :1000], y[:, :1000])
    frozen, (_, state) = copy.deepcopy(model), model(x[:, :1000], return_state=True)
    said = model.partial_fit(x[:, 1000:], y[:, 1000:], state)
    stale = frozen(x[:, 1000:], state, every_step=True)
    late = slice(500, None)
    errors = [float((e - y[:, 1000:]).detach()[:, late].abs().mean()) for e in (said, stale)]
    assert errors[0] < 0.15 < 1.0 < errors[1]
    before = (frozen(x[:, :1000], every_step=True) - y[:, :1000]).detach().abs().mean()
    assert before < 0.15


def test_fit_and_then_online_is_one_long_least_squares() -> None:
    model, (x, y) = network(forgetting=1.0), waves(1, 500)
    model.fit(x[:, :300], y[:, :300])
    _, state = model(x[:, :300], return_state=True)
    model.partial_fit(x[:, 300:], y[:, 300:], state)
    torch.testing.assert_close(learned(model), learned(network().fit(x, y)), rtol=1e-3, atol=1e-4)


def test_missing_targets_are_not_learned_and_cost_no_answer() -> None:
    model, (x, y) = network(forgetting=1.0), waves(1, 100)
    model.partial_fit(x, y)
    before = learned(model).clone()
    said = model.partial_fit(x, torch.full_like(y, torch.nan))
    assert said.isfinite().all()
    assert torch.equal(learned(model), before)
    y[..., 1] = torch.nan
    model.partial_fit(x, y)
    assert not torch.equal(learned(model)[:, 0], before[:, 0])
    assert torch.equal(learned(model)[:, 1], before[:, 1])


def test_an_optimiser_and_online_learning_hand_over_to_each_other() -> None:
    model, (x, y) = network(), waves(1, 100)
    model.partial_fit(x, y)
    with torch.no_grad():
        model.W_out.weight.add_(1.0)
    at_once = model(x[:, :1])
    torch.testing.assert_close(model.partial_fit(x, y)[:, 0], at_once.detach())


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "LBFGS"])
def test_any_optimiser_comes_near_to_the_closed_form(optimizer: str) -> None:
    model, (x, y) = network(), waves(4, 100)
    settings = {"SGD": {"lr": 0.05, "momentum": 0.9}, "Adam": {"lr": 0.02}, "LBFGS": {}}
    trainer = getattr(torch.optim, optimizer)(model.parameters(), **settings[optimizer])

    def loss() -> Tensor:
        trainer.zero_grad()
        off = nn.functional.mse_loss(model(x, every_step=True), y)
        off.backward()
        return off

    for _ in range(300 if optimizer != "LBFGS" else 20):
        trainer.step(loss)
    reached = loss().item()
    best = nn.functional.mse_loss(network().fit(x, y)(x, every_step=True), y).item()
    assert 0.9 * best < reached < 1.5 * best


def test_several_sequences_are_learned_step_by_step_side_by_side() -> None:
    model, (x, y) = network(), waves(3, 50)
    said, state = model.partial_fit(x, y, return_state=True)
    assert (said.shape, state.shape) == (y.shape, (3, 20))
    assert not said.requires_grad
    last = model.partial_fit(x, y[:, -1])
    assert last.shape == (3, 2)


@pytest.mark.parametrize("call", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    ("x", "y", "wrong"),
    [
        (torch.zeros(2, 9, 1), torch.zeros(2, 9), r"y has shape \(2, 9\); \(2, 9, 2\) is wanted"),
        (torch.zeros(2, 9, 1), torch.zeros(2, 9, 1), r"y has shape \(2, 9, 1\)"),
        (torch.zeros(2, 9, 1), torch.full((2, 9, 2), torch.inf), "y holds infinite values; NaN"),
        (torch.full((2, 9, 1), torch.nan), torch.zeros(2, 9, 2), "holds values that are not"),
    ],
    ids=["shape", "outputs", "infinite", "missing"],
)
def test_what_cannot_be_learned_is_told(call: str, x: Tensor, y: Tensor, wrong: str) -> None:
    model = network()
    before = learned(model).clone()
    with pytest.raises(ValueError, match=wrong):
        getattr(model, call)(x.double(), y.double())
    assert torch.equal(learned(model), before)


def test_a_ridge_that_is_too_small_is_told() -> None:
    x = torch.sin(torch.arange(2000, dtype=torch.float64) / 5).reshape(1, -1, 1)
    model = ESN(1, 300, 1, ridge=1e-14, dtype=torch.float64)
    with pytest.raises(ValueError, match="a ridge of 1e-14 is too small for states that are so"):
        model.fit(x[:, :-1], x[:, 1:])


@pytest.mark.parametrize("call", ["fit", "partial_fit", "states"])
def test_arrays_are_told_to_be_made_tensors(call: str) -> None:
    x, y = (each.numpy() for each in waves(1, 20))
    given = (x,) if call == "states" else (x, y)
    with pytest.raises(TypeError, match=r"x is a numpy.ndarray; pass a tensor: torch.as_tensor"):
        getattr(network(), call)(*given)


@pytest.mark.parametrize("time", [511, 512, 513, 1300])
def test_long_sequences_are_learned_in_pieces_as_in_one(time: int) -> None:
    model, (x, y) = network(washout=20), waves(2, time)
    model.fit(x, y)
    F = features(model, x)[:, 20:].flatten(0, 1)
    torch.testing.assert_close(
        learned(model), solved(F, y[:, 20:].flatten(0, 1), 1e-3), rtol=1e-5, atol=1e-7
    )
    last = network().fit(x, y[:, -1])
    torch.testing.assert_close(
        learned(last), solved(features(last, x)[:, -1], y[:, -1], 1e-3), rtol=1e-5, atol=1e-7
    )
    one, other = network(), network()
    said, state = one.partial_fit(x, y, return_state=True)
    half, begun = other.partial_fit(x[:, :300], y[:, :300], return_state=True)
    rest = other.partial_fit(x[:, 300:], y[:, 300:], begun)
    torch.testing.assert_close(said, torch.cat([half, rest], 1), rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(state, one.states(x)[:, -1])


def test_a_single_step_from_rest_is_part_of_the_washout() -> None:
    model, (x, y) = network(washout=5), waves(1, 1)
    assert torch.equal(model.partial_fit(x, y), torch.zeros_like(y))
    assert torch.equal(learned(model), torch.zeros(21, 2, dtype=torch.float64))
    model.partial_fit(x, y[:, -1])
    assert not torch.equal(learned(model), torch.zeros(21, 2, dtype=torch.float64))


def test_whole_numbers_as_targets_cost_no_answer_its_fraction() -> None:
    model, (x, y) = network(), waves(1, 60)
    said = model.partial_fit(x, (10 * y).long())
    assert said.dtype == torch.float64
    assert (said != said.round()).any()


def test_fit_tells_when_no_step_is_left() -> None:
    x, y = waves(1, 20)
    with pytest.raises(ValueError, match="no step behind the washout has a target"):
        network(washout=20).fit(x, y)


def test_fit_tells_of_lists_that_do_not_match() -> None:
    x, y = waves(1, 20)
    with pytest.raises(ValueError, match="2 sequences of inputs, 1 of targets"):
        network().fit([x, x], [y])


# ------------------------------------------------------------------------------------------ saving


def through_a_file(state: Any) -> Any:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("liquid", [False, True], ids=["plain", "liquid"])
def test_a_saved_network_learns_on_as_if_it_had_never_been_away(liquid: bool) -> None:
    model, (x, y) = network(liquid=liquid), waves(1, 200)
    _, state = model.partial_fit(x[:, :100], y[:, :100], return_state=True)
    saved = through_a_file(model.state_dict())
    assert {name for name in saved if name.startswith("online_")} == {
        "online_U",
        "online_D",
        "online_count",
    }
    again = network(seed=99, liquid=liquid)
    again.load_state_dict(saved)
    rest = x[:, 100:], y[:, 100:], state
    assert torch.equal(again.partial_fit(*rest), model.partial_fit(*rest))
    assert torch.equal(again(x), model(x))


def test_a_network_inside_another_is_saved_with_it() -> None:
    def nested(seed: int) -> nn.Sequential:
        return nn.Sequential(nn.Linear(1, 1, dtype=torch.float64), network(seed=seed))

    model, (x, y) = nested(1), waves(1, 100)
    inner = model[1]
    assert isinstance(inner, ESN)
    inner.partial_fit(x, y)
    again = nested(2)
    again.load_state_dict(through_a_file(model.state_dict()))
    assert torch.equal(again(x), model(x))
    loaded = again[1]
    assert isinstance(loaded, ESN)
    assert torch.equal(loaded.partial_fit(x, y), inner.partial_fit(x, y))


def test_a_network_that_never_learned_online_saves_its_weights_only() -> None:
    model, (x, y) = network(), waves(1, 50)
    saved = through_a_file(model.state_dict())
    assert not [name for name in saved if name.startswith("online")]
    other = network(seed=5)
    other.partial_fit(x, y)
    other.load_state_dict(saved)
    assert torch.equal(other.partial_fit(x, y), model.partial_fit(x, y))


def test_half_of_what_was_learned_online_is_told_as_missing() -> None:
    model, (x, y) = network(), waves(1, 50)
    model.partial_fit(x, y)
    saved = model.state_dict()
    del saved["online_U"]
    with pytest.raises(RuntimeError, match=r"Missing key.*online_U"):
        network().load_state_dict(saved)


def test_a_copy_learns_by_itself() -> None:
    model, (x, y) = network(), waves(1, 100)
    model.partial_fit(x, y)
    twin, before = copy.deepcopy(model), learned(model).clone()
    twin.partial_fit(x, y)
    assert torch.equal(learned(model), before)
    assert not torch.equal(learned(twin), before)


def test_a_state_of_another_network_is_refused() -> None:
    model, (x, y) = network(), waves(1, 50)
    model.partial_fit(x, y)
    with pytest.raises(RuntimeError, match="size mismatch"):
        ESN(1, 21, 2, dtype=torch.float64).load_state_dict(model.state_dict())
    with pytest.raises(ValueError, match=r"numbers too large for torch.float32"):
        ESN.from_reservoir(Reservoir.from_arrays([[1e39]], [[1.0]]), 1)


def test_the_same_seed_draws_the_same_network_whatever_torch_draws() -> None:
    torch.manual_seed(1)
    one = network()
    torch.manual_seed(2)
    other, third = network(), network(seed=2)
    assert all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))
    assert not torch.equal(one.W_res, third.W_res)
    radius = torch.linalg.eigvals(one.W_res).abs().max()
    assert abs(float(radius) - 0.9) < 1e-6


def test_leak_and_scales_are_what_they_are_called() -> None:
    model = ESN(2, 300, 1, leak=0.3, input_scale=0.5, bias=0.1, spectral_radius=1.2, fan_in=4)
    torch.testing.assert_close(1 - torch.exp(-1 / model.tau), torch.full((300,), 0.3))
    assert model.bias.abs().max() <= 0.1
    assert ((model.W_res != 0).sum(1) == 4).all()
    assert abs(float(torch.linalg.eigvals(model.W_res).abs().max()) - 1.2) < 1e-3
    louder = ESN(2, 300, 1, leak=0.3, input_scale=5.0, bias=0.1, fan_in=4)
    torch.testing.assert_close(louder.W_in, 10 * model.W_in)
    assert repr(model).splitlines()[1].startswith("  2, 300, fan_in=4, washout=0, forgetting=")
