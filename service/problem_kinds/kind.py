"""One kind of problem."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One sort of problem.

    Attributes:
        slug: last part of its `type`.
        status: HTTP status.
        title: the same words every time.
        explanation: what it means and what to do about it.
        field: the form field to blame, where it is always the same one.
    """

    slug: str
    status: int
    title: str
    explanation: str
    field: str | None = None

    @property
    def type(self) -> str:
        """The `type` member of RFC 9457, a reference relative to this service."""
        return f"/problems/{self.slug}"
