"""Public networks to measure against: CIFAR-10 ResNets, FFDNet, DnCNN, MobileNet.

Each loader takes the path of a file that anyone can fetch; none of them comes with Surety. The
ResNets (He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016, section
4.2) are targets, and surrogates for training:

    --surrogate benchmarks.anchors:cifar_resnet=cifar10_resnet20.th
"""

from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from denoisers.dncnn import DnCNN

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
FFDNET_SIGMA = 75 / 255  # what FFDNet was trained up to
BACKGROUND = -1  # MobileNet's first class, which is none of ImageNet's thousand


class Block(nn.Module):
    """Two 3×3 convolutions and a way around them without parameters (option A).

    Args:
        before: channels that come in.
        after: channels that go out.
        stride: 2 halves the sides.
    """

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn1: nn.Module = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn2: nn.Module = nn.BatchNorm2d(after)
        self.stride, self.added = stride, (after - before) // 2

    def forward(self, x: torch.Tensor, share: float = 1.0) -> torch.Tensor:
        """Map (N, before, H, W) to (N, after, H/stride, W/stride).

        Args:
            x: what comes in.
            share: of what the convolutions add.
        """
        out = share * self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        if self.stride > 1 or self.added:
            around = (0, 0, 0, 0, self.added, self.added)  # zeros for the new channels
            x = functional.pad(x[:, :, :: self.stride, :: self.stride], around)
        return functional.relu(out + x)


class CifarResNet(nn.Module):
    """ResNet for 32×32 pictures: a stem of 16 channels, three stages of 16, 32 and 64.

    Args:
        blocks: in each stage; the network is 6·blocks + 2 layers deep.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1: nn.Module = nn.BatchNorm2d(16)
        self.layer1 = _stage(16, 16, 1, blocks)
        self.layer2 = _stage(16, 32, 2, blocks)
        self.layer3 = _stage(32, 64, 2, blocks)
        self.linear = nn.Linear(64, 10)
        for name, values in (("mean", MEAN), ("deviation", DEVIATION)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Score pictures.

        Args:
            x: float32 (N, 3, 32, 32) on [0, 1].

        Returns:
            Logits (N, 10).
        """
        seen = (x - self.mean) / self.deviation
        features = functional.relu(self.bn1(self.conv1(seen)))
        features = self.layer3(self.layer2(self.layer1(features)))
        scores: torch.Tensor = self.linear(features.mean((2, 3)))
        return scores


class ShakenResNet(nn.Module):
    """A ResNet that is another one at each call: a surrogate that is harder to please.

    What each block adds is scaled at random by 1 ± `most` wherever a gradient is asked for (Li,
    Bai, Zhou, Xie, Zhang, Yuille, "Learning transferable adversarial examples via ghost
    networks", AAAI 2020, section 3.3), so that a denoiser does not learn one network's quirks.
    The scales are a function of the pictures alone: a resumed training sees the same ones.

    Args:
        network: to be shaken.
        most: largest change of a scale.
    """

    def __init__(self, network: CifarResNet, most: float = 0.3) -> None:
        super().__init__()
        self.network, self.most = network, most

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Score pictures, see :class:`CifarResNet`."""
        net = self.network
        if not torch.is_grad_enabled():
            scores: torch.Tensor = net(x)
            return scores
        seed = int(x.detach()[0].double().sum().item() * 1e6)
        generator = torch.Generator().manual_seed(seed % 2**62)
        features = functional.relu(net.bn1(net.conv1((x - net.mean) / net.deviation)))
        for stage in (net.layer1, net.layer2, net.layer3):
            for block in stage:
                move = 2 * torch.rand((), generator=generator).item() - 1
                features = block(features, 1 + self.most * move)
        scores = net.linear(features.mean((2, 3)))
        return scores


class FFDNet(nn.Module):
    """Twelve convolutions at half resolution that are told the noise level, 96 wide.

    Zhang, Zuo, Zhang, "FFDNet: toward a fast and flexible solution for CNN-based image
    denoising", TIP 2018. Made for sigma up to 75/255: told that where the noise is stronger.
    Runs in the precision of its weights; odd sides are padded by repeating the edge.
    """

    side_by_side = True  # it keeps nothing while it computes

    def __init__(self, depth: int = 12, width: int = 96) -> None:
        super().__init__()
        sizes = [13, *[width] * (depth - 1), 12]
        convolutions = (nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(sizes))
        layers = [part for conv in convolutions for part in (conv, nn.ReLU(inplace=True))]
        self.body = nn.Sequential(*layers[:-1])

    def forward(self, noisy: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """Clean pictures, see :class:`denoisers.unet.UNet`."""
        height, width = noisy.shape[2:]
        if height % 2 or width % 2:
            noisy = functional.pad(noisy, (0, width % 2, 0, height % 2), mode="replicate")
        halved = functional.pixel_unshuffle(noisy.to(next(self.parameters()).dtype), 2)
        told = sigma.clamp(max=FFDNET_SIGMA).to(halved.dtype).view(-1, 1, 1, 1)
        given = torch.cat([halved, told.expand(-1, 1, *halved.shape[2:])], dim=1)
        whole = functional.pixel_shuffle(self.body(given), 2)
        return whole[:, :, :height, :width].float()


class LessContrast(nn.Module):
    """Asks a denoiser about noise that it was not made for: less contrast brings it into range.

        x̂ = ½ + (D(½ + c(y − ½), cσ) − ½)/c        c = min(1, limit/σ)

    Args:
        network: called as network(noisy, sigma).
        limit: the largest sigma that it knows.
    """

    def __init__(self, network: nn.Module, limit: float) -> None:
        super().__init__()
        self.network, self.limit = network, limit

    def forward(self, noisy: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """Clean pictures, see :class:`denoisers.unet.UNet`."""
        share = (self.limit / sigma).clamp(max=1.0)
        c = share.view(-1, 1, 1, 1)
        cleaned: torch.Tensor = (
            0.5 + (self.network(0.5 + c * (noisy - 0.5), share * sigma) - 0.5) / c
        )
        return cleaned


class MobileNet:
    """An ImageNet classifier as an ONNX file: one uint8 picture in, 1,001 scores out.

    Args:
        path: such as `mobilenet_v2_1.0_224_quant.onnx`.
        threads: of ONNX Runtime; 0 leaves it the choice.
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        import onnxruntime  # type: ignore[import-untyped]  # noqa: PLC0415  only needed here

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )
        given = self._session.get_inputs()[0]
        self._input, self.side = given.name, int(given.shape[1])

    def labels(self, pictures: NDArray[np.uint8]) -> list[int]:
        """Answer for each picture, uint8 (N, side, side, 3): 0…999, −1 for the background."""
        scores = (self._session.run(None, {self._input: one[None]})[0] for one in pictures)
        return [int(row.argmax()) + BACKGROUND for row in scores]


def cifar_resnet(path: str | Path) -> CifarResNet:
    """Read a ResNet-20, -32, -44, … for CIFAR-10.

    Args:
        path: `cifar10_resnet20.th` or the like: {"state_dict": …}, read without running code.

    Returns:
        The network, evaluating, batch norms folded; logits of pictures on [0, 1].
    """
    saved = torch.load(Path(path), map_location="cpu", weights_only=True)["state_dict"]
    tensors = {name.removeprefix("module."): tensor for name, tensor in saved.items()}
    network = CifarResNet(
        sum(n.startswith("layer1.") and n.endswith("conv1.weight") for n in tensors)
    )
    network.load_state_dict(tensors)
    return folded(network)


def shaken_resnet(path: str | Path) -> ShakenResNet:
    """Read a ResNet as :func:`cifar_resnet` does, to be shaken."""
    return ShakenResNet(cifar_resnet(path)).eval()


def resnet14(path: str | Path | None = None) -> CifarResNet:
    """Make a ResNet-14 for CIFAR-10, none of the public ones: to be trained, or read.

    Args:
        path: weights from `surety train classifier --network benchmarks.anchors:resnet14`; None
            for fresh ones.
    """
    network = CifarResNet(blocks=2)
    if path is None:
        return network
    network.load_state_dict(load_file(Path(path)), strict=False)  # which has no counts of batches
    return folded(network)


def folded(network: CifarResNet) -> CifarResNet:
    """Fold every batch norm into its convolution, in place: the same function, faster."""
    for module in network.eval().modules():
        if isinstance(module, CifarResNet | Block):
            for number in (1, 2) if isinstance(module, Block) else (1,):
                conv, norm = getattr(module, f"conv{number}"), getattr(module, f"bn{number}")
                if isinstance(norm, nn.BatchNorm2d):
                    setattr(module, f"conv{number}", fuse_conv_bn_eval(conv, norm))
                    setattr(module, f"bn{number}", nn.Identity())
    made: CifarResNet = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return made


def ffdnet(path: str | Path) -> FFDNet:
    """Read FFDNet for colour pictures.

    Args:
        path: `ffdnet_color.safetensors`: conv0 … conv11; its sub-pictures in the order channel,
            column offset, row offset, the noise map behind them.
    """
    tensors, network = load_file(Path(path)), FFDNet()
    # pixel_unshuffle has the row offset before the column offset
    order = [4 * c + 2 * column + row for c in range(3) for row in (0, 1) for column in (0, 1)]
    tensors["conv0.weight"] = tensors["conv0.weight"][:, [*order, 12]]
    for name in ("conv11.weight", "conv11.bias"):
        tensors[name] = tensors[name][order]
    _fill(network, tensors)
    return network.eval()


def dncnn20(path: str | Path) -> DnCNN:
    """Read DnCNN for colour pictures at sigma = 50/255, the only level it knows.

    Args:
        path: `dncnn_color_sigma50.safetensors`: conv0 … conv19.
    """
    network = DnCNN(depth=20, width=64, norm=0)
    _fill(network, load_file(Path(path)))
    return network.eval()


def _fill(network: nn.Module, tensors: dict[str, torch.Tensor]) -> None:
    """Give the network's convolutions, in order, the tensors conv0.weight, conv0.bias and so on."""
    left = dict(tensors)
    convolutions = (part for part in network.modules() if isinstance(part, nn.Conv2d))
    for number, convolution in enumerate(convolutions):
        kinds = ("weight", "bias")
        convolution.load_state_dict({kind: left.pop(f"conv{number}.{kind}") for kind in kinds})
    if left:
        raise ValueError(f"the file holds more than this network: {', '.join(sorted(left))}")


def _stage(before: int, after: int, stride: int, blocks: int) -> nn.Sequential:
    rest = (Block(after, after, 1) for _ in range(blocks - 1))
    return nn.Sequential(Block(before, after, stride), *rest)
