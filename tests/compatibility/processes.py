"""Real processes that work on one network and one loss, each with its part of a batch."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from loss_cases import EMBEDDING_SIZE, LOSSES, NUM_CLASSES, build
from pytorch_metric_learning.utils import distributed
from torch import Tensor, nn
from torch import distributed as dist
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel

import pml_potential

WIDTH = 5
PER_PROCESS = 6

Found = dict[str, Any]
"""``value`` of the loss and gradients by parameter, or ``error``, the message of what was raised."""

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


def with_memory(loss: Any) -> Any:
    return pml_potential.CrossBatchMemory(loss, EMBEDDING_SIZE).double()


def network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Linear(WIDTH, EMBEDDING_SIZE, dtype=torch.float64)


def whole_batch(processes: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    count = processes * PER_PROCESS
    images = torch.randn(count, WIDTH, generator=generator, dtype=torch.float64)
    return images, torch.arange(count) % NUM_CLASSES


def gradients(model: nn.Module, loss: nn.Module, value: Tensor) -> Found:
    """Gradients under the names that the parameters have without wrappers."""
    value.backward()
    named = [*model.named_parameters(), *loss.named_parameters()]
    return {"value": value.detach()} | {name.split(".")[-1]: p.grad for name, p in named}


def found_by_one_process(
    loss_class: Any, processes: int, wrap: Callable[[nn.Module], nn.Module] = lambda loss: loss
) -> Found:
    """What one process finds with the whole batch."""
    model, loss = network(), wrap(build(loss_class, torch.float64))
    images, labels = whole_batch(processes)
    return gradients(model, loss, loss(model(images), labels))


def found_by_processes(processes: int, folder: Path) -> dict[tuple[str, str], list[Found]]:
    """What each of several processes finds with its part, for every loss and way."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    spawn(_work, (port, processes, folder), nprocs=processes)
    ranks = [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(processes)]
    return {case: [found[case] for found in ranks] for case in ranks[0]}


def _work(rank: int, port: int, processes: int, folder: Path) -> None:
    torch.set_num_threads(1)
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", rank=rank, world_size=processes)
    images, labels = (part.chunk(processes)[rank] for part in whole_batch(processes))
    found: dict[tuple[str, str], Found] = {}
    for loss_class in LOSSES:
        for way, wrap in WAYS.items():
            model = DistributedDataParallel(network())
            try:
                loss = wrap(build(loss_class, torch.float64))
                result = gradients(model, loss, loss(model(images), labels))
            except (RuntimeError, ValueError) as error:
                result = {"error": str(error)}
            found[loss_class.__name__, way] = result
    torch.save(found, folder / f"{rank}.pt")
    dist.destroy_process_group()
