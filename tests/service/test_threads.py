"""Threads that fit the CPUs: both versions of control groups, and what the user says wins."""

import subprocess
import sys

import pytest

from service import threads
from service.threads import SPIN, cpu_limit, prepare

V2 = "0::/a/b\n"
V1 = "9:name=systemd:/\n3:cpuset:/x\n2:cpu,cpuacct:/a/b\n"
FILES_1 = ("cpu.cfs_quota_us", "cpu.cfs_period_us")


def write(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")


def v1(folder, quota, period="100000"):
    return dict(
        zip((f"sys/fs/cgroup/cpu/{folder}{n}" for n in FILES_1), (quota, period), strict=True)
    )


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        (V2, {"sys/fs/cgroup/a/b/cpu.max": "250000 100000"}, 2.5),
        (V2, {"sys/fs/cgroup/a/b/cpu.max": "max 100000"}, None),
        (V2, {"sys/fs/cgroup/cpu.max": "50000 100000"}, 0.5),  # a container's own root
        (V2, {}, None),
        (
            V2,
            {
                "sys/fs/cgroup/a/b/cpu.max": "400000 100000",
                "sys/fs/cgroup/a/cpu.max": "300000 100000",
            },
            3,
        ),
        (V1, v1("a/b/", "150000"), 1.5),
        (V1, v1("", "200000"), 2),
        (V1, v1("a/b/", "-1"), None),
        (V1, v1("a/b/", "-1") | v1("a/", "100000"), 1),
        ("2:cpu:/\n0::/\n", v1("", "100000"), 1),
        (V1, v1("a/b/", "0") | v1("a/", "100000", "0"), None),
        ("", {}, None),
        (None, {}, None),
    ],
)
def test_the_smallest_limit_of_all_groups_counts(tmp_path, groups, files, expected):
    write(tmp_path, files if groups is None else {"proc/self/cgroup": groups.rstrip("\n"), **files})
    assert cpu_limit(tmp_path) == expected


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
    write(tmp_path, {"proc/self/cgroup": V2, "sys/fs/cgroup/a/b/cpu.max": f"{quota} 100000"})
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
