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
) -> None:
    """Work on batch jobs until Ctrl-C or SIGTERM; any number of machines may do so.

    What is worked on at the end goes back to those that wait; no vote is lost. A second signal
    ends at once. Workers need the store and the secret of the deployment: SURETY_REDIS_URL,
    SURETY_SECRET and SURETY_SIGNING_KEY.

    Exit codes: 0 ended by a signal, 6 configuration or the store is away, 1 internal error.
    """
    import asyncio

    from rich.text import Text

    from service import logs
    from service.core import Surety
    from service.jobs.engine.worker import JobWorker, pictures_at_once
    from service.load_settings import load_settings
    from service.serving import until_signal
    from service.terminal import outlive_readers, output

    outlive_readers()
    settings = load_settings()
    most = pictures or pictures_at_once(settings.max_runs, inside=False)
    # each picture at work takes a slot
    chosen = settings.model_copy(update={"max_runs": max(most, settings.max_runs)})

    async def main() -> None:
        async with Surety.opened(chosen) as surety:
            worker = JobWorker(surety, most)
            name = surety.state.process.id
            line = Text(
                f"Worker {name} takes {most} pictures at a time, of {', '.join(worker.computes)}, "
                f"from {surety.state.address}. Ctrl-C ends it."
            )
            output().print(line, soft_wrap=True)
            await until_signal(worker.run())
        output().print("The worker has ended.")

    logs.configure(chosen.log_level)
    asyncio.run(main())
