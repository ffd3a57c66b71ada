"""Real processes that work on one network and one loss, each with its part of a batch.

Three are started once for all tests, and the first two of them make a group of their own as well. Run as
a script, this module is those processes.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from pytorch_metric_learning.losses import BaseMetricLossFunction
from pytorch_metric_learning.miners import MultiSimilarityMiner, TripletMarginMiner
from pytorch_metric_learning.utils import distributed
from torch import Tensor, nn
from torch import distributed as dist
from torch.multiprocessing.spawn import start_processes
from torch.nn.parallel import DistributedDataParallel

import pml_potential
from tests.losses.loss_cases import EMBEDDING_SIZE, LOSSES, NUM_CLASSES, build

GROUP_SIZES = (2, 3)
WIDTH = 5
PER_PROCESS = 6

Found = dict[str, Any]
"""``value`` of the loss, gradients by parameter and what a memory holds; or ``error``, a message."""

WAYS: dict[str, Callable[[Any], nn.Module]] = {
    "bare, parallel": DistributedDataParallel,
    "PML": distributed.DistributedLossWrapper,
    "PML, parallel": lambda loss: DistributedDataParallel(distributed.DistributedLossWrapper(loss)),
    "PML, efficient": lambda loss: distributed.DistributedLossWrapper(loss, efficient=True),
    "ours": pml_potential.DistributedLossWrapper,
    "ours, with a memory": lambda loss: pml_potential.DistributedLossWrapper(with_memory(loss)),
    "ours, parallel": lambda loss: DistributedDataParallel(pml_potential.DistributedLossWrapper(loss)),
}
"""How the loss is wrapped in each process; the network always is in ``DistributedDataParallel``."""

Objective = Callable[[Any, Tensor, Tensor], Tensor]
"""Takes a loss, embeddings and labels."""


def with_references(loss: Any, embeddings: Tensor, labels: Tensor) -> Tensor:
    """References that are a function of the network, as a second view of the images is."""
    value: Tensor = loss(embeddings, labels, ref_emb=2 - embeddings.flip(1), ref_labels=labels)
    return value


def of_all_processes(miner: Any) -> Any:
    return distributed.DistributedMinerWrapper(miner) if dist.is_initialized() else miner


def with_miner(loss: Any, embeddings: Tensor, labels: Tensor) -> Tensor:
    miner = of_all_processes(TripletMarginMiner(margin=0.4))
    value: Tensor = loss(embeddings, labels, miner(embeddings, labels))
    return value


def with_miner_and_references(loss: Any, embeddings: Tensor, labels: Tensor) -> Tensor:
    """Pairs of embeddings with references, of which each process has fewer."""
    references = 2 - embeddings[1:].flip(1), labels[1:].flip(0)
    if not dist.is_initialized():
        # Each process leaves out the first of its part.
        kept = torch.arange(len(labels)) % PER_PROCESS != 0
        parts = labels.split(PER_PROCESS)
        references = 2 - embeddings[kept].flip(1), torch.cat([part[1:].flip(0) for part in parts])
    miner = of_all_processes(MultiSimilarityMiner(epsilon=0.3))
    indices = miner(embeddings, labels, *references)
    value: Tensor = loss(embeddings, labels, indices, *references)
    return value


class OrderLoss(BaseMetricLossFunction):
    """A loss to which it matters where in the batch, and where in the references, an embedding is."""

    def forward(self, *arguments: Any, **_: Any) -> Any:
        embeddings, labels, _indices, references, ref_labels = arguments
        places = torch.arange(1.0, len(labels) + 1, dtype=torch.float64)
        energies = embeddings.square().sum(1) * labels + references.sum(1) * (1 + ref_labels)
        return (places * energies).sum()


def in_order(loss: Any, embeddings: Tensor, labels: Tensor) -> Tensor:
    """The order of what is gathered, whatever the loss is."""
    wrapper: Any = type(loss)(OrderLoss()) if hasattr(loss, "loss") else OrderLoss()
    references = 2 - embeddings.flip(1), labels.roll(1)
    if not dist.is_initialized():
        parts = labels.split(PER_PROCESS)
        references = references[0], torch.cat([part.roll(1) for part in parts])
    value: Tensor = wrapper(embeddings, labels, None, *references)
    return value


def over_several_steps(loss: Any, embeddings: Tensor, labels: Tensor) -> Tensor:
    """A memory that comes to its end in the middle of a batch, more than once."""
    steps = [loss(embeddings + 0.3 * step, labels) for step in range(5)]
    return torch.stack(steps).sum()


def over_several_steps_with_miner(loss: Any, embeddings: Tensor, labels: Tensor) -> Tensor:
    miner = of_all_processes(TripletMarginMiner(margin=0.4))
    steps = [embeddings + 0.3 * step for step in range(5)]
    return torch.stack([loss(step, labels, miner(step, labels)) for step in steps]).sum()


def over_several_steps_with_mask(loss: Any, embeddings: Tensor, labels: Tensor) -> Tensor:
    mask = torch.arange(len(labels)) % PER_PROCESS < 5
    steps = [loss(embeddings + 0.3 * step, labels, enqueue_mask=mask) for step in range(5)]
    return torch.stack(steps).sum()


def with_another_use(loss: Any, embeddings: Tensor, labels: Tensor) -> Tensor:
    """A mean over the batch beside the loss, whose gradient is that of the embeddings of a process."""
    value: Tensor = loss(embeddings, labels) + embeddings.square().mean()
    return value


def with_mask(loss: Any, embeddings: Tensor, labels: Tensor) -> Tensor:
    """A memory that every other embedding enters."""
    mask = torch.arange(len(labels)) % 2 == 0
    value: Tensor = with_memory(loss)(embeddings, labels, enqueue_mask=mask)
    return value


def with_mask_and_no_memory(loss: Any, embeddings: Tensor, labels: Tensor) -> Tensor:
    value: Tensor = loss(embeddings, labels, enqueue_mask=torch.arange(len(labels)) < 2)
    return value


def without_gradient(loss: Any, embeddings: Tensor, labels: Tensor) -> Tensor:
    """The loss of embeddings that need no gradient, and a gradient for the network nevertheless."""
    value: Tensor = loss(embeddings.detach(), labels) + embeddings.mean()
    return value


OBJECTIVES: dict[str, Objective] = {
    "references": with_references,
    "miner": with_miner,
    "another use": with_another_use,
    "miner and references": with_miner_and_references,
    "order": in_order,
    "mask": with_mask,
    "mask and no memory": with_mask_and_no_memory,
    "no gradient": without_gradient,
}
"""What else the own wrapper is called with."""

MEMORY_OBJECTIVES: dict[str, Objective] = {
    "steps": over_several_steps,
    "steps with miner": over_several_steps_with_miner,
    "steps with mask": over_several_steps_with_mask,
    "memory and references": with_references,
}
"""What the own wrapper is called with around a memory."""

MEMORY_SIZE = 20
"""No multiple of what two processes, or three, put into it in a step."""


def with_memory(loss: Any) -> Any:
    if isinstance(loss, pml_potential.DistributedLossWrapper):
        return pml_potential.DistributedLossWrapper(with_memory(loss.loss))
    return pml_potential.CrossBatchMemory(loss, EMBEDDING_SIZE, MEMORY_SIZE).double()


def network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Linear(WIDTH, EMBEDDING_SIZE, dtype=torch.float64)


def whole_batch(processes: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    count = processes * PER_PROCESS
    images = torch.randn(count, WIDTH, generator=generator, dtype=torch.float64)
    return images, torch.arange(count) % NUM_CLASSES


def gradients(model: nn.Module, loss: nn.Module, value: Tensor) -> Found:
    """Gradients and memories under the names that they have without wrappers."""
    value.backward()
    named = [*model.named_parameters(), *loss.named_parameters()]
    found = {name: parameter.grad for name, parameter in named} | dict(loss.named_buffers())
    return {"value": value.detach()} | {name.split(".")[-1]: tensor for name, tensor in found.items()}


def plainly(loss: Any, embeddings: Tensor, labels: Tensor) -> Tensor:
    value: Tensor = loss(embeddings, labels)
    return value


def found_by_one_process(
    loss_class: Any,
    processes: int,
    wrap: Callable[[nn.Module], nn.Module] = lambda loss: loss,
    objective: Objective = plainly,
) -> Found:
    """What one process finds with the whole batch."""
    model, loss = network(), wrap(build(loss_class, torch.float64))
    images, labels = whole_batch(processes)
    return gradients(model, loss, objective(loss, model(images), labels))


@cache
def found_by_processes() -> dict[int, dict[tuple[str, str], list[Found]]]:
    """What each process of a group finds with its part, for each size of group, loss and way."""
    with TemporaryDirectory() as folder:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        # In an interpreter of its own, for a fork of this one could not differentiate.
        subprocess.run([sys.executable, __file__, folder], check=True, env=environment)
        ranks = [torch.load(Path(folder) / f"{rank}.pt", weights_only=True) for rank in range(3)]
    return {
        size: {case: [found[size][case] for found in ranks[:size]] for case in ranks[0][size]}
        for size in GROUP_SIZES
    }


def _work(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    found = {size: _found_in_a_group(rank, size, folder) for size in GROUP_SIZES if rank < size}
    torch.save(found, Path(folder) / f"{rank}.pt")


def _found_in_a_group(rank: int, processes: int, folder: str) -> dict[tuple[str, str], Found]:
    meeting_point = (Path(folder) / f"group_of_{processes}").as_uri()
    dist.init_process_group("gloo", init_method=meeting_point, rank=rank, world_size=processes)
    found = {}
    for loss_class in LOSSES:
        for way, wrap in WAYS.items():
            found[loss_class.__name__, way] = _found(rank, processes, loss_class, wrap, plainly)
        for way, objective in OBJECTIVES.items():
            wrap = pml_potential.DistributedLossWrapper
            found[loss_class.__name__, way] = _found(rank, processes, loss_class, wrap, objective)
        for way, objective in MEMORY_OBJECTIVES.items():
            wrap = WAYS["ours, with a memory"]
            found[loss_class.__name__, way] = _found(rank, processes, loss_class, wrap, objective)
    dist.destroy_process_group()
    return found


def _found(
    rank: int, processes: int, loss_class: Any, wrap: Callable[[Any], nn.Module], objective: Objective
) -> Found:
    images, labels = (part.chunk(processes)[rank] for part in whole_batch(processes))
    model = DistributedDataParallel(network())
    try:
        loss = wrap(build(loss_class, torch.float64))
        return gradients(model, loss, objective(loss, model(images), labels))
    except (RuntimeError, ValueError) as error:
        return {"error": str(error)}


if __name__ == "__main__":
    start_processes(_work, (sys.argv[1],), nprocs=max(GROUP_SIZES), start_method="fork")
