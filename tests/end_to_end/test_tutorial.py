"""The tutorial runs as printed, and every loss in it learns."""

import re
import runpy
from pathlib import Path

import pytest

import pml_potential

SCRIPT = Path(__file__).parents[2] / "examples" / "swap_losses.py"


def test_tutorial_trains_with_every_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(SCRIPT), run_name="__main__")
    rows = re.findall(r"^\| (\w+) \| ([\d.]+) \|", capsys.readouterr().out, re.MULTILINE)
    scores = {name: float(score) for name, score in rows}
    untrained = scores.pop("untrained")
    assert {name for name in pml_potential.__all__ if name.endswith("Loss")} < set(scores)
    assert all(score > 2 * untrained for score in scores.values()), scores
