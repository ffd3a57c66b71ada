from pathlib import Path
from typing import Any

import pytest
import typer

from pml_potential.benchmark.commands.options import (
    composed,
    default_folder,
    images_called,
    placed,
    presets_of,
)
from pml_potential.benchmark.config.schema import ConfigError
from tests.benchmark.data.forbidden import ForbiddenFolder

QUICK = {"protocol": "quick", "dataset": "glyphs", "model": "small_cnn", "loss": "cpml"}


@pytest.mark.parametrize(
    ("preset", "protocol", "chosen"),
    [
        (None, None, "quick"),
        ("mlrc", None, "mlrc"),
        (None, "mlrc", "mlrc"),
        ("mlrc", "mlrc", "mlrc"),
        ("my/own.yaml", None, "my/own.yaml"),
    ],
)
def test_the_protocol_is_given_in_either_place(
    preset: str | None, protocol: str | None, chosen: str
) -> None:
    found = presets_of(preset, protocol, "glyphs", "small_cnn", "cpml")
    assert found == QUICK | {"protocol": chosen}


def test_what_is_not_named_is_the_quick_benchmark() -> None:
    assert presets_of(None, None, None, None, None) == QUICK | {"loss": "potential_field"}
    assert presets_of(None, None, None, None, "cpml") == QUICK


@pytest.mark.parametrize(
    ("preset", "protocol"),
    [("recipes/mfc-cub200-resnet50", None), (None, "recipes/mfc-cub200-resnet50")],
)
def test_a_recipe_is_given_where_a_protocol_is(preset: str | None, protocol: str | None) -> None:
    found = presets_of(preset, protocol, None, None, None)
    assert found == {"recipe": "mfc-cub200-resnet50"}
    assert composed(found, ["seed=3"]).loss.name == "MeanFieldContrastiveLoss"
    assert composed(found, ["seed=3"]).seed == 3


@pytest.mark.parametrize("kind", ["dataset", "model", "loss"])
def test_a_recipe_brings_everything_along(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    others: dict[str, str | None] = {"dataset": None, "model": None, "loss": None, kind: QUICK[kind]}
    with pytest.raises(typer.Exit) as ended:
        presets_of("recipes/mfc-cub200-resnet50", None, **others)
    assert ended.value.exit_code == 2
    assert capsys.readouterr().err == (
        f"error: --{kind} {QUICK[kind]} cannot be given with recipes/mfc-cub200-resnet50, which brings "
        "its own; change single values with --set\n"
    )


def test_a_file_in_a_folder_named_recipes_is_a_file() -> None:
    found = presets_of("recipes/mine.yaml", None, None, None, "cpml")
    assert found == QUICK | {"protocol": "recipes/mine.yaml"}


def test_two_protocols_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended:
        presets_of("quick", "mlrc", "glyphs", "small_cnn", "cpml")
    assert ended.value.exit_code == 2
    expected = "error: the protocol is given twice, as 'quick' and as --protocol 'mlrc'\n"
    assert capsys.readouterr().err == expected


@pytest.mark.parametrize(
    ("presets", "others", "folder"),
    [
        (QUICK, {}, "quick-glyphs-small_cnn-cpml"),
        (QUICK | {"loss": "my/losses/mine.yaml"}, {}, "quick-glyphs-small_cnn-mine"),
        (QUICK | {"dataset": "my/own.yaml"}, {}, "quick-own-small_cnn-cpml"),
        (QUICK | {"dataset": "folder"}, {"root": Path("imgs.v2")}, "quick-imgs.v2-small_cnn-cpml"),
        (QUICK | {"dataset": "table"}, {"table": Path("birds.csv")}, "quick-birds-small_cnn-cpml"),
        ({"recipe": "mfc-cub200-resnet50"}, {}, "mfc-cub200-resnet50"),
        ({"recipe": "mfc-cub200-resnet50"}, {"root": Path("birds")}, "mfc-cub200-resnet50"),
        (QUICK, {"prefix": "noise-"}, "noise-quick-glyphs-small_cnn-cpml"),
    ],
)
def test_a_run_has_a_folder_by_the_names_of_its_presets(
    presets: dict[str, str], others: dict[str, Any], folder: str
) -> None:
    assert default_folder(presets, **others) == Path("runs") / folder


@pytest.mark.parametrize(
    ("dataset", "root", "table", "name"),
    [
        ("folder", "data/imgs.v2", None, "imgs.v2"),
        ("folder", "/", None, "folder"),
        ("folder", "data/imgs/../birds", None, "birds"),
        ("folder", "a" * 300, None, "a" * 300),
        ("folder", None, None, "folder"),
        ("table", None, "data/birds.csv", "birds"),
        ("cub200", "/disk/birds", None, "cub200"),
    ],
)
def test_images_of_ones_own_are_called_by_where_they_are(
    dataset: str, root: str | None, table: str | None, name: str
) -> None:
    paths = [None if path is None else Path(path) for path in (root, table)]
    assert images_called(dataset, *paths) == name


def test_a_folder_behind_a_link_without_rights_has_a_name(forbidden_folder: ForbiddenFolder) -> None:
    (forbidden_folder.path / "closed").mkdir()
    link = forbidden_folder.path / "link"
    link.symlink_to("closed/imgs")
    with forbidden_folder.forbidden(forbidden_folder.path / "closed"):
        assert images_called("folder", link, None) == "link"


@pytest.mark.parametrize(
    "name",
    ["imgs #2", "a: b", "2024-01-05", "no", "null", "[x]", 'it\'s "so"', "Möwe 😀", "x" * 300, "a\tb"],
)
def test_a_folder_is_taken_as_it_was_typed(name: str) -> None:
    presets = QUICK | {"dataset": "folder"}
    config = composed(presets, placed(["seed=3"], Path(name), None))
    assert (config.dataset.name, config.dataset.root, config.seed) == ("folder", name, 3)
    presets = QUICK | {"dataset": "table"}
    assert composed(presets, placed(None, None, Path(name))).dataset.file == name


def test_values_that_were_set_lie_over_the_presets() -> None:
    assert composed(QUICK, None) == composed(QUICK, [])
    assert composed(QUICK, ["seed=3", "seed=4"]).seed == 4


def test_every_name_is_looked_up() -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'loss\.params\.alhpa'"):
        composed(QUICK, ["loss.params.alhpa=1.0"])
