"""Training with the batches that PML's samplers make."""

import copy
from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_metric_learning.miners import MultiSimilarityMiner
from pytorch_metric_learning.samplers import (
    FixedSetOfTriplets,
    HierarchicalSampler,
    MPerClassSampler,
    TuplesToWeightsSampler,
)
from torch.utils.data import DataLoader, TensorDataset

from tests.compatibility.formulas import value_by_formula
from tests.compatibility.small_training import (
    CPU,
    digits,
    embed,
    metric_loss,
    networks,
    networks_and_loss,
    parameters,
    train,
)
from tests.losses.loss_cases import all_gradients, each_loss

BATCH_SIZE = 12
NUM_BATCHES = 4

Loader = DataLoader[Any]
MakeLoader = Callable[[TensorDataset], Loader]


def m_per_class(dataset: TensorDataset) -> Loader:
    sampler = MPerClassSampler(dataset.tensors[1], m=3, length_before_new_iter=60)
    return DataLoader(dataset, BATCH_SIZE, sampler=sampler)


def hierarchical(dataset: TensorDataset) -> Loader:
    labels = dataset.tensors[1]
    both = torch.stack([labels, labels % 2], dim=1)
    sampler = HierarchicalSampler(both, BATCH_SIZE, samples_per_class=3)
    return DataLoader(dataset, batch_sampler=sampler)


def fixed_triplets(dataset: TensorDataset) -> Loader:
    sampler = FixedSetOfTriplets(dataset.tensors[1], num_triplets=20)
    return DataLoader(dataset, BATCH_SIZE, sampler=sampler)


def weighted_by_tuples(dataset: TensorDataset) -> Loader:
    model = torch.nn.Sequential(*networks().values())
    sampler = TuplesToWeightsSampler(
        model,
        MultiSimilarityMiner(),
        dataset,
        dataloader_num_workers=0,
        data_device=CPU,
        data_and_label_getter=lambda batch: batch[:2],
    )
    return DataLoader(dataset, BATCH_SIZE, sampler=sampler)


def case(make_loader: MakeLoader, name: str) -> Any:
    return pytest.param(make_loader, marks=pytest.mark.feature("Samplers", name), id=name)


@pytest.mark.parametrize(
    "make_loader",
    [
        case(m_per_class, "`MPerClassSampler`"),
        case(hierarchical, "`HierarchicalSampler`"),
        case(fixed_triplets, "`FixedSetOfTriplets`"),
        case(weighted_by_tuples, "`TuplesToWeightsSampler`"),
    ],
)
@each_loss
def test_sampled_batches_train_as_if_handed_over_directly(
    loss_class: Any, make_loader: MakeLoader
) -> None:
    modules = networks_and_loss(loss_class)
    start, directly = copy.deepcopy(modules), copy.deepcopy(modules)
    images, labels = digits()
    np.random.seed(0)
    torch.manual_seed(0)
    loader = make_loader(TensorDataset(images, labels, torch.arange(len(labels))))
    *batches, last = islice(loader, NUM_BATCHES)
    train(modules, metric_loss, (batch[:2] for batch in batches))
    train(directly, metric_loss, ((images[rows], labels[rows]) for _, _, rows in batches))
    after = parameters(modules)
    torch.testing.assert_close(after, parameters(directly), rtol=0, atol=0)
    assert not any(new.equal(old) for new, old in zip(after, parameters(start), strict=True))

    loss = modules["metric_loss"]
    embeddings = embed(modules, last[0]).double()
    value, *gradients = all_gradients(loss, embeddings, last[1])
    assert value.item() == pytest.approx(value_by_formula(loss, embeddings, last[1]), rel=1e-6)
    assert all(gradient.isfinite().all() for gradient in gradients)
