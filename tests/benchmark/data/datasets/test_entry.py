from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from pml_potential.benchmark.config.schema import Dataset
from pml_potential.benchmark.data.datasets.catalogue import CATALOGUE
from pml_potential.benchmark.data.datasets.digits import load_digits
from pml_potential.benchmark.data.datasets.entry import DatasetEntry, default_root, root_of

ENTRY = DatasetEntry("mine", "My Digits", "your own", load=lambda _dataset: load_digits())


@pytest.mark.parametrize(
    ("dataset", "root"),
    [
        (Dataset(name="cub200"), "data/cub200"),
        (Dataset(name="cub200", root="elsewhere/birds"), "elsewhere/birds"),
        (Dataset(name="cub200", root="/birds"), "/birds"),
    ],
)
def test_files_are_looked_for_in_the_named_folder_or_the_default(dataset: Dataset, root: str) -> None:
    assert root_of(dataset) == Path(root)


def test_the_default_is_a_folder_below_the_working_folder() -> None:
    assert default_root("sop") == Path("data") / "sop"


def test_a_data_set_of_ones_own_has_nothing_published() -> None:
    assert (ENTRY.images, ENTRY.classes, ENTRY.url, ENTRY.checksum) == (None, None, None, None)
    assert (ENTRY.takes, dict(ENTRY.division), ENTRY.mlrc_halves) == ((), {}, False)
    assert ENTRY.load(Dataset(name="mine")).name == "digits"


def test_an_entry_stays_as_it_is() -> None:
    with pytest.raises(FrozenInstanceError):
        ENTRY.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize("name", [name for name, entry in CATALOGUE.items() if entry.division])
def test_published_parts_add_up(name: str) -> None:
    entry = CATALOGUE[name]
    assert sum(images for images, _ in entry.division.values()) == entry.images
    # The gallery has the classes of the queries.
    classes = [classes for part, (_, classes) in entry.division.items() if part != "gallery"]
    assert sum(classes) == entry.classes


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=list(CATALOGUE))
def test_an_entry_says_where_its_data_set_comes_from(entry: DatasetEntry) -> None:
    assert (entry.source == "download") == (entry.url is not None)
    assert entry.source != "on request" or entry.advice
    if entry.source in {"download", "on request"}:
        assert all([entry.paper, entry.home, entry.licence, entry.images, entry.classes])
    if entry.checksum is not None:
        kind, _, digits = entry.checksum.partition(":")
        assert len(digits) == {"md5": 32, "sha256": 64}[kind]
