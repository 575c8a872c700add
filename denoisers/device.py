"""Where a denoiser runs, and in which precision and way: together the *compute type*.

SURETY_DEVICE   auto     a CUDA GPU if there is one that the installed torch knows, else the CPU
                cpu
                cuda     the first GPU;  cuda:1  the second
"""

import logging
from functools import lru_cache

import torch

from denoisers.errors import NotUsable
from denoisers.fused import WORD as FUSED
from denoisers.fused import available

WORDS = "auto, cpu, cuda or cuda:N"
NO_CODE = "no kernel image"  # CUDA's words

_log = logging.getLogger(__name__)


def choose(text: str) -> torch.device:
    """Return the device of this name.

    Args:
        text: "auto", "cpu", "cuda" or "cuda:N".

    Raises:
        NotUsable: if it is none of these, or is not here.
    """
    name = text.strip().lower()
    if name == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() and _is_known(0) else "cpu")
    if name == "cpu":
        return torch.device("cpu")
    kind, _, number = name.partition(":")
    if kind != "cuda" or (name != "cuda" and not (number.isascii() and number.isdecimal())):
        raise NotUsable(f"unknown device {text[:40]!r}: SURETY_DEVICE is {WORDS}")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if int(number or 0) >= count:
        here = f"there are {count} CUDA GPUs" if count else "no CUDA GPU can be used"
        raise NotUsable(
            f"the device {text[:40]!r} is not here ({here}): SURETY_DEVICE=cpu always is"
        )
    return torch.device("cuda", int(number or 0))


@lru_cache
def _is_known(number: int) -> bool:
    """Say whether the installed torch was built for this GPU, which may be too old for it."""
    try:
        torch.ones(1, device=f"cuda:{number}").sum().item()
    except RuntimeError as error:
        if NO_CODE not in str(error):
            return True  # what else fails is told where it is used
        _log.warning("the installed torch has no code for this GPU: the CPU is used")
        return False
    return True


def precision(device: torch.device) -> torch.dtype:
    """Return bfloat16 where the device computes with it at full speed, else float32."""
    if device.type == "cuda":
        fast = torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        fast = cpu_has_bfloat16()
    return torch.bfloat16 if fast else torch.float32


def cpu_has_bfloat16() -> bool:
    """Say whether this CPU multiplies bfloat16 (AVX-512-BF16 or AMX); emulation is slower."""
    asked = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # torch has no public name
    return any(bool(getattr(torch.cpu, name, bool)()) for name in asked)


def compute_type(device: torch.device, dtype: torch.dtype, *, fused: bool = False) -> str:
    """Name device class and precision, such as "cpu/bfloat16"; part of the subject.

    Args:
        device: where is computed.
        dtype: what with.
        fused: in :mod:`denoisers.fused`'s way, whose low bits are others: "cpu/bfloat16/fused2".
    """
    plain = f"{device.type}/{str(dtype).removeprefix('torch.')}"
    return f"{plain}/{FUSED}" if fused else plain


def compute_types(text: str) -> list[str]:
    """Return the compute types in which Surety's own networks may be run on a device.

    Args:
        text: as for :func:`choose`.

    Raises:
        NotUsable: if the device is not here.
    """
    device = choose(text)
    dtype = precision(device)
    ways = (True, False) if available(device, dtype) else (False,)  # some have nothing to fuse
    return [compute_type(device, dtype, fused=way) for way in ways]


def working(text: str) -> str:
    """See that a device is here and computes; return its name, such as "cpu" or "cuda:0".

    Args:
        text: as for :func:`choose`.

    Raises:
        NotUsable: if it is not here, or fails.
    """
    device = choose(text)
    try:
        found = float(torch.ones(8, device=device).sum())  # waits until the device has done it
    except RuntimeError as error:
        raise NotUsable(f"the device {device} fails: {str(error).splitlines()[0][:200]}") from None
    if found != 8:
        raise NotUsable(f"the device {device} computes wrongly: 8 ones are {found:g}")
    return str(device)
