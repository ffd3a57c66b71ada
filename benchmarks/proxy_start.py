"""What it buys to start proxies in the data: ``python -m benchmarks.proxy_start``.

Trains ``PotentialFieldLoss`` on the four folds of ``glyphs`` for each decay exponent and each moment
at which the proxies move into the data, and writes ``docs/results/proxy_start.json`` and the page
``docs/proxy_start.md``. A fold that an earlier call finished is not trained again.
"""

from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import normalize

from pml_potential.benchmark.config import compose
from pml_potential.benchmark.evaluation import embed
from pml_potential.benchmark.folds import FoldData, load_fold_data
from pml_potential.benchmark.records import read_json, write_json, write_text
from pml_potential.benchmark.results import confidence_interval, describe_environment
from pml_potential.benchmark.schema import Config
from pml_potential.benchmark.training import best_models, device_for_training, train_fold

DOCS = Path(__file__).parents[1] / "docs"
RESULTS = DOCS / "results" / "proxy_start.json"
PAGE = DOCS / "proxy_start.md"
RUNS = Path("runs") / "proxy_start"

ALPHAS = (1.0, 2.0, 4.0)
STARTS: dict[str, int | None] = {
    "random": None,
    "in the data, before the first step": 0,
    "in the data, after 3 epochs": 3,
}
SETTINGS = (
    "protocol.max_epochs=12",
    "protocol.patience=12",
    "loss.params.delta=0.2",
)


def measure() -> dict[str, Any]:
    """Train every setting on every fold."""
    rows = []
    for alpha in ALPHAS:
        for name, epoch in STARTS.items():
            config = _config(alpha, epoch)
            data = load_fold_data(config)
            folds = [
                _measure_fold(config, data, fold, RUNS / f"alpha_{alpha:g}-start_{epoch}")
                for fold in range(config.protocol.folds)
            ]
            rows.append({"alpha": alpha, "start": name, "folds": folds})
    config = _config(ALPHAS[0], None)
    return {
        "environment": describe_environment(),
        "config": config.model_dump(),
        "data_sha256": load_fold_data(config).images.sha256,
        "rows": rows,
    }


def page(results: dict[str, Any]) -> str:
    """Write the documentation's page from the results."""
    protocol, params = results["config"]["protocol"], results["config"]["loss"]["params"]
    lines = [
        "# Where proxies start",
        "",
        "The force of a potential field decays with distance, so that a proxy which starts far from",
        "its class is hardly pulled there. `loss.initialize_proxies(embeddings, labels)` puts the",
        "proxies on the k-means centres of their classes instead. This page shows what that buys, on",
        "real images and with a network that is trained from scratch.",
        "",
        f"`PotentialFieldLoss` with {params['proxies_per_class']} proxies a class and delta",
        f"{params['delta']} on [glyphs](glyphs.md): {protocol['folds']} folds of",
        f"{protocol['max_epochs']} epochs of {protocol['iterations_per_epoch']} iterations, one seed",
        "for each fold, the same for every row. MAP@R is the best of the validation classes; distance",
        "is the mean over proxies of the distance to the nearest training embedding of their class, at",
        "that epoch. Mean and half-width of the 95% interval over the folds.",
        "",
        "| alpha | proxies start | validation MAP@R | distance of the proxies |",
        "|---|---|---|---|",
    ]
    for row in results["rows"]:
        cells = [
            confidence_interval([fold[key] for fold in row["folds"]])
            for key in ("map_at_r", "proxy_distance")
        ]
        score, distance = (f"{cell['mean']:.3f} ± {cell['half_width']:.3f}" for cell in cells)
        lines.append(f"| {row['alpha']:g} | {row['start']} | {score} | {distance} |")
    lines += [
        "",
        "The table is made by `python -m benchmarks.proxy_start` from",
        "[results/proxy_start.json](results/proxy_start.json), which holds every fold's numbers, the",
        "configuration, the hash of the data and the versions. In a benchmark the moment is",
        "`loss.initialize_proxies_after_epoch`: 0 is before the first step, `null` is never.",
        "",
    ]
    return "\n".join(lines)


def _config(alpha: float, epoch: int | None) -> Config:
    presets = {
        "protocol": "quick",
        "dataset": "glyphs",
        "model": "small_cnn",
        "loss": "potential_field",
    }
    start = "null" if epoch is None else str(epoch)
    return compose(
        presets,
        [
            *SETTINGS,
            f"loss.params.alpha={alpha}",
            f"loss.initialize_proxies_after_epoch={start}",
        ],
    )


def _measure_fold(config: Config, data: FoldData, fold: int, folder: Path) -> dict[str, float]:
    fold_folder = folder / f"fold_{fold}"
    train, validation = data.fold(fold)
    result = train_fold(
        config,
        train,
        validation,
        data.channels,
        fold_folder,
        seed=fold,
        report=lambda *_: None,
        keep_models=True,
    )
    (saved,) = fold_folder.glob("models/metric_loss_best*.pth")
    proxies = normalize(torch.load(saved, map_location="cpu", weights_only=True)["proxies"])
    device = device_for_training()
    embeddings = embed(best_models(config, data.channels, fold_folder), train, device).cpu()
    labels = torch.from_numpy(train.labels)
    owners = torch.arange(train.num_classes).repeat_interleave(len(proxies) // train.num_classes)
    distances = torch.cdist(proxies, embeddings)
    distances[owners[:, None] != labels[None, :]] = torch.inf
    return {
        "map_at_r": result.score,
        "best_epoch": result.best_epoch,
        "proxy_distance": distances.min(dim=1).values.mean().item(),
    }


if __name__ == "__main__":
    write_json(RESULTS, measure())
    write_text(PAGE, page(read_json(RESULTS)))
    print(page(read_json(RESULTS)))
