"""A canary: tells whether a provider that names no model version still runs the same model.

The clean picture is asked about again before, during and after a run, and the answers are
compared. What the provider said the first time stands in the subject in place of a version:

    canary [["cat",0.981],["mammal",0.94]]

Where it refuses the clean picture, which a new model would do as well, a plain grey one of the same
size is asked about in its place:

    canary [["grey",0.99]] of grey

Scores of one model may differ in their last digits between the provider's machines, so a
difference of up to `TOLERANCE` is none.
"""

import json
from collections.abc import Awaitable, Callable

import numpy as np

from certification.asking import AskingEndedError
from certification.decision import LabelMap, Prediction, encodable, ranked
from certification.errors import ModelVersionChanged, RunInterrupted
from certification.protocols import Answer, Ledger, Pixels, Refusal

PREFIX, OF_GREY = "canary ", " of grey"
KEPT, TOLERANCE = 8, 0.02
EVERY = 250  # votes
PLAIN = LabelMap()


def version_of(answer: Answer | Refusal, epoch: int = 0, *, of_grey: bool = False) -> str:
    """Return what stands for the model version: the highest labels of the clean picture.

    Args:
        answer: to the clean picture.
        epoch: how many ledgers of this draft hold votes of two models; a new one is not to be
            mistaken for them.
        of_grey: whether the answer is that to the grey picture.
    """
    told = [[label, score] for label, score in _told(answer)[:KEPT]]
    which, again = OF_GREY if of_grey else "", f" #{epoch}" if epoch else ""
    return f"{PREFIX}{json.dumps(told, ensure_ascii=False, separators=(',', ':'))}{which}{again}"


def epoch_of(version: str | None) -> int:
    """Return which one it is of the draft's ledgers, those with votes of two models counted."""
    mark = (version or "").rpartition("]")[2].rpartition("#")[2]
    return int(mark) if mark.isdecimal() else 0


def picture_of(version: str, clean: Pixels) -> Pixels:
    """Return the picture that a version was told of, uint8 (H, W, 3): the clean or the grey one."""
    return grey_like(clean) if is_of_grey(version) else clean


def is_of_grey(version: str) -> bool:
    """Tell whether a version was told of the grey picture."""
    return version.rpartition("]")[2].startswith(OF_GREY)


def grey_like(clean: Pixels) -> Pixels:
    """Return a plain grey picture of the same size, uint8 (H, W, 3)."""
    return np.full_like(clean, 128)


def is_canary(version: str | None) -> bool:
    """Tell whether a version is such a stand-in."""
    # A provider may call its own version "canary 2": what stands here goes on with a list.
    return version is not None and version.startswith(f"{PREFIX}[")


def same_model(version: str, answer: Answer | Refusal) -> bool:
    """Tell whether an answer to its picture is the one that a version was made of.

    Labels whose scores lie within the tolerance of the lowest kept one may come and go.
    """
    kept = json.loads(version.removeprefix(PREFIX).rpartition("]")[0] + "]")
    before = {str(label): float(score) for label, score in kept}
    now = dict(_told(answer))
    least = min(before.values(), default=0.0) + TOLERANCE if len(before) == KEPT else TOLERANCE
    for label in {*before, *now}:
        old, new = before.get(label), now.get(label)
        if old is not None and new is not None:
            if abs(old - new) > TOLERANCE + 1e-9:
                return False
        elif max(old or 0.0, new or 0.0) > least:
            return False
    return True


def _told(answer: Answer | Refusal) -> list[tuple[str, float]]:
    if isinstance(answer, Refusal):
        return [("refused", 1.0)]
    best: dict[str, float] = {}  # of a label that is told several times, such as by a detector
    for p in ranked(answer.predictions):
        best.setdefault(_key(p), round(p.score, 3))
    return list(best.items())


def _key(prediction: Prediction) -> str:
    return encodable(PLAIN.key(prediction))


class Canary:
    """Watches one ledger's provider during a run.

    Args:
        provider: its name, for messages.
        ledger: whose header holds the version.
        ask: asks about the clean picture again; may raise RunInterrupted or AskingEndedError.
        vouched: votes of the ledger that lie between two equal answers.
    """

    def __init__(
        self,
        provider: str,
        ledger: Ledger,
        ask: Callable[[], Awaitable[Answer | Refusal]],
        vouched: int,
    ) -> None:
        version = ledger.header.clean.model_version
        assert version is not None  # noqa: S101  else there would be no canary
        self._provider, self._ledger, self._ask = provider, ledger, ask
        self._version = version
        self.vouched = vouched

    def due(self, length: int) -> bool:
        """Tell whether it is time to ask again."""
        return length - self.vouched >= EVERY

    async def vouch(self, length: int) -> bool:
        """Ask about the clean picture; the ledger's first `length` votes are good if it agrees.

        Returns:
            False if there was no time or money to ask.

        Raises:
            ModelVersionChanged: if the answer is another one.
        """
        try:
            answer = await self._ask()
        except (RunInterrupted, AskingEndedError):
            return False
        told = isinstance(answer, Answer) and answer.model_version is not None
        if told or not same_model(self._version, answer):
            now = version_of(answer, of_grey=is_of_grey(self._version))
            raise ModelVersionChanged(
                f"{self._provider} answers differently about the same picture than at first "
                f"({self._version!r}, now {now!r}): its model has changed, and the "
                "run is void. Ask again to begin with the new one"
            )
        await self._ledger.vouch(length)
        self.vouched = length
        return True
