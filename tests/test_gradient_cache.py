"""A step in chunks leaves what a step with the whole batch leaves."""

import copy
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_metric_learning.losses import ContrastiveLoss, ProxyAnchorLoss
from pytorch_metric_learning.miners import MultiSimilarityMiner
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from pml_potential import DistributedLossWrapper, GradientCache, functional
from tests.losses.loss_cases import LOSSES, NUM_CLASSES, build

WIDTH, EMBEDDING_SIZE = 5, 3
MINER = MultiSimilarityMiner(epsilon=0.3)


def network(*layers: nn.Module, dtype: torch.dtype = torch.float64) -> Any:
    torch.manual_seed(3)
    first, last = nn.Linear(WIDTH, 8), nn.Linear(8, EMBEDDING_SIZE)
    return nn.Sequential(first, nn.Tanh(), *layers, last).to(dtype)


def batch(size: int = 11, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(size, WIDTH, generator=generator, dtype=torch.float64)
    return images.to(dtype), torch.arange(size) % NUM_CLASSES


def gradients(value: Tensor, *modules: Any) -> dict[str, Any]:
    value.backward()
    found: dict[str, Any] = {"value": value.detach()}
    for module in modules:
        if isinstance(module, nn.Module):
            found |= {name: parameter.grad for name, parameter in module.named_parameters()}
    return found


def mined(loss: Any) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda embeddings, labels: loss(embeddings, labels, MINER(embeddings, labels))


def assert_same(found: Any, expected: Any, tolerance: float = 1e-10) -> None:
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


OBJECTIVES: dict[str, Callable[[], Any]] = {
    "ContrastiveLoss": ContrastiveLoss,
    "ProxyAnchorLoss": lambda: ProxyAnchorLoss(NUM_CLASSES, EMBEDDING_SIZE).double(),
    **{each.__name__: partial(build, each, torch.float64) for each in LOSSES},
}


def assert_same_as_plain_step(loss: Any, chunk_size: int, wrap: Callable[[Any], Any]) -> None:
    model = network()
    images, labels = batch()
    cached_model, cached_loss = copy.deepcopy(model), copy.deepcopy(loss)
    expected = gradients(wrap(loss)(model(images), labels), model, loss)
    loss_of = GradientCache(cached_model, wrap(cached_loss), chunk_size)
    assert_same(gradients(loss_of(images, labels), cached_model, cached_loss), expected)


@pytest.mark.parametrize("chunk_size", [1, 4, 11, 50])
@pytest.mark.parametrize("wrap", [lambda loss: loss, mined], ids=["plain", "miner"])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_gradients_are_those_of_the_plain_step(name: str, wrap: Any, chunk_size: int) -> None:
    torch.manual_seed(0)
    assert_same_as_plain_step(OBJECTIVES[name](), chunk_size, wrap)


def test_a_loss_may_be_a_function() -> None:
    assert_same_as_plain_step(functional.class_wise_multi_similarity_loss, 4, lambda loss: loss)


def in_chunks(model: nn.Module, images: Tensor, size: int) -> Tensor:
    """The embeddings with all activations: what the cache has to reproduce."""
    return torch.cat([model(chunk) for chunk in images.split(size)])


def plain_and_cached(model: Any, size: int = 4) -> tuple[Any, Any, Any, Any]:
    loss, images, labels = build(LOSSES[0], torch.float64), *batch()
    other = copy.deepcopy(model)
    torch.manual_seed(7)
    value, drawn = loss(in_chunks(model, images, size), labels), torch.rand(2)
    expected = gradients(value, model) | {"drawn": drawn, "then": torch.rand(2)}
    torch.manual_seed(7)
    value, drawn = GradientCache(other, loss, size)(images, labels), torch.rand(2)
    found = gradients(value, other) | {"drawn": drawn, "then": torch.rand(2)}
    return found, expected, other, model


def test_dropout_draws_the_same_numbers_and_leaves_the_generator_alike() -> None:
    found, expected, *_ = plain_and_cached(network(nn.Dropout(0.5)))
    assert_same(found, expected)


def test_batch_normalisation_is_that_of_chunks_and_its_averages_move_once() -> None:
    found, expected, cached, plain = plain_and_cached(network(nn.BatchNorm1d(8)))
    assert_same(found, expected)
    assert_same(dict(cached.named_buffers()), dict(plain.named_buffers()))
    assert cached.get_buffer("2.num_batches_tracked") == 3


def test_averages_that_moved_before_the_backward_pass_stay_where_they_are() -> None:
    model, (images, labels) = network(nn.BatchNorm1d(8)), batch()
    value = GradientCache(model, build(LOSSES[0], torch.float64), 4)(images, labels)
    model(images)
    moved = copy.deepcopy(dict(model.named_buffers()))
    value.backward()
    assert_same(dict(model.named_buffers()), moved)


def test_buffers_that_steer_the_network_are_those_of_the_first_pass() -> None:
    # Spectral norms are estimated by vectors that each forward pass improves.
    model = network(nn.utils.parametrizations.spectral_norm(nn.Linear(8, 8)))
    found, expected, cached, plain = plain_and_cached(model)
    assert_same(found, expected)
    assert_same(dict(cached.named_buffers()), dict(plain.named_buffers()))


def test_batch_normalisation_in_evaluation_mode_is_that_of_the_plain_step() -> None:
    model, loss = network(nn.BatchNorm1d(8)).eval(), build(LOSSES[0], torch.float64)
    images, labels = batch()
    other = copy.deepcopy(model)
    expected = gradients(loss(model(images), labels), model)
    assert_same(gradients(GradientCache(other, loss, 3)(images, labels), other), expected)


@pytest.mark.parametrize("backward_inside", [False, True])
def test_autocast_is_the_same_in_both_passes(backward_inside: bool) -> None:
    model, loss = network(dtype=torch.float32), build(LOSSES[0])
    other = copy.deepcopy(model)
    images, labels = batch(dtype=torch.float32)
    found: dict[str, Any] = {}
    with torch.autocast("cpu", torch.bfloat16):
        embeddings = in_chunks(model, images, 4)
        value = GradientCache(other, loss, 4)(images, labels)
        if backward_inside:
            found = gradients(value, other)
        # What the cache does without a gradient must not take it from what comes later.
        assert other(images).requires_grad
        assert torch.autograd.grad(other(images).sum(), other[0].weight)[0].abs().max() > 0
    assert embeddings.dtype == torch.bfloat16
    expected = gradients(loss(embeddings, labels), model)
    # Plain autocast adds the gradients of the chunks up in bfloat16, the cache in float32.
    found = found or gradients(value, other)
    assert found["value"] == expected["value"]
    assert_same(found, expected, 0.03)


def test_a_scaled_loss_and_further_terms_are_fine() -> None:
    model, loss = network(), build(LOSSES[0], torch.float64)
    other = copy.deepcopy(model)
    images, labels = batch()
    expected = gradients(8 * (loss(model(images), labels) + model[0].weight.square().sum()), model)
    value = GradientCache(other, loss, 4)(images, labels) + other[0].weight.square().sum()
    assert_same(gradients(8 * value, other), expected)


def test_gradients_add_up_from_step_to_step() -> None:
    model, loss = network(), build(LOSSES[0], torch.float64)
    loss_of = GradientCache(model, loss, 4)
    images, labels = batch()
    once = {name: 2 * grad for name, grad in gradients(loss_of(images, labels), model).items()}
    twice = gradients(loss_of(images, labels), model)
    assert_same(twice | {"value": 2 * twice["value"]}, once)


class OfTwo(nn.Module):
    """A network of two inputs by name."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = network()

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        result: Tensor = self.inner(inputs["image"] * inputs["mask"])
        return result


def test_inputs_may_be_tensors_by_name() -> None:
    images, labels = batch()
    inputs = {"image": images, "mask": (images > -0.5).double()}
    model, loss = OfTwo(), build(LOSSES[0], torch.float64)
    other = copy.deepcopy(model)
    expected = gradients(loss(model(inputs), labels), model)
    assert_same(gradients(GradientCache(other, loss, 4)(inputs, labels), other), expected)


def test_without_gradients_it_is_the_loss() -> None:
    model, loss = network(), build(LOSSES[0], torch.float64)
    images, labels = batch()
    with torch.no_grad():
        value = GradientCache(model, loss, 4)(images, labels)
        assert_same(value, loss(model(images), labels))
    assert not value.requires_grad
    model.requires_grad_(False)
    GradientCache(model, loss, 4)(images, labels).backward()
    assert loss.proxies.grad is not None
    assert model[0].weight.grad is None


def test_a_frozen_part_of_the_network_stays_without_gradients() -> None:
    model, loss = network(), build(LOSSES[0], torch.float64)
    model[0].requires_grad_(False)
    GradientCache(model, loss, 4)(*batch()).backward()
    assert model[0].weight.grad is None
    assert model[-1].weight.grad is not None


class Restless(nn.Module):
    """A network with random numbers of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.generator = network(), torch.Generator().manual_seed(0)

    def forward(self, images: Tensor) -> Tensor:
        noise = torch.randn(images.shape, generator=self.generator, dtype=images.dtype)
        result: Tensor = self.inner(images + noise)
        return result


DIFFER = r"^the network's embeddings differ by \S+ of the largest coordinate from those"


def test_a_network_that_gives_other_embeddings_the_second_time_is_refused() -> None:
    value = GradientCache(Restless(), build(LOSSES[0], torch.float64), 4)(*batch())
    with pytest.raises(RuntimeError, match=DIFFER):
        value.backward()


def test_a_network_that_changed_before_the_backward_pass_is_refused() -> None:
    model = network()
    value = GradientCache(model, build(LOSSES[0], torch.float64), 4)(*batch())
    model[0].weight.data += 1
    with pytest.raises(RuntimeError, match=DIFFER):
        value.backward()


def test_a_second_derivative_is_refused() -> None:
    value = GradientCache(network(), lambda z: z.square().sum(), 4)(batch()[0])
    with pytest.raises(RuntimeError):
        torch.autograd.grad(value, [torch.ones((), requires_grad=True)], create_graph=True)


BAD_INPUTS: list[tuple[Any, type[Exception], str]] = [
    ([[1.0]], TypeError, "inputs is a list; it must be a torch.Tensor, or a mapping"),
    ({"image": [1.0]}, TypeError, "inputs is a dict; it must be a torch.Tensor, or a mapping"),
    (torch.ones(0, 5), ValueError, r"inputs have the shapes \[\(0, 5\)\]; they must have one row"),
    (torch.tensor(1.0), ValueError, r"inputs have the shapes \[\(\)\]; they must have one row"),
    ({}, ValueError, r"inputs have the shapes \[\]; they must have one row"),
    (
        {"a": torch.ones(3, 5), "b": torch.ones(2)},
        ValueError,
        r"inputs have the shapes \[\(3, 5\), \(2,\)\]; they must have one row for each",
    ),
    (torch.ones(3, 5).requires_grad_(), ValueError, "inputs require a gradient, which would not reach"),
]


@pytest.mark.parametrize(("inputs", "error", "message"), BAD_INPUTS)
def test_bad_inputs(inputs: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        GradientCache(network(), ContrastiveLoss(), 4)(inputs)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            (len, len, 4),
            TypeError,
            "network is a builtin_function",
        ),
        ((nn.Identity(), 3, 4), TypeError, "loss_func is a int; it must be a loss or function"),
        ((nn.Identity(), len, 0), ValueError, "chunk_size is 0; it must be at least 1"),
        ((nn.Identity(), len, 2.0), TypeError, "chunk_size is 2.0; it must be an integer"),
    ],
)
def test_bad_arguments(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^{message}"):
        GradientCache(*arguments)


@pytest.mark.parametrize(
    ("made", "error", "message"),
    [
        (lambda x: (x, x), TypeError, "the network returned a tuple; it must return a torch.Tensor"),
        (lambda x: x.sum(), ValueError, r"the network returned shape \(\) for 4 inputs"),
        (lambda x: x[1:], ValueError, r"the network returned shape \(3, 5\) for 4 inputs"),
    ],
)
def test_a_network_that_returns_no_row_for_each_input_is_refused(
    made: Any, error: type[Exception], message: str
) -> None:
    model = nn.Linear(5, 5).double()
    model.register_forward_hook(lambda _module, inputs, _output: made(inputs[0]))
    with pytest.raises(error, match=f"^{message}"):
        GradientCache(model, ContrastiveLoss(), 4)(*batch())


def test_memory_holds_the_activations_of_a_chunk_only() -> None:
    """What lives between the passes is inputs and embeddings."""
    model, loss = network(nn.Linear(8, 400), nn.Tanh(), nn.Linear(400, 8)), ProxyAnchorLoss(4, 3)
    images, labels = batch(size=4000)
    kept: list[int] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        GradientCache(model, loss, 8)(images, labels).backward()
    # The loss keeps similarities of 4 classes; all activations would be 400 of a row.
    assert 0 < max(kept) < 8 * len(images)


def found_by_processes(folder: Path) -> list[dict[str, Any]]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    workers = [
        subprocess.Popen([sys.executable, __file__, str(rank), str(folder)], env=environment)
        for rank in range(2)
    ]
    assert [worker.wait(timeout=120) for worker in workers] == [0, 0]
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


def test_two_processes_find_what_one_finds_with_the_whole_batch(tmp_path: Path) -> None:
    images, labels = batch(size=16)
    model, loss = network(), build(LOSSES[0], torch.float64)
    expected = gradients(loss(model(images), labels), model, loss)
    for found in found_by_processes(tmp_path):
        assert found.pop("exchanges") == 2
        assert_same(found, expected)


def work(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    meeting_point = (folder / "group").as_uri()
    dist.init_process_group("gloo", init_method=meeting_point, rank=rank, world_size=2)
    exchanges = []

    def exchange(_: None, bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:  # type: ignore[name-defined]
        exchanges.append(1)
        return (
            dist.all_reduce(bucket.buffer().div_(2), async_op=True)
            .get_future()
            .then(lambda done: done.value()[0])
        )

    model = DistributedDataParallel(network())
    model.register_comm_hook(None, exchange)
    loss = DistributedDataParallel(DistributedLossWrapper(build(LOSSES[0], torch.float64)))
    images, labels = (part.chunk(2)[rank] for part in batch(size=16))
    loss_of = GradientCache(model, loss, 3)
    # A second step, for whatever the first one leaves behind.
    for _ in range(2):
        model.zero_grad()
        loss.zero_grad()
        found = gradients(loss_of(images, labels), model, loss)
    named = {name.removeprefix("module.").removeprefix("loss."): each for name, each in found.items()}
    torch.save(named | {"exchanges": len(exchanges)}, folder / f"{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    work(int(sys.argv[1]), Path(sys.argv[2]))
