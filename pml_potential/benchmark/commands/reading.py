"""The commands about finished runs: export, report, analyze and compare."""

from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.table import Table

from pml_potential.benchmark.commands.errors import stoppable
from pml_potential.benchmark.commands.terminal import new_console
from pml_potential.benchmark.config.run_folder import RunFolder

FinishedRun = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.")]
FinishedRuns = Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of finished runs.")]


def export(
    run_folder: FinishedRun,
    target: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder for the model.")],
    reproduction: Annotated[int, typer.Option(min=1, help="Reproduction to export a model of.")] = 1,
    fold: Annotated[int, typer.Option(min=1, help="Fold whose model to export.")] = 1,
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Also write model.onnx, for ONNX Runtime.")
    ] = False,
) -> None:
    """Export a trained model with a model card.

    Load it with pml_potential.benchmark.load_model. The card, README.md,
    gives the training data, the settings and the test scores.

    Examples:
      pml-potential export runs/mine model
      pml-potential export runs/mine model --reproduction 2 --fold 3 --onnx
    """
    from pml_potential.benchmark.report.model_card import check_place_for_card, write_model_card
    from pml_potential.benchmark.report.results import best_config, read_results
    from pml_potential.benchmark.training.exporting import export_from_run

    results = read_results(run_folder)
    config = best_config(run_folder, results)
    check_place_for_card(target)
    export_from_run(RunFolder(run_folder), config, reproduction - 1, fold - 1, target, onnx)
    write_model_card(target, config, results, reproduction - 1, fold - 1)
    new_console().print(f"Model: {target}", soft_wrap=True)


def report(run_folder: FinishedRun) -> None:
    """Rewrite the report of a run from its results.json.

    The new report includes the findings of an audit made since.

    Examples:
      pml-potential report runs/mine
    """
    from pml_potential.benchmark.commands.tables import result_table
    from pml_potential.benchmark.data.long_step import steps_shown_on
    from pml_potential.benchmark.report.audit_report import audit_of_run
    from pml_potential.benchmark.report.results import read_results
    from pml_potential.benchmark.report.retrieval import retrieval_of_run
    from pml_potential.benchmark.report.run_report import write_report

    results = read_results(run_folder)
    run = RunFolder(run_folder)
    console = new_console()
    with stoppable(console, run_folder), steps_shown_on(console):
        retrieval = retrieval_of_run(run, results)
    page = write_report(results, run.report, audit_of_run(run, results), retrieval)
    console.print(result_table(results))
    console.print(f"Report: {page}", soft_wrap=True)


def analyze(runs: FinishedRuns) -> None:
    """Measure the proxies, convergence and embeddings of trained models.

    Each number is the mean and 95% interval over the reproductions. Every
    run gets a folder named analysis, with analysis.json, a retrieval sheet
    and, for a field loss, a map of its field.

    Examples:
      pml-potential analyze runs/mine runs/other
    """
    from pml_potential.benchmark.data.long_step import steps_shown_on
    from pml_potential.benchmark.report.formatting import interval
    from pml_potential.benchmark.report.run_analysis import MEASURES, analyze_run

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
    table.add_column("measure", no_wrap=True)
    rows: dict[str, list[str]] = {name: [] for name in MEASURES}
    console = new_console()
    for folder in runs:
        with stoppable(console, folder), steps_shown_on(console):
            found = analyze_run(folder)
        table.add_column(f"{found['loss']}\n{folder.name}", justify="right", no_wrap=True)
        for name, cells in rows.items():
            value = found["measures"][name]
            cells.append("–" if value is None else interval(value))
    for name, cells in rows.items():
        table.add_row(MEASURES[name], *cells)
    console.print(table)
    for folder in runs:
        console.print(f"Analysis: {RunFolder(folder).analysis}", soft_wrap=True)


def compare(
    runs: FinishedRuns,
    folder: Annotated[Path, typer.Option(help="Folder for the comparison.")] = Path("comparison"),
) -> None:
    """Compare finished runs in a leaderboard with significance tests.

    Examples:
      pml-potential compare runs/mine runs/other
      pml-potential compare runs/quick-* --folder leaderboard
    """
    from pml_potential.benchmark.report.comparison import compare_runs
    from pml_potential.benchmark.report.comparison_report import comparison_in_markdown, write_comparison

    comparison = compare_runs(runs)
    page = write_comparison(comparison, folder)
    console = new_console()
    console.print(comparison_in_markdown(comparison), soft_wrap=True)
    console.print(f"\nComparison: {page}", soft_wrap=True)
