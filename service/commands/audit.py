"""`surety audit ID`: ask the provider again about some of a certificate's samples."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands import arguments as a

if TYPE_CHECKING:
    from service.audit_result import Audit
    from service.exit_codes import ExitCode
    from service.settings import Settings


def audit(
    certificate_id: Annotated[str, typer.Argument(metavar="ID", help="Of the certificate.")],
    sample: Annotated[
        int, typer.Option(help="Votes to ask about again, drawn at random.", min=1)
    ] = 50,
    image: Annotated[
        Path | None,
        typer.Option(
            help="The picture that was uploaded, or the canonical PNG; - reads it from stdin.",
            show_default="the picture that is kept",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            help="Draw the samples of an earlier audit again.", min=0, show_default="a new one"
        ),
    ] = None,
    denoiser: Annotated[
        str | None,
        typer.Option(help="The file of the denoiser, where it was one of your own."),
    ] = None,
    max_cost: a.MaxCost = None,
    as_json: a.Json = False,
) -> None:
    """Rebuild samples of a certificate, ask the provider again, and tell which votes differ.

    It needs the deployment's secret, and reveals nothing; the ledger is left as it is. Ctrl-C ends
    it with what was found by then; a second one aborts.

    Exit codes: 0 no vote differs, 3 some do, 2 bad usage or input, 5 provider failed,
    6 configuration, 130 cancelled, 141 nobody reads the output, 1 internal error.
    """
    import asyncio
    import json

    from service.audit_report import panel
    from service.load_settings import load_settings
    from service.terminal import output

    settings, denoiser = a.with_denoiser_file(load_settings(), denoiser)
    if image is not None:
        a.check_pictures([image])
    found = asyncio.run(
        _audited(
            settings,
            certificate_id,
            sample=sample,
            image=image,
            seed=seed,
            denoiser=denoiser,
            max_cost=max_cost,
        )
    )
    if as_json:
        typer.echo(json.dumps(found.describe()))
    else:
        output().print(panel(found))
    raise typer.Exit(_code(found))


async def _audited(
    settings: "Settings",
    certificate_id: str,
    *,
    sample: int,
    image: Path | None,
    seed: int | None,
    denoiser: str | None,
    max_cost: float | None,
) -> "Audit":
    import asyncio

    from certification.interrupt import Interrupt
    from service.audit import audit as ask_again
    from service.audit_ready import prepare
    from service.audit_report import AuditBar
    from service.core import Surety
    from service.local_runs import Breaks

    breaks = Breaks(lambda: None)
    async with Surety.opened(settings) as surety:
        with breaks.listening(), AuditBar(f"audit of {certificate_id}") as bar:
            breaks.bar = bar
            data = None
            if image is not None:
                data = await asyncio.to_thread(a.read_file, image, settings.max_upload_bytes)
            ready = await prepare(
                surety, certificate_id, sample=sample, image=data, seed=seed, denoiser=denoiser
            )
            breaks.interrupt = interrupt = Interrupt()
            bar.note("asking …")
            return await ask_again(
                surety,
                ready,
                max_cost=max_cost,
                interrupt=interrupt,
                on_asked=lambda asked, differing, cost: bar.count(
                    asked, len(ready.indices), differing, cost
                ),
            )


def _code(found: "Audit") -> "ExitCode":
    from service.exit_codes import ExitCode
    from service.terminal import complain

    if found.error is not None:
        return complain(found.error)
    if found.stop_reason == "cancelled":
        return ExitCode.CANCELLED
    return ExitCode.ABSTAINED if found.differences else ExitCode.DONE
