"""`surety train classifier|denoiser`: train the networks that Surety ships, or your own."""

import json
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.errors import BadRequest
from service.terminal import complain, errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from denoisers.training.loop import Plan, Report, Task

LEAST_EPOCHS, MOST_EPOCHS = 0.001, 10**6
MOST_STEPS = 10**9
MOST_SEED = 10**12  # the generators of the steps are seeded with a million times as much

app = typer.Typer(
    no_args_is_help=True,
    help="Train a network; a run that was killed goes on where it stood.",
)

Data = Annotated[
    Path, typer.Option(help="Folder or zip with train/CLASS/* and test/CLASS/* pictures.")
]
Out = Annotated[Path, typer.Option(help="Folder for checkpoint, log, weights and figures.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same curve.")]
Batch = Annotated[int, typer.Option(min=1, help="Pictures per step.")]
Mixed = Annotated[
    bool,
    typer.Option("--mixed", help="bfloat16 where safe: twice as fast on CPUs that have it."),
]
Resume = Annotated[bool, typer.Option("--resume/--fresh", help="Go on from the checkpoint.")]


@app.command()
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
    with _friendly(seed):
        if not LEAST_EPOCHS <= epochs <= MOST_EPOCHS:  # which nan is not either
            raise BadRequest(f"--epochs must be from {LEAST_EPOCHS} to {MOST_EPOCHS:,}")
        from adapters.local.training import ClassifierTask, accuracy
        from adapters.local.weights import LABELS, save_classifier
        from denoisers.errors import BadData
        from denoisers.training.data import load_pictures
        from denoisers.training.loop import Plan

        train = load_pictures(data, "train", out / "cache")
        if train.classes != LABELS:
            raise BadData(f"the classes must be {', '.join(LABELS)}, not {train.classes}")
        task = ClassifierTask(train.images, train.labels, batch=batch, seed=seed)
        steps = max(1, round(epochs * task.steps_per_epoch))
        plan = Plan(steps=steps, seed=seed, mixed=mixed)
        weights, seconds = _run(task, plan, out, resume)
        task.model.load_state_dict(weights)
        test = load_pictures(data, "test", out / "cache")
        figures = {
            "test_accuracy": accuracy(task.model, test.images, test.labels),
            "test_pictures": len(test.images),
        }
        save_classifier(task.model, out / "weights.safetensors")
        _finish(out, plan, seconds, figures)


@app.command()
def denoiser(
    data: Data,
    out: Out = Path("runs/denoiser"),
    steps: Annotated[
        int, typer.Option(min=1, max=MOST_STEPS, help="Steps of the optimizer.")
    ] = 9000,
    batch: Batch = 128,
    seed: Seed = 0,
    mixed: Mixed = False,
    resume: Resume = True,
) -> None:
    """Train the built-in denoiser for 32×32 pictures, sigma from 0.05 to 1.

    Exit codes: 0 trained, 2 bad usage or data, 130 stopped (the same command goes on),
    1 internal error.
    """
    with _friendly(seed):
        from denoisers.training.data import load_pictures
        from denoisers.training.denoise_task import DenoiseTask, quality
        from denoisers.training.loop import Plan
        from denoisers.weights import save_weights

        train = load_pictures(data, "train", out / "cache")
        task = DenoiseTask(train.images, batch=batch, seed=seed)
        plan = Plan(steps=steps, seed=seed, warmup=0.1, mixed=mixed)
        weights, seconds = _run(task, plan, out, resume)
        task.model.load_state_dict(weights)
        test = load_pictures(data, "test", out / "cache")
        figures = {"psnr": quality(task.model, test.images[::5])}
        save_weights(task.model, out / "weights.safetensors")
        _finish(out, plan, seconds, figures)


def _run(task: "Task", plan: "Plan", out: Path, resume: bool) -> tuple[dict[str, Any], float]:
    from denoisers.training import checkpoint
    from denoisers.training.loop import fit

    typer.echo(f"log: {out / 'log.csv'}   Ctrl-C stops, the same command goes on", err=True)
    with _bar(task.name, task.metric, plan.steps) as watch:
        weights = fit(task, plan, out, resume=resume, watch=watch)
    _, state = checkpoint.load(out / "checkpoint.safetensors")
    return weights, float(state["seconds"])  # of all the runs that it took


def _finish(out: Path, plan: "Plan", seconds: float, figures: dict[str, Any]) -> None:
    summary = {
        "steps": plan.steps,
        "seed": plan.seed,
        "mixed": plan.mixed,
        "seconds": round(seconds),
        **figures,
    }
    (out / "figures.json").write_text(json.dumps(summary, indent=2) + "\n")
    typer.echo(json.dumps(summary))
    typer.echo(f"weights: {out / 'weights.safetensors'}")


@contextmanager
def _bar(name: str, metric: str, steps: int) -> "Iterator[Callable[[Report], None]]":
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Left

    console = errors()
    live = TextColumn("loss {task.fields[loss]:.4f}  " + metric + " {task.fields[value]:.3f}")
    speed = TextColumn("{task.fields[speed]:.0f} pictures/s")
    columns = (TextColumn(name), BarColumn(), MofNCompleteColumn(), live, speed, Left())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task(name, total=steps, loss=float("nan"), value=0.0, speed=0.0)

        def watch(report: "Report") -> None:
            progress.update(
                bar,
                completed=report.step,
                loss=report.loss,
                value=report.metric,
                speed=report.pictures_per_second,
            )

        yield watch


@contextmanager
def _friendly(seed: int) -> "Iterator[None]":
    from denoisers.errors import DenoiserError

    try:
        if abs(seed) > MOST_SEED:
            raise BadRequest(f"--seed must be a whole number within ±{MOST_SEED:,}")
        yield
    except (BadRequest, DenoiserError) as error:
        complain(error)
        raise typer.Exit(2) from None
    except OSError as error:
        if error.filename is None:  # not about --data or --out
            raise
        complain(BadRequest(f"{error.filename}: {error.strerror}"))
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        typer.secho("stopped; the checkpoint is kept: the same command goes on", err=True)
        raise typer.Exit(130) from None


if __name__ == "__main__":
    app()
