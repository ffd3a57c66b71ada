"""The command that writes the features of a data set: features."""

from pathlib import Path
from typing import Annotated

import typer

from pml_potential.benchmark.commands.errors import stoppable
from pml_potential.benchmark.commands.options import (
    Assignments,
    DatasetName,
    ImagesRoot,
    ImagesTable,
    ModelName,
    ProtocolName,
    composed,
    placed,
    presets_of,
)
from pml_potential.benchmark.commands.terminal import new_console
from pml_potential.benchmark.config.run_folder import feature_cache
from pml_potential.benchmark.data.feature_file import write_features
from pml_potential.benchmark.data.long_step import steps_shown_on


def features(
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="File to write, such as birds.npz.")],
    dataset: DatasetName = None,
    root: ImagesRoot = None,
    file: ImagesTable = None,
    model: ModelName = None,
    protocol: ProtocolName = None,
    assignments: Assignments = None,
) -> None:
    """Write what a network's trunk makes of a data set, for --dataset features --file TARGET.

    Images are seen as in evaluation: protocol.crop says how. What is computed is kept in runs/features,
    so that the same command goes on after Ctrl-C.
    """
    presets = presets_of(None, protocol, dataset, model, None)
    console = new_console()
    with stoppable(console, target), steps_shown_on(console):
        config = composed(presets, placed(assignments, root, file))
        count, width = write_features(config, target, feature_cache(Path("runs")))
    console.print(f"{count:,} vectors of {width} numbers: {target}", soft_wrap=True)
