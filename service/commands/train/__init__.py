"""`surety train classifier|denoiser|finish|mean|plot`: train those that ship, or your own."""

import typer

from service.commands.train.classifier import classifier
from service.commands.train.denoiser import denoiser
from service.commands.train.finish import finish
from service.commands.train.mean import mean
from service.commands.train.plot import plot

app = typer.Typer(
    no_args_is_help=True,
    help="Train a network; a run that was killed goes on where it stood.",
)
for command in (classifier, denoiser, finish, mean, plot):
    app.command()(command)
