"""The losses in plain loops over Python floats, written from the formulas of the papers."""

import math
from collections.abc import Callable, Sequence

Vector = Sequence[float]
Law = Callable[[float], float]


def unit(vector: Vector) -> list[float]:
    norm = math.sqrt(sum(x * x for x in vector))
    return [x / norm for x in vector]


def cosine(a: Vector, b: Vector) -> float:
    return sum(x * y for x, y in zip(unit(a), unit(b), strict=True))


def mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers) if numbers else 0.0


def power_law(alpha: float, delta: float, delta_rep: float, core: float) -> tuple[Law, Law]:
    """Equations 1 and 2, with the logarithm at alpha = 0 and a straight line in the core."""

    def decay(r: float) -> float:
        return -math.log(r) if alpha == 0 else r**-alpha

    def attraction(r: float) -> float:
        return -decay(max(r, delta))

    def repulsion(r: float) -> float:
        steepness = 1 / core if alpha == 0 else alpha * core ** (-alpha - 1)
        return decay(min(max(r, core), delta_rep)) + steepness * max(core - r, 0)

    return attraction, repulsion


def contrastive_law(delta: float) -> tuple[Law, Law]:
    def attraction(r: float) -> float:
        return delta**2 if r < delta else r**2

    def repulsion(r: float) -> float:
        return (delta - r) ** 2 if r < delta else 0.0

    return attraction, repulsion


def field_energies(
    points: Sequence[Vector], labels: Sequence[int], laws: tuple[Law, Law], targets: int
) -> list[float]:
    """Energy of each of the leading points in the field of all of them (Eq. 3 to 5)."""
    attraction, repulsion = laws
    normalised = [unit(point) for point in points]
    energies = []
    for x, own in list(zip(normalised, labels, strict=True))[:targets]:
        energy = 0.0
        for s, other in zip(normalised, labels, strict=True):
            energy += (attraction if own == other else repulsion)(math.dist(x, s))
        energies.append(energy)
    return energies


def class_potentials(
    z: Vector, proxies: Sequence[Vector], labels: Sequence[int], laws: tuple[Law, Law], count: int
) -> list[float]:
    """Psi_j(z) of the proxies, for each class j."""
    attraction, repulsion = laws
    potentials = []
    for j in range(count):
        potential = 0.0
        for proxy, label in zip(proxies, labels, strict=True):
            law = attraction if label == j else repulsion
            potential += law(math.dist(unit(z), unit(proxy)))
        potentials.append(potential)
    return potentials


def mean_field_contrastive(
    embeddings: Sequence[Vector],
    labels: Sequence[int],
    fields: Sequence[Vector],
    pos_margin: float,
    neg_margin: float,
    regularization_weight: float,
    weights: Sequence[float] | None = None,
) -> float:
    weights = weights or [1.0] * len(labels)
    elements = []
    for z, label, weight in zip(embeddings, labels, weights, strict=True):
        element = max(0.0, 1 - cosine(z, fields[label]) - pos_margin)
        for c, field in enumerate(fields):
            if c != label:
                element += max(0.0, neg_margin - (1 - cosine(z, field)))
        elements.append(weight * element)
    repulsion = [
        sum(max(0.0, neg_margin - (1 - cosine(a, b))) ** 2 for d, b in enumerate(fields) if d != c)
        for c, a in enumerate(fields)
    ]
    return mean(elements) + regularization_weight * mean(repulsion)


def class_wise_multi_similarity(
    embeddings: Sequence[Vector],
    labels: Sequence[int],
    alpha: float,
    beta: float,
    base: float,
    references: Sequence[Vector] | None = None,
    reference_labels: Sequence[int] | None = None,
    pairs: Sequence[tuple[int, int]] | None = None,
) -> float:
    references = embeddings if references is None else references
    reference_labels = labels if reference_labels is None else reference_labels
    if pairs is None:
        pairs = [(i, j) for i in range(len(embeddings)) for j in range(len(references))]
    total = 0.0
    for c in set(labels):
        for d in set(reference_labels):
            similarities = [
                cosine(embeddings[i], references[j])
                for i, j in pairs
                if labels[i] == c and reference_labels[j] == d
            ]
            if c == d:
                pos = mean([math.exp(-alpha * (s - base)) for s in similarities])
                total += math.log1p(pos / 2) / alpha
            else:
                neg = mean([math.exp(beta * (s - base)) for s in similarities])
                total += math.log1p(neg) / (2 * beta)
    return total / len(set(labels))


def mean_field_class_wise_multi_similarity(
    embeddings: Sequence[Vector],
    labels: Sequence[int],
    fields: Sequence[Vector],
    alpha: float,
    beta: float,
    base: float,
    regularization_weight: float,
    weights: Sequence[float] | None = None,
) -> float:
    weights = weights or [1.0] * len(labels)
    members = [[i for i, label in enumerate(labels) if label == c] for c in range(len(fields))]

    def class_mean(c: int, d: int, scale: float) -> float:
        weight = sum(weights[i] for i in members[c])
        if weight == 0:
            return 0.0
        terms = [
            weights[i] * math.exp(scale * (cosine(embeddings[i], fields[d]) - base)) for i in members[c]
        ]
        return sum(terms) / weight

    total = 0.0
    for c in range(len(fields)):
        total += math.log1p(class_mean(c, c, -alpha)) / alpha
        for d in range(len(fields)):
            if d != c:
                neg = class_mean(c, d, beta) + class_mean(d, c, beta)
                total += math.log1p(neg) / (2 * beta)
    repulsion = [
        sum(
            (math.log1p(math.exp(beta * (cosine(a, b) - base))) / beta) ** 2
            for d, b in enumerate(fields)
            if d != c
        )
        for c, a in enumerate(fields)
    ]
    return total / len(set(labels)) + regularization_weight * mean(repulsion)


def mined_weights(indices: Sequence[Sequence[int]], count: int) -> list[float]:
    """How often each of ``count`` points is named, as a share of the most often named one."""
    named = [i for part in indices for i in part]
    counts = [named.count(i) for i in range(count)]
    return [n / max(counts) for n in counts]
