import os
import subprocess
import sys
from pathlib import Path

import pytest
from matplotlib.cbook import is_math_text

from pml_potential.analysis.figure import new_figure, plain

WITHOUT_LIBRARIES_THAT_DRAW = """
import sys
import pml_potential.analysis
from pml_potential.analysis.figure import new_figure
print(sorted({'matplotlib', 'PIL', 'faiss'} & set(sys.modules)))
sys.modules['matplotlib'] = None
try:
    new_figure(1, 1)
except ModuleNotFoundError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def printed() -> list[str]:
    """What a process prints that has imported the package, and then has to do without matplotlib."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_LIBRARIES_THAT_DRAW],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    return done.stdout.splitlines()


def test_the_package_imports_no_library_that_draws(printed: list[str]) -> None:
    assert printed[0] == "[]"


def test_without_matplotlib_the_error_says_which_install_brings_it(printed: list[str]) -> None:
    assert "pip install matplotlib" in printed[1]


@pytest.mark.parametrize("text", ["$x$", r"$\frac$ and $", r"a\$b", "caf\udce9"])
def test_text_of_a_figure_is_no_formula(text: str, tmp_path: Path) -> None:
    figure = new_figure(2, 1)
    axes = figure.subplots()
    axes.set_title(plain(text))
    axes.plot([0], label=plain(text))
    axes.legend()
    figure.savefig(tmp_path / "text.svg")
    assert not is_math_text(plain(text))


def test_a_figure_is_written_without_a_window(tmp_path: Path) -> None:
    figure = new_figure(2, 1)
    figure.savefig(tmp_path / "empty.png", dpi=50)
    assert (tmp_path / "empty.png").read_bytes()[:4] == b"\x89PNG"
