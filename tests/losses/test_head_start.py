import copy
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from pml_potential import initialize_head
from pml_potential.losses import NonFiniteError, head_start

CLASSES, WIDTH = 6, 12


def features_of(count: int = 90, dtype: torch.dtype = torch.float64) -> Tensor:
    """As of a pretrained trunk: all positive, with a mean that is larger than what tells them apart."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.rand(CLASSES, WIDTH, generator=generator, dtype=torch.float64)
    noise = torch.randn(count, WIDTH, generator=generator, dtype=torch.float64)
    labels = torch.arange(count) % CLASSES
    return (4 + centres[labels] + 0.1 * noise).to(dtype)


def head(outputs: int = 4, seed: int = 0, dtype: torch.dtype = torch.float64) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(WIDTH, outputs, dtype=dtype)


def axes_of(features: Tensor, count: int) -> Tensor:
    """By another way than that of the package: the singular vectors of the centred features."""
    centred = (features.double() - features.double().mean(dim=0)).numpy()
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    return torch.from_numpy(axes[:count])


def distances(linear: nn.Linear, features: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.pdist(normalize(linear(features)))


@pytest.mark.parametrize("count", [90, 8])
def test_rows_are_the_principal_axes_in_order(count: int) -> None:
    linear, features = head(), features_of(count)
    initialize_head(linear, features)
    cosines = normalize(linear.weight.detach()) @ axes_of(features, 4).T
    torch.testing.assert_close(cosines.abs(), torch.eye(4, dtype=torch.float64), atol=1e-9, rtol=0)


def test_embeddings_have_no_mean_and_their_variances_fall() -> None:
    linear, features = head(), features_of()
    initialize_head(linear, features)
    embeddings = linear(features).detach()
    torch.testing.assert_close(embeddings.mean(dim=0), torch.zeros(4, dtype=torch.float64))
    assert all(first > second for first, second in pairwise(embeddings.var(dim=0).tolist()))


def test_embeddings_are_the_centred_features_on_their_axes() -> None:
    linear, features = head(WIDTH), features_of()
    initialize_head(linear, features)
    # All axes together are a rotation, which keeps every distance.
    length = linear.weight.detach().norm(dim=1)[0]
    expected = torch.pdist(features) * length
    torch.testing.assert_close(torch.pdist(linear(features).detach()), expected)


@pytest.mark.parametrize("seed", range(3))
def test_points_are_farther_apart_than_behind_a_random_head(seed: int) -> None:
    linear, features = head(seed=seed), features_of()
    assert distances(linear, features).median() < 0.2
    initialize_head(linear, features)
    assert distances(linear, features).median() > 1.2


def test_weights_stay_as_large_as_they_were() -> None:
    linear = head()
    before = linear.weight.detach().norm()
    initialize_head(linear, features_of())
    assert linear.weight.norm().item() == pytest.approx(before.item())
    lengths = linear.weight.detach().norm(dim=1)
    torch.testing.assert_close(lengths, lengths[:1].expand(4))


def test_a_head_of_zeros_gets_axes_of_length_one() -> None:
    linear = head()
    nn.init.zeros_(linear.weight)
    initialize_head(linear, features_of())
    torch.testing.assert_close(linear.weight.detach().norm(dim=1), torch.ones(4, dtype=torch.float64))


def test_the_largest_entry_of_each_axis_is_positive() -> None:
    linear = head(WIDTH)
    initialize_head(linear, features_of())
    weight = linear.weight.detach()
    assert (weight.gather(1, weight.abs().argmax(dim=1, keepdim=True)) > 0).all()


def test_the_head_depends_on_nothing_but_features_and_the_size_of_its_weights() -> None:
    found = []
    for seed in (0, 1):
        linear = head(seed=seed)
        nn.init.constant_(linear.bias, seed)
        with torch.no_grad():
            linear.weight.copy_(normalize(linear.weight))
        state = torch.get_rng_state()
        initialize_head(linear, features_of())
        assert torch.get_rng_state().equal(state)
        found.append(copy.deepcopy(linear.state_dict()))
    torch.testing.assert_close(found[0], found[1])


def test_a_second_call_changes_nothing() -> None:
    linear = head()
    initialize_head(linear, features_of())
    before = copy.deepcopy(linear.state_dict())
    initialize_head(linear, features_of())
    torch.testing.assert_close(linear.state_dict(), before)


def test_features_are_added_up_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, in_parts = head(), head()
    initialize_head(whole, features_of())
    monkeypatch.setattr(head_start, "_ROWS_AT_A_TIME", 7)
    initialize_head(in_parts, features_of())
    torch.testing.assert_close(whole.state_dict(), in_parts.state_dict())


def test_a_large_mean_costs_no_digits() -> None:
    """In float32 the squares of 10^4 would drown variances of 1."""
    linear, features = head(dtype=torch.float32), (10_000 + features_of()).float()
    initialize_head(linear, features)
    cosines = normalize(linear.weight.detach().double()) @ axes_of(features, 4).T
    torch.testing.assert_close(cosines.abs(), torch.eye(4, dtype=torch.float64), atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_head_keeps_its_dtype_and_its_parameters(dtype: torch.dtype) -> None:
    linear = head(dtype=dtype)
    parameters = [linear.weight, linear.bias]
    features = features_of(dtype=dtype).requires_grad_()
    initialize_head(linear, features)
    assert [linear.weight, linear.bias] == parameters
    assert all(each.dtype == dtype and each.requires_grad for each in parameters)
    assert features.grad is None
    assert linear.weight.grad_fn is None
    expected = axes_of(features.detach(), 4)
    cosines = normalize(linear.weight.detach().double()) @ expected.T
    assert (cosines.abs().diagonal() > 0.99).all()


@pytest.mark.parametrize(
    ("features", "rank"),
    [
        (features_of(3), 2),
        (features_of()[:, :2] @ torch.rand(2, WIDTH, dtype=torch.float64), 2),
        ((features_of()[:, :2] @ torch.rand(2, WIDTH, dtype=torch.float64)).float(), 2),
        (features_of(2), 1),
    ],
    ids=["few samples", "small rank", "small rank in float32", "two samples"],
)
def test_rows_without_an_axis_keep_their_weights_and_this_is_said(features: Tensor, rank: int) -> None:
    linear = head()
    before = linear.weight.detach().clone()
    message = (
        rf"have rank {rank} around their mean, and the head has 4 outputs; the last {4 - rank} keep "
        "their weights"
    )
    with pytest.warns(UserWarning, match=message) as caught:
        initialize_head(linear, features)
    assert caught[0].filename == __file__
    weight = linear.weight.detach()
    assert weight[rank:].equal(before[rank:])
    cosines = normalize(weight[:rank]) @ axes_of(features, rank).T
    torch.testing.assert_close(cosines.abs(), torch.eye(rank, dtype=torch.float64), atol=1e-6, rtol=0)
    torch.testing.assert_close(
        linear(features.double()).detach().mean(dim=0),
        torch.zeros(4, dtype=torch.float64),
        atol=1e-9,
        rtol=0,
    )


def test_untrained_embeddings_find_their_class_more_often_than_behind_a_random_head() -> None:
    features, labels = features_of(600), torch.arange(600) % CLASSES
    found = []
    for is_started in (False, True):
        linear = head(outputs=3)
        if is_started:
            initialize_head(linear, features)
        embeddings = normalize(linear(features).detach())
        apart = torch.cdist(embeddings, embeddings).fill_diagonal_(9)
        found.append((labels[apart.argmin(dim=1)] == labels).double().mean().item())
    assert found[1] > found[0] + 0.05


@pytest.mark.parametrize(
    ("linear", "features", "error", "message"),
    [
        (nn.Identity(), features_of(), TypeError, "linear is a Identity; it must be a torch.nn.Linear"),
        (nn.Linear(WIDTH, 4, bias=False), features_of(), ValueError, "linear has no bias.*bias=True"),
        (head(), features_of()[:, :5], ValueError, r"features has shape \(90, 5\).*12"),
        (head(), features_of()[0], ValueError, r"features has shape \(12,\)"),
        (head(), features_of()[:0], ValueError, r"features has shape \(0, 12\)"),
        (head(), features_of().long(), TypeError, "features has dtype torch.int64"),
        (head(), features_of().numpy(), TypeError, "features is a ndarray"),
        (head(), features_of()[:1], ValueError, "all 1 features are the same"),
        (head(), features_of()[:1].expand(9, -1), ValueError, "all 9 features are the same"),
        (head(), features_of().fill_(torch.nan), NonFiniteError, r"features\[0\] has the norm nan"),
    ],
)
def test_what_gives_no_axes_is_refused_and_the_head_stays_as_it_was(
    linear: nn.Linear, features: Tensor, error: type[Exception], message: str
) -> None:
    before = copy.deepcopy(linear.state_dict())
    with pytest.raises(error, match=message):
        initialize_head(linear, features)
    torch.testing.assert_close(linear.state_dict(), before)


def test_a_parametrized_head_is_refused() -> None:
    linear = nn.utils.parametrizations.weight_norm(head())
    with pytest.raises(ValueError, match=r"linear\.weight is computed.*before"):
        initialize_head(linear, features_of())
