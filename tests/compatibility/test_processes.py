"""The losses in two and three real processes, against one process with the whole batch."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from pytorch_metric_learning.reducers import SumReducer
from torch import Tensor

from pml_potential import ClassWiseMultiSimilarityLoss
from tests.compatibility.matrix import Deviates, Refuses
from tests.losses.loss_cases import FIELD_LOSSES, MEAN_FIELD_LOSSES, build, each_field_loss, each_loss
from tests.losses.loss_processes import (
    GROUP_SIZES,
    PER_PROCESS,
    Found,
    found_by_one_process,
    found_by_processes,
    gradients,
    network,
    whole_batch,
    with_memory,
)

OfProcesses = Callable[[Any, str], list[Found]]

NETWORK = ("weight", "bias")

NO_PARAMETERS = (
    "`DistributedDataParallel` refuses a module without parameters; the loss needs none of it"
)

EFFICIENT = (
    "PML hands each process its own embeddings as references, too, and those of others detached: pairs "
    "within a process count twice; of a pair of two processes each applies the force that its "
    "embedding feels in its own energy, and drops the equal force from the energy of the other. Use "
    "`pml_potential.DistributedLossWrapper`"
)


@pytest.fixture(params=GROUP_SIZES)
def processes(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


@pytest.fixture
def of_processes(processes: int) -> OfProcesses:
    found = found_by_processes()[processes]
    return lambda loss_class, way: found[loss_class.__name__, way]


def assert_same(found: Found, expected: Found, names: tuple[str, ...]) -> None:
    for name in names:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-9, atol=1e-12)


def own_parameters(found: Found) -> tuple[str, ...]:
    return tuple(name for name in found if name not in ("value", *NETWORK))


def part_of(rank: int) -> slice:
    return slice(rank * PER_PROCESS, (rank + 1) * PER_PROCESS)


@pytest.mark.feature("Many processes", "PML's `DistributedLossWrapper`: gradient of the network")
@each_loss
def test_network_learns_from_the_whole_batch(
    loss_class: Any, processes: int, of_processes: OfProcesses
) -> None:
    expected = found_by_one_process(loss_class, processes)
    for found in of_processes(loss_class, "PML"):
        assert_same(found, expected, NETWORK)


@pytest.mark.feature(
    "Many processes", "PML's `DistributedLossWrapper`: gradient of the loss's parameters"
)
@each_loss
def test_wrapper_of_pml_multiplies_the_gradient_of_parameters(
    loss_class: Any, processes: int, of_processes: OfProcesses, deviates: Deviates
) -> None:
    expected = found_by_one_process(loss_class, processes)
    if loss_class is not ClassWiseMultiSimilarityLoss:
        deviates(
            "it is as many times too large as there are processes, as for PML's own losses, with "
            "`DistributedDataParallel` around or without; use `pml_potential.DistributedLossWrapper`"
        )
        for found in [*of_processes(loss_class, "PML"), *of_processes(loss_class, "PML, parallel")]:
            for name in own_parameters(expected):
                torch.testing.assert_close(found[name], processes * expected[name])
    assert all(set(found) == set(expected) for found in of_processes(loss_class, "PML"))


@pytest.mark.feature("Many processes", "PML's `DistributedLossWrapper` with `efficient=True`")
@each_loss
def test_efficient_wrapper_of_pml_drops_half_of_a_force(
    loss_class: Any,
    processes: int,
    of_processes: OfProcesses,
    deviates: Deviates,
    refuses: Refuses,
) -> None:
    ranks = of_processes(loss_class, "PML, efficient")
    if loss_class in MEAN_FIELD_LOSSES:
        with refuses("embeddings meet mean fields only, never other embeddings", "mean fields only"):
            raise ValueError(ranks[0]["error"])
        return
    deviates(
        EFFICIENT
        if loss_class in FIELD_LOSSES
        else "the means over classes run over the pairs of one process's embeddings with all, in each "
        "process for itself; use `pml_potential.DistributedLossWrapper`"
    )
    model, loss = network(), build(loss_class, torch.float64)
    images, labels = whole_batch(processes)
    embeddings = model(images)
    total = embeddings.new_zeros(())
    for rank in range(processes):
        references = embeddings.detach().clone()
        references[part_of(rank)] = embeddings[part_of(rank)]
        pairs = None
        if loss_class is ClassWiseMultiSimilarityLoss:
            pairs = pairs_without_self(labels, part_of(rank))
        total = total + loss(embeddings[part_of(rank)], labels[part_of(rank)], pairs, references, labels)
    expected = gradients(model, loss, total)
    for found in ranks:
        assert_same(found, expected, NETWORK)


def pairs_without_self(labels: Tensor, part: slice) -> tuple[Tensor, ...]:
    """All pairs of a part of the batch with the whole, but no embedding with itself."""
    rows, columns = torch.arange(len(labels))[part, None], torch.arange(len(labels))
    same = labels[part, None] == labels
    return *(same & (rows != columns)).nonzero(as_tuple=True), *(~same).nonzero(as_tuple=True)


@each_field_loss
def test_half_of_the_force_is_the_one_between_processes(loss_class: Any) -> None:
    """What ``EFFICIENT`` says, without proxies: within a process twice, between processes half."""
    loss = build(loss_class, torch.float64, proxies_per_class=0, delta=0.7, reducer=SumReducer())
    images, labels = whole_batch(2)
    embeddings = images[:, :3].requires_grad_()
    parts = [part_of(0), part_of(1)]

    def gradient_of(value: Tensor) -> Tensor:
        (gradient,) = torch.autograd.grad(value, embeddings)
        return gradient

    within = gradient_of(sum(loss(embeddings[part], labels[part]) for part in parts))
    between = gradient_of(loss(embeddings, labels)) - within
    efficient = embeddings.new_zeros(())
    for part in parts:
        references = embeddings.detach().clone()
        references[part] = embeddings[part]
        efficient = efficient + loss(embeddings[part], labels[part], None, references, labels)
    assert between.abs().max() > 0
    torch.testing.assert_close(gradient_of(efficient), 2 * within + between / 2)


@pytest.mark.feature("Many processes", "`pml_potential.DistributedLossWrapper`")
@each_loss
def test_own_wrapper_gives_the_gradients_of_one_process(
    loss_class: Any, processes: int, of_processes: OfProcesses
) -> None:
    expected = found_by_one_process(loss_class, processes)
    for found in of_processes(loss_class, "ours"):
        assert_same(found, expected, tuple(expected))


@pytest.mark.feature(
    "Many processes",
    "`pml_potential.DistributedLossWrapper` in `DistributedDataParallel`",
    "the way to go: it gives all processes one start",
)
@each_loss
def test_own_wrapper_among_parallel_losses_gives_the_gradients_of_one_process(
    loss_class: Any, processes: int, of_processes: OfProcesses, refuses: Refuses
) -> None:
    expected = found_by_one_process(loss_class, processes)
    for found in of_processes(loss_class, "ours, parallel"):
        if loss_class is ClassWiseMultiSimilarityLoss:
            with refuses(NO_PARAMETERS, "doesn't have any parameter"):
                raise ValueError(found["error"])
            continue
        assert_same(found, expected, tuple(expected))


@pytest.mark.feature(
    "Many processes", "`pml_potential.DistributedLossWrapper` around `pml_potential.CrossBatchMemory`"
)
@each_loss
def test_own_wrapper_takes_a_memory(
    loss_class: Any, processes: int, of_processes: OfProcesses, refuses: Refuses
) -> None:
    ranks = of_processes(loss_class, "ours, with a memory")
    if loss_class in MEAN_FIELD_LOSSES:
        with refuses(
            "embeddings meet mean fields only, never other embeddings", "a memory works only with"
        ):
            raise ValueError(ranks[0]["error"])
        return
    expected = found_by_one_process(loss_class, processes, with_memory)
    for found in ranks:
        assert_same(found, expected, tuple(expected))


@pytest.mark.feature(
    "Many processes",
    "`DistributedDataParallel` around the loss alone",
    "each process has a field of its own, and gradients are averaged",
)
@each_loss
def test_parallel_losses_average_the_gradients_of_their_parts(
    loss_class: Any, processes: int, of_processes: OfProcesses, refuses: Refuses
) -> None:
    ranks = of_processes(loss_class, "bare, parallel")
    if loss_class is ClassWiseMultiSimilarityLoss:
        with refuses(NO_PARAMETERS, "doesn't have any parameter"):
            raise ValueError(ranks[0]["error"])
        return
    model, loss = network(), build(loss_class, torch.float64)
    images, labels = whole_batch(processes)
    parts = [part_of(rank) for rank in range(processes)]
    mean = sum(loss(model(images[part]), labels[part]) for part in parts) / processes
    expected = gradients(model, loss, mean)
    for found in ranks:
        assert_same(found, expected, (*NETWORK, *own_parameters(expected)))
