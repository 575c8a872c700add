"""A plain JSON classifier behind HTTP, such as a team of its own would write.

    POST /v1/classify
        image/png, image/jpeg, application/octet-stream    the picture's bytes
        application/json       {"image": base64} or {"images": [base64, …]}
        multipart/form-data    the picture in the part "image"
    → {"model": {"name": …, "version": …}, "predictions": [{"label": …, "score": …}, …]}
    → {"model": …, "results": [{"predictions": […]} or {"error": {…}}, …]} for several pictures

Errors are {"error": {"code": …, "message": …}} with a status of 4xx or 5xx; the version stands in
the header X-Model-Version too. With a token, calls need `Authorization: Bearer TOKEN`.
"""

import asyncio
import base64
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from email.utils import formatdate
from typing import Any, ClassVar, Literal

from aiohttp import web

from adapters.emulators.brain import Brain, NotAPicture
from adapters.emulators.desk import Call
from adapters.emulators.faults import Fault, Faults
from adapters.emulators.server import LOOPBACK, Emulator, drop, truncated

PATH = "/v1/classify"
TOKEN = "emulated-token"  # noqa: S105  opens nothing
VARIABLE = "HTTP_EMULATOR_TOKEN"
MOST_BYTES, MOST_PICTURES = 10 * 2**20, 32
BODIES = ("image/png", "image/jpeg", "application/octet-stream")

Style = Literal["bytes", "json", "multipart", "batch"]
SENT: Mapping[Style, str] = {
    "bytes": 'body = "bytes"',
    "json": 'body = "json"\ntemplate = { image = "{image}" }',
    "multipart": 'body = "multipart"\nfield = "image"',
    "batch": 'body = "json"\ntemplate = { images = ["{image}"] }\nmax_batch = 16',
}
FAILURES: Mapping[Fault, tuple[int, str, str]] = {
    "throttle": (429, "too_many_requests", "Rate limit exceeded."),
    "server_error": (500, "internal", "Internal error."),
    "unavailable": (503, "unavailable", "The model is being loaded."),
    "partial": (503, "unavailable", "The model is being loaded."),
    "bad_credentials": (401, "unauthorized", "The token is missing or not valid."),
    "forbidden": (403, "forbidden", "This token may not use the model."),
    "quota": (402, "payment_required", "The monthly budget is spent."),
}


class HttpEmulator(Emulator):
    """See the module's text.

    Args:
        brain: what answers.
        faults: what goes wrong.
        host: address to listen on.
        port: of the protocol's server; 0 takes a free one.
        control_port: of the control server; 0 takes a free one.
        token: what calls must bring, None for an endpoint that is open.
    """

    provider: ClassVar[str] = "http"

    def __init__(
        self,
        brain: Brain,
        faults: Faults | None = None,
        *,
        host: str = LOOPBACK,
        port: int = 0,
        control_port: int = 0,
        token: str | None = TOKEN,
    ) -> None:
        super().__init__(brain, faults, host=host, port=port, control_port=control_port)
        self._token = token

    async def listen(self) -> None:
        """Start the server."""
        application = web.Application(client_max_size=MOST_PICTURES * MOST_BYTES * 2)
        application.router.add_post(PATH, self._classify)
        self.port = await self.serve_http(application, self.port)
        self.addresses["rest"] = f"http://{self.host}:{self.port}"

    async def close(self) -> None:
        """Nothing beside the HTTP server, which `stop` ends."""

    def environment(self) -> Mapping[str, str]:
        """Return the variable that the profile names."""
        return {} if self._token is None else {VARIABLE: self._token}

    def profile(self, style: Style = "bytes", name: str = "emulated") -> str:
        """Return a profile for this endpoint, as TOML.

        Args:
            style: how pictures are sent.
            name: of the profile.
        """
        lines = [
            f"[{name}]",
            'adapter = "http"',
            f'url = "{self.addresses["rest"]}{PATH}"',
            SENT[style],
        ]
        if self._token is not None:
            lines.append(f'headers = {{ Authorization = "Bearer ${{{VARIABLE}}}" }}')
        lines += ["", f"[{name}.reply]"]
        if style == "batch":
            lines += [
                'results = "results"',
                'error = "error.code"',
                'refused_errors = ["image_refused", "not_an_image", "image_too_large"]',
            ]
        lines += [
            'label = "predictions[*].label"',
            'score = "predictions[*].score"',
            'version = "model.version"',
            "",
        ]
        return "\n".join(lines)

    async def _classify(self, request: web.Request) -> web.StreamResponse:
        authorised = self._authorised(request)
        try:
            pictures, several = await _pictures(request)
        except _BadRequest as error:
            return self._error(*error.args) if authorised else self._failure("bad_credentials")
        async with self.desk.call(pictures) as call:
            if not authorised:
                return self._failure("bad_credentials")
            if call.fault in ("timeout", "drop"):
                drop(request)
                return web.Response()
            by_picture = call.fault == "partial" and several
            if call.fault in FAILURES and not by_picture:
                return self._failure(call.fault)
            if call.fault == "empty":
                return self._json({}, 200)
            return await self._answer(request, call, pictures, several)

    async def _answer(
        self, request: web.Request, call: Call, pictures: Sequence[bytes], several: bool
    ) -> web.StreamResponse:
        version = self.desk.version
        named = zip(call.images, pictures, strict=True)
        results = await asyncio.gather(*(self._result(call, *pair) for pair in named))
        if not several and "error" in results[0]:
            return self._json(results[0], STATUSES[results[0]["error"]["code"]])
        answered = [n for n, r in zip(call.images, results, strict=True) if "error" not in r]
        body: dict[str, Any] = {"model": {"name": "emulated", "version": version}}
        body |= {"results": results} if several else results[0]
        self.desk.answered(call, answered)
        headers = {"X-Model-Version": version}
        if call.fault == "truncate":
            return await truncated(request, json.dumps(body).encode(), "application/json")
        return web.json_response(body, headers=headers)

    async def _result(self, call: Call, name: str, picture: bytes) -> dict[str, Any]:
        if name in call.failing:
            return _described("unavailable", "The model is being loaded.")
        if name in call.refused:
            self.desk.refuse([name])
            return _described("image_refused", "This picture is not classified.")
        if len(picture) > MOST_BYTES:
            self.desk.refuse([name])
            return _described("image_too_large", f"Pictures may take {MOST_BYTES} bytes.")
        try:
            scores = await self.brain.classify(picture)
        except NotAPicture:
            self.desk.refuse([name])
            return _described("not_an_image", "The data are no picture.")
        return {"predictions": [{"label": label, "score": score} for label, score in scores]}

    def _authorised(self, request: web.Request) -> bool:
        given = request.headers.get("Authorization", "").encode()
        return self._token is None or hmac.compare_digest(given, f"Bearer {self._token}".encode())

    def _failure(self, fault: Fault) -> web.Response:
        status, code, message = FAILURES[fault]
        headers = {}
        wait = self.desk.faults.retry_after
        if fault == "throttle" and wait is not None:
            headers["Retry-After"] = f"{wait:g}"
        if status == 503 and wait is not None:  # the other form that HTTP knows
            headers["Retry-After"] = formatdate(time.time() + wait, usegmt=True)
        if fault == "bad_credentials":
            headers["WWW-Authenticate"] = "Bearer"
        return self._json(_described(code, message), status, headers)

    def _error(self, status: int, code: str, message: str) -> web.Response:
        return self._json(_described(code, message), status)

    def _json(
        self, body: Mapping[str, Any], status: int, headers: Mapping[str, str] | None = None
    ) -> web.Response:
        version = {"X-Model-Version": self.desk.version}
        return web.json_response(body, status=status, headers=version | dict(headers or {}))


STATUSES = {"image_refused": 422, "image_too_large": 413, "not_an_image": 415}


class _BadRequest(Exception):
    """status, code and message of the answer."""


def _described(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


async def _pictures(request: web.Request) -> tuple[list[bytes], bool]:
    """Return the pictures of a request, and whether they came as a list."""
    kind = request.content_type
    if kind in BODIES:
        return [await request.read()], False
    if kind == "application/json":
        return _from_json(await request.read())
    if kind == "multipart/form-data":
        part = (await request.post()).get("image")
        if isinstance(part, web.FileField):
            return [part.file.read()], False
        raise _BadRequest(400, "bad_request", 'There is no part "image" with a file.')
    raise _BadRequest(406, "bad_request", f"Content-Type must be one of {', '.join(BODIES)}.")


def _from_json(body: bytes) -> tuple[list[bytes], bool]:
    try:
        document = json.loads(body)
        several = "images" in document
        given = document["images"] if several else [document["image"]]
        if several and not (isinstance(given, list) and 1 <= len(given) <= MOST_PICTURES):
            raise _BadRequest(400, "bad_request", f"Send 1 to {MOST_PICTURES} images.")
        return [base64.b64decode(text, validate=True) for text in given], several
    except (ValueError, TypeError, KeyError):
        raise _BadRequest(400, "bad_request", "The body must be JSON: {image: base64}.") from None
