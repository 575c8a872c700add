"""The last call of a run whose API key's budget has ended, to a provider that names no version.

There only votes count that lie between two equal answers about the clean picture (a canary, see
:mod:`certification.canary`). A run that spends all on votes could not ask for the second one, and
what it has paid for would certify nothing. So it keeps the price of one call back
(:meth:`service.usage.meter.Meter.keep`), and looks at its ledger once more with that alone.
"""

from dataclasses import replace
from typing import Any

from certification.canary import is_canary
from certification.collecting import OnProgress
from certification.progress import Progress
from service.issued import Document
from service.usage.meter import Meter

SUMMED = ("calls", "images", "retries", "cost")  # of two looks that are one run


def wants_last_call(made: Document, meter: Meter) -> bool:
    """Tell whether votes may not count for want of a call that the run has kept the money for.

    Args:
        made: what came of the run.
        meter: of the run.
    """
    if meter.refused is None or meter.kept is None:
        return False
    found, images = made.get("proof") or made, made["accounting"]["images"]
    # Where nothing was asked, it may be for votes of a run before this one.
    return (
        found["stop_reason"] == "max_cost"
        and is_canary(found["subject"]["provider"]["model_version"])
        and (meter.votes > 0 or not images)
    )


def as_one(first: Document, last: Document, votes: int) -> Document:
    """Return what came of the last call, with the accounting of the run as a whole.

    Args:
        first: what came of the run before it.
        last: what came of it.
        votes: new ones of the run, which were read again.
    """
    bill, more = first["accounting"], last["accounting"]
    told: dict[str, Any] = {**more, **{name: bill[name] + more[name] for name in SUMMED}}
    told["votes_reused"] = max(0, more["votes_reused"] - votes)
    told["seconds"] = round(bill["seconds"] + more["seconds"], 3)
    return {**last, "accounting": told}


def going_on(on_progress: OnProgress | None, first: Document) -> OnProgress | None:
    """Return what is told of the last call, so that cost and calls go on from the run's."""
    bill = first["accounting"]

    def tell(event: Progress) -> None:
        assert on_progress is not None  # noqa: S101
        on_progress(
            replace(event, cost=event.cost + bill["cost"], calls=event.calls + bill["calls"])
        )

    return None if on_progress is None else tell
