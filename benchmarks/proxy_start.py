"""Whether data-initialised proxies improve the score: ``python -m benchmarks.proxy_start``.

Trains ``PotentialFieldLoss`` on the four folds of ``glyphs`` for each decay exponent and each start of
the proxies, and writes ``docs/results/proxy_start.json`` and the page ``docs/proxy_start.md``. A fold
that an earlier call finished is not trained again.
"""

from itertools import product
from pathlib import Path
from typing import Any

import torch
from jinja2 import StrictUndefined, Template

from benchmarks import proxy_start_pretrained
from benchmarks.proxy_start_pretrained import proxy_distance
from pml_potential.benchmark.config.composing import compose
from pml_potential.benchmark.config.schema import Config
from pml_potential.benchmark.data.folds import FoldData, load_fold_data
from pml_potential.benchmark.evaluation import embed
from pml_potential.benchmark.files import read_json, write_json, write_text
from pml_potential.benchmark.models.device import training_device
from pml_potential.benchmark.report.environment import describe_environment
from pml_potential.benchmark.report.intervals import confidence_interval
from pml_potential.benchmark.training.fold import train_fold
from pml_potential.benchmark.training.fold_models import best_models

DOCS = Path(__file__).parents[1] / "docs"
RESULTS = DOCS / "results" / "proxy_start.json"
PAGE = DOCS / "proxy_start.md"
TEMPLATE = Path(__file__).with_suffix(".md.j2")
RUNS = Path("runs") / "proxy_start"

OPTIMIZERS = {
    "RMSprop": "{name: RMSprop, lr: 1.0e-2, weight_decay: 1.0e-4, momentum: 0.9}",
    "Adam": "{name: Adam, lr: 3.0e-3}",
}
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
    environment = describe_environment()
    rows = []
    for (optimizer, alpha), start in product(product(OPTIMIZERS, ALPHAS), STARTS):
        config = _config(optimizer, alpha, start)
        data = load_fold_data(config, RUNS / "features")
        folder = RUNS / f"{optimizer}-alpha_{alpha:g}-start_{STARTS[start]}"
        folds = [_measure_fold(config, data, fold, folder) for fold in range(config.protocol.folds)]
        rows.append({"optimizer": optimizer, "alpha": alpha, "start": start, "folds": folds})
    config = _config("RMSprop", ALPHAS[0], "random")
    return {
        "environment": environment,
        "config": config.model_dump(),
        "data_sha256": load_fold_data(config, RUNS / "features").images.sha256,
        "rows": rows,
    }


def page(fresh: dict[str, Any], pretrained: dict[str, Any]) -> str:
    """Write the documentation's page from the results of both experiments."""
    template = Template(TEMPLATE.read_text(), undefined=StrictUndefined, keep_trailing_newline=True)
    rendered: str = template.render(
        protocol=fresh["config"]["protocol"],
        params=fresh["config"]["loss"]["params"],
        settings=pretrained["settings"],
        pretrained_table=_table(pretrained["rows"], ("delta", "alpha", "start")),
        fresh_table=_table(fresh["rows"], ("optimizer", "alpha", "start")),
    )
    return rendered


def _table(rows: list[dict[str, Any]], keys: tuple[str, ...]) -> str:
    names = {"start": "proxies start", "optimizer": "optimizer of the proxies"}
    header = [*(names.get(key, key) for key in keys), "validation MAP@R", "distance of the proxies"]
    lines = [f"| {' | '.join(header)} |", "|---" * len(header) + "|"]
    for row in rows:
        cells = [f"{row[key]:g}" if isinstance(row[key], float) else row[key] for key in keys]
        for score in ("map_at_r", "proxy_distance"):
            found = confidence_interval([fold[score] for fold in row["folds"]])
            cells.append(f"{found['mean']:.3f} ± {found['half_width']:.3f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _config(optimizer: str, alpha: float, start: str) -> Config:
    presets = {
        "protocol": "quick",
        "dataset": "glyphs",
        "model": "small_cnn",
        "loss": "potential_field",
    }
    epoch = STARTS[start]
    return compose(
        presets,
        [
            *SETTINGS,
            f"loss.optimizer={OPTIMIZERS[optimizer]}",
            f"loss.params.alpha={alpha}",
            f"loss.initialize_proxies_after_epoch={'null' if epoch is None else epoch}",
        ],
    )


def _measure_fold(config: Config, data: FoldData, fold: int, folder: Path) -> dict[str, float]:
    fold_folder = folder / f"fold_{fold}"
    train, validation = data.fold(config, fold)
    result = train_fold(
        config,
        train,
        validation,
        fold_folder,
        seed=fold,
        report=lambda *_: None,
        keep_models=True,
    )
    saved = fold_folder / "models" / "metric_loss_best.pth"
    proxies = torch.load(saved, map_location="cpu", weights_only=True)["proxies"]
    embeddings = embed(best_models(config, train.channels, fold_folder), train, training_device())
    distance = proxy_distance(proxies, embeddings.cpu(), torch.from_numpy(train.labels))
    return {
        "map_at_r": result.score,
        "best_epoch": result.best_epoch,
        "proxy_distance": distance,
    }


if __name__ == "__main__":
    write_json(RESULTS, measure())
    write_text(PAGE, page(read_json(RESULTS), read_json(proxy_start_pretrained.RESULTS)))
