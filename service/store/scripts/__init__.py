"""Lua scripts, each an atomic step of the store."""

from importlib import resources

SCRIPTS: dict[str, str] = {
    file.name.removesuffix(".lua"): file.read_text(encoding="utf-8")
    for file in resources.files(__name__).iterdir()
    if file.name.endswith(".lua")
}
