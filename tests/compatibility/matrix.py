"""The matrix of features and losses: what the tests of this folder prove, and the page that shows it.

``pytest tests/compatibility --write-matrix`` runs the tests and writes both files anew.
"""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment, StrictUndefined

from pml_potential.benchmark.files import write_json, write_text

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
RESULTS = ROOT / "docs" / "results" / "compatibility.json"
PAGE = ROOT / "docs" / "compatibility.md"
TEMPLATE = FOLDER / "compatibility.md.j2"

LOSSES = {
    "PotentialFieldLoss": "PFML",
    "CPMLLoss": "CPML",
    "MeanFieldContrastiveLoss": "MFCont",
    "ClassWiseMultiSimilarityLoss": "CWMS",
    "MeanFieldClassWiseMultiSimilarityLoss": "MFCWMS",
}
"""Every loss, and the name that its paper gives it."""

GROUPS = [
    "Trainers",
    "Testers and records",
    "Reducers",
    "Regularizers",
    "Miners",
    "Samplers",
    "Distances",
    "Wrappers and references",
    "Many processes",
    "PyTorch",
    "Classes and checkpoints",
]
"""The sections of the page, in their order."""

WORKS = "works"

Refuses = Callable[[str, str], AbstractContextManager[None]]
"""Takes the reason, as the page prints it, and a pattern that the message of the error must match."""

Deviates = Callable[[str], None]
"""Takes what happens instead, as the page prints it."""

Row = dict[str, Any]
"""``group``, ``name``, ``note`` and ``cells``: "works", "refused: why" or "deviates: why" a loss."""


def cell_of(item: pytest.Item) -> tuple[str, str, str, str] | None:
    """Group, name and note of the feature that a test proves, and the loss for which it does."""
    marker = item.get_closest_marker("feature")
    if marker is None:
        return None
    group, name, note = (*marker.args, "")[:3]
    assert group in GROUPS, f"{item.nodeid}: {group!r} is none of the groups {GROUPS}"
    return group, name, note, item.callspec.params["loss_class"].__name__  # type: ignore[attr-defined]


class Matrix:
    """Rows that fill as tests prove their cells."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], Row] = {}

    def enter(self, group: str, name: str, note: str, loss: str, outcome: str) -> None:
        """Enter a cell; two tests of one cell must agree."""
        row = self._rows.setdefault(
            (group, name), {"group": group, "name": name, "note": note, "cells": {}}
        )
        assert row["note"] == note, f"two tests of {name} have different notes"
        assert row["cells"].setdefault(loss, outcome) == outcome, f"two tests of {name} disagree"

    def write(self) -> None:
        """Write the results and the page."""
        rows = sorted_rows(list(self._rows.values()))
        write_json(RESULTS, {"rows": rows})
        write_text(PAGE, page(rows))


def sorted_rows(rows: list[Row]) -> list[Row]:
    """Rows by group and then as they are committed, new ones last; cells in the order of the losses."""
    committed = [(row["group"], row["name"]) for row in committed_rows()]
    places = {key: place for place, key in enumerate(committed)}

    def place(row: Row) -> tuple[int, int]:
        return GROUPS.index(row["group"]), places.get((row["group"], row["name"]), len(places))

    in_order = sorted(rows, key=place)
    return [row | {"cells": {loss: row["cells"].get(loss, "") for loss in LOSSES}} for row in in_order]


def page(rows: list[Row]) -> str:
    """Render the page on compatibility."""
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(TEMPLATE.read_text())
    groups = []
    for group in GROUPS:
        own = [row for row in rows if row["group"] == group]
        notes = [(row["name"], row["note"]) for row in own if row["note"]]
        groups.append((group, _summary(own), outcomes(own, reasons(rows)), notes))
    return template.render(groups=groups, losses=LOSSES, reasons=reasons(rows)) + "\n"


def _summary(rows: list[Row]) -> str:
    """How many of a group work with all losses, with some and with none."""
    found = [set(row["cells"].values()) for row in rows]
    whole = sum(outcomes == {WORKS} for outcomes in found)
    if whole == len(rows):
        return f"All of {len(rows)} work with all five losses"
    some = sum(WORKS in outcomes for outcomes in found) - whole
    counts = {"all five losses": whole, "some": some, "none": len(rows) - whole - some}
    told = ", ".join(f"with {losses}: {count}" for losses, count in counts.items() if count)
    return f"Tested: {len(rows)}. Working {told}"


def outcomes(rows: list[Row], numbered: list[str]) -> list[tuple[list[str], str]]:
    """Names of the rows that have the same cells, and what these say, such as "Works with all five"."""
    names: dict[str, list[str]] = {}
    for row in rows:
        names.setdefault(_sentence(row["cells"], numbered), []).append(row["name"])
    return [(alike, sentence) for sentence, alike in names.items()]


def _sentence(cells: dict[str, str], numbered: list[str]) -> str:
    losses: dict[str, list[str]] = {}
    for loss, outcome in cells.items():
        losses.setdefault(outcome, []).append(LOSSES[loss])
    parts = []
    for outcome, of in losses.items():
        word, _, why = outcome.partition(": ")
        link = f" ([{numbered.index(why) + 1}](#why))" if why else ""
        which = "all five" if len(of) == len(LOSSES) else ", ".join(of)
        parts.append(f"{word} {'by' if word == 'refused' else 'with'} {which}{link}")
    sentence = "; ".join(parts)
    return f"**{sentence[0].upper()}{sentence[1:]}**"


def reasons(rows: list[Row]) -> list[str]:
    """Why something does not simply work, each reason once, in the order of the page."""
    outcomes = (outcome for row in rows for outcome in row["cells"].values() if outcome != WORKS)
    return list(dict.fromkeys(outcome.partition(": ")[2] for outcome in outcomes))


def committed_rows() -> list[Row]:
    """What the committed results say."""
    rows: list[Row] = json.loads(RESULTS.read_text())["rows"]
    return rows
