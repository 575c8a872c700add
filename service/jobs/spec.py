"""What a job is to do: the same for all of its pictures, and fixed but for `extend`."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

from certification.options import MOST_COST
from service.access.token import scrubbed
from service.errors import BadRequest, JobConflict

Priority = Literal["low", "normal", "high"]
Allocation = Literal["in_order", "closest"]

SHARES: Mapping[Priority, int] = {"low": 1, "normal": 4, "high": 16}
"""Of the calls, where several jobs wait for the same workers."""

EXTENDABLE = ("target_radius", "max_votes", "alpha", "good_enough")
OWN = ("max_cost", "rate", "priority")
CHANGEABLE = (OWN[0], *EXTENDABLE, *OWN[1:])
"""What `extend` may change: arguments of each run, and fields of the job itself."""
MOST_NAME = 200


@dataclass(frozen=True)
class JobSpec:
    """See the module's text.

    Attributes:
        arguments: of `Surety.prepare`, but for the picture, its name and its truth.
        compute: compute type that the votes belong to, such as "cpu/bfloat16/fused2".
        name: what people call the job.
        max_cost: US dollars that all calls of the job may cost together; never passed.
        rate: units a second for this job, beside the limit of the account.
        priority: its share where several jobs wait.
        allocation: "in_order" finishes one picture after the other; "closest" spends the next
            votes on the pictures that are nearest to their target.
        owner: id of the API key that submitted it; None where there was none.

    Raises:
        BadRequest: if a number is out of its range; names the field.
    """

    arguments: Mapping[str, Any]
    compute: str
    name: str | None = None
    max_cost: float | None = None
    rate: float | None = None
    priority: Priority = "normal"
    allocation: Allocation = "in_order"
    owner: str | None = None

    def __post_init__(self) -> None:
        if self.name is not None:  # it is kept, and somebody will paste a key as one
            object.__setattr__(self, "name", scrubbed(self.name))
        if self.name is not None and not 0 < len(self.name.strip()) <= MOST_NAME:
            raise BadRequest(f"name must have 1 to {MOST_NAME} characters", "name")
        if self.max_cost is not None and not 0 <= self.max_cost <= MOST_COST:
            raise BadRequest(
                f"max_cost must be a number of US dollars from 0 to {MOST_COST:g}", "max_cost"
            )
        if self.rate is not None and not 0.001 <= self.rate <= 1e6:
            raise BadRequest("rate must be from 0.001 to 1,000,000 a second", "rate")
        if self.priority not in get_args(Priority):
            raise BadRequest("priority is low, normal or high", "priority")
        if self.allocation not in get_args(Allocation):
            raise BadRequest("allocation is in_order or closest", "allocation")
        if self.allocation == "closest" and self.arguments.get("target_radius") is None:
            raise BadRequest(
                'the allocation "closest" needs a target_radius that pictures can be close to',
                "allocation",
            )

    @property
    def share(self) -> int:
        """Its share of the calls, see `SHARES`."""
        return SHARES[self.priority]

    def extended(self, changes: Mapping[str, Any]) -> "JobSpec":
        """Return it with a larger budget or target, or another alpha.

        Raises:
            BadRequest: if a field cannot be changed.
        """
        arguments, fields = dict(self.arguments), {}
        for name, value in changes.items():
            if name in EXTENDABLE:
                arguments[name] = value
            elif name in OWN:
                fields[name] = value
            else:
                raise BadRequest(
                    f"{name} is fixed since the job's first vote: submit another job", name
                )
        return dataclasses.replace(self, arguments=arguments, **fields)

    def describe(self) -> dict[str, Any]:
        """Return JSON values."""
        return {**dataclasses.asdict(self), "arguments": dict(self.arguments)}

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """Return what `describe` described.

        Raises:
            JobConflict: if it says more than is known here.
        """
        more = told.keys() - {field.name for field in dataclasses.fields(cls)}
        if more:  # to pass over it might spend what the job forbids
            raise JobConflict(
                "the job was written by a newer version of Surety, which knows "
                f"{', '.join(sorted(more))}: upgrade this process"
            )
        return cls(**told)
