"""Limits of control groups: both versions, and the smallest on the way up."""

from pathlib import Path

import pytest
import torch

from denoisers import memory
from denoisers.control_groups import cpu_limit, memory_left

V2 = "0::/a/b\n"
V1 = "9:name=systemd:/\n3:cpuset:/x\n2:cpu,cpuacct:/a/b\n"
FILES_1 = ("cpu.cfs_quota_us", "cpu.cfs_period_us")


def write(root: Path, files: dict[str, str]) -> None:
    """Lay files out."""
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


MAX, NOW = "sys/fs/cgroup/a/b/memory.max", "sys/fs/cgroup/a/b/memory.current"
STAT = "sys/fs/cgroup/a/b/memory.stat"
FIRST = "sys/fs/cgroup/memory/a/b/memory."
M1 = "5:memory:/a/b\n"


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        (V2, {MAX: "51000", NOW: "1000"}, 50000),
        (V2, {MAX: "max", NOW: "1000"}, None),
        (V2, {MAX: "51000"}, None),
        (V2, {MAX: "900", NOW: "1000"}, -100),
        (V2, {MAX: "51000", NOW: "50000", STAT: "anon 9000\ninactive_file 40000\n"}, 41000),
        (
            V2,
            {
                MAX: "51000",
                NOW: "1000",
                "sys/fs/cgroup/a/memory.max": "30000",
                "sys/fs/cgroup/a/memory.current": "20000",
            },
            10000,
        ),
        (M1, {f"{FIRST}limit_in_bytes": "8000", f"{FIRST}usage_in_bytes": "3000"}, 5000),
        (
            M1,
            {
                f"{FIRST}limit_in_bytes": "8000",
                f"{FIRST}usage_in_bytes": "7000",
                f"{FIRST}stat": "inactive_file 1\ntotal_inactive_file 4000\n",
            },
            5000,
        ),
        (V2, {}, None),
        (None, {}, None),
    ],
)
def test_the_memory_that_is_left(tmp_path, groups, files, expected):
    write(tmp_path, files if groups is None else {"proc/self/cgroup": groups.rstrip("\n"), **files})
    assert memory_left(tmp_path) == expected


def test_a_denoiser_takes_a_containers_limit_for_its_own(tmp_path):
    cpu = torch.device("cpu")
    assert memory.free_bytes(cpu, tmp_path) == memory.UNKNOWN  # no Linux
    write(tmp_path, {"proc/meminfo": "MemTotal: 9 kB\nMemAvailable: 60 kB"})
    assert memory.free_bytes(cpu, tmp_path) == 60 * 1024
    write(tmp_path, {"proc/self/cgroup": "0::/a/b", MAX: "51000", NOW: "1000"})
    assert memory.free_bytes(cpu, tmp_path) == 50000
    write(tmp_path, {MAX: "900"})
    assert memory.free_bytes(cpu, tmp_path) == 1
