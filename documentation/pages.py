"""The pages of the site that are made from the code and the tutorials, and the functions that do so."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from documentation.architecture import architecture_page
from documentation.command_help import commands_page
from documentation.configuration_keys import configuration_page
from documentation.notebooks import NOTEBOOKS, notebook_page, pictures_of

DOCS = Path(__file__).parents[1] / "docs"
REFERENCE = DOCS / "reference"
PAGES: dict[Path, Callable[[], str]] = {
    DOCS / "architecture.md": architecture_page,
    REFERENCE / "configuration.md": configuration_page,
    REFERENCE / "commands.md": commands_page,
    **{path.with_suffix(".md"): partial(notebook_page, path) for path in NOTEBOOKS},
}


def pictures() -> dict[Path, bytes]:
    """The pictures that these pages show, by their files."""
    return {file: picture for path in NOTEBOOKS for file, picture in pictures_of(path).items()}
