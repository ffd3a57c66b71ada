"""How long Adam takes to recover from one batch that holds a pair of near points of different classes.

The network is not updated, and every batch but one is normal: the gradients are those of the head for
real batches at the start of training. Adam sees them with and without the bad batch, and the sizes of
its steps are compared.
"""

from itertools import cycle, islice
from typing import Any

import numpy as np
import torch
from pytorch_metric_learning.samplers import MPerClassSampler
from torch import Tensor

from benchmarks.core_radius.data import Cars
from benchmarks.core_radius.settings import NEAR, REGIME, SETTINGS, Run, cores
from benchmarks.core_radius.training import Embedder, build_loss, in_batches, starting_point
from pml_potential.benchmark.config.seeds import seed_everything

_NORMAL_BATCHES = 60
_WEIGHTS = 2048
_STEPS = 20_000
_WARM_UP = 100
"""Normal batches before the bad one."""


def recoveries(cars: Cars) -> list[dict[str, Any]]:
    """Measure every setting and core."""
    data = cars.training["clean"]
    embedder, _ = starting_point(data)
    features, labels = in_batches(embedder.trunk, data.whole), torch.from_numpy(data.labels)
    rows = []
    for setting in SETTINGS:
        for core in cores(setting):
            seed_everything(0)
            normal, bad = _gradients(Run(setting, core), embedder, features, labels)
            rows.append({"setting": setting, "core_radius": core, **_recovery(normal, bad)})
    return rows


def _gradients(
    run: Run, embedder: Embedder, features: Tensor, labels: Tensor
) -> tuple[list[Tensor], Tensor]:
    """Gradients of some weights of the head, of normal batches, and of one with the near pair."""
    loss_func = build_loss(run)
    loss_func.initialize_proxies(embedder.head(features).detach(), labels)
    size = REGIME["classes"] * REGIME["images_of_a_class"]
    sampler = MPerClassSampler(
        labels.numpy(), REGIME["images_of_a_class"], size, (_NORMAL_BATCHES + 1) * size
    )
    chosen = torch.randperm(embedder.head.weight.numel())[:_WEIGHTS]
    gradients = []
    for number, batch in enumerate(np.array(list(sampler)).reshape(-1, size)):
        inputs, classes = features[batch].clone(), labels[batch]
        if number == _NORMAL_BATCHES:
            other = int((classes != classes[0]).nonzero()[0])
            inputs[other] = _neighbor(embedder, inputs[0])
        embedder.zero_grad()
        loss_func(embedder.head(inputs), classes).backward()
        assert embedder.head.weight.grad is not None
        gradients.append(embedder.head.weight.grad.flatten()[chosen].clone())
    return gradients[:-1], gradients[-1]


@torch.no_grad()
def _neighbor(embedder: Embedder, point: Tensor) -> Tensor:
    """Features whose embedding is ``NEAR`` away from that of ``point``, in a random direction."""
    embedding = embedder.head(point)
    across = torch.randn_like(embedding)
    across -= (across @ embedding) / (embedding @ embedding) * embedding
    # The rows of the head are orthonormal, so its transpose leads back to the features.
    shift: Tensor = across / across.norm() * embedding.norm() * NEAR
    moved: Tensor = point + shift @ embedder.head.weight
    return moved


def _recovery(normal: list[Tensor], bad: Tensor) -> dict[str, Any]:
    """Steps after the bad batch, as a share of those without it."""
    sequence = [*islice(cycle(normal), _WARM_UP), normal[0], *islice(cycle(normal), _STEPS)]
    without = _step_sizes(sequence)
    sequence[_WARM_UP] = bad
    share = (_step_sizes(sequence) / without)[_WARM_UP + 1 :]
    # A mean over the cycle of batches: single steps scatter.
    smooth = share.unfold(0, _NORMAL_BATCHES, 1).mean(dim=1)
    slow = (smooth < 0.5).nonzero().flatten().tolist()
    recovered = slow[-1] + 1 if slow else 0
    return {
        "gradient": (bad.norm() / torch.stack(normal).norm(dim=1).mean()).item(),
        "smallest_share": smooth.min().item(),
        "share_after_300": smooth[300].item(),
        "share_after_3000": smooth[3000].item(),
        "steps_to_half": recovered if recovered < len(smooth) else None,
    }


def _step_sizes(gradients: list[Tensor]) -> Tensor:
    """Root mean square of each of Adam's steps, in units of the learning rate."""
    weights = torch.zeros_like(gradients[0], requires_grad=True)
    optimizer = torch.optim.Adam([weights], lr=1.0)
    sizes = []
    for gradient in gradients:
        with torch.no_grad():
            weights.zero_()
        weights.grad = gradient
        optimizer.step()
        sizes.append(weights.detach().square().mean().sqrt())
    return torch.stack(sizes)
