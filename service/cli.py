"""The command line. What is slow to import, each command imports when it runs."""

import inspect
import os
import sys
from typing import Annotated

import typer

from service import log_lines, threads
from service.commands.apikeys import app as apikeys
from service.commands.audit import audit
from service.commands.certificates import app as certificates
from service.commands.certify import certify
from service.commands.clean import clean
from service.commands.denoisers import app as denoisers
from service.commands.emulate import emulate
from service.commands.jobs import app as jobs
from service.commands.keys import app as keys
from service.commands.ledgers import app as ledgers
from service.commands.predict import predict
from service.commands.providers import app as providers
from service.commands.reveal import reveal
from service.commands.serve import serve
from service.commands.train import app as train
from service.commands.usage import usage
from service.commands.verify import verify
from service.commands.version import installed_version, version
from service.commands.worker import worker
from service.exit_codes import ExitCode, of_error
from service.log_writer import LOG
from service.terminal import ReaderGone, complain, prepare_streams

app = typer.Typer(
    name="surety",
    help="Provable robustness for any image classifier that can only be called.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)
for command in (
    certify,
    predict,
    verify,
    audit,
    reveal,
    serve,
    worker,
    usage,
    clean,
    emulate,
    version,
):
    app.command()(command)
app.add_typer(providers, name="providers")
app.add_typer(denoisers, name="denoisers")
app.add_typer(train, name="train")
app.add_typer(jobs, name="jobs")
app.add_typer(keys, name="keys")
app.add_typer(apikeys, name="apikeys")
app.add_typer(certificates, name="certificates")
app.add_typer(ledgers, name="ledgers")


def _unwrap(group: typer.Typer) -> None:
    """Have the terminal wrap the help of commands, not the lines of their docstrings."""
    for each in group.registered_commands:
        paragraphs = (inspect.getdoc(each.callback) or "").split("\n\n")
        each.help = "\n\n".join(" ".join(text.split()) for text in paragraphs)
    for inner in group.registered_groups:
        if inner.typer_instance is not None:
            _unwrap(inner.typer_instance)


_unwrap(app)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"surety {installed_version()}")
        raise typer.Exit


@app.callback()
def _options(
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run a command; every error becomes one red line and an exit code."""
    prepare_streams()
    threads.prepare()
    log_lines.configure("warning")  # for people the commands themselves tell what there is to tell
    try:
        app(prog_name="surety")
    except ReaderGone:
        sys.exit(ExitCode.READER_GONE)
    except KeyboardInterrupt:
        sys.exit(ExitCode.CANCELLED)
    except Exception as error:  # noqa: BLE001  the last place where it can be told kindly
        # Whoever starts it again waits for its end, and a full pipe would hold that up.
        sys.exit(of_error(error) if LOG.stalled else complain(error))


def run() -> None:
    """Be the process: `main`, and an end without waiting once the user has asked for it.

    What is to be kept is kept by then; threads that still read or import would hold Python up.
    """
    try:
        main()
    except SystemExit as ended:
        if ended.code != ExitCode.CANCELLED:
            raise
        try:
            LOG.finish()
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(ExitCode.CANCELLED)


if __name__ == "__main__":
    run()
