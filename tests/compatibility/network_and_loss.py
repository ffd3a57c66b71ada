"""A small network that is trained together with a loss."""

from typing import Any

import torch
from torch import Tensor

from tests.losses.loss_cases import EMBEDDING_SIZE, all_gradients, batch, build


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


def train(both: NetworkAndLoss, optimizer: torch.optim.Optimizer, seeds: range) -> None:
    for seed in seeds:
        optimizer.zero_grad()
        both(*batch(seed=seed)).backward()
        optimizer.step()
