"""Azure Computer Vision 3.2: tags of one picture a call, or its adult, racy and gory scores.

The older of Azure's two APIs, through an SDK that its maker has deprecated: it knows no asyncio,
so calls are made in threads of this adapter's own. `azure` asks the newer API, which has no
moderation. Replies name the version of the model, and a call can ask for one.
"""

import asyncio
import io
import logging
import threading
import warnings
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

from adapters import facts
from adapters.azure import CONNECTING, LEAST_SIDE, MOST_SIDE, AzureProfile
from adapters.azure_access import access_of
from adapters.azure_errors import (
    BAD_KEY,
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
    Refusal,
    Retry,
    Traits,
    fingerprint,
)
from adapters.redaction import redacted

MOST_BYTES = 4 * 2**20
MODERATION = ("adult", "racy", "gore")


class AzureV32Profile(AzureProfile):
    """What an operator may set.

    Attributes:
        operation: "tags", or "adult" for the scores of adult, racy and gory content.
    """

    operation: Literal["tags", "adult"] = "tags"


class AzureV32Adapter(Adapter):
    """Asks Computer Vision 3.2.

    Args:
        profile: the operator's.

    Raises:
        MissingExtra: if the SDK is not installed.
        NotConfigured: if the endpoint or the key is missing or unusable.
    """

    name = "azure-v32"
    summary = "Azure Computer Vision 3.2 (deprecated): tags, or adult content"
    extra = "azure"
    profile_type = AzureV32Profile
    traits = Traits(
        payload="png",
        max_batch=1,
        concurrency=32,
        min_side=LEAST_SIDE,
        max_side=MOST_SIDE,
        max_bytes=MOST_BYTES,
        pins_version=True,
        names_version=True,
        **facts.table()["azure-v32"].traits(),
    )

    def __init__(self, profile: AzureV32Profile | None = None) -> None:
        try:
            with warnings.catch_warnings():
                # Of an SDK that nobody maintains any more: its escapes are not ours to mend.
                warnings.simplefilter("ignore", (SyntaxWarning, DeprecationWarning))
                from azure.cognitiveservices.vision import (  # noqa: PLC0415  an extra
                    computervision,
                )
        except ImportError as error:
            raise MissingExtra(
                'the SDK of Azure Computer Vision is not installed: pip install ".[azure]"'
            ) from error
        self._sdk: Any = computervision
        self._profile = profile or AzureV32Profile()
        self._access = access_of(self._profile.endpoint)
        self._lock = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None
        self._client: Any = None
        self._sessions: set[Any] = set()  # the SDK keeps one for each thread, and closes none
        self._of_thread = threading.local()

    @property
    def options(self) -> Mapping[str, Any]:
        """Operation, model version, language, and an endpoint that is not Azure's own."""
        options: dict[str, Any] = {
            "operation": self._profile.operation,
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
        return [await self._in_thread(bytes(image)) for image in images]

    async def close(self) -> None:
        """Close the connections; threads end with the calls that they are making."""
        with self._lock:
            threads, client, sessions = self._threads, self._client, self._sessions
            self._threads, self._client, self._sessions = None, None, set()
        if threads is not None:
            threads.shutdown(wait=False, cancel_futures=True)
            client.close()
        for session in sessions:
            session.close()

    async def _in_thread(self, image: bytes) -> Outcome:
        with self._lock:
            if self._threads is None:
                self._client = self._connected()
                self._threads = ThreadPoolExecutor(self.traits.concurrency, "surety-azure-v32")
            call = self._threads.submit(self._ask, self._client, image)
        try:
            return await asyncio.wrap_future(call)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return Retry("the adapter was closed before the call was made")

    def _ask(self, client: Any, image: bytes) -> Outcome:  # noqa: ANN401  the SDK is untyped
        self._of_thread.reply = None
        failure: Exception
        common = {
            "language": self._profile.language,
            "model_version": self._profile.model_version,
        }
        try:
            if self._profile.operation == "tags":
                return _tags(client.tag_image_in_stream(io.BytesIO(image), **common))
            return _moderation(
                client.analyze_image_in_stream(
                    io.BytesIO(image), visual_features=["Adult"], **common
                )
            )
        except Exception as error:  # noqa: BLE001  raised again if it is not the SDK's
            failure = error
        # Out here, what is raised does not carry along what Azure said.
        reply = self._of_thread.reply
        secrets = [self._access.key]
        if reply is None or not _arrived(reply):
            return of_msrest(failure, secrets)
        if reply.status_code == 200:  # the SDK stumbles over what it cannot read
            return garbled(redacted(failure, secrets))
        return judged(Trouble.read(reply.status_code, reply.headers, reply.content), secrets)

    def _connected(self) -> Any:  # noqa: ANN401
        from msrest.authentication import CognitiveServicesCredentials  # noqa: PLC0415
        from urllib3 import Retry as Retries  # noqa: PLC0415

        # It logs what Azure says just as it comes.
        logging.getLogger("msrest.exceptions").setLevel(logging.INFO)
        limit = self.traits.timeout
        connecting = min(CONNECTING, limit / 4)
        client = self._sdk.ComputerVisionClient(
            self._access.endpoint, CognitiveServicesCredentials(self._access.key)
        )
        config: Any = client.config
        # Setting msrest's own `retries` to 0 would turn every 5xx into an error without a reply.
        config.retry_policy = lambda: Retries(0, read=False)
        config.redirect_policy.allow = False  # requests would send the key along
        config.proxies.use_env_settings = not self._access.is_here
        config.connection.timeout = (connecting, limit - connecting)
        config.connection.data_block_size = MOST_BYTES  # the body in one piece
        config.session_configuration_callback = self._configured
        return client

    def _configured(
        self,
        session: Any,  # noqa: ANN401
        _config: Any,  # noqa: ANN401
        _local: Mapping[str, Any],
        **send: Any,  # noqa: ANN401
    ) -> Mapping[str, Any]:
        """Note a thread's session, and have its replies noted, before each call."""
        self._sessions.add(session)
        return {**send, "hooks": {"response": [self._note]}}

    def _note(self, reply: Any, *_: Any, **__: Any) -> None:  # noqa: ANN401
        self._of_thread.reply = reply


def _arrived(reply: Any) -> bool:  # noqa: ANN401
    """Tell whether a reply came to its end."""
    try:
        return isinstance(reply.content, bytes)
    except (OSError, RuntimeError):  # requests' errors are OSErrors; cut before, RuntimeError
        return False


def _tags(result: Any) -> Outcome:  # noqa: ANN401  a model of the SDK
    values = getattr(result, "tags", None)
    if not isinstance(values, list):
        return garbled("it holds no tags")
    found = predictions(
        (
            getattr(one, "name", None),
            getattr(one, "confidence", None),
            getattr(one, "hint", None),
        )
        for one in values
    )
    if found is None:
        return garbled("it holds tags without a name or a score")
    return Answer(found, model_version=result.model_version or None)


def _moderation(result: Any) -> Outcome:  # noqa: ANN401  a model of the SDK
    adult = getattr(result, "adult", None)
    found = predictions((name, getattr(adult, f"{name}_score", None), None) for name in MODERATION)
    if found is None:
        return garbled("it holds no scores of adult content")
    return Answer(found, model_version=result.model_version or None)


def of_msrest(error: Exception, secrets: Iterable[str]) -> Refusal | Retry:
    """Say what an error of msrest means, or one of requests that it has let through.

    Raises:
        StopError: if asking again would not help.
        Exception: `error` itself, if it is neither.
    """
    import requests  # noqa: PLC0415  an extra brings it
    import urllib3  # noqa: PLC0415
    from azure.core import exceptions as core  # noqa: PLC0415
    from msrest import exceptions as msrest  # noqa: PLC0415

    inside = getattr(error, "inner_exception", None)
    if inside is None and isinstance(error, msrest.ClientRequestError):
        inside = error.__cause__ or error.__context__
    cause = inside if isinstance(inside, requests.RequestException | OSError) else error
    text = redacted(cause, secrets)
    if isinstance(error, msrest.HttpOperationError):
        reply: Any = error.response
        status = getattr(reply, "status_code", None)
        if status:
            return judged(Trouble.read(status, reply.headers, reply.content), secrets)
        return garbled(text)
    if isinstance(error, msrest.AuthenticationError | msrest.TokenExpiredError):
        raise stopped(BAD_KEY, text)
    if isinstance(error, msrest.ValidationError | core.SerializationError):
        raise stopped(CHECK_CALL, text)
    if isinstance(error, core.DeserializationError):
        return garbled(text)
    if not isinstance(error, msrest.ClientException | requests.RequestException | OSError):
        raise error
    if UNTRUSTED.search(str(cause)):
        raise stopped(UNTRUSTED_SERVER, text)
    wrong = requests.exceptions
    if isinstance(
        cause, wrong.InvalidURL | wrong.InvalidSchema | wrong.MissingSchema | wrong.URLRequired
    ):
        raise stopped(CHECK_ENDPOINT, text)
    if isinstance(cause, wrong.InvalidHeader):
        raise stopped(BAD_KEY, "the key cannot be written into a header")
    reason = getattr(cause.args[0] if cause.args else None, "reason", None)
    # Not SSLError: that may also come in the middle of a reply.
    unsent = isinstance(cause, wrong.ConnectTimeout | wrong.ProxyError)
    never = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
    return lost(text or type(cause).__name__, unsent or isinstance(reason, never))
