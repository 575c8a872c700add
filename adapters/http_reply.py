"""How the reply of an HTTP endpoint is read."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NoReturn, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from adapters.batches import of_each
from adapters.errors import BrokenReply, CallRejected
from adapters.http_paths import Mismatch, ReplyPath
from adapters.interface import Answer, Outcome, Prediction, Refusal, Retry
from adapters.profile import ProfilePath

ROUNDING = 1e-6  # of a provider's scores: this far beyond 0 and 1 they are taken for 0 and 1
LONGEST_LABEL = 500


@dataclass(frozen=True)
class Reply:
    """What came back.

    Attributes:
        status: of HTTP.
        headers: case does not matter.
        body: decompressed.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class ReplyMap(BaseModel):
    """Where things stand in the reply.

    One of three ways gives the labels: `label` and `score`, both with `[*]` or (a single label)
    both without; `labels` and `score`, scores in the order of known labels; or `by_label`, an
    object label → score.

    Attributes:
        label: path of the labels.
        score: path of the scores; a single label may come without, and counts with score 1.
        id: path of the labels' stable ids, if there are any.
        labels: the labels in the order of the scores: a list, or a file (one a line, or JSON).
        by_label: path of an object label → score.
        score_scale: what the best possible score is, 1 or 100.
        results: path of a list with an entry for each picture; all paths but `version` then
            begin at an entry.
        version: path of the model's version.
        version_header: header that holds the model's version, in place of a path.
        error: path at which an error stands if there was one, in spite of a status 200.
        refused_errors: texts there that refuse this picture for good; others are tried again.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)

    label: str | None = None
    score: str | None = None
    id: str | None = None
    labels: list[str] | ProfilePath | None = None
    by_label: str | None = None
    score_scale: Literal[1, 100] = 1
    results: str | None = None
    version: str | None = None
    version_header: str | None = Field(None, min_length=1)
    error: str | None = None
    refused_errors: list[str] = Field(default_factory=list)

    @property
    def names_version(self) -> bool:
        """Whether replies name the model's version."""
        return self.version is not None or self.version_header is not None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if [self.label, self.labels, self.by_label].count(None) != 2:
            raise ValueError("give exactly one of label, labels and by_label")
        paths = {
            name: ReplyPath(text)
            for name in ("label", "score", "id", "by_label", "results", "version", "error")
            if (text := getattr(self, name)) is not None
        }
        many = {name for name, path in paths.items() if path.many}
        if many - {"label", "score", "id"}:
            raise ValueError(f"{min(many - {'label', 'score', 'id'})} takes no [*]")
        if self.label is None and self.id is not None:
            raise ValueError("id goes with label")
        if self.label is not None:
            if len({path in many for path in {"label", "score", "id"} & set(paths)}) > 1:
                raise ValueError("label, score and id must all hold [*], or none of them")
            if "label" in many and self.score is None:
                raise ValueError("a list of labels needs a score")
        if self.labels is not None and "score" not in many:
            raise ValueError("labels need a score with [*]")
        if self.by_label is not None and self.score is not None:
            raise ValueError("by_label brings its scores with it")
        if self.version is not None and self.version_header is not None:
            raise ValueError("give version or version_header, not both")
        if self.refused_errors and self.error is None:
            raise ValueError("refused_errors needs error, the path where they stand")
        return self


def refused_together(count: int, said: str) -> CallRejected:
    """Return what to raise where several pictures were refused for one that is not named."""
    return CallRejected(
        f"the endpoint refused a call with {count} pictures, and does not say which of them "
        f"({said}): set max_batch = 1"
    )


class ReplyReader:
    """Reads replies as a profile says.

    Args:
        given: the profile's.
        labels: in the order of the scores, if the profile lists them.
    """

    def __init__(self, given: ReplyMap, labels: Sequence[str] | None = None) -> None:
        self._map, self._labels = given, labels
        self._label, self._score, self._id, self._by_label, self._results, self._error = (
            None if text is None else ReplyPath(text)
            for text in (
                given.label,
                given.score,
                given.id,
                given.by_label,
                given.results,
                given.error,
            )
        )
        self._version = None if given.version is None else ReplyPath(given.version)

    def read(self, reply: Reply, count: int) -> list[Outcome]:
        """Return the outcome of each picture of a successful call.

        Args:
            reply: with a status of success.
            count: pictures that were sent.

        Raises:
            Mismatch: if it is not as the profile says, in no entry.
            BrokenReply: if the profile can never be right about it, in any entry.
            CallRejected: if several pictures were refused for one of them.
        """
        if not reply.body.strip():
            return [Retry("the reply is empty", billed=True)] * count
        try:
            document = json.loads(reply.body, parse_constant=_no_number)
        except (ValueError, RecursionError):
            return [Retry("the reply is no JSON, or was cut", billed=True)] * count
        if document is None or document == {}:
            return [Retry("the reply is empty", billed=True)] * count
        try:
            entries = [document] if self._results is None else self._results.find(document)
        except Mismatch:
            if (failed := self._failure(document, None)) is None:
                raise
            if isinstance(failed, Refusal) and count > 1:
                raise refused_together(count, failed.reason) from None
            return [failed] * count
        if not isinstance(entries, list) or len(entries) != count:
            raise Mismatch(f"the reply has not one entry for each of {count} pictures")
        odd: list[Mismatch] = []

        def judged(entry: Any) -> Outcome:  # noqa: ANN401  JSON
            try:
                return self._outcome(entry, document, reply.headers)
            except Mismatch as error:  # of this picture: the others are paid for, and are answered
                odd.append(error)
                return Retry(str(error), billed=True)

        outcomes = of_each(entries, judged)
        if len(odd) == count:
            raise odd[0]
        return outcomes

    def version(self, document: Any, headers: Mapping[str, str]) -> str | None:  # noqa: ANN401
        """Return the model's version, None where the profile names no place for it.

        Raises:
            Mismatch: if it is not there.
        """
        if self._map.version_header is not None:
            found: object = headers.get(self._map.version_header)
        elif self._version is not None:
            found = self._version.find(document)
        else:
            return None
        if isinstance(found, bool) or not isinstance(found, str | int | float) or found == "":
            raise Mismatch("the reply names no version where the profile says")
        return str(found)

    def _outcome(self, entry: Any, document: Any, headers: Mapping[str, str]) -> Outcome:  # noqa: ANN401
        try:
            version = self.version(document, headers)
        except Mismatch:
            if (failed := self._failure(entry, None)) is None:
                raise
            return failed
        failed = self._failure(entry, version)
        return failed or Answer(tuple(self._predictions(entry)), model_version=version)

    def _failure(self, entry: Any, version: str | None) -> Refusal | Retry | None:  # noqa: ANN401
        """Return what an error in a successful reply means, None where there is none."""
        if self._error is None:
            return None
        try:
            said = self._error.find(entry)
        except Mismatch:
            return None
        if not said:  # null, "", false, 0, or an empty list of errors
            return None
        if isinstance(said, str) and said in self._map.refused_errors:
            return Refusal(said, model_version=version)
        return Retry(said if isinstance(said, str) else "the endpoint names an error", billed=True)

    def _predictions(self, entry: Any) -> list[Prediction]:  # noqa: ANN401  JSON
        if self._by_label is not None:
            table = self._by_label.find(entry)
            if not isinstance(table, dict):
                raise Mismatch(f"there is no object label → score at {self._by_label.text!r}")
            return [Prediction(_name(k), self._on_unit(v)) for k, v in table.items()]
        scores = None if self._score is None else self._listed(self._score, entry)
        names = self._labels
        if names is None:
            assert self._label is not None  # noqa: S101  ReplyMap sees to it
            names = [_name(label) for label in self._listed(self._label, entry)]
        if scores is None:
            scores = [self._map.score_scale] * len(names)
        ids = [None] * len(names) if self._id is None else self._listed(self._id, entry)
        if not len(names) == len(scores) == len(ids):
            raise BrokenReply(
                f"the endpoint gave {len(scores)} scores for {len(names)} labels: mend the "
                "profile's labels and paths"
            )
        return [
            Prediction(name, self._on_unit(score), id=None if i is None else _name(i))
            for name, score, i in zip(names, scores, ids, strict=True)
        ]

    @staticmethod
    def _listed(path: ReplyPath, entry: Any) -> list[Any]:  # noqa: ANN401  JSON
        found = path.find(entry)
        return found if path.many else [found]

    def _on_unit(self, score: Any) -> float:  # noqa: ANN401  JSON
        if isinstance(score, bool) or not isinstance(score, int | float):
            raise Mismatch("a score is no number")
        try:
            brought = score / self._map.score_scale
        except OverflowError:
            brought = math.inf
        if not -ROUNDING <= brought <= 1 + ROUNDING:
            raise BrokenReply(
                f"the endpoint gave a score outside 0 and {self._map.score_scale}: set "
                "reply.score_scale to 1 or 100, whatever its scores go up to (logits cannot be "
                "used)"
            )
        return min(1.0, max(0.0, brought))


def _name(label: Any) -> str:  # noqa: ANN401  JSON
    if isinstance(label, int) and not isinstance(label, bool):
        return str(label)
    if not isinstance(label, str) or not label.strip() or len(label) > LONGEST_LABEL:
        raise Mismatch("a label is no text")
    return label


def _no_number(_: str) -> NoReturn:
    raise ValueError
