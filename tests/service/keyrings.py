"""Settings with keys of the environment, and what must never be told."""

import json
import stat

from service.settings import Settings

OWN, OTHER, THIRD = "5a" * 32, "c3" * 32, "7e" * 32


def settings(folder, **fields):
    """Return the settings of a deployment with this data directory, and no `.env` file."""
    return Settings(_env_file=None, data_dir=folder, **fields)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def hidden(folder):
    """All that must never be told: what `keys.json` holds, and the environment's values."""
    told = [OWN, OTHER, THIRD]
    if (folder / "keys.json").exists():
        body = json.loads((folder / "keys.json").read_text())
        told += [e["secret"] for e in body["secrets"]]
        told += [e["seed"] for e in body["signing_keys"] if "seed" in e]
    return told


def older(folder, text=OWN, permissions=0o600):
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / "secret").write_text(text)
    (folder / "secret").chmod(permissions)
