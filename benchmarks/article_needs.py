"""What the comparison with trained networks needs beside the package, or else says."""

from __future__ import annotations

try:
    import torch
    from ncps.torch import LTC, CfC
    from torch import Tensor, nn
except ImportError as error:
    raise ImportError(
        "the comparison with trained networks needs PyTorch and ncps: pip install '.[bench]'"
    ) from error

__all__ = ["LTC", "CfC", "Tensor", "nn", "torch"]
