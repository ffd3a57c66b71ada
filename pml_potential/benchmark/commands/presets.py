"""The command that lists the presets by name: presets."""

from collections.abc import Iterable, Iterator
from typing import Annotated

import typer
from rich import box
from rich.table import Table

from pml_potential.benchmark.commands.errors import fail
from pml_potential.benchmark.commands.terminal import new_console
from pml_potential.benchmark.config.nearest import did_you_mean
from pml_potential.benchmark.config.presets import KINDS, preset_description, preset_names
from pml_potential.benchmark.config.recipes import PREFIX, find_recipe, recipe_names, recipe_paper

_SINGULAR = {plural: kind for kind, plural in KINDS.items()}
_LISTS = ("losses", "models", "protocols", "datasets", "recipes")


def _complete(incomplete: str) -> list[str]:
    return [name for name in _LISTS if name.startswith(incomplete)]


def presets(
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="KIND", help=f"{', '.join(_LISTS)}. Default: all of them.", autocompletion=_complete
        ),
    ] = None,
) -> None:
    """List the losses, models, protocols, data sets and recipes by name.

    Examples:
      pml-potential presets
      pml-potential presets losses
    """
    if kind is not None and kind not in _LISTS:
        near = did_you_mean(kind, _LISTS)
        fail(f"there are no presets of the kind {kind!r}{near}; the kinds are {', '.join(_LISTS)}")
    console = new_console()
    for place, table in enumerate(_tables(_LISTS if kind is None else [kind])):
        if place:
            console.print()
        console.print(table)


def _tables(kinds: Iterable[str]) -> Iterator[Table]:
    for kind in kinds:
        if kind == "recipes":
            papers = {paper: _table(kind, title=paper) for paper in map(recipe_paper, recipe_names())}
            for name in recipe_names():
                presets_of_it = ", ".join(find_recipe(name).presets.values())
                papers[recipe_paper(name)].add_row(PREFIX + name, presets_of_it)
            yield from papers.values()
        else:
            table = _table(kind)
            for name in preset_names(_SINGULAR[kind]):
                table.add_row(name, preset_description(_SINGULAR[kind], name))
            yield table


def _table(kind: str, title: str | None = None) -> Table:
    table = Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        show_edge=False,
        pad_edge=False,
    )
    table.add_column(kind, no_wrap=True)
    table.add_column("its presets" if kind == "recipes" else "what it is")
    return table
