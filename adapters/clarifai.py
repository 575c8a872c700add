"""Clarifai: concepts of up to 32 pictures in a request, over gRPC.

The message types are those of `clarifai-grpc`. Its stub and channel are left out: the channel
repeats calls by itself, and the stub is bound to a setting that the channel makes for the whole
process.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from adapters import facts
from adapters.batches import Halve, in_parts, of_each
from adapters.clarifai_access import HOST, ClarifaiProfile, address_of, identity_of
from adapters.clarifai_codes import Kind, kind_of
from adapters.clarifai_errors import ALL_PICTURES, STOPS, of_call, of_status
from adapters.errors import CallRejected, MissingExtra
from adapters.interface import (
    Adapter,
    Answer,
    Outcome,
    Payload,
    Prediction,
    Refusal,
    Retry,
    Traits,
    fingerprint,
)

METHOD = "/clarifai.api.V2/PostModelOutputs"
# Clarifai takes 128 pictures and 128 MB. A run pays for the batches in flight when it ends, and 15
# requests a second of 32 pictures are more than any denoiser feeds. A request that times out is
# lost as a whole, and may have been charged for.
BATCH, MOST_BYTES = 32, 32_000_000
LARGEST_PICTURE = 20_000_000
ROUNDING = 1e-6  # scores are float32
CHANNEL = (
    ("grpc.enable_retries", 0),  # also those that gRPC calls transparent
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # By default a channel that lost its connection fails every call for up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2000),
)


class ClarifaiAdapter(Adapter):
    """Asks Clarifai.

    Args:
        profile: the operator's.

    Raises:
        MissingExtra: if the message types are not installed.
        NotConfigured: if there is no token, or it or the address is unusable.
    """

    name = "clarifai"
    summary = "Clarifai: any of its image classifiers, or your own"
    extra = "clarifai"
    profile_type = ClarifaiProfile
    traits = Traits(
        payload="png",
        max_batch=BATCH,
        concurrency=32,
        max_pixels=85_000_000,
        max_bytes=LARGEST_PICTURE,
        pins_version=True,
        names_version=True,
        **facts.table()["clarifai"].traits(),
    )

    def __init__(self, profile: ClarifaiProfile | None = None) -> None:
        try:
            import grpc  # type: ignore[import-untyped]  # noqa: PLC0415  slow, and an extra
            from clarifai_grpc.grpc.api import (  # type: ignore[import-untyped]  # noqa: PLC0415
                service_pb2,
            )
        except ImportError as error:
            raise MissingExtra(
                'the SDK of Clarifai is not installed: pip install ".[clarifai]"'
            ) from error
        self._grpc: Any = grpc
        self._sdk: Any = service_pb2
        self._profile = profile or ClarifaiProfile()
        self._token, self._user, self._app = identity_of(self._profile)
        self._target, self._secure = address_of(self._profile.api_base)
        self._channels: dict[asyncio.AbstractEventLoop, tuple[Any, Any]] = {}

    @property
    def options(self) -> Mapping[str, Any]:
        """The model, whose it is, a pinned version, what is left out; an unusual address."""
        profile = self._profile
        options: dict[str, Any] = {
            "model_id": profile.model_id,
            "user_id": self._user,
            "app_id": self._app,
            "max_concepts": profile.max_concepts,
            "min_value": profile.min_value,
        }
        if profile.model_version_id is not None:
            options["model_version_id"] = profile.model_version_id
        if self._target != f"{HOST}:443":
            options["api_base"] = self._target
        return options

    @property
    def account(self) -> str:
        """The token and the address."""
        return fingerprint("clarifai", self._token, self._target)

    async def classify(self, images: Sequence[Payload]) -> Sequence[Outcome]:
        """See :meth:`Adapter.classify`; one request, or several in turn if they are too large."""
        pictures = [bytes(image) for image in images]
        return await in_parts(pictures, MOST_BYTES, self.traits.timeout, self._ask)

    async def close(self) -> None:
        """Close this loop's connection; calls in progress are cut off."""
        channel, _ = self._channels.pop(asyncio.get_running_loop(), (None, None))
        if channel is not None:
            await channel.close()
        self._forget()

    async def _ask(self, images: Sequence[bytes], seconds: float) -> list[Outcome]:
        from google.protobuf.message import (  # type: ignore[import-untyped]  # noqa: PLC0415
            DecodeError,
        )

        many = len(images)
        failed: Exception | None = None  # judged outside, so that no error of ours drags it along
        try:
            reply = await self._call()(
                self._request(images),
                timeout=seconds,
                metadata=(("authorization", f"Key {self._token}"),),
            )
            answer = self._sdk.MultiOutputResponse.FromString(reply)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Nobody has cancelled this call: its connection was closed.
            return [Retry("the call was cut off", billed=True)] * many
        except self._grpc.aio.AioRpcError as error:
            failed = error
        except self._grpc.aio.InternalError:
            return [Retry("gRPC could not make the call", billed=True)] * many
        except DecodeError:
            return [Retry("the reply is cut short or garbled", billed=True)] * many
        if failed is not None:
            return [of_call(failed, (self._token,))] * many
        return self._outcomes(answer, many)

    def _request(self, images: Sequence[bytes]) -> bytes:
        profile = self._profile
        request = self._sdk.PostModelOutputsRequest(
            model_id=profile.model_id, version_id=profile.model_version_id or ""
        )
        request.user_app_id.user_id, request.user_app_id.app_id = self._user, self._app
        config = request.model.output_info.output_config
        config.max_concepts, config.min_value = profile.max_concepts, profile.min_value
        for image in images:
            request.inputs.add().data.image.base64 = image  # the bytes as they are
        encoded: bytes = request.SerializeToString()
        return encoded

    def _outcomes(self, answer: Any, many: int) -> list[Outcome]:  # noqa: ANN401  protobuf
        """Say what a reply means for each picture: by its own status, where all have one."""
        status, outputs = answer.status, answer.outputs
        kind = kind_of(status.code, status.http_status_code)
        complete = len(outputs) == many and all(output.status.code for output in outputs)
        if not status.code or (kind in (Kind.ANSWERED, Kind.MIXED) and not complete):
            text = f"the reply holds {len(outputs)} answers for {many} pictures, or no status"
            return [Retry(text, billed=True)] * many
        if kind in STOPS or not complete:
            found = of_status(status, (self._token,))
            if isinstance(found, Refusal) and many > 1 and status.code not in ALL_PICTURES:
                raise Halve
            return [found] * many
        return of_each(outputs, self._outcome)

    def _outcome(self, output: Any) -> Outcome:  # noqa: ANN401
        version = output.model.model_version.id or None
        if kind_of(output.status.code) is not Kind.ANSWERED:
            found = of_status(output.status, (self._token,))
            return replace(found, model_version=version) if isinstance(found, Refusal) else found
        concepts = output.data.concepts
        if not concepts:
            held = [field.name for field, _ in output.data.ListFields() if field.name != "metadata"]
            if held:
                raise CallRejected(
                    f"the model {self._profile.model_id!r} is no classifier of images: its answers "
                    f"hold {', '.join(held)}; choose one of type visual-classifier"
                )
            if self._profile.min_value == 0:
                return Retry("the reply holds no concepts", billed=True)
        if not all((one.id or one.name) and _is_score(one.value) for one in concepts):
            return Retry("the reply holds concepts without a name or a score", billed=True)
        return Answer(
            tuple(
                Prediction(one.name or one.id, min(1.0, max(0.0, one.value)), one.id or None)
                for one in concepts
            ),
            model_version=version,
        )

    def _call(self) -> Any:  # noqa: ANN401
        """Return this loop's way to make a call: gRPC binds a channel to the loop it was made in.

        It takes bytes and returns bytes, so that a reply that cannot be read is not an error of
        gRPC's.
        """
        loop = asyncio.get_running_loop()
        if loop not in self._channels:
            self._forget()
            aio = self._grpc.aio
            if self._secure:
                credentials = self._grpc.ssl_channel_credentials()
                channel = aio.secure_channel(self._target, credentials, options=CHANNEL)
            else:  # not through a proxy, which is meant for the network outside
                options = (*CHANNEL, ("grpc.enable_http_proxy", 0))
                channel = aio.insecure_channel(self._target, options=options)
            self._channels[loop] = channel, channel.unary_unary(METHOD)
        return self._channels[loop][1]

    def _forget(self) -> None:
        for loop in [loop for loop in self._channels if loop.is_closed()]:
            del self._channels[loop]


def _is_score(value: float) -> bool:
    return -ROUNDING <= value <= 1 + ROUNDING  # not NaN
