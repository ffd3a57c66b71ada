"""The options that several commands share."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
import yaml

from pml_potential.benchmark.commands.errors import fail
from pml_potential.benchmark.config.composing import compose
from pml_potential.benchmark.config.recipes import PREFIX
from pml_potential.benchmark.config.schema import Config
from pml_potential.benchmark.training.names import check_names

DEFAULTS = {
    "protocol": "quick",
    "dataset": "glyphs",
    "model": "small_cnn",
    "loss": "potential_field",
}
"""The presets that are used where none is named."""

RUNS = Path("runs")
"""Folder of the runs that are given none."""

Preset = Annotated[
    str | None,
    typer.Argument(
        metavar="[PROTOCOL]",
        help=f"Short for --protocol; or {PREFIX}NAME: a row of a paper, with data set, model and loss.",
    ),
]
ProtocolName = Annotated[
    str | None, typer.Option(help=f"How losses are judged. Default: {DEFAULTS['protocol']}.")
]
DatasetName = Annotated[str | None, typer.Option(help=f"The images. Default: {DEFAULTS['dataset']}.")]
ImagesRoot = Annotated[
    Path | None,
    typer.Option(
        "--root", help="For --dataset folder: the folder. For a published data set: its files."
    ),
]
ImagesTable = Annotated[
    Path | None,
    typer.Option(
        "--file",
        help="For --dataset table: the CSV or Parquet file. For features: the matrix of vectors.",
    ),
]
ModelName = Annotated[str | None, typer.Option(help=f"The network. Default: {DEFAULTS['model']}.")]
LossName = Annotated[
    str | None, typer.Option(help=f"The loss, with its search. Default: {DEFAULTS['loss']}.")
]
LossNames = Annotated[
    list[str] | None, typer.Option("--loss", help="A loss; give the option once for each of several.")
]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Any value of the configuration."),
]
Folder = Annotated[
    Path | None, typer.Option(help="Folder of the run. Default: runs/ and the presets' names.")
]
Storage = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Database that Optuna keeps the studies in, such as postgresql+psycopg://user@host/name, "
        "or path of a journal file. Default: a SQLite file in the folder of the run.",
    ),
]
FoldProcesses = Annotated[
    int,
    typer.Option(min=1, help="Folds to train at a time, each in a process, with the next of the GPUs."),
]
Heartbeat = Annotated[
    int,
    typer.Option(
        min=1,
        help="Seconds between heartbeats; a trial without one for three times as long is requeued.",
    ),
]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")]


def presets_of(
    preset: str | None, protocol: str | None, dataset: str | None, model: str | None, loss: str | None
) -> dict[str, str]:
    """Names of presets, by kind; or that of a recipe, as ``recipe``."""
    if preset is not None and protocol is not None and preset != protocol:
        fail(f"the protocol is given twice, as {preset!r} and as --protocol {protocol!r}")
    given = {"protocol": protocol or preset, "dataset": dataset, "model": model, "loss": loss}
    named = {kind: name for kind, name in given.items() if name is not None}
    chosen = named.get("protocol", "")
    if not chosen.startswith(PREFIX) or chosen.endswith((".yaml", ".yml")):
        return DEFAULTS | named
    for kind, name in named.items():
        if kind != "protocol":
            fail(
                f"--{kind} {name} cannot be given with {chosen}, which brings its own; change single "
                "values with --set"
            )
    return {"recipe": chosen.removeprefix(PREFIX)}


def default_folder(
    presets: dict[str, str], root: Path | None = None, table: Path | None = None, prefix: str = ""
) -> Path:
    """Where the run of these presets goes, or their study, whose name begins with the prefix."""
    called = {
        kind: images_called(name, root, table) if kind == "dataset" else name
        for kind, name in presets.items()
    }
    is_file = {name: name.endswith((".yaml", ".yml")) for name in called.values()}
    names = [Path(name).stem if is_file[name] else name for name in called.values()]
    return RUNS / (prefix + "-".join(names))


def images_called(dataset: str, root: Path | None, table: Path | None) -> str:
    """What to call a data set in the name of a folder: images of one's own by where they are."""
    if dataset == "folder" and root is not None:
        # Not Path.resolve, which follows links to where nobody may look.
        return os.path.basename(os.path.abspath(root)) or dataset
    if dataset in {"table", "features"} and table is not None:
        return table.stem
    return dataset


def placed(assignments: Sequence[str] | None, root: Path | None, table: Path | None) -> list[str]:
    """The assignments, and those that --root and --file stand for."""
    places = {"dataset.root": root, "dataset.file": table}
    given = {key: str(place) for key, place in places.items() if place is not None}
    return [*(assignments or []), *(f"{key}={_quoted(text)}" for key, text in given.items())]


def _quoted(text: str) -> str:
    """Text as YAML, from which it is read as it was typed."""
    return yaml.safe_dump(text, default_style='"', allow_unicode=True, width=10**6).strip()


def composed(presets: dict[str, str], assignments: Sequence[str] | None) -> Config:
    """The configuration of these presets and values, with every name looked up."""
    return compose(presets, assignments or [], check_names)
