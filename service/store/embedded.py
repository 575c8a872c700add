"""A Valkey or Redis server of this data directory's own, shared by all processes that use it.

In `DATA_DIR/store`, beside the server's files:

    start.lock    held while a process decides whether to start or to stop the server
    server.lock   held by the server itself, which inherits it: the kernel knows whether one lives
    users.lock    held, shared, by each process that uses the server; the last one out stops it

So no second server is ever started on the same files, whichever process was killed, and one that
was left behind is taken over by the next start.
"""

import contextlib
import os
import re
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import structlog

from service.errors import ConfigurationError, StoreUnavailable
from service.store import append_only, server_log, unix_socket
from service.store.binary import find_binary
from service.store.locks import FileLock

log = structlog.get_logger("surety.store")

TURN = 60.0  # seconds until it is this process's turn to start or stop
LAUNCH = 30.0  # seconds until the server runs on its own
SILENCE = 60.0  # seconds while nobody listens, but a killed server's child may still write
HUNG = 12.0  # seconds while somebody listens and does not answer
LOADING = 900.0  # seconds of reading its files
SLOW = 1.0  # seconds after which that is worth a line in the log
STOP = 30.0  # seconds until it has ended
REPLY = 1.0  # seconds for a reply

OPTIONS = (
    *("--port", "0", "--unixsocket", unix_socket.NAME, "--unixsocketperm", "700"),
    *("--dir", ".", "--logfile", server_log.NAME, "--pidfile", "server.pid"),
    *("--appendonly", "yes", "--appendfsync", "always", "--save", ""),
    *("--maxmemory-policy", "noeviction", "--daemonize", "yes"),
)
# Nothing else of the environment: the deployment's secrets may stand in it.
ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ")


class EmbeddedServer:
    """This process's part in the server of a data directory; usable from any thread."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir.absolute()
        self._folder = self._data_dir / "store"
        self._users: FileLock | None = None
        self._calls = threading.Lock()

    @property
    def pid(self) -> int | None:
        """The server's process; None if it does not answer."""
        reply = unix_socket.ask(unix_socket.address(self._folder), "INFO server", REPLY)
        found = re.search(rb"process_id:(\d+)", reply or b"")
        return int(found[1]) if found else None

    def start(self) -> str:
        """Join the server that runs, or start one; waits until it answers.

        May be called again, such as after the server was killed.

        Returns:
            The path of its socket, not longer than a socket's may be.

        Raises:
            ConfigurationError: if there can be none; says why and what to do.
        """
        with self._calls, self._told():
            self._prepare()
            with self._turn():
                self._join()
            try:
                self._bring_up()
                path = unix_socket.reachable(self._folder)
            except BaseException:
                self._part()
                raise
        log.debug("store server ready", pid=self.pid)
        return str(path)

    def stop(self) -> None:
        """Leave the server to the others that use it; the last one shuts it down in order."""
        with self._calls:
            if self._users is None or self._users.descriptor < 0:
                return
            try:
                with self._told(), self._turn():
                    if self._users.take():
                        self._shut_down()
            except ConfigurationError as error:
                log.warning("store server left running", reason=str(error))
            finally:
                self._part()

    def check(self) -> None:
        """See that what is written now has a place on the disk.

        Raises:
            StoreUnavailable: if it has none, or another write failed just now.
        """
        try:
            refused = server_log.refusal(self._folder)
        except OSError as error:
            refused = f"its directory cannot be read ({error.strerror or type(error).__name__})"
        if refused:
            raise StoreUnavailable(f"the store takes no writes: {refused}")

    def _prepare(self) -> None:
        if self._data_dir.exists() and not self._data_dir.is_dir():
            raise ConfigurationError(
                f"{self._data_dir} is a file: SURETY_DATA_DIR names a directory"
            )
        self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._folder.exists() and not self._folder.is_dir():
            raise ConfigurationError(
                f"{self._folder} is a file, and the store needs a directory there: remove it, or "
                "set SURETY_DATA_DIR to another directory"
            )
        self._folder.mkdir(mode=0o700, exist_ok=True)
        found = self._folder.stat()
        if found.st_uid != os.geteuid():
            raise ConfigurationError(
                f"{self._folder} belongs to another user (uid {found.st_uid}): run as that user, "
                "or set SURETY_DATA_DIR or SURETY_REDIS_URL"
            )
        if stat.S_IMODE(found.st_mode) & 0o077:
            self._folder.chmod(0o700)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Tell an operating system's error in the operator's words."""
        try:
            yield
        except OSError as error:
            raise ConfigurationError(
                f"the store in {self._folder} cannot be used "
                f"({error.strerror or type(error).__name__}): make the directory writable, or set "
                "SURETY_DATA_DIR to another one, or SURETY_REDIS_URL to a server that runs"
            ) from None

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Start and stop one at a time, over all processes."""
        with FileLock(self._folder / "start.lock") as lock:
            if not lock.wait(TURN):
                raise ConfigurationError(
                    f"another process has held {lock.path} for {TURN:g} s: one that starts or "
                    f"stops the store hangs; `fuser {lock.path}` names it"
                )
            yield

    def _join(self) -> None:
        """Become a user, before anybody can find that there is none left."""
        if self._users is None or self._users.descriptor < 0:  # a forked child joins for itself
            users = FileLock(self._folder / "users.lock")
            if not users.take(shared=True):
                users.leave()
                raise ConfigurationError(f"{users.path} is locked by a program that is not Surety")
            self._users = users

    def _part(self) -> None:
        if self._users is not None:
            self._users.release()
            self._users = None

    def _bring_up(self) -> None:
        """Wait for an answer; start a server as soon as none lives."""
        begun = heard = refused = time.monotonic()
        binary: Path | None = None  # of the server that was started here
        loading, pause = False, 0.002
        while True:
            asked = time.monotonic()
            reply = unix_socket.ask(unix_socket.reachable(self._folder), "PING", REPLY)
            now = time.monotonic()
            if reply or now - asked < REPLY:  # at once, so nothing that hangs
                refused = now
            if reply is None:
                with self._turn():
                    binary = self._start_if_none_lives(binary)
            elif reply.startswith((b"-LOADING", b"-BUSY")):
                heard = now
                if not loading and now - begun > SLOW:
                    log.info("store server is reading its files", folder=str(self._folder))
                    loading = True
            else:
                break
            if now - heard > SILENCE or now - refused > HUNG or now - begun > LOADING:
                raise ConfigurationError(self._unready(now - begun, loading))
            time.sleep(pause)
            pause = min(1.3 * pause, 0.1)
        if binary is None:
            server_log.bound(self._folder)

    def _start_if_none_lives(self, started: Path | None) -> Path | None:
        """Start a server unless one has the lock.

        Args:
            started: the binary that was started before; it is not tried twice.

        Returns:
            The binary that runs because of this process, if one does.
        """
        lock = FileLock(self._folder / "server.lock")
        try:
            if not lock.take():
                return started
            if started is not None:
                raise ConfigurationError(self._ended(started))
            if last := server_log.last_words(self._folder):
                log.warning(
                    "store server had ended unasked",
                    last=last,
                    refuses=server_log.refusal(self._folder),
                )
            append_only.check(self._folder)
            binary = find_binary()
            self._launch(binary, lock)
            return binary
        finally:
            lock.leave()

    def _launch(self, binary: Path, lock: FileLock) -> None:
        # The title is what `ps` shows; braces would be taken for its variables.
        title = re.sub(r"[{}]", "_", f"{binary.name} surety {self._folder}")
        with server_log.begin(self._folder).open("ab") as out:
            try:
                # It forks and goes on alone, in a session of its own that no Ctrl-C reaches.
                run = subprocess.run(  # noqa: S603
                    [binary, *OPTIONS, "--proc-title-template", title],
                    cwd=self._folder,
                    env={name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    pass_fds=(lock.descriptor,),
                    start_new_session=True,
                    umask=0o077,
                    timeout=LAUNCH,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise ConfigurationError(
                    f"{binary} did not start within {LAUNCH:g} s. The last lines of {out.name}:\n"
                    + server_log.last_lines(self._folder)
                ) from None
        if run.returncode:
            raise ConfigurationError(self._ended(binary))

    def _shut_down(self) -> None:
        """End the server and wait until it has; it writes what is left, and nobody joins."""
        reply = unix_socket.ask(unix_socket.reachable(self._folder), "SHUTDOWN", STOP)
        with FileLock(self._folder / "server.lock") as lock:
            if not lock.wait(0.0 if reply else STOP):
                said = (reply or b"").decode(errors="replace").strip()
                log.warning("store server does not end", pid=self.pid, said=said)
                return
        log.debug("store server stopped", folder=str(self._folder))
        with contextlib.suppress(OSError):
            unix_socket.forget(self._folder)

    def _ended(self, binary: Path) -> str:
        lines = server_log.last_lines(self._folder)
        return (
            f"the store's server ({binary}) ended at once. The last lines of "
            f"{self._folder / server_log.NAME}:\n{lines}\n"
            f"{server_log.advice(self._folder, binary, lines)}"
        )

    def _unready(self, seconds: float, loading: bool) -> str:
        try:
            pid = (self._folder / "server.pid").read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            pid = "unknown"
        what = "still reads its files" if loading else "holds its lock but does not answer"
        return (
            f"the store's server (pid {pid}) {what} after {seconds:.0f} s. See "
            f"{self._folder / server_log.NAME}; end the process and start again if it hangs"
        )
