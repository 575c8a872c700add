"""What an error of one picture means for its job."""

from dataclasses import dataclass
from typing import Any, Literal

import adapters.errors
import certification.errors
import denoisers.errors
import service.errors
from service.problems import problem_of

HOLD_SECONDS = 30.0  # a provider that is down is tried again after

BUDGET_SECONDS = 300.0  # a budget that is spent is looked at again after, should it be raised

ELSEWHERE_SECONDS = 2.0  # that a worker which is not set up for a job leaves its picture to others

What = Literal["back", "elsewhere", "hold", "pause", "unpaid", "failed"]


@dataclass(frozen=True)
class Stop:
    """See the module's text.

    Attributes:
        what: "back" puts the picture back to those that wait; "elsewhere" does so because this
            process is not set up for the job, as others may be; "hold" does so, and no picture of
            the job is handed out for a while; "pause" pauses the job, since every picture would
            fail alike; "unpaid" and "failed" end the picture.
        problem: RFC 9457, without an instance.
        seconds: for which "hold" does so.
    """

    what: What
    problem: dict[str, Any]
    seconds: float = HOLD_SECONDS


def stop_of(error: Exception, where: str) -> Stop:
    """Tell what to do about an error.

    Args:
        error: of one picture's work.
        where: reference to the picture.
    """
    problem = problem_of(error).describe(where)
    if isinstance(error, service.errors.BudgetSpent) and error.retry_after is not None:
        return Stop("hold", problem, min(BUDGET_SECONDS, error.retry_after))
    return Stop(_what(error), problem)


def _what(error: Exception) -> What:
    match error:
        case certification.errors.InvalidParameter(field="max_cost"):
            return "unpaid"
        case adapters.errors.ProviderDown():
            return "hold"
        case (
            adapters.errors.UnknownAdapter()
            | adapters.errors.MissingExtra()
            | adapters.errors.NotConfigured()
            | denoisers.errors.UnknownDenoiser()
        ):
            return "elsewhere"
        case (
            adapters.errors.AdapterError()
            | denoisers.errors.DenoiserError()
            | service.errors.BudgetSpent()
        ):
            return "pause"
        case (
            service.errors.StoreError()
            | service.errors.ShuttingDown()
            | certification.errors.ClaimLost()
            | certification.errors.LedgerUnavailable()
            | certification.errors.RunInterrupted()
        ):
            return "back"
        case _:
            return "failed"
