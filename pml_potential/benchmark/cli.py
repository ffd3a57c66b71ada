"""The commands: each parses what a person typed and calls one function."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from pml_potential import __version__
from pml_potential.benchmark.command_line import (
    Assignments,
    DatasetName,
    Folder,
    FoldProcesses,
    Heartbeat,
    LossName,
    ModelName,
    Preset,
    ProtocolName,
    Run,
    Storage,
    default_folder,
    errors_in_words,
    presets_of,
    stoppable,
)
from pml_potential.benchmark.comparison import compare_runs
from pml_potential.benchmark.config import compose
from pml_potential.benchmark.datasets.commands import datasets_app
from pml_potential.benchmark.experiment import (
    Sharing,
    join_experiment,
    release_pieces,
    run_experiment,
)
from pml_potential.benchmark.exporting import export_from_run
from pml_potential.benchmark.following import follow
from pml_potential.benchmark.process_group import process_group, rank
from pml_potential.benchmark.profiling import STAGES, profile_training
from pml_potential.benchmark.progress import Stopwatch
from pml_potential.benchmark.report import comparison_in_markdown, write_comparison, write_report
from pml_potential.benchmark.report.formatting import interval, metric_names
from pml_potential.benchmark.results import read_results
from pml_potential.benchmark.run_analysis import MEASURES, analyze_run
from pml_potential.benchmark.studies.commands import study_app
from pml_potential.benchmark.study_storage import HEARTBEAT

app = typer.Typer(
    help="Benchmark losses for deep metric learning by the protocol of 'A Metric Learning Reality "
    "Check'.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
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


@app.command()
def run(
    preset: Preset = None,
    protocol: ProtocolName = None,
    dataset: DatasetName = "glyphs",
    model: ModelName = "small_cnn",
    loss: LossName = "potential_field",
    assignments: Assignments = None,
    folder: Folder = None,
    storage: Storage = None,
    fold_processes: FoldProcesses = 1,
    heartbeat: Heartbeat = HEARTBEAT,
) -> None:
    """Search, reproduce and report; the same command goes on with what was interrupted.

    Protocol, data set, model and loss are names of presets or paths of YAML files of your own.
    """
    presets = presets_of(preset, protocol, dataset, model, loss)
    folder = folder or default_folder(presets)
    sharing = Sharing(storage, fold_processes, heartbeat)
    _show(
        lambda console: run_experiment(compose(presets, assignments or []), folder, console, sharing),
        folder,
    )


@app.command()
def worker(
    folder: Run,
    storage: Storage = None,
    fold_processes: FoldProcesses = 1,
    heartbeat: Heartbeat = HEARTBEAT,
) -> None:
    """Help with a run: one more process, or machine that sees the run's folder."""
    sharing = Sharing(storage, fold_processes, heartbeat)
    _show(lambda console: join_experiment(folder, console, sharing), folder)


@app.command("release")
def release_command(
    folder: Run,
    trials: Annotated[list[int] | None, typer.Option("--trial", min=1, help="A trial.")] = None,
    reproductions: Annotated[
        list[int] | None, typer.Option("--reproduction", min=1, help="A reproduction.")
    ] = None,
    storage: Storage = None,
) -> None:
    """Hand on what a dead worker has left, where no heartbeat tells: with a journal file.

    Only for workers that are known to be gone: what is still being trained would be trained twice.
    """
    with errors_in_words():
        for study_name, numbers in (("search", trials), ("reproductions", reproductions)):
            if numbers:
                release_pieces(folder, storage, [number - 1 for number in numbers], study_name)
    Console().print("Handed on. The workers of the run take it up.", highlight=False)


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
    presets = presets_of(preset, protocol, dataset, model, loss)
    folder = folder or default_folder(presets).with_name(default_folder(presets).name + "-train")
    without_search = [*(assignments or []), "protocol.study=null"]
    _show(lambda console: run_experiment(compose(presets, without_search), folder, console), folder)


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
    presets = presets_of(preset, protocol, dataset, model, loss)
    with errors_in_words():
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
    with errors_in_words():
        export_from_run(run_folder, reproduction - 1, fold - 1, target)
    Console().print(f"Model: {target}", highlight=False, soft_wrap=True)


@app.command()
def report(
    folder: Annotated[Path, typer.Argument(help="Folder of a run that has ended.")],
) -> None:
    """Write the report of a run again from its results.json."""
    with errors_in_words():
        results = read_results(folder)
        page = write_report(results, folder / "report")
    console = Console()
    console.print(_table(results))
    console.print(f"Report: {page}", highlight=False, soft_wrap=True)


@app.command()
def analyze(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs that ended.")],
) -> None:
    """Measure trained models: proxies, convergence, health of the embedding; and draw them.

    Every number is the mean and the 95% interval over the reproductions. Each run gets a folder
    analysis, with analysis.json, a retrieval sheet and, for a field loss, a map of its field.
    """
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
    table.add_column("measure", no_wrap=True)
    rows: dict[str, list[str]] = {name: [] for name in MEASURES}
    console = Console()
    for folder in runs:
        with stoppable(console, folder):
            found = analyze_run(folder)
        table.add_column(f"{found['loss']}\n{folder.name}", justify="right", no_wrap=True)
        for name, cells in rows.items():
            value = found["measures"][name]
            cells.append("–" if value is None else interval(value))
    for name, cells in rows.items():
        table.add_row(MEASURES[name], *cells)
    console.print(table)
    for folder in runs:
        console.print(f"Analysis: {folder / 'analysis'}", highlight=False, soft_wrap=True)


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of runs that ended.")],
    folder: Annotated[Path, typer.Option(help="Where the comparison goes.")] = Path("comparison"),
) -> None:
    """Compare losses: a leaderboard, and which differences are more than chance."""
    with errors_in_words():
        comparison = compare_runs(runs)
        page = write_comparison(comparison, folder)
    console = Console()
    console.print(comparison_in_markdown(comparison), highlight=False, markup=False, soft_wrap=True)
    console.print(f"\nComparison: {page}", highlight=False, soft_wrap=True)


def _show(work: Callable[[Console], dict[str, Any]], folder: Path) -> None:
    with errors_in_words(), process_group():
        if rank() == 0:
            _lead(work, folder)
        else:
            follow()


def _lead(work: Callable[[Console], dict[str, Any]], folder: Path) -> None:
    console = Console()
    watch = Stopwatch()
    with stoppable(console, folder):
        results = work(console)
    console.print(_table(results))
    console.print(
        f"{watch} in this session. Report: {folder / 'report' / 'index.html'}",
        highlight=False,
        soft_wrap=True,
    )


def _table(results: dict[str, Any]) -> Table:
    loss, data = results["config"]["loss"]["name"], results["data"]["name"]
    succeeded = sum("failure" not in result for result in results["reproductions"])
    table = Table(
        title=f"{loss} on the test classes of {data}: mean and 95% interval of {succeeded} of "
        f"{len(results['reproductions'])} reproductions",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        # Four columns of intervals fit a terminal of 80 characters, to the last one.
        show_edge=False,
        pad_edge=False,
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
