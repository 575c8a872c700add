"""The forms of POST /certify and POST /predict: what a field may hold, and what it means.

Those of jobs, in :mod:`service.job_forms`, share the fields.

Read from the multipart body here and not by the framework, since an empty or a repeated field
must be seen as what it is. Numbers that are no numbers (NaN, infinity) are refused.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import from_json
from starlette.datastructures import UploadFile

from certification.options import MAX_SIGMA, MAX_VOTES, Options
from certification.postprocess import Encoding
from service.form_parts import read_parts
from service.single_members import NamedTwice, check_members

IMAGE = "image"
MAX_PREDICT_N = 100_000


def _json(value: object) -> object:
    """Read a field that holds JSON; the message names the place."""
    if not isinstance(value, str):
        return value
    try:
        found = from_json(value, allow_inf_nan=False)
        check_members(value)
    except NamedTwice:
        raise
    except ValueError as error:
        raise ValueError(f"this is no JSON: {error}") from None
    return found


def _rule(value: object) -> object:
    """A rule is its bare name, or a JSON object."""
    if isinstance(value, str) and value.lstrip()[:1] in ('"', "{", "[", ""):
        value = _json(value)
    if not isinstance(value, str | dict):
        raise ValueError('write top1, or a JSON object such as {"rule": "in_top_k", …}')
    return value


def _none_if_off(value: object) -> object:
    return None if isinstance(value, str) and value.strip().lower() in ("", "none") else value


Name = Annotated[str, Field(min_length=1, max_length=100)]
Rule = Annotated[str | dict[str, Any], BeforeValidator(_rule)]
Synonyms = Annotated[dict[Name, Name], BeforeValidator(_json)]

_PICTURE: dict[str, Any] = {
    "type": "string",
    "format": "binary",
    "contentMediaType": "application/octet-stream",
    "description": "The picture: JPEG, PNG, WebP, BMP, TIFF, GIF or PPM, one frame.",
}
_WIRE_TYPES: Mapping[str, dict[str, Any]] = {
    # What stands in the form where it is not what the field becomes.
    "rule": {
        "anyOf": [{"type": "string"}, {"type": "string", "contentMediaType": "application/json"}]
    },
    "synonyms": {"type": "string", "contentMediaType": "application/json"},
    "good_enough": {"anyOf": [{"type": "number"}, {"type": "string", "enum": ["none", ""]}]},
}


class Fields(BaseModel):
    """Fields of all forms; files are read beside them."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    provider: Name | None = Field(
        None, description="Who is asked; GET /providers lists them. Default: the deployment's."
    )
    sigma: float = Field(
        0.25,
        gt=0,
        le=MAX_SIGMA,
        description="Standard deviation of the noise, on the [0, 1] scale of pixel values.",
    )
    denoiser: Name | None = Field(
        None, description="What cleans the samples; GET /denoisers lists them."
    )
    alpha: float = Field(
        Options.alpha, gt=0, le=0.5, description="Probability that the answer is false."
    )
    size: str | None = Field(
        None,
        min_length=1,
        max_length=20,
        description="Size to bring the picture to, 224 or 320x240. Default: the provider's "
        "native one, else the longer side at most 256 px.",
    )
    encoding: Encoding | None = Field(
        None,
        description="How the samples are sent: png, or jpeg, which is smaller and changes them a "
        "little. Default: png, unless the provider takes nothing but jpeg or the pixels "
        "themselves.",
    )
    rule: Rule = Field(
        "top1",
        description="From an answer to a vote: top1, or a JSON object: any_of (labels, "
        "threshold) or in_top_k (labels, k), which vote yes or no.",
    )
    synonyms: Synonyms = Field(
        default_factory=dict, description='JSON object: {"human": "person"} counts as one label.'
    )


class OnePicture(Fields):
    """Limits of a run about one picture."""

    max_cost: float | None = Field(
        None, ge=0, description="US dollars that the calls may cost; never passed."
    )
    max_seconds: float | None = Field(
        None,
        gt=0,
        le=7 * 86_400,
        description="Stop after this time with what is certain by then.",
    )


class CertifyFields(Fields):
    """When a certification ends, and what it keeps."""

    target_radius: float | None = Field(
        None,
        gt=0,
        description="Stop as soon as the radius reaches it, or cannot; at most 6·sigma.",
    )
    max_votes: int | None = Field(
        None,
        ge=1,
        le=MAX_VOTES,
        description="Votes that may be counted, within what the deployment allows (100,000 unless "
        f"it was set otherwise). Default {Options.max_votes}, or what is allowed if that is less.",
    )
    good_enough: Annotated[float | None, BeforeValidator(_none_if_off)] = Field(
        Options.good_enough,
        gt=0,
        le=1,
        description="Without a target: stop once the radius is this part of what a fixed-n "
        "bound would give at max_votes. `none` or empty turns it off.",
    )
    milestone: int | None = Field(
        None,
        ge=1,
        le=MAX_VOTES,
        description="n of one Clopper-Pearson look; fixed with the picture's first vote.",
    )
    keep_image: bool = Field(
        False,
        description="Keep the canonical picture with the certificate, for as long as the "
        "deployment keeps such pictures.",
    )


class CertifyForm(CertifyFields, OnePicture):
    """POST /certify."""

    label: Name | None = Field(
        None, description="The label you hold to be true: compared with the result, no more."
    )

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of `Surety.prepare`."""
        fields = self.model_dump()
        fields["truth"] = fields.pop("label")
        return fields


class PredictForm(OnePicture):
    """POST /predict."""

    n: int | None = Field(
        None,
        ge=1,
        le=MAX_PREDICT_N,
        description="Votes to count, fixed with the picture's first vote. Default 100.",
    )

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of `Surety.prepare`."""
        fields = self.model_dump()
        fields["predict_n"] = fields.pop("n")
        return fields


Form = TypeVar("Form", bound=Fields)


def read_fields(
    model: type[Form], items: Iterable[tuple[str, str | UploadFile]]
) -> tuple[Form, UploadFile]:
    """Check the parts of a form with one picture.

    Args:
        model: the form.
        items: names and values in the order of the body; a file where a part has a file name.

    Returns:
        The fields, and the file of the field `image`.

    Raises:
        RequestValidationError: if a field is unknown, repeated, missing or wrong.
    """
    form, files = read_parts(model, items, {IMAGE: "the picture"}, required=(IMAGE,))
    return form, files[IMAGE]


def form_schema(
    model: type[Fields], files: Mapping[str, dict[str, Any]] = MappingProxyType({IMAGE: _PICTURE})
) -> dict[str, Any]:
    """Return the JSON schema of a form for OpenAPI, the files included.

    Args:
        model: the form.
        files: schemas of its files; of several none is required.
    """
    schema = model.model_json_schema()
    properties = schema["properties"]
    for name, wire in _WIRE_TYPES.items():
        if name in properties:
            kept = {k: v for k, v in properties[name].items() if k in ("description", "default")}
            properties[name] = wire | kept
    properties["synonyms"]["default"] = "{}"
    schema["properties"] = {**files, **properties}
    schema["required"] = [IMAGE] if IMAGE in files else []
    return schema
