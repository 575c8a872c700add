"""Who takes part: denoisers and targets, as the benchmarks' command lines name them.

--denoiser none | --denoiser cifar           an installed denoiser, as it ships
--denoiser ours=runs/denoiser/weights.safetensors
--denoiser ours@resnet20=loo20.safetensors   only where resnet20 is the target
--target resnet20=cifar10_resnet20.th        a ResNet for CIFAR-10
--target mine=package.module:function=argument
"""

import argparse
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import denoisers.registry
from benchmarks.anchors import MobileNet, cifar_resnet
from denoisers.errors import DenoiserError
from denoisers.runtime import Runtime
from denoisers.training.resuming import digest_of
from denoisers.training.sources import Source, open_source
from denoisers.training.surrogates import load_surrogate
from denoisers.weights import load_shipped, load_weights


class Cleans(Protocol):
    """What a benchmark needs of a denoiser, see :class:`denoisers.runtime.Runtime`."""

    name: str
    compute: str
    weights_sha256: str | None

    def batch_of(self, height: int, width: int) -> int:
        """Return to how many pictures of this size a batch is filled up."""
        ...

    def clean(self, noisy: NDArray[np.int16], sigma: float) -> NDArray[np.uint8]:
        """Clean a batch."""
        ...


class Target(Protocol):
    """A classifier that can only be asked."""

    name: str
    sha256: str

    def labels(self, pictures: NDArray[np.uint8]) -> list[int]:
        """Answer for each picture, uint8 (N, H, W, 3)."""
        ...


@dataclass(frozen=True)
class Entry:
    """One `--denoiser`.

    Attributes:
        label: stands in tables and curves.
        target: the one target that it is for; None for all.
        source: name of an installed denoiser, or path of a weights file.
    """

    label: str
    target: str | None
    source: str

    @classmethod
    def parse(cls, text: str) -> "Entry":
        """Read `NAME`, `LABEL=FILE` or `LABEL@TARGET=FILE`."""
        name, given, source = text.partition("=")
        label, _, target = name.partition("@")
        if not label or (given and not source):
            raise argparse.ArgumentTypeError(
                f"{text!r} is no NAME, LABEL=FILE or LABEL@TARGET=FILE"
            )
        return cls(label, target or None, source if given else label)

    def network(self) -> tuple[nn.Module, str]:
        """Read the network itself, float32, and the SHA-256 of its weights."""
        if self.source not in denoisers.registry.names():
            return load_weights(Path(self.source))
        return load_shipped(self.source)

    def runtime(self, device: str) -> Cleans:
        """Make it ready as Surety runs it."""
        if self.source in denoisers.registry.names():
            return denoisers.registry.load(self.source, device)
        network, sha256 = self.network()
        return Runtime(self.label, network, sha256, device=device)


class TorchTarget:
    """A torch network as a black box: whole pixel values in, one label out.

    Args:
        name: stands in tables and curves.
        network: scores float32 (N, 3, H, W) on [0, 1].
        sha256: says which network it is.
        device: where it runs.
    """

    def __init__(self, name: str, network: nn.Module, sha256: str, device: torch.device) -> None:
        self.name, self.sha256, self._device = name, sha256, device
        self._network = network.eval().to(device)

    @torch.inference_mode()
    def labels(self, pictures: NDArray[np.uint8]) -> list[int]:
        """See :class:`Target`."""
        batch = torch.from_numpy(pictures).to(self._device).permute(0, 3, 1, 2).float() / 255
        answers: list[int] = self._network(batch).argmax(1).tolist()
        return answers


class OnnxTarget:
    """MobileNet as a black box.

    Args:
        name: stands in tables and curves.
        path: of the ONNX file.
    """

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.sha256 = name, sha256_of(path)
        self._network = MobileNet(path)
        self.side, self.labels = self._network.side, self._network.labels


def target_of(text: str, device: torch.device) -> TorchTarget:
    """Read a `--target`: NAME=PATH of a ResNet for CIFAR-10, or NAME=package.module:function=…"""  # noqa: D415
    name, _, source = text.partition("=")
    if not name or not source:
        raise SystemExit(f"--target {text}: expected NAME=PATH or NAME=package.module:function=…")
    path = Path(source)
    if path.is_file():
        return TorchTarget(name, cifar_resnet(path), sha256_of(path), device)
    try:
        network = load_surrogate(source)
        # Its weights too: those of a file that is trained anew get votes of their own.
        return TorchTarget(name, network, sha256_of(f"{source} {digest_of(network)}"), device)
    except DenoiserError as error:
        raise SystemExit(f"--target {name}: {error}") from None


def data_of(path: Path) -> Source:
    """Open a `--data`, or end with what is wrong with it."""
    try:
        return open_source(path)
    except DenoiserError as error:
        raise SystemExit(f"--data: {error}") from None


def check(entries: Sequence[Entry], targets: Sequence[str]) -> None:
    """Refuse what would be measured twice, or never.

    Raises:
        SystemExit: with the reason.
    """
    for entry in entries:
        if entry.target not in (None, *targets):
            raise SystemExit(f"--denoiser {entry.label}@{entry.target}: there is no such --target")
    for target in targets:
        labels = [entry.label for entry in entries if entry.target in (None, target)]
        if twice := {label for label in labels if labels.count(label) > 1}:
            raise SystemExit(f"--denoiser: {', '.join(sorted(twice))} is given twice for {target}")


def runtime_of(entry: Entry, device: str) -> Cleans:
    """Make an entry ready, or end with what is wrong with it."""
    try:
        return entry.runtime(device)
    except DenoiserError as error:
        raise SystemExit(f"--denoiser {entry.label}: {error}") from None


def sha256_of(source: Path | str) -> str:
    """SHA-256 of a file, or of a text."""
    data = source.encode() if isinstance(source, str) else source.read_bytes()
    return hashlib.sha256(data).hexdigest()
