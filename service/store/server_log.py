"""What the embedded server's log says when it did not start or ended, and what to do about it."""

import contextlib
import re
import shlex
import shutil
import time
from pathlib import Path

from service.store import append_only

NAME = "server.log"
LONGEST = 1 << 20  # bytes
SHOWN = 8  # lines
SCARCE = 1 << 20  # bytes of free disk
ROOM = 32 << 20  # bytes of free disk: more than anything that is written at once
RECENT_SECONDS = 30.0  # for which a server that ended because it could not write is remembered
_BROKEN_TAIL = re.compile(r"reading the append only file (\S+?\.incr\.aof)\b")
_BROKEN = re.compile(
    r"AOF loading aborted|reading the append only file|MANIFEST FILE ERROR"
    r"|Unable to obtain the AOF file|loading DB|error in RDB"
)
_GOODBYE = "ready to exit"
_UNWRITTEN = re.compile(
    r"(?:Short write while|Error) writing to the AOF|AOF write error|AOF for fsync error"
)


def begin(folder: Path) -> Path:
    """Make way for the log of a new server, and keep the last one's as `server.log.1`.

    One that is empty is not kept: on a full disk a server cannot even tell why it ends, and the
    one before it could.
    """
    log = folder / NAME
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size:
            log.replace(_before(folder))
    log.touch(0o600)
    return log


def bound(folder: Path) -> None:
    """Keep a server that runs for years from filling the disk: it opens the log for each line."""
    with contextlib.suppress(FileNotFoundError):
        if (folder / NAME).stat().st_size > LONGEST:
            begin(folder)


def last_lines(folder: Path) -> str:
    """Return the end of the log, indented."""
    lines = _lines(folder / NAME)
    return "\n".join(f"  {line}" for line in lines[-SHOWN:]) or "  (nothing)"


def last_words(folder: Path) -> str | None:
    """Return the last line of a server that was not asked to end; None for any other.

    Of one that could not write it is the line that says so. Where the log is empty, as on a full
    disk, it is the one of the server before.
    """
    log = folder / NAME
    if not log.exists():
        return None
    lines = _lines(log) or _lines(_before(folder))
    if lines and _GOODBYE in lines[-1]:
        return None
    found = [line for line in lines[-SHOWN:] if _UNWRITTEN.search(line)] or lines[-1:]
    return found[0] if found else "(nothing)"


def refusal(folder: Path) -> str | None:
    """Return why the next write may fail although the server answers; None if it should not.

    Small writes still succeed on a disk that is full to all purposes, and a server that ended
    because of a larger one is started again with the room that its last words took.
    """
    free = shutil.disk_usage(folder).free
    if free < ROOM:
        return (
            f"the disk of its data directory is full ({free / 2**20:.1f} MiB are left, "
            f"{ROOM >> 20} MiB are needed): make room"
        )
    for log in (folder / NAME, _before(folder)):
        with contextlib.suppress(FileNotFoundError):
            ago = time.time() - log.stat().st_mtime
            if ago < RECENT_SECONDS and any(map(_UNWRITTEN.search, _lines(log)[-SHOWN:])):
                return f"{ago:.0f} s ago its server ended because it could not write to its disk"
    return None


def advice(folder: Path, binary: Path, lines: str) -> str:
    """Return what to do about a server that ended with these lines."""
    files = folder / append_only.DIRECTORY
    saved = f"Save {files} first. "
    if broken := _BROKEN_TAIL.search(lines):
        # Not the manifest, though the log says so: of Valkey 9 the tool takes the base file for
        # a broken one (valkey-io/valkey#4739).
        name = binary.name.replace("-server", "-check-aof")
        tool = f"exec -a {name} {shlex.quote(str(binary))} --fix {shlex.quote(broken[1])}"
        return (
            f"{saved}Then this cuts the file off where the damage begins, and what was written "
            f"after it is lost:\n  cd {shlex.quote(str(files))} && bash -c {shlex.quote(tool)}"
        )
    if _BROKEN.search(lines):
        return (
            f"{saved}Then put back a copy of it from before the damage; if a newer server wrote "
            "it, use that version or a newer one."
        )
    if shutil.disk_usage(folder).free < SCARCE:
        return "The disk is full: make room."
    return "Mend what it complains about, or set SURETY_REDIS_URL to a server that runs."


def _before(folder: Path) -> Path:
    return folder / f"{NAME}.1"


def _lines(log: Path) -> list[str]:
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    return [line for line in text.splitlines() if line.strip()]
