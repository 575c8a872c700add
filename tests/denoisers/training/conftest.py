"""What tests of the training need."""

import resource
from contextlib import contextmanager

import pytest


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
