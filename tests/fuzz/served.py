"""The real application on a real port, in a thread: for clients that are not asynchronous."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI

PATIENCE = 60.0


@contextlib.contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve an application, its lifespan included; yield the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=2)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            ends = time.monotonic() + PATIENCE
            while not server.started:
                if not thread.is_alive() or time.monotonic() > ends:
                    raise RuntimeError("the server does not start: its log says why")
                time.sleep(0.01)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(PATIENCE)
