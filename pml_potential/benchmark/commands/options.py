"""The options that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import yaml

from pml_potential.benchmark.commands.errors import fail
from pml_potential.benchmark.config.presets import preset_description, preset_names
from pml_potential.benchmark.config.recipes import PREFIX, recipe_names, recipe_paper

if TYPE_CHECKING:
    from pml_potential.benchmark.config.schema import Config

DEFAULTS = {
    "protocol": "quick",
    "dataset": "glyphs",
    "model": "small_cnn",
    "loss": "potential_field",
}
"""The default presets."""

RUNS = Path("runs")
"""Default folder of runs."""

Completions = Iterator[tuple[str, str]]
"""Completions for a shell, each with its description."""


def complete_preset(kind: str) -> Callable[[str], Completions]:
    """Completions of an option that names a preset of this kind; protocols include recipes."""

    def complete(incomplete: str) -> Completions:
        for name in preset_names(kind):
            if name.startswith(incomplete):
                yield name, preset_description(kind, name)
        # Only when they are asked for: there are many.
        if kind == "protocol" and incomplete.startswith(PREFIX[0]):
            for name in recipe_names():
                if (PREFIX + name).startswith(incomplete):
                    yield PREFIX + name, recipe_paper(name)

    return complete


Preset = Annotated[
    str | None,
    typer.Argument(
        metavar="PROTOCOL",
        help=f"Short for --protocol. {PREFIX}NAME also sets data set, model and loss.",
        autocompletion=complete_preset("protocol"),
    ),
]
ProtocolName = Annotated[
    str | None,
    typer.Option(
        help=f"How losses are trained and compared. Default: {DEFAULTS['protocol']}.",
        autocompletion=complete_preset("protocol"),
    ),
]
DatasetName = Annotated[
    str | None,
    typer.Option(
        help=f"Images to train and test on. Default: {DEFAULTS['dataset']}.",
        autocompletion=complete_preset("dataset"),
    ),
]
ImagesRoot = Annotated[
    Path | None,
    typer.Option(
        "--root", help="Folder of your own images (--dataset folder) or of a published data set."
    ),
]
ImagesTable = Annotated[
    Path | None,
    typer.Option(
        "--file",
        help="CSV or Parquet file (--dataset table), or file of vectors (--dataset features).",
    ),
]
ModelName = Annotated[
    str | None,
    typer.Option(
        help=f"Network to train. Default: {DEFAULTS['model']}.", autocompletion=complete_preset("model")
    ),
]
LossName = Annotated[
    str | None,
    typer.Option(
        help=f"Loss, with its search ranges. Default: {DEFAULTS['loss']}.",
        autocompletion=complete_preset("loss"),
    ),
]
LossNames = Annotated[
    list[str] | None,
    typer.Option("--loss", help="Loss to compare.", autocompletion=complete_preset("loss")),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="PATH=VALUE", help="Override a value of the configuration, such as seed=1."
    ),
]
Folder = Annotated[
    Path | None,
    typer.Option(help="Folder for the run. Default: in runs/, named after the presets."),
]
Storage = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Where Optuna keeps its studies: URL of a database, or path of a journal file. Default: a "
        "SQLite file in the run's folder.",
    ),
]
FoldProcesses = Annotated[
    int,
    typer.Option(min=1, help="Folds to train at once, each in its own process, on the GPUs in turn."),
]
Heartbeat = Annotated[
    int,
    typer.Option(
        min=1,
        help="Seconds between heartbeats. A trial is requeued after three missed ones.",
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
    """Default folder of a run of these presets, or of a study, whose name begins with the prefix."""
    called = {
        kind: images_called(name, root, table) if kind == "dataset" else name
        for kind, name in presets.items()
    }
    is_file = {name: name.endswith((".yaml", ".yml")) for name in called.values()}
    names = [Path(name).stem if is_file[name] else name for name in called.values()]
    return RUNS / (prefix + "-".join(names))


def images_called(dataset: str, root: Path | None, table: Path | None) -> str:
    """Name of a data set in the name of a run; your own images are named after their folder or table."""
    if dataset == "folder" and root is not None:
        # Not Path.resolve, which follows links into folders that may be unreadable.
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
    """Text as YAML that reads back unchanged."""
    return yaml.safe_dump(text, default_style='"', allow_unicode=True, width=10**6).strip()


def composed(presets: dict[str, str], assignments: Sequence[str] | None) -> Config:
    """The configuration of these presets and values, with every name looked up."""
    from pml_potential.benchmark.config.composing import compose
    from pml_potential.benchmark.training.names import check_names

    return compose(presets, assignments or [], check_names)
