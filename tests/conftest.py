"""What tests of several packages need."""

import pytest
import torch

from tests.service.store.server import redis_url  # noqa: F401  a fixture


@pytest.fixture
def one_thread():
    """On a busy machine torch's threads wait for each other far longer than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
