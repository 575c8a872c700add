"""Plans of what goes wrong: read, refused where wrong, and the same for the same seed."""

import json
from collections import Counter

import pytest

from adapters.emulators.faults import FAULTS, BadFaults, Faults, parse, read


def test_the_example_in_the_text_is_a_plan(tmp_path):
    text = "\n".join(
        line[4:] for line in (Faults.__module__ and _doc()).splitlines() if line.startswith("    ")
    )
    path = tmp_path / "plan.toml"
    path.write_text(text)
    plan = read(path)
    assert plan.rate.limit == 50
    assert plan.script == ["ok", "throttle", "drop"]
    other = tmp_path / "plan.json"
    other.write_text(json.dumps(plan.model_dump()))
    assert read(other) == plan


def _doc() -> str:
    from adapters.emulators import faults

    return faults.__doc__


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"latencyy": 1}, "latencyy: Extra"),
        ({"latency": {"median": -1}}, "latency.median: "),
        ({"latency": {"median": float("nan")}}, "latency.median: "),
        ({"shares": {"explode": 0.1}}, "shares.explode"),
        ({"shares": {"drop": 0.6, "throttle": 0.5}}, "plan: .*together at most 1"),
        ({"shares": {"drop": -0.1}}, "plan: .*0 or more"),
        ({"shares": {"drop": float("nan")}}, "shares.drop: "),
        ({"script": ["ok", "no"]}, "script.1: "),
        ({"rate": {"limit": 0}}, "rate.limit: "),
        ({"credentials": "odd"}, "credentials: "),
        ("plan", "plan: "),
        (None, "plan: "),
    ],
)
def test_a_wrong_plan_names_the_place(document, says):
    with pytest.raises(BadFaults, match=says):
        parse(document)


@pytest.mark.parametrize(
    ("name", "text"), [("p.toml", "seed = "), ("p.json", "{"), ("p.json", "[" * 100_000)]
)
def test_a_file_that_is_no_plan(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(BadFaults, match=name):
        read(path)
    with pytest.raises(BadFaults, match="gone"):
        read(tmp_path / "gone.toml")


def test_shares_that_make_up_one_but_for_rounding():
    assert Faults(shares=dict.fromkeys(FAULTS[:10], 0.1))


def test_chance_is_the_same_for_a_seed_and_has_its_shares():
    plan = Faults(seed=4, shares={"drop": 0.1, "throttle": 0.3})
    drawn = [plan.drawn(call) for call in range(20_000)]
    assert drawn == [Faults(**plan.model_dump()).drawn(call) for call in range(20_000)]
    assert drawn != [plan.model_copy(update={"seed": 5}).drawn(call) for call in range(20_000)]
    counts = Counter(drawn)
    assert counts["drop"] == pytest.approx(2000, abs=200)
    assert counts["throttle"] == pytest.approx(6000, abs=300)
    assert counts["ok"] == pytest.approx(12_000, abs=400)


def test_latency_has_its_median():
    fixed = Faults(latency={"median": 0.05})
    assert {fixed.delay(call) for call in range(5)} == {0.05}
    spread = Faults(latency={"median": 0.05, "spread": 0.5})
    delays = sorted(spread.delay(call) for call in range(4001))
    assert delays[2000] == pytest.approx(0.05, rel=0.1)
    assert delays[0] < 0.02
    assert delays[-1] > 0.12


def test_the_same_pictures_are_refused_each_time():
    names = [f"{i * 2654435761 % 2**32:08x}" + "0" * 56 for i in range(10_000)]
    plan = Faults(refused=0.02)
    assert sum(map(plan.refuses, names)) == pytest.approx(200, abs=20)
    assert not any(map(Faults().refuses, names))
    assert all(map(Faults(refused=1.0).refuses, names))
    assert Faults(refused=1.0).refuses("f" * 64)
