"""What every loss keeps to, whatever its formula."""

import copy
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from pml_potential import (
    ClassWiseMultiSimilarityLoss,
    CPMLLoss,
    MeanFieldClassWiseMultiSimilarityLoss,
    MeanFieldContrastiveLoss,
    PotentialFieldLoss,
)
from pml_potential.losses.field_loss import FieldLoss
from tests.losses.loss_cases import (
    MEAN_FIELD_LOSSES,
    NUM_CLASSES,
    all_gradients,
    batch,
    build,
    each_loss,
)

ROOT = Path(__file__).parents[2]

MULTI_SIMILARITY_EXTREMES: list[dict[str, Any]] = [
    {"beta": 200.0},
    {"alpha": 200.0, "beta": 200.0, "base": -1.0},
    {"alpha": 1000.0, "beta": 1000.0, "base": 1.0},
    {"alpha": 1e-4, "beta": 1e-4},
]
EXTREMES: list[tuple[Any, dict[str, Any]]] = [
    (PotentialFieldLoss, {}),
    (PotentialFieldLoss, {"alpha": 8, "delta": 0.05}),
    (PotentialFieldLoss, {"alpha": 8, "delta": 0.05, "delta_rep": 2.0}),
    (PotentialFieldLoss, {"alpha": 0, "delta": 0.05}),
    (PotentialFieldLoss, {"alpha": 8, "delta": 0.05, "proxies_per_class": 0}),
    (CPMLLoss, {}),
    (CPMLLoss, {"delta": 2.0}),
    (MeanFieldContrastiveLoss, {}),
    (MeanFieldContrastiveLoss, {"pos_margin": 0.0, "neg_margin": 2.0, "regularization_weight": 1}),
    *((ClassWiseMultiSimilarityLoss, settings) for settings in MULTI_SIMILARITY_EXTREMES),
    *(
        (MeanFieldClassWiseMultiSimilarityLoss, settings | {"regularization_weight": weight})
        for settings in MULTI_SIMILARITY_EXTREMES
        for weight in (0.0, 1.0)
    ),
]
POINT = [0.3, -1.2, 0.5]
ODD_BATCHES: dict[str, tuple[list[list[float]], list[int]]] = {
    "equal with equal labels": ([POINT] * 2, [1, 1]),
    "equal with different labels": ([POINT] * 2, [1, 2]),
    "one embedding": ([POINT], [2]),
    "one class": ([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]], [3, 3, 3]),
    "classes without a member": ([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], [0, 3]),
    "collapsed": ([POINT] * 16, [0, 1, 2, 3] * 4),
    "collapsed to zero": ([[0.0, 0.0, 0.0]] * 8, [0, 1, 2, 3] * 2),
    "opposite": ([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]] * 2, [0, 0, 1, 1]),
    "of very different length": ([[1e-6, 0.0, 0.0], [0.0, 1e6, 0.0]], [0, 1]),
}
half_precisions = pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])


@pytest.mark.parametrize("name", ODD_BATCHES)
@pytest.mark.parametrize(("loss_class", "settings"), EXTREMES)
def test_value_and_gradients_are_finite(loss_class: Any, settings: dict[str, Any], name: str) -> None:
    embeddings, labels = ODD_BATCHES[name]
    results = all_gradients(
        build(loss_class, **settings), torch.tensor(embeddings), torch.tensor(labels)
    )
    assert all(result.isfinite().all() for result in results)


@pytest.mark.parametrize("name", ODD_BATCHES)
@pytest.mark.parametrize(("loss_class", "settings"), EXTREMES)
def test_no_step_of_the_backward_pass_gives_nan(
    loss_class: Any, settings: dict[str, Any], name: str
) -> None:
    """Whoever looks for the origin of NaN in a network runs it in torch's anomaly mode."""
    embeddings, labels = ODD_BATCHES[name]
    with pytest.warns(UserWarning, match="Anomaly Detection"), torch.autograd.detect_anomaly():
        all_gradients(build(loss_class, **settings), torch.tensor(embeddings), torch.tensor(labels))


@pytest.mark.parametrize("name", [name for name in ODD_BATCHES if name != "collapsed to zero"])
@pytest.mark.parametrize(("loss_class", "settings"), EXTREMES)
def test_second_derivatives_are_finite_or_refused(
    loss_class: Any, settings: dict[str, Any], name: str
) -> None:
    loss = build(loss_class, **settings)
    embeddings = torch.tensor(ODD_BATCHES[name][0], requires_grad=True)
    value = loss(embeddings, torch.tensor(ODD_BATCHES[name][1]))
    variables = [embeddings, *loss.parameters()]
    gradients = torch.autograd.grad(value, variables, create_graph=True)
    total = torch.stack([gradient.square().sum() for gradient in gradients]).sum()
    if issubclass(loss_class, FieldLoss) or settings.get("regularization_weight"):
        with pytest.raises(RuntimeError, match="can be differentiated once, not twice"):
            total.backward()
        return
    total.backward()
    assert all(variable.grad.isfinite().all() for variable in variables)


@pytest.mark.parametrize(("loss_class", "settings"), EXTREMES)
def test_everything_collapsed_onto_one_point_is_finite(
    loss_class: Any, settings: dict[str, Any]
) -> None:
    loss = build(loss_class, **settings)
    for parameter in loss.parameters():
        parameter.data = torch.tensor(POINT).expand_as(parameter).clone()
    results = all_gradients(loss, torch.tensor([POINT] * 8), torch.arange(8) % NUM_CLASSES)
    assert all(result.isfinite().all() for result in results)


@pytest.mark.parametrize(("loss_class", "settings"), EXTREMES)
def test_a_generic_batch_has_a_finite_gradient_that_is_not_zero(
    loss_class: Any, settings: dict[str, Any]
) -> None:
    results = all_gradients(build(loss_class, **settings), *batch(size=40))
    assert all(result.isfinite().all() for result in results)
    assert results[1].abs().max() > 0


@each_loss
def test_the_same_input_gives_the_same_bits(loss_class: Any) -> None:
    loss = build(loss_class)
    embeddings, labels = batch(size=200)
    once, again = (all_gradients(loss, embeddings, labels) for _ in range(2))
    assert all(a.equal(b) for a, b in zip(once, again, strict=True))


@each_loss
def test_order_of_the_batch_does_not_matter(loss_class: Any) -> None:
    loss = build(loss_class, torch.float64)
    embeddings, labels = batch(torch.float64)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    straight = all_gradients(loss, embeddings, labels)
    shuffled = all_gradients(loss, embeddings[order], labels[order])
    torch.testing.assert_close(shuffled[0], straight[0])
    torch.testing.assert_close(shuffled[1], straight[1][order])


@each_loss
def test_length_of_an_embedding_does_not_matter(loss_class: Any) -> None:
    loss = build(loss_class, torch.float64)
    embeddings, labels = batch(torch.float64)
    torch.testing.assert_close(loss(7 * embeddings, labels), loss(embeddings, labels))


@each_loss
def test_a_step_against_the_gradient_lowers_the_loss(loss_class: Any) -> None:
    loss = build(loss_class, torch.float64)
    embeddings, labels = batch(torch.float64)
    value, gradient = all_gradients(loss, embeddings, labels)[:2]
    step = 1e-4 * gradient / gradient.norm()
    assert loss(embeddings - step, labels) < value


@each_loss
def test_input_is_left_as_it_was(loss_class: Any) -> None:
    embeddings, labels = batch()
    before = embeddings.detach().clone(), labels.clone()
    all_gradients(build(loss_class), embeddings, labels)
    assert embeddings.equal(before[0])
    assert labels.equal(before[1])


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
@each_loss
def test_copies_give_the_same_value(loss_class: Any, duplicate: Any) -> None:
    loss = build(loss_class)
    assert duplicate(loss)(*batch()) == loss(*batch())


STATE_KEYS: list[tuple[Any, list[str]]] = [
    (PotentialFieldLoss, ["proxies", "_extra_state"]),
    (CPMLLoss, ["proxies", "_extra_state"]),
    (MeanFieldContrastiveLoss, ["mean_fields"]),
    (MeanFieldClassWiseMultiSimilarityLoss, ["mean_fields"]),
    (ClassWiseMultiSimilarityLoss, []),
]


@pytest.mark.parametrize(("loss_class", "keys"), STATE_KEYS)
def test_state_holds_the_parameters_and_whose_they_are(loss_class: Any, keys: list[str]) -> None:
    loss = build(loss_class)
    assert list(loss.state_dict()) == keys
    assert [name for name, _ in loss.named_parameters()] == keys[:1]


@each_loss
def test_state_restores_the_loss(loss_class: Any) -> None:
    loss, other = build(loss_class), build(loss_class)
    for parameter in other.parameters():
        parameter.data.normal_()
    other.load_state_dict(loss.state_dict())
    assert other(*batch()) == loss(*batch())


MEMORY_OF_ONE_STEP = """
import resource, sys, torch
import pml_potential
from tests.losses.loss_cases import all_gradients

def step(num_classes):
    loss_class, settings = getattr(pml_potential, sys.argv[1]), eval(sys.argv[2])
    loss = loss_class(num_classes=num_classes, embedding_size=8, **settings)
    results = all_gradients(loss, torch.randn(32, 8), torch.randint(num_classes, (32,)))
    assert all(result.isfinite().all() for result in results)

step(100)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
step(100_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux only")
@pytest.mark.parametrize(
    ("loss_class", "settings"),
    [(PotentialFieldLoss, {"proxies_per_class": 1}), *((each, {}) for each in MEAN_FIELD_LOSSES)],
)
def test_a_hundred_thousand_proxies_fit_in_memory(loss_class: Any, settings: dict[str, Any]) -> None:
    # In a process of its own: a peak that another test has left would hide any growth.
    command = [sys.executable, "-c", MEMORY_OF_ONE_STEP, loss_class.__name__, repr(settings)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert int(printed) < 2**20
