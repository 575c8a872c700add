"""Denoisers from files of the operator's own, each with a name that requests give.

    SURETY_DENOISER_FILES    name=path,name=path
                             {"name": "path"}, where a path holds a comma or an equals sign

What is read is up to whoever runs the deployment: a request names a denoiser, never a path.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from denoisers import registry
from denoisers.errors import DenoiserError, NotUsable
from denoisers.reading import NO_PICKLES

if TYPE_CHECKING:
    from denoisers.registry import Denoiser

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
WEIGHTS, ONNX = ".safetensors", ".onnx"


def parse(value: str | Mapping[str, object]) -> dict[str, Path]:
    """Read the setting.

    Args:
        value: as above; or names with paths.

    Returns:
        Path by name, in the order given.

    Raises:
        NotUsable: if a name or the kind of a file cannot be used.
    """
    pairs = _pairs(value) if isinstance(value, str) else list(value.items())
    found: dict[str, Path] = {}
    for name, path in pairs:
        if name in found:
            raise NotUsable(f"two files are called {name!r}")
        if not isinstance(path, str | Path) or not str(path).strip():
            raise NotUsable(f"{name[:40]!r} names no file: write name=path,name=path")
        try:
            found[name] = Path(path).expanduser()
        except RuntimeError:
            raise NotUsable(f"{name[:40]!r}: there is no such home folder") from None
        check(name, found[name])
    return found


def check(name: str, path: Path) -> None:
    """Refuse what can be no denoiser's name or file. Reads nothing.

    Raises:
        NotUsable: saying what to write instead.
    """
    if not NAME.fullmatch(name):
        raise NotUsable(
            f"{name[:40]!r} cannot be a denoiser's name: up to 40 of a-z, 0-9, - and _, "
            "with a letter or digit first"
        )
    if registry.taken(name):
        raise NotUsable(f"a denoiser {name!r} is installed: give the file another name")
    if path.suffix.lower() not in (WEIGHTS, ONNX):
        raise NotUsable(f"{path.name}: a denoiser's file ends in {WEIGHTS} or {ONNX}; {NO_PICKLES}")


def name_of(path: Path) -> str:
    """Return a name for a file that was given none: its own, as far as a name may hold it."""
    name = re.sub(r"[^a-z0-9_-]+", "-", path.stem.lower()).strip("-_")[:34] or "file"
    return f"{name}-file" if registry.taken(name) else name


def load(name: str, path: Path, device: str = "cpu") -> "Denoiser":
    """Make a denoiser from a file.

    Args:
        name: as a request gives it.
        path: a weights file (:mod:`denoisers.weights`), or ONNX (:mod:`denoisers.onnx_network`).
        device: where it runs; ONNX files always run on the CPU.

    Raises:
        BrokenWeights: if the file cannot be used.
        UnknownArchitecture: if it is for an architecture that is not installed.
        NotUsable: if the name or the kind of file is refused, or something else is not here.
    """
    check(name, path)
    about = f"from the file {path.name}"
    try:
        if path.suffix.lower() == ONNX:
            from denoisers.onnx_denoiser import OnnxDenoiser  # noqa: PLC0415  as in the registry

            return OnnxDenoiser(name, path, summary=about)
        from denoisers.runtime import Runtime  # noqa: PLC0415
        from denoisers.weights import load_weights  # noqa: PLC0415

        network, sha256 = load_weights(path)
        return Runtime(name, network, sha256, device=device, summary=about)
    except DenoiserError:
        raise
    except Exception as error:  # a stranger's architecture may raise anything
        raise NotUsable(f"{path.name} cannot be loaded ({type(error).__name__})") from error


def _pairs(text: str) -> list[tuple[str, object]]:
    if text.lstrip().startswith("{"):
        try:
            return list(json.loads(text, object_pairs_hook=list))
        except (ValueError, RecursionError):
            raise NotUsable('this is no JSON: write {"name": "path"}') from None
    parts = [part.partition("=") for part in text.split(",") if part.strip()]
    return [(name.strip(), path.strip()) for name, _, path in parts]
