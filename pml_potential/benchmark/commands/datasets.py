"""The commands about data sets: each parses what a person typed and calls one function."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich import box
from rich.table import Table

from pml_potential.benchmark.commands.errors import fail, notes_as_lines
from pml_potential.benchmark.commands.terminal import new_console
from pml_potential.benchmark.config.schema import ConfigError, Dataset
from pml_potential.benchmark.data.datasets.catalogue import CATALOGUE, entry_of
from pml_potential.benchmark.data.datasets.check import check
from pml_potential.benchmark.data.datasets.download import download

datasets_app = typer.Typer(
    help="List, download and check data sets.", no_args_is_help=True, pretty_exceptions_enable=False
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="As `list` calls it.")]
Root = Annotated[
    Path | None, typer.Option(help="Folder of the files. Default: data/NAME in the working folder.")
]


@datasets_app.command("list")
def list_datasets() -> None:
    """List the data sets, with their published counts and where to get them."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for title in ("name", "title", "images", "classes", "files"):
        justify: Any = "right" if title in {"images", "classes"} else "left"
        table.add_column(title, justify=justify, no_wrap=title == "name")
    for name, entry in CATALOGUE.items():
        counts = (f"{count:,}" if count is not None else "" for count in (entry.images, entry.classes))
        table.add_row(name, entry.title, *counts, entry.source)
    console = new_console()
    console.print(table)
    for name, entry in CATALOGUE.items():
        facts = (entry.paper, entry.home, f"use: {entry.licence}" if entry.licence else "", entry.advice)
        text = "; ".join(fact for fact in facts if fact)
        if text:
            console.print(f"{name}: {text}", soft_wrap=True)


@datasets_app.command("download")
def download_dataset(
    name: Name,
    root: Root = None,
    url: Annotated[str | None, typer.Option(help="Of an archive at another place.")] = None,
    checksum: Annotated[
        str | None,
        typer.Option(metavar="KIND:HEX", help="What the archive must have: sha256:... or md5:..."),
    ] = None,
) -> None:
    """Fetch, verify and unpack a data set; do nothing if it is there."""
    console = new_console()
    try:
        download(name, root, url=url, checksum=checksum, console=console)
    except KeyboardInterrupt:
        fail("stopped; nothing half is left in place", 130)


@datasets_app.command("check")
def check_dataset(
    name: Name,
    root: Root = None,
    file: Annotated[
        Path | None, typer.Option(help="For table: the CSV or Parquet file; for features: the matrix.")
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            metavar="ROLE=NAME",
            help="For table: what the column of path, label or split is called.",
        ),
    ] = None,
) -> None:
    """Count the images, open every one, and exit with 1 if something is wrong."""
    console = new_console()
    try:
        with notes_as_lines(console):
            report = check(_dataset(name, root, file, columns or []), console)
    except KeyboardInterrupt:
        fail("stopped", 130)
    for line in report.lines():
        console.print(line, soft_wrap=True)
    if not report.good:
        raise typer.Exit(1)


def _dataset(name: str, root: Path | None, file: Path | None, columns: list[str]) -> Dataset:
    entry_of(name)
    roles = dict(_assignment(column) for column in columns)
    values = {
        "name": name,
        "root": None if root is None else str(root),
        "file": None if file is None else str(file),
        "columns": roles,
    }
    try:
        return Dataset.model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        role = problem["loc"][-1]
        if problem["type"] == "extra_forbidden":
            raise ConfigError(
                f"--column {role}: there is no such role; there are path, label and split"
            ) from error
        option = f"--{role}" if len(problem["loc"]) == 1 else f"--column {role}"
        reason = problem["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{option}: {reason}, got {problem['input']!r}") from error


def _assignment(text: str) -> tuple[str, str]:
    role, equals, name = text.partition("=")
    if not equals or not name:
        raise ConfigError(f"--column {text}: it must be ROLE=NAME, such as label=species")
    return role, name
