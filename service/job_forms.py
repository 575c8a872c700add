"""The forms of POST /jobs and POST /estimate; their fields for a picture are those of /certify."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from certification.options import MAX_VOTES
from service.errors import BadRequest
from service.forms import CertifyFields, form_schema
from service.jobs.rate_text import parse_rate
from service.jobs.spec import MOST_NAME, Allocation, Priority

ARCHIVE, MANIFEST, LABELS = "archive", "manifest", "labels"
FILES = {
    ARCHIVE: "the archive",
    MANIFEST: "the manifest",
    LABELS: "the labels",
}
MOST_PICTURES = 10_000_000  # of an estimate
OF_JOB = ("name", "max_cost", "rate", "priority", "allocation")


def _rate(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return parse_rate(value)
    except BadRequest as error:
        raise ValueError(str(error)) from None


Rate = Annotated[float, BeforeValidator(_rate), Field(ge=0.001, le=1e6)]

_JOB_COST = "US dollars that all calls of the job may cost together; never passed."
_RATE = (
    "Calls or pictures a second, whichever the provider counts, beside the account's own limit: "
    "20, 20/s, 600/min."
)
_PRIORITY = "Share of the workers where several jobs wait: low 1, normal 4, high 16."


class JobForm(CertifyFields):
    """POST /jobs."""

    name: str | None = Field(
        None, min_length=1, max_length=MOST_NAME, description="What you call the job."
    )
    labels: Literal["folders"] | None = Field(
        None,
        description="The true labels: a file (CSV or JSONL with name and label), or the word "
        "folders: each picture's is the folder that it lies in.",
    )
    max_cost: float | None = Field(None, ge=0, description=_JOB_COST)
    rate: Rate | None = Field(None, description=_RATE)
    priority: Priority = Field("normal", description=_PRIORITY)
    allocation: Allocation = Field(
        "in_order",
        description="in_order finishes one picture after the other; closest spends the next votes "
        "on the pictures that are nearest to the target_radius, so that a fixed max_cost decides "
        "most.",
    )

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of `Surety.prepare`, the same for all pictures."""
        return self.model_dump(include={*CertifyFields.model_fields})

    def job_fields(self) -> dict[str, Any]:
        """Return the further fields of :class:`service.jobs.spec.JobSpec`."""
        return self.model_dump(include={*OF_JOB})


class SubmitForm(JobForm):
    """POST /jobs, the question whether to submit included."""

    dry_run: bool = Field(
        False, description="Only check everything and answer with the estimate, as POST /estimate."
    )


class EstimateForm(JobForm):
    """POST /estimate."""

    pictures: int | None = Field(
        None, ge=1, le=MOST_PICTURES, description="How many, in place of an archive or manifest."
    )
    pilot: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="Really ask about so many of the pictures, which costs money, and estimate "
        "from their votes. Needs an archive or a manifest.",
    )
    pilot_max_cost: float | None = Field(
        None, ge=0, description="US dollars that the pilot may cost; never passed."
    )


class ExtendForm(BaseModel):
    """The JSON body of POST /jobs/{id}/extend."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)

    max_cost: float | None = Field(None, ge=0, description=_JOB_COST)
    target_radius: float | None = Field(
        None, gt=0, description="Larger or smaller than before; null for none."
    )
    max_votes: int = Field(1000, ge=1, le=MAX_VOTES, description="Votes a picture.")
    alpha: float = Field(0.001, gt=0, le=0.5, description="Probability of a false answer.")
    good_enough: float | None = Field(None, gt=0, le=1, description="null turns it off.")
    rate: Rate | None = Field(None, description=_RATE)
    priority: Priority = Field("normal", description=_PRIORITY)

    def changes(self) -> dict[str, Any]:
        """Return what is to be changed."""
        return self.model_dump(exclude_unset=True)


def job_schema(model: type[JobForm]) -> dict[str, Any]:
    """Return the JSON schema of a form for OpenAPI."""

    def file(words: str, media_type: str) -> dict[str, Any]:
        return {
            "type": "string",
            "format": "binary",
            "contentMediaType": media_type,
            "description": words,
        }

    files = {
        ARCHIVE: file(
            "The pictures: a zip, or a tar (plain, gzip, bzip2 or xz).", "application/octet-stream"
        ),
        MANIFEST: file(
            "In place of the archive: a line (JSONL or CSV) for each picture that was uploaded "
            "with POST /pictures: image (sha256:…), name, label.",
            "application/jsonl",
        ),
    }
    schema = form_schema(model, files)
    schema["properties"]["rate"] = {
        "type": "string",
        "description": _RATE,
    }
    return schema


def extend_schema() -> dict[str, Any]:
    """Return the JSON schema of `ExtendForm` for OpenAPI: what is left out stays as it is."""
    schema = ExtendForm.model_json_schema()
    for field in schema["properties"].values():
        field.pop("default", None)
    rate = schema["properties"]["rate"]
    rate["anyOf"] = [{"type": "number"}, {"type": "string"}, {"type": "null"}]
    return schema
