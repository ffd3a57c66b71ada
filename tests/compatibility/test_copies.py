"""The losses as copies and checkpoints, and training that goes on from them."""

import copy
import io
import pickle
from typing import Any

import pytest
import torch

from tests.compatibility.network_and_loss import (
    move,
    rebuilt,
    system,
    train,
    values,
)
from tests.losses.loss_cases import (
    all_gradients,
    batch,
    build,
    each_loss,
)


def feature(name: str, note: str = "") -> pytest.MarkDecorator:
    return pytest.mark.feature("PyTorch", name, note)


def loaded(state: Any, loss_class: Any) -> Any:
    loss = build(loss_class)
    loss.load_state_dict(state)
    return loss


def by_pickle(loss: Any) -> Any:
    return pickle.loads(pickle.dumps(loss))


def by_state_dict(loss: Any) -> Any:
    return loaded(copy.deepcopy(loss.state_dict()), type(loss))


def by_file(loss: Any) -> Any:
    file = io.BytesIO()
    torch.save(loss.state_dict(), file)
    file.seek(0)
    return loaded(torch.load(file, weights_only=True), type(loss))


each_way_to_copy = pytest.mark.parametrize(
    "duplicate",
    [
        pytest.param(copy.deepcopy, marks=feature("`copy.deepcopy`")),
        pytest.param(by_pickle, marks=feature("pickling")),
        pytest.param(by_state_dict, marks=feature("`state_dict`")),
        pytest.param(
            by_file, marks=feature("`torch.save` and `torch.load`", "with `weights_only=True`")
        ),
    ],
)


@each_way_to_copy
@each_loss
def test_a_copy_of_a_trained_loss_is_the_loss(loss_class: Any, duplicate: Any) -> None:
    loss = build(loss_class)
    move(loss)
    torch.testing.assert_close(
        all_gradients(duplicate(loss), *batch()), all_gradients(rebuilt(loss), *batch())
    )


@each_way_to_copy
@each_loss
def test_training_a_copy_leaves_the_original_alone(loss_class: Any, duplicate: Any) -> None:
    loss = build(loss_class)
    move(loss)
    expected = all_gradients(loss, *batch())
    other = duplicate(loss)
    move(other)
    torch.testing.assert_close(all_gradients(loss, *batch()), expected)
    torch.testing.assert_close(all_gradients(other, *batch()), all_gradients(rebuilt(other), *batch()))


@feature("`torch.save` and `torch.load`", "with `weights_only=True`")
@each_loss
def test_training_resumes_from_a_file(loss_class: Any) -> None:
    straight, resumed = system(loss_class), system(loss_class)
    optimizer = torch.optim.Adam(straight.parameters(), lr=0.01)
    train(straight, optimizer, range(3))
    file = io.BytesIO()
    torch.save({"model": straight.state_dict(), "optimizer": optimizer.state_dict()}, file)
    train(straight, optimizer, range(3, 6))

    file.seek(0)
    checkpoint = torch.load(file, weights_only=True)
    optimizer = torch.optim.Adam(resumed.parameters(), lr=0.01)
    resumed.load_state_dict(checkpoint["model"])
    optimizer.load_state_dict(checkpoint["optimizer"])
    train(resumed, optimizer, range(3, 6))
    torch.testing.assert_close(values(resumed), values(straight))
