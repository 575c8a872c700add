"""What an API key may use: its money, its rate."""

from service.problem_kinds.kind import Kind

BUDGET_SPENT = Kind(
    "budget-spent",
    402,
    "The API key's budget is spent",
    "What the key may spend in a day, in a month or in all does not pay for the next call, those "
    "in flight counted; `detail` says which budget, and when it is renewed, as Retry-After does. "
    "Votes that were paid for are kept, and what the ledger answers costs nothing.",
)
TOO_MANY_REQUESTS = Kind(
    "too-many-requests",
    429,
    "The API key asks too fast",
    "The key may make so many requests a second, over all of its clients together. Retry-After "
    "says when the next one is let through.",
)
