"""The command line as a whole: help, version, and words that are no command."""

from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner, Result

from pml_potential import __version__
from pml_potential.benchmark.commands.app import app

COMMANDS = ["run", "worker", "release", "train", "profile", "features"]
COMMANDS += ["export", "report", "analyze", "compare"]
GROUPS = {"datasets": ["list", "download", "check"], "study": ["noise", "ablation"]}


def command(*words: str) -> Result:
    return CliRunner().invoke(app, words, env={"COLUMNS": "160"})


def test_help_names_every_command() -> None:
    result = command("--help")
    assert result.exit_code == 0
    assert "A Metric Learning Reality Check" in result.stdout
    named = [line.split()[1] for line in result.stdout.splitlines() if line.startswith("│ ")]
    assert [name for name in named if not name.startswith("-")] == [*COMMANDS, *GROUPS]


@pytest.mark.parametrize("group", GROUPS)
def test_help_of_a_group_names_its_commands(group: str) -> None:
    result = command(group, "--help")
    assert result.exit_code == 0
    assert all(f"│ {name} " in result.stdout for name in GROUPS[group])


@pytest.mark.parametrize(
    "words",
    [[name] for name in COMMANDS] + [[group, name] for group, names in GROUPS.items() for name in names],
    ids=" ".join,
)
def test_every_command_says_what_it_does_and_what_each_option_is(words: list[str]) -> None:
    found: Any = get_command(app)
    for word in words:
        found = found.commands[word]
    result = command(*words, "--help")
    assert result.exit_code == 0
    assert found.help.splitlines()[0] in result.stdout
    options = [option for option in found.params if option.opts[0].startswith("--")]
    assert [option.opts[0] for option in options if not option.help] == []
    assert all(option.opts[0] in result.stdout for option in options)


def test_version_is_that_of_the_package() -> None:
    result = command("--version")
    assert (result.exit_code, result.stdout) == (0, f"{__version__}\n")


def test_nothing_typed_is_answered_with_help() -> None:
    result = command()
    assert "Usage: root [OPTIONS] COMMAND" in result.output
    assert all(f"│ {name} " in result.output for name in COMMANDS)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rnu"], "No such command 'rnu'"),
        (["datasets", "fetch"], "No such command 'fetch'"),
        (["run", "--epochs", "3"], "--epochs"),
        (["run", "quick", "glyphs"], "unexpected extra argument"),
        (["run", "--fold-processes", "0"], "Invalid value for '--fold-processes'"),
        (["run", "--heartbeat", "soon"], "Invalid value for '--heartbeat'"),
        (["export", "run", "model", "--fold", "0"], "Invalid value for '--fold'"),
        (["report"], "Missing argument"),
        (["compare"], "Missing argument 'RUN...'"),
    ],
)
def test_what_is_no_command_is_refused(words: list[str], message: str) -> None:
    result = command(*words)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stdout == ""
