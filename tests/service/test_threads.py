"""Threads that fit the CPUs: a container's limit counts, and what the user says wins."""

import subprocess
import sys

import pytest

from service import threads
from service.threads import SPIN, prepare

V2, LIMIT = "0::/a/b", "sys/fs/cgroup/a/b/cpu.max"


@pytest.mark.parametrize(
    ("quota", "allowed", "given", "expected"),
    [
        ("150000", 64, {}, "2"),
        ("150000", 64, {"OMP_NUM_THREADS": "7"}, "7"),
        ("400000", 2, {}, None),
        ("max", 64, {}, None),
    ],
)
def test_threads_are_limited_unless_the_user_says_how_many(
    tmp_path, monkeypatch, quota, allowed, given, expected
):
    for name, text in (("proc/self/cgroup", V2), (LIMIT, f"{quota} 100000")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(threads, "_allowed", lambda: allowed)
    environ = dict(given)
    prepare(environ, tmp_path)
    assert environ.get("OMP_NUM_THREADS") == expected
    assert environ["GOMP_SPINCOUNT"] == SPIN
    environ = {"OMP_WAIT_POLICY": "PASSIVE"}
    prepare(environ, tmp_path)
    assert "GOMP_SPINCOUNT" not in environ


def test_it_is_said_before_anything_that_computes_is_imported():
    code = """
import os, sys
os.environ.pop("OMP_WAIT_POLICY", None), os.environ.pop("GOMP_SPINCOUNT", None)
import service.cli
assert "torch" not in sys.modules and "numpy" not in sys.modules
service.cli.app = lambda **_: print(os.environ["GOMP_SPINCOUNT"])
service.cli.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == f"{SPIN}\n"
