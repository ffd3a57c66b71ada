"""The commands: each parses what a person typed and calls one function."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from pml_potential import __version__
from pml_potential.benchmark.comparison import compare_runs
from pml_potential.benchmark.config import compose
from pml_potential.benchmark.datasets.commands import datasets_app
from pml_potential.benchmark.experiment import run_experiment
from pml_potential.benchmark.exporting import export_from_run
from pml_potential.benchmark.fold_trainer import DivergedError
from pml_potential.benchmark.profiling import STAGES, profile_training
from pml_potential.benchmark.progress import Stopwatch
from pml_potential.benchmark.report import comparison_in_markdown, write_comparison, write_report
from pml_potential.benchmark.report.formatting import interval, metric_names
from pml_potential.benchmark.results import read_results
from pml_potential.benchmark.schema import ConfigError
from pml_potential.benchmark.search import SearchFailedError

app = typer.Typer(
    help="Benchmark losses for deep metric learning by the protocol of 'A Metric Learning Reality "
    "Check'.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(datasets_app, name="datasets")


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


Preset = Annotated[str | None, typer.Argument(metavar="[PROTOCOL]", help="Short for --protocol.")]
ProtocolName = Annotated[str | None, typer.Option(help="How losses are judged.")]
DatasetName = Annotated[str, typer.Option(help="The images.")]
ModelName = Annotated[str, typer.Option(help="The network.")]
LossName = Annotated[str, typer.Option(help="The loss, with its search.")]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Any value of the configuration."),
]
Folder = Annotated[
    Path | None, typer.Option(help="Folder of the run. Default: runs/ and the presets' names.")
]


@app.command()
def run(
    preset: Preset = None,
    protocol: ProtocolName = None,
    dataset: DatasetName = "glyphs",
    model: ModelName = "small_cnn",
    loss: LossName = "potential_field",
    assignments: Assignments = None,
    folder: Folder = None,
) -> None:
    """Search, reproduce and report; the same command goes on with what was interrupted.

    Protocol, data set, model and loss are names of presets or paths of YAML files of your own.
    """
    presets = _presets(preset, protocol, dataset, model, loss)
    _run(presets, assignments or [], folder or _default_folder(presets))


@app.command()
def train(
    preset: Preset = None,
    protocol: ProtocolName = None,
    dataset: DatasetName = "glyphs",
    model: ModelName = "small_cnn",
    loss: LossName = "potential_field",
    assignments: Assignments = None,
    folder: Folder = None,
) -> None:
    """Train one configuration, without a search: a run with protocol.study=null."""
    presets = _presets(preset, protocol, dataset, model, loss)
    folder = folder or _default_folder(presets).with_name(_default_folder(presets).name + "-train")
    _run(presets, [*(assignments or []), "protocol.study=null"], folder)


@app.command()
def profile(
    preset: Preset = None,
    protocol: ProtocolName = None,
    dataset: DatasetName = "glyphs",
    model: ModelName = "small_cnn",
    loss: LossName = "potential_field",
    assignments: Assignments = None,
) -> None:
    """Train one epoch under a profiler, and say where the time goes."""
    presets = _presets(preset, protocol, dataset, model, loss)
    with _errors_in_words():
        found = profile_training(compose(presets, assignments or []), Path("runs") / "features")
    table = Table(box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("stage", no_wrap=True)
    table.add_column("seconds", justify="right")
    table.add_column("share", justify="right")
    table.add_column("what it is")
    for stage, seconds in found.seconds.items():
        share = seconds / sum(found.seconds.values())
        table.add_row(stage, f"{seconds:.2f}", f"{share:.0%}", STAGES[stage])
    console = Console()
    console.print(table)
    console.print(
        f"{found.images_per_second:.0f} images per second in training; most time goes into "
        f"{found.limit}.",
        highlight=False,
    )


@app.command()
def export(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run that has ended.")],
    target: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the model goes.")],
    reproduction: Annotated[int, typer.Option(min=1, help="Which reproduction.")] = 1,
    fold: Annotated[int, typer.Option(min=1, help="Which of its models.")] = 1,
) -> None:
    """Write a trained model, ready for pml_potential.benchmark.load_model."""
    with _errors_in_words():
        export_from_run(run_folder, reproduction - 1, fold - 1, target)
    Console().print(f"Model: {target}", highlight=False, soft_wrap=True)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="Folder of a run that has ended.")],
) -> None:
    """Write the report of a run again from its results.json."""
    with _errors_in_words():
        results = read_results(folder)
        page = write_report(results, folder / "report")
    console = Console()
    console.print(_table(results))
    console.print(f"Report: {page}", highlight=False, soft_wrap=True)


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs that ended.")],
    folder: Annotated[Path, typer.Option(help="Where the comparison goes.")] = Path("comparison"),
) -> None:
    """Compare losses: a leaderboard, and which differences are more than chance."""
    with _errors_in_words():
        comparison = compare_runs(runs)
        page = write_comparison(comparison, folder)
    console = Console()
    console.print(comparison_in_markdown(comparison), highlight=False, markup=False, soft_wrap=True)
    console.print(f"\nComparison: {page}", highlight=False, soft_wrap=True)


def _presets(
    preset: str | None, protocol: str | None, dataset: str, model: str, loss: str
) -> dict[str, str]:
    if preset is not None and protocol is not None and preset != protocol:
        _fail(f"the protocol is given twice, as {preset!r} and as --protocol {protocol!r}")
    chosen = protocol or preset or "quick"
    return {"protocol": chosen, "dataset": dataset, "model": model, "loss": loss}


def _default_folder(presets: dict[str, str]) -> Path:
    return Path("runs") / "-".join(Path(name).stem for name in presets.values())


def _run(presets: dict[str, str], assignments: list[str], folder: Path) -> None:
    console = Console()
    watch = Stopwatch()
    try:
        with _errors_in_words():
            results = run_experiment(compose(presets, assignments), folder, console)
    except KeyboardInterrupt:
        console.print(f"\nStopped. The same command goes on with {folder}.", highlight=False)
        raise typer.Exit(130) from None
    console.print(_table(results))
    console.print(
        f"{watch} in this session. Report: {folder / 'report' / 'index.html'}",
        highlight=False,
        soft_wrap=True,
    )


@contextmanager
def _errors_in_words() -> Iterator[None]:
    try:
        yield
    except (ConfigError, DivergedError, SearchFailedError, OSError) as error:
        _fail(str(error))


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
    columns = {
        f"{state}\n{kind}": values
        for state, kinds in results["test"].items()
        for kind, values in kinds.items()
        if kind == "separated" or results["config"]["protocol"]["folds"] > 1
    }
    table.add_column("metric", no_wrap=True)
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for metric, name in metric_names(results).items():
        table.add_row(name, *(interval(values[metric]) for values in columns.values()))
    return table


def _fail(message: str) -> Any:
    print(f"error: {message}", file=sys.stderr)
    raise typer.Exit(2)
