"""Which emulators there are, and what they answer from."""

import importlib
from pathlib import Path

from adapters.emulators.brain import Brain, LocalModel
from adapters.errors import MissingExtra, NotConfigured, UnknownAdapter

EMULATORS = {
    "aws": "adapters.emulators.aws:AwsEmulator",
    "azure": "adapters.emulators.azure:AzureEmulator",
    "azure-v32": "adapters.emulators.azure:AzureV32Emulator",
    "clarifai": "adapters.emulators.clarifai:ClarifaiEmulator",
    "google": "adapters.emulators.google:GoogleEmulator",
    "http": "adapters.emulators.http:HttpEmulator",
}


def emulator_class(name: str) -> type:
    """Import an emulator.

    Raises:
        UnknownAdapter: if there is none of this name.
        MissingExtra: if what it speaks with is not installed.
    """
    if name not in EMULATORS:
        raise UnknownAdapter(f"no emulator {name[:60]!r}: there are {', '.join(EMULATORS)}")
    module, _, kind = EMULATORS[name].partition(":")
    try:
        found: type = getattr(importlib.import_module(module), kind)
    except ImportError as error:
        raise MissingExtra(
            f"the emulators need more packages ({error.name} is missing): "
            'pip install ".[emulators]"'
        ) from error
    return found


def brain(model: Path | None = None, labels: Path | None = None) -> Brain:
    """Return what an emulator answers from.

    Args:
        model: an ONNX file; None for the built-in classifier.
        labels: its labels, one a line.

    Raises:
        NotConfigured: if the model cannot be used.
        MissingExtra: if onnxruntime is not installed.
    """
    if model is None:
        if labels is not None:
            raise NotConfigured("labels belong to a model: name it too")
        return Brain(LocalModel())
    from adapters.onnx_model import OnnxModel  # noqa: PLC0415  onnxruntime is an extra

    return Brain(OnnxModel.read(model, labels))
