"""What is built on is pinned and asked about, and no secret stands in the source."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.security.planting import word

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
BASELINE = ROOT / ".secrets.baseline"
# What detect-secrets has no plugin for: our own keys, and Google's.
OURS = re.compile(rb"surety_[0-9a-f]{16}_[0-9a-f]{64}|AIza[\w-]{35}")


def test_the_audit_asks_about_what_the_image_holds() -> None:
    recipe = MAKEFILE.partition("\naudit:")[2].partition("\n\n")[0]
    assert "-r docker/constraints.txt" in recipe
    assert "--strict" in recipe  # without the network it is an error, not a clean result
    pins = (ROOT / "docker" / "constraints.txt").read_text("utf-8").splitlines()
    assert len(pins) > 50
    assert all(re.fullmatch(r"#.*|[\w.-]+==[\w.+]+", pin) for pin in pins)


def test_a_secret_in_the_source_is_found(tmp_path: Path) -> None:
    pytest.importorskip("detect_secrets", reason="a tool of the dev extra")
    file = tmp_path / "settings.py"
    assert "detect-secrets-hook --baseline .secrets.baseline" in MAKEFILE
    for line, expected in (
        (f'key = "AKIA{word(16).upper()}"', 1),
        (f'token = "ghp_{word(36)}"', 1),
        ("-----BEGIN RSA PRIVATE" + " KEY-----", 1),
        ('key = "nothing of the kind"', 0),
    ):
        file.write_text(line + "\n")
        hook = [sys.executable, "-m", "detect_secrets.pre_commit_hook"]  # no PATH leads to it
        command = [*hook, "--baseline", str(BASELINE), "--no-verify", str(file)]
        assert subprocess.run(command, capture_output=True, check=False).returncode == expected, (
            line
        )


def test_no_key_of_ours_or_of_google_stands_in_the_source() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("no git checkout")
    found = []
    for name in filter(None, listed.stdout.decode().split("\0")):
        path = ROOT / name
        if path.is_file() and path.stat().st_size < 2**21:
            found += [(name, key) for key in OURS.findall(path.read_bytes()) if not invented(key)]
    assert found == []


def invented(key: bytes) -> bool:
    """Tell whether a key is plainly none: few different characters, or said to be an example."""
    secret = key.rpartition(b"_")[2]
    return len({*secret}) < 9 or b"example" in key.lower() or b"0123456789" in key
