from pathlib import Path

import pytest

from pml_potential.benchmark.data.datasets.division import division_of, part_called
from pml_potential.benchmark.data.labelling import DIVISION


@pytest.mark.parametrize("part", DIVISION)
def test_every_part_is_called_by_its_name(part: str) -> None:
    assert part_called(part) == part_called(part.upper()) == part


@pytest.mark.parametrize("name", ["", "cat", "trains", "train "])
def test_other_names_are_no_part(name: str) -> None:
    assert part_called(name) is None


def test_plain_names_need_no_word(recwarn: pytest.WarningsRecorder) -> None:
    found = division_of(["Train", "query", "GALLERY"], Path("birds"))
    assert found is not None
    assert found.tolist() == ["train", "query", "gallery"]
    assert len(recwarn) == 0


def test_each_name_of_validation_is_told() -> None:
    with pytest.warns(UserWarning, match="is read as part of") as given:
        division_of(["val", "Valid", "val", "test"], Path("birds"))
    assert [str(each.message).split(",")[0] for each in given] == [
        "birds: 'Valid' is read as part of 'train'",
        "birds: 'val' is read as part of 'train'",
    ]
