"""Parameters with rows for each class, as further classes come."""

from typing import Any

import pytest
import torch
from pytorch_metric_learning.utils.common_functions import TorchInitWrapper
from torch import Tensor

from pml_potential.losses.class_vectors_loss import ClassVectorsLoss
from tests.losses.class_growth import (
    ADDED,
    ALL_CLASSES,
    OPTIMIZERS,
    batch_of_all_classes,
    built_large,
    grown,
    one_step,
)
from tests.losses.loss_cases import (
    EMBEDDING_SIZE,
    NUM_CLASSES,
    all_gradients,
    batch,
    build,
    each_field_loss,
    each_loss_with_parameters,
)

each_optimizer = pytest.mark.parametrize(("optimizer_class", "settings"), OPTIMIZERS)


class Corners(ClassVectorsLoss):
    """Rows are numbered as they are made; the numbers of classes that it was fitted to are noted."""

    def __init__(self, vectors_per_class: int) -> None:
        self.fitted_to: list[int] = []
        super().__init__(3, 2, vectors_per_class, weight_init_func=number_the_rows)
        self.corners = self._vectors_of_all_classes()

    @property
    def class_vectors(self) -> torch.nn.Parameter:
        return self.corners

    def _fit_to_classes(self) -> None:
        self.fitted_to.append(self.num_classes)

    def compute_loss(self, *_: Any) -> dict[str, dict[str, Any]]:
        return {"loss": {"losses": 0, "indices": None, "reduction_type": "already_reduced"}}


def number_the_rows(vectors: Tensor) -> None:
    vectors.copy_(torch.arange(float(len(vectors)))[:, None].expand_as(vectors))


@pytest.mark.parametrize("per_class", [1, 2])
def test_the_parameter_has_the_name_of_the_subclass_and_so_many_rows_a_class(per_class: int) -> None:
    loss = Corners(per_class)
    ((name, parameter),) = loss.named_parameters()
    assert name == "corners"
    assert loss.class_vectors is parameter
    assert parameter[:, 1].tolist() == list(range(3 * per_class))


def test_without_vectors_there_is_an_empty_tensor_and_no_parameter() -> None:
    loss = Corners(0)
    assert list(loss.parameters()) == []
    assert loss.corners.shape == (0, 2)


@pytest.mark.parametrize("per_class", [0, 2])
def test_a_loss_is_fitted_to_its_classes_whenever_there_are_more(per_class: int) -> None:
    loss = Corners(per_class)
    loss.add_classes(2)
    loss.add_classes(1)
    assert loss.fitted_to == [5, 6]


def test_new_rows_come_after_those_there_are_and_from_the_same_function() -> None:
    loss = Corners(2)
    loss.add_classes(2)
    assert loss.corners[:, 0].tolist() == [0, 1, 2, 3, 4, 5, 0, 1, 2, 3]


def test_moments_grow_by_zeros_and_step_counts_stay() -> None:
    loss = Corners(1)
    optimizer = torch.optim.Adam(loss.parameters(), lr=0.1)
    loss.corners.grad = torch.ones_like(loss.corners)
    optimizer.step()
    before = {name: value.clone() for name, value in optimizer.state[loss.corners].items()}
    loss.add_classes(2, optimizer)
    after = optimizer.state[loss.corners]
    assert after["step"] == before["step"] == 1
    for name in ("exp_avg", "exp_avg_sq"):
        assert after[name][:3].equal(before[name])
        assert after[name].shape == (5, 2)
        assert after[name][3:].count_nonzero() == 0


@each_loss_with_parameters
def test_an_optimizer_that_has_not_stepped_may_be_handed_over(loss_class: Any) -> None:
    loss = build(loss_class)
    optimizer = torch.optim.Adam(loss.parameters(), lr=0.01)
    loss.add_classes(ADDED, optimizer)
    large = built_large(loss)
    expected = one_step(large, torch.optim.Adam(large.parameters(), lr=0.01))
    torch.testing.assert_close(one_step(loss, optimizer), expected)


@each_loss_with_parameters
def test_what_was_learnt_stays(loss_class: Any) -> None:
    loss = build(loss_class, weight_init_func=TorchInitWrapper(torch.nn.init.constant_, val=2.5))
    (parameter,) = loss.parameters()
    parameter.data.normal_()
    learnt = parameter.detach().clone()
    loss.add_classes(ADDED)
    assert next(loss.parameters()) is parameter
    assert parameter.requires_grad
    assert parameter[: len(learnt)].equal(learnt)
    assert parameter.shape == (len(learnt) * ALL_CLASSES // NUM_CLASSES, EMBEDDING_SIZE)
    assert (parameter[len(learnt) :] == 2.5).all()
    assert loss.num_classes == ALL_CLASSES


@each_loss_with_parameters
def test_a_loss_that_grew_twice(loss_class: Any) -> None:
    loss = build(loss_class)
    loss.add_classes(1)
    loss(*batch(classes=(0, 4)))
    loss.add_classes(ADDED - 1)
    expected = all_gradients(built_large(loss), *batch_of_all_classes())
    torch.testing.assert_close(all_gradients(loss, *batch_of_all_classes()), expected)


@each_field_loss
def test_new_classes_have_proxies_of_their_own(loss_class: Any) -> None:
    loss = grown(loss_class)
    assert loss.proxy_labels.equal(torch.arange(ALL_CLASSES).repeat_interleave(2))
    before = loss.proxies.detach().clone()
    loss.initialize_proxies(*batch(classes=(5,)))
    changed = (loss.proxies != before).any(dim=1)
    assert changed.nonzero().flatten().tolist() == [10, 11]


@each_field_loss
def test_a_loss_without_proxies_grows(loss_class: Any) -> None:
    loss = build(loss_class, proxies_per_class=0)
    loss.add_classes(ADDED)
    large = build(loss_class, proxies_per_class=0, num_classes=ALL_CLASSES)
    assert loss(*batch_of_all_classes()) == large(*batch_of_all_classes())


@each_loss_with_parameters
def test_logits_of_a_grown_loss(loss_class: Any) -> None:
    loss = grown(loss_class)
    embeddings, _ = batch()
    found = loss.get_logits(embeddings)
    torch.testing.assert_close(found, built_large(loss).get_logits(embeddings))
    assert found.shape == (len(embeddings), ALL_CLASSES)


@each_loss_with_parameters
def test_a_stale_gradient_is_gone(loss_class: Any) -> None:
    loss = build(loss_class)
    loss(*batch()).backward()
    loss.add_classes(ADDED)
    assert all(parameter.grad is None for parameter in loss.parameters())


@each_loss_with_parameters
def test_a_loss_grows_while_the_last_step_is_remembered(loss_class: Any) -> None:
    """In a plain loop the variable with the last value outlives its step."""
    loss = build(loss_class)
    value = loss(*batch())
    value.backward()
    loss.add_classes(ADDED)
    embeddings, labels = batch_of_all_classes()
    loss(embeddings, labels).backward()
    assert value.isfinite()
    found = [embeddings.grad, *(parameter.grad for parameter in loss.parameters())]
    expected = all_gradients(built_large(loss), embeddings, labels)[1:]
    torch.testing.assert_close(found, expected)


@each_optimizer
@each_loss_with_parameters
def test_an_optimizer_goes_on(loss_class: Any, optimizer_class: Any, settings: dict[str, Any]) -> None:
    loss = build(loss_class)
    (parameter,) = loss.parameters()
    optimizer = optimizer_class([parameter], lr=0.01, **settings)
    all_gradients(loss, *batch())
    optimizer.step()
    loss.add_classes(ADDED)
    optimizer.state.pop(parameter, None)
    large = built_large(loss)
    expected = one_step(large, optimizer_class(large.parameters(), lr=0.01, **settings))
    torch.testing.assert_close(one_step(loss, optimizer), expected)


@each_optimizer
@each_loss_with_parameters
def test_an_optimizer_that_remembers_the_old_shape_stops(
    loss_class: Any, optimizer_class: Any, settings: dict[str, Any]
) -> None:
    loss = build(loss_class)
    optimizer = optimizer_class(loss.parameters(), lr=0.01, **settings)
    all_gradients(loss, *batch())
    optimizer.step()
    loss.add_classes(ADDED)
    with pytest.raises(RuntimeError, match="size of tensor"):
        one_step(loss, optimizer)


@pytest.mark.parametrize(
    ("count", "error", "message"),
    [
        (0, ValueError, "count is 0; it must be at least 1"),
        (-1, ValueError, "count is -1; it must be at least 1"),
        (True, TypeError, "count is True; it must be an integer"),
        (1.5, TypeError, "count is 1.5; it must be an integer"),
        (None, TypeError, "count is None; it must be an integer"),
    ],
)
@each_loss_with_parameters
def test_bad_count_of_classes(loss_class: Any, count: Any, error: Any, message: str) -> None:
    loss = build(loss_class)
    with pytest.raises(error, match=message):
        loss.add_classes(count)
    assert loss.num_classes == NUM_CLASSES
    assert loss(*batch()) == build(loss_class)(*batch())
