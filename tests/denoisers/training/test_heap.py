"""Freed memory stays with the process where glibc is the C library."""

import platform
import subprocess
import sys

import pytest

from denoisers.training import heap

FAULTS = """
import resource, torch
from denoisers.training import heap
if {keep}:
    assert heap.keep_freed()
def step():
    return torch.zeros(2**24) + torch.ones(2**24)  # 64 MiB each
for _ in range(8):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_the_next_step_finds_its_pages_where_they_were():
    faults = {}
    for keep in (False, True):
        code = [sys.executable, "-c", FAULTS.format(keep=keep)]
        faults[keep] = int(subprocess.run(code, capture_output=True, text=True, check=True).stdout)
    assert faults[True] < faults[False] / 4


def with_library(monkeypatch, most):
    """Put a C library in place that takes blocks up to `most` from its heap; return its calls."""
    asked = []

    class Library:
        @staticmethod
        def mallopt(setting, value):
            asked.append((setting, value))
            return int(setting != heap.FROM_HEAP or value <= most)

    monkeypatch.setattr(heap.ctypes, "CDLL", lambda _: Library())
    return asked


def test_an_older_library_takes_less_from_the_heap(monkeypatch):
    asked = with_library(monkeypatch, 2**25)
    assert heap.keep_freed()
    assert asked[:2] == [(heap.FROM_HEAP, 2**30), (heap.FROM_HEAP, 2**25)]
    assert {setting for setting, _ in asked[2:]} == {heap.KEEP, heap.GROW}


def test_one_that_takes_none_is_left_as_it_is(monkeypatch):
    asked = with_library(monkeypatch, 0)
    assert not heap.keep_freed()
    assert {setting for setting, _ in asked} == {heap.FROM_HEAP}


@pytest.mark.parametrize("error", [TypeError, OSError, AttributeError])
def test_another_c_library_is_left_alone(monkeypatch, error):
    def missing(_):
        raise error("no such thing")

    monkeypatch.setattr(heap.ctypes, "CDLL", missing)
    assert not heap.keep_freed()
