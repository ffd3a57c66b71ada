"""Your own loss, network and metric in the benchmark, without changing the package."""

from pathlib import Path

import pytorch_metric_learning.losses
import timm
import torch
from pytorch_metric_learning.losses import BaseMetricLossFunction
from rich.console import Console
from torch import nn

from pml_potential.benchmark.config.composing import compose
from pml_potential.benchmark.evaluation import FURTHER_METRICS, Metric
from pml_potential.benchmark.experiments.experiment import run_experiment


class CompactClassLoss(BaseMetricLossFunction):
    """Mean distance of the embeddings from the mean of their class."""

    # PML also passes a miner's choice and references; this loss ignores them.
    def compute_loss(self, embeddings, labels, *_):
        embeddings = nn.functional.normalize(embeddings)
        same = (labels[:, None] == labels).to(embeddings.dtype)
        means = same @ embeddings / same.sum(dim=1, keepdim=True)
        return {
            "loss": {
                "losses": (embeddings - means).norm(dim=1),
                "indices": torch.arange(len(labels), device=labels.device),
                "reduction_type": "element",
            }
        }


# The benchmark looks losses up by name, among those of this package and those of PML.
pytorch_metric_learning.losses.CompactClassLoss = CompactClassLoss


# Networks are looked up in timm's registry, which passes settings such as num_classes=0.
@timm.models.register_model
def own_network(**_):
    network = nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    network.default_cfg = {"input_size": (3, 32, 32)}
    return network


# Called as PML's calculator calls its own: with the labels of the nearest neighbours, and more.
def hit_at_2(knn_labels, query_labels, not_lone_query_mask, **_):
    hits = (knn_labels[:, :2] == query_labels[:, None]).any(dim=1)
    return hits[not_lone_query_mask].double().mean().item()


FURTHER_METRICS["hit_at_2"] = Metric("hit@2", hit_at_2)


if __name__ == "__main__":
    here = Path(__file__).parent
    config = compose(
        {
            "protocol": "quick",
            "dataset": "digits",
            "model": str(here / "own_model.yaml"),
            "loss": str(here / "own_loss.yaml"),
        },
        # A small test run; remove these lines for a full search.
        [
            "protocol.metrics=[hit_at_2, NMI]",
            *("protocol.study=null", "protocol.folds=2", "protocol.batch_size=8"),
            *("protocol.iterations_per_epoch=1", "protocol.max_epochs=1"),
        ],
    )
    run_experiment(config, Path("runs/own_parts"), Console())
