"""Clarifai's emulator: `clarifai.api.V2/PostModelOutputs` over gRPC.

It stands behind a relay, so that connections can be really cut. As at Clarifai, errors of its own
come inside a reply that gRPC calls OK; `unavailable` is what stands before it.
"""

import asyncio
import io
import uuid
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from adapters.emulators.brain import Brain, NotAPicture
from adapters.emulators.desk import Call
from adapters.emulators.faults import Fault, Faults
from adapters.emulators.grpc_server import GrpcServer
from adapters.emulators.server import LOOPBACK, Emulator
from adapters.emulators.words import concept_id

SERVICE, METHOD = "clarifai.api.V2", "PostModelOutputs"
TOKEN = "0123456789abcdef0123456789abcdef"  # noqa: S105  accepted here alone
USER, APP = "surety-emulator-user", "surety-emulator-app"
PUBLIC = ("clarifai", "main")
MODELS = ("general-image-recognition", "aaa03c23b3724a16a56b629203edc62c")  # its name, its old id
MOST_IMAGES, MOST_BYTES = 128, 128 * 2**20
LARGEST_IMAGE, MOST_PIXELS = 20 * 2**20, 85_000_000
CONCEPTS, MOST_CONCEPTS = 20, 200

# What Clarifai answers: code, description, details.
Said = tuple[int, str, str]
OK: Said = (10000, "Ok", "")
MIXED: Said = (10010, "Mixed Success", "")
FAILURE: Said = (10020, "Failure", "")
TRAINED: Said = (21100, "Model is trained and ready for deployment", "")
NO_KEY: Said = (11102, "Invalid request", "Authorization must be of the form: Key <token>.")
BAD_KEY: Said = (11008, "Invalid API key or Invalid API key/application pair", "")
NO_SCOPE: Said = (11007, "API key has insufficient scopes", "Missing scope: Predict.")
SPENT: Said = (11006, "Account limits exceeded", "The monthly operations limit has been reached.")
THROTTLED: Said = (11005, "Making too many requests", "exceeded limit of 15 requests per second")
SERVER_ERROR: Said = (98004, "Internal server issue", "Please try again later.")
NO_INPUTS: Said = (40001, "Invalid predict request", "At least one input is needed.")
TOO_MANY: Said = (40001, "Invalid predict request", f"There may be {MOST_IMAGES} inputs at most.")
NO_MODEL: Said = (21200, "Model does not exist", "")
NO_VERSION: Said = (21200, "Model does not exist", "There is no such version of the model.")
BAD_CONFIG: Said = (21202, "Invalid model argument", "max_concepts or min_value is out of range.")
# Of one picture.
BUSY: Said = (40031, "Sorry, the server is unavailable at the moment. Please try again later.", "")
BAD_IMAGE: Said = (30101, "Input image format unsupported", "")
LARGE_IMAGE: Said = (30105, "Input image is larger than the allowed limit", "")
NO_DOWNLOAD: Said = (30002, "Download failed; check URL", "The emulator loads nothing.")


class ClarifaiEmulator(Emulator):
    """Speaks Clarifai's gRPC.

    Args:
        brain: what answers.
        faults: what goes wrong.
        host: address to listen on.
        port: of gRPC; 0 takes a free one.
        control_port: of the control server; 0 takes a free one.
        token: the personal access token that is accepted.
        user: who holds it.
        app: an app of that user, with the same models as Clarifai's own.

    Attributes:
        says: what a fault of a whole call is answered with.
    """

    provider = "clarifai"

    def __init__(
        self,
        brain: Brain,
        faults: Faults | None = None,
        *,
        host: str = LOOPBACK,
        port: int = 0,
        control_port: int = 0,
        token: str = TOKEN,
        user: str = USER,
        app: str = APP,
    ) -> None:
        super().__init__(brain, faults, host=host, port=port, control_port=control_port)
        self._token, self._user, self._app = token, user, app
        self._first = self.desk.version
        options = [
            ("grpc.max_receive_message_length", MOST_BYTES),
            ("grpc.max_send_message_length", -1),
        ]
        self._server = GrpcServer(SERVICE, METHOD, self._answer, options)
        self.says: dict[Fault, Said] = {
            "bad_credentials": BAD_KEY,
            "forbidden": NO_SCOPE,
            "quota": SPENT,
            "throttle": THROTTLED,
            "server_error": SERVER_ERROR,
            "empty": OK,
        }

    @staticmethod
    def first_version(brain: Brain) -> str:
        """Return 32 hexadecimal digits, as Clarifai's versions are named."""
        return uuid.uuid5(uuid.NAMESPACE_URL, brain.model.version).hex

    async def listen(self) -> None:
        """Start gRPC behind its relay."""
        self.addresses["grpc"] = await self._server.start(self.host, self.port)

    async def close(self) -> None:
        """Cut the connections."""
        await self._server.stop()

    def environment(self) -> Mapping[str, str]:
        """Return the variables of the adapter."""
        return {
            "CLARIFAI_PAT": self._token,
            "CLARIFAI_USER_ID": self._user,
            "CLARIFAI_APP_ID": self._app,
            "CLARIFAI_API_BASE": f"http://{self.addresses['grpc']}",
        }

    async def _answer(self, body: bytes, context: Any) -> bytes:  # noqa: ANN401  grpc is untyped
        import grpc  # type: ignore[import-untyped]  # noqa: PLC0415  the emulators' extra
        from clarifai_grpc.grpc.api import (  # type: ignore[import-untyped]  # noqa: PLC0415
            service_pb2,
        )

        request = service_pb2.PostModelOutputsRequest.FromString(body)
        headers = dict(context.invocation_metadata() or ())
        pictures = [one.data.image.base64 for one in request.inputs]
        async with self.desk.call(pictures) as call:
            if call.fault in ("timeout", "drop"):
                self._server.cut(context)
                return b""
            if call.fault == "unavailable":
                await context.abort(grpc.StatusCode.UNAVAILABLE, "upstream connect error")
            reply = service_pb2.MultiOutputResponse()
            said = self._refused(call.fault, headers.get("authorization", ""), request)
            if said is None:
                await self._predict(request, call, reply)
            else:
                _say(reply.status, said)
            reply.status.req_id = uuid.uuid4().hex
            encoded: bytes = reply.SerializeToString()
            return encoded[: len(encoded) // 2] if call.fault == "truncate" else encoded

    def _refused(self, fault: Fault, header: str, request: Any) -> Said | None:  # noqa: ANN401
        """Tell what is wrong with a call as a whole, or what a fault makes of it."""
        config = request.model.output_info.output_config
        owner = request.user_app_id.user_id, request.user_app_id.app_id
        known = owner in (PUBLIC, (self._user, self._app), ("me", self._app))
        checks = (
            (not header.startswith("Key "), NO_KEY),
            (header != f"Key {self._token}", BAD_KEY),
            (fault in self.says, self.says.get(fault, OK)),
            (not (known and request.model_id in MODELS), NO_MODEL),
            (request.version_id not in ("", self._first, self.desk.version), NO_VERSION),
            (config.max_concepts > MOST_CONCEPTS or not 0 <= config.min_value <= 1, BAD_CONFIG),
            (not request.inputs, NO_INPUTS),
            (len(request.inputs) > MOST_IMAGES, TOO_MANY),
        )
        return next((said for wrong, said in checks if wrong), None)

    async def _predict(self, request: Any, call: Call, reply: Any) -> None:  # noqa: ANN401
        """Answer about each picture."""
        version = request.version_id or self.desk.version  # the newest, if none is asked for
        both = list(zip(request.inputs, call.images, strict=True))
        found = await asyncio.gather(*(self._one(one, name, call) for one, name in both))
        config = request.model.output_info.output_config
        for (one, name), outcome in zip(both, found, strict=True):
            output = reply.outputs.add(id=uuid.uuid4().hex)
            output.created_at.GetCurrentTime()
            _describe(output.model, request, version)
            output.input.id = one.id or uuid.uuid4().hex
            output.input.data.image.base64 = b"true"  # so it says of bytes
            if isinstance(outcome, tuple):
                _say(output.status, outcome)
                if outcome in (BAD_IMAGE, LARGE_IMAGE):
                    self.desk.refuse([name])
                continue
            _say(output.status, OK)
            self.desk.answered(call, [name])
            for label, score in outcome[: config.max_concepts or CONCEPTS]:
                concept = output.data.concepts.add(
                    id=concept_id(label), name=label, value=score, app_id=PUBLIC[1]
                )
                if concept.value < config.min_value:
                    del output.data.concepts[-1]
        _say(reply.status, _overall(found))

    async def _one(self, one: Any, name: str, call: Call) -> Said | list[tuple[str, float]]:  # noqa: ANN401
        """Return the labels of one picture, or what is wrong with it."""
        data = one.data.image.base64
        wrong = NO_DOWNLOAD if not data else BUSY if name in call.failing else None
        wrong = wrong or (BAD_IMAGE if name in call.refused else _unfit(data))
        if wrong is not None:
            return wrong
        try:
            return await self.brain.classify(data)
        except NotAPicture:
            return BAD_IMAGE


def _unfit(data: bytes) -> Said | None:
    """Tell what is wrong with a picture, from its first bytes and its size."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as picture:  # reads its size alone
                pixels = picture.width * picture.height
    except Image.DecompressionBombError:
        return LARGE_IMAGE
    except Exception:  # noqa: BLE001  Pillow's plugins raise anything
        return BAD_IMAGE
    return LARGE_IMAGE if len(data) > LARGEST_IMAGE or pixels > MOST_PIXELS else None


def _overall(found: Sequence[Said | list[tuple[str, float]]]) -> Said:
    """Return the status of a call: that of its pictures where they agree."""
    failed = {outcome for outcome in found if isinstance(outcome, tuple)}
    if not failed:
        return OK
    if any(isinstance(outcome, list) for outcome in found):
        return MIXED
    return failed.pop() if len(failed) == 1 else FAILURE


def _say(status: Any, said: Said) -> None:  # noqa: ANN401  protobuf's messages are untyped
    status.code, status.description, status.details = said


def _describe(model: Any, request: Any, version: str) -> None:  # noqa: ANN401
    """Fill in the model that answers."""
    model.id, model.name = MODELS[0], "Image Recognition"
    model.user_id, model.app_id = request.user_app_id.user_id, request.user_app_id.app_id
    model.model_type_id = "visual-classifier"
    model.created_at.FromJsonString("2016-03-09T17:11:39.608845Z")
    model.model_version.id = version
    model.model_version.user_id, model.model_version.app_id = model.user_id, model.app_id
    model.model_version.created_at.FromJsonString("2018-03-06T21:10:24.454834Z")
    _say(model.model_version.status, TRAINED)
