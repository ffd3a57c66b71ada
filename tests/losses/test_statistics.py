"""What the losses leave for a record-keeper: what the value hides behind its constant."""

import math
from typing import Any

import pytest
import torch
from loss_cases import FIELD_LOSSES, all_gradients, batch, build, each_field_loss, each_loss
from oracles import Law, contrastive_law, power_law, unit

from pml_potential import CPMLLoss, PotentialFieldLoss

RADIUS = 0.7
LAWS: list[tuple[Any, tuple[Law, Law]]] = [
    (PotentialFieldLoss, power_law(4, RADIUS, RADIUS)),
    (CPMLLoss, contrastive_law(RADIUS)),
]


def statistics_by_loops(
    points: list[list[float]], labels: list[int], laws: tuple[Law, Law], targets: int
) -> tuple[float, float, float]:
    """Energy of attraction and of repulsion over the targets, and the share of pairs that act."""
    attraction, repulsion = laws
    energies = {True: 0.0, False: 0.0}
    acting = pairs = 0
    for i in range(targets):
        for j in range(len(points)):
            if i == j:
                continue
            r = math.dist(unit(points[i]), unit(points[j]))
            same = labels[i] == labels[j]
            energies[same] += attraction(r) if same else repulsion(r) - repulsion(2)
            if i < j:
                pairs += 1
                acting += r > RADIUS if same else r < RADIUS
    return energies[True] / targets, energies[False] / targets, acting / pairs


@pytest.mark.parametrize("references", [0, 5])
@pytest.mark.parametrize(("loss_class", "laws"), LAWS)
def test_statistics_of_a_field_are_those_of_its_pairs(
    loss_class: Any, laws: tuple[Law, Law], references: int
) -> None:
    loss = build(loss_class, torch.float64, delta=RADIUS, collect_stats=True)
    embeddings, labels = batch(torch.float64)
    ref_emb, ref_labels = batch(torch.float64, size=5, seed=2)
    points, point_labels = [*loss.proxies, *embeddings], [*loss.proxy_labels, *labels]
    targets = len(points)
    arguments: dict[str, Any] = {}
    if references:
        points, point_labels = [*points, *ref_emb], [*point_labels, *ref_labels]
        arguments = {"ref_emb": ref_emb, "ref_labels": ref_labels}
    loss(embeddings, labels, **arguments)
    expected = statistics_by_loops(
        [point.tolist() for point in points], [int(label) for label in point_labels], laws, targets
    )
    found = loss.attraction_energy, loss.repulsion_energy, loss.share_of_acting_pairs
    assert found == pytest.approx(expected, rel=1e-10)


@each_field_loss
def test_mean_proxy_distance_is_that_of_the_embeddings_to_the_proxies_of_their_class(
    loss_class: Any,
) -> None:
    loss = build(loss_class, collect_stats=True)
    embeddings, labels = batch()
    loss(embeddings, labels)
    distances = [
        math.dist(unit(z.tolist()), unit(proxy.tolist()))
        for z, label in zip(embeddings, labels, strict=True)
        for proxy, owner in zip(loss.proxies, loss.proxy_labels, strict=True)
        if label == owner
    ]
    assert loss.mean_proxy_distance == pytest.approx(sum(distances) / len(distances), rel=1e-5)


@each_field_loss
def test_without_proxies_there_is_no_distance_to_them(loss_class: Any) -> None:
    loss = build(loss_class, proxies_per_class=0, collect_stats=True)
    loss(*batch())
    assert not hasattr(loss, "mean_proxy_distance")
    assert math.isfinite(loss.attraction_energy)


@pytest.mark.parametrize("loss_class", FIELD_LOSSES)
def test_a_single_point_has_no_pairs(loss_class: Any) -> None:
    loss = build(loss_class, proxies_per_class=0, collect_stats=True)
    loss(*batch(size=1))
    assert (loss.attraction_energy, loss.repulsion_energy, loss.share_of_acting_pairs) == (0, 0, 0)


OTHERS = [each for each in each_loss.args[1] if each not in FIELD_LOSSES]


@pytest.mark.parametrize("loss_class", OTHERS)
def test_attraction_and_repulsion_add_up_to_the_loss(loss_class: Any) -> None:
    loss = build(loss_class, torch.float64, collect_stats=True)
    value = loss(*batch(torch.float64))
    assert loss.attraction_loss > 0
    assert loss.attraction_loss + loss.repulsion_loss == pytest.approx(value.item(), rel=1e-12)


def test_one_class_knows_no_repulsion() -> None:
    loss = build(OTHERS[-1], collect_stats=True)
    loss(*batch(classes=(2,)))
    assert loss.repulsion_loss == 0


@each_loss
def test_statistics_leave_value_and_gradient_as_they_are(loss_class: Any) -> None:
    silent, watched = (
        all_gradients(build(loss_class, collect_stats=collects), *batch()) for collects in (False, True)
    )
    torch.testing.assert_close(watched, silent, rtol=0, atol=0)


@each_loss
def test_nothing_is_collected_unasked(loss_class: Any) -> None:
    loss = build(loss_class)
    loss(*batch())
    assert not loss.collect_stats
    assert not hasattr(loss, "_record_these_stats")
    names = ("attraction_energy", "attraction_loss", "share_of_acting_pairs", "mean_proxy_distance")
    assert not any(hasattr(loss, name) for name in names)
