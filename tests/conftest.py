"""What tests of several packages need, and what keeps them out of each other's way."""

import os

# Threads of torch that wait for each other in a loop take the time of other processes: a test and
# the commands that it starts, or the two halves of the suite.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# What is printed does not depend on the terminal of whoever tests, nor on pytest-xdist's.
for name in ("COLUMNS", "LINES"):
    os.environ.pop(name, None)

import pytest  # noqa: E402
import torch  # noqa: E402

from tests.service.store.server import redis_url  # noqa: E402, F401  a fixture


@pytest.fixture
def one_thread():
    """On a busy machine torch's threads wait for each other far longer than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
