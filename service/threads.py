"""How many threads compute, and how they wait for each other; to be said before torch is imported.

torch counts the machine's CPUs and knows nothing of a container's limit (`docker run --cpus 2`,
Kubernetes). With more threads than CPUs the kernel stops them all again and again.

Its threads spin while they wait. Where something else needs a CPU that one of them has to wait for,
the others burn theirs: on two busy cores a batch took three times as long as with waiting threads
that sleep, see docs/operating.md. Both can be set by OpenMP's own variables, which win.
"""

import math
import os
from collections.abc import Iterator, MutableMapping
from pathlib import Path, PurePosixPath


def prepare(environ: MutableMapping[str, str] = os.environ, root: Path = Path("/")) -> None:
    """Set OMP_WAIT_POLICY, and OMP_NUM_THREADS where a limit of CPUs calls for it.

    Args:
        environ: is changed where it does not say so itself.
        root: of the file system.
    """
    environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
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
