"""Convolutions fused with what follows them, for a CPU: no further pass through the memory.

oneDNN can clip at zero and add another tensor while a convolution's result is still in the cache,
and wants the weights in a layout of its own, into which torch otherwise brings them at every call.
torch has operators for that, which its compiler uses (torch.ops.mkldnn); they are called here
without it, since it needs a C++ compiler wherever Surety is installed.

What is computed is the same, but not its low bits, since less is rounded on the way: so it stands
in the compute type.
"""

import copy
import inspect
from typing import cast

import torch
from torch import nn

WORD = "fused2"  # in the compute type; another one when low bits change
# Largest difference that rounding explains, on [0, 1]; a pixel's step is 0.004
ALIKE = {torch.float32: 1e-4, torch.bfloat16: 0.03}


class Convolution(nn.Module):
    """A convolution, and what is fused with it. Its packed weights cannot be copied.

    Args:
        plain: what :func:`fusible` allows; its weights are copied.
        relu: clip the result at zero.
    """

    def __init__(self, plain: nn.Conv2d, *, relu: bool = False) -> None:
        super().__init__()
        sizes = (plain.padding, plain.stride, plain.dilation)
        padding, stride, dilation = ([int(n) for n in size] for size in sizes)
        weight = plain.weight.detach()
        self._packed = torch.ops.mkldnn._reorder_convolution_weight(
            weight, padding, stride, dilation, plain.groups
        )
        self._bias = None if plain.bias is None else plain.bias.detach().clone()
        self._how = (padding, stride, dilation, plain.groups)
        self._then = "relu" if relu else "none"

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve, (N, C, H, W)."""
        run, weights = torch.ops.mkldnn._convolution_pointwise, (self._packed, self._bias)
        return cast(torch.Tensor, run(x, *weights, *self._how, self._then, [], ""))

    def add_to(self, other: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Convolve `x`, add it to `other` in place and return that; half the time of a new sum."""
        run, weights = torch.ops.mkldnn._convolution_pointwise_, (self._packed, self._bias)
        then: tuple[object, ...] = ("add", 1.0, None, [], None)
        return cast(torch.Tensor, run(other, x, *weights, *self._how, *then))


def fused(network: nn.Module) -> nn.Module:
    """Return the same function with all fused that can be; the network itself if nothing can.

    Fused are a convolution and a ReLU that follow each other in a `Sequential`, and modules with a
    method `fused()`, the network itself or its parts, which return themselves in a faster form, or
    themselves. That form of a part may write over what it is given. What has a hook is left as it
    is.

    Args:
        network: in evaluation mode, on a CPU.
    """
    made = copy.deepcopy(network)  # a stranger's `fused()` may change it in place, and then fail
    faster = _fused(made)
    if faster is not made:
        return faster
    return made if _fuse(made) else network


def available(device: torch.device, dtype: torch.dtype) -> bool:
    """Say whether it can be done here, and is worth it: in bfloat16, on a CPU that multiplies it.

    In float32 it was slower where it was measured, on a CPU with AVX2 (docs/benchmarks.md).

    Args:
        device: where is computed.
        dtype: what with.
    """
    names = ("_convolution_pointwise", "_convolution_pointwise_", "_reorder_convolution_weight")
    here = device.type == "cpu" and bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]
    fast = dtype is torch.bfloat16
    return here and fast and all(hasattr(torch.ops.mkldnn, name) for name in names)


def fusible(module: nn.Module) -> bool:
    """Say whether a module is an ordinary convolution that nobody hooked or gave other padding."""
    return (
        type(module) is nn.Conv2d
        and not isinstance(module.padding, str)
        and module.padding_mode == "zeros"
        and not hooked(module)
    )


def hooked(module: nn.Module) -> bool:
    """Say whether somebody wants to know of each call."""
    return bool(module._forward_hooks or module._forward_pre_hooks)


def alike(one: torch.Tensor, other: torch.Tensor, dtype: torch.dtype) -> bool:
    """Say whether two results differ by no more than rounding explains.

    Args:
        one: pictures on [0, 1].
        other: of the same shape.
        dtype: what was computed with.
    """
    return one.shape == other.shape and bool((one - other).abs().max() <= ALIKE[dtype])


def _fused(part: nn.Module) -> nn.Module:
    make = getattr(part, "fused", None)
    if not inspect.ismethod(make) or hooked(part):  # an attribute may have that name too
        return part
    return cast(nn.Module, make())


def _fuse(module: nn.Module) -> int:
    count = 0
    for name, part in module.named_children():
        faster = _fused(part)
        if faster is part:
            count += _fuse(part)
        else:
            setattr(module, name, faster)
            count += 1
    return count + (_pairs(module) if type(module) is nn.Sequential else 0)


def _pairs(row: nn.Sequential) -> int:
    # An identity takes the ReLU's place, so that whoever counts the parts finds the others.
    last, count = None, 0
    for place, part in enumerate(row):
        if type(part) is nn.ReLU and not hooked(part) and last is not None:
            row[last] = Convolution(cast(nn.Conv2d, row[last]), relu=True)
            row[place] = nn.Identity()
            last, count = None, count + 1
        elif fusible(part):
            last = place
        elif type(part) is not nn.Identity or hooked(part):
            last = None
    return count
