"""The best hyperparameters that "A Metric Learning Reality Check" prints in its supplement."""

import csv
from pathlib import Path

from pml_potential.benchmark.config.schema import Config, SearchRange

_FILE = Path(__file__).parents[2] / "data" / "mlrc_best_hyperparameters.csv"
_PATHS = {"loss_lr": "loss.optimizer.lr", "epsilon": "loss.miner.params.epsilon"}

COLUMNS = ("cub200", "cars196", "sop", "cub200_batch256")
"""The runs that the supplement has a table of."""

LOSSES = {
    "ContrastiveLoss": "contrastive",
    "TripletMarginLoss": "triplet_margin",
    "NTXentLoss": "ntxent",
    "ProxyNCALoss": "proxy_nca",
    "MarginLoss": "margin",
    "NormalizedSoftmaxLoss": "normalized_softmax",
    "CosFaceLoss": "cos_face",
    "ArcFaceLoss": "arc_face",
    "FastAPLoss": "fast_ap",
    "SignalToNoiseRatioContrastiveLoss": "snr_contrastive",
    "MultiSimilarityLoss": "multi_similarity",
    "MultiSimilarityLoss+MultiSimilarityMiner": "multi_similarity_miner",
    "SoftTripleLoss": "soft_triple",
}
"""Presets, by the names that the table has for their losses."""


def losses_with_optima() -> set[str]:
    """Names of all losses in the table."""
    return {row["loss"] for row in _rows()}


def optima(loss: str, column: str) -> dict[str, float]:
    """The best values of a loss in a run, by their paths in a configuration."""
    return {
        _PATHS.get(row["parameter"], f"loss.params.{row['parameter']}"): float(row[column])
        for row in _rows()
        if row["loss"] == loss and row[column]
    }


def missed_by_search(config: Config, found: dict[str, float]) -> dict[str, float]:
    """Those of the values that the search of a configuration cannot find."""
    return {path: value for path, value in found.items() if not _holds(config.search.get(path), value)}


def _holds(search: SearchRange | None, value: float) -> bool:
    if search is None or search.low is None or search.high is None:
        return False
    return search.low <= value <= search.high


def _rows() -> list[dict[str, str]]:
    with _FILE.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))
