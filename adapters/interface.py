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

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, ClassVar, Self

from certification.decision import Prediction
from certification.protocols import Answer, Outcome, Payload, Refusal, Retry, Traits

__all__ = [
    "Adapter",
    "Answer",
    "Outcome",
    "Payload",
    "Prediction",
    "Refusal",
    "Retry",
    "Traits",
]


class Adapter(ABC):
    """One provider. Built without arguments: credentials come from the environment.

    The constructor must be cheap and must not touch the network; it raises
    `adapters.errors.MissingExtra` or `NotConfigured` with what to do about it. One instance
    serves many runs at once on one event loop.

    Attributes:
        name: what a request calls it.
        summary: one line for people.
        traits: what the provider takes, its limits and its price.
    """

    name: ClassVar[str]
    summary: ClassVar[str] = ""
    traits: Traits

    @property
    def options(self) -> Mapping[str, Any]:
        """Settings that shape the answers (JSON values, no secrets); part of the subject."""
        return {}

    @abstractmethod
    async def classify(self, images: Sequence[Payload]) -> Sequence[Outcome]:
        """Ask about several pictures in one call.

        Args:
            images: 1 to `traits.max_batch` payloads of the kind `traits.payload`: uint8 arrays
                (H, W, 3), or encoded bytes.

        Returns:
            One outcome per picture, in order: `Answer`, `Refusal` (refused for good) or `Retry`.
            The SDK's own retries are off: whether to ask again is the caller's decision.

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
