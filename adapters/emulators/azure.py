"""Azure AI Vision's emulator: both of its REST APIs on one port.

    POST /computervision/imageanalysis:analyze?api-version=2023-10-01&features=tags    4.0
    POST /vision/v3.2/tag                                                              3.2
    POST /vision/v3.2/analyze?visualFeatures=Tags,Adult                                3.2

Tags come from the local classifier, in lower case as Azure writes them and with the broadest label
as 3.2's hint; so do the scores of adult content, which are made up from its scores. Model versions
are dates, made from the classifier's version.
"""

import asyncio
import datetime
import hashlib
import hmac
import io
import json
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from aiohttp import web
from PIL import Image

from adapters.emulators.azure_said import (
    ANALYZE_32,
    ANALYZE_40,
    BAD_BYTES,
    BAD_FEATURE,
    BAD_FORMAT,
    BAD_KEY,
    BAD_LANGUAGE,
    BAD_MEDIA,
    BAD_SIDES,
    BAD_URL,
    BAD_VERSION,
    ELSEWHERE,
    FIREWALL,
    INTERNAL,
    LEAST_SIDE,
    MOST_BYTES,
    MOST_SIDE,
    NO_QUOTA,
    NO_RESOURCE,
    TAG_32,
    THROTTLED,
    UNAVAILABLE,
    UNSUPPORTED,
    Api,
    Said,
)
from adapters.emulators.brain import Brain, NotAPicture
from adapters.emulators.desk import Call
from adapters.emulators.faults import Fault, Faults
from adapters.emulators.server import LOOPBACK, Emulator, drop, truncated
from adapters.emulators.words import parents

KEY = "0123456789abcdef0123456789abcdef"
JSON = "application/json"
MOST_TAGS = 50
LANGUAGES = re.compile(
    r"ar|az|b[gs]|c[asy]|d[ae]|e[lnst]|eu|f[ir]|g[al]|h[eiru]|i[dt]|ja|k[ko]|l[tv]|m[ks]|n[bl]|pl|"
    r"prs|pt|pt-br|pt-pt|r[ou]|s[klv]|sr-cyrl|sr-latn|t[hr]|uk|vi|zh|zh-hans|zh-hant",
    re.I,
)


class AzureEmulator(Emulator):
    """Speaks both REST APIs.

    Args:
        brain: what answers.
        faults: what goes wrong.
        host: address to listen on.
        port: of the protocol's server; 0 takes a free one.
        control_port: of the control server; 0 takes a free one.
        key: the key that is accepted.

    Attributes:
        says: what a fault is answered with.
    """

    provider: ClassVar[str] = "azure"

    def __init__(
        self,
        brain: Brain,
        faults: Faults | None = None,
        *,
        host: str = LOOPBACK,
        port: int = 0,
        control_port: int = 0,
        key: str = KEY,
    ) -> None:
        super().__init__(brain, faults, host=host, port=port, control_port=control_port)
        self._key = key
        self._first = self.first_version(brain)
        self.says: dict[Fault, Said] = {
            "throttle": THROTTLED,
            "server_error": INTERNAL,
            "unavailable": UNAVAILABLE,
            "partial": UNAVAILABLE,
            "bad_credentials": BAD_KEY,
            "forbidden": FIREWALL,
            "quota": NO_QUOTA,
        }

    @staticmethod
    def first_version(brain: Brain) -> str:
        """Return a date, always the same one for a classifier."""
        digest = hashlib.sha256(brain.model.version.encode()).digest()
        days = int.from_bytes(digest[:4]) % 8000
        return (datetime.date(2001, 1, 1) + datetime.timedelta(days)).isoformat()

    async def listen(self) -> None:
        """Start the server."""
        application = web.Application(client_max_size=4 * MOST_BYTES)
        application.add_routes(
            [
                web.post("/computervision/imageanalysis:analyze", self._analyze_40),
                web.post("/vision/v3.2/tag", self._tag_32),
                web.post("/vision/v3.2/analyze", self._analyze_32),
                web.route("*", "/{anything:.*}", self._nothing_here),
            ]
        )
        port = await self.serve_http(application, self.port)
        self.addresses["rest"] = f"http://{self.host}:{port}"

    async def close(self) -> None:
        """End nothing: the server is ended with all others."""

    def environment(self) -> Mapping[str, str]:
        """Return the variables of the adapters."""
        return {"VISION_ENDPOINT": self.addresses["rest"], "VISION_KEY": self._key}

    async def _analyze_40(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("api-version") != "2023-10-01":
            return self._error(ANALYZE_40, NO_RESOURCE)
        return await self._serve(request, ANALYZE_40)

    async def _tag_32(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, TAG_32)

    async def _analyze_32(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, ANALYZE_32)

    async def _nothing_here(self, _: web.Request) -> web.StreamResponse:
        return self._error(ANALYZE_40, NO_RESOURCE)

    async def _serve(self, request: web.Request, api: Api) -> web.StreamResponse:
        picture = await _picture(request)
        async with self.desk.call([picture if isinstance(picture, bytes) else b""]) as call:
            if call.fault in ("timeout", "drop"):
                drop(request)
                return web.Response()
            said = self._refused(request, api, call.fault)
            if said is None:
                said = picture if isinstance(picture, Said) else _wrong_picture(picture, api)
            if said is None and call.refused:
                said = UNSUPPORTED
            answer: bytes | Said
            if said is None:
                assert isinstance(picture, bytes)  # noqa: S101  a Said has been told above
                answer = await self._answer(request, api, picture)
            else:
                answer = said
            if isinstance(answer, Said):
                if answer.of_picture:
                    self.desk.refuse(call.images)
                return self._error(api, answer)
            return await self._sent(request, call, answer)

    async def _sent(self, request: web.Request, call: Call, body: bytes) -> web.StreamResponse:
        if call.fault == "empty":
            return web.Response(body=b"", content_type=JSON, headers=_headers())
        self.desk.answered(call, call.images)
        if call.fault == "truncate":
            return await truncated(request, body, JSON)
        return web.Response(body=body, content_type=JSON, charset="utf-8", headers=_headers())

    def _refused(self, request: web.Request, api: Api, fault: Fault) -> Said | None:
        """Tell what is wrong with a call as such, or what a fault makes of it."""
        key = request.headers.get("Ocp-Apim-Subscription-Key", "")
        if not hmac.compare_digest(key.encode(), self._key.encode()):
            return BAD_KEY
        if fault in self.says:
            return self.says[fault]
        query = request.query
        if not LANGUAGES.fullmatch(query.get("language", "en")):
            return BAD_LANGUAGE
        if query.get("model-version", "latest") not in ("latest", self._first, self.desk.version):
            return BAD_VERSION
        return _wrong_features(_asked(request, api), api)

    async def _answer(self, request: web.Request, api: Api, picture: bytes) -> bytes | Said:
        try:
            ranked = await self.brain.classify(picture)
        except NotAPicture:
            return BAD_FORMAT
        pinned = request.query.get("model-version", "latest")
        version = self.desk.version if pinned == "latest" else pinned
        tags = [_tag(name, score, not api.newer) for name, score in ranked[:MOST_TAGS]]
        shape = await asyncio.to_thread(_shape, picture)
        assert shape is not None  # noqa: S101  it has been classified
        width, height, kind = shape
        reply: dict[str, Any]
        if api.newer:
            reply = {
                "modelVersion": version,
                "metadata": {"width": width, "height": height},
                "tagsResult": {"values": tags},
            }
        else:
            asked = _asked(request, api)
            reply = {"tags": tags} if "tags" in asked else {}
            if "adult" in asked:
                reply["adult"] = _adult(self.brain.model.labels, dict(ranked))
            reply |= {
                "requestId": str(uuid.uuid4()),
                "metadata": {"height": height, "width": width, "format": kind},
                "modelVersion": version,
            }
        return json.dumps(reply, separators=(",", ":"), ensure_ascii=False).encode()

    def _error(self, api: Api, said: Said) -> web.Response:
        after = self.desk.faults.retry_after
        wait = "a while" if after is None else f"{after:g} second{'' if after == 1 else 's'}"
        blanks = {
            "operation": api.operation,
            "api": api.name,
            "most": api.most_bytes,
            "wait": wait,
            "feature": "",
        }
        error: dict[str, Any] = {"code": said.code, "message": said.text.format(**blanks)}
        if said.inner is not None:
            code, text = said.inner
            error["innererror"] = {"code": code, "message": text.format(**blanks)}
        headers = _headers()
        if said.status == 429 and after is not None:
            headers["Retry-After"] = f"{after:g}"
        if said.status == 401:
            headers["WWW-Authenticate"] = (
                'AzureApiManagementKey realm="https://emulator.cognitiveservices.azure.com",'
                'name="Ocp-Apim-Subscription-Key",type="header"'
            )
        body = json.dumps({"error": error}, separators=(",", ":")).encode()
        return web.Response(body=body, status=said.status, content_type=JSON, headers=headers)


class AzureV32Emulator(AzureEmulator):
    """The same server; its name is that of the adapter of 3.2."""

    provider: ClassVar[str] = "azure-v32"


async def _picture(request: web.Request) -> bytes | Said:
    """Read the picture of a call."""
    kind = request.content_type
    if kind == JSON:  # {"url": …}: nothing outside this machine is fetched
        await request.read()
        return BAD_URL
    if kind == "multipart/form-data":
        parts = await request.post()
        files = [part for part in parts.values() if isinstance(part, web.FileField)]
        return files[0].file.read() if files else b""
    return await request.read() if kind == "application/octet-stream" else BAD_MEDIA


def _wrong_picture(picture: bytes, api: Api) -> Said | None:
    if not 0 < len(picture) <= api.most_bytes:
        return BAD_BYTES
    shape = _shape(picture)
    if shape is None:
        return BAD_FORMAT
    width, height, _ = shape
    return None if all(LEAST_SIDE < s < MOST_SIDE for s in (width, height)) else BAD_SIDES


def _shape(picture: bytes) -> tuple[int, int, str] | None:
    """Return width, height and format; reads no more than the picture's head."""
    try:
        with Image.open(io.BytesIO(picture)) as opened:
            return opened.width, opened.height, (opened.format or "").capitalize()
    except Exception:  # noqa: BLE001  Pillow's plugins raise anything
        return None


def _asked(request: web.Request, api: Api) -> list[str]:
    if api.asking is None:
        return ["tags"]
    asked = request.query.get(api.asking, "" if api.newer else "categories")
    return [feature.strip().casefold() for feature in asked.split(",") if feature.strip()]


def _wrong_features(asked: Sequence[str], api: Api) -> Said | None:
    if not asked or not set(asked) <= {*api.features, *api.offered}:
        return BAD_FEATURE
    other = [feature for feature in asked if feature not in api.offered]
    if not other:
        return None
    return replace(ELSEWHERE, text=ELSEWHERE.text.format(feature=other[0].capitalize()))


def _tag(label: str, score: float, hints: bool) -> dict[str, Any]:
    tag: dict[str, Any] = {"name": label.lower(), "confidence": score}
    if hints and (broader := parents(label)):
        tag["hint"] = broader[-1].lower()
    return tag


def _adult(labels: Iterable[str], scores: Mapping[str, float]) -> dict[str, Any]:
    """Make up scores of adult content: that of the label of the name, or at its place."""
    placed = [*labels, "", "", ""]
    found = {
        name: scores.get(name, scores.get(placed[place], 0.0))
        for place, name in enumerate(("adult", "racy", "gore"))
    }
    names = (("adult", "isAdultContent"), ("racy", "isRacyContent"), ("gore", "isGoryContent"))
    flags = {flag: found[name] >= 0.5 for name, flag in names}
    return flags | {f"{name}Score": score for name, score in found.items()}


def _headers() -> dict[str, str]:
    return {
        "apim-request-id": str(uuid.uuid4()),
        "x-envoy-upstream-service-time": "1",
        "Strict-Transport-Security": "max-age=31536000; includeSubDomains; preload",
        "x-content-type-options": "nosniff",
        "x-ms-region": "Emulator",
    }
