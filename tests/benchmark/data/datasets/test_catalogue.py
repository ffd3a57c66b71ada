from __future__ import annotations

from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import pytest

from pml_potential.benchmark.config.schema import ConfigError, Dataset
from pml_potential.benchmark.data import datasets
from pml_potential.benchmark.data.datasets import load_images
from pml_potential.benchmark.data.datasets.catalogue import CATALOGUE, entry_of
from pml_potential.benchmark.data.datasets.layout import LayoutError
from tests.benchmark.data.datasets.miniatures import (
    write_cars196_copy,
    write_class_folders,
    write_cub200,
    write_in_shop,
    write_sop,
)

WRITERS = {
    "cub200": write_cub200,
    "cars196": write_cars196_copy,
    "sop": write_sop,
    "in_shop": write_in_shop,
    "folder": write_class_folders,
}


def dataset(**values: Any) -> Dataset:
    return Dataset.model_validate(values)


def test_every_module_of_a_data_set_is_in_the_catalogue() -> None:
    modules = (module.name for module in iter_modules(datasets.__path__))
    loaded = [import_module(f"{datasets.__name__}.{name}") for name in modules]
    entries = [module.ENTRY for module in loaded if hasattr(module, "ENTRY")]
    assert {entry.name: entry for entry in entries} == dict(CATALOGUE)


@pytest.mark.parametrize("name", list(WRITERS))
def test_data_sets_are_looked_for_below_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LayoutError, match=f"the folder data.{name} "):
        load_images(dataset(name=name))
    WRITERS[name](tmp_path / "data" / name)
    by_default = load_images(dataset(name=name))
    assert by_default.name == name
    assert (
        load_images(dataset(name=name, root=str(tmp_path / "data" / name))).sha256 == by_default.sha256
    )
    assert by_default.image(0).mode == "RGB"


@pytest.mark.parametrize("name", ["glyphs", "digits"])
def test_packaged_data_sets_need_nothing(name: str) -> None:
    images = load_images(dataset(name=name))
    assert images.name == name
    assert images.channels == 1
    assert images.image(0).mode == "L"


def test_a_table_takes_its_file_and_columns(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("path,species\na.png,owl\n")
    columns = {"label": "species"}
    images = load_images(dataset(name="table", file=str(tmp_path / "table.csv"), columns=columns))
    assert images.class_names == ("owl",)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "table"}, "dataset.file is missing; the data set 'table' needs a CSV"),
        ({"name": "table", "file": "a.csv", "root": "b"}, "dataset.root is 'b', but 'table' takes none"),
        ({"name": "glyphs", "root": "b"}, "dataset.root is 'b', but 'glyphs' takes none"),
        ({"name": "sop", "file": "a.csv"}, "dataset.file is 'a.csv', but 'sop' takes none"),
        ({"name": "folder", "columns": {"label": "x"}}, "dataset.columns are given, but 'folder' has"),
    ],
)
def test_keys_that_would_be_ignored_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        load_images(dataset(**values))
    assert error.value.keys[0] == "dataset"


def test_unknown_names_are_quoted() -> None:
    with pytest.raises(
        ConfigError, match=r"no data set 'cub', did you mean 'cub200'\? There are glyphs, "
    ):
        entry_of("cub")
