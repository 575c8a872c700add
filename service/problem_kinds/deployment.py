"""The deployment itself: its store, its parts, how busy it is."""

from service.problem_kinds.kind import Kind

INTERNAL = Kind(
    "internal",
    500,
    "Something went wrong on our side",
    "A fault of the service, not of the request. The log of the deployment has the particulars.",
)
SHUTTING_DOWN = Kind(
    "shutting-down",
    503,
    "The service is being ended",
    "It was told to end before this request had an answer. Votes that were paid for are kept; "
    "ask again once it is back.",
)
OVERLOADED = Kind(
    "overloaded",
    429,
    "Too busy",
    "All places are taken: of runs and of those that wait for one, of uploads, of runs that go on "
    "without a client, of event streams, or of connections; `detail` says which. Where there are "
    "several API keys, each may have half of them at most. Retry-After says when to come back.",
)
NOT_READY = Kind(
    "not-ready",
    503,
    "Not ready",
    "The store does not take what is written, the device does not compute, or the default denoiser "
    "or provider cannot be loaded: `errors` names each of store, device, weights and provider that "
    "is not ready.",
)
STORE_AWAY = Kind(
    "store-unavailable",
    503,
    "The store is away",
    "Ledgers and certificates cannot be read or written now. Runs that are going on wait for it, "
    "and nothing is lost; Retry-After says when to try again.",
)
STORE_REFUSES = Kind(
    "store-refuses",
    503,
    "The store refuses this deployment",
    "The password or the permissions of SURETY_REDIS_URL are wrong. That is for whoever runs the "
    "deployment to mend.",
)
LEDGER_DAMAGED = Kind(
    "ledger-damaged",
    500,
    "The store holds something that was not written by this deployment",
    "A ledger, or an entry beside it, was changed from outside or damaged; `detail` says where. "
    "It is neither used nor begun again: restore the store from a backup.",
)
FORMAT_NOT_READY = Kind(
    "format-not-ready",
    503,
    "Results in this format cannot be written here",
    "A package is missing on this deployment; `detail` names it. JSONL and CSV need none.",
)
DENOISER_NOT_READY = Kind(
    "denoiser-not-ready",
    503,
    "The denoiser cannot be loaded",
    "Its weights are damaged or missing on this deployment.",
)
NO_ROOM = Kind(
    "no-room",
    507,
    "No room for the upload",
    "The disk that uploads are kept on while they are read is nearly full. Nothing of this one "
    "was kept.",
)
STORED_TOO_MUCH = Kind(
    "too-many-pictures-kept",
    507,
    "No room for further pictures of jobs",
    "Pictures of jobs, and uploads for them, are kept in the store up to a bound, of which an API "
    "key may have half. Nothing of this request was kept. Delete jobs that have ended (DELETE "
    "/jobs/{id}), or send fewer pictures; an upload that no job has named goes after a day. "
    "Whoever runs the deployment can raise SURETY_MAX_STORED_PICTURES_BYTES, if the store has the "
    "memory.",
)
