"""The command that lists the presets."""

import pytest
from typer.testing import CliRunner, Result

from pml_potential.benchmark.commands.app import app
from pml_potential.benchmark.config.presets import KINDS, preset_description, preset_names
from pml_potential.benchmark.config.recipes import recipe_names


def command(*words: str) -> Result:
    return CliRunner().invoke(app, ["presets", *words], env={"COLUMNS": "200"})


@pytest.mark.parametrize("kind", KINDS)
def test_each_preset_has_a_line_that_says_what_it_is(kind: str) -> None:
    result = command(KINDS[kind])
    assert result.exit_code == 0
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines[2:] == [f"{name} {preset_description(kind, name)}" for name in preset_names(kind)]


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_preset_is_fits_a_line_and_tells_it_from_the_others(kind: str) -> None:
    told = {name: preset_description(kind, name) for name in preset_names(kind)}
    assert [name for name, text in told.items() if not 10 < len(text) < 90 or text[-1] != "."] == []
    assert len(set(told.values())) == len(told)


def test_each_recipe_has_a_line_below_its_paper() -> None:
    lines = [line.rstrip() for line in command("recipes").stdout.splitlines()]
    assert len([line for line in lines if line.startswith("recipes/")]) == len(recipe_names())
    (line,) = [line for line in lines if line.startswith("recipes/pfml-cub200-resnet50 ")]
    assert line.endswith("traditional, resnet50, cub200")
    (paper,) = [line for line in lines if "Potential Field Based Deep Metric Learning" in line]
    assert lines.index(paper) < lines.index(line)


def test_all_kinds_are_listed_by_default() -> None:
    shown = command().stdout
    assert shown == "\n".join(
        command(kind).stdout for kind in ("losses", "models", "protocols", "datasets", "recipes")
    )


def test_a_kind_that_there_is_not_suggests_a_near_one() -> None:
    result = command("lossess")
    assert result.exit_code == 2
    assert result.stderr == (
        "error: there are no presets of the kind 'lossess', did you mean 'losses'?; the kinds are "
        "losses, models, protocols, datasets, recipes\n"
    )
