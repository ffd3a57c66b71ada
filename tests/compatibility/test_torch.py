"""The losses within what PyTorch does around a loss: optimizers, averages of weights, evaluation."""

from typing import Any

import pytest
import torch
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from pml_potential import ClassWiseMultiSimilarityLoss
from tests.compatibility.network_and_loss import (
    gradients,
    move,
    rebuilt,
    system,
    train,
    values,
)
from tests.losses.loss_cases import (
    all_gradients,
    batch,
    batch_with_core_pair,
    build,
    each_field_loss,
    each_loss,
    each_loss_with_parameters,
)


def feature(name: str, note: str = "") -> pytest.MarkDecorator:
    return pytest.mark.feature("PyTorch", name, note)


MOVE_THE_LOSS = "move the loss with `loss.to(device)` before its optimizer is made"
gradient_accumulation = feature("gradient accumulation", "each part is a field of its own")
moving_average = feature("moving average of weights", "`AveragedModel` of network and loss")
evaluation = feature("`torch.no_grad` and `torch.inference_mode`")
learning_rates = feature("learning rates per parameter group")
gradient_clipping = feature("gradient clipping", "`clip_grad_norm_` and `clip_grad_value_`")
functional_call = feature("`torch.func.functional_call`")


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
