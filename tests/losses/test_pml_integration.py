"""The losses among the real objects of pytorch-metric-learning."""

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from loss_cases import (
    LOSSES,
    LOSSES_WITH_PARAMETERS,
    all_gradients,
    batch,
    build,
    each_field_loss,
    each_loss,
    each_loss_with_parameters,
)
from oracles import (
    class_wise_multi_similarity,
    contrastive_law,
    field_energies,
    mean_field_class_wise_multi_similarity,
    mean_field_contrastive,
    mined_weights,
    power_law,
)
from pytorch_metric_learning.losses import MultipleLosses, ProxyAnchorLoss
from pytorch_metric_learning.miners import MultiSimilarityMiner, TripletMarginMiner
from pytorch_metric_learning.reducers import (
    AvgNonZeroReducer,
    DoNothingReducer,
    MeanReducer,
    SumReducer,
    ThresholdReducer,
)
from pytorch_metric_learning.regularizers import LpRegularizer, RegularFaceRegularizer
from pytorch_metric_learning.utils.common_functions import TorchInitWrapper
from sklearn.datasets import load_digits
from torch import Tensor

from pml_potential import (
    ClassWiseMultiSimilarityLoss,
    CPMLLoss,
    MeanFieldContrastiveLoss,
    PotentialFieldLoss,
)


def mean_or_zero(losses: Tensor) -> Tensor:
    return losses.mean() if len(losses) else torch.zeros(())


REDUCTIONS: list[tuple[Any, Callable[[Tensor], Tensor]]] = [
    (SumReducer(), torch.sum),
    (MeanReducer(), torch.mean),
    (AvgNonZeroReducer(), lambda losses: mean_or_zero(losses[losses > 0])),
    (
        ThresholdReducer(low=1.0, high=1e4),
        lambda losses: mean_or_zero(losses[(losses > 1.0) & (losses < 1e4)]),
    ),
]


@pytest.mark.parametrize(("reducer", "reduce"), REDUCTIONS)
@each_loss
def test_reducers_reduce_each_part(loss_class: Any, reducer: Any, reduce: Any) -> None:
    parts = build(loss_class, reducer=DoNothingReducer())(*batch())
    expected = sum(reduce(part["losses"]) for part in parts.values())
    value, *gradients = all_gradients(build(loss_class, reducer=reducer), *batch())
    torch.testing.assert_close(value, expected.detach())
    assert all(gradient.isfinite().all() for gradient in gradients)


@each_loss
def test_each_element_has_an_index(loss_class: Any) -> None:
    parts = build(loss_class, reducer=DoNothingReducer())(*batch())
    assert all(part["losses"].shape == part["indices"].shape for part in parts.values())
    assert set(parts) == set(build(loss_class).sub_loss_names())


@each_loss_with_parameters
def test_weight_regularizer_adds_its_loss(loss_class: Any) -> None:
    loss = build(loss_class, weight_regularizer=RegularFaceRegularizer(), weight_reg_weight=0.7)
    (parameter,) = loss.parameters()
    expected = build(loss_class)(*batch()) + 0.7 * RegularFaceRegularizer()(parameter)
    torch.testing.assert_close(loss(*batch()), expected)


@each_loss
def test_embedding_regularizer_adds_its_loss(loss_class: Any) -> None:
    embeddings, labels = batch()
    loss = build(loss_class, embedding_regularizer=LpRegularizer(), embedding_reg_weight=0.3)
    expected = build(loss_class)(embeddings, labels) + 0.3 * LpRegularizer()(embeddings)
    torch.testing.assert_close(loss(embeddings, labels), expected)


@each_loss_with_parameters
def test_weight_init_func_makes_the_parameters(loss_class: Any) -> None:
    init = TorchInitWrapper(torch.nn.init.constant_, val=2.5)
    (parameter,) = build(loss_class, weight_init_func=init).parameters()
    assert (parameter == 2.5).all()


def mean_of_weighted_energies(loss: Any, laws: Any, z: Any, y: Any, weights: list[float]) -> float:
    points = z + loss.proxies.tolist()
    labels = y + loss.proxy_labels.tolist()
    energies = field_energies(points, labels, laws, len(points))
    weights = weights + [1.0] * len(loss.proxies)
    return math.fsum(w * e for w, e in zip(weights, energies, strict=True)) / len(points)


def mined_value(loss: Any, z: Any, y: Any, indices: list[list[int]]) -> float:
    """What the formulas give for the chosen indices."""
    if isinstance(loss, ClassWiseMultiSimilarityLoss):
        anchors, positives, *rest = indices
        others, negatives = rest if len(rest) == 2 else (anchors, rest[0])
        pairs = [
            *zip(anchors, positives, strict=True),
            *zip(others, negatives, strict=True),
        ]
        return class_wise_multi_similarity(z, y, loss.alpha, loss.beta, loss.base, pairs=pairs)
    weights = mined_weights(indices, len(y))
    if isinstance(loss, PotentialFieldLoss):
        laws = power_law(loss.alpha, loss.delta, loss.delta_rep)
        return mean_of_weighted_energies(loss, laws, z, y, weights)
    if isinstance(loss, CPMLLoss):
        return mean_of_weighted_energies(loss, contrastive_law(loss.delta), z, y, weights)
    fields = loss.mean_fields.tolist()
    if isinstance(loss, MeanFieldContrastiveLoss):
        return mean_field_contrastive(z, y, fields, loss.pos_margin, loss.neg_margin, 0, weights)
    return mean_field_class_wise_multi_similarity(
        z, y, fields, loss.alpha, loss.beta, loss.base, 0, weights
    )


@pytest.mark.parametrize(
    "miner", [MultiSimilarityMiner(), MultiSimilarityMiner(epsilon=0.5), TripletMarginMiner()]
)
@each_loss
def test_miners_choose_what_counts(loss_class: Any, miner: Any) -> None:
    embeddings, labels = batch(torch.float64, size=10)
    indices = miner(embeddings, labels)
    assert all(len(part) > 0 for part in indices)
    loss = build(loss_class, torch.float64)
    expected = mined_value(
        loss, embeddings.tolist(), labels.tolist(), [part.tolist() for part in indices]
    )
    value, *gradients = all_gradients(loss, embeddings, labels, indices_tuple=indices)
    assert value.item() == pytest.approx(expected, rel=1e-8)
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("parts", [3, 4])
@each_loss
def test_a_miner_that_found_nothing_leaves_a_finite_loss(loss_class: Any, parts: int) -> None:
    nothing = tuple(torch.empty(0, dtype=torch.long) for _ in range(parts))
    results = all_gradients(build(loss_class), *batch(), indices_tuple=nothing)
    assert all(result.isfinite().all() for result in results)


@pytest.mark.parametrize(
    ("loss_class", "laws"),
    [(PotentialFieldLoss, power_law(4, 0.7, 0.7)), (CPMLLoss, contrastive_law(0.7))],
)
def test_references_are_sources_without_energy(loss_class: Any, laws: Any) -> None:
    loss = build(loss_class, torch.float64, delta=0.7)
    embeddings, labels = batch(torch.float64)
    references, ref_labels = batch(torch.float64, size=7, seed=2)
    points = embeddings.tolist() + loss.proxies.tolist() + references.tolist()
    point_labels = labels.tolist() + loss.proxy_labels.tolist() + ref_labels.tolist()
    count = len(points) - len(references)
    expected = sum(field_energies(points, point_labels, laws, count)) / count
    value = loss(embeddings, labels, ref_emb=references, ref_labels=ref_labels)
    assert value.item() == pytest.approx(expected, rel=1e-10)


@each_field_loss
def test_gradient_with_references_is_that_of_the_value(loss_class: Any) -> None:
    loss = build(loss_class, torch.float64, delta=0.7)
    embeddings, labels = batch(torch.float64)
    references, ref_labels = batch(torch.float64, size=7, seed=2)
    assert torch.autograd.gradcheck(
        lambda z, r: loss(z, labels, ref_emb=r, ref_labels=ref_labels),
        (embeddings, references),
        eps=1e-7,
        rtol=1e-3,
        atol=1e-3,
    )


@pytest.mark.parametrize("loss_class", [PotentialFieldLoss, CPMLLoss, ClassWiseMultiSimilarityLoss])
def test_gradient_reaches_the_references(loss_class: Any) -> None:
    references, ref_labels = batch(size=7, seed=2)
    build(loss_class)(*batch(), ref_emb=references, ref_labels=ref_labels).backward()
    assert references.grad is not None
    assert references.grad.isfinite().all()
    assert references.grad.abs().max() > 0


@each_field_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_references_count_even_if_they_are_the_batch_itself(loss_class: Any, dtype: torch.dtype) -> None:
    loss = build(loss_class)
    embeddings, labels = batch(dtype)
    copied = loss(embeddings, labels, ref_emb=embeddings.clone(), ref_labels=labels)
    assert loss(embeddings, labels, ref_emb=embeddings, ref_labels=labels) == copied


@each_field_loss
def test_anchors_choose_what_counts_beside_references(loss_class: Any) -> None:
    embeddings, labels = batch(size=3)
    references, ref_labels = batch(size=8, seed=2)
    indices = tuple(torch.tensor(part) for part in ([0, 0], [0, 4], [2], [3]))
    arguments = {"ref_emb": references, "ref_labels": ref_labels}
    do_nothing = build(loss_class, reducer=DoNothingReducer())
    every = do_nothing(embeddings, labels, **arguments)["embedding_energy"]["losses"]
    mined = do_nothing(embeddings, labels, indices, **arguments)["embedding_energy"]["losses"]
    torch.testing.assert_close(mined, every * torch.tensor([1.0, 0.0, 0.5]))


def test_class_wise_pairs_are_those_with_references() -> None:
    loss = build(ClassWiseMultiSimilarityLoss, alpha=2.0, beta=40.0, base=0.5)
    embeddings, labels = batch(classes=(0, 1, 2))
    references, ref_labels = batch(size=7, classes=(1, 2, 3), seed=2)
    expected = class_wise_multi_similarity(
        embeddings.tolist(),
        labels.tolist(),
        loss.alpha,
        loss.beta,
        loss.base,
        references.tolist(),
        ref_labels.tolist(),
    )
    value = loss(embeddings, labels, ref_emb=references, ref_labels=ref_labels)
    assert value.item() == pytest.approx(expected, rel=1e-4)


def test_multiple_losses_add_them_up() -> None:
    losses = [build(loss_class) for loss_class in LOSSES_WITH_PARAMETERS]
    weights = [0.1, 2.0, 3.0, 0.5]
    together = MultipleLosses(losses, weights=weights)
    expected = sum(w * loss(*batch()) for w, loss in zip(weights, losses, strict=True))
    torch.testing.assert_close(together(*batch()), expected)
    assert len(list(together.parameters())) == len(losses)


def digits(classes: range) -> tuple[Tensor, Tensor]:
    images, labels = load_digits(return_X_y=True)
    wanted = (labels >= classes.start) & (labels < classes.stop)
    return torch.tensor(images[wanted] / 16).float(), torch.tensor(labels[wanted])


def train_on_digits(loss: Any, steps: int) -> float:
    """Train a small network with the loss in a plain loop; return the last loss of all images."""
    images, labels = digits(range(6))
    torch.manual_seed(0)
    trunk = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 8))
    optimizer = torch.optim.Adam([*trunk.parameters(), *loss.parameters()], lr=3e-3)
    for _ in range(steps):
        chosen = torch.randint(len(images), (64,))
        optimizer.zero_grad()
        loss(trunk(images[chosen]), labels[chosen]).backward()
        optimizer.step()
    last: float = loss(trunk(images), labels).item()
    return last


@pytest.mark.parametrize("loss_class", [*LOSSES, ProxyAnchorLoss])
def test_a_plain_training_loop_lowers_the_loss(loss_class: Any) -> None:
    sizes = {} if loss_class is ClassWiseMultiSimilarityLoss else {"num_classes": 6, "embedding_size": 8}
    torch.manual_seed(1)
    loss = loss_class(**sizes)
    start, end = (train_on_digits(copy.deepcopy(loss), steps) for steps in (0, 60))
    assert end < start
