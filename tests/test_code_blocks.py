"""Every block of code on the site runs; what takes hours or a download is what the program takes."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from documentation.notebooks import TUTORIALS
from pml_potential.benchmark.commands.app import app
from pml_potential.benchmark.commands.options import presets_of
from pml_potential.benchmark.config.composing import compose
from pml_potential.benchmark.config.schema import Config
from pml_potential.benchmark.models import build_models
from pml_potential.benchmark.training.exported_model import export_model
from pml_potential.benchmark.training.names import check_names

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
FENCE = re.compile(r"^``` *(?:\{ *\.)?(\w*).*?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
INDENTED = re.compile(r"(?<=\n\n)(?:    .*\n)+")
LANGUAGES = {"bash", "bibtex", "diff", "python", "text", "yaml"}
PRESETS = {"protocol": "quick", "dataset": "glyphs", "model": "small_cnn", "loss": "potential_field"}
PROGRAM: Any = typer.main.get_command(app)


@dataclass(frozen=True)
class Block:
    """A block of code on a page."""

    page: Path
    language: str
    code: str


def blocks_of(page: Path) -> Iterator[Block]:
    """What a page shows as code of its own; scripts that pages include, and notebooks, have their tests.

    README indents its commands.
    """
    text = unfolded(page.read_text())
    for language, code in FENCE.findall(text):
        is_of_notebook = page.parent == TUTORIALS and language == "python"
        if not code.startswith("--8<--") and not is_of_notebook:
            yield Block(page, language, code)
    for code in INDENTED.findall(FENCE.sub("", text)):
        yield Block(page, "bash" if page.parent == ROOT else "", re.sub("^    ", "", code, flags=re.M))


def unfolded(text: str) -> str:
    """A page with what is in folds and tabs moved to the margin."""
    lines, inside = [], False
    for line in text.splitlines():
        inside = line.startswith(("??? ", "=== ")) or (inside and line[:4].strip() == "")
        lines.append(line[4:] if inside and line.startswith("    ") else line)
    return "\n".join(lines) + "\n"


BLOCKS = [
    block
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
    for block in blocks_of(page)
]


def each_block(*languages: str) -> pytest.MarkDecorator:
    chosen = [block for block in BLOCKS if block.language in languages]
    names = [f"{block.page.name}-{number}" for number, block in enumerate(chosen)]
    return pytest.mark.parametrize("block", chosen, ids=names)


@pytest.fixture(scope="module")
def readers_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a reader has exported a model as ``my_model``."""
    folder = tmp_path_factory.mktemp("reader")
    config = compose(PRESETS, [], check_names)
    export_model(folder / "my_model", config, **build_models(config.model, 1, pretrained=False))
    return folder


def test_every_block_says_what_it_is() -> None:
    assert {block.page.name: block.code for block in BLOCKS if block.language not in LANGUAGES} == {}


@each_block("python")
def test_python_runs(block: Block, readers_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(readers_folder)
    exec(compile(block.code, block.page.name, "exec"), {"__name__": "page"})


@each_block("diff")
def test_both_sides_of_a_difference_run(block: Block) -> None:
    for side in "-+":
        lines = [line[1:] for line in block.code.splitlines() if line[0] in f"{side} "]
        exec(compile("\n".join(lines), block.page.name, "exec"), {})


@each_block("yaml")
def test_yaml_is_a_configuration(block: Block, tmp_path: Path) -> None:
    content = yaml.safe_load(block.code)
    if "apiVersion" in content:
        (container,) = content["spec"]["template"]["spec"]["containers"]
        taken(container["command"][1:])
        return
    file = tmp_path / "page.yaml"
    file.write_text(block.code)
    kind = next(kind for kind in ("loss", "model", "dataset") if kind in content)
    compose(PRESETS | {kind: str(file)}, [], check_names)


def commands_of(block: Block) -> list[list[str]]:
    """Words of each call of the program in a block, without its name."""
    code = block.code.replace("\\\n", " ")
    lines = re.findall(r"(?:^|[ ;])(?:pml-potential|-m pml_potential) ([^&\n]+)", code, re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines]


def taken(words: list[str]) -> tuple[str, dict[str, Any]]:
    """Have the program read a command, and return its name and arguments; a wrong one is an error."""
    command, rest = PROGRAM, list(words)
    while hasattr(command, "commands") and rest != ["--version"]:
        command = command.commands[rest.pop(0)]
    name = " ".join(words[: len(words) - len(rest)])
    with command.make_context(name, rest, resilient_parsing=rest == ["--version"]) as context:
        return name, context.params


def composed(name: str, arguments: dict[str, Any]) -> list[Config]:
    """The configurations that a command works on, if it takes presets."""
    if "loss" not in arguments and "losses" not in arguments:
        return []
    losses = arguments["losses"] or [None] if "losses" in arguments else [arguments["loss"]]
    assignments = list(arguments["assignments"] or [])
    if name == "train":
        assignments.append("protocol.study=null")
    preset, protocol = arguments.get("preset"), arguments["protocol"]
    presets = [
        presets_of(preset, protocol, arguments["dataset"], arguments["model"], loss) for loss in losses
    ]
    return [compose(each, assignments) for each in presets]


def files_of(page: Path) -> dict[str, str]:
    """The YAML files that a page has its reader write: each is named in the paragraph before it."""
    pattern = r"`(\w+\.yaml)`[^`]*(?:\n[^\n`]+)*:?[^`]*\n\n```yaml\n(.*?)```"
    return dict(re.findall(pattern, page.read_text(), re.DOTALL))


@each_block("bash", "text")
def test_commands_are_what_the_program_takes(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in files_of(block.page).items():
        Path(name).write_text(text)
    if block.page.name == "commands.md":
        return
    for words in commands_of(block):
        composed(*taken(words))


@each_block("bash")
def test_lines_are_those_of_a_shell(block: Block) -> None:
    done = subprocess.run(["bash", "-n"], input=block.code, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@each_block("bash")
def test_scripts_and_extras_are_there(block: Block) -> None:
    extras = metadata("pml-potential").get_all("Provides-Extra", [])
    assert set(re.findall(r"\.\[(\w+)\]", block.code)) <= set(extras)
    for module in re.findall(r"python3? -m ((?:benchmarks|documentation)[\w.]*)", block.code):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()
    for script in re.findall(r"python3? (\S+\.py)", block.code):
        assert (ROOT / script).is_file()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["run", "quick", "--lose", "cpml"], "--lose"),
        (["run", "quick", "--fold-processes", "many"], "integer"),
        (["compare"], "Missing"),
    ],
)
def test_what_the_program_does_not_take_is_told(words: list[str], complaint: str) -> None:
    with pytest.raises(Exception, match=complaint):
        taken(words)


def test_commands_of_a_block_are_found() -> None:
    code = (
        "pip install . && pml-potential run quick && ls\ntorchrun -m pml_potential train mlrc  # all\n"
    )
    assert commands_of(Block(DOCS, "bash", code)) == [["run", "quick"], ["train", "mlrc"]]
