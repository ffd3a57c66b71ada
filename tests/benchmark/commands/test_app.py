"""The command line as a whole: help, examples, completion, version, and words that are no command."""

import os
import shlex
import subprocess
import sys
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner, Result

from pml_potential import __version__
from pml_potential.benchmark.commands.app import app
from pml_potential.benchmark.config.presets import preset_path

COMMANDS = ["run", "worker", "release", "train", "profile", "presets", "features"]
COMMANDS += ["export", "report", "analyze", "compare"]
GROUPS = {
    "datasets": ["list", "show", "download", "check", "audit"],
    "study": ["noise", "ablation"],
}
EVERY = [[name] for name in COMMANDS] + [
    [group, name] for group, names in GROUPS.items() for name in names
]
HEAVY = ["torch", "optuna", "sklearn", "timm", "torchvision", "pandas", "plotly", "scipy"]


def command(*words: str, columns: int = 160) -> Result:
    return CliRunner().invoke(app, words, env={"COLUMNS": str(columns)})


def found_command(words: list[str]) -> Any:
    found: Any = get_command(app)
    for word in words:
        found = found.commands[word]
    return found


def imported_by(words: list[str], **environment: str) -> tuple[str, list[str]]:
    """What a process of its own prints, and which heavy libraries it imports."""
    code = (
        "import sys\n"
        "sys.argv[0] = 'pml-potential'\n"
        "from pml_potential.__main__ import main\n"
        "try:\n    main()\nfinally:\n"
        f"    print(*[name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr.split()


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


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_every_command_says_what_it_does_and_what_each_option_is(words: list[str]) -> None:
    found = found_command(words)
    result = command(*words, "--help")
    assert result.exit_code == 0
    assert found.help.splitlines()[0] in result.stdout
    options = [option for option in found.params if option.opts[0].startswith("--")]
    assert [option.opts[0] for option in options if not option.help] == []
    assert all(option.opts[0] in result.stdout for option in options)


@pytest.mark.parametrize("words", [[], *([group] for group in GROUPS), *EVERY], ids=" ".join)
def test_help_fits_80_columns(words: list[str]) -> None:
    result = command(*words, "--help", columns=80)
    assert "…" not in result.stdout
    # A line that is longer is broken in the midst of its words.
    assert max(map(len, (found_command(words).help or "").splitlines())) <= 78


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_examples_are_commands(words: list[str]) -> None:
    found = found_command(words)
    head, _, text = found.help.partition("Examples:\n")
    examples = text.strip().splitlines()
    assert head
    assert 1 <= len(examples) <= 3
    for example in map(shlex.split, examples):
        assert example[: len(words) + 1] == ["pml-potential", *words]
        # Refuses what the command does not take.
        context = found.make_context(words[-1], example[len(words) + 1 :])
        for kind in ("protocol", "dataset", "model"):
            if (name := context.params.get(kind)) is not None:
                assert preset_path(kind, name).is_file()


def test_examples_of_the_whole_are_commands() -> None:
    _, _, text = str(get_command(app).help).partition("Examples:\n")
    for example in map(shlex.split, text.strip().splitlines()):
        found_command([example[1]]).make_context(example[1], example[2:])


def test_help_does_not_wait_for_libraries() -> None:
    # Each command's own: their modules are imported for the first one's.
    shown, heavy = imported_by(["run", "--help"])
    assert "Search hyperparameters" in shown
    assert heavy == []


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("pml-potential rel", ["release"]),
        ("pml-potential datasets sh", ["show"]),
        ("pml-potential run --loss multi", ["multi_similarity", "multi_similarity_miner"]),
        ("pml-potential run trad", ["traditional", "traditional_in_shop", "traditional_sop"]),
        ("pml-potential run recipes/mfc-cars", ["recipes/mfc-cars196-bn_inception"]),
        ("pml-potential datasets show cu", ["cub200"]),
        ("pml-potential presets mo", ["models"]),
    ],
)
def test_a_shell_completes_commands_and_names(typed: str, offered: list[str]) -> None:
    count = len(typed.split()) - 1
    shown, heavy = imported_by(
        [],
        _PML_POTENTIAL_COMPLETE="complete_bash",
        COMP_WORDS=typed,
        COMP_CWORD=str(count),
    )
    assert shown.split()[: len(offered)] == offered
    assert all(word.startswith(typed.split()[-1]) for word in shown.split())
    assert heavy == []


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
