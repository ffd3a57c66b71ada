"""Published figures for the data set and the protocol of a run, to show beside it."""

import csv
from importlib.resources import files
from typing import Any

from pml_potential.benchmark.config.schema import Config

_MLRC = (
    "published with Musgrave, Belongie & Lim, A Metric Learning Reality Check, ECCV 2020 "
    "(arXiv 2003.08505)"
)
_PFML = (
    "Bhatnagar & Ahuja, Potential Field Based Deep Metric Learning, CVPR 2025 (arXiv 2405.18560), "
    "Table 1"
)
_MLRC_SETTING: dict[str, Any] = {
    "protocol.folds": 4,
    "protocol.batch_size": 32,
    "protocol.iterations_per_epoch": 100,
    "protocol.max_epochs": 1000,
    "protocol.validation_interval": 2,
    "protocol.patience": 9,
    "protocol.study.trials": 50,
    "model.embedding_size": 128,
    "model.freeze_batchnorm": True,
}
_MLRC_SETTING_OF_SOP = _MLRC_SETTING | {"protocol.validation_interval": 20, "protocol.patience": 39}
_COLUMNS = {"cub200": "cub", "cars196": "cars", "sop": "sop"}


def published_figures(config: Config) -> dict[str, Any] | None:
    """Find the published figures that a run may be compared with.

    A figure is chosen only if it was measured on the same classes for the same purpose: validation
    beside validation, test beside test.

    Args:
        config: the configuration of the run.

    Returns:
        None if there are none, or a dictionary: ``source``; ``part``, the classes that they were
        measured on, ``validation`` or ``test``; ``metrics``; ``rows``, each with ``method``,
        ``backbone``, ``embedding_size`` and ``values`` of the metrics from 0 to 1, None where the
        paper has none; and ``deviations``, in which the run differs from the published setting.
    """
    if config.dataset.name not in _COLUMNS or config.dataset.label_noise > 0:
        return None
    if config.protocol.name in {"mlrc", "mlrc_sop"} and config.protocol.study is not None:
        return _mlrc(config) if config.model.trunk == "bn_inception" else None
    if config.protocol.name in {"traditional", "traditional_sop"} and config.protocol.folds == 1:
        return _pfml(config)
    return None


def backbone_of(trunk: str) -> str | None:
    """Name of a trunk in the table of PFML, None if it is not there.

    Examples:
        >>> backbone_of("timm/vit_small_patch16_224.dino"), backbone_of("small_cnn")
        ('dino_vits16', None)
    """
    name = trunk.rpartition("/")[2]
    if name.startswith("vit_small_patch16_224"):
        return "dino_vits16" if name.endswith(".dino") else "vits16"
    known = ("bn_inception", "resnet50")
    return name.partition(".")[0] if name.partition(".")[0] in known else None


def _mlrc(config: Config) -> dict[str, Any]:
    dataset = config.dataset.name
    setting = _MLRC_SETTING_OF_SOP if dataset == "sop" else _MLRC_SETTING
    deviations = []
    for path, published in setting.items():
        value: Any = config
        for key in path.split("."):
            value = getattr(value, key)
        if value != published:
            deviations.append(f"{path} is {value}, and {published} there")
    deviations += _missing_weights(config)
    rows: list[dict[str, Any]] = [
        {
            "method": row["loss"],
            "backbone": "bn_inception",
            "embedding_size": 128,
            "values": {"mean_average_precision_at_r": float(row[dataset])},
        }
        for row in _rows("mlrc_best_validation_map_at_r.csv")
    ]
    return {
        "source": _MLRC,
        "part": "validation",
        "metrics": ["mean_average_precision_at_r"],
        "rows": rows,
        "deviations": deviations,
    }


def _pfml(config: Config) -> dict[str, Any] | None:
    table = _rows("pfml_table1_recall.csv")
    prefix = f"{_COLUMNS[config.dataset.name]}_r"
    wanted = [k for k in config.protocol.recall_at if f"{prefix}{k}" in table[0]]
    if not wanted:
        return None
    backbone = backbone_of(config.model.trunk)
    rows: list[dict[str, Any]] = [
        {
            "method": row["method"],
            "backbone": row["backbone"],
            "embedding_size": int(row["dim"]),
            "values": {f"recall_at_{k}": _share(row[f"{prefix}{k}"]) for k in wanted},
        }
        for row in table
        if backbone is None or row["backbone"] == backbone
    ]
    deviations = []
    if backbone is None:
        deviations.append(f"model.trunk is {config.model.trunk}, which no row of the table has")
    sizes = {row["embedding_size"] for row in rows}
    if config.model.embedding_size not in sizes:
        found = " or ".join(str(size) for size in sorted(sizes))
        deviations.append(f"model.embedding_size is {config.model.embedding_size}, and {found} there")
    deviations += _missing_weights(config)
    return {
        "source": _PFML,
        "part": "test",
        "metrics": [f"recall_at_{k}" for k in wanted],
        "rows": rows,
        "deviations": deviations,
    }


def _missing_weights(config: Config) -> list[str]:
    is_pretrained = config.model.weights is not None
    return [] if is_pretrained else ["model.weights is null, and all models there are pretrained"]


def _rows(name: str) -> list[dict[str, str]]:
    path = files("pml_potential.benchmark.report") / "published" / name
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def _share(percent: str) -> float | None:
    # The table has one decimal: without rounding, division would leave digits that were not printed.
    return round(float(percent) / 100, 4) if percent else None
