"""`surety serve`: the HTTP API."""

from pathlib import Path
from typing import Annotated

import typer


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Port to listen on; 0 takes a free one.", show_default="8000"
        ),
    ] = None,
    allow_public: Annotated[
        bool,
        typer.Option(
            "--allow-public", help="Let other machines connect though no API key is needed."
        ),
    ] = False,
    sample: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            readable=True,
            help="Certify this picture through the API first, and print the certificate.",
        ),
    ] = None,
    demo: Annotated[
        bool, typer.Option("--demo", help="The same with the picture that comes with Surety.")
    ] = False,
) -> None:
    """Serve the HTTP API until Ctrl-C, SIGTERM or SIGHUP, which end every run in order.

    Without API keys only this machine can connect; `surety apikeys create` makes one.

    Exit codes: 0 ended by a signal, 2 bad usage, 6 configuration (the address can be
    reached from other machines without API keys or leave, or it is taken), 1 internal error.
    """
    import asyncio

    from rich.text import Text

    from service import logs
    from service.access.words import access_words
    from service.app import create_app
    from service.commands.version import installed_version
    from service.core import Surety
    from service.demo import demonstrate, sample_picture
    from service.guard import any_name_will_do
    from service.listening import address_of, is_everywhere, is_near, listen
    from service.load_settings import load_settings
    from service.log_writer import LOG
    from service.serving import serve_until_signal, until_signal
    from service.terminal import outlive_readers, output

    outlive_readers()
    settings = load_settings(host=host, port=port, allow_public=allow_public or None)
    picture = sample or (sample_picture() if demo else None)
    # Lines about requests would tear the live bar, so they begin after the demonstration.
    quiet = settings.model_copy(update={"log_level": "warning"})
    chosen = settings if picture is None else quiet

    async def main() -> None:
        # Opened here, since what is wrong with keys or store is better told in one line.
        async with Surety.opened(chosen) as surety:
            keys = await surety.state.api_keys.any()
            needed = keys or chosen.keys_required
            leave = needed or chosen.allow_public
            with listen(settings.host, settings.port, allow_public=leave) as listener:
                address = address_of(listener)
                app = create_app(chosen, surety)

                async def when_started() -> None:
                    line = Text.assemble("Surety ", installed_version(), " listens on ")
                    if is_everywhere(listener):
                        line.append(f"every address, port {listener.getsockname()[1]}: here ")
                    output().print(line.append(address, "cyan"))
                    any_name = any_name_will_do(settings.host, settings.allowed_hosts)
                    words = access_words(
                        near=is_near(listener), keys=keys, needed=needed, any_name=any_name
                    )
                    output().print(Text(*words))
                    if picture is None:
                        output().print(Text(f"Docs at {address}/docs. Ctrl-C ends it.", "dim"))
                        return
                    try:
                        with app.state.known.guest() as token:
                            await demonstrate(address, picture, token if needed else None)
                    finally:
                        logs.configure(settings.log_level)

                await serve_until_signal(app, listener, when_started)

    logs.configure(chosen.log_level)
    with LOG.in_background():
        asyncio.run(until_signal(main()))  # signals may come before it serves
    if not LOG.stalled:  # standard output may well lead into the same pipe
        output().print(Text("Surety has ended.", style="dim"))
