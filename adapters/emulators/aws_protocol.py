"""What Amazon Rekognition says: its documents, its limits and its errors, word by word."""

import base64
import io
import json
import uuid
from collections.abc import Mapping
from typing import Any

from PIL import Image

from adapters.emulators import words
from adapters.emulators.brain import NotAPicture
from adapters.emulators.desk import Call

TARGET = "RekognitionService."
OPERATIONS = ("DetectLabels", "DetectModerationLabels")
MOST_BYTES = 5 * 2**20
LEAST_SIDE, MOST_SIDE = 80, 10_000
DEFAULT_CONFIDENCE = {"DetectLabels": 55.0, "DetectModerationLabels": 50.0}
MOST_LABELS = 1000
CATEGORIES = {"Animal": "Animals and Pets", "Vehicle": "Vehicles and Automotive"}


class Failure(Exception):
    """An answer that is an error.

    Args:
        code: AWS's name of it.
        message: in AWS's words.
        status: of HTTP.
        front: whether it comes from AWS's front, which writes it otherwise than the service.
    """

    def __init__(self, code: str, message: str, status: int = 400, *, front: bool = False) -> None:
        super().__init__(code)
        self.code, self.message, self.status, self.front = code, message, status, front

    def body(self) -> dict[str, str]:
        """Return the JSON document."""
        if self.front:
            return {"__type": self.code, "message": self.message}
        logref = str(uuid.uuid4())
        return {
            "__type": self.code,
            "Code": self.code,
            "Logref": logref,
            "Message": self.message,
        }


_FRONT_FAULTS = {  # code, message, status of HTTP
    "unavailable": ("ServiceUnavailableException", "Service is unavailable.", 503),
    "bad_credentials": (
        "UnrecognizedClientException",
        "The security token included in the request is invalid.",
        400,
    ),
    "quota": (
        "SubscriptionRequiredException",
        "The AWS Access Key Id needs a subscription for the service",
        400,
    ),
}
_FRONT_FAULTS["partial"] = _FRONT_FAULTS["unavailable"]  # one picture a call has no parts


def failure_of(call: Call, operation: str) -> Failure | None:
    """Return the failure that a call's fault stands for."""
    if call.fault == "throttle":  # the two in turn: clients have to know both
        if call.number % 2:
            return Failure("ProvisionedThroughputExceededException", "Provisioned rate exceeded")
        return Failure("ThrottlingException", "Rate exceeded", front=True)
    if call.fault == "server_error":
        return Failure("InternalServerError", "Internal server error", 500)
    if call.fault == "forbidden":
        return Failure(
            "AccessDeniedException",
            "User: arn:aws:iam::123456789012:user/emulated is not authorized to perform: "
            f"rekognition:{operation} because no identity-based policy allows the "
            f"rekognition:{operation} action",
            front=True,
        )
    if call.fault in _FRONT_FAULTS:
        code, message, status = _FRONT_FAULTS[call.fault]
        return Failure(code, message, status, front=True)
    return None


def understood(target: str, body: bytes) -> tuple[str, dict[str, Any], list[bytes]]:
    """Return the operation, the document and the pictures of a request.

    Args:
        target: the header X-Amz-Target.
        body: of the request.

    Raises:
        Failure: if AWS would not understand it.
    """
    service, _, operation = target.partition(".")
    if f"{service}." != TARGET or operation not in OPERATIONS:
        raise Failure("UnknownOperationException", "", front=True)
    try:
        document = json.loads(body)
        picture = document["Image"]
        data = picture.get("Bytes")
        pictures = [] if data is None else [base64.b64decode(data, validate=True)]
    except KeyError:
        raise _invalid("Value null at 'image' failed to satisfy constraint: not null") from None
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise Failure("SerializationException", "", front=True) from None
    return operation, document, pictures


def limits(operation: str, document: Mapping[str, Any]) -> tuple[float, int]:
    """Return the least confidence and the most labels that are asked for.

    Raises:
        Failure: if they are out of range.
    """
    least = document.get("MinConfidence", DEFAULT_CONFIDENCE[operation])
    most = document.get("MaxLabels", MOST_LABELS) if operation == "DetectLabels" else MOST_LABELS
    if not isinstance(least, int | float) or not isinstance(most, int):
        raise Failure("SerializationException", "", front=True)
    if not 0 <= least <= 100:
        side, bound = ("greater", 0) if least < 0 else ("less", 100)
        raise _invalid(
            f"Value '{least}' at 'minConfidence' failed to satisfy constraint: Member must have "
            f"value {side} than or equal to {bound}"
        )
    if most < 0:
        raise _invalid(
            f"Value '{most}' at 'maxLabels' failed to satisfy constraint: Member must have value "
            "greater than or equal to 0"
        )
    return float(least), most


def check(picture: bytes) -> None:
    """Hold a picture against AWS's limits.

    Raises:
        Failure: if it is too large or too small.
        NotAPicture: if it is neither PNG nor JPEG.
    """
    if not 1 <= len(picture) <= MOST_BYTES:
        least, bound = ("less", MOST_BYTES) if picture else ("greater", 1)
        size = len(picture)
        raise _invalid(
            f"Value 'java.nio.HeapByteBuffer[pos=0 lim={size} cap={size}]' at 'image.bytes' failed "
            f"to satisfy constraint: Member must have length {least} than or equal to {bound}"
        )
    try:
        with Image.open(io.BytesIO(picture), formats=("PNG", "JPEG")) as opened:
            width, height = opened.size
    except Exception as error:  # noqa: BLE001  Pillow's plugins raise anything
        raise NotAPicture(str(error)) from None
    if min(width, height) < LEAST_SIDE:
        raise Failure("InvalidParameterException", "Request has invalid parameters")
    if max(width, height) > MOST_SIDE:
        raise Failure(
            "ImageTooLargeException",
            f"Input image dimensions {width} x {height} exceed maximum dimension size of "
            f"{MOST_SIDE} pixels",
        )


def _invalid(what: str) -> Failure:
    return Failure("ValidationException", f"1 validation error detected: {what}", front=True)


def reply(
    operation: str, scores: list[tuple[str, float]], version: str, least: float, most: int
) -> bytes:
    """Write the document of an answer.

    Args:
        operation: that was asked for.
        scores: every label of the classifier with its probability, the most probable first.
        version: of the model.
        least: confidence below which labels are left out.
        most: labels.
    """
    entries = [(name, 100 * score) for name, score in _with_parents(scores)]
    entries = [(name, confidence) for name, confidence in entries if confidence >= least][:most]
    if operation == "DetectLabels":
        return json.dumps(
            {
                "LabelModelVersion": version,
                "Labels": [_label(name, confidence) for name, confidence in entries],
            }
        ).encode()
    return json.dumps(
        {
            "ContentTypes": [],
            "ModerationLabels": [_moderation(name, confidence) for name, confidence in entries],
            "ModerationModelVersion": version,
        }
    ).encode()


def _with_parents(scores: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """Add broader labels, each as likely as the likeliest label under it, and right behind it."""
    found: dict[str, float] = {}
    for name, score in scores:
        for label in (name.title(), *words.parents(name)):
            found.setdefault(label, score)
    return list(found.items())


def _parents(name: str) -> tuple[str, ...]:
    """Return what stands above a label, or above one of those broader ones."""
    for below in words.PARENTS.values():
        if name in below:
            return below[below.index(name) + 1 :]
    return words.parents(name)


def _label(name: str, score: float) -> dict[str, Any]:
    parents = _parents(name)
    topmost = (name, *parents)[-1]
    return {
        "Name": name,
        "Confidence": score,
        "Instances": [],
        "Parents": [{"Name": parent} for parent in parents],
        "Aliases": [],
        "Categories": [{"Name": CATEGORIES[topmost]}] if topmost in CATEGORIES else [],
    }


def _moderation(name: str, score: float) -> dict[str, Any]:
    parents = _parents(name)
    return {
        "Confidence": score,
        "Name": name,
        "ParentName": parents[0] if parents else "",
        "TaxonomyLevel": len(parents) + 1,
    }
