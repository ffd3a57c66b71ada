"""Whose pull an image feels with wrong labels: ``python -m benchmarks.photographs.pull DATA``.

Decay helps against wrong labels if these lie farther away than right ones. This measures how far they
lie, before and after a training with 20% wrong labels, and which share of the pull comes from them.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.photographs.cells import FOLD, RESULTS, Cell, Laboratory
from benchmarks.photographs.plan import best_trials
from benchmarks.photographs.settings import WRONG_LABELS
from pml_potential.benchmark.config.composing import with_values
from pml_potential.benchmark.evaluation import embed
from pml_potential.benchmark.files import write_json
from pml_potential.benchmark.models.device import training_device
from pml_potential.benchmark.training.fold import train_fold
from pml_potential.benchmark.training.fold_models import best_models, untrained_models

ALPHAS = (0.0, 1.0, 3.0)

SEED = 1


def pull(embeddings: Tensor, labels: Tensor, is_wrong: Tensor, alpha: float, delta: float) -> float:
    """Share of the pull on images with right labels that comes from images with wrong ones.

    The pull of a pair of one class beyond delta is r^-(alpha + 1); a share is of the sum of all.
    """
    distances = torch.cdist(embeddings, embeddings)
    acts = (labels[:, None] == labels) & (distances > delta)
    force = torch.where(acts, distances, torch.inf) ** -(alpha + 1)
    felt = force[~is_wrong]
    return (felt[:, is_wrong].sum() / felt.sum()).item()


def medians(embeddings: Tensor, right: Tensor) -> dict[str, float]:
    """Median distance within classes and between them, by the right labels."""
    distances = torch.pdist(embeddings)
    first, second = torch.triu_indices(len(right), len(right), offset=1)
    same = right[first] == right[second]
    return {
        "within": round(distances[same].median().item(), 3),
        "between": round(distances[~same].median().item(), 3),
    }


def measure(data: Path, work: Path) -> dict[str, Any]:
    """Train, and look at the embeddings of the training images before and after."""
    changes = {**best_trials()["potential_field"], "dataset.label_noise": WRONG_LABELS[0]}
    config, images = Laboratory(data, work).set_up(
        Cell("pull", "pull", "potential_field", changes, SEED)
    )
    train, validation = images.fold(config, FOLD)
    labels = torch.from_numpy(images.training_labels(config, FOLD))
    without = with_values(config, {"dataset.label_noise": 0.0})
    right = torch.from_numpy(images.training_labels(without, FOLD))
    folder = work / "pull"
    trained = train_fold(config, train, validation, folder, SEED, lambda *_: None, keep_models=True)
    states = {
        "before": untrained_models(config, train, SEED),
        "after": best_models(config, images.images.channels, folder),
    }
    found: dict[str, Any] = {"changes": changes, "seed": SEED, "best_epoch": trained.best_epoch}
    for state, models in states.items():
        embeddings = embed(models, train.as_judged or train, training_device()).cpu()
        shares = {
            f"alpha {alpha:g}": round(
                pull(embeddings, labels, labels != right, alpha, changes["loss.params.delta"]), 3
            )
            for alpha in ALPHAS
        }
        found[state] = {"distance": medians(embeddings, right), "share_of_pull": shares}
    return found


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description="Whose pull an image feels with wrong labels.")
    parser.add_argument("data", type=Path, help="folder of the sets of images")
    parser.add_argument("--work", type=Path, default=Path("runs/photographs"), help="folder for caches")
    given = parser.parse_args()
    write_json(RESULTS / "pull.json", measure(given.data, given.work))


if __name__ == "__main__":
    main()
