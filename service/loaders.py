"""Threads for what loads a denoiser, or waits long for its turn at one.

Not asyncio's own: those are few, and with them would wait all else that runs there, such as
encoding and the looks at what is ready.
"""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_LOADERS = ThreadPoolExecutor(64, "load")


async def in_loader(work: Callable[[], T]) -> T:
    """Do something there; in the context that this is called in."""
    here = contextvars.copy_context()
    return await asyncio.get_running_loop().run_in_executor(_LOADERS, here.run, work)
