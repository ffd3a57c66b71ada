"""The commands about data sets: each parses its arguments and calls one function."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError
from rich import box
from rich.table import Table

from pml_potential.benchmark.commands.errors import fail, notes_as_lines, stoppable
from pml_potential.benchmark.commands.options import RUNS, complete_preset
from pml_potential.benchmark.commands.terminal import new_console
from pml_potential.benchmark.config.schema import ConfigError, Dataset

if TYPE_CHECKING:
    from pml_potential.benchmark.data.datasets.entry import DatasetEntry

datasets_app = typer.Typer(
    help="List, describe, download, check and audit data sets.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

_NAME = "Name of a data set; `pml-potential datasets list` shows them."
Name = Annotated[
    str, typer.Argument(metavar="NAME", help=_NAME, autocompletion=complete_preset("dataset"))
]
OptionalName = Annotated[
    str | None,
    typer.Argument(metavar="NAME", help=_NAME, autocompletion=complete_preset("dataset")),
]
Root = Annotated[Path | None, typer.Option(help="Folder of the files. Default: data/NAME.")]
ImagesTable = Annotated[
    Path | None,
    typer.Option(help="CSV or Parquet file (NAME is table), or file of vectors (NAME is features)."),
]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="ROLE=NAME",
        help="Column of a table that holds path, label or split, such as label=species.",
    ),
]


@datasets_app.command("list")
def list_datasets() -> None:
    """List the data sets with their sizes and where they come from.

    Examples:
      pml-potential datasets list
    """
    from pml_potential.benchmark.data.datasets.catalogue import CATALOGUE

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column("title")
    table.add_column("images", justify="right")
    table.add_column("classes", justify="right")
    table.add_column("source", no_wrap=True)
    for name, entry in CATALOGUE.items():
        counts = ("" if count is None else f"{count:,}" for count in (entry.images, entry.classes))
        table.add_row(name, entry.title, *counts, entry.source)
    console = new_console()
    console.print(table)
    console.print("\nMore about one of them: pml-potential datasets show NAME")


@datasets_app.command("show")
def show_dataset(name: Name) -> None:
    """Show the source, licence and splits of a data set, and how to get it.

    Examples:
      pml-potential datasets show cub200
    """
    from pml_potential.benchmark.data.datasets.catalogue import entry_of

    entry = entry_of(name)
    console = new_console()
    console.print(f"{name}: {entry.title}\n", soft_wrap=True)
    # Addresses stay whole, so that they can be copied.
    for fact, text in _facts(entry).items():
        console.print(f"{fact:10}{text}", soft_wrap=True)


@datasets_app.command("download")
def download_dataset(
    name: Name,
    root: Root = None,
    url: Annotated[
        str | None, typer.Option(help="Download another archive instead, such as a mirror.")
    ] = None,
    checksum: Annotated[
        str | None,
        typer.Option(metavar="KIND:HEX", help="Checksum of the archive: sha256:... or md5:..."),
    ] = None,
) -> None:
    """Download, verify and unpack a data set.

    Files that are already there are not downloaded again.

    Examples:
      pml-potential datasets download cub200
      pml-potential datasets download sop --root /data/sop
    """
    from pml_potential.benchmark.data.datasets.download import download

    console = new_console()
    try:
        download(name, root, url=url, checksum=checksum, console=console)
    except KeyboardInterrupt:
        fail("stopped; no incomplete files are left", 130)


@datasets_app.command("check")
def check_dataset(
    name: Name,
    root: Root = None,
    file: ImagesTable = None,
    columns: Columns = None,
) -> None:
    """Count and open all images of a data set.

    Exits with 1 if something is wrong.

    Examples:
      pml-potential datasets check cub200
      pml-potential datasets check folder --root birds
    """
    from pml_potential.benchmark.data.datasets.check import check

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


@datasets_app.command("audit")
def audit_images(
    name: OptionalName = None,
    root: Root = None,
    file: ImagesTable = None,
    columns: Columns = None,
    run: Annotated[
        Path | None,
        typer.Option(metavar="RUN", help="Audit the images of this finished run instead of NAME."),
    ] = None,
) -> None:
    """Find duplicate images, misspelt labels and broken files.

    Exits with 1 if the data set is unsound: equal images, labels in two
    spellings, or broken files. Near duplicates are listed for you to look
    at. The sheet goes to runs/audits, where the reports of runs find it.

    With --run, the sheet goes to the run's folder, and images are also ranked
    by how few of their nearest neighbours share their label, in embeddings
    trained without their class.

    Examples:
      pml-potential datasets audit folder --root birds
      pml-potential datasets audit --run runs/mine
    """
    from pml_potential.benchmark.data.long_step import steps_shown_on
    from pml_potential.benchmark.report.auditing import audit_dataset, audit_run

    console = new_console()
    if run is None:
        if name is None:
            fail("NAME is missing: name a data set, or give --run RUN")
        with stoppable(console, RUNS), steps_shown_on(console):
            found, sheet = audit_dataset(_dataset(name, root, file, columns or []), RUNS)
    else:
        if name is not None or root is not None or file is not None or columns:
            fail(f"--run {run} brings its own images; leave out NAME, --root, --file and --column")
        with stoppable(console, run), steps_shown_on(console):
            found, sheet, ranking, labels = audit_run(run)
    lines = [*found.lines(), f"Sheet: {sheet}"]
    if run is not None:
        count = len(ranking.images.labels)
        lines.append(
            f"Labels: {ranking.doubted:,} of {count:,} images have more neighbours from another class"
        )
        lines.append(f"Label sheet, with labels.csv beside it: {labels}")
    for line in lines:
        console.print(line, soft_wrap=True)
    if not found.sound:
        raise typer.Exit(1)


def _facts(entry: DatasetEntry) -> dict[str, str]:
    """The known facts about a data set, by their names."""
    from pml_potential.benchmark.data.datasets.entry import default_root
    from pml_potential.benchmark.data.datasets.published import counted

    facts = {
        "source": entry.source,
        "paper": entry.paper,
        "page": entry.home,
        "licence": entry.licence,
        "download": f"pml-potential datasets download {entry.name}" if entry.url else "",
        "archive": entry.url,
        "checksum": entry.checksum,
        "how": entry.advice,
        "folder": f"{default_root(entry.name)}, or --root FOLDER" if "root" in entry.takes else "",
    }
    if entry.images is not None and entry.classes is not None:
        facts["images"] = counted(entry.images, entry.classes)
    facts |= {split: counted(*counts) for split, counts in entry.division.items()}
    if entry.mlrc_halves:
        facts["splits"] = "with several folds, MLRC's: the first half of the sorted classes, not train"
    return {fact: text for fact, text in facts.items() if text}


def _dataset(name: str, root: Path | None, file: Path | None, columns: list[str]) -> Dataset:
    from pml_potential.benchmark.data.datasets.catalogue import entry_of

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
                f"--column {role}: there is no such role; the roles are path, label and split"
            ) from error
        option = f"--{role}" if len(problem["loc"]) == 1 else f"--column {role}"
        reason = problem["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{option}: {reason}, got {problem['input']!r}") from error


def _assignment(text: str) -> tuple[str, str]:
    role, equals, name = text.partition("=")
    if not equals or not name:
        raise ConfigError(f"--column {text}: it must be ROLE=NAME, such as label=species")
    return role, name
