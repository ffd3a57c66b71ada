"""The command that writes the features of a data set: features."""

from pathlib import Path
from typing import Annotated

import typer

from pml_potential.benchmark.commands.errors import stoppable
from pml_potential.benchmark.commands.options import (
    RUNS,
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
from pml_potential.benchmark.commands.terminal import new_console, say_that_it_starts
from pml_potential.benchmark.config.run_folder import feature_cache


def features(
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="File to write, such as birds.npz.")],
    dataset: DatasetName = None,
    root: ImagesRoot = None,
    file: ImagesTable = None,
    model: ModelName = None,
    protocol: ProtocolName = None,
    assignments: Assignments = None,
) -> None:
    """Compute a network's features for a data set and write them to a file.

    Train on them with --dataset features --file TARGET --model vectors.
    Images are cropped as in evaluation (protocol.crop). Features are cached
    in runs/features, so the same command resumes after Ctrl-C.

    Examples:
      pml-potential features birds.npz --dataset cub200 --model resnet50
    """
    presets = presets_of(None, protocol, dataset, model, None)
    console = new_console()
    say_that_it_starts(console)
    from pml_potential.benchmark.data.feature_file import write_features
    from pml_potential.benchmark.data.long_step import steps_shown_on

    with stoppable(console, target), steps_shown_on(console):
        config = composed(presets, placed(assignments, root, file))
        count, width = write_features(config, target, feature_cache(RUNS))
    console.print(f"Wrote {count:,} vectors of {width:,} numbers to {target}", soft_wrap=True)
