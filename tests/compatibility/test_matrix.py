"""The page on compatibility says what the tests of this folder prove, and leaves nothing out."""

import pytest

from tests.compatibility import matrix

pytestmark = pytest.mark.skipif(
    "config.getoption('--write-matrix', False)", reason="it is being written"
)


def test_page_is_made_from_its_results() -> None:
    assert matrix.page(matrix.committed_rows()) == matrix.PAGE.read_text()


def test_no_cell_is_empty() -> None:
    for row in matrix.committed_rows():
        assert set(row["cells"]) == set(matrix.LOSSES), row["name"]
        assert all(row["cells"].values()), row["name"]


def test_every_group_has_rows() -> None:
    assert [*dict.fromkeys(row["group"] for row in matrix.committed_rows())] == matrix.GROUPS


def test_every_cell_is_proved_by_a_test(request: pytest.FixtureRequest) -> None:
    collected = {item.path.name for item in request.session.items if item.path.parent == matrix.FOLDER}
    if collected != {path.name for path in matrix.FOLDER.glob("test_*.py")}:
        pytest.skip("only a part of the folder was collected")
    cells = (matrix.cell_of(item) for item in request.session.items)
    proved = {(cell[0], cell[1], cell[3]) for cell in cells if cell is not None}
    said = {
        (row["group"], row["name"], loss) for row in matrix.committed_rows() for loss in row["cells"]
    }
    assert said == proved
