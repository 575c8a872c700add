"""The keys: made once, never lost, never told."""

import json
import os
from datetime import datetime

import pytest

from certification.deployment_secret import secret_id
from certification.signing import Signer, parse_public_keys
from service.errors import ConfigurationError
from service.keys import load_keyring, rotate
from tests.service.keyrings import OTHER, OWN, THIRD, hidden, mode, older, settings


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "data"


def test_the_first_start_makes_both_and_the_second_finds_them(folder):
    first = load_keyring(settings(folder))
    assert mode(folder) == 0o700
    assert mode(folder / "keys.json") == 0o600
    assert {f.name for f in folder.iterdir()} == {"keys.json", ".keys.json.lock"}
    before = (folder / "keys.json").read_bytes()
    second = load_keyring(settings(folder))
    assert (folder / "keys.json").read_bytes() == before
    assert second.current_secret == first.current_secret
    assert len(first.current_secret) == 32
    assert first.current_secret_id == secret_id(first.current_secret)
    assert second.signer.public == first.signer.public
    assert first.current_secret != bytes(32)
    (public,) = first.public_keys
    assert public.current
    assert public.public == first.signer.public
    assert abs(datetime.now().timestamp() - datetime.fromisoformat(public.created).timestamp()) < 60


def test_another_directory_gets_other_keys(tmp_path, folder):
    one, two = (load_keyring(settings(tmp_path / name)) for name in "ab")
    assert one.current_secret != two.current_secret
    assert one.signer.public != two.signer.public


def test_public_keys_are_served_in_the_form_that_verify_reads(folder):
    load_keyring(settings(folder))
    keyring = rotate(settings(folder), secret=False, signing=True)
    read = parse_public_keys(json.dumps(keyring.describe()))
    assert list(read.values()) == [key.public for key in keyring.public_keys]
    assert [entry["current"] for entry in keyring.describe()["keys"]] == [False, True]
    signed = keyring.signer.sign({"a": 1})
    assert signed["signature"]["key_id"] == keyring.describe()["keys"][1]["id"]


def test_rotation_keeps_the_old_ones(folder):
    rings = [load_keyring(settings(folder))]
    for secret, signing in ((True, False), (False, True), (True, True)):
        rings.append(rotate(settings(folder), secret=secret, signing=signing))
        assert load_keyring(settings(folder)).current_secret == rings[-1].current_secret
        assert (rings[-1].current_secret != rings[-2].current_secret) is secret
        assert (rings[-1].signer.key_id != rings[-2].signer.key_id) is signing
        assert rings[-1].secrets.items() >= rings[-2].secrets.items()
        assert [k.id for k in rings[-1].public_keys][: len(rings[-2].public_keys)] == [
            k.id for k in rings[-2].public_keys
        ]
    assert len(rings[-1].secrets) == len(rings[-1].public_keys) == 3
    assert [k.current for k in rings[-1].public_keys] == [False, False, True]
    assert [k.current for k in rings[-1].known_secrets] == [False, False, True]
    assert mode(folder / "keys.json") == 0o600


def test_the_secret_of_an_older_version_is_taken_over(folder):
    older(folder, OWN + "\n")
    os.utime(folder / "secret", (1_700_000_000, 1_700_000_000))
    keyring = load_keyring(settings(folder))
    assert keyring.current_secret == bytes.fromhex(OWN)
    assert len(keyring.secrets) == 1
    assert keyring.known_secrets[0].created == "2023-11-14T22:13:20+00:00"
    assert (folder / "secret").read_text() == OWN + "\n"
    (folder / "secret").unlink()
    assert load_keyring(settings(folder)).current_secret == bytes.fromhex(OWN)


def test_a_rotation_before_the_first_start_takes_it_over_too(folder):
    older(folder)
    keyring = rotate(settings(folder), secret=True, signing=False)
    assert set(keyring.secrets.values()) == {bytes.fromhex(OWN), keyring.current_secret}
    assert keyring.current_secret != bytes.fromhex(OWN)


def test_the_older_secret_is_not_read_where_there_are_newer_ones(folder):
    keyring = load_keyring(settings(folder))
    older(folder)
    assert load_keyring(settings(folder)).secrets == keyring.secrets


def test_a_deployment_that_is_given_all_keys(folder):
    given = settings(
        folder, secret=OWN, old_secrets=f" {OTHER}, {THIRD},", signing_key=THIRD.upper()
    )
    keyring = load_keyring(given)
    assert keyring.current_secret == bytes.fromhex(OWN)
    assert set(keyring.secrets.values()) == {bytes.fromhex(t) for t in (OWN, OTHER, THIRD)}
    assert keyring.signer.public == Signer(bytes.fromhex(THIRD)).public
    origins = {key.id: key.origin for key in keyring.known_secrets}
    assert origins[keyring.current_secret_id] == "SURETY_SECRET"
    assert list(origins.values()).count("SURETY_OLD_SECRETS") == 2
    assert keyring.public_keys[0].origin == "SURETY_SIGNING_KEY"
    # Only its public half is written down, so that it outlasts the variable.
    text = (folder / "keys.json").read_text()
    assert not any(secret in text.lower() for secret in (OWN, OTHER, THIRD))
    assert keyring.signer.public.hex() in text
    assert load_keyring(given).public_keys == keyring.public_keys


def test_the_environment_wins_and_the_files_secrets_stay_known(folder):
    older(folder, OTHER)
    of_file = rotate(settings(folder), secret=True, signing=False)
    keyring = load_keyring(settings(folder, secret=OWN))
    assert keyring.current_secret == bytes.fromhex(OWN)
    assert keyring.secrets.items() > of_file.secrets.items()
    assert [k.current for k in keyring.known_secrets] == [False, False, True]
    assert keyring.signer.public == of_file.signer.public
    # One that both hold is the same, and its date is known.
    same = load_keyring(settings(folder, secret=of_file.current_secret.hex()))
    assert same.secrets == of_file.secrets
    assert same.known_secrets[1].created == of_file.known_secrets[1].created
    assert same.known_secrets[1].origin == "SURETY_SECRET"


def test_an_older_secret_beside_the_environments_stays_known(folder):
    older(folder, OTHER)
    keyring = load_keyring(settings(folder, secret=OWN))
    assert keyring.current_secret == bytes.fromhex(OWN)
    assert bytes.fromhex(OTHER) in keyring.secrets.values()
    assert load_keyring(settings(folder)).current_secret == bytes.fromhex(OTHER)


def test_public_keys_of_the_environment_stay_for_ever(folder):
    first = load_keyring(settings(folder, secret=OWN, signing_key=OWN))
    second = load_keyring(settings(folder, secret=OWN, signing_key=OTHER))
    assert [k.public for k in second.public_keys] == [first.signer.public, second.signer.public]
    assert [k.current for k in second.public_keys] == [False, True]
    own = load_keyring(settings(folder, secret=OWN))  # none is given any more: one is made
    assert len(own.public_keys) == 3
    assert own.public_keys[2].current
    back = load_keyring(settings(folder, secret=OWN, signing_key=OWN))
    assert [k.current for k in back.public_keys] == [True, False, False]


def test_rotating_what_the_environment_gives_is_refused(folder):
    with pytest.raises(ConfigurationError, match=r"set SURETY_SECRET .* SURETY_OLD_SECRETS"):
        rotate(settings(folder, secret=OWN), secret=True, signing=False)
    with pytest.raises(ConfigurationError, match="set SURETY_SIGNING_KEY"):
        rotate(settings(folder, signing_key=OWN), secret=True, signing=True)
    assert not folder.exists()
    assert len(rotate(settings(folder, signing_key=OWN), secret=True, signing=False).secrets) == 2


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"secret": ""}, "SURETY_SECRET must"),
        ({"secret": OWN[:-1]}, "SURETY_SECRET must"),
        ({"secret": OWN[:-2] + "5g"}, "SURETY_SECRET must"),
        ({"secret": OWN[:-1] + " a"}, "SURETY_SECRET must"),
        ({"secret": OWN + "5a"}, "SURETY_SECRET must"),
        ({"signing_key": OWN[:-1] + "٣"}, "SURETY_SIGNING_KEY must"),
        ({"old_secrets": f"{OTHER},{OWN[:-1]}"}, "entry 2 of SURETY_OLD_SECRETS must"),
        ({"old_secrets": f"{OTHER} {OWN}"}, "entry 1 of SURETY_OLD_SECRETS must"),
    ],
)
def test_a_malformed_variable_is_named_and_not_told(fields, named, folder):
    with pytest.raises(ConfigurationError, match=named) as refused:
        load_keyring(settings(folder, **fields))
    assert OWN[:-4] not in str(refused.value)
    assert not folder.exists()


def test_an_empty_list_of_old_secrets_is_none(folder):
    assert len(load_keyring(settings(folder, secret=OWN, old_secrets="")).secrets) == 1


def test_nothing_secret_is_printed(folder):
    given = settings(folder, secret=OWN, old_secrets=f"{OTHER}", signing_key=THIRD)
    for keyring in (rotate(settings(folder), secret=True, signing=True), load_keyring(given)):
        printed = f"{keyring!r} {keyring} {keyring.secrets!r} {keyring.public_keys} "
        printed += f"{keyring.known_secrets} {keyring.signer!r} {keyring.describe()} {given!r}"
        assert keyring.current_secret_id in repr(keyring)
        raw = [value for secret in hidden(folder) for value in (secret, str(bytes.fromhex(secret)))]
        assert not any(value in printed for value in raw)
