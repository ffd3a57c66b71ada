"""The losses within what PyTorch does around a loss: precision, optimizers, checkpoints, compilation."""

import copy
import io
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from loss_cases import (
    EMBEDDING_SIZE,
    LOSSES,
    all_gradients,
    batch,
    batch_with_core_pair,
    build,
    each_field_loss,
    each_loss,
    each_loss_with_parameters,
)
from torch import Tensor
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from compatibility.formulas import value_by_formula
from pml_potential import ClassWiseMultiSimilarityLoss, PotentialFieldLoss


def feature(name: str, note: str = "") -> pytest.MarkDecorator:
    return pytest.mark.feature("PyTorch", name, note)


MOVE_THE_LOSS = "move the loss with `loss.to(device)` before its optimizer is made"
half_precisions = pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
gradient_scaler = feature("`torch.amp.GradScaler`", "one optimizer for network and loss")
gradient_accumulation = feature("gradient accumulation", "each part is a field of its own")
moving_average = feature("moving average of weights", "`AveragedModel` of network and loss")
to_dtype = feature("`.to(dtype)`", "a loss in half precision still computes in float32")
evaluation = feature("`torch.no_grad` and `torch.inference_mode`")
learning_rates = feature("learning rates per parameter group")
gradient_clipping = feature("gradient clipping", "`clip_grad_norm_` and `clip_grad_value_`")
functional_call = feature("`torch.func.functional_call`")


class NetworkAndLoss(torch.nn.Module):
    """What is trained together: a linear layer, and a loss of what comes out of it."""

    def __init__(self, loss: Any) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.network = torch.nn.Linear(EMBEDDING_SIZE, EMBEDDING_SIZE)
        self.loss = loss

    def forward(self, inputs: Tensor, labels: Tensor) -> Tensor:
        value: Tensor = self.loss(self.network(inputs.detach()), labels)
        return value


def system(loss_class: Any, **arguments: Any) -> NetworkAndLoss:
    return NetworkAndLoss(build(loss_class, **arguments))


def gradients(module: torch.nn.Module) -> list[Tensor]:
    return [parameter.grad for parameter in module.parameters() if parameter.grad is not None]


def values(module: torch.nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in module.parameters()]


def move(loss: Any, steps: int = 3) -> None:
    """Train the parameters of a loss."""
    for seed in range(steps):
        all_gradients(loss, *batch(seed=seed))
        for parameter in loss.parameters():
            parameter.data -= 0.3 * parameter.grad / parameter.grad.norm()


def rebuilt(loss: Any) -> Any:
    """The same loss without anything that it may have kept from earlier calls."""
    other = build(type(loss))
    for parameter, learnt in zip(other.parameters(), loss.parameters(), strict=True):
        parameter.data.copy_(learnt.data)
    return other


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
    both = system(loss_class)
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


@gradient_accumulation
@each_loss
def test_gradients_accumulate(loss_class: Any) -> None:
    both, first, second = (system(loss_class) for _ in range(3))
    both(*batch(seed=1)).backward()
    both(*batch(seed=2)).backward()
    first(*batch(seed=1)).backward()
    second(*batch(seed=2)).backward()
    parts = zip(gradients(first), gradients(second), strict=True)
    torch.testing.assert_close(gradients(both), [a + b for a, b in parts])


@gradient_accumulation
@each_field_loss
def test_parts_of_a_batch_are_not_the_batch(loss_class: Any) -> None:
    loss = build(loss_class)
    embeddings, labels = batch()
    whole = loss(embeddings, labels)
    parts = loss(embeddings[:6], labels[:6]) + loss(embeddings[6:], labels[6:])
    assert abs(parts / 2 - whole) > 0.01 * abs(whole)


@pytest.fixture
def compiling_anew() -> Iterator[None]:
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@feature("`torch.compile`", "the search for pairs stays outside the graph")
@pytest.mark.usefixtures("compiling_anew")
@each_loss
def test_a_loss_compiled_with_backend_eager(loss_class: Any) -> None:
    compiled = torch.compile(build(loss_class), backend="eager")
    torch.testing.assert_close(
        all_gradients(compiled, *batch()), all_gradients(build(loss_class), *batch())
    )


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


def train(both: NetworkAndLoss, optimizer: torch.optim.Optimizer, seeds: range) -> None:
    for seed in seeds:
        optimizer.zero_grad()
        both(*batch(seed=seed)).backward()
        optimizer.step()


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


@feature("embeddings on another device than the loss's")
@each_loss_with_parameters
def test_a_loss_with_parameters_elsewhere(loss_class: Any, refuses: Any) -> None:
    loss = build(loss_class).to("meta")
    with refuses(MOVE_THE_LOSS, "are on meta and the embeddings on cpu; move the loss with"):
        loss(*batch())


@feature("embeddings on another device than the loss's")
@pytest.mark.parametrize("loss_class", [ClassWiseMultiSimilarityLoss])
def test_a_loss_without_parameters_is_everywhere(loss_class: Any) -> None:
    assert build(loss_class).to("meta")(*batch()) == build(loss_class)(*batch())


@learning_rates
@each_loss
def test_each_group_moves_by_its_own_rate(loss_class: Any) -> None:
    both = system(loss_class)
    network, proxies = values(both.network), values(both.loss)
    optimizer = torch.optim.SGD(
        [
            {"params": both.network.parameters(), "lr": 0.01},
            {"params": both.loss.parameters(), "lr": 0.5},
        ]
    )
    both(*batch()).backward()
    optimizer.step()
    moved = [p - 0.01 * g for p, g in zip(network, gradients(both.network), strict=True)]
    moved += [p - 0.5 * g for p, g in zip(proxies, gradients(both.loss), strict=True)]
    torch.testing.assert_close(values(both), moved)


@moving_average
@each_loss
def test_average_of_weights_is_that_by_hand(loss_class: Any) -> None:
    both = system(loss_class)
    average = AveragedModel(both, multi_avg_fn=get_ema_multi_avg_fn(0.7))
    optimizer = torch.optim.SGD(both.parameters(), lr=0.01)
    average.update_parameters(both)
    expected = values(both)
    for seed in range(3):
        train(both, optimizer, range(seed, seed + 1))
        average.update_parameters(both)
        expected = [0.7 * e + 0.3 * p for e, p in zip(expected, values(both), strict=True)]
    torch.testing.assert_close(values(average), expected)
    by_hand = system(loss_class)
    for parameter, data in zip(by_hand.parameters(), expected, strict=True):
        parameter.data.copy_(data)
    torch.testing.assert_close(average(*batch()), by_hand(*batch()))


@moving_average
@pytest.mark.parametrize("decay", [0.9, 0.99, 0.9999])
@each_loss
def test_average_with_buffers_changes_no_class(loss_class: Any, decay: float) -> None:
    sizes: dict[str, Any] = {} if loss_class is ClassWiseMultiSimilarityLoss else {"num_classes": 300}
    both = system(loss_class, **sizes)
    average = AveragedModel(both, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
    for _ in range(20):
        average.update_parameters(both)
    torch.testing.assert_close(average(*batch()), both(*batch()))


@evaluation
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@each_loss
def test_value_without_gradient_is_that_with_it(loss_class: Any, mode: Any) -> None:
    loss = build(loss_class)
    with mode():
        value = loss(*batch())
    assert not value.requires_grad
    assert value == build(loss_class)(*batch())


@evaluation
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@each_loss
def test_training_goes_on_after_an_evaluation(loss_class: Any, mode: Any) -> None:
    loss = build(loss_class)
    move(loss)
    with mode():
        loss(*batch(size=30, seed=7))
    torch.testing.assert_close(all_gradients(loss, *batch()), all_gradients(rebuilt(loss), *batch()))


@gradient_clipping
@each_loss
def test_clipping_by_norm_keeps_the_direction(loss_class: Any) -> None:
    both = system(loss_class)
    both(*batch_with_core_pair()).backward()
    before = gradients(both)
    norm = torch.linalg.vector_norm(torch.cat([each.flatten() for each in before]).double())
    before = [each.clone() for each in before]
    assert clip_grad_norm_(both.parameters(), 0.01).item() == pytest.approx(norm.item(), rel=1e-4)
    factor = (0.01 / norm).float()
    torch.testing.assert_close(gradients(both), [each * factor for each in before], rtol=1e-3, atol=0)


@gradient_clipping
@each_loss
def test_clipping_by_value_cuts_each_number(loss_class: Any) -> None:
    both = system(loss_class)
    both(*batch_with_core_pair()).backward()
    expected = [each.clamp(-0.01, 0.01) for each in gradients(both)]
    clip_grad_value_(both.parameters(), 0.01)
    torch.testing.assert_close(gradients(both), expected)


@functional_call
@each_loss
def test_functional_call_is_the_loss_with_these_parameters(loss_class: Any) -> None:
    loss, moved = build(loss_class), build(loss_class)
    move(moved)
    before = all_gradients(loss, *batch())
    embeddings, labels = batch()
    replaced = dict(moved.named_parameters())
    value = torch.func.functional_call(loss, replaced, (embeddings, labels))
    found = torch.autograd.grad(value, [embeddings, *replaced.values()])
    torch.testing.assert_close([value.detach(), *found], all_gradients(rebuilt(moved), *batch()))
    torch.testing.assert_close(all_gradients(loss, *batch()), before)
