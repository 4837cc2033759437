"""One thread for torch, where it is there: two test processes share the cores."""

import contextlib

import pytest


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    with contextlib.suppress(ImportError):
        import torch

        torch.set_num_threads(1)
