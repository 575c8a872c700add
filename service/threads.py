"""How many threads compute, and how they wait for each other; to be said before torch is imported.

torch counts the machine's CPUs and knows nothing of a container's limit (`docker run --cpus 2`,
Kubernetes). With more threads than CPUs the kernel stops them all again and again.

Its threads spin while they wait for each other, for milliseconds. Where another process has the
CPU that one of them needs, the others burn theirs. A thread that sleeps at once has to be woken for
each layer, which takes as long as a small one does. So they spin for a moment and then sleep: as
fast as ever on a quiet machine, and much faster on a busy one (docs/benchmarks.md, "Threads").
OpenMP's own variables, if they are set, win.
"""

import math
import os
from collections.abc import Iterator, MutableMapping
from pathlib import Path, PurePosixPath

SPIN = "10000"  # turns of a loop, some ten microseconds; libgomp's own is 30 times as many


def prepare(environ: MutableMapping[str, str] = os.environ, root: Path = Path("/")) -> None:
    """Set GOMP_SPINCOUNT, and OMP_NUM_THREADS where a limit of CPUs calls for it.

    Args:
        environ: is changed where it does not say so itself.
        root: of the file system.
    """
    if "OMP_WAIT_POLICY" not in environ:
        environ.setdefault("GOMP_SPINCOUNT", SPIN)
    limit = cpu_limit(root)
    if limit is not None and math.ceil(limit) < _allowed():
        environ.setdefault("OMP_NUM_THREADS", str(math.ceil(limit)))


def cpu_limit(root: Path = Path("/")) -> float | None:
    """Return how many CPUs' time the control groups of this process allow; None for all.

    Args:
        root: of the file system.
    """
    limits = [limit for text in _quotas(root) if (limit := _cpus(text)) is not None]
    return min(limits, default=None)


def _quotas(root: Path) -> Iterator[str]:
    """Yield "quota period" of each control group that this process is in, of both versions."""
    try:
        groups = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return  # no Linux
    mounted = root / "sys/fs/cgroup"
    for line in groups:
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        if number == "0":
            for folder in _upwards(mounted, path):
                yield _text(folder / "cpu.max")
        elif "cpu" in controllers.split(","):
            for folder in _upwards(mounted / "cpu", path):
                quota, period = (_text(folder / f"cpu.cfs_{n}_us") for n in ("quota", "period"))
                yield f"{quota} {period}"


def _upwards(mounted: Path, path: str) -> Iterator[Path]:
    # A container may see its own group as the root, and be told its path outside all the same.
    inside = PurePosixPath(path.lstrip("/"))
    yield from (mounted / folder for folder in (inside, *inside.parents))


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _cpus(text: str) -> float | None:
    parts = text.split()
    if len(parts) != 2 or not all(part.isdecimal() for part in parts) or "0" in parts:
        return None  # "max 100000", "-1 100000", or nothing
    return int(parts[0]) / int(parts[1])


def _allowed() -> int:
    """Return how many CPUs this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
