"""`surety certify IMAGE...`: certificates without a server."""

from pathlib import Path
from typing import Annotated

import typer

from service.commands import arguments as a


def certify(
    images: a.Images,
    provider: a.Provider = None,
    sigma: a.Sigma = 0.25,
    denoiser: a.Denoiser = None,
    alpha: a.Alpha = 0.001,
    target_radius: a.TargetRadius = None,
    max_votes: a.MaxVotes = None,
    max_cost: a.MaxCost = None,
    max_seconds: a.MaxSeconds = None,
    good_enough: a.GoodEnough = a.GOOD_ENOUGH,
    no_good_enough: a.NoGoodEnough = False,
    milestone: a.Milestone = None,
    label: Annotated[
        str | None, typer.Option(help="The label you hold to be true: compared, no more.")
    ] = None,
    size: a.Size = None,
    encoding: a.Encoding = None,
    rule: a.Rule = "top1",
    synonyms: a.Synonyms = None,
    label_map: a.LabelMapFile = None,
    as_json: a.Json = False,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Write the certificate there; several go into one file, one a line. - prints "
            "them as --json does."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Let --output replace a file.")] = False,
    keep_image: a.KeepImage = False,
) -> None:
    """Certify pictures: the label, and how far the picture may change before it can.

    Ctrl-C ends a run and prints the certificate that is valid at that moment; a second one aborts.

    Exit codes: 0 certified, 3 abstained, 4 certified, but the target not reached,
    2 bad usage or input, 5 provider failed, 6 configuration, 130 cancelled,
    141 nobody reads the output, 1 internal error.
    """
    import asyncio

    import rfc8785

    from service import exit_codes, render
    from service.issued import Issued
    from service.load_settings import load_settings
    from service.local_runs import run_all
    from service.output_file import check_output, write_output
    from service.terminal import output as console
    from service.terminal import say

    if output == a.STDOUT:
        as_json, output = True, None
    if output is not None:
        check_output(output, force=force, inputs=images)
    unwritten: list[str] = []

    def deliver(name: str, issued: Issued) -> None:
        text = rfc8785.dumps(issued.document).decode()  # the form in which it is signed
        unwritten.append(text)  # first, since printing ends the command if nobody reads
        if as_json:
            typer.echo(text.encode())
        else:
            bill = issued.accounting if issued.again else None
            console().print(render.certificate(issued.document, name, bill))

    def keep() -> None:
        if output is None or not unwritten:
            return
        content = "\n".join(unwritten) + "\n"
        unwritten.clear()
        write_output(output, content, force=force)
        say(f"written to {output}")

    settings, denoiser = a.with_denoiser_file(load_settings(), denoiser)
    options = {
        "provider": provider,
        "sigma": sigma,
        "denoiser": denoiser,
        "alpha": alpha,
        "target_radius": target_radius,
        "max_votes": max_votes,
        "max_cost": max_cost,
        "max_seconds": max_seconds,
        "good_enough": None if no_good_enough else good_enough,
        "milestone": milestone,
        "truth": label,
        "size": size,
        "encoding": encoding,
        "rule": a.parse_rule(rule),
        "synonyms": a.parse_synonyms(synonyms, label_map),
        "keep_image": keep_image,
    }
    try:
        outcomes = asyncio.run(run_all(settings, images, "certify", options, deliver, keep))
    finally:
        keep()  # also when a later picture fails: what has been certified is not lost
    raise typer.Exit(
        exit_codes.worst(
            outcome.error
            if outcome.document is None
            else exit_codes.of_certificate(outcome.document)
            for outcome in outcomes
        )
    )
