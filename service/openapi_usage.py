"""JSON schema of what was used."""

from typing import Any, get_args

from service.access.api_key import BudgetPeriod
from service.openapi_fields import (
    Schema,
    amount,
    count,
    list_of,
    maybe,
    of,
    one_of,
    record,
)
from service.usage.report import DIMENSIONS

_COUNTS: dict[str, Schema] = {
    "certificates": count("That were issued, those issued once more included."),
    "certified": count("Of them, with a label, whatever its radius: it may be 0."),
    "abstained": count("Of them, that certify nothing."),
    "cached": count("Of them, for which nothing was asked: the ledger had all votes."),
    "expected_false_at_most": amount("Sum of their alphas."),
    "predictions": count("Majority answers."),
    "votes": count("That were added to ledgers."),
    "abstentions": count("Of them, for no label."),
    "calls": count("To the provider, those in flight included."),
    "images": count("Pictures sent, those sent again counted again."),
    "retries": count("Pictures that came back without an answer, to be asked about again."),
    "throttled": count("Calls that the provider had no capacity for."),
    "cost": amount("US dollars of answered calls."),
    "cost_at_most": amount("US dollars, if all calls in flight or lost are billed."),
}

_LINE: dict[str, Schema] = {
    "day": maybe("string", "Of UTC, null if they are added up.", format="date"),
    "key": maybe("string", "Id of the API key; null without one, or if they are added up."),
    "name": maybe("string", "What people call the key."),
    "provider": maybe("string", "Who was asked, null if they are added up."),
    **_COUNTS,
}

_LEFT = record(
    "A budget as it stands now.",
    {
        "key": of("string", "Id of the API key."),
        "name": of("string", "What people call it."),
        "budget": amount("US dollars that it may spend in a period."),
        "period": one_of("Days and months are those of UTC.", *get_args(BudgetPeriod)),
        "spent": amount("In the present period, calls in flight included."),
        "left": amount("In the present period."),
        "renewed": maybe("string", "When the next period begins.", format="date-time"),
    },
)

SCHEMAS: dict[str, Any] = {
    "Usage": record(
        "What was used.",
        {
            "from": of("string", "First day of UTC.", format="date"),
            "to": of("string", "Last day, included.", format="date"),
            "by": list_of("What a line is about.", one_of("One of them.", *DIMENSIONS)),
            "usage": list_of(
                "The days in order, in each the keys.", record("What was used.", _LINE)
            ),
            "total": record("Of all lines.", _COUNTS),
            "currency": of("string", "Of the costs.", const="USD"),
            "meaning": of("string", "What the certificates mean together."),
            "budgets": list_of("Of the keys that were asked for and have one.", _LEFT),
        },
    ),
}
