"""The commands that train: run, worker, release, train and profile."""

from __future__ import annotations

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
from pml_potential.benchmark.commands.terminal import new_console, say_that_it_starts
from pml_potential.benchmark.config.run_folder import RunFolder, feature_cache
from pml_potential.benchmark.experiments.sharing import HEARTBEAT, Sharing


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
    """Search hyperparameters, retrain the best with new seeds, write a report.

    The same command resumes a run that was interrupted.

    PROTOCOL, data set, model and loss are names of presets or paths of your
    own YAML files; `pml-potential presets` lists the names. A recipe is all
    four: the settings of one row of a paper.

    A run stops if its images, splits or pretrained weights have changed. To
    use the new ones, choose another --folder. Or delete identity.json in the
    run's folder: finished trials keep their scores, the rest use the new ones.

    Examples:
      pml-potential run quick
      pml-potential run mlrc --dataset cub200 --model bn_inception --loss cpml
      pml-potential run recipes/pfml-cub200-resnet50
    """
    presets = presets_of(preset, protocol, dataset, model, loss)
    folder = folder or default_folder(presets, root, file)
    assignments = placed(assignments, root, file)
    _run(presets, assignments, folder, Sharing(storage, fold_processes, heartbeat))


def worker(
    folder: Run,
    storage: Storage = None,
    fold_processes: FoldProcesses = 1,
    heartbeat: Heartbeat = HEARTBEAT,
) -> None:
    """Help with a run, from another process or another machine.

    The machine must reach the run's folder. Images are expected where the
    run found them. If they are elsewhere on this machine, give the command
    that started the run, with --folder RUN and --set dataset.root=PATH or
    dataset.file=PATH.

    Examples:
      pml-potential worker runs/mine
      pml-potential worker runs/mine --storage postgresql+psycopg://me@host/trials
    """
    console = new_console()
    say_that_it_starts(console)
    from pml_potential.benchmark.experiments.experiment import join_experiment

    sharing = Sharing(storage, fold_processes, heartbeat)
    _show(lambda: join_experiment(folder, console, sharing), folder, console)


def release(
    folder: Run,
    trials: Annotated[
        list[int] | None, typer.Option("--trial", min=1, help="Number of the trial.")
    ] = None,
    reproductions: Annotated[
        list[int] | None,
        typer.Option("--reproduction", min=1, help="Number of the reproduction."),
    ] = None,
    storage: Storage = None,
) -> None:
    """Requeue a dead worker's trial or reproduction.

    Only journal storage needs this: it has no heartbeat. Make sure that the
    worker is dead; otherwise the trial is trained twice.

    Examples:
      pml-potential release runs/mine --trial 3
    """
    if not trials and not reproductions:
        fail("nothing to requeue; give the number of a --trial or --reproduction")
    from pml_potential.benchmark.experiments.experiment import release_pieces

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
    """Train and test one configuration, without a search.

    This is `pml-potential run` with protocol.study=null: a run that consists
    of reproductions only.

    Examples:
      pml-potential train --loss contrastive
      pml-potential train --dataset folder --root birds --model resnet50
    """
    presets = presets_of(preset, protocol, dataset, model, loss)
    default = default_folder(presets, root, file)
    folder = folder or default.with_name(default.name + "-train")
    _run(presets, [*placed(assignments, root, file), "protocol.study=null"], folder, Sharing())


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
    """Profile one epoch of training: where does the time go?

    Examples:
      pml-potential profile --dataset cub200 --model resnet50
    """
    presets = presets_of(preset, protocol, dataset, model, loss)
    console = new_console()
    say_that_it_starts(console)
    from pml_potential.benchmark.data.long_step import steps_shown_on
    from pml_potential.benchmark.training.profiling import STAGES, profile_training

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


def _run(presets: dict[str, str], assignments: list[str], folder: Path, sharing: Sharing) -> None:
    console = new_console()
    say_that_it_starts(console)
    from pml_potential.benchmark.experiments.experiment import run_experiment

    _show(
        lambda: run_experiment(composed(presets, assignments), folder, console, sharing), folder, console
    )


def _show(work: Callable[[], dict[str, Any]], folder: Path, console: Console) -> None:
    from pml_potential.benchmark.training.following import follow
    from pml_potential.benchmark.training.process_group import process_group, rank

    with process_group():
        if rank() == 0:
            _lead(work, folder, console)
        else:
            follow()


def _lead(work: Callable[[], dict[str, Any]], folder: Path, console: Console) -> None:
    from pml_potential.benchmark.commands.tables import result_table
    from pml_potential.benchmark.data.duration import duration

    start = time.perf_counter()
    with stoppable(console, folder):
        results = work()
    console.print(result_table(results))
    console.print(
        f"{duration(time.perf_counter() - start)} in this session. "
        f"Report: {RunFolder(folder).report / 'index.html'}",
        soft_wrap=True,
    )
