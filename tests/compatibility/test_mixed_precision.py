"""The losses in other precisions, and under autocast with scaled gradients."""

from typing import Any

import pytest
import torch
from torch import Tensor

from pml_potential import PotentialFieldLoss
from tests.compatibility.formulas import value_by_formula
from tests.compatibility.network_and_loss import (
    NetworkAndLoss,
    gradients,
    rebuilt,
    system,
    values,
)
from tests.losses.loss_cases import (
    EMBEDDING_SIZE,
    LOSSES,
    all_gradients,
    batch,
    batch_with_core_pair,
    build,
    each_loss,
)


def feature(name: str, note: str = "") -> pytest.MarkDecorator:
    return pytest.mark.feature("PyTorch", name, note)


half_precisions = pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
gradient_scaler = feature("`torch.amp.GradScaler`", "one optimizer for network and loss")
to_dtype = feature("`.to(dtype)`", "a loss in half precision still computes in float32")


@pytest.mark.parametrize(
    ("dtype", "rounding"),
    [
        pytest.param(torch.bfloat16, 2**-8, marks=feature("autocast to bfloat16")),
        pytest.param(
            torch.float16,
            2**-11,
            marks=feature("autocast to float16", "with `torch.amp.GradScaler`"),
        ),
    ],
)
@each_loss
def test_autocast_around_network_and_loss(loss_class: Any, dtype: torch.dtype, rounding: float) -> None:
    both = system(loss_class)
    inputs, labels = batch()
    with torch.autocast("cpu", dtype=dtype):
        embeddings = both.network(inputs)
        embeddings.retain_grad()
        value = both.loss(embeddings, labels)
    value.backward()
    found = [value.detach(), embeddings.grad, *gradients(both.loss)]
    expected = all_gradients(build(loss_class), embeddings.float(), labels)
    # The gradient of near points is infinite in float16.
    expected[1] = expected[1].to(dtype)
    torch.testing.assert_close(found, expected)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(both(inputs, labels).item(), rel=100 * rounding)


def scaled_step(both: NetworkAndLoss, scaler: Any, inputs: Tensor, labels: Tensor) -> None:
    optimizer = torch.optim.SGD(both.parameters(), lr=0.01)
    optimizer.zero_grad()
    with torch.autocast("cpu", dtype=torch.float16):
        value = both(inputs, labels)
    scaler.scale(value).backward()
    scaler.step(optimizer)
    scaler.update()


@gradient_scaler
@pytest.mark.parametrize(
    ("loss_class", "settings"),
    [(PotentialFieldLoss, {"alpha": 1}), *((each, {}) for each in LOSSES[1:])],
)
def test_scaled_steps_are_those_without_scaling(loss_class: Any, settings: dict[str, Any]) -> None:
    scaled, plain = system(loss_class, **settings), system(loss_class, **settings)
    scaler = torch.amp.GradScaler("cpu", init_scale=64.0)
    identity = torch.amp.GradScaler("cpu", enabled=False)
    for seed in range(4):
        scaled_step(scaled, scaler, *batch(seed=seed))
        scaled_step(plain, identity, *batch(seed=seed))
    assert scaler.get_scale() == 64
    torch.testing.assert_close(values(scaled), values(plain), rtol=1e-3, atol=1e-4)


@gradient_scaler
@pytest.mark.parametrize(
    ("loss_class", "scale"), [(PotentialFieldLoss, 1.0), *((each, 2.0**40) for each in LOSSES)]
)
def test_scale_is_lowered_where_a_gradient_overflows(loss_class: Any, scale: float) -> None:
    # The paper's repulsion overflows without being scaled.
    both = system(loss_class, **({"core_radius": 0.01} if scale == 1.0 else {}))
    both.network.weight.data = torch.eye(EMBEDDING_SIZE)
    both.network.bias.data.zero_()
    before = values(both)
    scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    scaled_step(both, scaler, *batch_with_core_pair())
    assert scaler.get_scale() == scale / 2
    assert all(a.equal(b) for a, b in zip(values(both), before, strict=True))


@gradient_scaler
@each_loss
def test_training_goes_on_after_a_scale_was_too_large(loss_class: Any) -> None:
    both = system(loss_class)
    before = values(both)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**30)
    for seed in range(40):
        scaled_step(both, scaler, *batch(seed=seed))
    assert scaler.get_scale() < 2**30
    assert all(each.isfinite().all() for each in values(both))
    assert not any(a.equal(b) for a, b in zip(values(both), before, strict=True))


@to_dtype
@each_loss
def test_a_loss_in_float64_is_its_formula(loss_class: Any) -> None:
    loss = build(loss_class).to(torch.float64)
    embeddings, labels = batch(torch.float64)
    value = loss(embeddings, labels)
    assert value.dtype == torch.float64
    assert value.item() == pytest.approx(value_by_formula(loss, embeddings, labels), rel=1e-10)


@to_dtype
@each_loss
def test_type_is_to(loss_class: Any) -> None:
    """``type`` casts integers, too."""
    loss = build(loss_class).type(torch.float64)
    expected = all_gradients(build(loss_class).to(torch.float64), *batch(torch.float64))
    torch.testing.assert_close(all_gradients(loss, *batch(torch.float64)), expected)


@to_dtype
@half_precisions
@each_loss
def test_a_loss_in_half_precision_computes_in_float32(loss_class: Any, dtype: torch.dtype) -> None:
    rounded = build(loss_class).to(dtype)
    value, *found = all_gradients(rounded, *batch(dtype))
    expected_value, *expected = all_gradients(rebuilt(rounded), *batch(dtype))
    assert value.dtype == torch.float32
    assert {each.dtype for each in found} == {dtype}
    torch.testing.assert_close(value, expected_value)
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-3, check_dtype=False)
