"""Pages that are made from the code are what the code makes of them today."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from documentation.command_help import commands_page
from documentation.configuration_keys import configuration_page
from documentation.notebooks import TUTORIALS
from documentation.pages import PAGES, pictures
from pml_potential.benchmark.commands.app import app
from pml_potential.benchmark.config.composing import compose
from pml_potential.benchmark.config.schema import ConfigError

PRESETS = {"protocol": "quick", "dataset": "glyphs", "model": "small_cnn", "loss": "potential_field"}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_committed_page_is_what_the_code_makes(path: Path) -> None:
    assert path.read_text() == PAGES[path](), "run `python -m documentation`"


def test_committed_pictures_are_those_of_the_tutorials() -> None:
    committed = {path: path.read_bytes() for path in TUTORIALS.glob("*.png")}
    assert committed == pictures(), "run `python -m documentation`"


@pytest.mark.parametrize(
    "key",
    ["protocol.study.trials", "dataset.columns.label", "model.input.mean", "search.PATH.low", "seed"],
)
def test_keys_of_every_depth_are_listed(key: str) -> None:
    assert f"\n`{key}`: " in configuration_page()


def test_ranges_and_defaults_are_those_that_are_enforced() -> None:
    page = configuration_page()
    assert "\n`protocol.crop.flip`: number ≥ 0 and ≤ 1, by default `0.5`\n" in page
    assert compose(PRESETS, []).protocol.crop.flip == 0.5
    for value in ("-0.1", "1.1"):
        with pytest.raises(ConfigError, match=r"protocol\.crop\.flip"):
            compose(PRESETS, [f"protocol.crop.flip={value}"])


@pytest.mark.parametrize(
    "command", [line[3:] for line in commands_page().splitlines() if line[:3] == "## "]
)
def test_options_are_those_that_the_program_takes(command: str) -> None:
    section = commands_page().partition(f"## {command}\n")[2].partition("\n## ")[0]
    answer = CliRunner().invoke(app, [*command.split()[1:], "--help"], env={"COLUMNS": "200"})
    assert answer.exit_code == 0
    shown = set(re.findall(r"^[^\w-]*(--[\w-]+)", answer.output, re.MULTILINE))
    assert set(re.findall(r"^`(--[\w-]+)", section, re.MULTILINE)) == shown - {"--help"}
