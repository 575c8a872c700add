"""The kinds of problem that a client may meet, each with an explanation for people."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One sort of problem.

    Attributes:
        slug: last part of its `type`.
        status: HTTP status.
        title: the same words every time.
        explanation: what it means and what to do about it.
        field: the form field to blame, where it is always the same one.
    """

    slug: str
    status: int
    title: str
    explanation: str
    field: str | None = None

    @property
    def type(self) -> str:
        """The `type` member of RFC 9457, a reference relative to this service."""
        return f"/problems/{self.slug}"


INTERNAL = Kind(
    "internal",
    500,
    "Something went wrong on our side",
    "A fault of the service, not of the request. The log of the deployment has the particulars.",
)
VALIDATION = Kind(
    "invalid-request",
    422,
    "A field does not hold what it should",
    "`errors` names each field and says what it takes. Unknown fields, repeated fields, numbers "
    "out of range, NaN and infinity are all refused before anything is asked or paid for.",
)
INVALID_PARAMETER = Kind(
    "invalid-parameter",
    422,
    "A parameter is out of range",
    "Each field is sound alone but not with the others, this provider or this deployment; "
    "a target radius, for one, can be at most six times sigma.",
)
BAD_REQUEST = Kind(
    "bad-request",
    422,
    "A field of the request is wrong",
    "`detail` says which, and what it should hold.",
)
MALFORMED = Kind(
    "malformed-body",
    400,
    "The body cannot be read",
    "The body is no well-formed multipart/form-data: a missing boundary, a part without a name, "
    "a text field of more than 64 KiB, or too many parts.",
)
NOT_AN_IMAGE = Kind(
    "not-an-image",
    422,
    "Not a readable picture",
    "The upload is empty, of an unknown format, truncated or damaged. JPEG, PNG, WebP, BMP, "
    "TIFF, GIF and PPM are read, whatever the file is called.",
    "image",
)
UNSUPPORTED_IMAGE = Kind(
    "unsupported-image",
    422,
    "A picture that cannot be certified",
    "A certificate is about one still picture: animations, several pages, samples without an "
    "agreed brightness and pictures more than 100 times as long as wide are refused.",
    "image",
)
OTHER_IMAGE_ERROR = Kind(
    "image",
    422,
    "The picture cannot be used",
    "`detail` says why.",
    "image",
)
TOO_LARGE = Kind(
    "too-large",
    413,
    "The upload is too large",
    "The body, the file or its pixels are over this deployment's limit. The pixels are counted "
    "from the file's header, before anything is decoded. Send a smaller picture.",
    "image",
)
BAD_ARCHIVE = Kind(
    "bad-archive",
    422,
    "The archive cannot be used",
    "It is no zip or tar (plain, gzip, bzip2 or xz), is cut off, damaged or forged, or there is no "
    "picture in it; `detail` says which. Pack the pictures again and send all of it.",
)
ARCHIVE_TOO_LARGE = Kind(
    "archive-too-large",
    413,
    "The archive holds too much",
    "It has more entries than may be taken in at once, or unpacks to more bytes. Submit it as "
    "several jobs. What unpacks to hundreds of times its own size is refused as a bomb.",
)
UNREADABLE_PICTURE = Kind(
    "unreadable-picture",
    422,
    "A picture of the job cannot be read",
    "It is no picture, too large, encrypted, damaged, a link, or has a name that leads out of the "
    "archive. It fails alone; `detail` says why. The other pictures go on.",
)
BAD_TABLE = Kind(
    "bad-table",
    422,
    "A manifest or a file of labels is wrong",
    "`detail` names the line and the column. Nothing of the job was taken in: mend the line and "
    "send it again.",
)
UNSUPPORTED_MEDIA_TYPE = Kind(
    "unsupported-media-type",
    415,
    "The body is not multipart/form-data",
    "Send a form with the file in the field `image`, as `curl -F image=@picture.png` does, "
    "in UTF-8.",
)
NOT_ACCEPTABLE = Kind(
    "not-acceptable",
    406,
    "Neither JSON nor server-sent events are accepted",
    "The Accept header excludes both application/json and text/event-stream.",
)
FORBIDDEN = Kind(
    "foreign-request",
    403,
    "Not asked by this service's own clients",
    "The request comes from another site's web page, or under a name that this service is not "
    "known by. SURETY_ALLOWED_HOSTS names those of a proxy.",
)
SHUTTING_DOWN = Kind(
    "shutting-down",
    503,
    "The service is being ended",
    "It was told to end before this request had an answer. Votes that were paid for are kept; "
    "ask again once it is back.",
)
NOT_FOUND = Kind(
    "not-found",
    404,
    "Nothing here",
    "There is nothing of this path or id. Pictures are kept only where that was asked for, and "
    "not for ever; ended runs can be looked up for some days.",
)
METHOD_NOT_ALLOWED = Kind(
    "method-not-allowed",
    405,
    "Another method is needed",
    "The path exists, but not for this method; the Allow header names those it takes.",
)
LEDGER_CONFLICT = Kind(
    "ledger-conflict",
    409,
    "The ledger was begun with other choices",
    "Milestone and predict's n are fixed before a subject's first vote. Choosing them after "
    "seeing votes would void the bound on errors; leave them out to go on with the fixed ones.",
)
JOB_CONFLICT = Kind(
    "job-conflict",
    409,
    "The job is not in a state for this",
    "What can be done with a job depends on its state; `actions` in GET /jobs/{id} lists it. A "
    "running one has to be paused or cancelled before it is deleted, and must have ended before "
    "it is extended or its failed pictures are asked about again.",
)
MODEL_CHANGED = Kind(
    "model-version-changed",
    409,
    "The provider changed its model",
    "A certificate is about one model version. The votes stay under the old one; asking again "
    "begins a new subject with the new one.",
)
LEDGER_SEALED = Kind(
    "ledger-sealed",
    409,
    "The ledger takes no more votes",
    "Its noise key was revealed to an auditor, so that a provider could fit the samples to come. "
    "Certificates that its votes suffice for are still issued; an operator may have the noise "
    "drawn anew, which every later certificate says.",
)
LEDGER_DAMAGED = Kind(
    "ledger-damaged",
    500,
    "The store holds something that was not written by this deployment",
    "A ledger, or an entry beside it, was changed from outside or damaged; `detail` says where. "
    "It is neither used nor begun again: restore the store from a backup.",
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
RUN_INTERRUPTED = Kind(
    "run-interrupted",
    409,
    "The run ended before there was an answer",
    "It was cancelled, or max_seconds passed, before the provider had named a label. Ask again, "
    "with more time.",
)
UNKNOWN_PROVIDER = Kind(
    "unknown-provider",
    422,
    "No such provider",
    "GET /providers lists those that are installed.",
    "provider",
)
UNKNOWN_DENOISER = Kind(
    "unknown-denoiser",
    422,
    "No such denoiser",
    "GET /denoisers lists those that are installed.",
    "denoiser",
)
UNKNOWN_LABEL = Kind(
    "unknown-label",
    422,
    "The provider knows no such label",
    "The labels of this provider are a closed set; `detail` lists them.",
    "label",
)
PROVIDER_NOT_READY = Kind(
    "provider-not-ready",
    503,
    "The provider is not set up",
    "Its package is missing, or a credential or an address. GET /providers says which.",
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
PROVIDER_BROKEN = Kind(
    "provider-broken",
    500,
    "The provider's adapter is broken",
    "The package of this adapter does not do what an adapter has to. That is for whoever runs "
    "the deployment to mend.",
)
PROVIDER_FAILED = Kind(
    "provider-failed",
    502,
    "The provider failed",
    "It could not be asked to the end. Votes that were paid for are kept: the same request "
    "later goes on from there.",
)
AUTHENTICATION = Kind(
    "provider-authentication",
    502,
    "The provider refuses the credential",
    "The deployment's credential for this provider is wrong or has expired.",
)
PERMISSION = Kind(
    "provider-permission",
    502,
    "The provider denies permission",
    "The deployment's credential may not make this call.",
)
QUOTA = Kind(
    "provider-quota",
    502,
    "The provider's quota is spent",
    "The account's quota or budget is used up. Votes that were paid for are kept.",
)
CALL_REJECTED = Kind(
    "provider-rejects-call",
    502,
    "The provider refuses the call as such",
    "Whatever the picture: the model, region or an option of the deployment's profile is wrong. "
    "`detail` says which, as far as the provider does.",
)
PROVIDER_DOWN = Kind(
    "provider-down",
    503,
    "The provider is down",
    "Too many calls in a row have failed, so nobody calls it for a while. Votes that were paid "
    "for are kept: the same request later goes on from there.",
)
OVERLOADED = Kind(
    "overloaded",
    503,
    "Too busy",
    "All runs are busy and the queue is full. Retry-After says when to come back.",
)
NOT_READY = Kind(
    "not-ready",
    503,
    "Not ready",
    "The default provider or the default denoiser cannot be loaded.",
)

KINDS: tuple[Kind, ...] = tuple(k for k in list(globals().values()) if isinstance(k, Kind))
BY_SLUG = {kind.slug: kind for kind in KINDS}
BY_STATUS = {
    400: MALFORMED,
    403: FORBIDDEN,
    404: NOT_FOUND,
    405: METHOD_NOT_ALLOWED,
    406: NOT_ACCEPTABLE,
    413: TOO_LARGE,
    415: UNSUPPORTED_MEDIA_TYPE,
    500: INTERNAL,
}
