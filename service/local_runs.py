"""Runs of the command line, in this process and one after the other, with a live bar.

The first Ctrl-C (or SIGTERM, or SIGHUP) ends a run in order: what is certain by then is printed.
The second one aborts at once, and so does the first where nothing has been asked yet.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn

from certification.errors import ImageError, RunInterrupted
from certification.interrupt import Interrupt
from certification.progress import Progress
from service.commands.arguments import picture_name, read_picture
from service.core import Surety
from service.errors import BadRequest
from service.exit_codes import ExitCode
from service.issued import Document, Issued
from service.live_bar import LiveBar
from service.settings import Settings
from service.signals import HANG_UP, answered
from service.terminal import complain, say
from service.usage.counts import Counts

Kind = Literal["certify", "predict"]
Deliver = Callable[[str, Issued], None]


@dataclass(frozen=True)
class Outcome:
    """What came of one picture: a document, or an error that was already told to the user."""

    document: Document | None
    error: ExitCode = ExitCode.DONE


class Breaks:
    """Answers Ctrl-C.

    Args:
        at_abort: what must still be done before an abort.
    """

    def __init__(self, at_abort: Callable[[], None]) -> None:
        self._at_abort = at_abort
        self.interrupt: Interrupt | None = None
        self.bar: LiveBar | None = None
        self.cancelled = False

    def __call__(self, number: int) -> None:
        """End the run in order, the second time at once."""
        if self.cancelled and number == HANG_UP:
            return  # both the terminal and the shell send one
        if self.interrupt is None or self.cancelled:
            self._abort()
        self.cancelled = True
        self.interrupt.cancel()
        if self.bar is not None:
            self.bar.note("cancelling … (Ctrl-C again aborts)")

    def _abort(self) -> NoReturn:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)  # should what follows hang
        try:
            if self.bar is not None:
                self.bar.stop()
            say("aborted", "bold red")
            self._at_abort()
            sys.stdout.flush()
        except Exception as error:  # noqa: BLE001  an abort may not fail
            complain(error)
        finally:
            # A thread in the middle of a batch would keep an orderly exit waiting.
            os._exit(ExitCode.CANCELLED)

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Answer the signals that end a run, until the context is left."""
        signals: list[signal.Signals] = []
        try:
            with answered(self) as signals:
                yield
        finally:
            if self.cancelled:  # a call that hangs in a thread still holds up the exit
                for number in signals:
                    signal.signal(number, lambda number, _: self(number))


async def run_all(
    settings: Settings,
    pictures: Sequence[Path],
    kind: Kind,
    options: dict[str, Any],
    deliver: Deliver,
    at_abort: Callable[[], None] = lambda: None,
) -> list[Outcome]:
    """Work on pictures one after the other.

    A picture that cannot be used is told and left out; anything else that fails ends the work.

    Args:
        settings: the deployment's settings.
        pictures: files.
        kind: what is wanted of each.
        options: the arguments of `Surety.prepare`.
        deliver: called with each picture's name, document and bill as soon as there is one.
        at_abort: called before the process ends where it stands.

    Returns:
        One outcome per picture that was worked on.
    """
    outcomes: list[Outcome] = []
    breaks = Breaks(at_abort)
    async with Surety.opened(settings) as surety:
        with breaks.listening():
            for path in pictures:
                outcomes.append(await _outcome(surety, path, kind, options, breaks, deliver))
                if breaks.cancelled:
                    outcomes.append(Outcome(None, ExitCode.CANCELLED))
                    break
    return outcomes


async def _outcome(
    surety: Surety,
    path: Path,
    kind: Kind,
    options: dict[str, Any],
    breaks: Breaks,
    deliver: Deliver,
) -> Outcome:
    try:
        issued = await _run_one(surety, path, kind, options, breaks)
    except RunInterrupted as error:
        code = complain(error, picture_name(path))
        return Outcome(None, code if breaks.cancelled else ExitCode.ABSTAINED)
    except (ImageError, BadRequest) as error:
        return Outcome(None, complain(error, picture_name(path)))
    deliver(picture_name(path), issued)
    return Outcome(issued.document)


async def _run_one(
    surety: Surety,
    path: Path,
    kind: Kind,
    options: dict[str, Any],
    breaks: Breaks,
) -> Issued:
    with LiveBar(picture_name(path)) as bar:
        breaks.bar, breaks.interrupt = bar, None
        # In a thread: what a pipe brings may be long in coming, and Ctrl-C must be heard.
        data = await asyncio.to_thread(read_picture, path, surety.settings.max_upload_bytes)
        prepared = await surety.prepare(data, name=picture_name(path), **options)
        breaks.interrupt = interrupt = Interrupt()
        bar.note("asking about the clean picture …")

        def show(progress: Progress) -> None:
            bar.update(progress.describe())

        if kind == "predict":
            issued = await surety.predict(prepared, interrupt, show)
            await surety.count(prepared, Counts(predictions=1))
            return issued
        issued = await surety.certify(prepared, interrupt, show)
        cached = not issued.accounting["calls"]
        proof = issued.document["proof"]
        await surety.count(prepared, Counts.of_certificate(proof, cached=cached))
        return issued
