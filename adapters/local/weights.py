"""The shipped weights of the built-in classifier, and how they are read and written."""

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from adapters.errors import NotConfigured
from adapters.local.labels import LABELS
from adapters.local.network import ConvNorm, LocalClassifier

__all__ = ["LABELS", "LoadedClassifier", "classifier", "load_classifier", "save_classifier"]


@dataclass(frozen=True)
class LoadedClassifier:
    """A network ready to be asked.

    Attributes:
        network: in evaluation mode, normalisation folded into the convolutions.
        sha256: of the weights file.
    """

    network: nn.Module
    sha256: str

    @torch.inference_mode()
    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the softmax of the scores.

        Args:
            images: uint8 (N, 32, 32, 3).

        Returns:
            float32 (N, 10).
        """
        batch = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255  # stays channels-last
        scores: NDArray[np.float32] = self.network(batch).softmax(1).numpy()
        return scores


def load_classifier(path: Path | None = None) -> LoadedClassifier:
    """Read weights strictly: every tensor by name and shape, nothing else in the file.

    Args:
        path: a safetensors file; None for the shipped one.

    Raises:
        NotConfigured: if the file is missing, damaged or of another shape.
    """
    source = path or files("adapters.local") / "weights" / "cifar.safetensors"
    try:
        data = source.read_bytes()
        tensors = {name: t.float() for name, t in load(data).items()}
        network = LocalClassifier(width=int(tensors["body.1.0.weight"].shape[0]))
        complete = network.state_dict()
        missing = set(complete) - set(tensors)
        if any("num_batches_tracked" not in name for name in missing):
            raise KeyError(min(missing))
        network.load_state_dict({**{name: complete[name] for name in missing}, **tensors})
    except (OSError, SafetensorError, RuntimeError, KeyError, IndexError) as error:
        raise NotConfigured(
            f"the weights of the built-in classifier cannot be used ({type(error).__name__}): "
            "install Surety again"
        ) from None
    return LoadedClassifier(_folded(network), hashlib.sha256(data).hexdigest())


def classifier(path: str | None = None) -> nn.Module:
    """Make a network of the built-in classifier's kind: to be trained, or read, as a surrogate.

        surety train denoiser … --surrogate adapters.local.weights:classifier=weights.safetensors

    Args:
        path: weights; None for fresh ones.

    Raises:
        NotConfigured: see :func:`load_classifier`.
    """
    return LocalClassifier() if path is None else load_classifier(Path(path)).network


def save_classifier(network: nn.Module, path: Path) -> None:
    """Write a classifier's weights as float32 safetensors, normalisation not folded.

    Raises:
        OSError: if the file cannot be written.
    """
    tensors = {  # copies: two layers may share a tensor, which the format does not know
        name: tensor.detach().to("cpu", torch.float32).clone(memory_format=torch.contiguous_format)
        for name, tensor in network.state_dict().items()
        if "num_batches_tracked" not in name
    }
    path.write_bytes(save(tensors, metadata={"network": type(network).__name__}))


def _folded(network: LocalClassifier) -> nn.Module:
    """Fold every batch normalisation into its convolution: a third fewer passes over memory."""
    network.eval()
    for module in network.modules():
        if isinstance(module, ConvNorm):
            convolution, norm = module[0], module[1]
            assert isinstance(convolution, nn.Conv2d)  # noqa: S101
            assert isinstance(norm, nn.BatchNorm2d)  # noqa: S101
            module[0], module[1] = fuse_conv_bn_eval(convolution, norm), nn.Identity()
    fast: nn.Module = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return fast
