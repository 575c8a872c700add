"""Denoisers' speed: pictures/s and FLOP/s of each, in turn, beside the machine's matrix product.

    python -m benchmarks.denoiser_speed [--device cpu] [--threads 2] [--rounds 7] [--out FOLDER]
        [--cifar cifar] [--photo photo] [--batch 64]

At 32×32: DnCNN (17 layers of 64, batch norm, random weights) as people run it, in float32 on
contiguous tensors in evaluation and inference mode, from tensor to tensor; the same network in
Surety's runtime; Surety's `cifar`. At 224×224: FFDNet's shape (12 layers of 96 at half resolution,
random weights) and Surety's `photo`, both in its runtime. What goes through the runtime is timed
from int16 samples to uint8 pictures, everything included, at its own batch.

Every round each has one turn of about --seconds; ratios are taken within a round, and medians of
the rounds reported. FLOPs (a multiplication and an addition are two) are counted by torch. The
product is of bfloat16 matrices, or of float32 ones where bfloat16 would only be emulated. `none`
for --cifar or --photo leaves it out.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.anchors import FFDNet
from benchmarks.contestants import Cleans, Entry, runtime_of
from certification.protocols import at_once
from denoisers.device import choose, precision
from denoisers.dncnn import DnCNN
from denoisers.runtime import Runtime

SIGMA = 0.25
PLAIN = "DnCNN float32"
OURS = "DnCNN, runtime"
FFD = "FFDNet, runtime"
SIDES = (2048, 4096)  # of the matrices
TURNS = 4  # of the runtime's own size in one call: more than one, as a run has


@dataclass(frozen=True)
class Contestant:
    """Something timed.

    Attributes:
        name: stands in the table.
        work: one unit of work.
        pictures: in a unit; 0 for a matrix product.
        flops: of a unit.
        setup: picture size, precision, batch.
    """

    name: str
    work: Callable[[], object]
    pictures: int
    flops: int
    setup: str


def as_people_run_it(batch: int, device: torch.device) -> Contestant:
    """DnCNN with its batch norms, float32, contiguous."""
    network = DnCNN().eval().to(device)
    noisy = torch.rand((batch, 3, 32, 32), device=device)
    level = torch.full((batch,), SIGMA, device=device)

    @torch.inference_mode()
    def work() -> None:
        # with torch's usual kernels: the runtime has others
        with torch.backends.cudnn.flags(enabled=True):
            network(noisy, level)
        _wait(device)

    setup = f"32×32, {device.type}/float32, batch {batch}"
    return Contestant(PLAIN, work, batch, batch * flops_of(network, 32), setup)


def in_runtime(name: str, denoiser: Cleans, network: nn.Module, side: int) -> Contestant:
    """Surety's runtime, from whole numbers to whole numbers."""
    batch, together = denoiser.batch_of(side, side), at_once(denoiser, side, side)
    count = TURNS * together
    noise = np.random.default_rng(0).normal(128, 255 * SIGMA, (count, side, side, 3))
    noisy = noise.round().astype(np.int16)
    setup = f"{side}×{side}, {denoiser.compute}, batch {batch} × {together // batch}"
    flops = count * flops_of(network, side)
    return Contestant(name, lambda: denoiser.clean(noisy, SIGMA), count, flops, setup)


def product(side: int, dtype: torch.dtype, device: torch.device) -> Contestant:
    """One product of two square matrices."""
    left, right = (torch.rand((side, side), device=device).to(dtype) for _ in range(2))

    def work() -> None:
        torch.mm(left, right)
        _wait(device)

    kind = f"{device.type}/{str(dtype).removeprefix('torch.')}"
    return Contestant(f"product {side}³ {kind.split('/')[1]}", work, 0, 2 * side**3, kind)


def flops_of(network: nn.Module, side: int) -> int:
    """Count the FLOPs of one picture."""
    device = next(network.parameters()).device
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        noisy = torch.rand((1, 3, side, side), device=device)
        network(noisy, torch.full((1,), SIGMA, device=device))
    return int(counter.get_total_flops())


def units_for(contestant: Contestant, seconds: float) -> int:
    """Return how many units fill a turn; warms up on the way."""
    contestant.work()
    began = time.perf_counter()
    contestant.work()
    return max(1, round(seconds / (time.perf_counter() - began)))


def turn(contestant: Contestant, units: int) -> float:
    """Return the seconds that a unit takes."""
    began = time.perf_counter()
    for _ in range(units):
        contestant.work()
    return (time.perf_counter() - began) / units


def lined_up(asked: argparse.Namespace, device: torch.device) -> list[Contestant]:
    """Return all contestants, in the order of their turns."""
    dncnn, ffdnet = DnCNN().eval(), FFDNet().eval()
    runtime = Runtime("dncnn", dncnn, "", device=asked.device)
    found = [as_people_run_it(asked.batch, device), in_runtime(OURS, runtime, dncnn, 32)]
    for entry, side in ((asked.cifar, 32), (asked.photo, 224)):
        if side == 224:
            found.append(
                in_runtime(FFD, Runtime("ffdnet", ffdnet, "", device=asked.device), ffdnet, side)
            )
        if entry.source != "none":
            found.append(
                in_runtime(entry.label, runtime_of(entry, asked.device), entry.network()[0], side)
            )
    for dtype in dict.fromkeys((precision(device), torch.float32)):  # bfloat16 but where emulated
        found += [product(side, dtype, device) for side in SIDES]
    return found


def speeds(found: list[Contestant], times: Mapping[str, list[float]]) -> list[dict[str, object]]:
    """Print and return pictures/s and FLOP/s, medians of the rounds."""
    seconds = {name: statistics.median(taken) for name, taken in times.items()}
    products = [c for c in found if not c.pictures]
    best = [c for c in products if c.setup == products[0].setup]  # in the runtime's own precision
    peak = max(c.flops / seconds[c.name] for c in best)
    rows: list[dict[str, object]] = []
    print(f"\n{'':24}{'pictures/s':>11}{'MFLOP':>9}{'GFLOP/s':>9}{'of product':>11}")
    for c in found:
        per_second, speed = c.pictures / seconds[c.name], c.flops / seconds[c.name]
        each = c.flops / max(1, c.pictures)
        pictures = f"{per_second:11,.1f}{each / 1e6:9,.0f}" if c.pictures else f"{'':20}"
        print(f"{c.name:24}{pictures}{speed / 1e9:9,.0f}{100 * speed / peak:9.0f} %  {c.setup}")
        rows.append(
            {
                "name": c.name,
                "setup": c.setup,
                "pictures_per_second": per_second or None,
                "flops_per_picture": each if c.pictures else None,
                "flops_per_second": speed,
                "of_product": speed / peak,
            }
        )
    return rows


def ratios(
    found: list[Contestant], times: Mapping[str, list[float]], pairs: list[tuple[str, str]]
) -> dict[str, float]:
    """Print and return ratios of pictures/s, each taken within a round: the median of them."""
    pictures = {c.name: c.pictures for c in found}
    medians: dict[str, float] = {}
    print(f"\n{'pictures/s, ratio':36}{'median':>8}   rounds")
    for ours, other in pairs:
        if ours not in times:
            continue
        rounds = zip(times[ours], times[other], strict=True)
        each = [pictures[ours] / mine * theirs / pictures[other] for mine, theirs in rounds]
        name, median = f"{ours} / {other}", statistics.median(each)
        medians[name] = median
        print(f"{name:36}{median:8.2f}   {min(each):.2f} … {max(each):.2f}")
    return medians


def main() -> None:
    """Let them take turns."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cifar", type=Entry.parse, default="cifar")
    parser.add_argument("--photo", type=Entry.parse, default="photo")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    if asked.threads:
        torch.set_num_threads(asked.threads)
    device = choose(asked.device)
    torch.manual_seed(0)
    found = lined_up(asked, device)
    units = {c.name: units_for(c, asked.seconds) for c in found}
    times: dict[str, list[float]] = {c.name: [] for c in found}
    for _ in track(range(asked.rounds), description="rounds", console=Console(stderr=True)):
        for contestant in found:
            times[contestant.name].append(turn(contestant, units[contestant.name]))
    machine = {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "rounds": asked.rounds,
    }
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    rows = speeds(found, times)
    cifar, photo = asked.cifar.label, asked.photo.label
    pairs = [(OURS, PLAIN), (cifar, PLAIN), (cifar, OURS), (photo, FFD)]
    medians = ratios(found, times, pairs)
    if asked.out:
        asked.out.mkdir(parents=True, exist_ok=True)
        document = {**machine, "contestants": rows, "ratios": medians, "seconds": times}
        text = json.dumps(document, indent=1, ensure_ascii=False)
        (asked.out / f"speed-{device.type}.json").write_text(text)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
