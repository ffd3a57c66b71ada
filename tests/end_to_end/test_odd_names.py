"""A run whose folder has an odd name, on a terminal in ASCII, ends as any other."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pml_potential.benchmark import load_model
from tests.end_to_end.command import PATIENCE, TINY, Ended, call

# With what addresses, markup, formats, formulas and shells take for theirs.
NAME = "r[test] [red] {a} $x$ 50%20?;&' # é"
IN_ASCII = NAME.replace("é", r"\xe9")

LATIN_1 = os.fsdecode(b"caf\xe9 [red] $")
"""As on disks of old systems."""

SHOWN = r"caf\xe9 [red] $"


def call_in_ascii(*arguments: str) -> Ended:
    done = subprocess.run(
        [sys.executable, "-m", "pml_potential", *arguments],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "COLUMNS": "160"},
        timeout=PATIENCE,
    )
    return Ended(done.returncode, done.stdout.decode("ascii"), done.stderr.decode("ascii"))


@pytest.fixture(scope="module")
def odd(
    made_once: Callable[[str, Callable[[Path], None]], Path],
) -> Path:
    def run(folder: Path) -> None:
        ended = call_in_ascii("run", "quick", *TINY, "--folder", str(folder / NAME))
        (folder / "said").write_text(f"{ended.code}\n{ended.output}{ended.errors}")

    return made_once("odd_names", run)


def test_the_run_ends_with_its_scores_and_its_path(odd: Path) -> None:
    code, _, said = (odd / "said").read_text().partition("\n")
    assert code == "0", said
    assert re.search(r"0\.\d{4} \+/- 0\.\d{4}", said)
    assert f"Report: {odd / IN_ASCII}/report/index.html" in said
    # Without the hidden lock of the features.
    assert sorted(path.name for path in odd.glob("[!.]*")) == ["features", NAME, "said"]
    assert (odd / NAME / "study.db").is_file()


@pytest.mark.parametrize("command", ["report", "analyze"])
def test_it_is_read_where_it_was_moved_to(command: str, odd: Path, tmp_path: Path) -> None:
    shutil.copytree(odd / NAME, tmp_path / LATIN_1)
    ended = call(command, str(tmp_path / LATIN_1))
    assert (ended.code, ended.errors) == (0, "")
    assert SHOWN in ended.output


def test_a_model_is_exported_to_such_a_folder(odd: Path, tmp_path: Path) -> None:
    ended = call("export", str(odd / NAME), str(tmp_path / LATIN_1))
    assert (ended.code, ended.errors) == (0, "")
    assert f"Model: {tmp_path / SHOWN}" in ended.output
    assert load_model(tmp_path / LATIN_1).embedding_size > 0


def test_a_run_does_not_begin_where_its_records_cannot_be_written(tmp_path: Path) -> None:
    ended = call("run", "quick", *TINY, "--folder", str(tmp_path / LATIN_1))
    assert ended.code == 2
    assert ended.errors.startswith(f"error: {tmp_path / SHOWN}: the name is not valid UTF-8")
    assert list(tmp_path.iterdir()) == []


def test_images_with_such_names_are_checked_and_one_that_is_damaged_is_named(tmp_path: Path) -> None:
    # More than so many images are loaded by processes of their own.
    for label in range(12):
        folder = tmp_path / "imgs" / f"{LATIN_1}{label}"
        folder.mkdir(parents=True)
        for number in range(180):
            pixels = np.full((8, 8), 20 * label + number % 20, dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    assert call("datasets", "check", "folder", "--root", str(tmp_path / "imgs")).code == 0
    (tmp_path / "imgs" / f"{LATIN_1}7" / "100.png").write_bytes(b"no picture")
    (tmp_path / "mine.yaml").write_text(f"dataset: {{name: folder, root: {tmp_path / 'imgs'}}}")
    dataset = ["--dataset", str(tmp_path / "mine.yaml")]
    ended = call("run", "quick", *TINY, *dataset, "--folder", str(tmp_path / "run"))
    assert ended.code == 2
    assert ended.errors.startswith(
        f"error: cannot read the image {tmp_path}/imgs/{SHOWN}7/100.png: it is"
    )
    assert ended.errors.count("\n") == 1
