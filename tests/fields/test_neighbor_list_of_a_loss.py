import copy
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from pml_potential import CPMLLoss, PotentialFieldLoss
from pml_potential.fields import energy
from tests.fields.field_cases import random_points


@pytest.fixture(autouse=True, scope="module")
def few_points_are_searched() -> Iterator[None]:
    """The tests' points are few; lists are for the search among many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(energy, "_FEW_POINTS", 0)
        yield


@pytest.fixture(params=[PotentialFieldLoss, CPMLLoss])
def used_loss(request: pytest.FixtureRequest) -> Any:
    """A loss that holds a list."""
    torch.manual_seed(0)
    loss = request.param(num_classes=50, embedding_size=3, proxies_per_class=2, delta=0.1)
    loss(random_points(8, 3), torch.arange(8))
    assert loss._neighbor_list._listed is not None
    return loss


each_copy = pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])


@each_copy
def test_a_copy_of_a_loss_has_its_own_list(used_loss: Any, copied: Callable[[Any], Any]) -> None:
    other = copied(used_loss)
    batch = random_points(8, 3, seed=1), torch.arange(8)
    assert other(*batch) == used_loss(*batch)
    listed = used_loss._neighbor_list._listed
    other.proxies.data.copy_(random_points(100, 3, seed=2))
    other(*batch)
    assert used_loss._neighbor_list._listed is listed
    assert other._neighbor_list._listed is not listed


def test_a_loss_reuses_its_list(used_loss: Any, searches: list[tuple[int, int]]) -> None:
    optimizer = torch.optim.SGD(used_loss.parameters(), lr=1e-9)
    for seed in range(3):
        used_loss(random_points(8, 3, seed=seed), torch.arange(8)).backward()
        optimizer.step()
    assert [size for size in searches if 0 not in size] == [(8, 108)] * 3


def test_what_a_list_has_seen_changes_no_bit_of_a_loss(used_loss: Any) -> None:
    fresh = type(used_loss)(num_classes=50, embedding_size=3, proxies_per_class=2, delta=0.1)
    used_loss.proxies.data += 0.002 * random_points(100, 3, seed=3)
    fresh.load_state_dict(used_loss.state_dict())
    batch = random_points(8, 3, seed=1), torch.arange(8)
    for loss in (used_loss, fresh):
        loss(*batch).backward()
    assert used_loss(*batch) == fresh(*batch)
    assert used_loss.proxies.grad.equal(fresh.proxies.grad)
