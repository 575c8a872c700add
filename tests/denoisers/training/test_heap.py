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


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(heap.ctypes, "CDLL", lambda _: object())
    assert not heap.keep_freed()
