"""Tables that programs read back."""

import csv
from pathlib import Path
from typing import Any

import pytest

from pml_potential.benchmark.report.csv_text import in_csv, no_formula


def test_what_is_written_is_read_back() -> None:
    rows: list[dict[str, Any]] = [{"loss": 'a, "b"\nc', "p": 0.1 + 0.2}, {"loss": "é", "p": None}]
    found = list(csv.DictReader(in_csv(rows).splitlines(keepends=True)))
    assert [row["loss"] for row in found] == ['a, "b"\nc', "é"]
    assert float(found[0]["p"]) == 0.1 + 0.2
    assert found[1]["p"] == ""


@pytest.mark.parametrize("path", ["=1+1", "+a", "-a", "@a"])
def test_a_path_is_no_formula(path: str) -> None:
    assert no_formula(Path(path)) == f"./{path}"


def test_other_paths_stay() -> None:
    assert no_formula(Path("runs/a=1")) == "runs/a=1"
