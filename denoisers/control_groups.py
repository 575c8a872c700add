"""What a container may use: the limits of the control groups that this process is in.

Of both versions. Each group limits what is below it, so the smallest limit on the way up counts;
`docker run --cpus 2 --memory 4g` sets those of one group.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

ROOT = Path("/")
MOUNTED = "sys/fs/cgroup"


def cpu_limit(root: Path = ROOT) -> float | None:
    """Return how many CPUs' time they allow; None for all.

    Args:
        root: of the file system.
    """
    limits: list[float] = []
    for folder, version in _groups(root, "cpu"):
        if version == 1:
            quota, period = (_text(folder / f"cpu.cfs_{n}_us") for n in ("quota", "period"))
            text = f"{quota} {period}"
        else:
            text = _text(folder / "cpu.max")
        if (limit := _cpus(text)) is not None:
            limits.append(limit)
    return min(limits, default=None)


def memory_left(root: Path = ROOT) -> int | None:
    """Return how many bytes they leave, which may be less than 0; None where none says anything.

    What the kernel keeps of files that nobody has looked at of late counts as free: it lets go of
    that before anything else.

    Args:
        root: of the file system.
    """
    left: list[int] = []
    for folder, version in _groups(root, "memory"):
        names = ("limit_in_bytes", "usage_in_bytes") if version == 1 else ("max", "current")
        limit, used = (_text(folder / f"memory.{name}") for name in names)
        if limit.isdecimal() and used.isdecimal():
            left.append(int(limit) - int(used) + _old_files(_text(folder / "memory.stat")))
    return min(left, default=None)


def _groups(root: Path, controller: str) -> Iterator[tuple[Path, int]]:
    """Yield the folder and version of each group that this process is in, and of those above."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return  # no Linux
    mounted = root / MOUNTED
    for line in lines:
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        if number == "0":
            yield from ((folder, 2) for folder in _upwards(mounted, path))
        elif controller in controllers.split(","):
            yield from ((folder, 1) for folder in _upwards(mounted / controller, path))


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


def _old_files(stat: str) -> int:
    pairs = (line.split() for line in stat.splitlines())
    found = {pair[0]: pair[1] for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}
    return int(found.get("total_inactive_file", found.get("inactive_file", "0")))
