"""What an adapter is: one provider behind one method.

A new provider is one file with a subclass of `Adapter` and one entry point in the group
`surety.adapters`; nothing else changes:

    [project.entry-points."surety.adapters"]
    mine = "my_package.adapter:MyAdapter"

    class MyAdapter(Adapter):
        name = "mine"
        traits = Traits(payload="png", max_batch=1, price=0.001)

        async def classify(self, images):
            return [Answer((Prediction("cat", 0.98),)) for image in images]

The vocabulary is re-exported here, so that an adapter needs this module alone.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import Any, ClassVar, Self

from adapters.profile import Profile
from certification.decision import Prediction
from certification.protocols import Answer, Outcome, Payload, Refusal, Retry, Traits

__all__ = [
    "Adapter",
    "Answer",
    "Outcome",
    "Payload",
    "Prediction",
    "Profile",
    "Refusal",
    "Retry",
    "Traits",
    "fingerprint",
]


class Adapter(ABC):
    """One provider. Built without arguments: credentials come from the environment.

    The constructor must be cheap (a local model's file may be read) and must not touch the network,
    since listing the providers builds all of them; it raises
    `adapters.errors.MissingExtra` or `NotConfigured` with what to do about it. One instance
    serves many runs at once on one event loop.

    An adapter with settings of its own names a `profile_type` and takes an instance of it as its
    only, optional argument; the fields of `Profile` itself are seen to by the registry.

    Attributes:
        name: what a request calls it: the entry point's name, or that of an operator's profile.
        adapter: the entry point's name; set by the registry.
        summary: one line for people.
        traits: what the provider takes, its limits and its price.
        extra: the extra of this package that brings its SDK, None if it needs none.
        profile_type: what an operator may set, None for no more than `Profile`.
        synonyms: label → label that it counts as, in every request; from the profile.
    """

    name: str
    adapter: str
    summary: ClassVar[str] = ""
    traits: Traits
    extra: ClassVar[str | None] = None
    profile_type: ClassVar[type[Profile] | None] = None
    synonyms: Mapping[str, str] = MappingProxyType({})

    @property
    def options(self) -> Mapping[str, Any]:
        """Settings that shape the answers (JSON values, no secrets); part of the subject."""
        return {}

    @property
    def account(self) -> str:
        """What a rate limit holds for: the same for two adapters with the same credential.

        Never the credential itself; :func:`fingerprint` makes one that can be shown.
        """
        return self.name

    @property
    def secrets(self) -> Collection[str]:
        """What must not stand in a log, beside what the environment holds."""
        return ()

    @abstractmethod
    async def classify(self, images: Sequence[Payload]) -> Sequence[Outcome]:
        """Ask about several pictures in one call.

        Args:
            images: 1 to `traits.max_batch` payloads of the kind `traits.payload`: uint8 arrays
                (H, W, 3), or encoded bytes; for "png" those of a JPEG too, if the caller wants it.

        Returns:
            One outcome per picture, in order: `Answer`, `Refusal` (refused for good) or `Retry`.
            The SDK's own retries are off: whether to ask again is the caller's decision. Throttled,
            unavailable, timed out, connection lost, empty or cut replies are all `Retry`.

        Raises:
            adapters.errors.StopError: if asking again would not help.
        """

    async def close(self) -> None:  # noqa: B027  most adapters hold nothing open
        """Release connections and threads."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


def fingerprint(*parts: str) -> str:
    """Return a short name for a credential that does not give it away."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
