"""The command line: every command by its name."""

from typing import Annotated

import typer

from pml_potential import __version__
from pml_potential.benchmark.commands.datasets import datasets_app
from pml_potential.benchmark.commands.errors import AnsweringGroup
from pml_potential.benchmark.commands.features import features
from pml_potential.benchmark.commands.presets import presets
from pml_potential.benchmark.commands.reading import analyze, compare, export, report
from pml_potential.benchmark.commands.running import profile, release, run, train, worker
from pml_potential.benchmark.commands.studies import study_app

app = typer.Typer(
    cls=AnsweringGroup,
    help="""Benchmark losses for deep metric learning by the protocol of
    "A Metric Learning Reality Check".

    Examples:
      pml-potential run quick
      pml-potential presets losses
      pml-potential run --dataset folder --root birds --loss proxy_anchor
    """,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for command in (
    run,
    worker,
    release,
    train,
    profile,
    presets,
    features,
    export,
    report,
    analyze,
    compare,
):
    app.command()(command)
app.add_typer(datasets_app, name="datasets")
app.add_typer(study_app, name="study")


@app.callback(invoke_without_command=True)
def _version(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())
