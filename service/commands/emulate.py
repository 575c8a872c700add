"""`surety emulate PROVIDER`: a server that speaks a provider's own protocol."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from adapters.emulators.server import Emulator

LOOK_AGAIN_SECONDS = 0.5
LABELS = {"control": "counts and faults", "rest": "REST", "grpc": "gRPC"}


def emulate(
    provider: Annotated[
        str,
        typer.Argument(metavar="PROVIDER", help="aws, azure, azure-v32, google, clarifai, http."),
    ],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 0,
    control_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Of counts and faults; 0 takes a free one.")
    ] = 0,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    model: Annotated[
        Path | None,
        typer.Option(help="ONNX classifier that answers.", show_default="the built-in one"),
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="The model's labels, one a line.")] = None,
    profile: Annotated[
        Path | None,
        typer.Option(help="http: write a profile named emulated to this file."),
    ] = None,
    faults: Annotated[
        Path | None,
        typer.Option(help="TOML or JSON plan of what goes wrong; read again when it changes."),
    ] = None,
) -> None:
    """Serve a provider's own wire protocol, answering from a real classifier.

    Prints the environment that points the provider's SDK here, ready for a shell, and goes on
    until Ctrl-C. Nothing leaves this machine and nothing is billed.

    Exit codes: 0 ended, 2 bad usage, 6 configuration, 1 internal error.
    """
    import asyncio

    from adapters.emulators.faults import BadFaults, Faults, read
    from adapters.emulators.registry import brain, emulator_class
    from service.errors import BadRequest, ConfigurationError
    from service.terminal import say

    kind = emulator_class(provider)
    if profile is not None and not hasattr(kind, "profile"):
        raise BadRequest(f"--profile is for http: {provider} needs none")
    if profile is not None and profile.exists():
        raise BadRequest(f"--profile: {str(profile)[:200]!r} exists, and is not replaced")
    if profile is not None and not profile.resolve().parent.is_dir():
        raise BadRequest(f"--profile: there is no folder for {str(profile)[:200]!r}")
    try:
        plan = Faults() if faults is None else read(faults)
    except BadFaults as error:
        raise BadRequest(f"--faults: {error}") from None
    for option, path in (("--model", model), ("--labels", labels)):
        if path is not None and not path.is_file():
            raise BadRequest(f"{option}: there is no file {str(path)[:200]!r}")
    emulator: Emulator = kind(
        brain(model, labels), plan, host=host, port=port, control_port=control_port
    )
    try:
        asyncio.run(_serve(emulator, faults, profile))
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {host}, port {port} or {control_port}: {error.strerror}"
        ) from None
    say(f"{provider}: ended")


async def _serve(emulator: "Emulator", faults: Path | None, profile: Path | None) -> None:
    import asyncio
    import contextlib
    import shlex
    import signal

    from service.terminal import say

    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    async with emulator:
        for name, value in emulator.environment().items():
            typer.echo(f"export {name}={shlex.quote(value)}")
        if profile is not None:
            _write_profile(emulator, profile)
        for protocol, address in emulator.addresses.items():
            typer.echo(f"# {LABELS.get(protocol, protocol)}: {address}")
        say(f"{emulator.provider}: listening, answers from {emulator.brain.model.version}")
        watching = asyncio.create_task(_watch(emulator, faults))
        await ended.wait()
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching


def _write_profile(emulator: Any, path: Path) -> None:  # noqa: ANN401  http's alone has one
    import shlex

    path.write_text(emulator.profile())
    typer.echo(f"export SURETY_PROVIDERS_FILE={shlex.quote(str(path.resolve()))}")


async def _watch(emulator: Any, path: Path | None) -> None:  # noqa: ANN401  an Emulator
    """Take up changes of the plan's file."""
    import asyncio

    from adapters.emulators.faults import BadFaults, read
    from service.terminal import say

    if path is None:
        return
    seen = _stamp(path)
    while True:
        await asyncio.sleep(LOOK_AGAIN_SECONDS)
        if (stamp := _stamp(path)) != seen:
            seen = stamp
            try:
                emulator.desk.faults = read(path)
                say(f"{path}: taken up")
            except BadFaults as error:
                say(f"{error}: the plan before it stays", "yellow")


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
