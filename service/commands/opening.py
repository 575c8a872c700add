"""Opening the deployment for a command, with a word about it on a terminal.

The first command in a data directory makes keys and starts the store; and every one loads some
seconds' worth of libraries where the machine is busy. A terminal that stays black looks broken.
"""

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

from service.terminal import errors

if TYPE_CHECKING:
    from service.core import Surety
    from service.settings import Settings

WORDS = "opening the store …"


@contextlib.contextmanager
def waiting(words: str = WORDS) -> Iterator[None]:
    """Show on a terminal that something is done; elsewhere show nothing."""
    console = errors()
    if not console.is_terminal:
        yield
        return
    with console.status(words, spinner="line" if console.options.ascii_only else "dots"):
        yield


def imported() -> None:
    """Import what `opened` needs: before a loop runs, Ctrl-C ends that at once."""
    with waiting():
        import service.core  # noqa: F401


@contextlib.asynccontextmanager
async def opened(settings: "Settings | None" = None) -> AsyncIterator["Surety"]:
    """Open the deployment, as :meth:`service.core.Surety.opened` does.

    Args:
        settings: of the deployment; None reads them from the environment.
    """
    async with contextlib.AsyncExitStack() as stack:
        with waiting():
            from service.core import Surety
            from service.load_settings import load_settings

            chosen = settings or load_settings()
            surety = await stack.enter_async_context(Surety.opened(chosen))
        yield surety
