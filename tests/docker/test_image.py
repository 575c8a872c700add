"""The image: what it is made from, and that its dependencies are those of pyproject.toml."""

import os
import re
import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from service.guard import any_name_will_do, is_loopback
from service.settings import Settings
from tests.docker.files import FOLDER, ROOT, instructions

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
IMAGE = instructions(FOLDER / "Dockerfile")


def required(*extras):
    done = subprocess.run(
        [sys.executable, "-I", FOLDER / "requirements.py", ROOT / "pyproject.toml", *extras],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_base_images():
    stages = {argument.split()[-1] for name, argument in IMAGE if name == "FROM"}
    bases = {argument.split()[0] for name, argument in IMAGE if name == "FROM"}
    assert bases - stages | {"python:3.11-slim"} == {"python:3.11-slim"}
    (base,) = [a for name, a in instructions(FOLDER / "redis" / "Dockerfile") if name == "FROM"]
    assert base == "redis:7"


@pytest.mark.parametrize("named", [None, "surety.example"])
def test_a_container_that_is_told_nothing_answers_to_names_of_the_loopback(named, monkeypatch):
    """As in Compose: a web page cannot come in under a name of its own that points here."""
    set_here = [a for name, a in IMAGE if name == "ENV"][-1].split()
    environment = dict(one.split("=", 1) for one in set_here)
    for name in [n for n in os.environ if n.startswith("SURETY_")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        if name.startswith("SURETY_"):
            monkeypatch.setenv(name, value)
    if named is not None:
        monkeypatch.setenv("SURETY_ALLOWED_HOSTS", named)
    settings = Settings(_env_file=None)
    assert not is_loopback(settings.host)
    assert not any_name_will_do(settings.host, settings.allowed_hosts)


def test_dependencies_come_before_the_source():
    """A change of the source must not install them again."""
    copied = [argument for name, argument in IMAGE if name == "COPY"]
    first = next(i for i, argument in enumerate(copied) if argument.startswith("certification"))
    assert not any(word in a for a in copied[first:] for word in ("requirements", "constraints"))
    final = [a for name, a in IMAGE if name in ("FROM", "COPY")]
    final = final[len(final) - final[::-1].index("python:3.11-slim") :]
    assert [a.split()[-1] for a in final] == ["/opt/venv", "/opt/", "/opt/surety"]


@pytest.mark.parametrize("path", [FOLDER / "Dockerfile", FOLDER / "redis" / "Dockerfile"])
def test_a_checkout_that_only_its_owner_may_read_makes_the_same_image(path):
    """Under umask 077; what is installed by pip has a mode of its own."""
    last = instructions(path)
    last = last[max(i for i, (name, _) in enumerate(last) if name == "FROM") :]
    ours = [argument for name, argument in last if name == "COPY" and "--from=" not in argument]
    assert ours
    assert all(argument.startswith("--chmod=0644 ") for argument in ours)


def test_all_packages_are_copied():
    """Into the build's context too."""
    packages = {pattern.rstrip("*") for pattern in _found()}
    copied = {argument.split()[0] for name, argument in IMAGE if name == "COPY"}
    context = (ROOT / ".dockerignore").read_text().splitlines()
    assert packages <= copied
    assert "*" in context
    assert packages <= {line.removeprefix("!") for line in context if line.startswith("!")}


def _found():
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    return tool["setuptools"]["packages"]["find"]["include"]


def test_all_extras_of_providers_are_installed():
    (extras,) = [a for name, a in IMAGE if name == "ARG" and a.startswith("EXTRAS=")]
    assert set(required(extras.removeprefix("EXTRAS="))) == set(required("all"))
    assert set(PROJECT["dependencies"]) < set(required("all"))


def test_a_release_holds_no_stray_tests():
    """setuptools takes tests/test*.py by itself, and nothing that they need."""
    assert "prune tests" in (ROOT / "MANIFEST.in").read_text().splitlines()


def test_requirements_resolve_extras_of_our_own():
    assert {"grpcio", "surety[google]"}.isdisjoint(required("emulators"))
    assert set(required("emulators")) == {*required("google,clarifai"), "aiohttp>=3.11"}
    with pytest.raises(subprocess.CalledProcessError):
        required("nonsense")


def test_constraints_fit():
    lines = (FOLDER / "constraints.txt").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert pinned, "it is made anew: see its first lines"
    assert [*pinned] == sorted(canonicalize_name(name) for name in pinned)
    for text in required("all"):
        one = Requirement(text)
        if (version := pinned.get(canonicalize_name(one.name))) is not None:
            assert one.specifier.contains(version), f"{text}, but {version} in constraints.txt"
    assert not any(re.match(r"torch|nvidia|surety", name) for name in pinned)
