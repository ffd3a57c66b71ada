"""Settings of the study: the regime, each loss with its search space, and the questions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scipy.stats import qmc

from pml_potential.benchmark.config.composing import compose, with_values
from pml_potential.benchmark.config.schema import Config

HEADS = ("random", "pca")
"""Starts of the head in the first two trials; the other trials have the last one."""

TRIALS = 4
"""Trials of each loss: the published setting with both heads, and two drawn settings."""

SEEDS = (1, 2, 3)
"""Of the trainings that are judged; the search has seed 0."""

WRONG_LABELS = (0.2, 0.4)
FEW_WRONG_LABELS = (0.1,)
"""Shares of wrong labels; the latter come last, since they tell least."""

CARS, EMOJI, TINY = "cars196", "emoji", "tiny_imagenet"
"""Folders of the images, a folder for each class in them."""

_LAST_STAGES = (
    "protocol.iterations_per_epoch=30",
    "protocol.max_epochs=25",
    "protocol.patience=3",
    "protocol.crop={resize: 144, size: 128, fit: squash, views: 5}",
)
"""Training the last stages of a pretrained network: about an epoch from validation to validation."""

_FROM_SCRATCH = (
    "model.trunk=timm/resnet10t",
    "model.pooling=avg",
    "model.embedding_size=128",
    "model.input={mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]}",
    "model.trunk_optimizer={name: Adam, lr: 1.0e-3}",
    "model.embedder_optimizer={name: Adam, lr: 1.0e-3}",
    "model.channels_last=true",
    "protocol.iterations_per_epoch=75",
    "protocol.max_epochs=40",
    "protocol.patience=5",
    "protocol.crop={resize: 64, size: 64, scale: [0.36, 1.0]}",
)

REGIMES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    # 25 classes of 4 in a batch, as the published runs of pair losses have them.
    CARS: ("efficientnet_lite0_partial", (*_LAST_STAGES, "sampler.m=4")),
    # Three pictures a class.
    EMOJI: ("efficientnet_lite0_partial", (*_LAST_STAGES, "sampler.m=2")),
    TINY: ("small_cnn", (*_FROM_SCRATCH, "sampler.m=4")),
}
"""For each set of images a model preset, and the changes to it and to the protocol ``quick``."""

_OF_PROXIES = {"name": "Adam", "lr": 1e-2}
"""The optimizer of every loss with parameters; its learning rate is searched."""


@dataclass(frozen=True)
class Span:
    """A range of numbers that a search may try."""

    low: float
    high: float
    log: bool = False

    def at(self, share: float) -> float:
        """The number at a share of the range."""
        if self.log:
            return float(f"{self.low * (self.high / self.low) ** share:.3g}")
        return float(f"{self.low + share * (self.high - self.low):.3g}")


Space = Mapping[str, Span | tuple[Any, ...]]
"""Dotted paths of the configuration, each with a span, or with the values to choose from."""

_PROXIES: Space = {"loss.optimizer.lr": Span(3e-3, 3e-2, log=True)}
_CLASS_WISE: Space = {
    "loss.params.alpha": Span(0.01, 10.0, log=True),
    "loss.params.beta": Span(10.0, 100.0, log=True),
    "loss.params.base": Span(0.3, 0.9),
}


@dataclass(frozen=True)
class Candidate:
    """A loss of the comparison.

    Attributes:
        title: its name on the page.
        preset: its file in ``benchmarker_configs/losses``.
        start: changes to that file in its first trials, from the literature.
        space: ranges and values from which the other trials are drawn.
    """

    title: str
    preset: str
    start: Mapping[str, Any]
    space: Space


CANDIDATES: Mapping[str, Candidate] = {
    each.preset: each
    for each in (
        Candidate(
            "PotentialFieldLoss",
            "potential_field",
            # Best plotted alpha of the PFML paper, and the middle of its deltas. Data-initialised
            # proxies are as in the preset for pretrained networks.
            {
                "loss.params": {"alpha": 3.0, "delta": 0.2, "proxies_per_class": 15},
                "loss.initialize_proxies_after_epoch": 0,
            },
            {
                "loss.params.alpha": Span(1.0, 4.0),
                "loss.params.delta": Span(0.2, 0.8),
                "loss.params.proxies_per_class": (2, 5),
                **_PROXIES,
            },
        ),
        Candidate(
            "CPMLLoss",
            "cpml",
            {
                "loss.params": {"delta": 0.2, "proxies_per_class": 15},
                "loss.initialize_proxies_after_epoch": 0,
            },
            {
                "loss.params.delta": Span(0.2, 0.8),
                "loss.params.proxies_per_class": (2, 5),
                **_PROXIES,
            },
        ),
        Candidate(
            "MeanFieldContrastiveLoss",
            "mean_field_contrastive",
            # Of the mean-field paper, Table 1.
            {},
            {
                "loss.params.pos_margin": Span(0.0, 0.4),
                "loss.params.neg_margin": Span(0.2, 1.0),
                **_PROXIES,
            },
        ),
        Candidate(
            "MeanFieldClassWiseMultiSimilarityLoss",
            "mean_field_class_wise_multi_similarity",
            {},
            {
                **_CLASS_WISE,
                **_PROXIES,
            },
        ),
        Candidate(
            "ClassWiseMultiSimilarityLoss",
            "class_wise_multi_similarity",
            {},
            {
                **_CLASS_WISE,
            },
        ),
        Candidate(
            "ContrastiveLoss",
            "contrastive",
            {},
            {
                "loss.params.pos_margin": Span(0.0, 0.5),
                "loss.params.neg_margin": Span(0.3, 1.3),
            },
        ),
        Candidate(
            "MultiSimilarityLoss",
            "multi_similarity",
            {},
            {
                "loss.params.alpha": Span(0.5, 20.0, log=True),
                "loss.params.beta": Span(10.0, 100.0, log=True),
                "loss.params.base": Span(0.2, 0.8),
            },
        ),
        Candidate(
            "ProxyAnchorLoss",
            "proxy_anchor",
            {},
            {
                "loss.params.margin": Span(0.0, 0.4),
                "loss.params.alpha": Span(8.0, 64.0, log=True),
                **_PROXIES,
            },
        ),
        Candidate(
            "SoftTripleLoss",
            "soft_triple",
            {},
            {
                "loss.params.la": Span(5.0, 40.0, log=True),
                "loss.params.gamma": Span(1.0, 20.0, log=True),
                "loss.params.margin": Span(0.0, 0.3),
                **_PROXIES,
            },
        ),
        Candidate(
            "NormalizedSoftmaxLoss",
            "normalized_softmax",
            {},
            {"loss.params.temperature": Span(0.03, 0.3, log=True), **_PROXIES},
        ),
    )
}

PAIR_LOSSES = ("contrastive", "multi_similarity")
PROXY_LOSSES = ("proxy_anchor", "soft_triple", "normalized_softmax")
"""Of pytorch-metric-learning, as rivals."""

FEW_IMAGES = ("potential_field", "proxy_anchor", "normalized_softmax", "multi_similarity")
"""Losses that are compared on many classes of few images; PotentialFieldLoss with 1 and 2 proxies."""

FROM_SCRATCH = (
    *("potential_field", "proxy_anchor", "multi_similarity"),
    *("normalized_softmax", "contrastive"),
)
"""Losses that train a network from scratch."""

FROM_SCRATCH_WRONG_LABELS = (0.0, 0.4)

QUESTIONS: Mapping[str, tuple[Any, ...]] = {
    "loss.params.delta": (0.1, 0.2, 0.5, 0.8),
    "loss.params.proxies_per_class": (0, 1, 5, 15),
    "loss.params.alpha": (0.0, 1.0, 6.0),
    "loss.initialize_proxies_after_epoch": (None,),
    "model.head.start": ("random",),
    "loss.params.core_radius": (0.01,),
    "protocol.crop.views": (1, 2, 10),
}
"""Of PotentialFieldLoss: paths, each with values that replace that of the best trial.

The best trial's own values are measured by the comparison.
"""

WRONG_LABEL_SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "alpha 0": {"loss.params.alpha": 0.0},
    "alpha 1": {"loss.params.alpha": 1.0},
    "delta 0.8": {"loss.params.delta": 0.8},
    "delta_rep 0.15": {"loss.params.delta_rep": 0.15},
    "alpha 1, delta 0.5, 5 proxies": {
        "loss.params.alpha": 1.0,
        "loss.params.delta": 0.5,
        "loss.params.proxies_per_class": 5,
    },
}
"""What PotentialFieldLoss changes of its best trial where 20% of the labels are wrong."""

VARIANTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "slow": (
        "alpha 1, delta 0.5, 5 proxies a class",
        WRONG_LABEL_SETTINGS["alpha 1, delta 0.5, 5 proxies"],
    ),
    "sum": (
        "U itself, gradients clipped at 10, core radius 0.01",
        {
            "loss.reducer": {"name": "SumReducer"},
            "training.clip_value": 10.0,
            "loss.params.core_radius": 0.01,
        },
    ),
    "embeddings": (
        "the energy of the embeddings alone, without that of the proxies",
        {"loss.name": "EmbeddingEnergyLoss"},
    ),
}
"""Several changes at once, each with a title: slow decay, and what other people's code does."""


def base_config(preset: str, images: str, root: str) -> Config:
    """A loss in the regime of a set of images, with the values of its preset."""
    model, assignments = REGIMES[images]
    presets = {"protocol": "quick", "dataset": "folder", "model": model, "loss": preset}
    fixed = ("protocol.batch_size=100", "protocol.study=null", f"dataset.root={root}")
    config = compose(presets, [*fixed, *assignments])
    changes: dict[str, Any] = {"search": {}}
    if config.loss.optimizer is not None:
        changes["loss.optimizer"] = _OF_PROXIES
    return with_values(config, changes)


def trial(preset: str, number: int) -> dict[str, Any]:
    """The changes of a trial: published values in the first trials, drawn ones in the others."""
    candidate = CANDIDATES[preset]
    if number < len(HEADS):
        return {"model.head.start": HEADS[number], **candidate.start}
    kept = "loss.initialize_proxies_after_epoch"
    fixed = {path: value for path, value in candidate.start.items() if path == kept}
    sequence = qmc.Sobol(len(candidate.space), scramble=True, rng=0)
    shares = sequence.random(TRIALS - len(HEADS))[number - len(HEADS)]
    drawn = {
        path: span.at(share) if isinstance(span, Span) else span[int(share * len(span))]
        for (path, span), share in zip(candidate.space.items(), shares, strict=True)
    }
    return {"model.head.start": HEADS[-1], **fixed, **drawn}
