from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from pml_potential.losses.proxy_start import class_centres
from tests.losses.loss_cases import build, each_field_loss

CENTRES = torch.tensor([[3.0, 0.0], [0.0, 2.0], [-1.0, -1.0]])


def members_of_groups(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Seven members around each of three centres, and the mean of each group."""
    noise = 0.05 * torch.randn(7, 3, 2, generator=torch.Generator().manual_seed(0)).double()
    members = (CENTRES + noise).to(dtype)
    return members.flatten(0, 1), members.double().mean(dim=0)


def in_order(points: Tensor) -> list[list[float]]:
    return sorted(points.tolist())


@pytest.mark.parametrize("seed", range(3))
def test_centres_are_the_means_of_the_groups(seed: int) -> None:
    members, means = members_of_groups()
    torch.manual_seed(seed)
    found = torch.tensor(in_order(class_centres(members, 3)), dtype=torch.float64)
    torch.testing.assert_close(found, torch.tensor(in_order(means), dtype=torch.float64))


def test_one_centre_is_the_mean_and_counts_duplicates() -> None:
    members = torch.tensor([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    torch.testing.assert_close(class_centres(members, 1), torch.tensor([[1 / 3, 2 / 3]]))


@pytest.mark.parametrize("count", [3, 4, 9])
def test_few_distinct_members_are_all_there_and_nothing_else_is(count: int) -> None:
    found = class_centres(CENTRES[[0, 1, 1, 2, 0]], count)
    assert len(found) == count
    assert found.unique(dim=0).equal(CENTRES.unique(dim=0))


def test_members_are_repeated_at_random() -> None:
    torch.manual_seed(0)
    extra = class_centres(CENTRES, 303)[3:]
    _, counts = extra.unique(dim=0, return_counts=True)
    # Five standard deviations of a binomial with n = 300 and p = 1/3.
    assert (counts - 100).abs().max() < 5 * (300 * 2 / 9) ** 0.5


def test_a_centre_at_the_origin_gives_way_to_the_first_member() -> None:
    members = torch.tensor([[0.6, 0.8], [-0.6, -0.8]])
    assert class_centres(members, 1).equal(members[:1])


def test_the_seed_of_torch_decides() -> None:
    members = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        found.append(class_centres(members, 5))
    assert found[0].equal(found[1])
    assert not found[0].equal(found[2])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("count", [2, 30])
def test_centres_have_the_dtype_of_the_members(dtype: torch.dtype, count: int) -> None:
    found = class_centres(members_of_groups(dtype)[0], count)
    assert found.dtype == dtype
    assert found.shape == (count, 2)


def test_members_are_left_as_they_were() -> None:
    members, _ = members_of_groups()
    class_centres(members, 2)
    assert members.equal(members_of_groups()[0])


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
