"""The pages of the site that are made from the code, and what makes them."""

from pathlib import Path

from documentation.architecture import architecture_page
from documentation.command_help import commands_page
from documentation.configuration_keys import configuration_page

DOCS = Path(__file__).parents[1] / "docs"
REFERENCE = DOCS / "reference"
PAGES = {
    DOCS / "architecture.md": architecture_page,
    REFERENCE / "configuration.md": configuration_page,
    REFERENCE / "commands.md": commands_page,
}
