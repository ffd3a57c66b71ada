import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from pml_potential.benchmark.data.image_warnings import reading_image, warnings_name_images


@pytest.fixture
def given() -> Iterator[list[warnings.WarningMessage]]:
    with warnings.catch_warnings(record=True) as given, warnings_name_images():
        warnings.simplefilter("always")
        yield given


def read(name: str) -> None:
    with reading_image(name):
        warnings.warn("Corrupt EXIF data", stacklevel=1)


def test_a_warning_names_the_image_that_its_thread_reads(given: list[warnings.WarningMessage]) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(read, [f"{number}.jpg" for number in range(20)]))
    expected = {f"{number}.jpg: Corrupt EXIF data" for number in range(20)}
    assert {str(each.message) for each in given} == expected


def test_other_warnings_stay_as_they_are(given: list[warnings.WarningMessage]) -> None:
    read("a.jpg")
    warnings.warn("the disk is nearly full", stacklevel=1)
    assert [str(each.message) for each in given] == [
        "a.jpg: Corrupt EXIF data",
        "the disk is nearly full",
    ]


def test_an_image_is_named_once(given: list[warnings.WarningMessage]) -> None:
    with warnings_name_images():
        read("a.jpg")
    assert [str(each.message) for each in given] == ["a.jpg: Corrupt EXIF data"]


def test_how_warnings_are_shown_is_restored() -> None:
    before = warnings.showwarning
    with warnings_name_images():
        pass
    assert warnings.showwarning is before
