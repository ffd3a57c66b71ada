"""Every preset's loss, data set and network is cited, by entries that are whole."""

import copy
import re

import pytest

from pml_potential.benchmark.config.composing import compose
from pml_potential.benchmark.config.presets import preset_names
from pml_potential.benchmark.report import references
from pml_potential.benchmark.report.references import (
    bibtex,
    dataset_keys,
    keys_of,
    loss_keys,
    trunk_keys,
)
from tests.benchmark.conftest import Experiment

ENTRIES = references._entries()
WITHOUT_PAPER = {"small_cnn", "identity"}


def test_every_entry_is_whole_and_has_a_key_of_its_own() -> None:
    assert len(ENTRIES) >= 30
    for key, entry in ENTRIES.items():
        assert entry.count("{") == entry.count("}"), key
        assert entry.rstrip().endswith("}")
        fields = set(re.findall(r"^  (\w+) +=", entry, flags=re.MULTILINE))
        assert {"author", "title"} <= fields, key
        assert "year" in fields or key == "pml-potential"
        assert not re.search(r"[^\x00-\x7f]", entry), key


def test_every_entry_is_cited_by_something() -> None:
    tables = (references._LOSSES, references._DATASETS, references._TRUNKS)
    cited = {key for table in tables for key in table.values()}
    always = {"pml-potential", "musgrave2020pytorch", "musgrave2020metric", "akiba2019optuna"}
    assert cited | always == set(ENTRIES)


@pytest.mark.parametrize("name", preset_names("loss"))
def test_the_loss_of_every_preset_is_cited(name: str) -> None:
    model = {"protocol": "quick", "dataset": "glyphs", "model": "small_cnn", "loss": name}
    assert loss_keys(compose(model).loss.name)


@pytest.mark.parametrize("name", preset_names("model"))
def test_the_network_of_every_preset_is_cited(name: str) -> None:
    dataset = "features" if name == "vectors" else "glyphs"
    presets = {"protocol": "quick", "dataset": dataset, "model": name, "loss": "contrastive"}
    trunk = compose(presets).model.trunk
    assert bool(trunk_keys(trunk)) == (trunk not in WITHOUT_PAPER)


@pytest.mark.parametrize("name", ["cub200", "cars196", "sop", "in_shop"])
def test_every_published_data_set_is_cited(name: str) -> None:
    assert dataset_keys(name)


def test_a_run_cites_what_it_stands_on(experiment: Experiment) -> None:
    keys = keys_of(experiment.results)
    assert keys == [
        "pml-potential",
        "musgrave2020pytorch",
        "musgrave2020metric",
        "akiba2019optuna",
        "bhatnagar2025potential",
    ]
    assert bibtex(keys).count("@") == 5
    other = copy.deepcopy(experiment.results)
    other["config"]["protocol"]["folds"], other["best"]["params"] = 1, {}
    other["config"]["loss"]["name"] = "MyLoss"
    other["config"]["dataset"]["name"] = "cub200"
    other["config"]["model"]["trunk"] = "timm/vit_small_patch16_224.dino"
    assert keys_of(other) == [
        "pml-potential",
        "musgrave2020pytorch",
        "wah2011caltech",
        "dosovitskiy2021image",
        "caron2021emerging",
    ]
