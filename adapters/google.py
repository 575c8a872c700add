"""Google Cloud Vision: labels or SafeSearch of up to 16 pictures in a request, over gRPC.

Google says nowhere which version of its model answered. The credential is a service account's key
file (its tokens are signed here, without asking anybody for them), that of `gcloud auth
application-default login`, or an API key.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from adapters import facts
from adapters.batches import in_parts, of_each
from adapters.errors import MissingExtra
from adapters.google_access import AUDIENCE, HOST, credential_of, endpoint_of
from adapters.google_errors import of_picture, outcome_of
from adapters.interface import (
    Adapter,
    Answer,
    Outcome,
    Payload,
    Prediction,
    Profile,
    Retry,
    Traits,
    fingerprint,
)

MOST_BYTES = 7_400_000  # of a request's pictures: in base64 just below the 10 MB of a request
CATEGORIES = ("adult", "spoof", "medical", "violence", "racy")
LIKELIHOOD = {1: 0.0, 2: 0.25, 3: 0.5, 4: 0.75, 5: 1.0}  # VERY_UNLIKELY to VERY_LIKELY
ROUNDING = 1e-6  # scores are float32
CHANNEL = (
    ("grpc.enable_retries", 0),  # also those that gRPC calls transparent
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # By default a channel that lost its connection fails every call for up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
)


class GoogleProfile(Profile):
    """What an operator may set.

    Attributes:
        operation: "labels" (LABEL_DETECTION) or "safe_search" (SAFE_SEARCH_DETECTION: likelihoods
            of adult, spoof, medical, violence and racy as scores 0, 0.25, 0.5, 0.75 and 1).
        model: which of Google's models.
        max_results: most labels in an answer.
        endpoint: a regional endpoint, such as "eu-vision.googleapis.com", or an emulator's
            "127.0.0.1:PORT". TLS is left out for this machine, and where http:// stands before.
    """

    operation: Literal["labels", "safe_search"] = "labels"
    model: Literal["builtin/stable", "builtin/latest"] = "builtin/stable"
    max_results: int = Field(10, ge=1, le=100)
    endpoint: str | None = None


class GoogleAdapter(Adapter):
    """Asks Cloud Vision.

    Args:
        profile: the operator's.

    Raises:
        MissingExtra: if the SDK is not installed.
        NotConfigured: if there is no credential, or it or the endpoint is unusable.
    """

    name = "google"
    summary = "Google Cloud Vision: labels, or SafeSearch"
    extra = "google"
    profile_type = GoogleProfile
    traits = Traits(
        payload="png",
        max_batch=16,
        concurrency=32,
        max_pixels=75_000_000,
        max_bytes=MOST_BYTES,
        **facts.table()["google"].traits(),
    )

    def __init__(self, profile: GoogleProfile | None = None) -> None:
        try:
            from google.cloud import vision  # noqa: PLC0415  slow, and an extra
        except ImportError as error:
            raise MissingExtra(
                'the SDK of Cloud Vision is not installed: pip install ".[google]"'
            ) from error
        self._sdk = vision
        self._profile = profile or GoogleProfile()
        self._target, self._secure = endpoint_of(self._profile.endpoint)
        self._credential = credential_of(self._secure)
        self._clients: dict[asyncio.AbstractEventLoop, vision.ImageAnnotatorAsyncClient] = {}

    @property
    def options(self) -> Mapping[str, Any]:
        """Operation, model, most labels, and an endpoint other than the usual one."""
        profile = self._profile
        options: dict[str, Any] = {"operation": profile.operation, "model": profile.model}
        if profile.operation == "labels":
            options["max_results"] = profile.max_results
        if self._target != f"{HOST}:443":
            options["endpoint"] = self._target
        return options

    @property
    def account(self) -> str:
        """The project, since its credentials share a quota; the API key where it is not known."""
        return fingerprint("google", self._credential.holder, self._target)

    @property
    def secrets(self) -> Collection[str]:
        """See :attr:`Adapter.secrets`."""
        return self._secrets()

    async def classify(self, images: Sequence[Payload]) -> Sequence[Outcome]:
        """See :meth:`Adapter.classify`; one request, or several in turn if they are too large."""
        pictures = [bytes(image) for image in images]
        return await in_parts(pictures, MOST_BYTES, self.traits.timeout, self._ask)

    async def close(self) -> None:
        """Close this loop's connection; calls in progress are cut off."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.transport.close()  # type: ignore[no-untyped-call]
        self._forget()

    async def _ask(self, images: Sequence[bytes], seconds: float) -> list[Outcome]:
        request = self._sdk.BatchAnnotateImagesRequest.pb()()
        for image in images:
            one = request.requests.add()
            one.image.content = image
            one.features.append(self._feature())
        failure: Exception | None = None
        try:
            reply = await self._client().batch_annotate_images(
                self._sdk.BatchAnnotateImagesRequest.wrap(request),
                retry=None,
                timeout=seconds,
                metadata=self._metadata(),
            )
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Nobody has cancelled this call: its connection was closed, or Google gave it up.
            return [Retry("the call was cut off", billed=True)] * len(images)
        except Exception as error:  # noqa: BLE001  raised again if it is not the SDK's
            failure = error
        if failure is not None:  # out here, ours does not carry along what Google said
            return [outcome_of(failure, self._secrets())] * len(images)
        if reply is None:  # gRPC's way to say that it is cut or garbled
            return [Retry("the reply cannot be decoded", billed=True)] * len(images)
        answers = self._sdk.BatchAnnotateImagesResponse.pb(reply).responses
        if len(answers) != len(images):
            text = f"the reply holds {len(answers)} answers for {len(images)} pictures"
            return [Retry(text, billed=True)] * len(images)
        return of_each(answers, self._outcome)

    def _outcome(self, answer: Any) -> Outcome:  # noqa: ANN401  protobuf's messages are untyped
        if answer.error.code:
            return of_picture(answer.error, self._secrets())
        if self._profile.operation == "safe_search":
            if not answer.HasField("safe_search_annotation"):
                return Retry("the reply holds no SafeSearch", billed=True)
            levels = {name: getattr(answer.safe_search_annotation, name) for name in CATEGORIES}
            scores = {n: LIKELIHOOD[level] for n, level in levels.items() if level in LIKELIHOOD}
            return Answer(tuple(Prediction(name, score) for name, score in scores.items()))
        labels = answer.label_annotations
        if not all(one.description and -ROUNDING <= one.score <= 1 + ROUNDING for one in labels):
            return Retry("the reply holds labels without a name or a score", billed=True)
        return Answer(
            tuple(
                Prediction(one.description, min(1.0, max(0.0, one.score)), one.mid or None)
                for one in labels
            )
        )

    def _feature(self) -> Any:  # noqa: ANN401
        profile, kinds = self._profile, self._sdk.Feature.Type
        feature = self._sdk.Feature.pb()(model=profile.model)
        if profile.operation == "labels":
            feature.type_, feature.max_results = kinds.LABEL_DETECTION, profile.max_results
        else:
            feature.type_ = kinds.SAFE_SEARCH_DETECTION
        return feature

    def _client(self) -> Any:  # noqa: ANN401
        """Return this loop's client: gRPC binds a channel to the loop that it was made in."""
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            self._forget()
            self._clients[loop] = self._connected()
        return self._clients[loop]

    def _forget(self) -> None:
        for loop in [loop for loop in self._clients if loop.is_closed()]:
            del self._clients[loop]

    def _connected(self) -> Any:  # noqa: ANN401
        import grpc  # type: ignore[import-untyped]  # noqa: PLC0415

        kind: Any = self._sdk.ImageAnnotatorAsyncClient.get_transport_class("grpc_asyncio")
        if self._secure:
            channel = kind.create_channel(
                self._target, credentials=self._credential.value, options=list(CHANNEL)
            )
        else:  # not through a proxy, which is meant for the network outside
            options = [*CHANNEL, ("grpc.enable_http_proxy", 0)]
            channel = grpc.aio.insecure_channel(self._target, options=options)
        return self._sdk.ImageAnnotatorAsyncClient(transport=kind(channel=channel))

    def _metadata(self) -> list[tuple[str, str]]:
        """Return the credential's headers where the channel does not add them: without TLS."""
        headers: dict[str, str] = {}
        if not self._secure:
            # Asks nobody: an API key, or a token signed here.
            self._credential.value.before_request(None, "POST", AUDIENCE, headers)
        return list(headers.items())

    def _secrets(self) -> tuple[str, ...]:
        token = getattr(self._credential.value, "token", None) or ""
        return (*self._credential.secrets, token if isinstance(token, str) else token.decode())
