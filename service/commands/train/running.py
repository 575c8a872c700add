"""What all trainings do alike: show where they stand, end in order, write what came out."""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from service.errors import BadRequest
from service.output_file import same_file
from service.terminal import complain, errors, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from denoisers.training.loop import Plan, Report, Task

FULL = "the memory is full: end what else takes it, or ask for less at once (a smaller --batch)"
LINE_SECONDS = 60  # between lines of progress where there is no terminal for a bar


def train(
    task: "Task",
    plan: "Plan",
    out: Path,
    *,
    resume: bool,
    identity: Mapping[str, object] | None = None,
) -> float:
    """Train to the end and leave the averaged weights in the task's model.

    Args:
        task: what is learnt.
        plan: how.
        out: the run's folder.
        resume: go on from its checkpoint.
        identity: what decides the curve, see :func:`denoisers.training.loop.fit`.

    Returns:
        Seconds of all the runs that it took.
    """
    from denoisers.training import checkpoint, heap
    from denoisers.training.loop import CHECKPOINT, fit, in_bfloat16

    heap.keep_freed()
    files = f"log: {out / 'log.csv'}   curve: {out / 'curve.svg'}"
    if plan.mixed and not in_bfloat16(plan, task.model):
        say("--mixed is left out: bfloat16 is only emulated here, which is slower than float32")
    again = "the same command" if resume else "the same command without --fresh"
    say(f"{files}   Ctrl-C stops, {again} goes on")
    with _bar(task.name, task.metric, plan.steps) as watch:
        weights = fit(task, plan, out, resume=resume, identity=identity, watch=watch)
    task.model.load_state_dict(weights)
    return float(checkpoint.state_of(out / CHECKPOINT)["seconds"])


def finish(
    task: "Task", plan: "Plan", out: Path, seconds: float, figures: Mapping[str, Any]
) -> None:
    """Write `figures.json` and print it."""
    from denoisers.training.files import write_whole
    from denoisers.training.loop import in_bfloat16

    summary = {
        "steps": plan.steps,
        "seed": plan.seed,
        "mixed": in_bfloat16(plan, task.model),
        "seconds": round(seconds),
        **figures,
    }
    write_whole(out / "figures.json", (json.dumps(summary, indent=2) + "\n").encode())
    typer.echo(json.dumps(summary))
    typer.echo(f"weights: {out / 'weights.safetensors'}")


def keep_beginning(init: Path | None, out: Path) -> None:
    """Refuse to begin with a file that the result would take the place of.

    Raises:
        BadRequest: if it is that file.
    """
    if init is not None and same_file(init, out / "weights.safetensors"):
        raise BadRequest(f"--init {init} would be overwritten: give another --out")


def new_file(path: Path) -> None:
    """Refuse what no weights file can be written to.

    Raises:
        BadRequest: if there is a file already, or its ending says something else.
    """
    from denoisers.files import WEIGHTS

    if path.exists():
        raise BadRequest(f"{path} is there already: name another file")
    if path.suffix.lower() != WEIGHTS:
        raise BadRequest(f"{path}: weights files end in {WEIGHTS}, or nothing reads them again")


def save_aside(save: Callable[[Path], None], path: Path, like: Path | None = None) -> None:
    """Let a file be written beside its place and move it there; the old one stays until then.

    Args:
        save: writes what it is about to the path that it gets.
        path: the place.
        like: file that is as readable; else the log beside it.
    """
    from denoisers.training.files import told

    aside = path.with_name(f"{path.name}.tmp")
    try:
        with told(path):
            save(aside)
            aside.chmod((like or path.parent / "log.csv").stat().st_mode)
            aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def _bar(name: str, metric: str, steps: int) -> "Iterator[Callable[[Report], None]]":
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Left

    console = errors()
    live = TextColumn("loss {task.fields[loss]:.4f}  " + metric + " {task.fields[value]:.3f}")
    speed = TextColumn("{task.fields[speed]:.0f} pictures/s")
    columns = (TextColumn(name), BarColumn(), MofNCompleteColumn(), live, speed, Left())
    told = time.monotonic()
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task(name, total=steps, loss=float("nan"), value=0.0, speed=0.0)

        def watch(report: "Report") -> None:
            nonlocal told
            progress.update(
                bar,
                completed=report.step,
                loss=report.loss,
                value=report.metric,
                speed=report.pictures_per_second,
            )
            if not console.is_terminal and time.monotonic() - told > LINE_SECONDS:
                told = time.monotonic()
                say(
                    f"step {report.step:,} of {report.steps:,}  loss {report.loss:.4f}  "
                    f"{metric} {report.metric:.3f}  {report.pictures_per_second:.0f} pictures/s"
                )

        yield watch


@contextmanager
def counting(what: str) -> "Iterator[Callable[[int, int], None]]":
    """Show a bar while things are counted; its function takes how many of how many."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = errors()
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn())
    shown = console.is_terminal
    with Progress(*columns, console=console, disable=not shown, transient=True) as progress:
        bar = progress.add_task(what, total=None)
        yield lambda done, total: progress.update(bar, completed=done, total=total)


@contextmanager
def friendly(*, resume: bool = True) -> "Iterator[None]":
    """Tell what went wrong in one line, and end with the exit code that stands for it.

    Args:
        resume: whether the same command would go on with what a training leaves.
    """
    from denoisers.errors import DenoiserError

    try:
        yield
    except (BadRequest, DenoiserError) as error:
        complain(error)
        raise typer.Exit(2) from None
    except OSError as error:
        if error.filename is None:  # not about --data or --out
            raise
        complain(BadRequest(f"{error.filename}: {error.strerror}"))
        raise typer.Exit(2) from None
    except (RuntimeError, MemoryError) as error:  # before the first step, or after the last one
        from denoisers.memory import out_of_memory  # with torch, which is there by then

        if not out_of_memory(error):
            raise
        complain(BadRequest(FULL))
        raise typer.Exit(2) from None
    except KeyboardInterrupt as stop:
        again = "the same command goes on" if resume else "the same command without --fresh goes on"
        if stop.args:  # by `fit`, with a checkpoint
            say(f"stopped; what was learnt is in the checkpoint: {again}")
        else:
            say(f"stopped: {again}" if resume else "stopped")
        raise typer.Exit(130) from None
