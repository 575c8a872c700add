"""Prints what is installed beside it as constraints for pip.

    docker run --rm -i --entrypoint python surety:local - < docker/freeze.py

Left out are Surety itself, and torch with what comes for CUDA alone: which of their builds is
taken depends on TORCH_INDEX, and pyproject.toml says which torch.
"""

import re
from importlib.metadata import distributions

OTHERS = re.compile(r"surety|torch|triton|nvidia-.*|cuda-.*", re.IGNORECASE)

found = {(d.name.lower().replace("_", "-"), d.version) for d in distributions()}
print("# The versions that the image is built with. To renew them, empty this file, build, and run")
print("# docker run --rm -i --entrypoint python surety:local - < docker/freeze.py")
print("\n".join(f"{n}=={v}" for n, v in sorted(found) if not OTHERS.fullmatch(n)))
