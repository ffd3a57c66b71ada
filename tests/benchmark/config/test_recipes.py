"""Every recipe is what its sources say, as far as they say it, and trains.

The tables here are written from the sources and not from the recipes. They are whole: a configuration
made of them alone equals the one that the recipe and its presets compose.
"""

import csv
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pml_potential.benchmark.config.composing import compose, differences, read_saved, to_yaml
from pml_potential.benchmark.config.presets import presets_folder
from pml_potential.benchmark.config.recipes import find_recipe, recipe_names, recipe_paper
from pml_potential.benchmark.config.schema import Config, ConfigError
from pml_potential.benchmark.config.yaml_text import read_yaml_file
from pml_potential.benchmark.data.folds import divide
from pml_potential.benchmark.data.images import ImageArrays
from pml_potential.benchmark.experiments.runnable import check_runnable
from pml_potential.benchmark.report.published_figures import backbone_of
from pml_potential.benchmark.training.fold import train_fold
from pml_potential.benchmark.training.fold_models import best_models, untrained_models
from pml_potential.benchmark.training.names import check_names
from tests.benchmark.config.configurations import composed, own_file
from tests.benchmark.config.published_optima import (
    COLUMNS,
    LOSSES,
    losses_with_optima,
    missed_by_search,
    optima,
)
from tests.benchmark.training.few_glyphs import few_glyphs

PUBLISHED = files("pml_potential.benchmark.report") / "published"

# How a value is known.
PFML_S = "arXiv 2405.18560, supplement, Table 5, on Cars-196 and CUB, as two readers report it"
PFML_T = "arXiv 2405.18560, Section 4 and Table 1"
PFML_EQ6 = "arXiv 2405.18560, Eq. 2 and 6"
MFT_C = "public code of arXiv 2306.15368: train.py and the commands of its README"
MFT_P = "public code of Proxy Anchor (CVPR 2020), on which that builds"
MLRC = "arXiv 2003.08505"
SPLIT = "the data sets' published division: training classes and images"
WEIGHTS = "the library that the weights are from"
OURS = "our choice: no source says it"

Facts = dict[str, tuple[Any, str]]

TRAINING_CLASSES = {"cub200": 100, "cars196": 98, "sop": 11318, "in_shop": 3997}
TRAINING_IMAGES = {"cub200": 5864, "cars196": 8054, "sop": 59551, "in_shop": 25882}
PROTOCOLS = {"cub200": "traditional", "cars196": "traditional"} | {
    name: f"traditional_{name}" for name in ("sop", "in_shop")
}
RECALL_AT: Facts = {
    "cub200": ((1, 2, 4, 8), PFML_T),
    "cars196": ((1, 2, 4, 8), PFML_T),
    "sop": ((1, 10, 100, 1000), PFML_T),
    "in_shop": ((1, 10, 20, 30), MFT_C),
}
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
NETWORKS: dict[str, Facts] = {
    "resnet50": {
        "model.trunk": ("timm/resnet50.tv_in1k", OURS),
        "model.input": (IMAGENET, WEIGHTS),
        "model.embedding_size": (512, PFML_T),
    },
    "bn_inception": {
        "model.trunk": ("bn_inception", MFT_C),
        "model.input": (
            {"mean": (104.0, 117.0, 128.0), "std": (1.0, 1.0, 1.0), "channels": "BGR", "white": 255.0},
            MFT_P,
        ),
        "model.embedding_size": (512, PFML_T),
    },
    "vit_small": {
        "model.trunk": ("timm/vit_small_patch16_224.augreg_in21k_ft_in1k", OURS),
        "model.input": ({"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}, WEIGHTS),
        "model.embedding_size": (384, PFML_T),
    },
    "dino_vit_small": {
        "model.trunk": ("timm/vit_small_patch16_224.dino", PFML_T),
        "model.input": (IMAGENET, WEIGHTS),
        "model.embedding_size": (384, PFML_T),
    },
}


def traditional(dataset: str, network: str, batch_size: int) -> Facts:
    """What the recipes of the traditional protocol share."""
    return NETWORKS[network] | {
        "protocol.name": (PROTOCOLS[dataset], OURS),
        "protocol.folds": (1, PFML_T),
        "protocol.study": (None, PFML_T),
        "protocol.iterations_per_epoch": (TRAINING_IMAGES[dataset] // batch_size, SPLIT),
        "protocol.validation_interval": (1, MFT_C),
        "protocol.reproductions": (5, OURS),
        "protocol.recall_at": RECALL_AT[dataset],
        "protocol.crop": ({"size": 224, "resize": 256, "scale": (0.08, 1.0)}, MFT_P),
        "dataset.name": (dataset, PFML_T),
        "model.weights": ("download", PFML_T),
        "sampler.m": (None, MFT_C),
        "search": ({}, PFML_T),
    }


def pfml(loss: str, dataset: str, network: str, noise: float) -> Facts:
    decay = (5e-4 if dataset == "cub200" else 1e-4, PFML_S)
    facts: Facts = traditional(dataset, network, 100) | {
        "protocol.batch_size": (100, PFML_S),
        "protocol.max_epochs": (200, PFML_T),
        "protocol.patience": (200, OURS),
        "dataset.label_noise": (noise, "arXiv 2405.18560, Section 4.3"),
        "model.freeze_batchnorm": (True, PFML_S),
        "model.warm_up_epochs": (1, PFML_S),
        "loss.optimizer.lr": (1e-2, PFML_S),
        "loss.params.proxies_per_class": (2 if dataset == "sop" else 15, PFML_T),
        "loss.params.delta": (0.2, OURS),
        "loss.reducer": ({"name": "SumReducer"}, PFML_EQ6),
    }
    for optimizer in ("model.trunk_optimizer", "model.embedder_optimizer", "loss.optimizer"):
        facts[f"{optimizer}.name"] = ("Adam", PFML_T)
        facts[f"{optimizer}.weight_decay"] = decay
        facts.setdefault(f"{optimizer}.lr", (1e-4, PFML_S))
    if loss == "cpml":
        return facts | {"loss.name": ("CPMLLoss", PFML_T)}
    return facts | {
        "loss.name": ("PotentialFieldLoss", PFML_T),
        "loss.params.alpha": (3.0, PFML_S),
        "loss.params.core_radius": (0.01, PFML_EQ6),
    }


LR_DECAY_STEPS = {
    ("cub200", "bn_inception"): 10,
    ("cub200", "resnet50"): 5,
    ("cars196", "bn_inception"): 20,
    ("cars196", "resnet50"): 10,
    ("sop", "bn_inception"): 20,
    ("in_shop", "bn_inception"): 20,
}


def mean_field(loss: str, dataset: str, network: str) -> Facts:
    is_large = dataset in {"sop", "in_shop"}
    lr = 6e-4 if is_large else 1e-4
    batch_size, warm_up = (120, 5) if network == "resnet50" else (180, 1)
    schedule = {"step_size": LR_DECAY_STEPS[dataset, network], "gamma": 0.25 if is_large else 0.5}
    facts: Facts = traditional(dataset, network, batch_size) | {
        "protocol.batch_size": (batch_size, MFT_C),
        "protocol.max_epochs": (60, MFT_C),
        "protocol.patience": (0, MFT_C),
        "model.pooling": ("avg_max", MFT_P),
        "model.embedding_size": (512, MFT_C),
        "model.freeze_batchnorm": (not is_large, MFT_C),
        "model.warm_up_epochs": (warm_up, MFT_C),
        "loss.params.regularization_weight": (0.0, MFT_C),
        "training.schedule": ({"name": "StepLR", "params": schedule}, MFT_C),
        "training.clip_value": (10.0, MFT_C),
        "training.clipped": ("network", MFT_C),
        "loss.optimizer.lr": (pytest.approx(2000 * lr), MFT_C),
    }
    for optimizer in ("model.trunk_optimizer", "model.embedder_optimizer", "loss.optimizer"):
        facts[f"{optimizer}.name"] = ("AdamW", MFT_C)
        facts[f"{optimizer}.weight_decay"] = (1e-4, MFT_C)
        facts.setdefault(f"{optimizer}.lr", (lr, MFT_C))
    if loss == "mfc":
        margins = {"loss.params.pos_margin": (0.02, MFT_C), "loss.params.neg_margin": (0.3, MFT_C)}
        return facts | {"loss.name": ("MeanFieldContrastiveLoss", MFT_C)} | margins
    return facts | {
        "loss.name": ("MeanFieldClassWiseMultiSimilarityLoss", MFT_C),
        "loss.params.alpha": (0.01, MFT_C),
        "loss.params.beta": (80.0, MFT_C),
        "loss.params.base": (0.8, MFT_C),
    }


PAIR_BASED = {
    "contrastive",
    "triplet_margin",
    "ntxent",
    "margin",
    "fast_ap",
    "snr_contrastive",
    "multi_similarity",
    "multi_similarity_miner",
}


def mlrc(protocol: str, dataset: str, loss: str) -> Facts:
    """All but the loss itself, whose start and ranges are ours."""
    rmsprop = {"name": "RMSprop", "lr": 1e-6, "weight_decay": 1e-4, "momentum": 0.9}
    is_large_batch = protocol == "mlrc_batch256"
    return NETWORKS["bn_inception"] | {
        "protocol.name": ("mlrc_sop" if dataset == "sop" else protocol, OURS),
        "protocol.folds": (4, MLRC),
        "protocol.batch_size": (256 if is_large_batch else 32, MLRC),
        "protocol.iterations_per_epoch": (100, MLRC),
        "protocol.max_epochs": (1000, MLRC),
        "protocol.validation_interval": (20 if dataset == "sop" else 2, MLRC),
        "protocol.patience": (39 if dataset == "sop" else 9, MLRC),
        "protocol.study.trials": (50, MLRC),
        "protocol.study.startup_trials": (10, OURS),
        "protocol.reproductions": (10, MLRC),
        "protocol.crop": ({"size": 227, "resize": 256, "scale": (0.16, 1.0)}, MLRC),
        "dataset.name": (dataset, MLRC),
        "model.weights": ("download", MLRC),
        "model.embedding_size": (128, MLRC),
        "model.freeze_batchnorm": (True, MLRC),
        "model.trunk_optimizer": (rmsprop, MLRC),
        "model.embedder_optimizer": (rmsprop, MLRC),
        "sampler.m": (4 if loss in PAIR_BASED or is_large_batch else 1, MLRC),
    }


def of_rows() -> dict[str, Facts]:
    """What the sources say of each recipe."""
    cnns = ("resnet50", "bn_inception")
    found = {
        f"pfml-{dataset}-{network}": pfml("pfml", dataset, network, 0.0)
        for dataset in ("cub200", "cars196", "sop")
        for network in NETWORKS
    }
    for dataset in ("cub200", "cars196", "sop"):
        found[f"cpml-{dataset}-resnet50"] = pfml("cpml", dataset, "resnet50", 0.0)
    for dataset in ("cub200", "cars196"):
        found[f"pfml-{dataset}-resnet50-noise20"] = pfml("pfml", dataset, "resnet50", 0.2)
    for loss in ("mfc", "mfcwms"):
        for dataset, network in LR_DECAY_STEPS:
            assert network in cnns
            found[f"{loss}-{dataset}-{network}"] = mean_field(loss, dataset, network)
    for preset in LOSSES.values():
        for column in COLUMNS:
            dataset, _, batch = column.partition("_")
            protocol = f"mlrc_{batch}" if batch else "mlrc"
            found[f"{protocol}-{dataset}-{preset}"] = mlrc(protocol, dataset, preset)
    return found


FACTS = of_rows()
OF_MLRC = [name for name in FACTS if name.startswith("mlrc")]
SMALL = (
    # No weights can be had here; a small network stands for the published one.
    "model.trunk=small_cnn",
    "model.weights=null",
    "model.input=null",
    "dataset={name: glyphs}",
    "protocol.iterations_per_epoch=1",
    "protocol.validation_interval=1",
    "protocol.patience=9",
)


def recipe(name: str, *assignments: str) -> Config:
    return compose({"recipe": name}, assignments, check_names)


def nested(facts: Facts) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for path in sorted(facts):
        *parents, last = path.split(".")
        section = values
        for key in parents:
            section = section.setdefault(key, {})
        section[last] = facts[path][0]
    return values


def test_there_is_a_recipe_for_each_row_and_none_besides() -> None:
    assert recipe_names() == sorted(FACTS)


@pytest.mark.parametrize("name", FACTS)
def test_a_recipe_is_what_its_sources_say(name: str, tmp_path: Path) -> None:
    config, facts = recipe(name), FACTS[name]
    assert all(source for _, source in facts.values())
    values = nested(facts)
    if name in OF_MLRC:
        preset = composed(loss=name.partition("-")[2].partition("-")[2])
        values |= {"loss": preset.loss.model_dump(), "search": preset.model_dump()["search"]}
    elif name.startswith("mf"):
        # 2000 times 1e-4 is not 0.2 to the last digit.
        assert config.loss.optimizer is not None
        assert config.loss.optimizer.lr == facts["loss.optimizer.lr"][0]
        values["loss"]["optimizer"]["lr"] = config.loss.optimizer.lr
    assert differences(config, Config.model_validate(values)) == []
    assert read_saved(Path(own_file(tmp_path, to_yaml(config)))) == config


@pytest.mark.parametrize("name", [name for name in FACTS if not name.startswith("mlrc")])
def test_a_recipe_can_be_run(name: str) -> None:
    check_runnable(recipe(name))


@pytest.mark.parametrize("name", FACTS)
def test_a_batch_finds_its_classes_and_an_epoch_its_images(name: str) -> None:
    config = recipe(name)
    protocol, dataset = config.protocol, config.dataset.name
    if config.sampler.m is None:
        left = TRAINING_IMAGES[dataset] - protocol.batch_size * protocol.iterations_per_epoch
        assert 0 <= left < protocol.batch_size
    else:
        in_a_fold = TRAINING_CLASSES[dataset] * 3 // 4
        assert protocol.batch_size // config.sampler.m <= in_a_fold


@pytest.mark.parametrize("name", [name for name in FACTS if name not in OF_MLRC or "-cub200-" in name])
def test_a_recipe_trains_past_its_warm_up(name: str, tmp_path: Path) -> None:
    warm_up = recipe(name).model.warm_up_epochs
    # As many classes in a batch as the recipe has, up to what there is.
    m = recipe(name).sampler.m
    config = recipe(
        name,
        *SMALL,
        "protocol.folds=2",
        "protocol.study=null",
        f"protocol.batch_size={8 * (m or 1)}",
        f"protocol.max_epochs={warm_up + 1}",
    )
    data = divide(config, few_glyphs(images=4), tmp_path / "features")
    parts = data.fold(config, 0)
    result = train_fold(config, *parts, tmp_path / "fold", 0, lambda *_: None)
    assert [entry["epoch"] for entry in result.history] == list(range(1, warm_up + 2))
    assert 0 < result.score <= 1


@pytest.mark.parametrize(
    "name",
    [
        "pfml-cub200-resnet50",
        "pfml-sop-dino_vit_small",
        "mfcwms-sop-bn_inception",
        "mfcwms-cars196-resnet50",
    ],
)
def test_a_recipe_trains_the_published_network_on_pictures_of_the_published_size(
    name: str, tmp_path: Path
) -> None:
    config = recipe(
        name,
        "model.weights=null",
        "model.warm_up_epochs=0",
        "protocol={batch_size: 4, iterations_per_epoch: 1, max_epochs: 1}",
    )
    pixels = np.random.default_rng(0).integers(0, 256, (8, 40, 60, 3), dtype=np.uint8)
    images = ImageArrays("noise", pixels, np.arange(8) // 2, ("a", "b", "c", "d"))
    data = divide(config, images, tmp_path / "features")
    train, validation = data.fold(config, 0)
    train_fold(config, train, validation, tmp_path / "fold", 0, lambda *_: None, keep_models=True)
    start = untrained_models(config, train, seed=0)
    for part, trained in best_models(config, train.channels, tmp_path / "fold").items():
        before, after = (
            torch.cat([each.detach().cpu().flatten() for each in model.parameters()])
            for model in (start[part], trained)
        )
        assert after.isfinite().all()
        assert not after.equal(before), part


def published(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((PUBLISHED / name).read_text(encoding="utf-8").splitlines()))


def test_rows_of_table_1_have_a_recipe() -> None:
    columns = {"cub200": "cub_r1", "cars196": "cars_r1", "sop": "sop_r1"}
    printed = {
        (row["method"].lower(), dataset, row["backbone"], int(row["dim"]))
        for row in published("pfml_table1_recall.csv")
        for dataset, column in columns.items()
        if row["method"] in {"PFML", "CPML"} and row[column]
    }
    found = set()
    for name in FACTS:
        method, dataset, *rest = name.split("-")
        if method in {"pfml", "cpml"} and len(rest) == 1:
            model = recipe(name).model
            found.add((method, dataset, backbone_of(model.trunk), model.embedding_size))
    assert found == printed


def test_rows_of_the_reality_check_have_a_recipe() -> None:
    printed = {
        (row["loss"], dataset)
        for row in published("mlrc_best_validation_map_at_r.csv")
        for dataset in ("cub200", "cars196", "sop")
        if row[dataset]
    }
    assert losses_with_optima() == LOSSES.keys()
    for loss, dataset in printed:
        assert f"mlrc-{dataset}-{LOSSES[loss]}" in FACTS


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("loss", LOSSES)
def test_the_search_of_a_recipe_holds_the_optimum_of_its_row(loss: str, column: str) -> None:
    dataset, _, batch = column.partition("_")
    protocol = f"mlrc_{batch}" if batch else "mlrc"
    config = recipe(f"{protocol}-{dataset}-{LOSSES[loss]}")
    assert missed_by_search(config, optima(loss, column)) == {}


def test_no_weight_decay_that_adam_adds_to_the_gradient_acts_against_a_mean() -> None:
    """U / n with coupled decay is n times more decay than the paper's U."""
    fields = [recipe(name) for name in FACTS if name.startswith(("pfml", "cpml"))]
    for config in fields:
        assert config.loss.optimizer is not None
        assert config.loss.optimizer.name == "Adam"
        assert config.loss.reducer is not None
        assert config.loss.reducer.name == "SumReducer"
    assert len(fields) == 17


@pytest.mark.parametrize("path", sorted((presets_folder() / "recipes").glob("*.yaml")), ids=str)
def test_every_part_of_a_file_belongs_to_a_row(path: Path) -> None:
    content = read_yaml_file(path)
    rows = [set(name.split("-")) for name in FACTS]
    words = {word for table in content["rows"] for choice in table for word in choice}
    for part in content["parts"]:
        assert set(part.get("for", [])) <= words, part
        assert any(set(part.get("for", [])) <= row for row in rows), part


def test_a_value_can_be_set_on_a_recipe() -> None:
    assert recipe("pfml-cub200-resnet50", "loss.params.alpha=4.0").loss.params["alpha"] == 4.0


def test_what_a_recipe_says_is_known_to_be_from_its_file() -> None:
    origins = {Path(origin) for origin, _ in find_recipe("pfml-cub200-resnet50").layers}
    assert origins == {presets_folder() / "recipes" / "pfml.yaml"}


def test_an_unknown_recipe_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError) as refused:
        find_recipe("pfml-cub20-resnet50")
    assert str(refused.value).startswith(
        "there is no recipe 'pfml-cub20-resnet50', did you mean 'pfml-cub200-resnet50'"
    )
    assert "`pml-potential presets recipes` lists them" in str(refused.value)


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("pfml-cub200-resnet50", "Potential Field Based Deep Metric Learning"),
        ("mfc-cub200-resnet50", "Mean Field Theory in Deep Metric Learning"),
    ],
)
def test_the_paper_of_a_recipe_is_named_with_its_address(name: str, title: str) -> None:
    assert recipe_paper(name).startswith(f'"{title}"')
    assert "arXiv" in recipe_paper(name)
