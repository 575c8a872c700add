"""Runs `surety` in a process of its own."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.service import stranger

SURETY = [sys.executable, "-m", "service.cli"]
PATIENCE = 60


def fix_secret(data_dir):
    """Give a data directory the same secret each time: with another one, votes are luck."""
    data_dir.mkdir(mode=0o700)
    (data_dir / "secret").write_text("5a" * 32)
    (data_dir / "secret").chmod(0o600)


class Started(subprocess.Popen):
    """A process that does not outlive a test that fails: Popen would wait for it."""

    def __exit__(self, kind, *rest):
        if kind is not None:
            self.kill()
        super().__exit__(kind, *rest)


@dataclass
class Surety:
    """The command with an environment of its own: data directory, stranger's package.

    Attributes:
        folder: its working directory.
        environment: its variables.
    """

    folder: Path
    environment: dict[str, str]

    @classmethod
    def at(cls, folder):
        """Prepare an empty folder."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("SURETY_")}
        paths = [str(stranger.install(folder / "site")), str(stranger.ROOT)]
        if kept.get("PYTHONPATH"):
            paths.append(kept["PYTHONPATH"])
        variables = {
            "PYTHONPATH": os.pathsep.join(paths),
            "SURETY_DATA_DIR": str(folder / "data"),
            "SURETY_PROVIDER": "steady",
            "SURETY_DENOISER": "clip",
            "STRANGER_MARK": str(folder / "mark"),
            "COLUMNS": "100",
        }
        store = ("SURETY_REDIS_URL", "SURETY_REDIS_PREFIX")  # else it has an embedded one
        variables |= {name: os.environ[name] for name in store if name in os.environ}
        (folder / "work").mkdir()
        fix_secret(folder / "data")
        return cls(folder / "work", {**kept, **variables})

    def run(self, *arguments, **options):
        """Run to the end."""
        command = [*SURETY, *map(str, arguments)]
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
            **({"text": True} | options),
        )

    def wait_for_mark(self):
        """Return once the adapter `slow` or `stuck` has been asked ten times."""
        mark = Path(self.environment["STRANGER_MARK"])
        deadline = time.monotonic() + PATIENCE
        while not mark.exists():
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def start(self, *arguments, stderr=subprocess.PIPE):
        """Start it; the caller ends it, or the failure of the test."""
        return Started(
            [*SURETY, *map(str, arguments)],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
