"""The page on architecture says what the imports say."""

import pytest

from documentation.architecture import Room, floors_of, import_table, picture, reduced, rooms_of


def room(name: str, *imports: str) -> Room:
    return Room(name, f"What {name} is for.", frozenset(imports))


HOUSE = [room("roof", "loft", "cellar"), room("loft", "hall"), room("hall", "cellar"), room("cellar")]


def test_a_room_stands_above_all_that_it_imports_from() -> None:
    assert floors_of(HOUSE) == {"roof": 4, "loft": 3, "hall": 2, "cellar": 1}


def test_imports_that_follow_from_others_are_not_drawn() -> None:
    assert reduced(HOUSE) == [("roof", "loft"), ("loft", "hall"), ("hall", "cellar")]


def test_an_import_that_runs_up_shows_below_the_diagonal() -> None:
    rows = import_table([room("roof", "cellar"), room("cellar", "roof")]).splitlines()
    assert rows[2:] == ["| `roof` | `cellar` |", "| `cellar` | `roof` |"]


def test_the_picture_has_every_room_and_every_arrow() -> None:
    drawn = picture(HOUSE)
    assert all(f">{each.name}</text>" in drawn for each in HOUSE)
    assert drawn.count("marker-end") == 3


@pytest.mark.parametrize(
    ("parent", "most_rooms", "most_floors"),
    [("pml_potential", 10, 5), ("pml_potential.benchmark", 10, 8)],
)
def test_the_house_stays_small(parent: str, most_rooms: int, most_floors: int) -> None:
    rooms = rooms_of(parent)
    assert 4 <= len(rooms) <= most_rooms
    assert max(floors_of(rooms).values()) <= most_floors
    assert all(each.purpose for each in rooms)


def test_the_benchmark_imports_what_it_is_known_to_import() -> None:
    rooms = {each.name: each for each in rooms_of("pml_potential.benchmark")}
    assert "training" in rooms["experiments"].imports
    assert rooms["files"].imports == frozenset()
