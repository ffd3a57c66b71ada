"""Properties of an embedding beyond its retrieval scores: compactness, spread, dimensions, hubs."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import skew
from torch import Tensor, nn

from pml_potential.analysis.nearest_neighbors import nearest_neighbors
from pml_potential.functional.validation import check_embeddings, check_labels

_PAIRS_PER_BLOCK = 2**22


@dataclass(frozen=True)
class EmbeddingHealth:
    """Properties of n embeddings of d dimensions, l2-normalised, of C classes.

    Attributes:
        alignment: mean of ||x - y||^2 over the pairs of a class, in [0, 4]; lower is more compact.
            Wang & Isola, ICML 2020, with their exponent 2 and classmates as positive pairs.
        uniformity: log of the mean of exp(-2 ||x - y||^2) over all pairs, in [-8, 0]; lower is more
            evenly spread. Wang & Isola, ICML 2020, with their t = 2.
        intra: mean distance over the pairs of a class, in [0, 2].
        inter: mean distance over the pairs of class means, in [0, 2].
        ratio: ``intra / inter``, the density of Roth et al., ICML 2020; infinity where all class means
            coincide.
        effective_rank: exp of the entropy of the singular values of the (n, d) matrix, not centred,
            divided by their sum; in [1, min(n, d)]. Roy & Vetterli, EUSIPCO 2007.
        spectral_decay: KL(U || S) in nats of that distribution S of singular values from the uniform one
            U; at least 0: it is 0 if all directions are used equally, and infinity if one is not used
            at all. Roth et al., ICML 2020.
        hubness: skewness of the number of times that an embedding is among the k nearest neighbours of
            others. Near 0 without hubs, positive where a few embeddings are neighbours of very many.
            Radovanović et al., JMLR 2010.
    """

    alignment: float
    uniformity: float
    intra: float
    inter: float
    ratio: float
    effective_rank: float
    spectral_decay: float
    hubness: float


@torch.no_grad()
def embedding_health(embeddings: Tensor, labels: Tensor, neighbors: int = 10) -> EmbeddingHealth:
    """Measure all properties of an embedding exactly, over all pairs.

    The time grows with n squared.

    Args:
        embeddings: (n, d); they are l2-normalised first.
        labels: class of each, (n,), integers from 0: two classes at least, one of them with two members.
        neighbors: k of the hubness, in 1 .. n - 1. Default 10, published.

    Returns:
        The properties, as ``EmbeddingHealth`` defines them.

    Raises:
        ValueError: ``neighbors`` is out of range, classes or pairs of a class are missing, or the
            tensors do not fit or are not finite.
        TypeError: An argument has the wrong type.

    Source:
        Wang & Isola, "Understanding Contrastive Representation Learning through Alignment and Uniformity
        on the Hypersphere", ICML 2020. Roth et al., "Revisiting Training Strategies and Generalization
        Performance in Deep Metric Learning", ICML 2020. Roy & Vetterli, "The Effective Rank", EUSIPCO
        2007. Radovanović, Nanopoulos & Ivanović, "Hubs in Space", JMLR 2010.

    Examples:
        >>> embeddings = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
        >>> health = embedding_health(embeddings, torch.tensor([0, 0, 1, 1]), neighbors=1)
        >>> health.alignment, round(health.inter, 4), round(health.effective_rank, 4)
        (0.0, 1.4142, 2.0)
    """
    check_embeddings("embeddings", embeddings, None)
    classes, sizes = (
        check_labels("labels", labels, len(embeddings), None).cpu().unique(return_counts=True)
    )
    if len(classes) < 2 or sizes.max() < 2:
        raise ValueError(
            f"labels hold {len(classes)} classes, the largest with {sizes.max()} embeddings; give at "
            "least two classes, one of them with two embeddings"
        )
    unit = nn.functional.normalize(embeddings.detach().cpu().double())
    members = [unit[labels.cpu() == label] for label in classes]
    within = torch.cat([torch.pdist(own) for own in members])
    between = torch.pdist(torch.stack([own.mean(dim=0) for own in members]))
    intra, inter = within.mean().item(), between.mean().item()
    spectrum = torch.linalg.svdvals(unit)
    spectrum = spectrum / spectrum.sum()
    return EmbeddingHealth(
        alignment=within.square().mean().item(),
        uniformity=_uniformity(unit),
        intra=intra,
        inter=inter,
        ratio=intra / inter if inter > 0 else float("inf"),
        effective_rank=torch.special.entr(spectrum).sum().exp().item(),
        spectral_decay=_divergence_from_uniform(spectrum),
        hubness=_hubness(unit, neighbors),
    )


def _uniformity(unit: Tensor) -> float:
    rows = max(1, _PAIRS_PER_BLOCK // len(unit))
    total = -float(len(unit))
    for block in unit.split(rows):
        total += torch.cdist(block, unit).square().mul(-2).exp().sum().item()
    return float(np.log(total / (len(unit) * (len(unit) - 1))))


def _divergence_from_uniform(spectrum: Tensor) -> float:
    smallest = torch.finfo(spectrum.dtype).eps
    if spectrum.min() <= smallest:
        return float("inf")
    return max(0.0, -(spectrum * len(spectrum)).log().mean().item())


def _hubness(unit: Tensor, neighbors: int) -> float:
    occurrences = np.bincount(nearest_neighbors(unit, neighbors).ravel(), minlength=len(unit))
    if occurrences.min() == occurrences.max():
        return 0.0
    return float(skew(occurrences))
