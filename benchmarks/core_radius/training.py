"""One training of the last blocks of the network, and its results."""

from collections.abc import Callable
from copy import deepcopy
from functools import cache
from time import perf_counter
from typing import Any

import numpy as np
import torch
from pytorch_metric_learning.reducers import SumReducer
from pytorch_metric_learning.samplers import MPerClassSampler
from torch import Tensor, nn
from torch.nn.functional import normalize

from benchmarks.core_radius.activations import FROZEN_BLOCKS, RANDOM_VIEWS, Activations, load_network
from benchmarks.core_radius.data import Cars, EvaluationSet, TrainingSet
from benchmarks.core_radius.settings import REGIME, SETTINGS, TRAIN_CLASSES, Run
from pml_potential import PotentialFieldLoss
from pml_potential.benchmark.config.seeds import seed_everything
from pml_potential.benchmark.evaluation import PRIMARY_METRIC, judge
from pml_potential.benchmark.models.late_blocks import late_maps

_EVALUATION_BATCH = 256
_NEAR = 0.01


class Embedder(nn.Module):
    """The trained part of the network: the last blocks, pooled, and a linear head.

    The head starts as the principal axes of the training images' pooled features.
    """

    def __init__(self, whole: Activations) -> None:
        super().__init__()
        self.trunk = load_network()
        features = in_batches(self._features, whole)
        mean = features.mean(dim=0)
        size = REGIME["embedding_size"]
        axes = torch.linalg.svd(features - mean, full_matrices=False).Vh[:size]
        self.head = nn.Linear(len(mean), size)
        with torch.no_grad():
            self.head.weight.copy_(axes)
            self.head.bias.copy_(-axes @ mean)

    def forward(self, activations: Tensor) -> Tensor:
        """Embeddings (n, 128), not yet normalised, of activations (n, 112, 8, 8)."""
        embeddings: Tensor = self.head(self._features(activations))
        return embeddings

    def _features(self, activations: Tensor) -> Tensor:
        return late_maps(self.trunk, FROZEN_BLOCKS, activations).mean(dim=(2, 3))


@torch.no_grad()
def in_batches(network: Callable[[Tensor], Tensor], whole: Activations) -> Tensor:
    """Output of a network for many activations."""
    parts = torch.from_numpy(whole).split(_EVALUATION_BATCH)
    return torch.cat([network(part.float()) for part in parts])


@cache
def starting_point(data: TrainingSet) -> tuple[Embedder, Tensor]:
    """The network before training, and its embeddings of the training images: copy before training."""
    embedder = Embedder(data.whole)
    return embedder, in_batches(embedder, data.whole)


def scores_of(embedder: Embedder, images: EvaluationSet) -> dict[str, float]:
    """MAP@R and P@1 of a network's embeddings."""
    found = judge(normalize(in_batches(embedder, images.whole)), images.labels)
    return {metric: found[metric] for metric in (PRIMARY_METRIC, "precision_at_1")}


def build_loss(run: Run) -> PotentialFieldLoss:
    """The loss of a run, with random proxies."""
    setting = SETTINGS[run.setting]
    return PotentialFieldLoss(
        TRAIN_CLASSES,
        REGIME["embedding_size"],
        REGIME["proxies_per_class"],
        alpha=setting.alpha,
        delta=setting.delta,
        core_radius=run.core_radius,
        reducer=SumReducer() if run.plain_sum else None,
    )


def train(run: Run, cars: Cars) -> dict[str, Any]:
    """Train; return the test scores of the best validation epoch, and a record of the training."""
    started = perf_counter()
    data = cars.training[run.data]
    embedder, embeddings = deepcopy(starting_point(data))
    seed_everything(run.seed)
    if run.other_proxies:
        # Only to draw random numbers, always the same ones.
        Embedder(data.whole)
    loss_func = build_loss(run)
    loss_func.initialize_proxies(embeddings, torch.from_numpy(data.labels))
    optimizer = torch.optim.Adam(
        [
            {"params": embedder.trunk.parameters(), "lr": REGIME["trunk_lr"]},
            {"params": embedder.head.parameters(), "lr": REGIME["head_lr"]},
            {"params": loss_func.parameters(), "lr": REGIME["proxies_lr"]},
        ],
        weight_decay=REGIME["weight_decay"] if run.weight_decay else 0.0,
    )
    steps = REGIME["epochs"] * REGIME["steps_of_an_epoch"]
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    size = REGIME["classes"] * REGIME["images_of_a_class"]
    sampler = MPerClassSampler(data.labels, REGIME["images_of_a_class"], size, steps * size)
    views = np.random.default_rng(run.seed)
    history: list[dict[str, float]] = []
    closest: list[float] = []
    closest_points: list[float] = []
    steep: list[float] = []
    best = deepcopy(embedder.state_dict())
    for step, batch in enumerate(np.array(list(sampler)).reshape(steps, size), start=1):
        activations = data.batch(batch, views.integers(RANDOM_VIEWS, size=len(data.photos)))
        embeddings, labels = embedder(activations), torch.from_numpy(data.labels[batch])
        closest.append(_closest_pair(embeddings, labels))
        points = torch.cat([embeddings, loss_func.proxies])
        closest_points.append(_closest_pair(points, torch.cat([labels, loss_func.proxy_labels])))
        optimizer.zero_grad()
        loss_func(embeddings, labels).backward()
        parameters = [value for group in optimizer.param_groups for value in group["params"]]
        steep.append(_share_beyond(REGIME["clip_value"], parameters))
        if run.clip:
            nn.utils.clip_grad_value_(parameters, REGIME["clip_value"])
        optimizer.step()
        schedule.step()
        if step % (REGIME["epochs_between_validations"] * REGIME["steps_of_an_epoch"]) == 0:
            entry = {"step": step, **scores_of(embedder, cars.validation), **_step_sizes(optimizer)}
            if entry[PRIMARY_METRIC] > max((seen[PRIMARY_METRIC] for seen in history), default=0):
                best = deepcopy(embedder.state_dict())
            history.append(entry)
    embedder.load_state_dict(best)
    return {
        "test": scores_of(embedder, cars.test),
        "history": history,
        "closest_pair": min(closest),
        "closest_points": min(closest_points),
        "share_of_gradient_beyond_clip": sum(steep) / steps,
        "steps_with_near_pair": sum(distance < _NEAR for distance in closest),
        "seconds": round(perf_counter() - started),
    }


def _closest_pair(points: Tensor, labels: Tensor) -> float:
    """Distance of the two nearest points of different classes."""
    unit = normalize(points.detach())
    distances = torch.cdist(unit, unit, compute_mode="donot_use_mm_for_euclid_dist")
    return distances.masked_fill(labels[:, None] == labels, torch.inf).min().item()


def _share_beyond(limit: float, parameters: list[nn.Parameter]) -> float:
    """Share of the gradient's numbers that clipping would change."""
    gradients = [value.grad for value in parameters if value.grad is not None]
    beyond = sum(int((gradient.abs() > limit).sum()) for gradient in gradients)
    return beyond / sum(gradient.numel() for gradient in gradients)


def _step_sizes(optimizer: torch.optim.Adam) -> dict[str, float]:
    """Adam's last step in units of the learning rate, root mean square over the numbers of a group."""
    sizes = {}
    for name, group in zip(
        ("trunk_step", "head_step", "proxies_step"), optimizer.param_groups, strict=True
    ):
        squares, count = 0.0, 0
        first, second = group["betas"]
        for value in group["params"]:
            state = optimizer.state[value]
            mean = state["exp_avg"] / (1 - first ** state["step"])
            spread = (state["exp_avg_sq"] / (1 - second ** state["step"])).sqrt() + group["eps"]
            squares += (mean / spread).square().sum().item()
            count += value.numel()
        sizes[name] = (squares / count) ** 0.5
    return sizes
