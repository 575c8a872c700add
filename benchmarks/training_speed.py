"""Training steps with and without giving freed memory back in between (denoisers/training/heap.py).

    python -m benchmarks.training_speed [--rounds 3] [--steps 8] [--threads 1]

Forward and backward of `photo`'s and of DnCNN's shape in bfloat16 where the CPU has it, as
`surety train denoiser --mixed` does them. Each turn is a process of its own, since what the C
library was told holds for as long as a process lives; ratios are taken within a round.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time

import torch
from torch import nn

from denoisers.device import precision
from denoisers.dncnn import DnCNN
from denoisers.training import heap
from denoisers.unet import UNet

SHAPES = {"photo, 16 of 128×128": (16, 128), "DnCNN, 128 of 32×32": (128, 32)}


def pictures_per_second(name: str, steps: int, *, keep: bool) -> float:
    """Take some steps after a few that count not.

    Args:
        name: one of SHAPES.
        steps: that count.
        keep: tell the C library to keep what is freed.
    """
    if keep and not heap.keep_freed():
        raise SystemExit("this C library cannot be told to keep freed memory")
    count, side = SHAPES[name]
    network: nn.Module = DnCNN() if name.startswith("DnCNN") else UNet(64, 2, 1, 2)
    network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    noisy = torch.rand((count, 3, side, side)).contiguous(memory_format=torch.channels_last)
    mixed = precision(torch.device("cpu")) is torch.bfloat16
    began = 0.0
    for step in range(-4, steps):
        if step == 0:
            began = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            cleaned = network(noisy, torch.full((count,), 0.25))
        torch.autograd.backward((cleaned.float() - noisy).square().mean())
        network.zero_grad(set_to_none=True)
    return steps * count / (time.perf_counter() - began)


def main() -> None:
    """Let both ways take turns."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turn", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    if asked.turn:
        name, keep = json.loads(asked.turn)
        print(pictures_per_second(name, asked.steps, keep=keep))
        return
    print(f"{'pictures/s':24}{'given back':>12}{'kept':>8}{'ratio':>8}")
    for name in SHAPES:
        rounds = [
            tuple(_turn(asked, name, keep=k) for k in (False, True)) for _ in range(asked.rounds)
        ]
        given, kept = (statistics.median(some) for some in zip(*rounds, strict=True))
        ratio = statistics.median(after / before for before, after in rounds)
        print(f"{name:24}{given:12.1f}{kept:8.1f}{ratio:8.2f}")


def _turn(asked: argparse.Namespace, name: str, *, keep: bool) -> float:
    options = ["--steps", str(asked.steps), "--threads", str(asked.threads)]
    command = [sys.executable, "-m", "benchmarks.training_speed", *options]
    command += ["--turn", json.dumps([name, keep])]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


if __name__ == "__main__":
    main()
