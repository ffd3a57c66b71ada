"""No figure of the site is older than the code and the results that draw it."""

from pathlib import Path

import pytest

from documentation.figures import IMAGES, ROOT, draw, outdated, recorded, unrecorded
from pml_potential.benchmark.files import write_json

COMMAND = "python draw.py"
SOURCE = f"open('{IMAGES.as_posix()}/dot.png', 'w').write('red')"


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A folder with a figure, drawn and recorded."""
    (tmp_path / IMAGES).mkdir(parents=True)
    (tmp_path / "draw.py").write_text(SOURCE)
    entry = {"command": COMMAND, "figure": "", "sources": {"draw.py": ""}}
    write_json(tmp_path / IMAGES / "figures.json", {"dot.png": entry})
    draw(tmp_path, ["dot.png"])
    return tmp_path


def test_every_figure_has_an_entry() -> None:
    assert unrecorded(ROOT) == [], "give it an entry in docs/images/figures.json"


def test_no_figure_is_older_than_what_draws_it() -> None:
    assert outdated(ROOT) == {}, "draw them again: python -m documentation.figures"


def test_every_figure_names_the_module_that_draws_it() -> None:
    assert [name for name, entry in recorded(ROOT).items() if not entry["sources"]] == []


def test_a_drawn_figure_is_fresh(house: Path) -> None:
    assert (house / IMAGES / "dot.png").read_text() == "red"
    assert outdated(house) == {}
    assert unrecorded(house) == []


def test_a_change_of_the_code_makes_it_old_until_it_is_drawn(house: Path) -> None:
    (house / "draw.py").write_text(SOURCE.replace("red", "blue"))
    assert outdated(house) == {"dot.png": ["draw.py"]}
    draw(house, list(outdated(house)))
    assert (house / IMAGES / "dot.png").read_text() == "blue"
    assert outdated(house) == {}


def test_a_figure_changed_by_hand_is_told(house: Path) -> None:
    (house / IMAGES / "dot.png").write_text("green")
    assert outdated(house) == {"dot.png": ["docs/images/dot.png"]}


def test_missing_files_and_entries_are_told(house: Path) -> None:
    (house / "draw.py").unlink()
    (house / IMAGES / "other.svg").write_text("new")
    assert outdated(house) == {"dot.png": ["draw.py"]}
    assert unrecorded(house) == ["other.svg"]
