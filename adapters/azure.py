"""Azure AI Vision, Image Analysis 4.0: tags of one picture a call.

The newer of Azure's two APIs; `azure-v32` asks the older one. The SDK runs on aiohttp. Replies
name the version of the model, and a call can ask for one.
"""

import asyncio
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from adapters import facts
from adapters.azure_access import access_of
from adapters.azure_errors import (
    CHECK_CALL,
    CHECK_ENDPOINT,
    UNTRUSTED,
    UNTRUSTED_SERVER,
    Trouble,
    garbled,
    judged,
    lost,
    predictions,
    stopped,
)
from adapters.errors import MissingExtra
from adapters.interface import (
    Adapter,
    Answer,
    Outcome,
    Payload,
    Profile,
    Refusal,
    Retry,
    Traits,
    fingerprint,
)
from adapters.redaction import redacted

LEAST_SIDE, MOST_SIDE = 51, 15_999  # "greater than 50, less than 16,000"
VERSION = r"^(latest|\d{4}-\d{2}-\d{2}(-preview)?)$"
LANGUAGE = r"^[a-z]{2,3}(-[A-Za-z]{2,4})?$"
CONNECTING = 10.0  # seconds at most
IN_ONE_PIECE = 2**20  # bytes; aiohttp warns of larger ones, which hold up the event loop


class AzureProfile(Profile):
    """What an operator may set.

    Attributes:
        endpoint: the resource's address, in place of VISION_ENDPOINT.
        model_version: the model that is to answer, such as "2023-10-01"; "latest" for the newest.
        language: of the tags' names.
    """

    endpoint: str | None = None
    model_version: str = Field("latest", pattern=VERSION)
    language: str = Field("en", pattern=LANGUAGE)


@dataclass
class _Line:
    """What is open on one event loop: the SDK's client, and a place for each call in flight."""

    client: Any
    places: asyncio.Semaphore


class AzureAdapter(Adapter):
    """Asks Image Analysis 4.0.

    Args:
        profile: the operator's.

    Raises:
        MissingExtra: if the SDK is not installed.
        NotConfigured: if the endpoint or the key is missing or unusable.
    """

    name = "azure"
    summary = "Azure AI Vision, Image Analysis 4.0: tags"
    extra = "azure"
    profile_type = AzureProfile
    traits = Traits(
        payload="png",
        max_batch=1,
        concurrency=32,
        min_side=LEAST_SIDE,
        max_side=MOST_SIDE,
        max_bytes=20 * 2**20,
        pins_version=True,
        names_version=True,
        **facts.table()["azure"].traits(),
    )

    def __init__(self, profile: AzureProfile | None = None) -> None:
        try:
            import aiohttp  # noqa: F401, PLC0415  the SDK does not declare it
            from azure.ai.vision.imageanalysis import aio, models  # noqa: PLC0415  an extra
        except ImportError as error:
            raise MissingExtra(
                'the SDK of Azure AI Vision is not installed: pip install ".[azure]"'
            ) from error
        self._sdk, self._features = aio, [models.VisualFeatures.TAGS]
        self._profile = profile or AzureProfile()
        self._access = access_of(self._profile.endpoint)
        self._lines: dict[asyncio.AbstractEventLoop, _Line] = {}

    @property
    def options(self) -> Mapping[str, Any]:
        """Operation, model version, language, and an endpoint that is not Azure's own."""
        options: dict[str, Any] = {
            "operation": "tags",
            "model_version": self._profile.model_version,
            "language": self._profile.language,
        }
        if not self._access.is_azure:  # votes of an emulator are not Azure's
            options["endpoint"] = self._access.endpoint
        return options

    @property
    def account(self) -> str:
        """The resource, by its address and key."""
        return fingerprint("azure", self._access.endpoint, self._access.key)

    async def classify(self, images: Sequence[Payload]) -> Sequence[Outcome]:
        """See :meth:`Adapter.classify`; one call for each picture."""
        return [await self._ask(bytes(image)) for image in images]

    async def close(self) -> None:
        """Close this loop's connections; calls in progress are cut off."""
        line = self._lines.pop(asyncio.get_running_loop(), None)
        if line is not None:
            await line.client.close()
        self._forget()

    async def _ask(self, image: bytes) -> Outcome:
        line, limit = self._line(), self.traits.timeout
        replies: list[Any] = []
        failure: Exception
        async with line.places:
            try:
                async with asyncio.timeout(limit) as timer:
                    result = await line.client.analyze(
                        image if len(image) <= IN_ONE_PIECE else io.BytesIO(image),
                        self._features,
                        language=self._profile.language,
                        model_version=self._profile.model_version,
                        connection_timeout=min(CONNECTING, limit / 2),
                        read_timeout=limit,
                        raw_response_hook=replies.append,
                    )
                return _answer(result)
            except Exception as error:  # noqa: BLE001  raised again if it is not the SDK's
                if timer.expired():
                    return Retry(f"no answer within {limit:g} s", billed=True)
                failure = error
        # Out here, what is raised does not carry along what Azure said.
        reply = replies[-1].http_response if replies else None
        if reply is None:
            return of_core(failure, [self._access.key])
        if reply.status_code == 200:  # the SDK stumbles over what it cannot read
            return garbled(redacted(failure, [self._access.key]))
        return judged(
            Trouble.read(reply.status_code, reply.headers, reply.content), [self._access.key]
        )

    def _line(self) -> _Line:
        """Return what is open on this loop: aiohttp binds a session to the loop it was made in."""
        loop = asyncio.get_running_loop()
        if loop not in self._lines:
            self._forget()
            self._lines[loop] = self._connected()
        return self._lines[loop]

    def _forget(self) -> None:
        for loop in [loop for loop in self._lines if loop.is_closed()]:
            del self._lines[loop]

    def _connected(self) -> _Line:
        import aiohttp  # noqa: PLC0415
        from azure.core.credentials import AzureKeyCredential  # noqa: PLC0415
        from azure.core.pipeline.transport import AioHttpTransport  # noqa: PLC0415

        concurrency = self.traits.concurrency
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=concurrency),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # the SDK does it
            trust_env=not self._access.is_here,
        )
        client = self._sdk.ImageAnalysisClient(
            self._access.endpoint,
            AzureKeyCredential(self._access.key),
            transport=AioHttpTransport(session=session),
            retry_total=0,
            permit_redirects=False,  # azure-core would send the key along to any other host
        )
        return _Line(client, asyncio.Semaphore(concurrency))


def _answer(result: Any) -> Outcome:  # noqa: ANN401  a model of the SDK
    """Read a reply; it may hold anything."""
    document = dict(result)
    tags = document.get("tagsResult")
    values = tags.get("values") if isinstance(tags, Mapping) else None
    if not isinstance(values, list):
        return garbled("it holds no tags")
    found = predictions(
        (one.get("name"), one.get("confidence"), None) if isinstance(one, Mapping) else (0, 0, 0)
        for one in values
    )
    if found is None:
        return garbled("it holds tags without a name or a score")
    version = document.get("modelVersion")
    return Answer(found, model_version=version if isinstance(version, str) and version else None)


def of_core(error: Exception, secrets: Iterable[str]) -> Refusal | Retry:
    """Say what an error of azure-core means, or one of aiohttp that it has let through.

    Raises:
        StopError: if asking again would not help.
        Exception: `error` itself, if it is neither.
    """
    import aiohttp  # noqa: PLC0415  an extra
    from azure.core import exceptions as core  # noqa: PLC0415

    # azure-core calls every error of aiohttp's "no request was sent", also a connection that was
    # lost while waiting for the reply: what happened is known to the error inside.
    inside = getattr(error, "inner_exception", None)
    cause = inside if isinstance(inside, aiohttp.ClientError | TimeoutError | OSError) else error
    text = redacted(cause, secrets)
    if isinstance(error, core.HttpResponseError) and error.status_code:
        reply = error.response
        body = reply.text() if reply is not None else ""
        headers: Mapping[str, str] = getattr(reply, "headers", None) or {}
        return judged(Trouble.read(error.status_code, headers, body), secrets)
    if isinstance(error, core.SerializationError):
        raise stopped(CHECK_CALL, text)
    if isinstance(error, core.DeserializationError | core.HttpResponseError):
        return garbled(text)
    if not isinstance(error, core.AzureError | aiohttp.ClientError | TimeoutError | OSError):
        raise error
    if isinstance(cause, aiohttp.ClientConnectorCertificateError) or UNTRUSTED.search(str(cause)):
        raise stopped(UNTRUSTED_SERVER, text)
    if isinstance(cause, aiohttp.InvalidURL):
        raise stopped(CHECK_ENDPOINT, text)
    never = (
        aiohttp.ClientConnectorError,
        aiohttp.ConnectionTimeoutError,
        aiohttp.ServerFingerprintMismatch,
        aiohttp.ClientHttpProxyError,
    )
    unsent = isinstance(cause, never) or (
        cause is error and isinstance(error, core.ServiceRequestError)
    )
    return lost(text or type(cause).__name__, unsent)
