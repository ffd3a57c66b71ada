"""Every loss of the presets trains; searches hold what was published."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pml_potential.benchmark.config.composing import compose
from pml_potential.benchmark.config.presets import preset_names
from pml_potential.benchmark.data.datasets import load_glyphs
from pml_potential.benchmark.data.images import ImageArrays
from pml_potential.benchmark.data.labelled_tensors import ArrayTensors
from pml_potential.benchmark.training.fold import train_fold
from pml_potential.benchmark.training.names import check_names

OPTIMA = Path(__file__).parents[2] / "data" / "mlrc_best_hyperparameters.csv"
DEFAULTS = {
    "protocol": "mlrc",
    "dataset": "glyphs",
    "model": "small_cnn",
    "loss": "potential_field",
}
PRESETS = {
    "ContrastiveLoss": "contrastive",
    "TripletMarginLoss": "triplet_margin",
    "NTXentLoss": "ntxent",
    "ProxyNCALoss": "proxy_nca",
    "MarginLoss": "margin",
    "NormalizedSoftmaxLoss": "normalized_softmax",
    "CosFaceLoss": "cos_face",
    "ArcFaceLoss": "arc_face",
    "FastAPLoss": "fast_ap",
    "SignalToNoiseRatioContrastiveLoss": "snr_contrastive",
    "MultiSimilarityLoss": "multi_similarity",
    "MultiSimilarityLoss+MultiSimilarityMiner": "multi_similarity_miner",
    "SoftTripleLoss": "soft_triple",
}
PATHS = {"loss_lr": "loss.optimizer.lr", "epsilon": "loss.miner.params.epsilon"}


def published_optima() -> list[Any]:
    with OPTIMA.open() as file:
        rows = list(csv.DictReader(file))
    return [
        pytest.param(
            row["loss"], row["parameter"], column, float(row[column]), id=f"{row['loss']}-{column}"
        )
        for row in rows
        for column in ("cub200", "cars196", "sop", "cub200_batch256")
        if row[column]
    ]


@pytest.mark.parametrize("name", preset_names("loss"))
def test_loss_trains_a_step(name: str, tmp_path: Path) -> None:
    config = compose(
        DEFAULTS | {"loss": name},
        ["protocol.iterations_per_epoch=1", "protocol.max_epochs=1", "protocol.validation_interval=1"],
    )
    glyphs = load_glyphs()
    chosen = np.flatnonzero((glyphs.labels < 44) & (np.arange(len(glyphs.labels)) % 32 < 4))
    images = ImageArrays("few", glyphs.images[chosen], glyphs.labels[chosen], glyphs.class_names[:44])
    train, validation = (np.flatnonzero(images.labels < 36), np.flatnonzero(images.labels >= 36))
    result = train_fold(
        config,
        ArrayTensors(images, train),
        ArrayTensors(images, validation),
        tmp_path / "fold",
        0,
        lambda _epoch, _score: None,
    )
    assert 0 < result.score <= 1


@pytest.mark.parametrize(("loss", "parameter", "dataset", "value"), published_optima())
def test_search_holds_the_published_optimum(
    loss: str, parameter: str, dataset: str, value: float
) -> None:
    search = compose(DEFAULTS | {"loss": PRESETS[loss]}, [], check_names).search
    found = search[PATHS.get(parameter, f"loss.params.{parameter}")]
    assert found.low <= value <= found.high, dataset
