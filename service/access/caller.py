"""Who is asking."""

from dataclasses import dataclass, field

from service.access.api_key import ApiKey
from service.access.scopes import SCOPES, Scope


@dataclass(frozen=True)
class Caller:
    """Who is asking, as far as the deployment knows.

    Attributes:
        key_id: names the API key that was shown; None where no key is needed, and on the command
            line, whose users can read the store anyhow.
        scopes: what it may do.
        key: the API key, with its limits.
    """

    key_id: str | None
    scopes: frozenset[Scope]
    key: ApiKey | None = field(default=None, compare=False)

    @classmethod
    def of(cls, key: ApiKey) -> "Caller":
        """Return who shows an API key."""
        return cls(key.id, key.scopes, key)

    def may(self, scope: Scope) -> bool:
        """Tell whether it may do what a scope allows; admin may do all."""
        return scope in self.scopes or "admin" in self.scopes

    def sees_only(self) -> str | None:
        """Return the key whose things alone it may look at; None for everything."""
        return None if self.may("read") else self.key_id

    def changes_only(self) -> str | None:
        """Return the key whose things alone it may act on; None for everything."""
        return None if "admin" in self.scopes else self.key_id


ANYBODY = Caller(None, frozenset(SCOPES))
"""Who asks where no keys are needed."""

NOBODY = Caller(None, frozenset())
"""Who asks for what everybody may have, such as GET /health/live."""
