"""The package as it is installed: light to import, whole in the wheel, and documented."""

import ast
import inspect
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

import pml_potential

ROOT = Path(__file__).parent.parent
EXTRAS = ["optuna", "pydantic", "typer", "rich", "plotly", "matplotlib", "torchvision", "record_keeper"]
PUBLIC = [getattr(pml_potential, name) for name in pml_potential.__all__ if name != "__version__"]


def python(code: str, folder: Path | None = None) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, cwd=folder, timeout=600
    )


def test_the_import_brings_none_of_the_extras() -> None:
    done = python(
        f"import sys, pml_potential; print(*[name for name in {EXTRAS} if name in sys.modules])"
    )
    assert (done.stdout.strip(), done.stderr, done.returncode) == ("", "", 0)


def test_the_import_waits_for_pml_until_a_class_is_asked_for() -> None:
    done = python(
        "import sys, pml_potential\n"
        "print('pytorch_metric_learning' in sys.modules, pml_potential.__version__)\n"
        "pml_potential.CPMLLoss\n"
        "print('pytorch_metric_learning' in sys.modules)"
    )
    version = pml_potential.__version__
    assert (done.stdout.split(), done.returncode) == (["False", version, "True"], 0), done.stderr


def test_every_public_name_is_there_and_listed() -> None:
    assert {*pml_potential.__all__} <= {*dir(pml_potential)}
    # What a type checker is told is what there is.
    tree = ast.parse(Path(pml_potential.__file__).read_text())
    told = {
        name.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for name in node.names
    }
    assert told - {"import_module", "TYPE_CHECKING", "Any"} == {*pml_potential.__all__} - {"__version__"}
    scope: dict[str, Any] = {}
    exec("from pml_potential import *", scope)
    assert {*pml_potential.__all__} <= {*scope}


@pytest.mark.parametrize("room", ["fields", "functional", "losses"])
def test_packages_are_reached_by_their_names(room: str) -> None:
    done = python(f"import pml_potential; print(pml_potential.{room}.__name__)")
    assert done.stdout.strip() == f"pml_potential.{room}", done.stderr


def test_a_name_that_there_is_not_is_refused() -> None:
    with pytest.raises(AttributeError, match="module 'pml_potential' has no attribute 'PotentialLoss'"):
        _ = pml_potential.PotentialLoss
    with pytest.raises(ImportError, match="cannot import name 'PotentialLoss'"):
        exec("from pml_potential import PotentialLoss")


def test_the_import_and_a_loss_do_without_the_extras() -> None:
    done = python(
        f"import sys; sys.modules.update(dict.fromkeys({EXTRAS}))\n"
        "import torch, pml_potential\n"
        "loss = pml_potential.PotentialFieldLoss(num_classes=2, embedding_size=4)\n"
        "print(loss(torch.eye(4), torch.tensor([0, 0, 1, 1])).item())"
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == float(done.stdout)


@pytest.mark.parametrize("missing", ["typer", "optuna", "pydantic", "plotly", "record_keeper"])
def test_a_command_without_its_extra_says_which_install_brings_it(tmp_path: Path, missing: str) -> None:
    done = python(
        f"import sys; sys.modules[{missing!r}] = None; sys.argv = ['pml-potential', 'run']\n"
        "from pml_potential.__main__ import main; main()",
        tmp_path,
    )
    assert done.returncode == 1
    assert missing in done.stderr
    assert 'pip install -e ".[benchmark]"' in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Names of the files in a wheel that is built from the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--no-cache-dir"]
    command = [sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("pml_potential-*.whl")
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


@pytest.mark.parametrize(
    "path",
    ["py.typed", "benchmark/data/datasets/glyphs.npz", "benchmark/report/report.html.j2", "__main__.py"],
)
def test_the_wheel_contains(wheel: list[str], path: str) -> None:
    assert f"pml_potential/{path}" in wheel


def test_the_wheel_contains_every_preset(wheel: list[str]) -> None:
    presets = [str(path.relative_to(ROOT)) for path in ROOT.glob("benchmarker_configs/*/*.yaml")]
    assert len(presets) >= 11
    assert [preset for preset in presets if f"pml_potential/{preset}" not in wheel] == []


def test_the_wheel_contains_nothing_of_the_checkout_besides(wheel: list[str]) -> None:
    assert {name.split("/")[0] for name in wheel} == {
        "pml_potential",
        f"pml_potential-{pml_potential.__version__}.dist-info",
    }


def documented_arguments(documented: Any) -> list[str]:
    match = re.search(r"^Args:\n(.*?)(?=^\S|\Z)", inspect.getdoc(documented) or "", re.M | re.S)
    return re.findall(r"^    (\w+)(?: \(.*?\))?:", match[1], re.M) if match else []


@pytest.mark.parametrize("public", PUBLIC)
def test_documented_arguments_are_those_of_the_signature(public: Any) -> None:
    accepted = [
        name
        for name, parameter in inspect.signature(public).parameters.items()
        if parameter.kind not in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    ]
    assert documented_arguments(public)[: len(accepted)] == accepted


@pytest.mark.parametrize("public", PUBLIC)
def test_public_methods_are_documented(public: Any) -> None:
    own = [
        value
        for name, value in vars(public).items()
        if inspect.isfunction(value) and not name.startswith("_")
    ]
    # What a class takes over from PML is documented there.
    others = [each for each in getattr(public, "__mro__", []) if "pml_potential" not in each.__module__]
    new = [value for value in own if not any(hasattr(other, value.__name__) for other in others)]
    assert [value.__name__ for value in new if not inspect.getdoc(value)] == []
    assert inspect.getdoc(public)


@pytest.mark.parametrize("public", PUBLIC)
def test_a_public_class_shows_an_example(public: Any) -> None:
    assert ">>> " in (inspect.getdoc(public) or "")
