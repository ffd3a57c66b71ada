"""The tutorial runs as printed, and every loss in it learns."""

import re
import subprocess
import sys
from pathlib import Path

import pml_potential

SCRIPT = Path(__file__).parents[2] / "examples" / "swap_losses.py"


def test_tutorial_trains_with_every_loss(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = re.findall(r"^\| (\w+) \| ([\d.]+) \|", done.stdout, re.MULTILINE)
    scores = {name: float(score) for name, score in rows}
    untrained = scores.pop("untrained")
    assert {name for name in pml_potential.__all__ if name.endswith("Loss")} < set(scores)
    assert all(score > 2 * untrained for score in scores.values()), scores
