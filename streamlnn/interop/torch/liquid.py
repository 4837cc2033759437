"""LiquidCell: a recurrent cell whose units change their own time constants; all of it trainable."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from streamlnn.interop.torch.sequences import need_tensor
from streamlnn.model.rules import need


class LiquidCell(nn.Module):
    """A liquid time-constant cell, used as `nn.RNNCell`, with the elapsed time as an argument.

    Each unit follows dx/dt = -(1 / tau + f) x + f A, with f = sigmoid(W_ih u + W_hh x + b): what it
    hears makes it faster, and pulls it towards A (Hasani et al. 2021, equation 1). f is held over a
    step, and what follows from it is exact: x goes to x* = f A / (1 / tau + f) and covers the share
    1 - exp(-dt (1 / tau + f)) of the way. So a step is stable for any dt, a dt of 0 changes
    nothing, and the gradient reaches dt, too. `substeps` divides dt, f being made anew each time:
    the solution of the equation for many.

    Parameters: `weight_ih` (hidden, input), `weight_hh` (hidden, hidden), `bias` (hidden,),
    `log_tau` (hidden,), `pull` (hidden,), the A. Costs O(hidden * (hidden + input)) a substep.

    >>> cell = LiquidCell(input_size=3, hidden_size=20)
    >>> state = torch.zeros(8, 20)
    >>> for u, dt in zip(torch.randn(50, 8, 3), torch.rand(50, 8)):
    ...     state = cell(u, state, dt)
    >>> state.shape
    torch.Size([8, 20])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        substeps: int = 1,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        for name, value in (
            ("input_size", input_size),
            ("hidden_size", hidden_size),
            ("substeps", substeps),
        ):
            need(value >= 1, f"{name} must be 1 or more", value)
        self.input_size, self.hidden_size, self.substeps = input_size, hidden_size, substeps
        room: dict[str, Any] = {"device": device, "dtype": dtype}
        self.weight_ih = nn.Parameter(torch.empty(hidden_size, input_size, **room))
        self.weight_hh = nn.Parameter(torch.empty(hidden_size, hidden_size, **room))
        self.bias = nn.Parameter(torch.empty(hidden_size, **room))
        self.log_tau = nn.Parameter(torch.empty(hidden_size, **room))
        self.pull = nn.Parameter(torch.empty(hidden_size, **room))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters anew, from torch's generator; time constants around 1."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for weights in (self.weight_ih, self.weight_hh, self.bias):
            nn.init.uniform_(weights, -bound, bound)
        nn.init.uniform_(self.log_tau, -1.0, 1.0)
        nn.init.uniform_(self.pull, -1.0, 1.0)

    def forward(
        self,
        input: Tensor,  # noqa: A002
        hx: Tensor | None = None,
        dt: Tensor | float = 1.0,
    ) -> Tensor:
        """Return the state `dt` after `hx` (batch, hidden) under `input` (batch, input).

        Without a batch they are (hidden,) and (input,). `hx` is zeros unless given; `dt` is a
        number or (batch,), in the unit of the time constants, 0 or more: a number is checked, a
        tensor is not. Raises `ValueError` for shapes that do not fit.
        """
        x = self._begun(input, hx)
        step = self._elapsed(dt, input) / self.substeps
        heard = functional.linear(input, self.weight_ih, self.bias)
        pace = torch.exp(-self.log_tau)
        for _ in range(self.substeps):
            f = torch.sigmoid(heard + functional.linear(x, self.weight_hh))
            speed = pace + f
            x = torch.lerp(x, f * self.pull / speed, -torch.expm1(-step * speed))
        return x

    def extra_repr(self) -> str:
        """Return what `repr` shows between the brackets."""
        return f"{self.input_size}, {self.hidden_size}, substeps={self.substeps}"

    def _begun(self, given: Any, hx: Any) -> Tensor:
        need_tensor("input", given)
        if given.dim() not in (1, 2) or given.shape[-1] != self.input_size:
            raise ValueError(
                f"input has shape {tuple(given.shape)}; (batch, {self.input_size}) is wanted"
            )
        wanted = (*given.shape[:-1], self.hidden_size)
        if hx is None:
            return torch.zeros(wanted, dtype=given.dtype, device=given.device)
        need_tensor("hx", hx)
        if hx.shape != wanted:
            raise ValueError(f"hx has shape {tuple(hx.shape)}; {wanted} is wanted")
        begin: Tensor = hx
        return begin

    def _elapsed(self, dt: Tensor | float, given: Tensor) -> Tensor:
        need(isinstance(dt, Tensor) or dt >= 0.0, "dt must be 0 or more", dt)
        elapsed = torch.as_tensor(dt, dtype=given.dtype, device=given.device)
        if elapsed.dim() and elapsed.shape != given.shape[:-1]:
            wanted = tuple(given.shape[:-1])
            raise ValueError(
                f"dt has shape {tuple(elapsed.shape)}; {wanted} is wanted, or a number"
            )
        return elapsed.unsqueeze(-1)
