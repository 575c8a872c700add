"""The keyring: all that a deployment derives noise from and signs with, by id."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from certification.signing import Signer


@dataclass(frozen=True)
class KnownKey:
    """What may be told of a secret or a signing key.

    Attributes:
        id: its name.
        created: when it was made or, if it is the environment's, first seen; None if that could
            not be written down.
        current: whether new ledgers or certificates use it.
        origin: the variable or file that it comes from.
    """

    id: str
    created: str | None
    current: bool
    origin: str


@dataclass(frozen=True)
class PublicKey(KnownKey):
    """The public half of a signing key.

    Attributes:
        public: 32 raw bytes.
    """

    public: bytes

    def describe(self) -> dict[str, Any]:
        """Return the entry of `GET /keys`."""
        return {
            "id": self.id,
            "algorithm": "Ed25519",
            "public_key": self.public.hex(),
            "created": self.created,
            "current": self.current,
        }


class Secrets(Mapping[str, bytes]):
    """Secrets by id that are not printed by accident."""

    def __init__(self, known: Mapping[str, bytes]) -> None:
        self._known = dict(known)

    def __getitem__(self, name: str) -> bytes:
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def __repr__(self) -> str:
        return f"<secrets {', '.join(self._known)}>"


@dataclass(frozen=True, repr=False)
class Keyring:
    """All keys of a deployment.

    Attributes:
        secrets: secret id → 32 bytes, old ones too.
        current_secret_id: the one that new ledgers are begun under.
        signer: signs new certificates.
        public_keys: all that are known, oldest first.
        known_secrets: what may be told of the secrets, oldest first.
    """

    secrets: Mapping[str, bytes]
    current_secret_id: str
    signer: Signer
    public_keys: tuple[PublicKey, ...]
    known_secrets: tuple[KnownKey, ...]

    @property
    def current_secret(self) -> bytes:
        """The secret that new ledgers are begun under."""
        return self.secrets[self.current_secret_id]

    def describe(self) -> dict[str, Any]:
        """Return the body of `GET /keys`: public keys and nothing else."""
        return {"keys": [key.describe() for key in self.public_keys]}

    def __repr__(self) -> str:
        old = [name for name in self.secrets if name != self.current_secret_id]
        return (
            f"Keyring(secret {self.current_secret_id}, old secrets {old}, "
            f"signing key {self.signer.key_id})"
        )
