"""The training loop: resumable after a kill, the same curve for the same seed.

Order of the data and every random choice are functions of (seed, step) alone, so a resumed run
repeats exactly what an undisturbed one would have done. The learning rate rises for a share of
the steps and falls to zero (one cycle); the weights kept are a moving average.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import nn

from denoisers.device import precision
from denoisers.errors import BadPlan, Diverged, OutOfMemory
from denoisers.memory import out_of_memory
from denoisers.training import checkpoint
from denoisers.training.files import alone_in, write_whole
from denoisers.training.interrupts import after_the_step
from denoisers.training.log import Log, read_log
from denoisers.training.plot import draw
from denoisers.training.resuming import restore, tensors_of

CHECKPOINT, LOG, CURVE = "checkpoint.safetensors", "log.csv", "curve.svg"


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
        """The network in training, where it is computed."""
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
        mixed: compute in bfloat16 where that is safe; weights and sums stay float32. Nothing where
            the device would only emulate it, see :func:`denoisers.device.precision`.

    Raises:
        BadPlan: if a number is out of its range.
    """

    steps: int
    seed: int = 0
    warmup: float = 0.25
    average: float = 0.998
    clip: float = 5.0
    save_seconds: float = 60.0
    log_steps: int = 20
    mixed: bool = False

    def __post_init__(self) -> None:
        if self.steps < 1 or self.log_steps < 1:
            raise BadPlan("--steps must be at least 1")
        if not 0 <= self.warmup <= 1:
            raise BadPlan("--warmup must be a share of the steps from 0 to 1")
        if not (0 <= self.average < 1 and self.clip > 0):
            raise BadPlan("average must be from 0 to less than 1, and clip more than 0")


def fit(
    task: Task,
    plan: Plan,
    out: Path,
    *,
    resume: bool = True,
    identity: Mapping[str, object] | None = None,
    watch: Callable[[Report], None] = lambda _: None,
) -> dict[str, torch.Tensor]:
    """Train to the end, or until interrupted.

    Args:
        task: what is learnt.
        plan: how.
        out: folder for `checkpoint.safetensors`, `log.csv` and `curve.svg`.
        resume: go on from the checkpoint in `out` if there is one.
        identity: what besides the plan decides the curve, JSON values by name; a checkpoint that
            was made with others is refused. None takes the task's own `identity`, if it has one.
        watch: called after every step.

    Returns:
        The averaged weights, as a state dict.

    Raises:
        BadCheckpoint: if the checkpoint belongs to another training, or one is still running.
        Diverged: if loss or gradient are not finite; the last checkpoint stays.
        OutOfMemory: if a step does not fit into memory.
        CannotSave: if the disk is full; the last checkpoint stays.
        KeyboardInterrupt: after a checkpoint has been written.
    """
    with alone_in(out):
        run = _Run(task, plan, out, identity)
        with after_the_step() as interrupted:
            with _told_of_memory():
                run.begin(resume)
            while run.step < plan.steps:
                with _told_of_memory():
                    report = run.advance()
                watch(report)
                if interrupted():
                    run.save()
                    raise KeyboardInterrupt(str(out / CHECKPOINT))
                run.save_if_due()
        run.save()
        return run.average


@contextmanager
def _told_of_memory() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise OutOfMemory(
            "the memory does not hold one step: give a smaller --batch or --crop, or fewer "
            "surrogates at once"
        ) from error


class _Run:
    """One training between two checkpoints: what :func:`fit` goes through."""

    def __init__(
        self, task: Task, plan: Plan, out: Path, identity: Mapping[str, object] | None
    ) -> None:
        self._task, self._plan, self._out = task, plan, out
        how = dataclasses.asdict(plan)
        del how["save_seconds"], how["log_steps"]  # they do not bend the curve
        given = getattr(task, "identity", {}) if identity is None else identity
        self._identity = {"task": task.name, **how, **given}
        self._log = Log(out / LOG)
        self._optimizer = task.optimizer()
        self._peaks = [group["lr"] for group in self._optimizer.param_groups]
        self._device = next(task.model.parameters()).device
        self._mixed = in_bfloat16(plan, task.model)
        self.average = {k: v.detach().clone() for k, v in task.model.state_dict().items()}
        self.step, self._spent, self._pictures = 0, 0.0, 0

    def begin(self, resume: bool) -> None:
        path = self._out / CHECKPOINT
        if not resume:
            path.unlink(missing_ok=True)  # or a kill before the first save would bring it back
        elif path.exists():
            self.step, self._spent = restore(
                path, self._identity, self._task.model, self._optimizer, self.average
            )
        self._log.begin(self.step)
        self._task.model.train()
        self._began = self._saved = time.monotonic()

    def advance(self) -> Report:
        plan, step, model = self._plan, self.step, self._task.model
        seed = plan.seed * 1_000_003 + step
        generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)  # of what the network itself draws, such as dropout
        for group, peak in zip(self._optimizer.param_groups, self._peaks, strict=True):
            group["lr"] = peak * _schedule(step, plan)
        self._optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._mixed):
            loss, metric, pictures = self._task.loss(step, generator)
        value = float(loss.item())
        if not math.isfinite(value):
            raise self._diverged(f"the loss is {value}")
        torch.autograd.backward(loss)
        norm = float(nn.utils.clip_grad_norm_(model.parameters(), plan.clip).item())
        if not math.isfinite(norm):
            raise self._diverged(f"the gradient's norm is {norm}")
        self._optimizer.step()
        _follow(self.average, model, plan.average, step)
        self.step, self._pictures = step + 1, self._pictures + pictures
        passed = time.monotonic() - self._began
        speed = self._pictures / passed
        if self.step % plan.log_steps == 0 or self.step == plan.steps:
            rate = self._optimizer.param_groups[0]["lr"]
            self._log.line(self.step, value, metric, rate, speed, self._spent + passed)
        return Report(self.step, plan.steps, value, metric, speed)

    def save_if_due(self) -> None:
        if time.monotonic() - self._saved > self._plan.save_seconds:
            self.save()

    def save(self) -> None:
        tensors = tensors_of(self._task.model, self._optimizer, self.average)
        for name, tensor in tensors.items():
            if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
                raise self._diverged(f"{name} is not finite")
        state = {
            "identity": self._identity,
            "metric": self._task.metric,
            "step": self.step,
            "seconds": self._spent + time.monotonic() - self._began,
        }
        checkpoint.save(self._out / CHECKPOINT, tensors, state)
        draw_curve(self._out, self._task.metric)
        self._saved = time.monotonic()

    def _diverged(self, what: str) -> Diverged:
        kept = checkpoint.state_of(self._out / CHECKPOINT).get("step")
        return Diverged(
            f"the training has diverged at step {self.step + 1}: {what}. Begin anew with a lower "
            "--rate or a longer --warmup, or without --mixed"
            + (f"; the checkpoint of step {kept} is kept" if kept is not None else "")
        )


def in_bfloat16(plan: Plan, model: nn.Module) -> bool:
    """Say whether this is computed in bfloat16: planned, and the model's device has it."""
    return plan.mixed and precision(next(model.parameters()).device) is torch.bfloat16


def draw_curve(out: Path, metric: str) -> None:
    """Draw the log of a run into its `curve.svg`.

    Raises:
        CannotSave: if it cannot be written.
    """
    rows = read_log(out / LOG)
    write_whole(out / CURVE, draw(rows, metric, out.resolve().name).encode())


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
