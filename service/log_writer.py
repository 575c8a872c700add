"""Writes the log without ever waiting for who reads it.

A pipe that nobody reads takes 64 KiB and then holds up whoever writes to it: with the log, the
whole service. So a service hands its lines to a thread. What the thread cannot get rid of waits in
memory, up to a bound; beyond it lines are dropped and counted, and once the reader is back a line
says how many. Commands write by themselves: for them the order of lines matters more.
"""

import contextlib
import io
import json
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime

MOST_LINES, MOST_CHARACTERS = 10_000, 8 * 2**20  # that wait
TOGETHER = 64  # lines written at a time
PATIENCE_SECONDS = 5.0  # at the end, for a reader that takes nothing


class LogWriter:
    """See the module's text.

    Args:
        most_lines: that may wait.
        most_characters: of them together.

    Attributes:
        dropped: lines that nobody will ever see.
        stalled: whether the reader took nothing at the end, so that what waited was given up.
    """

    def __init__(
        self, most_lines: int = MOST_LINES, most_characters: int = MOST_CHARACTERS
    ) -> None:
        self.dropped = 0
        self.stalled = False
        self._most_lines, self._most_characters = most_lines, most_characters
        self._waiting = deque[str]()
        self._characters = 0  # of those that wait
        self._written = 0  # lines, or attempts at them
        self._told = 0  # dropped lines that the log speaks of
        self._busy = self._ending = False
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()  # reentrant: a line may come out of a destructor

    def write(self, line: str) -> None:
        """Write a line, or have it written soon; one too many is dropped.

        Args:
            line: with its end.
        """
        with self._changed:
            if self._thread is not None:
                full = len(self._waiting) >= self._most_lines
                if full or self._characters + len(line) > self._most_characters:
                    self.dropped += 1
                    return
                self._waiting.append(line)
                self._characters += len(line)
                self._changed.notify_all()
                return
        _put(line)

    def flush(self) -> None:
        """Do nothing: a line is on its way as soon as it is written."""

    @contextlib.contextmanager
    def in_background(self) -> Iterator[None]:
        """Have a thread write, as long as the context lasts; at its end all is written.

        Where the reader takes nothing for `PATIENCE_SECONDS` then, what waits is given up.
        """
        with self._changed:
            self._ending = self.stalled = False
            self._thread = threading.Thread(target=self._work, name="surety-log", daemon=True)
        self._thread.start()
        try:
            yield
        finally:
            self.finish()

    def finish(self, patience: float = PATIENCE_SECONDS) -> None:
        """Write all that waits; nothing if no thread writes.

        Args:
            patience: seconds to wait for a reader that takes nothing.
        """
        with self._changed:
            thread = self._thread
            if thread is None or self.stalled:
                return
            self._ending = True
            self._changed.notify_all()
            seen, until = self._written, time.monotonic() + patience
            while self._waiting or self._busy or self.dropped > self._told:
                self._changed.wait(max(0.0, until - time.monotonic()))
                if self._written != seen:
                    seen, until = self._written, time.monotonic() + patience
                elif time.monotonic() >= until:
                    self.stalled = True  # the thread stays, and nobody else writes into that pipe
                    return
        thread.join()

    def _work(self) -> None:
        while lines := self._next():
            try:
                _put("".join(lines))
            except (OSError, ValueError):  # a full disk, a closed stream
                with self._changed:
                    self.dropped += len(lines)
                    self._told += len(lines)  # there is nobody to tell
            with self._changed:
                self._written += len(lines)
                self._busy = False
                self._changed.notify_all()

    def _next(self) -> list[str]:
        """Wait for lines; none at the end."""
        with self._changed:
            while not self._waiting and self.dropped == self._told:
                if self._ending:
                    self._thread = None  # from now on everybody writes by themselves
                    return []
                self._changed.wait()
            lines = [self._waiting.popleft() for _ in range(min(TOGETHER, len(self._waiting)))]
            self._characters -= sum(map(len, lines))
            if not self._waiting and self.dropped > self._told:
                lines.append(_gap(self.dropped - self._told))
                self._told = self.dropped
            self._busy = True
            return lines


def _put(text: str) -> None:
    """Write to standard error, looked up each time: who redirects it gets the log too."""
    stream = sys.stderr
    raw = getattr(stream.buffer, "raw", None) if isinstance(stream, io.TextIOWrapper) else None
    if raw is None:
        stream.write(text)
        stream.flush()
        return
    # Past the buffer and its lock: whoever else writes there must not wait for us, and Python
    # ends with an error where a thread holds that lock.
    data = memoryview(text.encode(errors="backslashreplace"))
    while data:
        data = data[raw.write(data) or 0 :]


def _gap(count: int) -> str:
    told = {
        "event": "lines of the log are missing here: nobody read them in time",
        "dropped": count,
        "level": "warning",
        "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
    }
    return json.dumps(told) + "\n"


LOG = LogWriter()
"""That of this process."""
