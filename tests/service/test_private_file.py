"""Writing the keys: whole or not at all, one process at a time."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from service import private_file
from service.errors import ConfigurationError
from service.keys import load_keyring, rotate
from tests.service.keyrings import settings

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "data"


RACE = """
import os, sys, tempfile
from pathlib import Path
from service.keys import load_keyring
from service.settings import Settings

for _ in range(8):
    data = Path(tempfile.mkdtemp(dir=sys.argv[1])) / "new"
    start, results = os.pipe(), os.pipe()
    for _ in range(6):
        if os.fork() == 0:
            os.close(start[1])
            os.read(start[0], 1)  # until all are there
            keyring = load_keyring(Settings(data_dir=data))
            line = f"{keyring.current_secret.hex()} {keyring.signer.key_id}\\n"
            os.write(results[1], line.encode())
            os._exit(0)
    os.close(start[1])
    for _ in range(6):
        assert os.wait()[1] == 0
    os.close(results[1])
    lines = os.fdopen(results[0]).readlines()
    assert len(lines) == 6 and len(set(lines)) == 1, "not the same"
    assert sorted(os.listdir(data)) == [".keys.json.lock", "keys.json"]
"""

KILL = """
import os, random, signal, sys, time
from pathlib import Path
from service.keys import load_keyring, rotate
from service.settings import Settings

settings, known, signing = Settings(data_dir=Path(sys.argv[1])), set(), set()
unfinished = Path(sys.argv[1]) / ".keys.json.new"
halves = 0
rounds = 0
while rounds < 40 or len(known) <= 2:  # a busy machine needs longer for a first rotation
    rounds += 1
    child = os.fork()
    if child == 0:
        while True:
            rotate(settings, secret=True, signing=True)
    time.sleep(random.uniform(0, 0.012 + rounds / 4000))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    halves += unfinished.exists()
    keyring = load_keyring(settings)
    assert known <= set(keyring.secrets), "a secret is lost"
    assert signing <= {key.id for key in keyring.public_keys}, "a key is lost"
    assert len(keyring.public_keys) == len(keyring.secrets), "half a rotation"
    known, signing = set(keyring.secrets), {key.id for key in keyring.public_keys}
assert len(known) > 2
rotate(settings, secret=True, signing=False)
assert not unfinished.exists()
print(halves)
"""


def run(script, *arguments):
    return subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_of_processes_that_start_together_one_wins_whole(tmp_path):
    ended = run(RACE, tmp_path)
    assert ended.returncode == 0, ended.stderr


def test_a_kill_at_any_time_leaves_the_keys_whole(folder):
    ended = run(KILL, folder)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("failing", ["replace", "fsync"])
def test_a_full_disk_leaves_the_keys_as_they_were(failing, folder, monkeypatch):
    before = load_keyring(settings(folder))
    text = (folder / "keys.json").read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, failing, full)
        with pytest.raises(ConfigurationError, match="No space left"):
            rotate(settings(folder), secret=True, signing=True)
    assert (folder / "keys.json").read_bytes() == text
    assert not (folder / ".keys.json.new").exists()
    assert (
        rotate(settings(folder), secret=True, signing=False).secrets.keys() > before.secrets.keys()
    )


def test_what_a_killed_writer_left_is_swept_away(folder):
    folder.mkdir(mode=0o700)
    (folder / ".keys.json.new").write_text('{"schema": "sur')
    keyring = load_keyring(settings(folder))
    assert load_keyring(settings(folder)).current_secret == keyring.current_secret
    assert not (folder / ".keys.json.new").exists()


def test_a_writer_that_does_not_end_is_not_waited_for(folder, monkeypatch):
    load_keyring(settings(folder))
    monkeypatch.setattr(private_file, "PATIENCE", 0.05)
    with (
        private_file.writing_to(folder / "keys.json"),
        pytest.raises(ConfigurationError, match="another process"),
    ):
        rotate(settings(folder), secret=True, signing=False)
    assert len(load_keyring(settings(folder)).secrets) == 1
