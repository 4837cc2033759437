"""One thread for torch: two test processes share the cores."""

import pytest


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'streamlnn[torch]'")
    torch.set_num_threads(1)
