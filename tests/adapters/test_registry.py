"""Adapters come in by entry point, and a broken one tells no more than that it is."""

from importlib.metadata import EntryPoint

import pytest

from adapters import registry
from adapters.errors import AdapterError, NotConfigured, UnknownAdapter
from adapters.interface import Adapter, Profile, Traits
from adapters.local.adapter import LocalAdapter
from adapters.profiles import Profiles


class Plain(Adapter):
    name = "plain"
    traits = Traits()

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


class WithProfile(Profile):
    model: str = "small"
    token: str | None = None


class Cloud(Plain):
    name = "cloud"
    traits = Traits(max_batch=16, price=0.5, rate=30.0, concurrency=8)
    profile_type = WithProfile

    def __init__(self, profile=None):
        self.model = (profile or WithProfile()).model


class Fixed(Plain):
    name = "fixed"

    @property
    def traits(self):
        return Traits()


@pytest.fixture(autouse=True)
def entries(monkeypatch):
    targets = {
        "plain": "tests.adapters.test_registry:Plain",
        "other": "tests.adapters.test_registry:Plain",
        "cloud": "tests.adapters.test_registry:Cloud",
        "fixed": "tests.adapters.test_registry:Fixed",
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
        ("fixed", AdapterError, r"cannot be built \(AttributeError\)$"),
        # It would share the ledgers of the adapter whose name it takes.
        ("other", AdapterError, "calls itself 'plain'"),
    ],
)
def test_what_cannot_be_used(name, error, says):
    with pytest.raises(error, match=says):
        registry.load(name)


def test_a_profile_of_the_adapters_own_name_overrides_its_figures():
    table = {"price": 0.25, "rate": 10, "rate_unit": "request", "concurrency": 3, "timeout": 9}
    traits = registry.load("cloud", Profiles({"cloud": table})).traits
    assert (traits.price, traits.rate, traits.rate_unit) == (0.25, 10.0, "request")
    assert (traits.concurrency, traits.timeout, traits.max_batch) == (3, 9.0, 16)
    assert Cloud.traits.price == 0.5  # that instance alone


def test_batches_are_such_that_the_rate_can_be_used_up():
    assert registry.load("cloud").traits.max_batch == 15
    free = registry.load("cloud", Profiles({"cloud": {"rate": 1.0}}))
    assert free.traits.max_batch == 1


def test_a_profile_of_another_name():
    profiles = Profiles({"big": {"adapter": "cloud", "model": "large"}, "x": {"adapter": "plain"}})
    adapter = registry.load("big", profiles)
    assert (adapter.name, type(adapter), adapter.model) == ("big", Cloud, "large")
    assert registry.load("cloud", profiles).model == "small"
    assert isinstance(registry.load("x", profiles), Plain)  # takes no profile of its own
    assert {"big", "x", "cloud"} <= set(registry.names(profiles))
    assert registry.adapter_of("big", profiles) == "cloud"
    assert "big" not in registry.names()


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"adapter": "cloud", "tokken": "hunter2"}, "'mine': tokken: Extra inputs"),
        ({"adapter": "cloud", "token": ["hunter2"]}, "'mine': token: "),
        ({"adapter": "cloud", "price": "hunter2", "rate": -1}, "price: .*; rate: "),
        ({"adapter": "plain", "model": "hunter2"}, "'mine': model: Extra inputs"),
        ({"adapter": 7}, "'mine': adapter must be the name"),
        ({"adapter": ["hunter2"]}, "'mine': adapter must be the name"),
        ({"adapter": "nobody"}, "'mine': unknown provider 'nobody'"),
        ({}, "'mine': unknown provider 'mine'"),
        ({"adapter": "cloud", "label_map": "gone.csv"}, "label map 'gone.csv' cannot be read"),
    ],
)
def test_what_is_wrong_in_a_profile_is_named_and_not_shown(table, says, tmp_path):
    with pytest.raises(NotConfigured, match=says) as caught:
        registry.load("mine", Profiles({"mine": table}, tmp_path))
    assert "hunter2" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)
    error = caught.value
    assert error.__suppress_context__ or error.__context__ is None  # nor in a traceback


def test_a_label_map_beside_the_file_of_profiles(tmp_path):
    (tmp_path / "labels.csv").write_text("Human,Person\n")
    profiles = Profiles({"plain": {"label_map": "labels.csv"}}, tmp_path)
    assert registry.load("plain", profiles).synonyms == {"Human": "Person"}
    assert registry.load("plain").synonyms == {}
