"""`surety train classifier`: the built-in classifier."""

from pathlib import Path
from typing import Annotated

import typer

from service.commands.train.options import Batch, Mixed, Out, Resume, Seed, check_seed
from service.commands.train.running import finish, friendly, save_aside, train
from service.errors import BadRequest

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
    epochs: Annotated[float, typer.Option(help="Passes over the data.")] = 32,
    batch: Batch = 256,
    seed: Seed = 0,
    mixed: Mixed = False,
    resume: Resume = True,
) -> None:
    """Train the built-in classifier (ten labels, 32×32).

    Exit codes: 0 trained, 2 bad usage or data, 130 stopped (the same command goes on),
    1 internal error.
    """
    with friendly():
        check_seed(seed)
        if not LEAST_EPOCHS <= epochs <= MOST_EPOCHS:  # which nan is not either
            raise BadRequest(f"--epochs must be from {LEAST_EPOCHS} to {MOST_EPOCHS:,}")
        from adapters.local.training import ClassifierTask, accuracy
        from adapters.local.weights import LABELS, save_classifier
        from denoisers.errors import BadData
        from denoisers.training.data import load_pictures
        from denoisers.training.loop import Plan

        pictures = load_pictures(data, "train", out / "cache")
        if pictures.classes != LABELS:
            raise BadData(f"the classes must be {', '.join(LABELS)}, not {pictures.classes}")
        task = ClassifierTask(pictures.images, pictures.labels, batch=batch, seed=seed)
        steps = max(1, round(epochs * task.steps_per_epoch))
        plan = Plan(steps=steps, seed=seed, mixed=mixed)
        identity = {
            "batch": batch,
            "pictures": f"{len(pictures.labels)} ({pictures.digest[:12]})",
        }
        seconds = train(task, plan, out, resume=resume, identity=identity)
        save_aside(lambda path: save_classifier(task.model, path), out / "weights.safetensors")
        test = load_pictures(data, "test", out / "cache")
        figures = {
            "test_accuracy": accuracy(task.model, test.images, test.labels),
            "test_pictures": len(test.images),
        }
        finish(out, plan, seconds, figures)
