"""Judging embeddings: MAP@R, R-precision and precision@1, by PML's tester and calculator."""

from typing import Any

import torch
from pytorch_metric_learning.testers import GlobalEmbeddingSpaceTester
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from torch import Tensor, nn

from pml_potential.benchmark.image_dataset import ImageDataset
from pml_potential.benchmark.silence import without_progress_bars

PRIMARY_METRIC = "mean_average_precision_at_r"
METRICS = (PRIMARY_METRIC, "r_precision", "precision_at_1")
"""Mean average precision at R comes first: it is what searches maximise."""

_EVALUATION_BATCH = 256


def build_calculator(device: torch.device) -> AccuracyCalculator:
    """PML's accuracy calculator for ``METRICS``, with as many neighbours as the largest class."""
    return AccuracyCalculator(include=METRICS, k="max_bin_count", device=device)


def build_tester(device: torch.device, end_of_testing_hook: Any = None) -> GlobalEmbeddingSpaceTester:
    """PML's tester of normalised embeddings, every image against all others of its set."""
    return GlobalEmbeddingSpaceTester(
        normalize_embeddings=True,
        batch_size=_EVALUATION_BATCH,
        dataloader_num_workers=0,
        data_device=device,
        accuracy_calculator=build_calculator(device),
        end_of_testing_hook=end_of_testing_hook,
    )


def embed(models: dict[str, nn.Module], dataset: ImageDataset, device: torch.device) -> Tensor:
    """Embed a data set.

    Returns:
        (len(dataset), embedding_size), l2-normalised, in the order of the data set.
    """
    with without_progress_bars():
        embeddings, _ = build_tester(device).get_all_embeddings(
            dataset, models["trunk"], models["embedder"]
        )
    result: Tensor = embeddings
    return result


def judge(embeddings: Tensor, labels: Tensor) -> dict[str, float]:
    """Compute ``METRICS`` of a set in which every embedding looks for its class among the others.

    Args:
        embeddings: (n, d).
        labels: (n,).

    Returns:
        Each metric, in [0, 1]; classes of a single image do not count.

    Examples:
        >>> points = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]])
        >>> judge(points, torch.tensor([0, 0, 1, 1]))["precision_at_1"]
        1.0
    """
    calculator = build_calculator(embeddings.device)
    accuracy = calculator.get_accuracy(embeddings, labels.to(embeddings.device))
    return {metric: float(accuracy[metric]) for metric in METRICS}
