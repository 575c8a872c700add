"""The training loop: resumable after a kill, the same curve for the same seed.

Order of the data and every random choice are functions of (seed, step) alone, so a resumed run
repeats exactly what an undisturbed one would have done. The learning rate rises for a quarter of
the steps and falls to zero (one cycle); the weights kept are a moving average.
"""

import csv
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from denoisers.errors import BadCheckpoint
from denoisers.training import checkpoint

COLUMNS = ("step", "loss", "metric", "rate", "pictures_per_second", "seconds")


class Task(Protocol):
    """What is learnt. Implemented structurally, so that adapters need not import this."""

    @property
    def name(self) -> str:
        """Names the run in its checkpoint; a checkpoint of another task is refused."""
        ...

    @property
    def metric(self) -> str:
        """What the second number of :meth:`loss` is called."""
        ...

    @property
    def model(self) -> nn.Module:
        """The network in training."""
        ...

    def optimizer(self) -> torch.optim.Optimizer:
        """Make the optimizer, its learning rates at their peak."""
        ...

    def loss(self, step: int, generator: torch.Generator) -> tuple[torch.Tensor, float, int]:
        """Compute one step.

        Args:
            step: counts from 0.
            generator: source of every random choice of this step.

        Returns:
            The loss, a metric to watch, and the number of pictures.
        """
        ...


@dataclass(frozen=True)
class Report:
    """Where a training stands; for a progress bar."""

    step: int
    steps: int
    loss: float
    metric: float
    pictures_per_second: float


@dataclass(frozen=True)
class Plan:
    """How to train.

    Attributes:
        steps: in all.
        seed: of order, noise and augmentation.
        warmup: share of the steps in which the learning rate rises.
        average: decay of the moving average of the weights.
        clip: largest gradient norm.
        save_seconds: between checkpoints.
        log_steps: between lines of the log.
        mixed: compute in bfloat16 where that is safe; weights and sums stay float32.
    """

    steps: int
    seed: int = 0
    warmup: float = 0.25
    average: float = 0.998
    clip: float = 5.0
    save_seconds: float = 60.0
    log_steps: int = 20
    mixed: bool = False


def fit(
    task: Task,
    plan: Plan,
    out: Path,
    *,
    resume: bool = True,
    watch: Callable[[Report], None] = lambda _: None,
) -> dict[str, torch.Tensor]:
    """Train to the end, or until interrupted.

    Args:
        task: what is learnt.
        plan: how.
        out: folder for `checkpoint.safetensors` and `log.csv`.
        resume: go on from the checkpoint in `out` if there is one.
        watch: called after every step.

    Returns:
        The averaged weights, as a state dict.

    Raises:
        BadCheckpoint: if the checkpoint belongs to another task or plan.
        KeyboardInterrupt: after a checkpoint has been written.
    """
    out.mkdir(parents=True, exist_ok=True)
    path, log = out / "checkpoint.safetensors", _Log(out / "log.csv")
    model, optimizer = task.model, task.optimizer()
    peaks = [group["lr"] for group in optimizer.param_groups]
    average = {k: v.detach().clone() for k, v in model.state_dict().items()}
    start, seconds = 0, 0.0
    if resume and path.exists():
        start, seconds = _restore(path, task, plan, optimizer, average)
    began = saved = time.monotonic()
    model.train()
    done = 0

    def keep(finished: int) -> None:
        spent = seconds + time.monotonic() - began
        state = {**_identity(task, plan), "step": finished, "seconds": spent}
        checkpoint.save(path, _tensors(task, optimizer, average), state)

    with _interrupt_after_the_step() as interrupted:
        log.begin(start)
        for step in range(start, plan.steps):
            generator = torch.Generator().manual_seed(plan.seed * 1_000_003 + step)
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * _schedule(step, plan)
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cpu", torch.bfloat16, enabled=plan.mixed):
                loss, metric, pictures = task.loss(step, generator)
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(model.parameters(), plan.clip)
            optimizer.step()
            _follow(average, model, plan.average, step)
            done += pictures
            now = time.monotonic()
            speed = done / (now - began)
            if (step + 1) % plan.log_steps == 0 or step + 1 == plan.steps:
                rate = optimizer.param_groups[0]["lr"]
                log.line(step + 1, loss.item(), metric, rate, speed, seconds + now - began)
            watch(Report(step + 1, plan.steps, loss.item(), metric, speed))
            if interrupted():
                keep(step + 1)
                raise KeyboardInterrupt
            if now - saved > plan.save_seconds:
                keep(step + 1)
                saved = now
    keep(plan.steps)
    return average


@contextmanager
def _interrupt_after_the_step() -> Iterator[Callable[[], bool]]:
    """Put off Ctrl-C and SIGTERM to the end of a step, where weights and step count agree."""
    seen = False

    def note(*_: object) -> None:
        nonlocal seen
        seen = True

    if threading.current_thread() is not threading.main_thread():
        yield lambda: seen  # signals reach the main thread alone
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _schedule(step: int, plan: Plan) -> float:
    """One cycle: linear up, cosine down to zero (Smith and Topin 2019)."""
    rise = max(1.0, plan.warmup * plan.steps)
    if step < rise:
        return 0.1 + 0.9 * step / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1.0, plan.steps - rise)))


def _follow(average: dict[str, torch.Tensor], model: nn.Module, decay: float, step: int) -> None:
    keep = min(decay, (1 + step) / (10 + step))  # short memory while everything still moves
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            average[name].lerp_(value.detach(), 1 - keep)
        else:
            average[name].copy_(value)


def _identity(task: Task, plan: Plan) -> dict[str, Any]:
    return {"task": task.name, "steps": plan.steps, "seed": plan.seed, "mixed": plan.mixed}


def _tensors(
    task: Task, optimizer: torch.optim.Optimizer, average: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    tensors = {f"model.{k}": v for k, v in task.model.state_dict().items()}
    tensors |= {f"average.{k}": v for k, v in average.items()}
    for index, entry in optimizer.state_dict()["state"].items():
        for name, value in entry.items():
            if value is not None:
                tensors[f"optimizer.{index}.{name}"] = torch.as_tensor(value)
    return {k: v.clone() for k, v in tensors.items()}


def _restore(
    path: Path,
    task: Task,
    plan: Plan,
    optimizer: torch.optim.Optimizer,
    average: dict[str, torch.Tensor],
) -> tuple[int, float]:
    tensors, state = checkpoint.load(path)
    wanted = _identity(task, plan)
    if {k: state.get(k) for k in wanted} != wanted:
        raise BadCheckpoint(
            f"{path} belongs to another training ({state.get('task')}, {state.get('steps')} "
            f"steps, seed {state.get('seed')}): give another --out, or begin anew with --fresh"
        )
    try:
        task.model.load_state_dict(_under(tensors, "model."))
        for name, value in _under(tensors, "average.").items():
            average[name].copy_(value)
    except (RuntimeError, KeyError) as error:
        raise BadCheckpoint(f"{path} does not fit the network: begin anew with --fresh") from error
    entries: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in _under(tensors, "optimizer.").items():
        index, _, field = name.partition(".")
        entries.setdefault(int(index), {})[field] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": entries})
    return int(state["step"]), float(state["seconds"])


def _under(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


class _Log:
    """A CSV with one line per `log_steps`; lines behind a resumed step are cut off."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def begin(self, step: int) -> None:
        rows: list[list[str]] = []
        if step and self._path.exists():
            with self._path.open(newline="") as file:
                rows = [r for r in csv.reader(file) if r and r[0].isdigit() and int(r[0]) <= step]
        with self._path.open("w", newline="") as file:
            csv.writer(file).writerows([list(COLUMNS), *rows])

    def line(self, step: int, *numbers: float) -> None:
        with self._path.open("a", newline="") as file:
            csv.writer(file).writerow([step, *(f"{n:.6g}" for n in numbers)])
