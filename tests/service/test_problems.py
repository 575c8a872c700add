"""The table of problems is complete, and no two kinds are alike."""

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import adapters
import adapters.errors
import certification
import certification.errors
import denoisers
import denoisers.errors
import service.errors
from service import problem_kinds
from service.problem_kinds import BY_SLUG, INTERNAL, KINDS, Kind
from service.problems import MOST_ERRORS, TABLE, problem_of, validation_problem

ROOTS = (
    certification.errors.StopRun,
    certification.errors.CertificationError,
    adapters.errors.AdapterError,
    denoisers.errors.DenoiserError,
    service.errors.ServiceError,
)


def family(root: type[Exception]) -> Iterator[type[Exception]]:
    yield root
    for child in root.__subclasses__():
        yield from family(child)


def ours(kind: type[Exception]) -> bool:
    return kind.__module__.split(".")[0] in ("certification", "adapters", "denoisers", "service")


def written() -> set[str]:
    """Names of all exception classes in the source, without importing torch and SDKs."""
    bases: dict[str, set[str]] = {}
    for package in (certification, adapters, denoisers, service):
        for file in Path(package.__path__[0]).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    bases[node.name] = {ast.unparse(base).split(".")[-1] for base in node.bases}
    found = {root.__name__ for root in ROOTS}
    while more := {name for name, its in bases.items() if its & found} - found:
        found |= more
    return found


def test_the_kinds_of_every_theme_are_told_and_none_twice() -> None:
    themes = [
        importlib.import_module(f"service.problem_kinds.{theme.name}")
        for theme in pkgutil.iter_modules(problem_kinds.__path__)
    ]
    written_down = [kind for t in themes for kind in vars(t).values() if isinstance(kind, Kind)]
    assert len(themes) > 4
    assert sorted(kind.slug for kind in written_down) == sorted(kind.slug for kind in KINDS)
    assert len(BY_SLUG) == len(KINDS)


def test_every_exception_of_ours_is_in_the_table() -> None:
    imported = {kind for root in ROOTS for kind in family(root) if ours(kind)}
    assert imported <= set(TABLE)
    assert written() == {kind.__name__ for kind in TABLE}
    assert len(TABLE) > 25


def test_a_strangers_subclass_is_told_as_its_parent() -> None:
    class Revoked(adapters.errors.AuthenticationFailed):
        """Of another package."""

    problem = problem_of(Revoked("renew the key"))
    assert (problem.kind.slug, problem.detail) == ("provider-authentication", "renew the key")


def test_kinds_are_distinct_and_complete() -> None:
    assert len(BY_SLUG) == len(KINDS)
    assert len({kind.title for kind in KINDS}) == len(KINDS)
    for kind in KINDS:
        assert 400 <= kind.status < 600
        assert kind.title[0].isupper()
        assert not kind.title.endswith(".")
        assert kind.explanation.endswith(".")


@pytest.mark.parametrize(
    "error", [ValueError("inside"), certification.errors.CertificationError("x")]
)
def test_what_is_not_known_tells_nothing(error: Exception) -> None:
    problem = problem_of(error)
    assert problem.kind is INTERNAL
    assert str(error) not in problem.detail.split()


@pytest.mark.parametrize(
    ("error", "field"),
    [
        (certification.errors.InvalidParameter("it must be positive", "sigma"), "sigma"),
        (certification.errors.InvalidParameter("it must be a number", "predict_n"), "n"),
        (certification.errors.InvalidParameter("the two do not fit"), None),
        (certification.errors.NotAnImage("it is no picture"), "image"),
        (service.errors.BadRequest("wrong", "label"), "label"),
        (service.errors.BadRequest("wrong"), None),
        (service.errors.NotFound("nothing"), None),
    ],
)
def test_the_field_to_blame(error: Exception, field: str | None) -> None:
    errors = problem_of(error).errors
    assert [e["field"] for e in errors] == ([] if field is None else [field])


def test_a_thousand_errors_make_a_short_answer() -> None:
    found = [{"loc": ("body", "f" * 500), "msg": "no", "type": "extra_forbidden"}] * 1000
    problem = validation_problem(found)
    assert len(problem.errors) == MOST_ERRORS
    assert problem.detail.endswith("and 980 more")
    assert len(problem.detail) < 5000
