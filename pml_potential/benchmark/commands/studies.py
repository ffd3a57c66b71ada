"""The commands about studies: each parses its arguments and calls one function."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    complete_preset,
    composed,
    default_folder,
    placed,
    presets_of,
)
from pml_potential.benchmark.commands.terminal import new_console, say_that_it_starts
from pml_potential.benchmark.config.published_grids import GRIDS, NOISE_LEVELS
from pml_potential.benchmark.config.recipes import PREFIX
from pml_potential.benchmark.config.yaml_text import read_yaml
from pml_potential.benchmark.experiments.sharing import Sharing

if TYPE_CHECKING:
    from pml_potential.benchmark.experiments.studies.study import Study

study_app = typer.Typer(
    help="Train at several values of one setting and plot the scores.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

ProtocolName = Annotated[
    str,
    typer.Option(
        help="How losses are trained and compared.", autocompletion=complete_preset("protocol")
    ),
]
Folder = Annotated[
    Path | None, typer.Option(help="Folder for the study. Default: in runs/, named after the settings.")
]


@study_app.command("noise")
def noise(
    losses: LossNames = None,
    levels: Annotated[
        str, typer.Option(metavar="SHARES", help="Shares of wrong training labels, from 0 to 1.")
    ] = ", ".join(f"{level:g}" for level in NOISE_LEVELS),
    protocol: ProtocolName = "quick",
    dataset: DatasetName = None,
    root: ImagesRoot = None,
    file: ImagesTable = None,
    model: ModelName = None,
    assignments: Assignments = None,
    folder: Folder = None,
    fold_processes: FoldProcesses = 1,
) -> None:
    """Compare losses at several levels of label noise.

    Hyperparameters are searched on clean labels and reused at the other
    levels. The same command resumes a study that was interrupted.

    Examples:
      pml-potential study noise
      pml-potential study noise --loss cpml --loss proxy_anchor --levels 0,0.3
    """
    console = new_console()
    say_that_it_starts(console)
    from pml_potential.benchmark.experiments.studies.label_noise import run_label_noise

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

    def run(write: Callable[[Study], None]) -> Study:
        sharing = Sharing(fold_processes=fold_processes)
        return run_label_noise(configs, folder, console, shares, sharing, write)

    _show(run, folder, console)


@study_app.command("ablation")
def ablation(
    path: Annotated[
        str,
        typer.Argument(metavar="PATH", help="Dotted path of the value, such as loss.params.alpha."),
    ],
    values: Annotated[
        str | None,
        typer.Option(
            metavar="VALUES",
            help="Values to try, such as '1, 2, 5'. Default: the published grid, if PATH is "
            "loss.params and one of "
            f"{', '.join(path.rpartition('.')[2] for path in GRIDS)}.",
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
    """Vary one value and keep all others as in the presets.

    Nothing is searched. The same command resumes a study that was
    interrupted.

    Examples:
      pml-potential study ablation loss.params.alpha
      pml-potential study ablation sampler.m --values 2,4 --loss contrastive
    """
    if values is None and path not in GRIDS:
        fail(f"--values is missing: there is no published grid for {path!r}")
    console = new_console()
    say_that_it_starts(console)
    from pml_potential.benchmark.experiments.studies.ablation import run_ablation

    presets = presets_of(None, protocol, dataset, model, loss)
    folder = folder or default_folder(presets, root, file, f"ablation-{path}-")
    config = composed(presets, placed(assignments, root, file))
    chosen = list(GRIDS[path]) if values is None else _values(values)

    def run(write: Callable[[Study], None]) -> Study:
        sharing = Sharing(fold_processes=fold_processes)
        return run_ablation(config, path, chosen, folder, console, sharing, after_each=write)

    _show(run, folder, console)


def _values(text: str) -> list[Any]:
    found = read_yaml(f"[{text}]", f"{text!r}, a list of values such as '1, 2, 5',")
    return list(found)


def _show(run: Callable[[Callable[[Study], None]], Study], folder: Path, console: Console) -> None:
    from pml_potential.benchmark.experiments.studies.study import JUDGED_ON, write_study

    with stoppable(console, folder):
        study = run(lambda so_far: write_study(so_far, folder))
    for judged_on, title in JUDGED_ON.items():
        console.print(f"\nMAP@R, {title}: mean and 95% interval over the reproductions\n")
        console.print(study.table(judged_on).to_markdown(), soft_wrap=True)
    console.print(f"\nStudy: {folder / 'study.png'}", soft_wrap=True)
