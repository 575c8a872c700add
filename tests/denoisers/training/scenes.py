"""Pictures, networks and classifiers that tests train with."""

import csv
import signal

import numpy as np
import torch
from PIL import Image
from torch import nn

from denoisers.training.denoise_task import DenoiseTask, Objective
from denoisers.training.pictures import Pictures
from denoisers.unet import UNet


def noise_pictures(root, count=6, size=32, classes=("cat", "dog"), parts=("train", "test")):
    """Fill a folder with PART/CLASS/NNNN.png, none like another."""
    rng = np.random.default_rng(0)
    for part in parts:
        for name in classes:
            folder = root / part / name
            folder.mkdir(parents=True)
            for i in range(count):
                array = rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
                Image.fromarray(array).save(folder / f"{i:04}.png")
    return root


def held(arrays):
    """Pictures in memory, from uint8 arrays (H, W, 3)."""
    shapes = np.array([array.shape[:2] for array in arrays], dtype=np.int64)
    pixels = np.concatenate([np.ascontiguousarray(array).reshape(-1) for array in arrays])
    names = tuple(str(place) for place in range(len(arrays)))
    return Pictures(pixels, shapes, names, digest="held")


def waves(count=24, size=16):
    """Smooth pictures: light waves of many lengths and directions."""
    y, x = np.mgrid[:size, :size]
    made = []
    for i in range(count):
        wave = 128 + 80 * np.sin(x * (0.2 + i / 40) + y / (4 + i) + i)
        made.append(np.repeat(wave[:, :, None], 3, axis=2).astype(np.uint8))
    return held(made)


def small_unet(seed=0):
    torch.manual_seed(seed)
    return UNet(width=4, half=1, quarter=1, eighth=1)


class Brightness(nn.Module):
    """A classifier with a batch norm: is the upper half brighter, the lower, or neither?"""

    def __init__(self, slope=40.0):
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.slope = nn.Parameter(torch.tensor(slope))

    def forward(self, x):
        x = self.norm(x)
        half = x.shape[2] // 2
        upper, lower = x[:, :, :half].mean((1, 2, 3)), x[:, :, half:].mean((1, 2, 3))
        return self.slope * torch.stack([upper - lower, lower - upper, 0 * upper], dim=1)


def brightness(slope="40"):
    return Brightness(float(slope))


def task(pictures=None, network=None, surrogates=(), **objective):
    """A small denoising task; options as those of the objective."""
    numbers = {"size": 16, "batch": 8} | objective
    network = network or small_unet()
    return DenoiseTask(network, pictures or waves(), Objective(**numbers), surrogates)


def curve(out):
    """Step, loss, metric and rate of a run, as they are written."""
    with (out / "log.csv").open() as file:
        return [(r["step"], r["loss"], r["metric"], r["rate"]) for r in csv.DictReader(file)]


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def stop_at(step, number=signal.SIGINT):
    """As Ctrl-C does; the step ends first."""

    def watch(report):
        if report.step == step:
            signal.raise_signal(number)

    return watch
