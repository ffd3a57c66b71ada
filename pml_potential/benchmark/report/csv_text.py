"""Tables as CSV, for programs and spreadsheets."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def in_csv(rows: Sequence[dict[str, Any]]) -> str:
    r"""Rows with the same keys, which become the header; None is an empty cell.

    Args:
        rows: at least one.

    Examples:
        >>> in_csv([{"loss": "A, B", "p": 0.5}, {"loss": "C", "p": None}])
        'loss,p\n"A, B",0.5\nC,\n'
    """
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def no_formula(folder: Path) -> str:
    """A path that no spreadsheet takes for a formula.

    Examples:
        >>> no_formula(Path("=1+1")), no_formula(Path("runs/a"))
        ('./=1+1', 'runs/a')
    """
    return f"./{folder}" if str(folder).startswith(("=", "+", "-", "@")) else str(folder)
