"""Adapters come in by entry point, and a broken one tells no more than that it is."""

from importlib.metadata import EntryPoint

import pytest

from adapters import registry
from adapters.errors import AdapterError, NotConfigured, UnknownAdapter
from adapters.interface import Adapter
from adapters.local.adapter import LocalAdapter


class Plain(Adapter):
    name = "plain"

    async def classify(self, images):
        return []


class Crashing(Plain):
    name = "crashing"

    def __init__(self):
        raise ZeroDivisionError("/a/secret/path")


class Keyless(Plain):
    name = "keyless"

    def __init__(self):
        raise NotConfigured("set THE_KEY")


@pytest.fixture(autouse=True)
def entries(monkeypatch):
    targets = {
        "plain": "tests.adapters.test_registry:Plain",
        "other": "tests.adapters.test_registry:Plain",
        "crashing": "tests.adapters.test_registry:Crashing",
        "keyless": "tests.adapters.test_registry:Keyless",
        "gone": "tests.adapters.test_registry:Gone",
        "absent": "no_such_package.adapter:Adapter",
        "number": "math:pi",
    }
    found = {n: EntryPoint(n, t, registry.GROUP) for n, t in targets.items()}
    installed = registry._entries()
    monkeypatch.setattr(registry, "_entries", lambda: installed | found)


def test_the_built_in_one_comes_in_by_the_same_door():
    assert registry.adapter_class("local") is LocalAdapter
    assert isinstance(registry.load("plain"), Plain)
    assert "local" in registry.names()


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("nobody", UnknownAdapter, "unknown provider 'nobody'"),
        ("crashing", AdapterError, r"cannot be built \(ZeroDivisionError\)$"),
        ("keyless", NotConfigured, "set THE_KEY"),
        ("gone", AdapterError, r"cannot be imported \(AttributeError\)$"),
        ("absent", AdapterError, r"cannot be imported \(ModuleNotFoundError\)$"),
        ("number", AdapterError, "names no adapters.interface.Adapter"),
        # It would share the ledgers of the adapter whose name it takes.
        ("other", AdapterError, "calls itself 'plain'"),
    ],
)
def test_what_cannot_be_used(name, error, says):
    with pytest.raises(error, match=says):
        registry.load(name)
