import copy
import math
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from pytorch_metric_learning.regularizers import RegularFaceRegularizer
from torch import Tensor

from pml_potential import CPMLLoss, PotentialFieldLoss
from tests.fields.field_cases import random_points
from tests.losses.loss_cases import (
    EMBEDDING_SIZE,
    NUM_CLASSES,
    PROXIES_PER_CLASS,
    all_gradients,
    batch,
    build,
    each_field_loss,
    each_loss_with_parameters,
)
from tests.losses.oracles import Law, class_potentials, contrastive_law, power_law, unit

RADIUS = 0.7
LAWS: list[tuple[Any, tuple[Law, Law]]] = [
    (PotentialFieldLoss, power_law(4, RADIUS, RADIUS, RADIUS / 2)),
    (CPMLLoss, contrastive_law(RADIUS)),
]
LOGIT_CASES: list[tuple[Any, dict[str, Any], Any]] = [
    (PotentialFieldLoss, {"alpha": 2, "delta": 0.7}, power_law(2, 0.7, 0.7, 0.35)),
    (
        PotentialFieldLoss,
        {"alpha": 3, "delta": 0.3, "delta_rep": 0.9},
        power_law(3, 0.3, 0.9, 0.45),
    ),
    (PotentialFieldLoss, {"alpha": 0, "delta": 0.5}, power_law(0, 0.5, 0.5, 0.25)),
    (CPMLLoss, {"delta": 0.7}, contrastive_law(0.7)),
]


def clusters(members: int = 10) -> tuple[Tensor, Tensor, Tensor]:
    """Two tight clusters a class: their directions, embeddings, labels."""
    generator = torch.Generator().manual_seed(4)
    centres = torch.nn.functional.normalize(
        torch.randn(NUM_CLASSES * PROXIES_PER_CLASS, EMBEDDING_SIZE, generator=generator)
    )
    which = torch.arange(len(centres)).repeat(members)
    noise = 1e-3 * torch.randn(len(which), EMBEDDING_SIZE, generator=generator)
    return centres, 3 * (centres[which] + noise), which // PROXIES_PER_CLASS


def directions(loss: Any) -> Tensor:
    return torch.nn.functional.normalize(loss.proxies.detach())


@each_field_loss
def test_proxies_of_a_class_lie_in_consecutive_rows(loss_class: Any) -> None:
    loss = build(loss_class)
    assert loss.proxies.shape == (NUM_CLASSES * PROXIES_PER_CLASS, EMBEDDING_SIZE)
    assert loss.proxy_labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


@each_field_loss
def test_without_proxies_there_are_no_rows(loss_class: Any) -> None:
    assert build(loss_class, proxies_per_class=0).proxies.shape == (0, EMBEDDING_SIZE)


@each_field_loss
def test_proxies_start_in_the_clusters_of_their_class(loss_class: Any) -> None:
    loss = build(loss_class)
    centres, embeddings, labels = clusters()
    loss.initialize_proxies(embeddings, labels)
    distances = torch.cdist(directions(loss), centres)
    assert distances.min(dim=0).values.max() < 0.01
    own = distances.argmin(dim=1) // PROXIES_PER_CLASS
    assert own.equal(loss.proxy_labels)


@each_field_loss
def test_one_proxy_starts_at_the_mean_direction(loss_class: Any) -> None:
    loss = build(loss_class, proxies_per_class=1)
    embeddings, labels = batch()
    loss.initialize_proxies(embeddings, labels)
    units = torch.nn.functional.normalize(embeddings.detach())
    means = torch.stack([units[labels == c].mean(dim=0) for c in range(NUM_CLASSES)])
    torch.testing.assert_close(directions(loss), torch.nn.functional.normalize(means))


@each_field_loss
def test_proxies_keep_their_norms(loss_class: Any) -> None:
    loss = build(loss_class)
    norms = loss.proxies.detach().norm(dim=1)
    loss.initialize_proxies(*clusters()[1:])
    torch.testing.assert_close(loss.proxies.detach().norm(dim=1), norms)


@each_field_loss
def test_classes_without_an_embedding_keep_their_proxies(loss_class: Any) -> None:
    loss = build(loss_class)
    before = loss.proxies.detach().clone()
    loss.initialize_proxies(*batch(classes=(1, 3)))
    changed = (loss.proxies != before).any(dim=1)
    assert changed.tolist() == [False, False, True, True, False, False, True, True]


@each_field_loss
def test_initialization_repeats_with_the_seed(loss_class: Any) -> None:
    proxies = []
    for seed in (1, 1, 2):
        loss = build(loss_class)
        torch.manual_seed(seed)
        loss.initialize_proxies(*batch(size=60))
        proxies.append(loss.proxies.detach())
    assert proxies[0].equal(proxies[1])
    assert not proxies[0].equal(proxies[2])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@each_field_loss
def test_initialization_keeps_the_parameter(loss_class: Any, dtype: torch.dtype) -> None:
    loss = build(loss_class)
    parameter, storage = loss.proxies, loss.proxies.data_ptr()
    loss.initialize_proxies(*batch(dtype))
    assert loss.proxies is parameter
    assert loss.proxies.data_ptr() == storage
    assert loss.proxies.dtype == torch.float32
    assert loss.proxies.requires_grad


@each_field_loss
def test_initialization_lowers_the_loss(loss_class: Any) -> None:
    loss = build(loss_class)
    _, embeddings, labels = clusters()
    before = loss(embeddings, labels)
    loss.initialize_proxies(embeddings, labels)
    assert loss(embeddings, labels) < before


@each_field_loss
def test_initialization_of_nothing(loss_class: Any) -> None:
    with pytest.raises(ValueError, match="proxies_per_class is 0"):
        build(loss_class, proxies_per_class=0).initialize_proxies(*batch())


@pytest.mark.parametrize(
    ("embeddings", "labels", "message"),
    [
        (torch.ones(4, 5), torch.arange(4), r"embeddings has shape \(4, 5\)"),
        (torch.ones(0, 3), torch.arange(0), r"embeddings has shape \(0, 3\)"),
        (torch.full((2, 3), float("nan")), torch.arange(2), r"embeddings\[0\] has the norm nan"),
        (torch.ones(4, 3), torch.arange(3), r"labels has shape \(3,\)"),
        (torch.ones(4, 3), torch.arange(1, 5), "labels holds 4"),
    ],
)
@each_field_loss
def test_initialization_with_bad_input(
    loss_class: Any, embeddings: Tensor, labels: Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build(loss_class).initialize_proxies(embeddings, labels)


@pytest.mark.parametrize(("loss_class", "settings", "laws"), LOGIT_CASES)
def test_logits_are_minus_the_class_potentials_up_to_a_constant(
    loss_class: Any, settings: dict[str, Any], laws: Any
) -> None:
    loss = build(loss_class, torch.float64, **settings)
    embeddings, _ = batch(torch.float64)
    arguments = loss.proxies.tolist(), loss.proxy_labels.tolist(), laws, NUM_CLASSES
    potentials = torch.tensor(
        [class_potentials(z, *arguments) for z in embeddings.tolist()], dtype=torch.float64
    )
    shift = loss.get_logits(embeddings) + potentials
    torch.testing.assert_close(shift, shift[:, :1].expand_as(shift))


@pytest.mark.parametrize(("loss_class", "settings"), [case[:2] for case in LOGIT_CASES])
def test_logits_name_the_class_of_the_nearest_proxies(loss_class: Any, settings: dict[str, Any]) -> None:
    loss = build(loss_class, **settings, proxies_per_class=1, num_classes=3)
    loss.proxies.data = 4 * torch.eye(3)
    embeddings = torch.eye(3)[[2, 0, 1, 1]] + 0.1
    assert loss.get_logits(embeddings).argmax(dim=1).tolist() == [2, 0, 1, 1]


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
@each_loss_with_parameters
def test_dtype_and_shape_of_logits(loss_class: Any, dtype: torch.dtype, expected: torch.dtype) -> None:
    logits = build(loss_class).get_logits(batch(dtype)[0])
    assert logits.dtype == expected
    assert logits.shape == (12, NUM_CLASSES)


@each_loss_with_parameters
def test_logits_are_differentiable(loss_class: Any) -> None:
    loss = build(loss_class, torch.float64)
    embeddings, _ = batch(torch.float64)
    assert torch.autograd.gradcheck(loss.get_logits, (embeddings,), rtol=1e-4)


@each_loss_with_parameters
def test_logits_have_a_finite_gradient_where_an_embedding_lies_on_a_proxy(loss_class: Any) -> None:
    loss = build(loss_class)
    (parameter,) = loss.parameters()
    parameter.data = torch.eye(3)[torch.arange(len(parameter)) % 3]
    embeddings = torch.eye(3).requires_grad_()
    loss.get_logits(embeddings).square().sum().backward()
    assert embeddings.grad is not None
    assert embeddings.grad.isfinite().all()
    assert parameter.grad.isfinite().all()


@each_field_loss
def test_logits_without_proxies(loss_class: Any) -> None:
    with pytest.raises(ValueError, match="proxies_per_class is 0"):
        build(loss_class, proxies_per_class=0).get_logits(batch()[0])


@each_field_loss
def test_regularizer_without_proxies(loss_class: Any) -> None:
    with pytest.raises(ValueError, match="proxies_per_class is 0"):
        build(loss_class, proxies_per_class=0, weight_regularizer=RegularFaceRegularizer())


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


@each_field_loss
def test_a_single_point_has_no_pairs(loss_class: Any) -> None:
    loss = build(loss_class, proxies_per_class=0, collect_stats=True)
    loss(*batch(size=1))
    assert (loss.attraction_energy, loss.repulsion_energy, loss.share_of_acting_pairs) == (0, 0, 0)


def loss_with_list(loss_class: Any) -> Any:
    """A loss that remembers which of its proxies are near each other."""
    torch.manual_seed(0)
    loss = loss_class(num_classes=100, embedding_size=3, proxies_per_class=8, delta=0.1)
    for seed in range(2):
        loss(*another_batch(seed))
    assert loss._neighbor_list._watched.pairs is not None
    return loss


def another_batch(seed: int) -> tuple[Tensor, Tensor]:
    return random_points(8, 3, seed=seed), torch.arange(8)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
@each_field_loss
def test_a_copy_of_a_loss_has_its_own_list(loss_class: Any, copied: Callable[[Any], Any]) -> None:
    loss = loss_with_list(loss_class)
    other = copied(loss)
    assert other(*another_batch(1)) == loss(*another_batch(1))
    listed = loss._neighbor_list._watched
    other.proxies.data.copy_(random_points(800, 3, seed=2))
    other(*another_batch(1))
    assert loss._neighbor_list._watched is listed
    assert other._neighbor_list._watched is not listed


@each_field_loss
def test_a_loss_keeps_its_list_while_its_proxies_move_little(loss_class: Any) -> None:
    loss = loss_with_list(loss_class)
    listed, before = loss._neighbor_list._watched, loss.proxies.detach().clone()
    optimizer = torch.optim.Adam(loss.parameters(), lr=1e-5)
    for seed in range(3):
        loss(*another_batch(seed)).backward()
        optimizer.step()
    assert loss._neighbor_list._watched is listed
    assert not loss.proxies.equal(before)


@each_field_loss
def test_what_a_list_has_seen_changes_no_bit_of_a_loss(loss_class: Any) -> None:
    loss = loss_with_list(loss_class)
    loss.proxies.data += 0.002 * random_points(800, 3, seed=3)
    fresh = loss_class(num_classes=100, embedding_size=3, proxies_per_class=8, delta=0.1)
    fresh.load_state_dict(loss.state_dict())
    expected = all_gradients(fresh, *another_batch(1))
    found = all_gradients(loss, *another_batch(1))
    assert all(own.equal(other) for own, other in zip(found, expected, strict=True))


@each_field_loss
def test_threads_that_share_a_loss_get_the_values_of_one(loss_class: Any) -> None:
    """Each call of the two finds the list of the other radius: both replace it all the time."""
    loss = loss_with_list(loss_class)
    neighbors, seeds = loss._neighbor_list, range(40)
    other = loss_class(num_classes=100, embedding_size=3, proxies_per_class=8, delta=0.15)
    expected = [[each(*another_batch(seed)).item() for seed in seeds] for each in (loss, other)]
    other._neighbor_list = neighbors

    def values(each: Any) -> list[list[float]]:
        return [[each(*another_batch(seed)).item() for seed in seeds] for _ in range(3)]

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(values, [loss, other, loss, other]))
    assert found == [[value] * 3 for value in [*expected, *expected]]


def test_attraction_that_is_small_beside_its_plateau_is_not_lost() -> None:
    """As many proxies as for SOP: each attraction is less than 1e-10 of the plateau, -2.6e10."""
    torch.manual_seed(0)
    loss = PotentialFieldLoss(11_318, 16, proxies_per_class=2, alpha=8, delta=0.05, collect_stats=True)
    generator = torch.Generator().manual_seed(1)
    embeddings, labels = torch.randn(128, 16, generator=generator), torch.arange(128)
    loss(embeddings, labels)
    proxies = torch.nn.functional.normalize(loss.proxies.detach().double()).view(-1, 2, 16)
    batch_points = torch.nn.functional.normalize(embeddings.double())
    apart = (proxies[:, 0] - proxies[:, 1]).norm(dim=1)
    to_own = (proxies[:128] - batch_points[:, None]).norm(dim=2)
    expected = -2 * (apart.pow(-8).sum() + to_own.pow(-8).sum()).item() / 22_764
    assert loss.attraction_energy == pytest.approx(expected, rel=1e-6)
