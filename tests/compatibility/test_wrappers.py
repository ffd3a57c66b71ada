"""The losses within PML's wrappers, and with references beside the batch."""

from typing import Any

import pytest
import torch
from pytorch_metric_learning.losses import (
    ContrastiveLoss,
    CrossBatchMemory,
    MultipleLosses,
    SelfSupervisedLoss,
)
from pytorch_metric_learning.miners import MultiSimilarityMiner
from pytorch_metric_learning.reducers import DoNothingReducer

from pml_potential import ClassWiseMultiSimilarityLoss, CPMLLoss, PotentialFieldLoss
from tests.losses.loss_cases import (
    FIELD_LOSSES,
    all_gradients,
    batch,
    build,
    each_field_loss,
    each_loss,
    each_mean_field_loss,
)
from tests.losses.oracles import (
    class_wise_multi_similarity,
    contrastive_law,
    field_energies,
    power_law,
)

ONLY_MEAN_FIELDS = "embeddings meet mean fields only, never other embeddings"
SELF_SUPERVISED = (
    "PML allows `SelfSupervisedLoss` by name only; its labels are positions in the batch, not classes"
)

multiple_losses = pytest.mark.feature("Wrappers and references", "`MultipleLosses`")
self_supervised = pytest.mark.feature("Wrappers and references", "`SelfSupervisedLoss`")
cross_batch_memory = pytest.mark.feature("Wrappers and references", "PML's `CrossBatchMemory`")
references = pytest.mark.feature(
    "Wrappers and references",
    "`ref_emb` and `ref_labels`",
    "PFML and CPML: further sources of the field; CWMS: the second embedding of each pair",
)
each_loss_with_references = pytest.mark.parametrize(
    "loss_class", [*FIELD_LOSSES, ClassWiseMultiSimilarityLoss]
)


@multiple_losses
@each_loss
def test_multiple_losses_add_them_up(loss_class: Any) -> None:
    together = MultipleLosses([build(loss_class), ContrastiveLoss()], weights=[0.1, 2.0])
    own = all_gradients(build(loss_class), *batch())
    value, of_embeddings = all_gradients(ContrastiveLoss(), *batch())
    expected = [0.1 * own[0] + 2 * value, 0.1 * own[1] + 2 * of_embeddings]
    expected += [0.1 * of_parameter for of_parameter in own[2:]]
    torch.testing.assert_close(all_gradients(together, *batch()), expected)


@multiple_losses
@each_loss
def test_multiple_losses_with_miners(loss_class: Any) -> None:
    losses, miner = {"own": build(loss_class), "other": ContrastiveLoss()}, MultiSimilarityMiner()
    indices = miner(*batch())
    expected = build(loss_class)(*batch(), indices) + ContrastiveLoss()(*batch())
    torch.testing.assert_close(MultipleLosses(losses, {"own": miner})(*batch()), expected)


@self_supervised
@each_loss
def test_self_supervision(loss_class: Any, refuses: Any) -> None:
    with refuses(SELF_SUPERVISED, f"SelfSupervisedLoss not supported for {loss_class.__name__}"):
        SelfSupervisedLoss(build(loss_class))


@cross_batch_memory
@each_loss_with_references
def test_memory_of_pml(loss_class: Any, refuses: Any) -> None:
    why = "PML allows `CrossBatchMemory` by name only; use `pml_potential.CrossBatchMemory`"
    with refuses(why, f"CrossBatchMemory not supported for {loss_class.__name__}"):
        CrossBatchMemory(build(loss_class), embedding_size=3)


@cross_batch_memory
@each_mean_field_loss
def test_memory_of_pml_beside_mean_fields(loss_class: Any, refuses: Any) -> None:
    with refuses(ONLY_MEAN_FIELDS, f"CrossBatchMemory not supported for {loss_class.__name__}"):
        CrossBatchMemory(build(loss_class), embedding_size=3)


@references
@pytest.mark.parametrize(
    ("loss_class", "laws"),
    [(PotentialFieldLoss, power_law(4, 0.7, 0.7, 0.35)), (CPMLLoss, contrastive_law(0.7))],
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


@references
@pytest.mark.parametrize("loss_class", [ClassWiseMultiSimilarityLoss])
def test_pairs_are_those_with_references(loss_class: Any) -> None:
    loss = build(loss_class, alpha=2.0, beta=40.0, base=0.5)
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


@references
@each_mean_field_loss
def test_references_beside_mean_fields(loss_class: Any, refuses: Any) -> None:
    references, ref_labels = batch(size=7, seed=2)
    with refuses(ONLY_MEAN_FIELDS, "compares embeddings with mean fields only"):
        build(loss_class)(*batch(), ref_emb=references, ref_labels=ref_labels)


@references
@each_loss_with_references
def test_gradient_with_references_is_that_of_the_value(loss_class: Any) -> None:
    settings = {"delta": 0.7} if loss_class in FIELD_LOSSES else {}
    loss = build(loss_class, torch.float64, **settings)
    embeddings, labels = batch(torch.float64)
    references, ref_labels = batch(torch.float64, size=7, seed=2)
    assert torch.autograd.gradcheck(
        lambda z, r: loss(z, labels, ref_emb=r, ref_labels=ref_labels),
        (embeddings, references),
        eps=1e-7,
        rtol=1e-3,
        atol=1e-3,
    )


@references
@each_loss_with_references
def test_gradient_reaches_the_references(loss_class: Any) -> None:
    references, ref_labels = batch(size=7, seed=2)
    build(loss_class)(*batch(), ref_emb=references, ref_labels=ref_labels).backward()
    assert references.grad is not None
    assert references.grad.isfinite().all()
    assert references.grad.abs().max() > 0


@references
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@each_loss_with_references
def test_references_count_even_if_they_are_the_batch_itself(loss_class: Any, dtype: torch.dtype) -> None:
    loss = build(loss_class)
    embeddings, labels = batch(dtype)
    copied = loss(embeddings, labels, ref_emb=embeddings.clone(), ref_labels=labels)
    assert loss(embeddings, labels, ref_emb=embeddings, ref_labels=labels) == copied


@references
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


@pytest.mark.feature("Wrappers and references", "no labels")
@each_loss
def test_no_labels(loss_class: Any, refuses: Any) -> None:
    with refuses("the loss needs the class of each embedding", "labels is None"):
        build(loss_class)(batch()[0])
