"""Runs, ledgers and jobs that are not in a state for what was asked."""

from service.problem_kinds.kind import Kind

LEDGER_CONFLICT = Kind(
    "ledger-conflict",
    409,
    "The ledger was begun with other choices",
    "Milestone and predict's n are fixed before a subject's first vote. Choosing them after "
    "seeing votes would void the bound on errors; leave them out to go on with the fixed ones.",
)
LEDGER_SEALED = Kind(
    "ledger-sealed",
    409,
    "The ledger takes no more votes",
    "Its noise key was revealed to an auditor, so that a provider could fit the samples to come. "
    "Certificates that its votes suffice for are still issued; an operator may have the noise "
    "drawn anew, which every later certificate says.",
)
MODEL_CHANGED = Kind(
    "model-version-changed",
    409,
    "The provider changed its model",
    "A certificate is about one model version. The votes stay under the old one; asking again "
    "begins a new subject with the new one.",
)
RUN_INTERRUPTED = Kind(
    "run-interrupted",
    409,
    "The run ended before there was an answer",
    "It was cancelled, or max_seconds passed, before the provider had named a label. Ask again, "
    "with more time.",
)
JOB_CONFLICT = Kind(
    "job-conflict",
    409,
    "The job is not in a state for this",
    "What can be done with a job depends on its state; `actions` in GET /jobs/{id} lists it. A "
    "running one has to be paused or cancelled before it is deleted, and must have ended before "
    "it is extended or its failed pictures are asked about again.",
)
