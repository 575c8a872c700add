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
from collections.abc import MutableMapping
from pathlib import Path

from denoisers.control_groups import ROOT, cpu_limit

SPIN = "10000"  # turns of a loop, some ten microseconds; libgomp's own is 30 times as many


def prepare(environ: MutableMapping[str, str] = os.environ, root: Path = ROOT) -> None:
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


def _allowed() -> int:
    """Return how many CPUs this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
