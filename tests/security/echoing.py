"""A provider that answers with errors, and repeats in them all that it was sent."""

import contextlib
import itertools
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

STATUSES = (400, 401, 403, 404, 418, 429, 500, 503, 302, 200)


class _Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    turns = itertools.count()

    def do_POST(self) -> None:
        turn = next(self.turns)
        status = STATUSES[turn % len(STATUSES)]
        size = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(size)
        said = {name.lower(): value for name, value in self.headers.items()} | {"path": self.path}
        text = json.dumps(said)
        bodies = (
            {"error": {"code": "BadThing", "message": text, "innererror": {"message": text}}},
            {"__type": "AccessDeniedException", "message": text, "Message": text},
            {"labels": [{"name": text, "score": "no number"}], "detail": text},
        )
        body = json.dumps(bodies[turn // len(STATUSES) % len(bodies)]).encode()
        if turn % 7 == 6:
            body = text.encode()  # no JSON that anybody expects
        with contextlib.suppress(OSError):
            self.send_response(status, f"no {said.get('authorization', '')[:60]}")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("X-Echo", text[:2000])
            if status == 302:
                self.send_header("Location", f"http://127.0.0.1:9/?{text[:500]}")
            self.end_headers()
            self.wfile.write(body)

    do_GET = do_PUT = do_POST  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@contextlib.contextmanager
def echoing() -> Iterator[str]:
    """Serve; yield the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
