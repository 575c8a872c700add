"""`surety train classifier`: the built-in classifier, or a surrogate for a denoiser's training."""

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.train.options import Batch, Mixed, Out, Resume, Seed, check_seed
from service.commands.train.parts import search_current_directory
from service.commands.train.running import (
    finish,
    friendly,
    keep_beginning,
    save_aside,
    train,
)
from service.errors import BadRequest
from service.terminal import say

if TYPE_CHECKING:
    from torch import nn

LEAST_EPOCHS, MOST_EPOCHS = 0.001, 10**6

Data = Annotated[
    Path,
    typer.Option(
        help="Folder or zip with train/CLASS/* and test/CLASS/* pictures, or a CIFAR-10 archive."
    ),
]


def classifier(
    data: Data,
    out: Out = Path("runs/classifier"),
    network: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:FUNCTION",
            help="Function that returns the torch module to train, for any classes; without it, "
            "the built-in one. Its code is imported and run; the current directory is searched "
            "first, as with python -m.",
        ),
    ] = None,
    init: Annotated[
        Path | None, typer.Option(help="Begin with these weights, as this command wrote them.")
    ] = None,
    robust: Annotated[
        float,
        typer.Option(
            help="Largest L2 norm of the small attacks that it learns to stand, on [0, 1], such "
            "as 1: for a surrogate. 0 for none."
        ),
    ] = 0.0,
    size: Annotated[int, typer.Option(min=8, help="Side of the pictures, in pixels.")] = 32,
    epochs: Annotated[float, typer.Option(help="Passes over the data.")] = 32,
    batch: Batch = 256,
    rate: Annotated[float, typer.Option(help="Peak learning rate.")] = 0.2,
    seed: Seed = 0,
    mixed: Mixed = False,
    resume: Resume = True,
) -> None:
    """Train the built-in classifier (ten labels, 32×32), or a surrogate.

    Exit codes: 0 trained, 2 bad usage or data, 130 stopped (the same command goes on),
    1 internal error.
    """
    with friendly(resume=resume):
        _check(epochs, robust, rate, seed)
        keep_beginning(init, out)
        if not network and size != 32:
            raise BadRequest("the built-in classifier takes 32×32: --size needs --network")
        from adapters.local.training import ClassifierTask, accuracy
        from adapters.local.weights import LABELS, save_classifier
        from denoisers.errors import BadData
        from denoisers.training.data import load_pictures
        from denoisers.training.loop import Plan
        from denoisers.training.resuming import digest_of

        made = _made(network, init, seed)
        pictures = load_pictures(data, "train", out / "cache", size, tell=say)
        if not network and pictures.classes != LABELS:
            raise BadData(
                f"the classes must be {', '.join(LABELS)}, not {', '.join(pictures.classes)}: for "
                "others, give a --network"
            )
        # Before hours are spent: what is wrong with these is known then.
        test = load_pictures(data, "test", out / "cache", size, pictures.classes, say)
        _try_out(made, size, len(pictures.classes))
        initial = digest_of(made)[:12]
        task = ClassifierTask(
            made, pictures.images, pictures.labels, batch=batch, seed=seed, rate=rate, robust=robust
        )
        steps = max(1, round(epochs * task.steps_per_epoch))
        plan = Plan(steps=steps, seed=seed, mixed=mixed)
        identity = {
            "batch": batch,
            "rate": rate,
            "robust": robust,
            "network": type(made).__name__,
            "initial weights": initial,
            "pictures": f"{len(pictures.labels)} ({pictures.digest[:12]})",
            "labels": _digest(pictures.labels.tolist(), pictures.classes),
        }
        seconds = train(task, plan, out, resume=resume, identity=identity)
        save_aside(lambda path: save_classifier(task.model, path), out / "weights.safetensors")
        figures = {
            "test_accuracy": accuracy(task.model, test.images, test.labels),
            "test_pictures": len(test.images),
            "classes": pictures.classes,
            "trained": identity,
        }
        finish(task, plan, out, seconds, figures)


def _check(epochs: float, robust: float, rate: float, seed: int) -> None:
    check_seed(seed)
    if not LEAST_EPOCHS <= epochs <= MOST_EPOCHS:  # which nan is not either
        raise BadRequest(f"--epochs must be from {LEAST_EPOCHS} to {MOST_EPOCHS:,}")
    if not 0 <= robust < math.inf:
        raise BadRequest("--robust must be a norm, 0 or more")
    if not 0 < rate <= 10:
        raise BadRequest("--rate must be more than 0 and at most 10")


def _digest(labels: Sequence[int], classes: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps([labels, classes]).encode()).hexdigest()[:12]


def _made(network: str | None, init: Path | None, seed: int) -> "nn.Module":
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from adapters.local.weights import classifier as built_in
    from denoisers.errors import NotUsable
    from denoisers.training.surrogates import make_module

    torch.manual_seed(seed)
    if network:
        search_current_directory()
    made = make_module(network, "network") if network else built_in()
    if not any(p.requires_grad for p in made.parameters()):  # else it is said which are to learn
        made.requires_grad_(True)
    if init:
        try:
            kept = {k: v for k, v in made.state_dict().items() if "num_batches_tracked" in k}
            made.load_state_dict({**kept, **load_file(init)})
        except OSError as error:
            raise NotUsable(f"--init {init} cannot be read: {error}") from None
        except (SafetensorError, RuntimeError) as error:
            said = " ".join(str(error).split())
            raise NotUsable(f"--init {init} does not fit the network: {said}") from None
    return made


def _try_out(network: "nn.Module", size: int, classes: int) -> None:
    from denoisers.errors import NotUsable
    from denoisers.training.surrogates import try_out

    (told,) = try_out([network.eval()], size)
    if told != classes:
        raise NotUsable(f"the network tells {told} classes apart: there are {classes} classes")
    network.train()
