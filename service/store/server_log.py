"""What the embedded server's log says when it did not start, and what to do about it."""

import contextlib
import re
import shlex
import shutil
from pathlib import Path

from service.store import append_only

NAME = "server.log"
LONGEST = 1 << 20  # bytes
SHOWN = 8  # lines
SCARCE = 1 << 20  # bytes of free disk
_BROKEN_TAIL = re.compile(r"reading the append only file (\S+?\.incr\.aof)\b")
_BROKEN = re.compile(
    r"AOF loading aborted|reading the append only file|MANIFEST FILE ERROR"
    r"|Unable to obtain the AOF file|loading DB|error in RDB"
)
_GOODBYE = "ready to exit"


def begin(folder: Path) -> Path:
    """Make way for the log of a new server, and keep the last one's as `server.log.1`."""
    log = folder / NAME
    with contextlib.suppress(FileNotFoundError):
        log.replace(log.with_suffix(".log.1"))
    log.touch(0o600)
    return log


def bound(folder: Path) -> None:
    """Keep a server that runs for years from filling the disk: it opens the log for each line."""
    with contextlib.suppress(FileNotFoundError):
        if (folder / NAME).stat().st_size > LONGEST:
            begin(folder)


def last_lines(folder: Path) -> str:
    """Return the end of the log, indented."""
    try:
        text = (folder / NAME).read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    return "\n".join(f"  {line}" for line in text.splitlines()[-SHOWN:]) or "  (nothing)"


def last_words(folder: Path) -> str | None:
    """Return the last line of a server that was not asked to end; None for any other."""
    *_, line = ["", *last_lines(folder).splitlines()]
    known = (folder / NAME).exists() and _GOODBYE not in line
    return line.strip() if known else None


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
