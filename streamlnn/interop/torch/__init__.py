"""Echo state networks and liquid cells as PyTorch modules: the extra `torch`.

`ESN` is the module of a fixed random reservoir whose readout alone is trained, in closed form, by
any optimiser, or online; its reservoir can be taken from a streaming `Forecaster`, and given to
one. `LiquidCell` is a recurrent cell, all of it trainable, that takes the elapsed time.

>>> import torch
>>> model = ESN(input_size=10, reservoir_size=100, output_size=1)
>>> model(torch.randn(32, 50, 10)).shape
torch.Size([32, 1])
"""

from __future__ import annotations

try:
    import torch as _torch  # noqa: F401 - asked for here, to say what is missing
except ImportError as error:
    raise ImportError(
        "streamlnn.interop.torch needs PyTorch: pip install 'streamlnn[torch]'"
    ) from error

from streamlnn.interop.torch.esn import ESN
from streamlnn.interop.torch.liquid import LiquidCell

__all__ = ["ESN", "LiquidCell"]
