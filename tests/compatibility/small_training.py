"""A small network, images of digits, and a plain loop that trains the network with a loss."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor

from tests.losses.loss_cases import EMBEDDING_SIZE, NUM_CLASSES, build

CPU = torch.device("cpu")
TRUNK_SIZE = 16

Modules = dict[str, Any]
"""Networks and losses by the names that PML's trainers give them."""

Objective = Callable[..., Tensor]


def digits(count: int = 160) -> tuple[Tensor, Tensor]:
    """The first images, (count, 64), and their classes, which go round."""
    images, labels = load_digits(n_class=NUM_CLASSES, return_X_y=True)
    return torch.tensor(images[:count] / 16).float(), torch.tensor(labels[:count])


def networks(embedding_size: int = EMBEDDING_SIZE) -> Modules:
    torch.manual_seed(0)
    return {
        "trunk": torch.nn.Sequential(torch.nn.Linear(64, TRUNK_SIZE), torch.nn.ReLU()),
        "embedder": torch.nn.Linear(TRUNK_SIZE, embedding_size),
    }


def networks_and_loss(loss_class: Any, **arguments: Any) -> Modules:
    return networks() | {"metric_loss": build(loss_class, **arguments)}


def optimizers(modules: Modules) -> dict[str, torch.optim.Optimizer]:
    """One for each module that has parameters, named as PML's trainers name them."""
    return {
        f"{name}_optimizer": torch.optim.Adam(module.parameters(), lr=0.01)
        for name, module in modules.items()
        if list(module.parameters())
    }


def embed(modules: Modules, images: Tensor) -> Tensor:
    embeddings: Tensor = modules["embedder"](modules["trunk"](images))
    return embeddings


def metric_loss(modules: Modules, images: Tensor, labels: Tensor) -> Tensor:
    value: Tensor = modules["metric_loss"](embed(modules, images), labels)
    return value


def train(modules: Modules, objective: Objective, batches: Iterable[Any]) -> None:
    steps = optimizers(modules).values()
    for batch in batches:
        for step in steps:
            step.zero_grad()
        objective(modules, *batch).backward()
        for step in steps:
            step.step()


def parameters(modules: Modules) -> list[Tensor]:
    """Copies of all parameters, each once."""
    return [p.detach().clone() for p in torch.nn.ModuleDict(modules).parameters()]
