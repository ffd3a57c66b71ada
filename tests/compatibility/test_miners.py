"""What each of PML's miners chooses is what the formulas of the losses then run over."""

from typing import Any

import pytest
import torch
from pytorch_metric_learning.miners import (
    AngularMiner,
    BatchEasyHardMiner,
    BatchHardMiner,
    DistanceWeightedMiner,
    EmbeddingsAlreadyPackagedAsTriplets,
    HDCMiner,
    MultiSimilarityMiner,
    PairMarginMiner,
    TripletMarginMiner,
    UniformHistogramMiner,
)
from torch import Tensor

from pml_potential import ClassWiseMultiSimilarityLoss
from tests.compatibility.formulas import value_by_formula
from tests.losses.loss_cases import all_gradients, batch, build, each_loss

TRIPLETS = (0, 0, 1, 1, 1, 2, 2, 2, 0)


def case(miner: Any) -> Any:
    name = f"`{type(miner).__name__}`"
    return pytest.param(miner, marks=pytest.mark.feature("Miners", name))


def mined(miner: Any) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    embeddings, labels = batch(torch.float64, size=len(TRIPLETS), classes=TRIPLETS)
    torch.manual_seed(0)
    indices = miner(embeddings, labels)
    assert all(len(part) > 0 for part in indices)
    return embeddings, labels, indices


@pytest.mark.parametrize(
    "miner",
    [
        case(AngularMiner(angle=35)),
        case(BatchEasyHardMiner()),
        case(BatchHardMiner()),
        case(DistanceWeightedMiner()),
        case(EmbeddingsAlreadyPackagedAsTriplets()),
        case(HDCMiner()),
        case(MultiSimilarityMiner()),
        case(MultiSimilarityMiner(epsilon=0.5)),
        case(PairMarginMiner()),
        case(TripletMarginMiner()),
        case(UniformHistogramMiner(num_bins=5, pos_per_bin=2, neg_per_bin=3)),
    ],
)
@each_loss
def test_miner_chooses_what_counts(loss_class: Any, miner: Any) -> None:
    embeddings, labels, indices = mined(miner)
    loss = build(loss_class, torch.float64)
    value = loss(embeddings, labels, indices)
    assert value.item() == pytest.approx(value_by_formula(loss, embeddings, labels, indices), rel=1e-8)
    assert torch.autograd.gradcheck(
        lambda z: loss(z, labels, indices), embeddings, eps=1e-7, rtol=1e-3, atol=1e-3
    )


@pytest.mark.feature(
    "Miners",
    "a miner that found nothing",
    "as with PML's losses: as if there were no miner, but 0 where a loss is made of pairs",
)
@pytest.mark.parametrize("parts", [3, 4])
@each_loss
def test_a_miner_that_found_nothing(loss_class: Any, parts: int) -> None:
    nothing = tuple(torch.empty(0, dtype=torch.long) for _ in range(parts))
    loss = build(loss_class)
    results = all_gradients(loss, *batch(), indices_tuple=nothing)
    share = 0 if loss_class is ClassWiseMultiSimilarityLoss else 1
    expected = [share * result for result in all_gradients(loss, *batch())]
    torch.testing.assert_close(results, expected)
