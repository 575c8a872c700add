"""`surety worker`: work on the pictures of batch jobs."""

from typing import Annotated

import typer


def worker(
    pictures: Annotated[
        int | None,
        typer.Option(
            min=1, help="Pictures to work on at the same time.", show_default="SURETY_MAX_RUNS, 8"
        ),
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help="Port to serve metrics for Prometheus on; 0 takes a free one.",
            show_default="none",
        ),
    ] = None,
    metrics_host: Annotated[
        str, typer.Option(help="Address for that; whoever reaches it may read the figures.")
    ] = "127.0.0.1",
) -> None:
    """Work on batch jobs until Ctrl-C, SIGTERM or SIGHUP; any number of machines may do so.

    What is worked on at the end goes back to those that wait; no vote is lost. A second signal
    ends at once. Workers need the store and the secret of the deployment: SURETY_REDIS_URL,
    SURETY_SECRET and SURETY_SIGNING_KEY.

    Exit codes: 0 ended by a signal, 6 configuration or the store is away, 1 internal error.
    """
    import asyncio
    import contextlib
    from socket import socket

    from rich.text import Text

    from service import logs
    from service.core import Surety
    from service.jobs.engine.worker import JobWorker, pictures_at_once
    from service.listening import address_of
    from service.load_settings import load_settings
    from service.log_writer import LOG
    from service.seeing import port
    from service.seeing.seeing import Seeing
    from service.seeing.tracing import Tracing
    from service.serving import until_signal
    from service.terminal import outlive_readers, output

    outlive_readers()
    settings = load_settings()
    most = pictures or pictures_at_once(settings.max_runs, inside=False)
    # each picture at work takes a slot
    chosen = settings.model_copy(update={"max_runs": max(most, settings.max_runs)})

    async def work(surety: Surety, seeing: Seeing, listener: socket | None) -> None:
        async with contextlib.AsyncExitStack() as around:
            figures = await around.enter_async_context(seeing.over(surety, whole=False))
            if listener is not None:
                await around.enter_async_context(port.serving(listener, seeing.metrics, figures))
            await take(surety, listener)

    async def take(surety: Surety, listener: socket | None) -> None:
        await surety.load_others()
        worker = JobWorker(surety, most, await surety.compute_types())
        name = surety.state.process.id
        line = Text(
            f"Worker {name} takes {most} pictures at a time, of {', '.join(worker.computes)}, "
            f"from {surety.state.address}. Ctrl-C ends it."
        )
        output().print(line, soft_wrap=True)
        if listener is not None:
            output().print(f"Metrics at {address_of(listener)}/metrics", soft_wrap=True)
        await worker.run()

    async def main() -> None:
        listener = None if metrics_port is None else port.listen(metrics_host, metrics_port)
        with contextlib.nullcontext() if listener is None else listener:
            async with Surety.opened(chosen) as surety:
                await work(surety, Seeing(Tracing.configured()), listener)

    logs.configure(chosen.log_level)
    with LOG.in_background():
        asyncio.run(until_signal(main()))
    if not LOG.stalled:  # standard output may well lead into the same pipe
        output().print("The worker has ended.")
