"""What the engine needs from the rooms beside it: a denoiser, a classifier, a ledger.

They are protocols: whatever has these attributes will do, and nothing here imports it.
"""

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from certification.decision import Prediction

Pixels = NDArray[np.uint8]
Payload = bytes | Pixels


@dataclass(frozen=True)
class Answer:
    """The provider answered.

    Attributes:
        predictions: all labels it gave, in its own order; may be empty.
        model_version: the version that answered, where the provider tells.
    """

    predictions: tuple[Prediction, ...]
    model_version: str | None = None


@dataclass(frozen=True)
class Refusal:
    """The provider refuses this picture for good: an abstention, never asked again.

    Attributes:
        reason: what the provider said, without secrets.
        model_version: the version that refused, where the provider tells.
    """

    reason: str
    model_version: str | None = None


@dataclass(frozen=True)
class Retry:
    """The call failed for now: the same bytes are asked again.

    Attributes:
        reason: what the provider said, without secrets.
        after: seconds to wait, where the provider tells.
        billed: whether the provider charges for the failed picture.
        throttled: whether it only asks for fewer calls, and is not at fault itself.
    """

    reason: str
    after: float | None = None
    billed: bool = False
    throttled: bool = False


Outcome = Answer | Refusal | Retry


@dataclass(frozen=True)
class Traits:
    """What a provider takes and what it costs.

    Attributes:
        payload: "pixels" for uint8 arrays (H, W, 3); "png" for a file's bytes, PNG or, where the
            caller asks for it, JPEG (which of them its first bytes say); "jpeg" for JPEG alone.
        max_batch: pictures in one call.
        concurrency: most calls that may be in flight together.
        input_size: (height, width) that the model takes, if it is fixed.
        min_side: smallest side in pixels; smaller pictures are enlarged after denoising.
        max_side: largest side in pixels.
        max_pixels: largest area in pixels.
        max_bytes: largest encoded picture. Noise hardly compresses, so a picture whose samples
            could be larger is refused before the first call.
        unit: what is billed, a picture or a call.
        price: US dollars per unit.
        labels: every label the model knows, if the set is closed.
        pins_version: whether a model version can be asked for.
        names_version: whether its answers name the model's version. Where they do not, the clean
            picture is asked about again and again (a canary); this tells estimates, and jobs to
            keep the money of the last one back.
        rate: what the account may send a second, in `rate_unit`; None if unknown or unlimited.
        rate_unit: what the provider counts, pictures or calls.
        timeout: seconds within which a call has to be answered.
    """

    payload: Literal["pixels", "png", "jpeg"] = "png"
    max_batch: int = 1
    concurrency: int = 4
    input_size: tuple[int, int] | None = None
    min_side: int = 1
    max_side: int | None = None
    max_pixels: int | None = None
    max_bytes: int | None = None
    unit: Literal["image", "request"] = "image"
    price: float = 0.0
    labels: tuple[str, ...] | None = None
    pins_version: bool = False
    names_version: bool = False
    rate: float | None = None
    rate_unit: Literal["image", "request"] = "image"
    timeout: float = 30.0

    def units(self, images: int) -> int:
        """Return what a call with so many pictures may be billed, in `unit`."""
        return images if self.unit == "image" else 1

    def rate_units(self, images: int) -> int:
        """Return what a call with so many pictures counts against the rate, in `rate_unit`."""
        return images if self.rate_unit == "image" else 1


class Classifier(Protocol):
    """An image classifier that can only be called (an adapter)."""

    @property
    def name(self) -> str:
        """Name of the provider, as a request gives it."""
        ...

    @property
    def traits(self) -> Traits:
        """What it takes and what it costs."""
        ...

    @property
    def options(self) -> Mapping[str, Any]:
        """Settings that shape the answers; part of the subject."""
        ...

    async def classify(self, images: Sequence[Payload]) -> Sequence[Outcome]:
        """Ask about several pictures.

        Args:
            images: at most `traits.max_batch` payloads of the kind `traits.payload`.

        Returns:
            One outcome per picture, in the same order. What may be tried again is a
            `Retry`.

        Raises:
            StopRun: if the whole run has to stop. Any other exception is a fault of it.
        """
        ...


class Permit(Protocol):
    """Leave to make one call."""

    def done(self, outcomes: Sequence[Outcome] | None) -> None:
        """Tell what came of the call.

        Args:
            outcomes: None if it ended in an exception, or was cancelled.
        """
        ...

    def unused(self) -> None:
        """Give it back: the call was not made."""
        ...


class Gate(Protocol):
    """Lets calls to one account of a provider through: as many as it takes, while it is up.

    All runs of a deployment that use the account share it.
    """

    async def enter(self, images: int) -> Permit:
        """Wait until a call with so many pictures may start.

        Raises:
            StopRun: if the provider is down and not worth waiting for.
        """
        ...


class Gates(Protocol):
    """The gates of a deployment."""

    def of(self, classifier: Classifier) -> Gate:
        """Return the gate of a classifier's account."""
        ...


class Denoiser(Protocol):
    """Removes the noise before the classifier sees a sample."""

    @property
    def name(self) -> str:
        """Name of the denoiser, as a request gives it."""
        ...

    @property
    def weights_sha256(self) -> str | None:
        """SHA-256 of the weights, None if it has none."""
        ...

    @property
    def compute(self) -> str:
        """Compute type: device class, precision and way, such as "cpu/float32"."""
        ...

    def batch_of(self, height: int, width: int) -> int:
        """Return how many pictures of this size go through it together; fewer take as long.

        Always the same for a size, but for fewer after the memory has run out.
        """
        ...

    def clean(self, noisy: NDArray[np.int16], sigma: float) -> Pixels:
        """Clean a batch; called from a thread.

        Args:
            noisy: int16 (N, H, W, 3), picture plus noise on the 0..255 scale, not clipped.
            sigma: standard deviation of the noise on the [0, 1] scale.

        Returns:
            uint8 (N, H, W, 3). Each picture's result depends on that picture alone.
        """
        ...


@runtime_checkable
class SideBySide(Protocol):
    """A denoiser that cleans several batches at once, each filled up to `batch_of` pictures."""

    def at_once(self, height: int, width: int) -> int:
        """Return how many pictures of this size it cleans in the time of one batch."""
        ...


def at_once(denoiser: Denoiser, height: int, width: int) -> int:
    """Return how many pictures of this size are best given to a denoiser together."""
    if isinstance(denoiser, SideBySide):
        return denoiser.at_once(height, width)
    return denoiser.batch_of(height, width)


@runtime_checkable
class DrawsNoise(Protocol):
    """A denoiser that can draw the noise where it runs: the same bits, without the transfer."""

    @property
    def draws_noise(self) -> bool:
        """Whether that is faster than drawing on the CPU."""
        ...

    def clean_drawn(
        self, pixels: Pixels, key: bytes, start: int, count: int, sigma: float
    ) -> Pixels:
        """Draw, add and clean samples start … start+count−1 of a picture; called from a thread.

        Args:
            pixels: uint8 (H, W, 3), the canonical picture.
            key: 16 bytes, the key of the noise.
            start: index of the first sample.
            count: samples.
            sigma: standard deviation of the noise on the [0, 1] scale.

        Returns:
            uint8 (count, H, W, 3), bit-identical to `clean` of `certification.noise.draw_many`
            plus the picture.
        """
        ...


Vote = str | None
"""A label's key, or None for an abstention."""


@dataclass(frozen=True)
class CleanAnswer:
    """The provider's answer to the clean canonical image, the first call of every run.

    Attributes:
        vote: the named label, None if the provider abstained.
        model_version: the version that all votes must come from, where the provider tells.
    """

    vote: Vote
    model_version: str | None


@dataclass(frozen=True)
class Header:
    """What is fixed before vote 0 and never changes.

    Attributes:
        subject: everything that defines the smoothed classifier and its input.
        clean: the answer that names the label.
        milestone: n of the one Clopper-Pearson look, if any.
        predict_n: the one n at which `predict` looks.
        key_sha256: SHA-256 of the noise key.
        secret_id: names the deployment secret that the noise key is derived from.
    """

    subject: Mapping[str, Any]
    clean: CleanAnswer
    milestone: int | None
    predict_n: int
    key_sha256: str
    secret_id: str


@dataclass(frozen=True)
class Rerolls:
    """How often an operator has had the noise of a subject drawn anew.

    Attributes:
        count: times.
        alpha_spent: sum over the ledgers before of the largest alpha that was used on each.
    """

    count: int
    alpha_spent: float

    def describe(self) -> dict[str, Any]:
        """Return the entry of the subject."""
        return {"count": self.count, "alpha_spent": self.alpha_spent}


Waiter = Callable[[Coroutine[Any, Any, bool]], Awaitable[bool]]
"""Awaits something, or raises RunInterrupted."""


class Ledger(Protocol):
    """The votes of one subject in index order, kept for good."""

    @property
    def header(self) -> Header:
        """What was fixed before vote 0."""
        ...

    async def read(self, start: int = 0) -> list[Vote]:
        """Return the votes from index `start` on.

        Raises:
            LedgerDamaged: if they are not the ones that were written.
        """
        ...

    async def append(
        self, start: int, votes: Sequence[Vote], names: Mapping[str, str] | None = None
    ) -> None:
        """Add votes start, start+1, …; those already there are left as they are.

        Args:
            start: index of the first one.
            votes: in index order.
            names: how the provider writes their labels; the first spelling stays.

        Raises:
            LedgerConflict: if `start` would leave a gap, or a vote differs from the kept one.
            LedgerSealed: if the noise key was revealed.
            ClaimLost: if another worker has taken the subject over; nothing was added.
        """
        ...

    async def spend(self, alpha: float) -> None:
        """Note, before anybody looks at votes, with which probability of error that is done."""
        ...

    async def names(self) -> Mapping[str, str]:
        """Return label key → the provider's spelling."""
        ...

    async def vouch(self, length: int) -> None:
        """Note that the first `length` votes lie between two equal answers to the canary."""
        ...

    async def vouched(self) -> int:
        """Return the largest length that was vouched for."""
        ...


class Ledgers(Protocol):
    """All ledgers of a deployment."""

    async def find(self, draft: str) -> Ledger | None:
        """Return the ledger now in use for a subject whose model version is not yet known.

        Args:
            draft: SHA-256 of the subject without its model version.
        """
        ...

    async def open(
        self, draft: str, header: Header, names: Mapping[str, str] | None = None
    ) -> Ledger:
        """Begin a ledger, or return the one that this subject already has.

        The subject names the model version, so one that comes back finds its old ledger, with
        the choices that were fixed then.

        Args:
            draft: SHA-256 of the subject without its model version.
            header: is fixed for good.
            names: how the provider writes the clean answer's label.
        """
        ...

    async def rerolls(self, draft: str) -> Rerolls | None:
        """Return how often an operator has had this draft's noise drawn anew, None for never."""
        ...

    async def retire(self, draft: str) -> None:
        """Stop using the present ledger of a draft: the provider changed its model."""
        ...

    async def spoil(self, draft: str) -> None:
        """Retire the present ledger of a draft for good: it may hold votes of two models."""
        ...

    async def spoiled(self, draft: str) -> int:
        """Return how many ledgers of a draft were spoilt."""
        ...

    def hold(self, draft: str, unless: "Waiter") -> AbstractAsyncContextManager[None]:
        """Return a context in which no other run adds to this draft's ledger.

        Args:
            draft: SHA-256 of the subject without its model version.
            unless: awaits the entry, unless the run is interrupted first.
        """
        ...
