"""The commands: each parses what a person typed and calls one function."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from pml_potential import __version__
from pml_potential.benchmark.config import compose
from pml_potential.benchmark.experiment import run_experiment
from pml_potential.benchmark.progress import Stopwatch
from pml_potential.benchmark.records import read_json
from pml_potential.benchmark.report import METRIC_NAMES, write_report
from pml_potential.benchmark.report.formatting import interval
from pml_potential.benchmark.schema import ConfigError
from pml_potential.benchmark.search import SearchFailedError

app = typer.Typer(
    help="Benchmark losses for deep metric learning by the protocol of 'A Metric Learning Reality "
    "Check'.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


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


@app.command()
def run(
    preset: Annotated[
        str | None, typer.Argument(metavar="[PROTOCOL]", help="Short for --protocol.")
    ] = None,
    protocol: Annotated[str | None, typer.Option(help="How losses are judged.")] = None,
    dataset: Annotated[str, typer.Option(help="The images.")] = "glyphs",
    model: Annotated[str, typer.Option(help="The network.")] = "small_cnn",
    loss: Annotated[str, typer.Option(help="The loss, with its search.")] = "potential_field",
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Any value of the configuration."),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Folder of the run. Default: runs/ and the presets' names.")
    ] = None,
) -> None:
    """Search, reproduce and report; the same command goes on with what was interrupted.

    Protocol, data set, model and loss are names of presets or paths of YAML files of your own.
    """
    if preset is not None and protocol is not None and preset != protocol:
        _fail(f"the protocol is given twice, as {preset!r} and as --protocol {protocol!r}")
    presets = {
        "protocol": protocol or preset or "quick",
        "dataset": dataset,
        "model": model,
        "loss": loss,
    }
    if folder is None:
        folder = Path("runs") / "-".join(Path(name).stem for name in presets.values())
    console = Console()
    watch = Stopwatch()
    try:
        results = run_experiment(compose(presets, assignments or []), folder, console)
    except (ConfigError, SearchFailedError) as error:
        _fail(str(error))
    except OSError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        console.print(f"\nStopped. The same command goes on with {folder}.", highlight=False)
        raise typer.Exit(130) from None
    console.print(_table(results))
    console.print(
        f"{watch} in this session. Report: {folder / 'report' / 'index.html'}",
        highlight=False,
        soft_wrap=True,
    )


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="Folder of a run that has ended.")],
) -> None:
    """Write the report of a run again from its results.json."""
    path = folder / "report" / "results.json"
    if not path.is_file():
        _fail(f"{path} does not exist; a run writes it at its end")
    results = read_json(path)
    write_report(results, path.parent)
    console = Console()
    console.print(_table(results))
    console.print(f"Report: {path.parent / 'index.html'}", highlight=False, soft_wrap=True)


def _table(results: dict[str, Any]) -> Table:
    loss, data = results["config"]["loss"]["name"], results["data"]["name"]
    succeeded = sum("failure" not in result for result in results["reproductions"])
    table = Table(
        title=f"{loss} on the test classes of {data}: mean and 95% interval of {succeeded} of "
        f"{len(results['reproductions'])} reproductions",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title_justify="left",
    )
    table.add_column("model", no_wrap=True)
    table.add_column("embeddings", no_wrap=True)
    for name in METRIC_NAMES.values():
        table.add_column(name, justify="right", no_wrap=True)
    for state, kinds in results["test"].items():
        for kind, metrics in kinds.items():
            table.add_row(state, kind, *(interval(metrics[metric]) for metric in METRIC_NAMES))
    return table


def _fail(message: str) -> Any:
    print(f"error: {message}", file=sys.stderr)
    raise typer.Exit(2)
