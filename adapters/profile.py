"""A profile: what an operator may set for one provider, in the file SURETY_PROVIDERS_FILE.

    [mynet]                      # the name that a request gives
    adapter = "onnx"             # an installed adapter; left out if the name is one
    model = "/srv/models/mynet.onnx"
    concurrency = 2

Requests only name a profile. Addresses, headers and paths never come from a request.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo


def _from_its_file(path: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder")
    try:
        path = path.expanduser()
    except RuntimeError:  # "~nobody"
        raise ValueError("its user has no home folder here") from None
    return path if folder is None else Path(folder) / path


ProfilePath = Annotated[Path, AfterValidator(_from_its_file)]
"""A path in a profile: relative ones count from the folder of the profiles' file."""


class Profile(BaseModel):
    """What can be set for every adapter; each adapter derives its own from it.

    Attributes:
        price: US dollars per billed unit, in place of the table's.
        rate: units a second that the account may send, in place of the table's.
        rate_unit: what the provider counts for it.
        concurrency: most calls in flight.
        timeout: seconds within which a call has to be answered.
        label_map: file of synonyms that count for every request, see
            :mod:`adapters.label_map`.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    price: float | None = Field(None, ge=0)
    rate: float | None = Field(None, gt=0)
    rate_unit: Literal["image", "request"] | None = None
    concurrency: int | None = Field(None, ge=1, le=1024)
    timeout: float | None = Field(None, gt=0, le=600)
    label_map: ProfilePath | None = None
