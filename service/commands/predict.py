"""`surety predict IMAGE...`: the label without a radius, for far fewer votes."""

from typing import Annotated

import typer

from service.commands import arguments as a


def predict(
    images: a.Images,
    n: Annotated[
        int | None, typer.Option("--n", help="Votes to count, fixed beforehand; 100 by default.")
    ] = None,
    provider: a.Provider = None,
    sigma: a.Sigma = 0.25,
    denoiser: a.Denoiser = None,
    alpha: a.Alpha = 0.001,
    max_cost: a.MaxCost = None,
    max_seconds: a.MaxSeconds = None,
    size: a.Size = None,
    encoding: a.Encoding = None,
    rule: a.Rule = "top1",
    synonyms: a.Synonyms = None,
    label_map: a.LabelMapFile = None,
    as_json: a.Json = False,
) -> None:
    """Predict pictures' labels: the majority of noisy copies, or an abstention.

    Exit codes: 0 predicted, 3 abstained, 2 bad usage or input, 5 provider failed,
    6 configuration, 130 cancelled, 141 nobody reads the output, 1 internal error.
    """
    import asyncio
    import json

    from service import exit_codes, render
    from service.issued import Issued
    from service.load_settings import load_settings
    from service.local_runs import run_all
    from service.terminal import output as console

    def deliver(name: str, issued: Issued) -> None:
        if as_json:
            typer.echo(json.dumps(issued.document))
        else:
            console().print(render.prediction(issued.document, name))

    settings, denoiser = a.with_denoiser_file(load_settings(), denoiser)
    options = {
        "provider": provider,
        "sigma": sigma,
        "denoiser": denoiser,
        "alpha": alpha,
        "predict_n": n,
        "max_cost": max_cost,
        "max_seconds": max_seconds,
        "size": size,
        "encoding": encoding,
        "rule": a.parse_rule(rule),
        "synonyms": a.parse_synonyms(synonyms, label_map),
    }
    outcomes = asyncio.run(run_all(settings, images, "predict", options, deliver))
    raise typer.Exit(
        exit_codes.worst(
            outcome.error
            if outcome.document is None
            else exit_codes.of_prediction(outcome.document)
            for outcome in outcomes
        )
    )
