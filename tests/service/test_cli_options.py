"""Options of the command line: bad values, how errors name them, what --help says."""

import json

import pytest

from service import terminal
from service.errors import BadRequest, ConfigurationError
from service.exit_codes import ExitCode
from service.terminal import as_options
from tests.service import test_cli

surety = test_cli.surety

DEEP = '{"a":' + "[" * 100_000


@pytest.mark.parametrize("command", ["certify", "predict"])
@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--rule", DEEP, "--rule is nested too deeply"),
        ("--rule", '{"a": ' + "9" * 5000 + "}", "--rule is no JSON"),
        ("--synonyms", "{", "--synonyms is no JSON"),
        ("--synonyms", DEEP, "--synonyms is nested too deeply"),
        ("--synonyms", "[]", "--synonyms must be a JSON object"),
        ("--synonyms", '{"a": 1}', "--synonyms must be a JSON object"),
        ("--synonyms", '{"": "person"}', "--synonyms: a label is empty"),
        ("--sigma", "-1", "--sigma must be"),
        ("--alpha", "2", "--alpha must be"),
        ("--max-cost", "-1", "--max-cost must be"),
        ("--max-seconds", "0", "--max-seconds must be"),
        ("--size", "x", "--size 'x' is not a size"),
        ("--size", "0", "--size '0': each side"),
        ("--encoding", "webp", "--encoding must be"),
        ("--encoding", "", "--encoding must be"),
        ("--encoding", "jpeg", "--encoding is 'jpeg', but this provider is given the pixels"),
    ],
)
def test_bad_values_are_one_line(surety, command, option, value, words):
    done = surety(command, "cat.png", option, value)
    assert done.code == ExitCode.BAD_INPUT
    assert words in done.err
    assert done.err.count("\n") == 1
    assert done.out == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["certify", "--max-votes", "0"], "--max-votes must be"),
        (["certify", "--max-votes", "200000"], "--max-votes must be at most 100000"),
        (["certify", "--target-radius", "0"], "--target-radius must be"),
        (["certify", "--good-enough", "2"], "--good-enough must be"),
        (["certify", "--milestone", "0"], "--milestone must be"),
        (["certify", "--label", ""], "--label is empty"),
        (["predict", "--n", "0"], "--n must be"),
    ],
)
def test_errors_name_what_was_typed(surety, arguments, words):
    done = surety(*arguments, "cat.png")
    assert done.code == ExitCode.BAD_INPUT
    assert words in done.err
    assert "_" not in done.err


def test_only_options_are_renamed():
    for text in (
        "steady knows no label 'x'",
        "unknown provider 'max_votes'",
        "--max-votes",
        "label noise is no option",
        "size matters",
        "my_max_votes",
    ):
        assert as_options(text) == text
    assert as_options("raise max_cost or max_votes.") == "raise --max-cost or --max-votes."


@pytest.mark.parametrize("command", ["certify", "predict"])
@pytest.mark.parametrize("option", ["--provider", "--denoiser"])
@pytest.mark.parametrize("value", ["", " "])
def test_an_empty_name_is_not_the_default(surety, command, option, value):
    done = surety(command, "cat.png", option, value)
    assert done.code == ExitCode.BAD_INPUT
    assert "is empty" in done.err
    assert done.out == ""


def test_synonyms_reach_the_run(surety):
    synonyms = ("--synonyms", '{"Tabby Cat": "cat"}')
    certificate = json.loads(
        surety("certify", "cat.png", "--max-votes", 30, *synonyms, "--label", "cat", "--json").out
    )
    assert certificate["proof"]["label"] == "cat"
    assert certificate["truth"]["correct"]
    assert json.loads(surety("predict", "cat.png", *synonyms, "--json").out)["label"] == "cat"


@pytest.mark.parametrize("command", ["certify", "predict"])
def test_encoding_reaches_the_run(surety, command):
    options = ("--provider", "reader", "--encoding", "jpeg", "--json")
    document = json.loads(surety(command, "cat.png", *options).out)
    subject = document["subject"] if command == "predict" else document["proof"]["subject"]
    assert subject["postprocess"] == {"encoding": "jpeg", "quality": 95}


@pytest.mark.parametrize("command", ["providers", "denoisers"])
def test_catalogs_need_no_data_directory(surety, monkeypatch, tmp_path, command):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("SURETY_DATA_DIR", str(tmp_path / "file" / "data"))
    done = surety(command, "--json")
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out)[command]


@pytest.mark.parametrize("command", ["providers", "denoisers"])
@pytest.mark.parametrize("more", [(), ("--json",)])
def test_a_default_that_is_not_ready_is_an_error(surety, monkeypatch, command, more):
    monkeypatch.setenv(f"SURETY_{command[:-1].upper()}", "nobody")
    done = surety(command, *more)
    assert done.code == ExitCode.CONFIGURATION
    assert done.err == f"error: the default {command[:-1]} 'nobody' is not ready: " + (
        "it is not installed\n"
    )
    assert not more or json.loads(done.out)["default"] == "nobody"


def test_a_default_that_lacks_a_credential(surety, monkeypatch):
    monkeypatch.setenv("SURETY_PROVIDER", "unconfigured")
    done = surety("providers")
    assert done.code == ExitCode.CONFIGURATION
    assert "is not ready: " in done.err
    assert "set STRANGER_KEY" in done.err


def test_a_broken_adapter_does_not_spoil_the_json(surety, monkeypatch):
    def broken(_):
        raise ZeroDivisionError

    surety("version")  # so that the stranger's package can be imported
    monkeypatch.setattr("tests.service.stranger.Split.__init__", broken)
    done = surety("providers", "--json")
    found = {p["name"]: p for p in json.loads(done.out)["providers"]}
    assert not found["split"]["ready"]
    assert done.err == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ("certify",),
        ("predict",),
        ("serve",),
        ("providers",),
        ("denoisers",),
        ("version",),
        ("train", "classifier"),
        ("train", "denoiser"),
    ],
)
def test_help_names_exit_codes(surety, arguments):
    assert "Exit codes: 0 " in " ".join(surety(*arguments, "--help").out.split())


def test_help_is_wrapped_by_the_terminal_alone(surety, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = surety("apikeys", "create", "--help").out  # a line of its docstring ends behind "read"
    assert "began itself; read may look at everything, admin may do everything." in text


BAD_TRAINING = [
    ("classifier", ("--epochs", "inf"), "--epochs must be"),
    ("classifier", ("--epochs", "nan"), "--epochs must be"),
    ("classifier", ("--epochs", "1e300"), "--epochs must be"),
    ("classifier", ("--epochs", "0"), "--epochs must be"),
    ("classifier", ("--seed", "99999999999999999999"), "--seed must be"),
    ("denoiser", ("--seed", "-99999999999999999999"), "--seed must be"),
]


@pytest.mark.parametrize(("kind", "options", "words"), BAD_TRAINING)
def test_bad_training_options(surety, kind, options, words):
    done = surety("train", kind, "--data", "none", *options)
    assert done.code == ExitCode.BAD_INPUT
    assert words in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("kind", "lines"),
    [(ConfigurationError, ["error: a", "  b�[1m"]), (BadRequest, ["error: a�  b�[1m"])],
)
def test_only_what_is_wrong_with_the_deployment_takes_several_lines(kind, lines, capsys):
    terminal.complain(kind("a\n  b\x1b[1m"))
    assert capsys.readouterr().err.splitlines() == lines
