"""Cloud Vision's emulator: `ImageAnnotator.BatchAnnotateImages` over gRPC, and over REST.

Both protocols are answered by the same desk. gRPC stands behind a relay, so that connections can
be really cut. Labels come from the local classifier; so do SafeSearch's likelihoods, which are
made up from its scores. Replies name no model version, as Google's do not: after the version has
changed, the label that was best comes last.
"""

import asyncio
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web
from PIL import Image

from adapters.emulators.brain import Brain, NotAPicture
from adapters.emulators.desk import Call
from adapters.emulators.faults import Fault, Faults
from adapters.emulators.grpc_server import GrpcServer
from adapters.emulators.server import LOOPBACK, Emulator, drop, truncated
from adapters.emulators.words import mid

SERVICE, METHOD = "google.cloud.vision.v1.ImageAnnotator", "BatchAnnotateImages"
API, PROJECT = "vision.googleapis.com", "projects/100000000001"
AUDIENCE = f"https://{API}/"
API_KEY = "surety-emulator-api-key"
MOST_IMAGES, MOST_BYTES, MOST_PIXELS, MOST_RESULTS = 16, 10 * 2**20, 75_000_000, 10
MODELS = ("", "builtin/stable", "builtin/latest")
SAFE_SEARCH = ("adult", "spoof", "medical", "violence", "racy")
BAD_IMAGE = (3, "Bad image data.")
MALFORMED = "image-annotator::Malformed request.: "
HTTP_STATUS = {3: 400, 7: 403, 8: 429, 13: 500, 14: 503, 16: 401}
JSON = "application/json"

# What Google answers: status code, message, reason in its ErrorInfo, and what that adds.
Said = tuple[int, str, str, Mapping[str, str]]
QUOTA = {
    "quota_metric": f"{API}/default_requests",
    "quota_limit": "defaultPerMinutePerProject",
    "quota_limit_value": "1800",
    "quota_unit": "1/min/{project}",
    "quota_location": "global",
}
DAILY = QUOTA | {"quota_limit": "defaultPerDayPerProject", "quota_unit": "1/d/{project}"}
EXCEEDED = (
    f"Quota exceeded for quota metric 'Requests' and limit 'Requests per {{}}' of service '{API}' "
    "for consumer 'project_number:100000000001'."
)
CONSOLE = "https://console.developers.google.com"
THROTTLED: Said = (8, EXCEEDED.format("minute"), "RATE_LIMIT_EXCEEDED", QUOTA)
DAY_IS_SPENT: Said = (8, EXCEEDED.format("day"), "RATE_LIMIT_EXCEEDED", DAILY)
NO_BILLING: Said = (
    7,
    "This API method requires billing to be enabled. Please enable billing on project "
    f"#100000000001 by visiting {CONSOLE}/billing/enable?project=100000000001 then retry. If you "
    "enabled billing for this project recently, wait a few minutes for the action to propagate to "
    "our systems and retry.",
    "BILLING_DISABLED",
    {},
)
NOT_ENABLED: Said = (
    7,
    "Cloud Vision API has not been used in project 100000000001 before or it is disabled. Enable "
    f"it by visiting {CONSOLE}/apis/api/{API}/overview?project=100000000001 then retry. If you "
    "enabled this API recently, wait a few minutes for the action to propagate to our systems and "
    "retry.",
    "SERVICE_DISABLED",
    {},
)
BLOCKED: Said = (
    7,
    f"Requests to this API {API} method {SERVICE}.{METHOD} are blocked.",
    "API_KEY_SERVICE_BLOCKED",
    {},
)
NO_CREDENTIAL: Said = (
    7,
    "Method doesn't allow unregistered callers (callers without established identity). Please use "
    "API Key or other form of API consumer identity to call this API.",
    "",
    {},
)
BAD_KEY: Said = (3, "API key not valid. Please pass a valid API key.", "API_KEY_INVALID", {})
UNAUTHENTICATED = (
    "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie "
    "or other valid authentication credential. See "
    "https://developers.google.com/identity/sign-in/web/devconsole-project."
)
BAD_TOKEN: Said = (16, UNAUTHENTICATED, "ACCESS_TOKEN_TYPE_UNSUPPORTED", {})
OLD_TOKEN: Said = (16, UNAUTHENTICATED, "ACCESS_TOKEN_EXPIRED", {})
INTERNAL: Said = (13, "Internal error encountered.", "", {})
UNAVAILABLE: Said = (14, "The service is currently unavailable.", "", {})
TOO_MANY: Said = (3, "Too many images per request.", "", {})
TOO_LARGE: Said = (3, f"Request payload size exceeds the limit: {MOST_BYTES} bytes.", "", {})


class GoogleEmulator(Emulator):
    """Speaks Cloud Vision's two protocols.

    Args:
        brain: what answers.
        faults: what goes wrong.
        host: address to listen on.
        port: of gRPC; 0 takes a free one.
        rest_port: of REST; 0 takes a free one.
        control_port: of the control server; 0 takes a free one.
        api_key: the key that is accepted.
        public_key: PEM of the service account whose tokens are accepted.

    Attributes:
        says: what a fault is answered with. What is not in it depends on the kind of credential.
    """

    provider = "google"

    def __init__(
        self,
        brain: Brain,
        faults: Faults | None = None,
        *,
        host: str = LOOPBACK,
        port: int = 0,
        rest_port: int = 0,
        control_port: int = 0,
        api_key: str = API_KEY,
        public_key: str | None = None,
    ) -> None:
        super().__init__(brain, faults, host=host, port=port, control_port=control_port)
        self._rest_port, self._api_key, self._public_key = rest_port, api_key, public_key
        self._first = self.desk.version
        options = [("grpc.max_receive_message_length", -1)]
        self._server = GrpcServer(SERVICE, METHOD, self._grpc, options)
        self.says: dict[Fault, Said] = {
            "throttle": THROTTLED,
            "server_error": INTERNAL,
            "unavailable": UNAVAILABLE,
            "quota": DAY_IS_SPENT,
        }

    async def listen(self) -> None:
        """Start gRPC behind its relay, and REST."""
        self.addresses["grpc"] = await self._server.start(self.host, self.port)
        application = web.Application(client_max_size=8 * MOST_BYTES)
        application.add_routes([web.post("/v1/images:annotate", self._rest)])
        port = await self.serve_http(application, self._rest_port)
        self.addresses["rest"] = f"http://{self.host}:{port}"

    async def close(self) -> None:
        """Cut the connections."""
        await self._server.stop()

    def environment(self) -> Mapping[str, str]:
        """Return the variables of the adapter; that of service accounts is emptied."""
        return {
            "GOOGLE_API_KEY": self._api_key,
            "GOOGLE_APPLICATION_CREDENTIALS": "",
            "SURETY_GOOGLE_ENDPOINT": self.addresses["grpc"],
        }

    async def _grpc(self, body: bytes, context: Any) -> bytes:  # noqa: ANN401  grpc is untyped
        import grpc  # type: ignore[import-untyped]  # noqa: PLC0415  the emulators' extra
        from google.cloud import vision  # noqa: PLC0415

        request = vision.BatchAnnotateImagesRequest.pb().FromString(body)
        headers = dict(context.invocation_metadata() or ())
        async with self.desk.call([one.image.content for one in request.requests]) as call:
            if call.fault in ("timeout", "drop"):
                self._server.cut(context)
                return b""
            said = self._refused(call.fault, headers, len(body), len(request.requests))
            if said is not None:
                status = self._status(said)
                code = next(c for c in grpc.StatusCode if c.value[0] == status.code)
                details = (("grpc-status-details-bin", status.SerializeToString()),)
                await context.abort(code, status.message, details)
            reply: bytes = (await self._annotated(request, call)).SerializeToString()
            return reply[: len(reply) // 2] if call.fault == "truncate" else reply

    async def _rest(self, http: web.Request) -> web.StreamResponse:
        from google.cloud import vision  # noqa: PLC0415
        from google.protobuf import json_format  # type: ignore[import-untyped]  # noqa: PLC0415

        body = await http.read()
        request = vision.BatchAnnotateImagesRequest.pb()()
        wrong: Said | None = None
        try:
            json_format.Parse(body, request)
        except json_format.ParseError as error:
            wrong = (3, f"Invalid JSON payload received. {error}", "", {})
        key = http.query.get("key") or http.headers.get("X-Goog-Api-Key", "")
        token = http.headers.get("Authorization", "")
        headers = {"x-goog-api-key": key or "", "authorization": token}
        async with self.desk.call([one.image.content for one in request.requests]) as call:
            if call.fault in ("timeout", "drop"):
                drop(http)
                return web.Response()
            said = wrong or self._refused(call.fault, headers, len(body), len(request.requests))
            if said is not None:
                return self._http_error(said)
            reply = json_format.MessageToDict(await self._annotated(request, call))
            text = json.dumps(reply, indent=2).encode()
            if call.fault == "truncate":
                return await truncated(http, text, JSON)
            return web.Response(body=text, content_type=JSON, charset="UTF-8")

    def _refused(
        self, fault: Fault, headers: Mapping[str, str], size: int, images: int
    ) -> Said | None:
        """Tell what is wrong with a call as a whole, or what a fault makes of it."""
        key, token = headers.get("x-goog-api-key", ""), headers.get("authorization", "")
        said = self._wrong_credential(key, token)
        if fault == "bad_credentials":
            said = self.says.get(fault, BAD_KEY if key else BAD_TOKEN)
        elif said is None and fault == "forbidden":
            said = self.says.get(fault, BLOCKED if key else NOT_ENABLED)
        elif said is None and fault in self.says:
            said = self.says[fault]
        elif said is None and images > MOST_IMAGES:
            said = TOO_MANY
        elif said is None and size > MOST_BYTES:
            said = TOO_LARGE
        return said

    def _wrong_credential(self, key: str, token: str) -> Said | None:
        if key:
            return None if key == self._api_key else BAD_KEY
        return self._wrong_token(token.removeprefix("Bearer ")) if token else NO_CREDENTIAL

    def _wrong_token(self, token: str) -> Said | None:
        """Check a token that a service account has signed itself."""
        from google.auth import jwt  # noqa: PLC0415

        try:
            jwt.decode(  # type: ignore[no-untyped-call]
                token, certs=self._public_key or "", audience=AUDIENCE
            )
        except ValueError as error:
            return OLD_TOKEN if "expired" in str(error) or "early" in str(error) else BAD_TOKEN
        return None

    def _status(self, said: Said) -> Any:  # noqa: ANN401  protobuf's messages are untyped
        """Write an error as google.rpc.Status, with the details that Google adds."""
        from google.rpc import (  # type: ignore[import-untyped]  # noqa: PLC0415
            error_details_pb2,
            status_pb2,
        )

        code, message, reason, more = said
        status = status_pb2.Status(code=code, message=message)
        if reason:
            metadata = {"service": API, **more}
            if code == 16:
                metadata["method"] = f"{SERVICE}.{METHOD}"
            elif reason != "API_KEY_INVALID":
                metadata["consumer"] = PROJECT
            info = error_details_pb2.ErrorInfo(
                reason=reason, domain="googleapis.com", metadata=metadata
            )
            status.details.add().Pack(info)
        after = self.desk.faults.retry_after
        if said == THROTTLED and after is not None:
            delay = error_details_pb2.RetryInfo()
            delay.retry_delay.FromNanoseconds(int(after * 1e9))
            status.details.add().Pack(delay)
        return status

    def _http_error(self, said: Said) -> web.Response:
        from google.protobuf import json_format  # noqa: PLC0415
        from google.rpc import code_pb2  # noqa: PLC0415

        status = self._status(said)
        error = json_format.MessageToDict(status) | {
            "code": HTTP_STATUS[status.code],
            "status": code_pb2.Code.Name(status.code),
        }
        text = json.dumps({"error": error}, indent=2).encode()
        return web.Response(
            body=text, status=HTTP_STATUS[status.code], content_type=JSON, charset="UTF-8"
        )

    async def _annotated(self, request: Any, call: Call) -> Any:  # noqa: ANN401
        from google.cloud import vision  # noqa: PLC0415

        reply = vision.BatchAnnotateImagesResponse.pb()()
        if call.fault == "empty":
            return reply
        changed = self.desk.version != self._first
        both = list(zip(request.requests, call.images, strict=True))
        found = await asyncio.gather(*(self._one(one, name, call, changed) for one, name in both))
        reply.responses.extend(found)
        self.desk.answered(
            call,
            [name for (_, name), one in zip(both, found, strict=True) if not one.HasField("error")],
        )
        return reply

    async def _one(self, one: Any, name: str, call: Call, changed: bool) -> Any:  # noqa: ANN401
        """Answer about one picture, or say what is wrong with it."""
        from google.cloud import vision  # noqa: PLC0415

        answer = vision.AnnotateImageResponse.pb()()
        wrong = _malformed(one)
        if wrong is None and name in call.failing:
            wrong = UNAVAILABLE[:2]
        if wrong is None and name in call.refused:
            wrong = BAD_IMAGE
        try:
            ranked = [] if wrong else await self._classified(one.image.content)
        except NotAPicture:
            wrong = BAD_IMAGE
        if wrong is not None:
            answer.error.code, answer.error.message = wrong
            if wrong == BAD_IMAGE:
                self.desk.refuse([name])
            return answer
        if changed:
            labels = [label for label, _ in ranked]
            scores = [score for _, score in ranked]
            ranked = list(zip(labels[1:] + labels[:1], scores, strict=True))
        for feature in one.features:
            if feature.type_ == vision.Feature.Type.LABEL_DETECTION:
                del answer.label_annotations[:]
                for label, score in ranked[: feature.max_results or MOST_RESULTS]:
                    answer.label_annotations.add(
                        mid=mid(label), description=label, score=score, topicality=score
                    )
            if feature.type_ == vision.Feature.Type.SAFE_SEARCH_DETECTION:
                for category, level in _likelihoods(self.brain.model.labels, ranked).items():
                    setattr(answer.safe_search_annotation, category, level)
        return answer

    async def _classified(self, data: bytes) -> list[tuple[str, float]]:
        try:
            with Image.open(io.BytesIO(data)) as picture:  # reads its size alone
                too_large = picture.width * picture.height > MOST_PIXELS
        except Exception as error:  # noqa: BLE001  Pillow's plugins raise anything
            raise NotAPicture(str(error)) from None
        if too_large:
            raise NotAPicture("too many pixels")
        return await self.brain.classify(data)


def _malformed(one: Any) -> tuple[int, str] | None:  # noqa: ANN401
    if not one.image.content or not one.features:
        return 3, f"{MALFORMED}Arguments must specify image and features!"
    if any(feature.model not in MODELS for feature in one.features):
        return 3, f"{MALFORMED}Unsupported model."
    return None


def _likelihoods(labels: Sequence[str], ranked: Sequence[tuple[str, float]]) -> dict[str, int]:
    """Make up likelihoods, 1 (VERY_UNLIKELY) to 5, from the scores of labels.

    A category takes the label of its name, else the label at its place; UNKNOWN if there is none.
    """
    scores = dict(ranked)
    likelihoods = {}
    for place, category in enumerate(SAFE_SEARCH):
        label = category if category in scores else "".join(labels[place : place + 1])
        likelihoods[category] = 1 + min(4, int(5 * scores[label])) if label in scores else 0
    return likelihoods
