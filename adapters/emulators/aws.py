"""An emulator of Amazon Rekognition: AWS JSON 1.1 over HTTP, signatures (SigV4) checked.

It answers DetectLabels and DetectModerationLabels with AWS's shapes, limits and error bodies. The
labels of the classifier stand for moderation labels as well: there the shape counts. The model
version is that of AWS with the classifier's own behind it, so that no certificate can be taken
for one about AWS.
"""

import asyncio
import json
import uuid
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from adapters.emulators import aws_protocol as protocol
from adapters.emulators import sigv4
from adapters.emulators.aws_protocol import Failure
from adapters.emulators.brain import Brain, NotAPicture
from adapters.emulators.desk import Call
from adapters.emulators.faults import Faults
from adapters.emulators.server import LOOPBACK, Emulator, drop, truncated

JSON = "application/x-amz-json-1.1"
# The pair that AWS's own documentation uses for examples; no account has it.
# pragma: allowlist nextline secret
CREDENTIALS = {"AKIAIOSFODNN7EXAMPLE": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}
REGION = "us-east-1"
MOST_BODY = 16 * 2**20


class AwsEmulator(Emulator):
    """Serves Rekognition.

    Args:
        brain: what answers.
        faults: what goes wrong.
        host: address to listen on.
        port: of the protocol's server; 0 takes a free one.
        control_port: of the control server; 0 takes a free one.
        credentials: access key id → secret access key, of all that are accepted.
        region: for which signatures have to be made.
        clock_ahead: seconds that its clock is ahead of this machine's.
    """

    provider = "aws"

    def __init__(
        self,
        brain: Brain,
        faults: Faults | None = None,
        *,
        host: str = LOOPBACK,
        port: int = 0,
        control_port: int = 0,
        credentials: Mapping[str, str] | None = None,
        region: str = REGION,
        clock_ahead: float = 0.0,
    ) -> None:
        super().__init__(brain, faults, host=host, port=port, control_port=control_port)
        self.credentials = dict(CREDENTIALS if credentials is None else credentials)
        self.region, self.clock_ahead = region, clock_ahead

    @staticmethod
    def first_version(brain: Brain) -> str:
        """Return "3.0", as AWS has it in 2026, and the classifier's version."""
        return f"3.0-{brain.model.version}"

    async def listen(self) -> None:
        """Start the server."""
        application = web.Application(client_max_size=MOST_BODY)
        application.add_routes([web.post("/", self._serve)])
        port = await self.serve_http(application, self.port)
        self.addresses["rest"] = f"http://{self.host}:{port}"

    async def close(self) -> None:
        """Nothing beside the server, which `stop` ends."""

    def environment(self) -> Mapping[str, str]:
        """Return the variables; the empty token hides one of a real account."""
        key_id, secret = next(iter(self.credentials.items()))
        return {
            "AWS_ACCESS_KEY_ID": key_id,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_SESSION_TOKEN": "",
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ENDPOINT_URL_REKOGNITION": self.addresses["rest"],
        }

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        try:
            operation, document, pictures = protocol.understood(
                request.headers.get("X-Amz-Target", ""), await request.read()
            )
        except Failure as failure:
            return _failed(failure)
        async with self.desk.call(pictures) as call:
            try:
                await self._authenticate(request)
                if call.fault in ("timeout", "drop"):
                    await asyncio.sleep(self.desk.faults.timeout if call.fault == "timeout" else 0)
                    drop(request)
                    return web.Response()
                failing = protocol.failure_of(call, operation)
                if failing is not None:
                    raise failing
                if call.fault == "empty":
                    return _response(b"")
                body = await self._answer(operation, document, pictures, call)
            except Failure as failure:
                return _failed(
                    failure, self.desk.faults.retry_after if call.fault == "throttle" else None
                )
            self.desk.answered(call, call.images)
        if call.fault == "truncate":
            return await truncated(request, body, JSON)
        return _response(body)

    async def _authenticate(self, request: web.Request) -> None:
        try:
            sigv4.check(
                method=request.method,
                path=request.raw_path.partition("?")[0],
                query=request.raw_path.partition("?")[2],
                headers=request.headers,
                body=await request.read(),
                credentials=self.credentials,
                region=self.region,
                service="rekognition",
                ahead=self.clock_ahead,
            )
        except sigv4.Rejected as rejected:
            raise Failure(rejected.code, str(rejected), front=True) from None

    async def _answer(
        self, operation: str, document: Mapping[str, Any], pictures: list[bytes], call: Call
    ) -> bytes:
        least, most = protocol.limits(operation, document)
        if not pictures:
            if "S3Object" in document["Image"]:
                raise Failure(
                    "InvalidS3ObjectException",
                    "Unable to get object metadata from S3. Check object key, region and/or "
                    "access permissions.",
                )
            raise Failure("InvalidParameterException", "Request has invalid parameters")
        try:
            protocol.check(pictures[0])
            if call.refused:
                raise NotAPicture("by the plan of faults")
            scores = await self.brain.classify(pictures[0])
        except NotAPicture:
            self.desk.refuse(call.images)
            raise Failure(
                "InvalidImageFormatException", "Request has invalid image format"
            ) from None
        except Failure:
            self.desk.refuse(call.images)
            raise
        return protocol.reply(operation, scores, self.desk.version, least, most)


def _response(body: bytes, status: int = 200, after: float | None = None) -> web.Response:
    headers = {"x-amzn-RequestId": str(uuid.uuid4())}
    if after is not None:
        headers["Retry-After"] = f"{after:g}"
    return web.Response(body=body, status=status, content_type=JSON, headers=headers)


def _failed(failure: Failure, after: float | None = None) -> web.Response:
    return _response(json.dumps(failure.body()).encode(), failure.status, after)
