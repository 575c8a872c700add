"""`surety train denoiser`: for the pictures, the noise and the classifiers that you have."""

from pathlib import Path
from typing import Annotated

import typer

from service.commands.train import parts
from service.commands.train.options import (
    MOST_STEPS,
    BatchByCrop,
    Mixed,
    Out,
    Resume,
    Seed,
    check_seed,
    parse_arguments,
    parse_range,
)
from service.commands.train.running import (
    counting,
    finish,
    friendly,
    keep_beginning,
    train,
)
from service.errors import BadRequest
from service.terminal import say

Texts = list[str]


def denoiser(
    data: Annotated[
        list[Path],
        typer.Option(
            help="Folder, zip or CIFAR-10 archive of pictures; may be given several times. "
            "What is named train or test, it or a folder in it, decides, where there is any."
        ),
    ],
    out: Out = Path("runs/denoiser"),
    architecture: Annotated[
        str | None, typer.Option(help="unet (the default), dncnn, or one that a package brings.")
    ] = None,
    set_: Annotated[
        Texts | None,
        typer.Option(
            "--set",
            metavar="NAME=NUMBER",
            help="Argument of the architecture, such as width=48; several times.",
        ),
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(
            help="Begin with this weights file and its architecture; --set makes it larger."
        ),
    ] = None,
    mse: Annotated[float, typer.Option(help="Weight of the squared error.")] = 1.0,
    relative: Annotated[
        bool,
        typer.Option(
            "--relative",
            help="Every picture's squared error counts relative to its own size: the same share "
            "off any error counts the same (mean PSNR is learnt); even squares then count most.",
        ),
    ] = False,
    stability: Annotated[
        float, typer.Option(help="Weight of keeping the surrogates' answers, such as 0.1.")
    ] = 0.0,
    stable_from: Annotated[
        float,
        typer.Option(help="Noise level from which stability counts in full; below, in proportion."),
    ] = 0.0,
    surrogate: Annotated[
        Texts | None,
        typer.Option(
            metavar="MODULE:FUNCTION",
            help="Classifier whose answers are to be kept: a function that returns a torch "
            "module, called with what follows it as =ARGUMENT. Several times. Its code is "
            "imported and run; the current directory is searched first, as with python -m.",
        ),
    ] = None,
    check: Annotated[
        Texts | None,
        typer.Option(
            metavar="MODEL.onnx",
            help="Classifier that only measures, after the training: an ONNX model (extra onnx), "
            "or MODULE:FUNCTION as above. Several times.",
        ),
    ] = None,
    sigma: Annotated[
        str, typer.Option(help="Noise levels to learn, lowest and highest.")
    ] = "0.05,1.0",
    even: Annotated[
        float,
        typer.Option(help="Share of levels drawn evenly, which is stronger, not by ratio."),
    ] = 0.0,
    focus: Annotated[
        str | None,
        typer.Option(
            help="Narrower range of noise levels, such as 0.15,0.3, for half of the pictures."
        ),
    ] = None,
    crop: Annotated[int, typer.Option(help="Side of the squares cut out, in pixels.")] = 32,
    turns: Annotated[
        bool,
        typer.Option(
            "--turns", help="Turn squares by quarter turns too, for pictures without an above."
        ),
    ] = False,
    also_at: Annotated[
        int | None,
        typer.Option(
            help="Take every picture once more, reduced to this shorter side, such as the "
            "classifier's 224.",
        ),
    ] = None,
    jitter: Annotated[
        int, typer.Option(help="Pixels by which what surrogates see is shifted at random.")
    ] = 0,
    batch: BatchByCrop = None,
    steps: Annotated[
        int, typer.Option(min=1, max=MOST_STEPS, help="Steps of the optimizer.")
    ] = 9000,
    rate: Annotated[float, typer.Option(help="Peak learning rate.")] = 1.5e-3,
    optimizer: Annotated[
        str, typer.Option(help="muon, or adamw, which needs many more steps.")
    ] = "muon",
    warmup: Annotated[
        float, typer.Option(help="Share of the steps in which the rate rises.")
    ] = 0.1,
    seed: Seed = 0,
    mixed: Mixed = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    hold_out: Annotated[
        int,
        typer.Option(
            min=2, help="Without a folder test: 10 keeps every tenth picture for measuring."
        ),
    ] = 10,
    half: Annotated[
        bool, typer.Option("--half", help="Save the weights as bfloat16: half the file.")
    ] = False,
    resume: Resume = True,
) -> None:
    """Train a denoiser.

    Exit codes: 0 trained, 2 bad usage, data or options, diverged or no room for files,
    130 stopped (the same command goes on), 1 internal error.
    """
    with friendly(resume=resume):
        check_seed(seed)
        from denoisers.training.loop import Plan
        from denoisers.training.objective import MOST_SIZE, Objective, batch_for

        plan = Plan(steps=steps, seed=seed, warmup=warmup, mixed=mixed)
        objective = Objective(
            mse=mse,
            stability=stability,
            stable_from=stable_from,
            sigmas=parse_range(sigma),
            even=even,
            relative=relative,
            turns=turns,
            focus=None if focus is None else parse_range(focus, "--focus"),
            jitter=jitter,
            size=crop,
            batch=batch or batch_for(crop),
            seed=seed,
            rate=rate,
            optimizer=optimizer,
        )
        if init and architecture:
            raise BadRequest("--init brings its own architecture: leave --architecture out")
        if surrogate and not stability:
            raise BadRequest(
                "--surrogate needs --stability, such as 0.1: without it no answer is looked at "
                "(--check only measures)"
            )
        if also_at is not None and not crop <= also_at <= MOST_SIZE:
            raise BadRequest(f"--also-at must be from --crop, {crop}, to {MOST_SIZE} pixels")
        keep_beginning(init, out)
        arguments = parse_arguments(set_ or [])
        where = parts.device(device)

        from denoisers.training.denoise_task import DenoiseTask
        from denoisers.training.pictures import load_all
        from denoisers.weights import rehearse

        surrogates = parts.surrogates(surrogate or [])
        checks = parts.checks(check or [], crop, where)
        network = parts.network(architecture or "unet", arguments, init, seed)
        rehearse(network, parts.kind(half=half), where)
        parted: list[str] = []
        with counting("decoding") as watch:
            pictures, held_out = load_all(
                data,
                out / "cache",
                hold_out=hold_out,
                also_at=also_at,
                watch=watch,
                tell=parted.append,
            )
        task = DenoiseTask(network, pictures, objective, surrogates, where)
        for how in parted:
            say(how)
        left_out = len(pictures) - task.usable
        say(
            f"{task.usable:,} pictures to learn from, {len(held_out):,} to measure with"
            + (f"; {left_out:,} are smaller than {crop}×{crop} and left out" if left_out else "")
        )
        checks += parts.as_checks(surrogate or [], surrogates, crop, where)
        seconds = train(task, plan, out, resume=resume)
        figures = parts.save_and_measure(task, out, held_out, checks, half=half)
        finish(task, plan, out, seconds, figures)
