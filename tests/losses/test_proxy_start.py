import time
from typing import Any

import pytest
import torch
from sklearn.cluster import KMeans
from torch import Tensor
from torch.nn.functional import normalize

from pml_potential.losses import proxy_start
from pml_potential.losses.proxy_start import class_centres
from tests.losses.loss_cases import build, each_field_loss

CENTRES = torch.tensor([[3.0, 0.0], [0.0, 2.0], [-1.0, -1.0]])


def members_of_groups(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Seven members around each of three centres, and the mean of each group."""
    noise = 0.05 * torch.randn(7, 3, 2, generator=torch.Generator().manual_seed(0)).double()
    members = (CENTRES + noise).to(dtype)
    return members.flatten(0, 1), members.double().mean(dim=0)


def centres_of(members: Tensor, count: int) -> Tensor:
    """Those of a single class."""
    classes, centres = class_centres(members, torch.full((len(members),), 7), count)
    assert classes.tolist() == [7]
    return centres[0]


def classes_of(sizes: list[int], width: int = 8, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Unit vectors around three points a class, in random order."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    points = torch.randn(len(sizes), 3, width, generator=generator)
    which = torch.randint(3, (len(labels),), generator=generator)
    noise = 0.7 * torch.randn(len(labels), width, generator=generator)
    order = torch.randperm(len(labels), generator=generator)
    return normalize(points[labels, which] + noise)[order], labels[order]


def inertia(members: Tensor, centres: Tensor) -> float:
    return torch.cdist(members, centres).amin(dim=1).square().sum().item()


def in_order(points: Tensor) -> list[list[float]]:
    return sorted(points.tolist())


@pytest.mark.parametrize("seed", range(3))
def test_centres_are_the_means_of_the_groups(seed: int) -> None:
    members, means = members_of_groups()
    torch.manual_seed(seed)
    found = torch.tensor(in_order(centres_of(members, 3)), dtype=torch.float64)
    torch.testing.assert_close(found, torch.tensor(in_order(means), dtype=torch.float64))


def test_one_centre_is_the_mean_and_counts_duplicates() -> None:
    members = torch.tensor([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    torch.testing.assert_close(centres_of(members, 1), torch.tensor([[1 / 3, 2 / 3]]))


@pytest.mark.parametrize("count", [3, 4, 9])
def test_few_distinct_members_are_all_there_and_nothing_else_is(count: int) -> None:
    found = centres_of(CENTRES[[0, 1, 1, 2, 0]], count)
    assert len(found) == count
    assert found.unique(dim=0).equal(CENTRES.unique(dim=0))


def test_members_are_repeated_at_random() -> None:
    torch.manual_seed(0)
    extra = centres_of(CENTRES[[0, 1, 1, 1, 1, 2]], 303)[3:]
    _, counts = extra.unique(dim=0, return_counts=True)
    # Five standard deviations of a binomial with n = 300 and p = 1/3.
    assert (counts - 100).abs().max() < 5 * (300 * 2 / 9) ** 0.5


def test_a_centre_at_the_origin_gives_way_to_the_first_member() -> None:
    members = torch.tensor([[0.6, 0.8], [-0.6, -0.8]])
    assert centres_of(members, 1).equal(members[:1])


def test_the_seed_of_torch_decides() -> None:
    members = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(centres_of(members, 5))
    assert found[0].equal(found[1])
    assert not found[0].equal(found[2])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("count", [2, 30])
def test_centres_have_the_dtype_of_the_members(dtype: torch.dtype, count: int) -> None:
    found = centres_of(members_of_groups(dtype)[0], count)
    assert found.dtype == dtype
    assert found.shape == (count, 2)


def test_members_are_left_as_they_were() -> None:
    members, _ = members_of_groups()
    centres_of(members, 2)
    assert members.equal(members_of_groups()[0])


@pytest.mark.parametrize("sizes", [[1], [9, 1, 4, 4, 30, 2, 5, 9, 17], [6] * 40])
@pytest.mark.parametrize("numbers_at_a_time", [1, 400, 2**23])
def test_every_class_gets_what_it_gets_alone(
    monkeypatch: pytest.MonkeyPatch, sizes: list[int], numbers_at_a_time: int
) -> None:
    """One centre leaves nothing to chance, and as many as there are members do not either."""
    monkeypatch.setattr(proxy_start, "_NUMBERS_AT_A_TIME", numbers_at_a_time)
    embeddings, labels = classes_of(sizes)
    classes, means = class_centres(embeddings, 3 * labels, 1)
    assert classes.tolist() == list(range(0, 3 * len(sizes), 3))
    _, everything = class_centres(embeddings, labels, max(sizes))
    for label in range(len(sizes)):
        members = embeddings[labels == label]
        torch.testing.assert_close(means[label, 0], members.mean(dim=0))
        assert everything[label].unique(dim=0).equal(members.unique(dim=0))


def test_what_fills_up_a_class_has_no_part_in_its_seeds() -> None:
    members, _ = classes_of([8] * 50)
    members = members.view(50, 8, -1)
    padded = torch.cat([members, members[:, -1:].expand(-1, 2, -1)], dim=1)
    is_member = (torch.arange(10) < 8).expand(50, -1)
    torch.manual_seed(0)
    expected, _ = proxy_start._seeds(members, is_member[:, :8], 5)
    torch.manual_seed(0)
    assert proxy_start._seeds(padded, is_member, 5)[0].equal(expected)


def test_classes_of_few_distinct_members_are_found_among_others() -> None:
    embeddings, labels = classes_of([12, 12, 12])
    embeddings[labels == 1] = embeddings[labels == 1][torch.arange(12) % 2]
    _, centres = class_centres(embeddings, labels, 4)
    assert centres[1].unique(dim=0).equal(embeddings[labels == 1].unique(dim=0))
    assert len(centres[0].unique(dim=0)) == len(centres[2].unique(dim=0)) == 4


@pytest.mark.parametrize(("size", "count"), [(6, 2), (30, 3), (59, 15)])
def test_centres_are_as_good_as_those_of_scikit_learn(size: int, count: int) -> None:
    embeddings, labels = classes_of([size] * 150, width=16)
    torch.manual_seed(0)
    _, centres = class_centres(embeddings, labels, count)
    found = expected = 0.0
    for label in range(150):
        members = embeddings[labels == label].double()
        found += inertia(members, centres[label].double())
        k_means = KMeans(count, n_init=1, random_state=label).fit(members.numpy())
        expected += k_means.inertia_
    assert found < 1.02 * expected


def test_each_centre_is_the_mean_of_the_members_that_are_nearest_to_it() -> None:
    embeddings, labels = classes_of([40] * 5)
    _, centres = class_centres(embeddings.double(), labels, 6)
    for label in range(5):
        members = embeddings[labels == label].double()
        nearest = torch.cdist(members, centres[label]).argmin(dim=1)
        for number in range(6):
            torch.testing.assert_close(centres[label, number], members[nearest == number].mean(dim=0))


def test_thousands_of_classes_take_no_time_each() -> None:
    """A call of scikit-learn takes 3 to 10 ms, this takes less than 0.1 on an idle core."""
    embeddings, labels = classes_of(torch.arange(2, 10).repeat(500).tolist(), width=32)
    start = time.process_time()
    class_centres(embeddings, labels, 2)
    assert time.process_time() - start < 2


@each_field_loss
def test_a_small_class_gives_all_its_embeddings(loss_class: Any) -> None:
    loss = build(loss_class, proxies_per_class=5)
    embeddings = torch.eye(3)[[0, 1, 1]]
    loss.initialize_proxies(embeddings, torch.tensor([2, 2, 2]))
    nearest = torch.cdist(normalize(loss.proxies.detach())[10:15], torch.eye(3))
    assert nearest.min(dim=1).values.max() < 1e-6
    assert set(nearest.argmin(dim=1).tolist()) == {0, 1}


@each_field_loss
def test_proxies_keep_their_norms_where_a_class_has_opposite_members(loss_class: Any) -> None:
    """The k-means centre of opposite points is zero, which has no direction."""
    loss = build(loss_class, proxies_per_class=1)
    norms = loss.proxies.detach().norm(dim=1)
    loss.initialize_proxies(torch.tensor([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]]), torch.tensor([0, 0]))
    torch.testing.assert_close(loss.proxies.detach().norm(dim=1), norms)
