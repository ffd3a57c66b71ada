"""The commands about studies: each parses what a person typed and calls one function."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from pml_potential.benchmark.commands.errors import fail, stoppable
from pml_potential.benchmark.commands.options import (
    Assignments,
    DatasetName,
    FoldProcesses,
    ImagesRoot,
    ImagesTable,
    LossName,
    LossNames,
    ModelName,
    composed,
    default_folder,
    placed,
    presets_of,
)
from pml_potential.benchmark.commands.terminal import new_console
from pml_potential.benchmark.config.recipes import PREFIX
from pml_potential.benchmark.config.yaml_text import read_yaml
from pml_potential.benchmark.experiments.experiment import Sharing
from pml_potential.benchmark.experiments.studies.ablation import GRIDS, run_ablation
from pml_potential.benchmark.experiments.studies.label_noise import LEVELS, run_label_noise
from pml_potential.benchmark.experiments.studies.study import JUDGED_ON, Study, write_study

study_app = typer.Typer(
    help="Run many settings that differ in one value, and plot the scores along it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

ProtocolName = Annotated[str, typer.Option(help="How losses are judged.")]
Folder = Annotated[Path | None, typer.Option(help="Folder of the study. Default: in runs/.")]


@study_app.command("noise")
def noise(
    losses: LossNames = None,
    levels: Annotated[
        str, typer.Option(metavar="SHARES", help="Shares of wrong training labels.")
    ] = ", ".join(f"{level:g}" for level in LEVELS),
    protocol: ProtocolName = "quick",
    dataset: DatasetName = None,
    root: ImagesRoot = None,
    file: ImagesTable = None,
    model: ModelName = None,
    assignments: Assignments = None,
    folder: Folder = None,
    fold_processes: FoldProcesses = 1,
) -> None:
    """Show how losses fall under label noise; the same command goes on with what was interrupted.

    Each loss is searched on clean labels, and trained at the other levels with the best of these
    hyperparameters.
    """
    compared: list[str | None] = [*(losses or [])]
    if not compared:
        # A recipe brings its loss.
        compared = [None] if protocol.startswith(PREFIX) else ["potential_field", "contrastive"]
    chosen = [presets_of(None, protocol, dataset, model, loss) for loss in compared]
    shared = {kind: name for kind, name in chosen[0].items() if kind != "loss"}
    folder = folder or default_folder(shared, root, file, "noise-")
    assignments = placed(assignments, root, file)
    configs = {
        Path(each.get("loss") or each["recipe"]).stem: composed(each, assignments) for each in chosen
    }
    shares = _values(levels)
    console = new_console()

    def run(write: Callable[[Study], None]) -> Study:
        sharing = Sharing(fold_processes=fold_processes)
        return run_label_noise(configs, folder, console, shares, sharing, write)

    _show(run, folder, console)


@study_app.command("ablation")
def ablation(
    path: Annotated[str, typer.Argument(metavar="PATH", help="Dotted path of the value to vary.")],
    values: Annotated[
        str | None,
        typer.Option(
            metavar="VALUES",
            help=f"What to put there, such as '1, 2, 5'. Default: the papers' grids of "
            f"{', '.join(GRIDS)}.",
        ),
    ] = None,
    protocol: ProtocolName = "quick",
    dataset: DatasetName = None,
    root: ImagesRoot = None,
    file: ImagesTable = None,
    model: ModelName = None,
    loss: LossName = None,
    assignments: Assignments = None,
    folder: Folder = None,
    fold_processes: FoldProcesses = 1,
) -> None:
    """Show what one value does, all others fixed; the same command goes on with what was interrupted.

    Nothing is searched: the other values are those of the presets and of --set.
    """
    if values is None and path not in GRIDS:
        fail(f"--values is missing: there is no published grid for {path!r}")
    presets = presets_of(None, protocol, dataset, model, loss)
    folder = folder or default_folder(presets, root, file, f"ablation-{path}-")
    config = composed(presets, placed(assignments, root, file))
    chosen = list(GRIDS[path]) if values is None else _values(values)
    console = new_console()

    def run(write: Callable[[Study], None]) -> Study:
        sharing = Sharing(fold_processes=fold_processes)
        return run_ablation(config, path, chosen, folder, console, sharing, after_each=write)

    _show(run, folder, console)


def _values(text: str) -> list[Any]:
    found = read_yaml(f"[{text}]", f"{text!r}, a list of values such as '1, 2, 5',")
    return list(found)


def _show(run: Callable[[Callable[[Study], None]], Study], folder: Path, console: Console) -> None:
    with stoppable(console, folder):
        study = run(lambda so_far: write_study(so_far, folder))
    for judged_on, title in JUDGED_ON.items():
        console.print(f"\nMAP@R, {title}: mean and 95% interval over the reproductions\n")
        console.print(study.table(judged_on).to_markdown(), soft_wrap=True)
    console.print(f"\nStudy: {folder / 'study.png'}", soft_wrap=True)
