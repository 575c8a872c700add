"""What goes wrong on request: latency, limits, faults by chance or by script.

A plan is a JSON or TOML file, or what is sent to the control server while the emulator runs:

    seed = 1
    latency = { median = 0.05, spread = 0.3 }      # seconds; log-normal, spread 0 for a fixed one
    rate = { limit = 50, per_seconds = 1.0, unit = "image" }
    shares = { throttle = 0.05, server_error = 0.05, drop = 0.05 }
    script = ["ok", "throttle", "drop"]            # the next calls, before the shares
    refused = 0.02                                 # share of pictures, always the same ones
    retry_after = 1
    credentials = "bad"
    change_version_after = 100
"""

import json
import math
import random
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Fault = Literal[
    "ok",  # none
    "throttle",  # the provider's own answer to too many calls
    "server_error",  # the provider's own internal error, 500 or the like
    "unavailable",  # 503, UNAVAILABLE
    "timeout",  # no answer for `timeout` seconds, then the connection is closed
    "drop",  # the connection is closed without an answer
    "truncate",  # half of a right answer
    "empty",  # a success that holds nothing
    "partial",  # batches: some pictures fail for now, the others are answered
    "bad_credentials",  # the credential is not accepted
    "forbidden",  # the credential may not make this call
    "quota",  # the account's quota or budget is spent
]
FAULTS: tuple[Fault, ...] = Fault.__args__  # type: ignore[attr-defined]


class BadFaults(ValueError):
    """A plan cannot be read; the message says where."""


class Latency(BaseModel):
    """Seconds until an answer: log-normal with this median, `spread` its σ in log space."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    median: float = Field(0.0, ge=0, le=600)
    spread: float = Field(0.0, ge=0, le=5)


class Rate(BaseModel):
    """At most `limit` units in any window of `per_seconds`."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    limit: int = Field(ge=1)
    per_seconds: float = Field(1.0, gt=0, le=3600)
    unit: Literal["image", "request"] = "image"


class Faults(BaseModel):
    """A plan; see the module's text.

    Attributes:
        seed: of what happens by chance: the same seed, the same faults in the order of calls.
        latency: of every answer.
        rate: what is throttled beyond.
        shares: probability of each fault for a call.
        script: faults of the next calls, one each; "ok" for none.
        refused: share of pictures that are refused for good, chosen by their SHA-256.
        retry_after: seconds named in throttle answers, None for none.
        timeout: seconds that a "timeout" hangs.
        credentials: "bad" refuses every credential.
        change_version_after: answers after which the model version changes, None for never.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    seed: int = 0
    latency: Latency = Latency()
    rate: Rate | None = None
    shares: dict[Fault, float] = Field(default_factory=dict)
    script: list[Fault] = Field(default_factory=list)
    refused: float = Field(0.0, ge=0, le=1)
    retry_after: float | None = Field(None, ge=0)
    timeout: float = Field(60.0, gt=0, le=3600)
    credentials: Literal["good", "bad"] = "good"
    change_version_after: int | None = Field(None, ge=0)

    def model_post_init(self, _context: Any) -> None:  # noqa: ANN401  pydantic's own
        """Refuse shares that are no probabilities."""
        if (
            any(share < 0 for share in self.shares.values())
            or math.fsum(self.shares.values()) > 1 + 1e-9
        ):
            raise ValueError("shares must be 0 or more, and together at most 1")

    def drawn(self, call: int) -> Fault:
        """Return what happens to a call by chance, always the same for a number and a seed."""
        place = random.Random(f"{self.seed}/{call}").random()  # noqa: S311  no secret
        for fault, share in self.shares.items():
            if place < share:
                return fault
            place -= share
        return "ok"

    def delay(self, call: int) -> float:
        """Seconds until the answer to a call."""
        chance = random.Random(f"{self.seed}/{call}/latency")  # noqa: S311
        return self.latency.median * chance.lognormvariate(0.0, self.latency.spread)

    def refuses(self, sha256: str) -> bool:
        """Tell whether a picture is one of those refused for good."""
        return int(sha256[:8], 16) < self.refused * 2**32


def parse(document: object) -> Faults:
    """Read a plan.

    Raises:
        BadFaults: naming each wrong place.
    """
    try:
        return Faults.model_validate(document)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'plan'}: {e['msg']}" for e in error.errors()
        )
        raise BadFaults(wrong) from None


def read(path: Path) -> Faults:
    """Read a plan from a file, TOML or (a name ending in .json) JSON.

    Raises:
        BadFaults: if it cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
        document = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise BadFaults(f"{path}: {error}") from None
    try:
        return parse(document)
    except BadFaults as error:
        raise BadFaults(f"{path}: {error}") from None
