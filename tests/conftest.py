"""What tests of several packages need, and what keeps them out of each other's way."""

import gc
import os
import resource
import signal
import sys
from contextlib import contextmanager

# Hundreds of processes are started here, and the tests' own assertions are rewritten: each process
# would do that, and compile all that it imports, anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Threads of torch that wait for each other in a loop take the time of other processes: a test and
# the commands that it starts, or the two halves of the suite. Pytest's workers fill the cores, so
# that more threads only cost time; tests/denoisers has two all the same.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# What is printed does not depend on the terminal of whoever tests, nor on pytest-xdist's.
for name in ("COLUMNS", "LINES"):
    os.environ.pop(name, None)

# What is imported and collected stays. To look through it again and again for garbage takes a third
# of the time that it takes to import it.
gc.disable()

import pytest  # noqa: E402

from tests.service.store.server import redis_url  # noqa: E402, F401  a fixture


def pytest_collection_finish():
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture
def in_time():
    """End a test that would take hours, such as of a regular expression that is quadratic."""

    def late(*_):
        pytest.fail("it takes longer than any machine needs")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def one_thread():
    """On a busy machine torch's threads wait for each other far longer than they compute."""
    import torch  # not above: what starts the workers of pytest-xdist does without

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def limit_files():
    """Let no file grow over so many bytes, which is told to a writer as a full disk is."""

    @contextmanager
    def limited(size):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limited
