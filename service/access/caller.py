"""Who is asking."""

from dataclasses import dataclass

from service.access.scopes import SCOPES, Scope


@dataclass(frozen=True)
class Caller:
    """Who is asking, as far as the deployment knows.

    Attributes:
        key_id: names the API key that was shown; None where no key is needed, and on the command
            line, whose users can read the store anyhow.
        scopes: what it may do.
    """

    key_id: str | None
    scopes: frozenset[Scope]

    def may(self, scope: Scope) -> bool:
        """Tell whether it may do what a scope allows; admin may do all."""
        return scope in self.scopes or "admin" in self.scopes


ANYBODY = Caller(None, frozenset(SCOPES))
"""Who asks where no keys are needed."""
