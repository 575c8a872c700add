"""What the provider did, or was not set up for."""

from service.problem_kinds.kind import Kind

PROVIDER_NOT_READY = Kind(
    "provider-not-ready",
    503,
    "The provider is not set up",
    "Its package is missing, or a credential or an address. GET /providers says which to an "
    "API key with the scope admin, and the log to whoever runs the deployment.",
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
