"""Published figures stand beside runs that measured the same thing, and nowhere else."""

from typing import Any

import pytest

from pml_potential.benchmark.config.composing import compose
from pml_potential.benchmark.report.published_figures import backbone_of, published_figures
from pml_potential.benchmark.training.names import check_names


def found(
    protocol: str, dataset: str, model: str, *assignments: str, loss: str = "potential_field"
) -> dict[str, Any] | None:
    presets = {"protocol": protocol, "dataset": dataset, "model": model, "loss": loss}
    return published_figures(compose(presets, assignments, check_names))


def value(figures: dict[str, Any] | None, method: str, metric: str) -> float | None:
    assert figures is not None
    (row,) = [row for row in figures["rows"] if row["method"] == method]
    number: float | None = row["values"][metric]
    return number


@pytest.mark.parametrize(
    ("dataset", "protocol", "loss", "expected"),
    [
        ("cub200", "mlrc", "ContrastiveLoss", 0.4368),
        ("cars196", "mlrc", "SoftTripleLoss", 0.2279),
        ("sop", "mlrc_sop", "MultiSimilarityLoss+MultiSimilarityMiner", 0.4202),
    ],
)
def test_the_reality_check_lends_its_validation_scores(
    dataset: str, protocol: str, loss: str, expected: float
) -> None:
    figures = found(protocol, dataset, "bn_inception")
    assert value(figures, loss, "mean_average_precision_at_r") == expected
    assert figures is not None
    assert (figures["part"], figures["metrics"]) == ("validation", ["mean_average_precision_at_r"])
    assert figures["deviations"] == []
    assert len(figures["rows"]) == 10
    assert "arXiv 2003.08505" in figures["source"]


@pytest.mark.parametrize(
    ("dataset", "protocol", "model", "method", "metric", "expected"),
    [
        ("cub200", "traditional", "resnet50", "PFML", "recall_at_1", 0.734),
        ("cub200", "traditional", "bn_inception", "PFML", "recall_at_4", 0.883),
        ("cars196", "traditional", "vit_small", "Hyp", "recall_at_2", 0.921),
        ("sop", "traditional_sop", "dino_vit_small", "HIER", "recall_at_100", 0.978),
        ("sop", "traditional_sop", "resnet50", "Proxy Anchor", "recall_at_1", None),
    ],
)
def test_table_1_lends_the_recall_of_the_same_backbone(
    dataset: str, protocol: str, model: str, method: str, metric: str, expected: float | None
) -> None:
    figures = found(protocol, dataset, model)
    assert value(figures, method, metric) == expected
    assert figures is not None
    assert figures["part"] == "test"
    assert len({row["backbone"] for row in figures["rows"]}) == 1
    assert all(metric.startswith("recall_at_") for metric in figures["metrics"])


@pytest.mark.parametrize(
    ("arguments", "deviation"),
    [
        (
            ("mlrc", "cub200", "bn_inception", "model.embedding_size=64"),
            "model.embedding_size is 64, and",
        ),
        (("mlrc", "cub200", "bn_inception", "protocol.folds=3"), "protocol.folds is 3, and 4 there"),
        (("mlrc", "sop", "bn_inception"), "protocol.patience is 9, and 39 there"),
        (("mlrc", "cub200", "bn_inception", "model.weights=null"), "model.weights is null"),
        (("traditional", "cub200", "bn_inception"), "model.embedding_size is 128, and 512 there"),
        (("traditional", "cub200", "efficientnet_lite0"), "efficientnet_lite0, which no row"),
        (("traditional", "cars196", "resnet50", "model.weights=null"), "model.weights is null"),
    ],
)
def test_what_differs_from_the_published_setting_is_said(
    arguments: tuple[str, ...], deviation: str
) -> None:
    figures = found(*arguments)
    assert figures is not None
    assert [each for each in figures["deviations"] if deviation in each]


def test_every_backbone_is_shown_where_none_is_the_same() -> None:
    figures = found("traditional", "cub200", "efficientnet_lite0")
    assert figures is not None
    backbones = {row["backbone"] for row in figures["rows"]}
    assert backbones == {"resnet50", "bn_inception", "dino_vits16", "vits16"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("quick", "glyphs", "small_cnn"),
        ("quick", "cub200", "bn_inception"),
        ("mlrc", "glyphs", "bn_inception"),
        ("mlrc", "in_shop", "bn_inception"),
        ("mlrc", "cub200", "resnet50"),
        ("mlrc", "cub200", "bn_inception", "protocol.study=null"),
        ("mlrc_batch256", "cub200", "bn_inception"),
        ("traditional_in_shop", "in_shop", "resnet50"),
        ("traditional", "cub200", "resnet50", "protocol.folds=4"),
        ("traditional", "cub200", "resnet50", "protocol.recall_at=[8]"),
    ],
)
def test_nothing_is_shown_beside_what_nobody_measured(arguments: tuple[str, ...]) -> None:
    assert found(*arguments) is None


@pytest.mark.parametrize(
    ("trunk", "backbone"),
    [
        ("bn_inception", "bn_inception"),
        ("torchvision/resnet50", "resnet50"),
        ("timm/resnet50.tv_in1k", "resnet50"),
        ("timm/resnet50d", None),
        ("timm/vit_small_patch16_224.augreg_in21k_ft_in1k", "vits16"),
    ],
)
def test_trunks_have_the_names_of_the_table(trunk: str, backbone: str | None) -> None:
    assert backbone_of(trunk) == backbone
