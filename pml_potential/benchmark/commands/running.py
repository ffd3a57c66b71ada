"""The commands that train: run, worker, release, train and profile."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from pml_potential.benchmark.commands.errors import errors_in_words, fail, stoppable
from pml_potential.benchmark.commands.options import (
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
    composed,
    default_folder,
    presets_of,
)
from pml_potential.benchmark.commands.tables import result_table
from pml_potential.benchmark.config.run_folder import RunFolder, feature_cache
from pml_potential.benchmark.experiments.experiment import (
    Sharing,
    join_experiment,
    release_pieces,
    run_experiment,
)
from pml_potential.benchmark.experiments.trial_storage import HEARTBEAT
from pml_potential.benchmark.report.formatting import duration
from pml_potential.benchmark.training.following import follow
from pml_potential.benchmark.training.process_group import process_group, rank
from pml_potential.benchmark.training.profiling import STAGES, profile_training


def run(
    preset: Preset = None,
    protocol: ProtocolName = None,
    dataset: DatasetName = None,
    model: ModelName = None,
    loss: LossName = None,
    assignments: Assignments = None,
    folder: Folder = None,
    storage: Storage = None,
    fold_processes: FoldProcesses = 1,
    heartbeat: Heartbeat = HEARTBEAT,
) -> None:
    """Search, reproduce and report; the same command goes on with what was interrupted.

    Protocol, data set, model and loss are names of presets or paths of YAML files of your own. A recipe
    is all four: the settings of one row of a paper.
    """
    presets = presets_of(preset, protocol, dataset, model, loss)
    folder = folder or default_folder(presets)
    sharing = Sharing(storage, fold_processes, heartbeat)
    _show(
        lambda console: run_experiment(composed(presets, assignments), folder, console, sharing),
        folder,
    )


def worker(
    folder: Run,
    storage: Storage = None,
    fold_processes: FoldProcesses = 1,
    heartbeat: Heartbeat = HEARTBEAT,
) -> None:
    """Help with a run: one more process, or machine that sees the run's folder."""
    sharing = Sharing(storage, fold_processes, heartbeat)
    _show(lambda console: join_experiment(folder, console, sharing), folder)


def release(
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
    if not trials and not reproductions:
        fail("nothing to hand on is named; give the number of a --trial or of a --reproduction")
    with errors_in_words():
        for study_name, numbers in (("search", trials), ("reproductions", reproductions)):
            if numbers:
                release_pieces(folder, storage, [number - 1 for number in numbers], study_name)
    Console().print("Handed on. The workers of the run take it up.", highlight=False)


def train(
    preset: Preset = None,
    protocol: ProtocolName = None,
    dataset: DatasetName = None,
    model: ModelName = None,
    loss: LossName = None,
    assignments: Assignments = None,
    folder: Folder = None,
) -> None:
    """Train one configuration, without a search: a run with protocol.study=null."""
    presets = presets_of(preset, protocol, dataset, model, loss)
    folder = folder or default_folder(presets).with_name(default_folder(presets).name + "-train")
    without_search = [*(assignments or []), "protocol.study=null"]
    _show(lambda console: run_experiment(composed(presets, without_search), folder, console), folder)


def profile(
    preset: Preset = None,
    protocol: ProtocolName = None,
    dataset: DatasetName = None,
    model: ModelName = None,
    loss: LossName = None,
    assignments: Assignments = None,
) -> None:
    """Train one epoch under a profiler, and say where the time goes."""
    presets = presets_of(preset, protocol, dataset, model, loss)
    with errors_in_words():
        found = profile_training(composed(presets, assignments), feature_cache(Path("runs")))
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


def _show(work: Callable[[Console], dict[str, Any]], folder: Path) -> None:
    with errors_in_words(), process_group():
        if rank() == 0:
            _lead(work, folder)
        else:
            follow()


def _lead(work: Callable[[Console], dict[str, Any]], folder: Path) -> None:
    console = Console()
    start = time.perf_counter()
    with stoppable(console, folder):
        results = work(console)
    console.print(result_table(results))
    console.print(
        f"{duration(time.perf_counter() - start)} in this session. "
        f"Report: {RunFolder(folder).report / 'index.html'}",
        highlight=False,
        soft_wrap=True,
    )
