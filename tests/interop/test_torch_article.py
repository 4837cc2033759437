"""The article's code, as a reader would paste it, with its class replaced by an import."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from streamlnn.interop.torch import ESN

SNIPPET = """
import torch
import torch.nn as nn

from streamlnn.interop.torch import ESN

# Example usage
input_size = 10
reservoir_size = 100
output_size = 1

model = ESN(input_size, reservoir_size, output_size)
"""


class Printed(nn.Module):
    """The network that the article prints, whose call ours takes over."""

    def __init__(self, inputs: int, units: int, outputs: int) -> None:
        super().__init__()
        self.units = units
        self.W_in = nn.Linear(inputs, units)
        self.W_res = nn.Linear(units, units)
        self.W_out = nn.Linear(units, outputs)

    def forward(self, sequences: torch.Tensor) -> torch.Tensor:
        state = torch.zeros(len(sequences), self.units)
        for u in sequences.unbind(1):
            state = torch.tanh(self.W_in(u) + self.W_res(state))
        y: torch.Tensor = self.W_out(state)
        return y


def pasted() -> ESN:
    space: dict[str, Any] = {}
    exec(SNIPPET, space)
    model = space["model"]
    assert isinstance(model, ESN)
    return model


def test_the_snippet_runs_and_answers_as_the_articles_module_does() -> None:
    model, x = pasted(), torch.randn(32, 50, 10)
    assert model(x).shape == Printed(10, 100, 1)(x).shape == (32, 1)
    assert model(x).requires_grad
    assert model.reservoir_size == 100


def test_the_articles_training_loop_trains_the_readout_and_nothing_else() -> None:
    torch.manual_seed(0)
    model, x = pasted(), torch.randn(64, 30, 10)
    y = x[:, -1, :1] - 0.5 * x[:, -2, 1:2]
    before = {name: value.clone() for name, value in model.named_buffers()}
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(100):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]
    assert [name for name, _ in model.named_parameters()] == ["W_out.weight", "W_out.bias"]
    assert all(torch.equal(value, before[name]) for name, value in model.named_buffers())


@pytest.mark.parametrize("batch", [1, 20])
def test_with_the_articles_own_weights_it_gives_the_articles_answer(batch: int) -> None:
    """Dense, biased and unscaled as printed: the same arithmetic, from arrays."""
    from streamlnn import Reservoir

    printed, x = Printed(3, 40, 2), torch.randn(batch, 25, 3)
    with torch.no_grad():
        bias = printed.W_in.bias + printed.W_res.bias
        given = Reservoir.from_arrays(
            printed.W_res.weight.numpy(), printed.W_in.weight.numpy(), bias.numpy()
        )
        ours = ESN.from_reservoir(given, 2)
        ours.W_out.load_state_dict(printed.W_out.state_dict())
        torch.testing.assert_close(ours(x), printed(x), rtol=1e-5, atol=1e-6)
