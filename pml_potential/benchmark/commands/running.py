"""The commands that train: run, worker, release, train and profile."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from pml_potential.benchmark.commands.errors import fail, stoppable
from pml_potential.benchmark.commands.options import (
    RUNS,
    Assignments,
    DatasetName,
    Folder,
    FoldProcesses,
    Heartbeat,
    ImagesRoot,
    ImagesTable,
    LossName,
    ModelName,
    Preset,
    ProtocolName,
    Run,
    Storage,
    composed,
    default_folder,
    placed,
    presets_of,
)
from pml_potential.benchmark.commands.tables import result_table
from pml_potential.benchmark.commands.terminal import new_console
from pml_potential.benchmark.config.run_folder import RunFolder, feature_cache
from pml_potential.benchmark.data.long_step import steps_shown_on
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
    root: ImagesRoot = None,
    file: ImagesTable = None,
    model: ModelName = None,
    loss: LossName = None,
    assignments: Assignments = None,
    folder: Folder = None,
    storage: Storage = None,
    fold_processes: FoldProcesses = 1,
    heartbeat: Heartbeat = HEARTBEAT,
) -> None:
    """Search, reproduce and report; the same command goes on with what was interrupted.

    A run keeps to the images, the division and the pretrained weights that it began with, and stops
    where they have changed. To go on with others on purpose, give another --folder for a new run. Or
    delete identity.json in its folder: what has ended keeps its scores, the rest gets the new images.

    Protocol, data set, model and loss are names of presets or paths of YAML files of your own. A recipe
    is all four: the settings of one row of a paper.
    """
    presets = presets_of(preset, protocol, dataset, model, loss)
    folder = folder or default_folder(presets, root, file)
    assignments = placed(assignments, root, file)
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
    """Help with a run: one more process, or machine that sees the run's folder.

    The images are looked for where the run found them. Where they lie elsewhere on this machine, give
    the command that started the run, with --folder RUN and --set dataset.root or dataset.file.
    """
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
    """Requeue a dead worker's trial or reproduction (journal storage has no heartbeat).

    Only for workers that are known to be gone: what is still being trained would be trained twice.
    """
    if not trials and not reproductions:
        fail("nothing to requeue is named; give the number of a --trial or of a --reproduction")
    for study_name, numbers in (("search", trials), ("reproductions", reproductions)):
        if numbers:
            release_pieces(folder, storage, [number - 1 for number in numbers], study_name)
    new_console().print("Requeued. The next free worker of the run takes it.")


def train(
    preset: Preset = None,
    protocol: ProtocolName = None,
    dataset: DatasetName = None,
    root: ImagesRoot = None,
    file: ImagesTable = None,
    model: ModelName = None,
    loss: LossName = None,
    assignments: Assignments = None,
    folder: Folder = None,
) -> None:
    """Train one configuration, without a search: a run with protocol.study=null."""
    presets = presets_of(preset, protocol, dataset, model, loss)
    default = default_folder(presets, root, file)
    folder = folder or default.with_name(default.name + "-train")
    without_search = [*placed(assignments, root, file), "protocol.study=null"]
    _show(lambda console: run_experiment(composed(presets, without_search), folder, console), folder)


def profile(
    preset: Preset = None,
    protocol: ProtocolName = None,
    dataset: DatasetName = None,
    root: ImagesRoot = None,
    file: ImagesTable = None,
    model: ModelName = None,
    loss: LossName = None,
    assignments: Assignments = None,
) -> None:
    """Train one epoch under a profiler, and say where the time goes."""
    presets = presets_of(preset, protocol, dataset, model, loss)
    console = new_console()
    with steps_shown_on(console):
        config = composed(presets, placed(assignments, root, file))
        found = profile_training(config, feature_cache(RUNS))
    table = Table(box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("stage", no_wrap=True)
    table.add_column("seconds", justify="right")
    table.add_column("share", justify="right")
    table.add_column("what it is")
    for stage, seconds in found.seconds.items():
        share = seconds / sum(found.seconds.values())
        table.add_row(stage, f"{seconds:.2f}", f"{share:.0%}", STAGES[stage])
    console.print(table)
    console.print(
        f"{found.images_per_second:.0f} images per second in training; most time goes into "
        f"{found.limit}.",
    )


def _show(work: Callable[[Console], dict[str, Any]], folder: Path) -> None:
    with process_group():
        if rank() == 0:
            _lead(work, folder)
        else:
            follow()


def _lead(work: Callable[[Console], dict[str, Any]], folder: Path) -> None:
    console = new_console()
    start = time.perf_counter()
    with stoppable(console, folder):
        results = work(console)
    console.print(result_table(results))
    console.print(
        f"{duration(time.perf_counter() - start)} in this session. "
        f"Report: {RunFolder(folder).report / 'index.html'}",
        soft_wrap=True,
    )
