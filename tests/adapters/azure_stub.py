"""Shared by the tests of both Azure adapters: a model, pictures, a server that says anything."""

import asyncio
import io

import numpy as np
from PIL import Image

KEY = "a-key-that-must-not-be-shown-0123"


class Plain:
    """Scores by the mean brightness."""

    labels = ("Cat", "Dog", "Truck")
    size = (8, 8)
    version = "plain-1"
    max_batch = 32

    def scores(self, pictures):
        light = pictures.reshape(len(pictures), -1).mean(1) / 255
        return np.stack([light, 1 - light, 0 * light], 1).astype(np.float32)


def encoded(light, width=64, height=64, kind="PNG"):
    file = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), light, np.uint8)).save(file, kind)
    return file.getvalue()


def noise(side):
    """Return a PNG that is about as large as its pixels."""
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG", compress_level=0)
    return file.getvalue()


class Stub:
    """Reads one request at a time and answers with the same bytes, whatever they are.

    Attributes:
        requests: what came, head and body.
    """

    def __init__(self, status=200, body=b"", headers=None, kind="application/json", cut=0):
        lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", "Connection: close"]
        lines += [f"Content-Type: {kind}"] if kind else []
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        whole = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
        self._answer = whole[: len(whole) - cut]
        self.requests = []

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_):
        self._server.close()

    async def _serve(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        if b"chunked" in head.lower():
            body = b""
            while size := int((await reader.readline()).strip() or b"0", 16):
                body += await reader.readexactly(size)
                await reader.readline()
            await reader.readline()
        else:
            length = next(
                line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
            )
            body = await reader.readexactly(int(length.split(b":")[1]))
        self.requests.append((head, body))
        writer.write(self._answer)
        await writer.drain()
        writer.close()


def subclasses(kind):
    """Return a class and all that derive from it."""
    found = {kind}
    for one in kind.__subclasses__():
        found |= subclasses(one)
    return found


# What Azure's replies with an error mean: status, body, kind of outcome, words of the message.
FLAT = b'{"statusCode": 401, "message": "Access denied due to invalid subscription key."}'
REPLIES = [
    (400, b'{"error":{"code":"InvalidRequest","message":"Image format is not valid."}}', "Refusal"),
    (
        400,
        b'{"error":{"code":"InvalidRequest","message":"The image size is not allowed to be zero '
        b'or larger than 20971520 bytes."}}',
        "Refusal",
    ),
    (
        400,
        b'{"code":"InvalidImageSize","requestId":"1","message":"Image size is too big."}',
        "Refusal",
    ),
    (413, b"<html>Request Entity Too Large</html>", "Refusal"),
    (400, b'{"error":{"code":"InvalidRequest","message":"Something else."}}', "CallRejected"),
    (400, b"", "CallRejected"),
    (400, b"[]", "CallRejected"),
    (400, b"null", "CallRejected"),
    (400, b'"text"', "CallRejected"),
    (400, b'{"error": "text"}', "CallRejected"),
    (400, b'{"error": {"code": 7, "message": {}, "innererror": []}}', "CallRejected"),
    (400, b"\xff\xfe not text", "CallRejected"),
    (401, FLAT, "AuthenticationFailed"),
    (401, b"", "AuthenticationFailed"),
    (
        401,
        b'{"error":{"code":"401","message":"The Analyze Operation under Computer Vision APIs '
        b"(2023-10-01) is not supported with the current subscription key and pricing tier "
        b'OpenAI.S0."}}',
        "CallRejected",
    ),
    (
        401,
        b'{"error":{"code":"PermissionDenied","message":"Principal does not have access to '
        b'API/Operation."}}',
        "PermissionDenied",
    ),
    (402, b"", "QuotaExceeded"),
    (
        403,
        b'{"error":{"code":"AuthenticationTypeDisabled","message":"Key based authentication is '
        b'disabled for this resource."}}',
        "PermissionDenied",
    ),
    (
        403,
        b'{"statusCode":403,"message":"Out of call volume quota. Quota will be replenished in '
        b'2 days."}',
        "QuotaExceeded",
    ),
    (403, b"", "PermissionDenied"),
    (404, b'{"error":{"code":"404","message":"Resource not found"}}', "CallRejected"),
    (405, b"", "CallRejected"),
    (408, b"", "Retry"),
    (409, b"", "CallRejected"),
    (410, b"", "CallRejected"),
    (415, b"", "CallRejected"),
    (418, b"", "CallRejected"),
    (422, b"", "CallRejected"),
    (425, b"", "Retry"),
    (429, b"", "Throttle"),
    (429, b"<html>slow down</html>", "Throttle"),
    (
        429,
        b'{"error":{"code":"429","message":"Out of call volume quota for ComputerVision F0."}}',
        "QuotaExceeded",
    ),
    (499, b"", "Retry"),
    (500, b'{"error":{"code":"FailedToProcess","message":"Could not process image."}}', "Retry"),
    (501, b"", "Retry"),
    (502, b"<html>Bad gateway</html>", "Retry"),
    (503, b"", "Retry"),
    (504, b"", "Retry"),
    (599, b"", "Retry"),
    (301, b"", "CallRejected"),
    (307, b"", "CallRejected"),
    (202, b"{}", "Retry"),
]

# Bodies of a 200 that hold no tags.
EMPTY = [
    b"",
    b"{}",
    b"[]",
    b"null",
    b"7",
    b'"text"',
    b"{",
    b"\xff\xfe",
    b"[" * 100_000,
]
