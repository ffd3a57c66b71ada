"""Losses in one situation, measured in a separate process that ``benchmarks.loss_step`` starts.

``python -m benchmarks.loss_step_case time '[{"method": "PotentialFieldLoss", ...}, ...]'`` prints as
JSON how long the steps of each case take, ``memory`` with one case how much memory it needs. The keys
are the fields of ``Case``.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # Imported by the first step of torch's optimizers, and by checkpoint.
from pytorch_metric_learning.losses import ProxyAnchorLoss, SoftTripleLoss
from torch import Tensor
from torch.nn.functional import normalize

from pml_potential import MeanFieldClassWiseMultiSimilarityLoss, PotentialFieldLoss
from pml_potential.fields.formula import energies_at_distances

ALPHA = 4.0
"""The loss's default, which is the paper's."""

PROXY_LEARNING_RATE = 100 * 5e-4
"""The paper's, with Adam."""

_SPREAD = {"clustered": 0.05, "collapsed": 1e-3}
"""Distance of a point from the centre of its class, or of all."""

_LEAST_REPEATS, _MOST_REPEATS, _SECONDS = 5, 25, 6.0

TRAINING_STEPS = 50

PROCESSOR = torch.device("cpu")

Step = Callable[[], None]


@dataclass(frozen=True)
class Case:
    """A measurement: one step, forward and backward, of a method.

    Args:
        method: a key of ``METHODS``.
        state: random (the initial proxies), clustered (trained: points of a class within 0.1 of each
            other) or collapsed (all points within 0.002 of each other).
        classes: number of classes.
        proxies_per_class: proxies in each.
        width: coordinates of an embedding.
        batch_size: number of embeddings.
        training: whether steps are training steps: each has a new batch, and Adam moves the proxies.
        delta: radius of ``PotentialFieldLoss``, ignored by the others.
    """

    method: str
    state: str
    classes: int
    proxies_per_class: int
    width: int
    batch_size: int = 128
    training: bool = False
    delta: float = 0.2

    @property
    def points(self) -> int:
        """Embeddings and proxies together."""
        return self.batch_size + self.classes * self.proxies_per_class


class Inputs:
    """Proxies in the state of a case, and batches to go with them.

    Args:
        case: the case to measure.
        device: of all tensors.
    """

    def __init__(self, case: Case, device: torch.device = PROCESSOR) -> None:
        torch.manual_seed(0)
        self.case = case
        self.device = device
        classes = torch.arange(case.classes, device=device)
        self.proxy_labels = classes.repeat_interleave(case.proxies_per_class)
        if case.state == "random":
            self.proxies = self._random(len(self.proxy_labels))
        else:
            one = case.state == "collapsed"
            self.centres = normalize(self._random(1 if one else case.classes))
            self.proxies = self._around_centres(self.proxy_labels)
        self.embeddings, self.labels = self.batch()

    def batch(self) -> tuple[Tensor, Tensor]:
        """Embeddings in the same state, and their labels."""
        labels = torch.randint(self.case.classes, (self.case.batch_size,), device=self.device)
        if self.case.state == "random":
            return self._random(len(labels)).requires_grad_(), labels
        return self._around_centres(labels).requires_grad_(), labels

    def points(self) -> tuple[Tensor, Tensor]:
        """All points and their labels."""
        points = torch.cat([self.proxies, self.embeddings.detach()])
        return points, torch.cat([self.proxy_labels, self.labels])

    def _around_centres(self, labels: Tensor) -> Tensor:
        offsets = normalize(self._random(len(labels)))
        centres = self.centres[labels % len(self.centres)]
        return centres + _SPREAD[self.case.state] * offsets

    def _random(self, count: int) -> Tensor:
        return torch.randn(count, self.case.width, device=self.device)


def _potential_field(inputs: Inputs) -> Any:
    case = inputs.case
    loss = PotentialFieldLoss(
        case.classes, case.width, case.proxies_per_class, alpha=ALPHA, delta=case.delta
    )
    loss.proxies.data.copy_(inputs.proxies)
    return loss


def _proxy_anchor(inputs: Inputs) -> Any:
    """As many classes as there are proxies: this loss has one for each."""
    loss = ProxyAnchorLoss(len(inputs.proxies), inputs.case.width)
    loss.proxies.data.copy_(inputs.proxies)
    return loss


def _soft_triple(inputs: Inputs) -> Any:
    case = inputs.case
    loss = SoftTripleLoss(case.classes, case.width, case.proxies_per_class)
    loss.fc.data.copy_(inputs.proxies.T)
    return loss


def _mean_field_class_wise_multi_similarity(inputs: Inputs) -> Any:
    loss = MeanFieldClassWiseMultiSimilarityLoss(inputs.case.classes, inputs.case.width)
    loss.mean_fields.data.copy_(inputs.proxies)
    return loss


def _dense_product(inputs: Inputs) -> Step:
    points, _ = inputs.points()

    def step() -> None:
        torch.mm(points, points.T)

    return step


def _formula(inputs: Inputs) -> Step:
    """The formula under autograd, with distances from products, which are the fastest."""
    points, labels = inputs.points()
    points.requires_grad_()
    potential = _potential_field(inputs).potential

    def step() -> None:
        points.grad = None
        unit = normalize(points)
        squared = (2 - 2 * unit @ unit.T).clamp_min(1e-12)
        energies_at_distances(squared, labels, potential).mean().backward()

    return step


def _keops(inputs: Inputs) -> Step:
    """The formula without its n x n matrices: KeOps computes them on the fly."""
    from pykeops.torch import LazyTensor

    points, labels = inputs.points()
    points.requires_grad_()
    classes = labels.float()[:, None]

    def step() -> None:
        points.grad = None
        unit = normalize(points)
        row, column = LazyTensor(unit[:, None, :]), LazyTensor(unit[None, :, :])
        apart = (LazyTensor(classes[:, None, :]) - LazyTensor(classes[None, :, :])).abs()
        squared = ((row - column) ** 2).sum(-1)
        attraction = -(squared.clamp(inputs.case.delta**2, 4).power(-ALPHA / 2))
        repulsion = squared.clamp(1e-4, inputs.case.delta**2).power(-ALPHA / 2)
        same_class = (0.5 - apart).step()
        potential = same_class * attraction + (1 - same_class) * repulsion
        potential.sum(dim=1).mean().backward()

    return step


LOSSES: dict[str, Callable[[Inputs], Any]] = {
    "PotentialFieldLoss": _potential_field,
    "ProxyAnchorLoss": _proxy_anchor,
    "SoftTripleLoss": _soft_triple,
    "MeanFieldClassWiseMultiSimilarityLoss": _mean_field_class_wise_multi_similarity,
}
STEPS: dict[str, Callable[[Inputs], Step]] = {
    "X @ X.T": _dense_product,
    "formula": _formula,
    "KeOps": _keops,
}


class Trial:
    """The steps of a case, one after the other, on a device."""

    def __init__(self, case: Case, device: torch.device = PROCESSOR) -> None:
        self._inputs = Inputs(case, device)
        self._moving = [self._inputs.embeddings]
        self._loss = self._optimizer = None
        if case.method in STEPS:
            self._step = STEPS[case.method](self._inputs)
            return
        self._loss = LOSSES[case.method](self._inputs).to(device)
        self._moving += self._loss.parameters()
        if case.training:
            self._optimizer = torch.optim.Adam(self._loss.parameters(), lr=PROXY_LEARNING_RATE)
        self._set_batch()

    def _set_batch(self) -> None:
        labels = _labels_for(self._loss, self._inputs)
        self._step = _step_of_loss(self._loss, self._inputs.embeddings, labels)

    def seconds(self) -> float:
        """Time a step: a training step with a new batch, or the same step after all points have moved.

        They move to their antipodes, which keeps their distances, but a loss cannot profit from
        remembering their positions.
        """
        if self._optimizer is None:
            for vectors in self._moving:
                vectors.data.neg_()
        else:
            self._inputs.embeddings, self._inputs.labels = self._inputs.batch()
            self._set_batch()
        self._wait()
        start = time.perf_counter()
        self._step()
        if self._optimizer is not None:
            self._optimizer.step()
        self._wait()
        return time.perf_counter() - start

    def _wait(self) -> None:
        """Wait until a GPU has finished its work."""
        if self._inputs.device.type == "cuda":
            torch.cuda.synchronize(self._inputs.device)


def measure_time(cases: list[Case], device: torch.device = PROCESSOR) -> list[list[float]]:
    """Seconds of the steps of each case, which take turns, so a busy machine slows all equally."""
    _warm_up(cases, device)
    trials = [Trial(case, device) for case in cases]
    if device.type == "cuda":
        # Kernels are compiled for the sizes of each case.
        for trial in trials:
            trial.seconds()
    seconds: list[list[float]] = [[] for _ in cases]
    repeats = TRAINING_STEPS if cases[0].training else _MOST_REPEATS
    start = time.perf_counter()
    while len(seconds[0]) < repeats:
        for trial, own in zip(trials, seconds, strict=True):
            own.append(trial.seconds())
        is_slow = time.perf_counter() - start > _SECONDS * len(cases) and not cases[0].training
        if is_slow and len(seconds[0]) >= _LEAST_REPEATS:
            break
    return seconds


def measure_memory(case: Case, device: torch.device = PROCESSOR) -> float:
    """MiB that the steps of a case need above their inputs, on their device."""
    _warm_up([case], device)
    trial = Trial(case, device)
    memory = _PeakMemoryOfGPU(device) if device.type == "cuda" else _PeakMemory()
    memory.start()
    for _ in range(TRAINING_STEPS if case.training else 2):
        trial.seconds()
    return memory.above_start()


def _warm_up(cases: list[Case], device: torch.device) -> None:
    # Like a network's activations: an allocator that has freed a large piece keeps what it frees.
    torch.empty(31 * 2**20, dtype=torch.uint8)
    # Loads all code, so it does not count as the case's time and memory.
    for case in cases:
        Trial(replace(case, classes=8, width=8, batch_size=8), device).seconds()


def _labels_for(loss: Any, inputs: Inputs) -> Tensor:
    """Labels of the embeddings: ProxyAnchorLoss takes each class's first proxy for the class."""
    is_anchor = isinstance(loss, ProxyAnchorLoss)
    return inputs.labels * (inputs.case.proxies_per_class if is_anchor else 1)


def _step_of_loss(loss: Any, embeddings: Tensor, labels: Tensor) -> Step:
    def step() -> None:
        embeddings.grad = None
        loss.zero_grad()
        loss(embeddings, labels).backward()

    return step


class _PeakMemory:
    """The largest resident memory of this process since ``start``, above what it was then (Linux)."""

    def start(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")
        self._before = self._peak()

    def above_start(self) -> float:
        """In MiB."""
        return self._peak() - self._before

    @staticmethod
    def _peak() -> float:
        lines = Path("/proc/self/status").read_text().splitlines()
        (peak,) = [line.split()[1] for line in lines if line.startswith("VmHWM")]
        return int(peak) / 1024


class _PeakMemoryOfGPU:
    """The most that torch has allocated on a GPU since ``start``, above what it had then."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def start(self) -> None:
        torch.cuda.reset_peak_memory_stats(self._device)
        self._before = torch.cuda.memory_allocated(self._device)

    def above_start(self) -> float:
        """In MiB."""
        return (torch.cuda.max_memory_allocated(self._device) - self._before) / 2**20


if __name__ == "__main__":
    asked_for = [Case(**case) for case in json.loads(sys.argv[2])]
    is_time = sys.argv[1] == "time"
    print(json.dumps(measure_time(asked_for) if is_time else [measure_memory(asked_for[0])]))
