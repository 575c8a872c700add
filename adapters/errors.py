"""What can go wrong with a provider, by what has to be done about it.

    AdapterError
    ├── UnknownAdapter            no adapter of this name is installed
    ├── MissingExtra              its SDK is not installed; the message names the extra
    ├── NotConfigured             a credential or an address is missing; the message names it
    └── StopError                 the run ends at once: asking again would not help
        ├── AuthenticationFailed  the provider does not accept the credential
        ├── PermissionDenied      the credential may not make this call
        ├── QuotaExceeded         the account's quota or budget is spent
        ├── CallRejected          the call as such is refused: unknown model, wrong region or option
        ├── ProviderDown          too many calls in a row have failed: nobody calls it for a while
        └── BrokenReply           the provider's replies cannot be understood

What may be tried again (throttled, unavailable, timed out, connection lost) is no exception but
the outcome `Retry`; what the provider refuses for good is the outcome `Refusal`, an abstention.
Anything else that an adapter raises counts as a fault of it, and its text is not shown.
Messages are safe to show to a client: they never hold a credential or an image.
"""

from certification.errors import StopRun


class AdapterError(Exception):
    """Root of everything that adapters raise on purpose."""


class UnknownAdapter(AdapterError):
    """No adapter of this name is installed."""


class MissingExtra(AdapterError):
    """The provider's SDK is not installed."""


class NotConfigured(AdapterError):
    """A credential, an address or a model file is missing or unusable."""


class StopError(AdapterError, StopRun):
    """The run ends at once: asking again would not help."""


class AuthenticationFailed(StopError):
    """The provider does not accept the credential."""


class PermissionDenied(StopError):
    """The credential may not make this call."""


class QuotaExceeded(StopError):
    """The account's quota or budget is spent."""


class CallRejected(StopError):
    """The call as such is refused, whatever the picture: unknown model, wrong region or option."""


class ProviderDown(StopError):
    """Too many calls in a row have failed: nobody calls the provider for a while."""


class BrokenReply(StopError):
    """The provider's replies cannot be understood."""
