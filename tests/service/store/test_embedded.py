"""The embedded server: a real one each time, killed and raced for by other processes."""

import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from service.errors import ConfigurationError
from service.store import embedded
from service.store.embedded import EmbeddedServer
from tests.service.store.server import client, lives, wait_for


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_set_up_to_keep_what_it_acknowledged_and_to_be_nobody_elses(server, data_dir):
    data_dir.chmod(0o755)
    (data_dir / "store").mkdir(mode=0o755)
    path = Path(server.start())
    assert path == data_dir / "store" / "socket"
    with client(path) as store:
        wanted = {
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            "maxmemory-policy": "noeviction",
            "port": "0",
        }
        assert {name: store.config_get(name)[name] for name in wanted} == wanted
        assert store.info("server")["process_id"] == server.pid
        assert store.config_get("dir")["dir"] == str(data_dir / "store")
    assert mode(data_dir / "store") == mode(path) == 0o700
    files = [path for path in (data_dir / "store").rglob("*") if path.is_file()]
    assert len(files) >= 7
    assert {mode(file) for file in files} == {0o600}
    assert os.getsid(server.pid) != os.getsid(0)


def test_the_last_one_out_stops_it(data_dir, user):
    first, second, third = (EmbeddedServer(data_dir) for _ in range(3))
    first.start()
    elsewhere = user().joined()
    second.start()
    assert first.pid == second.pid == elsewhere.pid
    first.stop()
    second.stop()
    second.stop()  # nothing more
    third.stop()  # never joined
    assert third.pid == elsewhere.pid
    elsewhere.leave()
    assert third.pid is None
    assert not lives(data_dir)
    assert not (data_dir / "store" / "socket").exists()


def test_one_that_a_killed_process_left_is_taken_over_with_its_data(data_dir, user):
    killed = user().joined()
    with client(killed.socket) as store:
        store.set("vote", "tabby")
    killed.kill()
    assert lives(data_dir)
    server = EmbeddedServer(data_dir)
    with client(server.start()) as store:
        assert store.get("vote") == b"tabby"
    assert server.pid == killed.pid
    server.stop()
    assert not lives(data_dir)


def test_ten_at_the_same_moment_start_one(data_dir, user):
    users = [user() for _ in range(10)]
    for each in users:
        each.ready()
    for each in users:
        each.go()
    assert len({each.join().pid for each in users}) == 1
    for each in users[:-1]:
        each.kill()
    assert lives(data_dir)
    users[-1].leave()
    assert not lives(data_dir)


def test_after_its_death_start_brings_it_back_with_all_it_acknowledged(server, data_dir):
    other = EmbeddedServer(data_dir)
    dead = set()
    for turn in range(3):
        with client(server.start()) as store:
            store.set(f"vote {turn}", turn)
        dead.add(server.pid)
        os.kill(server.pid, signal.SIGKILL)
        wait_for(lambda: not lives(data_dir))
    with capture_logs() as logs, client(server.start()) as store:
        assert store.dbsize() == 3
    assert logs[0]["event"] == "store server had ended unasked"
    assert "Ready to accept connections" in logs[0]["last"]
    assert other.start()
    assert other.pid == server.pid
    assert server.pid not in dead
    server.stop()
    assert lives(data_dir)
    other.stop()


def test_it_starts_again_after_a_stop_and_keeps_the_last_log(server, data_dir):
    for expected in (0, 1):
        with client(server.start()) as store:
            assert store.dbsize() == expected
            store.set("vote", 1)
        server.stop()
    old = (data_dir / "store" / "server.log.1").read_text()
    assert "ready to exit" in old


def test_a_removed_lock_file_does_not_make_two_servers(server, data_dir):
    server.start()
    (data_dir / "store" / "server.lock").unlink()
    other = EmbeddedServer(data_dir)
    other.start()
    assert other.pid == server.pid
    other.stop()


def test_a_directory_that_is_moved_keeps_its_server(data_dir, user, tmp_path):
    other = user().joined()
    moved = tmp_path / "moved"
    data_dir.rename(moved)
    server = EmbeddedServer(moved)
    server.start()
    assert server.pid == other.pid
    other.kill()
    server.stop()
    assert not lives(moved)


def test_a_forked_child_is_a_user_of_its_own_and_only_if_it_starts(data_dir):
    program = f"""
import os
from pathlib import Path
from service.store.embedded import EmbeddedServer
server = EmbeddedServer(Path({str(data_dir)!r}))
server.start()
to_child, from_parent = os.pipe()
from_child = os.pipe()
if os.fork() == 0:
    os.close(from_parent)
    server.stop()                     # of its parent: none of its business
    os.write(from_child[1], b"1" if server.pid else b"0")
    server.start()
    os.write(from_child[1], b"1")
    os.read(to_child, 1)
    server.stop()
    os._exit(0)
assert os.read(from_child[0], 1) == b"1"
if os.fork() == 0:                    # lives on, and does not count
    os.close(from_parent)
    os.read(to_child, 1)
    os._exit(0)
assert os.read(from_child[0], 1) == b"1"
server.stop()
assert server.pid                     # the first child uses it
os.close(from_parent)
os.wait(), os.wait()
assert server.pid is None
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


@pytest.mark.parametrize("depth", [90, 200])
def test_a_path_too_long_for_a_socket_is_reached_through_a_short_one(data_dir, depth):
    deep = data_dir / ("x" * depth)
    server, other = EmbeddedServer(deep), EmbeddedServer(deep)
    path = Path(server.start())
    assert len(os.fsencode(path)) <= 100
    assert mode(path.parent.parent) == 0o700
    assert (deep / "store" / "socket").is_socket()
    shutil.rmtree(path.parent.parent)  # as a cleaner of /tmp does
    assert other.start() == server.start() == str(path)
    with client(path) as store:
        assert store.info("server")["process_id"] == server.pid
    other.stop()
    assert path.is_socket()
    server.stop()
    assert not path.parent.parent.exists()


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("file", "file is a file: SURETY_DATA_DIR names a directory"),
        ("file/below", r"below/store cannot be used \(Not a directory\)"),
        ("taken", "taken/store is a file, and the store needs a directory there"),
        ("/proc/surety", r"/proc/surety/store cannot be used \(.+\): make the directory writable"),
    ],
)
def test_a_data_directory_that_cannot_be_used(tmp_path, where, message):
    (tmp_path / "file").touch()
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "store").touch()
    with pytest.raises(ConfigurationError, match=message):
        EmbeddedServer(tmp_path / where).start()


def test_reading_its_files_may_take_long(server, data_dir, monkeypatch):
    with client(server.start()) as store, store.pipeline(transaction=False) as pipeline:
        for index in range(6000):
            pipeline.set(index, index)
        pipeline.execute()
    server.stop()
    # A server that waits after each key that it reads: 0.6 s, with an answer every 0.1 s.
    monkeypatch.setattr(embedded, "OPTIONS", (*embedded.OPTIONS, "--key-load-delay", "50"))
    monkeypatch.setattr(embedded, "SLOW", 0.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedded, "LOADING", 0.2)
        with pytest.raises(ConfigurationError, match="still reads its files"):
            server.start()
    with capture_logs() as logs, client(server.start()) as store:
        assert store.dbsize() == 6000
    assert [line["event"] for line in logs] == [
        "store server is reading its files",
        "store server ready",
    ]


def test_a_log_that_has_grown_is_put_aside(server, data_dir, monkeypatch):
    server.start()
    monkeypatch.setattr("service.store.server_log.LONGEST", 100)
    server.start()
    with contextlib.closing(client(data_dir / "store" / "socket")) as store:
        store.bgrewriteaof()
    log = data_dir / "store" / "server.log"
    assert "Ready to accept" in log.with_name("server.log.1").read_text()
    wait_for(lambda: "rewriting" in log.read_text())


def test_a_rewrite_that_outlives_a_killed_server_is_waited_for(server, data_dir, monkeypatch):
    # Its child has the lock too; it waits after each key that it writes.
    monkeypatch.setattr(embedded, "OPTIONS", (*embedded.OPTIONS, "--rdb-key-save-delay", "300"))
    with client(server.start()) as store:
        store.mset({str(index): index for index in range(1500)})
        store.bgrewriteaof()
        wait_for(lambda: store.info("persistence")["aof_rewrite_in_progress"])
    killed = server.pid
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: server.pid is None)
    assert lives(data_dir)
    with client(server.start()) as store:
        assert store.dbsize() == 1500
    assert server.pid != killed
