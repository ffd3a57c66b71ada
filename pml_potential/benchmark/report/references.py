"""The papers that a run builds on, as BibTeX."""

import re
from functools import cache
from importlib.resources import files
from typing import Any

_LOSSES = {
    "ArcFaceLoss": "deng2019arcface",
    "CPMLLoss": "bhatnagar2025potential",
    "ClassWiseMultiSimilarityLoss": "furusawa2024mean",
    "ContrastiveLoss": "hadsell2006dimensionality",
    "CosFaceLoss": "wang2018cosface",
    "FastAPLoss": "cakir2019deep",
    "MarginLoss": "wu2017sampling",
    "MeanFieldClassWiseMultiSimilarityLoss": "furusawa2024mean",
    "MeanFieldContrastiveLoss": "furusawa2024mean",
    "MultiSimilarityLoss": "wang2019multi",
    "NTXentLoss": "chen2020simple",
    "NormalizedSoftmaxLoss": "zhai2019classification",
    "PotentialFieldLoss": "bhatnagar2025potential",
    "ProxyAnchorLoss": "kim2020proxy",
    "ProxyNCALoss": "movshovitz2017no",
    "SignalToNoiseRatioContrastiveLoss": "yuan2019signal",
    "SoftTripleLoss": "qian2019softtriple",
    "TripletMarginLoss": "schroff2015facenet",
}
"""By the class of the loss; for other losses nothing is cited."""

_DATASETS = {
    "cars196": "krause2013object",
    "cub200": "wah2011caltech",
    "in_shop": "liu2016deepfashion",
    "sop": "song2016deep",
}
"""By the name of the data set; the others have no paper."""

_TRUNKS = {
    "bn_inception": "ioffe2015batch",
    "resnet": "he2016deep",
    "efficientnet": "tan2019efficientnet",
    "vit_": "dosovitskiy2021image",
    ".dino": "caron2021emerging",
    "dinov2": "oquab2023dinov2",
    "dinov3": "simeoni2025dinov3",
    "clip": "radford2021learning",
    "siglip": "tschannen2025siglip",
}
"""By a part of the network's name, which may contain several."""


def loss_keys(name: str) -> list[str]:
    """BibTeX keys of the paper of a loss.

    Examples:
        >>> loss_keys("ProxyAnchorLoss"), loss_keys("MyLoss")
        (['kim2020proxy'], [])
    """
    return [_LOSSES[name]] if name in _LOSSES else []


def dataset_keys(name: str) -> list[str]:
    """BibTeX keys of the paper of a data set.

    Examples:
        >>> dataset_keys("cub200"), dataset_keys("glyphs")
        (['wah2011caltech'], [])
    """
    return [_DATASETS[name]] if name in _DATASETS else []


def trunk_keys(name: str) -> list[str]:
    """BibTeX keys of the papers of a network and of its training.

    Examples:
        >>> trunk_keys("timm/vit_small_patch14_dinov2.lvd142m")
        ['dosovitskiy2021image', 'oquab2023dinov2']
    """
    return [key for part, key in _TRUNKS.items() if part in name]


def keys_of(results: dict[str, Any]) -> list[str]:
    """BibTeX keys of all papers that a run builds on, this package and its libraries first."""
    config = results["config"]
    protocol = config["protocol"]
    keys = [
        "pml-potential",
        "musgrave2020pytorch",
        *(["musgrave2020metric"] if protocol["folds"] > 1 else []),
        *(["akiba2019optuna"] if results["best"]["params"] else []),
        *loss_keys(config["loss"]["name"]),
        *dataset_keys(config["dataset"].get("name", results["data"]["name"])),
        *trunk_keys(config["model"]["trunk"]),
    ]
    return list(dict.fromkeys(keys))


def bibtex(keys: list[str]) -> str:
    """Entries of these keys, in their order.

    Raises:
        KeyError: There is no such entry.

    Examples:
        >>> bibtex(["akiba2019optuna"]).splitlines()[0]
        '@inproceedings{akiba2019optuna,'
    """
    return "\n".join(_entries()[key] for key in keys)


@cache
def _entries() -> dict[str, str]:
    path = files("pml_potential.benchmark.report") / "published" / "references.bib"
    found = path.read_text(encoding="utf-8").split("\n\n")
    keys = [re.match(r"@\w+\{([^,]+),", each) for each in found]
    return {
        key.group(1): f"{each.strip()}\n"
        for key, each in zip(keys, found, strict=True)
        if key is not None
    }
