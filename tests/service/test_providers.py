"""`surety providers`, `surety providers check` and the operator's file of profiles."""

import json

import pytest

from service.exit_codes import ExitCode
from tests.service.test_cli import surety  # noqa: F401  a fixture


@pytest.fixture
def profiles(tmp_path, monkeypatch):
    """Write the operator's file."""

    def write(text):
        path = tmp_path / "providers.toml"
        path.write_text(text)
        monkeypatch.setenv("SURETY_PROVIDERS_FILE", str(path))
        return path

    return write


def listed(surety):  # noqa: F811
    return {p["name"]: p for p in json.loads(surety("providers", "--json").out)["providers"]}


def test_the_clouds_are_listed_with_prices_even_without_credentials(surety, monkeypatch):  # noqa: F811
    for variable in ("AWS_ACCESS_KEY_ID", "VISION_KEY", "VISION_ENDPOINT", "CLARIFAI_PAT"):
        monkeypatch.delenv(variable, raising=False)
    found = listed(surety)
    assert {"aws", "azure", "azure-v32", "google", "clarifai", "http", "onnx"} <= set(found)
    assert found["azure"]["ready"] is False
    assert "VISION_KEY" in found["azure"]["reason"]
    assert found["azure"]["terms"]["price"] == 0.001
    assert found["azure"]["extra"] == "azure"
    text = surety("providers").out
    assert "1.00" in text
    assert "as published on 2026-11" in text


def test_a_profile_is_a_provider_of_its_own(surety, profiles):  # noqa: F811
    profiles('[ours]\nadapter = "steady"\nprice = 0.5\nrate = 40\n')
    found = listed(surety)
    assert found["ours"]["adapter"] == "steady"
    assert (found["ours"]["traits"]["price"], found["ours"]["traits"]["rate"]) == (0.5, 40)
    done = surety("certify", "cat.png", "--provider", "ours", "--max-votes", 20, "--json")
    document = json.loads(done.out)
    asked = document["proof"]["subject"]["provider"]
    assert (asked["name"], asked["adapter"]) == ("ours", "steady")
    assert document["accounting"]["cost"] >= 10


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[ours]\nadapter = "nobody"\n', "nobody"),
        ('[ours]\nadapter = "steady"\nprize = 1\n', "prize"),
        ('[ours]\nadapter = "steady"\nprice = "sk-very-secret"\n', "price"),
        ("[ours]\nadapter = 5\n", "adapter"),
    ],
)
def test_a_wrong_profile_is_told_by_name_and_without_its_value(surety, profiles, text, said):  # noqa: F811
    profiles(text)
    done = surety("certify", "cat.png", "--provider", "ours")
    assert done.code == ExitCode.CONFIGURATION
    assert said in done.err
    assert "sk-very-secret" not in done.err
    assert listed(surety)["ours"]["ready"] is False  # and the others are listed


@pytest.mark.parametrize(("text", "said"), [("price = 3\n", "table"), ("[", "TOML")])
def test_a_file_of_profiles_that_cannot_be_read(surety, profiles, text, said):  # noqa: F811
    profiles(text)
    done = surety("providers")
    assert done.code == ExitCode.CONFIGURATION
    assert said in done.err


def test_a_missing_file_of_profiles(surety, monkeypatch):  # noqa: F811
    monkeypatch.setenv("SURETY_PROVIDERS_FILE", "nowhere.toml")
    assert surety("providers").code == ExitCode.CONFIGURATION


def test_a_label_map_of_the_profile_counts_for_every_request(surety, profiles, tmp_path):  # noqa: F811
    (tmp_path / "map.csv").write_text("Cat,Pet\n")
    profiles('[ours]\nadapter = "steady"\nlabel_map = "map.csv"\n')
    done = surety("certify", "cat.png", "--provider", "ours", "--max-votes", 20, "--json")
    assert json.loads(done.out)["proof"]["subject"]["label_map"] == {"cat": "pet"}


def test_a_requests_synonyms_go_before_the_profiles_however_they_are_written(
    surety,  # noqa: F811
    profiles,
    tmp_path,
):
    (tmp_path / "map.csv").write_text("Cat,Pet\nHound,Dog\n")
    profiles('[ours]\nadapter = "steady"\nlabel_map = "map.csv"\n')
    asked = ("certify", "cat.png", "--provider", "ours", "--max-votes", 20, "--json")
    done = surety(*asked, "--synonyms", '{"cat": "beast"}')
    subject = json.loads(done.out)["proof"]["subject"]
    assert subject["label_map"] == {"cat": "beast", "hound": "dog"}


def test_labels_of_the_profiles_map_that_the_model_lacks_are_no_fault_of_a_request(
    surety,  # noqa: F811
    profiles,
    tmp_path,
):
    (tmp_path / "map.csv").write_text("Dark,Night\nHound,Dog\n")
    profiles('[ours]\nadapter = "local"\nlabel_map = "map.csv"\n')
    done = surety("certify", "cat.png", "--provider", "ours", "--max-votes", 2, "--json")
    assert json.loads(done.out)["proof"]["subject"]["label_map"]["hound"] == "dog"


def test_a_profiles_map_that_cannot_be_used_is_the_operators_fault(surety, profiles, tmp_path):  # noqa: F811
    (tmp_path / "map.csv").write_text("Cat,Pet\nPet,Animal\n")
    profiles('[ours]\nadapter = "steady"\nlabel_map = "map.csv"\n')
    assert "mapped on" in listed(surety)["ours"]["reason"]
    done = surety("certify", "cat.png", "--provider", "ours", "--max-votes", 20)
    assert done.code == ExitCode.CONFIGURATION


def test_a_label_map_from_the_command_line(surety, tmp_path):  # noqa: F811
    (tmp_path / "map.json").write_text('{"Cat": "Pet"}')
    done = surety("certify", "cat.png", "--label-map", "map.json", "--max-votes", 20, "--json")
    assert json.loads(done.out)["proof"]["subject"]["label_map"] == {"cat": "pet"}
    done = surety("certify", "cat.png", "--label-map", "none.json")
    assert done.code == ExitCode.BAD_INPUT
    assert "none.json" in done.err


def test_check_makes_one_real_call(surety):  # noqa: F811
    done = surety("providers", "check", "local")
    assert done.code == 0
    assert "answered in" in done.out
    assert "cifar-" in done.out
    found = json.loads(surety("providers", "check", "local", "--json").out)
    assert found["outcome"] == "answered"
    assert len(found["labels"]) == 5


def test_check_says_what_is_wrong(surety, monkeypatch):  # noqa: F811
    monkeypatch.delenv("VISION_KEY", raising=False)
    done = surety("providers", "check", "azure")
    assert done.code == ExitCode.CONFIGURATION
    assert "VISION_KEY" in done.err
    done = surety("providers", "check", "nobody")
    assert done.code == ExitCode.BAD_INPUT
    done = surety("providers", "check", "local", "--image", "none.png")
    assert done.code == ExitCode.BAD_INPUT


def test_serve_tells_a_broken_file_in_one_line(surety, profiles):  # noqa: F811
    profiles("[")
    done = surety("serve", "--port", 0)
    assert done.code == ExitCode.CONFIGURATION
    assert done.err.startswith("error: the file of profiles is no TOML")
    assert "Traceback" not in done.err


def test_documented_variables_bring_no_warning(surety, monkeypatch):  # noqa: F811
    monkeypatch.setenv("SURETY_GOOGLE_ENDPOINT", "127.0.0.1:1")
    assert "warning" not in surety("providers").err
