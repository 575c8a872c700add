"""The JSON bodies of the routes about API keys."""

from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from service.access.api_key import LEAST_RATE, MOST_BUDGET, MOST_NAME, MOST_RATE, BudgetPeriod
from service.access.scopes import SCOPES, Scope
from service.access.texts import future, whole_billionths

MOST_OVERLAP = 30 * 86_400.0  # seconds

Name = Annotated[str, Field(min_length=1, max_length=MOST_NAME, description="What people call it.")]
Scopes = Annotated[
    list[Scope], Field(min_length=1, max_length=len(SCOPES), description="What it may do.")
]
Expires = Annotated[
    Annotated[AwareDatetime, Field(strict=False)] | None,
    Field(description="From when on it counts no more, with its time zone; null for never."),
]
Rate = Annotated[
    Annotated[float, Field(ge=LEAST_RATE, le=MOST_RATE)] | None,
    Field(description="Requests a second; null for no limit."),
]
Budget = Annotated[
    Annotated[float, Field(ge=0, le=MOST_BUDGET), AfterValidator(whole_billionths)] | None,
    Field(
        description="US dollars that its calls may cost in a period, 0 or at least "
        "a billionth; null for no limit."
    ),
]
Period = Annotated[
    BudgetPeriod, Field(description="Of the budget; days and months are those of UTC.")
]


class ChangeForm(BaseModel):
    """The JSON body of PATCH /apikeys/{id}; what is left out stays."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)

    name: Name = ""
    scopes: Scopes = []
    expires: Expires = None
    rate: Rate = None
    budget: Budget = None
    budget_period: Period = "month"

    def changes(self) -> dict[str, Any]:
        """Return what is given, as fields of :class:`service.access.api_key.ApiKey`.

        Raises:
            BadRequest: if the key would expire in the past.
        """
        given = self.model_dump(exclude_unset=True)
        if "scopes" in given:
            given["scopes"] = frozenset(given["scopes"])
        if isinstance(given.get("expires"), datetime):
            given["expires"] = future(given["expires"])
        return given


class CreateForm(ChangeForm):
    """The JSON body of POST /apikeys."""

    name: Name
    scopes: Scopes


class RotateForm(BaseModel):
    """The JSON body of POST /apikeys/{id}/rotate."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)

    overlap_seconds: float = Field(
        0, ge=0, le=MOST_OVERLAP, description="For so long the present secret counts too."
    )

    @property
    def overlap(self) -> timedelta:
        """The same as a span."""
        return timedelta(seconds=self.overlap_seconds)


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON schema of a body for OpenAPI."""
    schema = model.model_json_schema()
    if issubclass(model, ChangeForm):
        for field in schema["properties"].values():
            field.pop("default", None)  # what is left out stays, or is none
    return schema
