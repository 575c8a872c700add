"""Brings a network to a device, and tries it there before anybody relies on it."""

import copy
from collections.abc import Callable

import torch
from torch import nn

from denoisers.device import precision
from denoisers.errors import BrokenWeights, NotUsable
from denoisers.fused import alike, available, fused
from denoisers.memory import NO_ENGINE, out_of_memory

TRIAL = 16  # side of the picture that a new network is tried with


def placed(network: nn.Module, device: torch.device) -> tuple[nn.Module, torch.dtype]:
    """Bring a network to the device, in the best precision that it can be run in.

    Args:
        network: called as network(noisy, sigma) on [0, 1]; stays as it is.
        device: where to.

    Returns:
        A copy of it there, and the type of its weights.

    Raises:
        NotUsable: if it cannot be run on this device.
        BrokenWeights: if what it returns is no picture, or not of each picture by itself.
    """
    fold: Callable[[], nn.Module] = getattr(network.eval(), "folded", lambda: network)
    folded = fold()
    asked = getattr(network, "precision", "") == "float32"
    if any(t.is_complex() for t in (*folded.parameters(), *folded.buffers())):
        raise NotUsable("the network has complex numbers for weights, of which half would be lost")
    best = torch.float32 if asked else precision(device)
    for dtype in dict.fromkeys((best, torch.float32)):
        try:
            found: nn.Module = _copied(folded).to(  # type: ignore[call-overload]
                device, dtype=dtype, memory_format=torch.channels_last
            )
            shape = tuple(tried(found, device).shape)
        except (RuntimeError, TypeError, ValueError, NotImplementedError) as error:
            failed = error
            # Which is no reason to compute in another type from now on.
            if out_of_memory(error) and NO_ENGINE not in str(error):
                break
            continue
        if shape != (1, 3, TRIAL, TRIAL + 1):
            raise BrokenWeights(
                f"the network made {tuple(shape)} of (1, 3, {TRIAL}, {TRIAL + 1}), or values that "
                "are not finite: it must return pictures of the shape that it is given"
            )
        _try_with_others(found, device, dtype)
        return found, dtype
    raise NotUsable(f"the network cannot be run on {device} ({type(failed).__name__}: {failed})")


def _copied(network: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(network)
    except RuntimeError:
        # A weight that is computed from others (torch.nn.utils.weight_norm) hangs on how it was
        # computed, which torch does not copy, until it has been without gradients.
        where = next(network.parameters()).device
        tried(network, where)
        return copy.deepcopy(network)


def faster(network: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    """Fuse a network's parts, where that can be done and is seen to change nothing.

    In float32 too, where rounding hides less: a part may write over what others still look at.

    Args:
        network: on its device, in its type.
        device: where it is.
        dtype: of its weights.

    Returns:
        One that computes the same, or this one.
    """
    if not available(device, dtype):
        return network
    try:
        exact = copy.deepcopy(network).float()
        quick = fused(network)
        pairs = ((fused(exact), exact, torch.float32), (quick, network, dtype))
        same = all(alike(tried(a, device), tried(b, device), kind) for a, b, kind in pairs)
        _try_with_others(quick, device, dtype)
    except Exception:  # noqa: BLE001  a stranger's network may do anything with its parts
        return network
    return quick if same else network


@torch.inference_mode()
def _try_with_others(network: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """See that it makes of a picture the same each time, whatever shares its batch.

    Votes would depend on each other otherwise. A normalisation over the batch does that, and so
    does dropout that nobody has switched off.
    """
    one = _picture(device)
    other, third = 1 - one / 2, one.square()  # which have another mean and another spread
    level = torch.full((2,), 0.25, device=device)
    try:
        beside, again, beside_third = (
            network(torch.cat([one, by]), level)[0].clone() for by in (other, other, third)
        )
        behind = network(torch.cat([other, one]), level)[1].clone()
    except Exception as error:  # of more than one picture
        if out_of_memory(error):
            return  # then it gets one at a time
        raise BrokenWeights(
            f"the network fails on two pictures at once ({type(error).__name__}: {error})"
        ) from error
    if not torch.equal(beside, again):
        raise BrokenWeights(
            "the network makes something else of the same picture each time: it must not draw "
            "anything at random, as dropout does"
        )
    if not alike(beside, behind, dtype):  # a kernel may round otherwise there
        raise BrokenWeights(
            "what the network makes of a picture depends on its place in the batch: it must do the "
            "same with each"
        )
    if not torch.equal(beside, beside_third):
        raise BrokenWeights(
            "what the network makes of a picture depends on the others in its batch: use the "
            "averages that a batch normalisation learnt, not the batch's own"
        )


@torch.inference_mode()
def tried(network: nn.Module, device: torch.device) -> torch.Tensor:
    """Return what a network makes of a small picture; an empty tensor if that is none.

    Args:
        network: called as network(noisy, sigma) on [0, 1].
        device: where it is.
    """
    cleaned = network(_picture(device), torch.full((1,), 0.25, device=device))
    if not isinstance(cleaned, torch.Tensor) or not bool(cleaned.isfinite().all()):
        return torch.empty(0)
    return cleaned


def _picture(device: torch.device) -> torch.Tensor:
    ramp = torch.linspace(0, 1, 3 * TRIAL * (TRIAL + 1), device=device)
    return ramp.view(1, 3, TRIAL, TRIAL + 1)
