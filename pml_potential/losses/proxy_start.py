"""Where data-initialised proxies start."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

_SMALLEST_NORM = 1e-6
_NUMBERS_AT_A_TIME = 2**23
_LARGEST_RATIO_OF_SIZES = 1.25
_MOST_ITERATIONS = 300


def class_centres(embeddings: Tensor, labels: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Represent the embeddings of each class by ``count`` points.

    The points are k-means centres of the class's members, seeded by greedy k-means++. If the class has
    at most ``count`` distinct members, they are the members themselves, each at least once, with random
    repeats for the rest. A centre at the origin is replaced by the first member. Randomness comes from
    torch's global generator.

    Args:
        embeddings: (n, d), n at least 1.
        labels: (n,), their classes.
        count: number of points for each class, at least 1.

    Returns:
        The classes that have members, (c,), in ascending order, and their centres, (c, count, d), dtype
        and device of ``embeddings``.

    Source:
        Arthur & Vassilvitskii, "k-means++: The Advantages of Careful Seeding", SODA 2007.

    Examples:
        >>> embeddings = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [3.0, 3.0]])
        >>> class_centres(embeddings, torch.tensor([5, 5, 5, 2]), 1)
        (tensor([2, 5]), tensor([[[3.0000, 3.0000]],
        <BLANKLINE>
                [[0.3333, 0.6667]]]))
    """
    order = labels.argsort(stable=True)
    classes, sizes = labels[order].unique_consecutive(return_counts=True)
    starts = sizes.cumsum(0) - sizes
    centres = embeddings.new_empty(len(classes), count, embeddings.shape[1])
    for some in _of_like_size(sizes.tolist(), embeddings.shape[1]):
        own = torch.tensor(some, device=labels.device)
        places = torch.arange(int(sizes[own].max()), device=labels.device)
        is_member = places < sizes[own, None]
        rows = order[starts[own, None] + places.minimum(sizes[own, None] - 1)]
        centres[own] = _centres_of_classes(embeddings[rows], is_member, count)
    return classes, centres


def _of_like_size(sizes: list[int], width: int) -> Iterator[list[int]]:
    """Classes that are processed together, each padded to the size of the largest."""
    ascending = sorted(range(len(sizes)), key=sizes.__getitem__)
    some: list[int] = []
    for number in ascending:
        is_alike = not some or sizes[number] <= _LARGEST_RATIO_OF_SIZES * sizes[some[0]]
        if some and not (is_alike and (len(some) + 1) * sizes[number] * width <= _NUMBERS_AT_A_TIME):
            yield some
            some = []
        some.append(number)
    yield some


def _centres_of_classes(members: Tensor, is_member: Tensor, count: int) -> Tensor:
    """Centres of (c, n, d) members, some of which are padding; (c, count, d)."""
    centres, is_exhausted = _seeds(members, is_member, count)
    rest = (~is_exhausted).nonzero().squeeze(1)
    if len(rest) == len(members):
        centres = _k_means(members, is_member, centres)
    elif len(rest) > 0:
        centres[rest] = _k_means(members[rest], is_member[rest], centres[rest])
    # Opposite members can cancel out, and a proxy needs a direction.
    has_cancelled = centres.norm(dim=2, keepdim=True) < _SMALLEST_NORM
    return torch.where(has_cancelled, members[:, :1], centres)


def _seeds(members: Tensor, is_member: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Members that are far apart, and whether they include all distinct members.

    Each is the best of some candidates, drawn in proportion to the squared distance from those before.
    """
    classes = torch.arange(len(members), device=members.device)
    trials = 2 + int(math.log(count))
    chosen = _drawn(is_member, 1).squeeze(1)
    seeds = [members[classes, chosen]]
    is_seed = torch.zeros_like(is_member)
    is_seed[classes, chosen] = True
    squared = _squared_distances(seeds[0][:, None], members).squeeze(1) * is_member
    for _ in range(count - 1):
        is_exhausted = squared.amax(dim=1, keepdim=True) == 0
        candidates = _drawn(torch.where(is_exhausted, is_seed.to(squared), squared), trials)
        to_candidates = _squared_distances(members[classes[:, None], candidates], members)
        left = to_candidates.minimum(squared[:, None])
        best = left.sum(dim=2).argmin(dim=1)
        chosen, squared = candidates[classes, best], left[classes, best]
        seeds.append(members[classes, chosen])
        is_seed[classes, chosen] = True
    return torch.stack(seeds, dim=1), squared.amax(dim=1) == 0


def _drawn(weights: Tensor, count: int) -> Tensor:
    """Indices drawn with replacement by each row of weights, (rows, count)."""
    # On the CPU, so the numbers do not depend on the device.
    sums = weights.cpu().double().cumsum(dim=1)
    targets = torch.rand(len(weights), count, dtype=sums.dtype) * sums[:, -1:]
    found = torch.searchsorted(sums, targets, right=True).clamp_max(weights.shape[1] - 1)
    return found.to(weights.device)


def _squared_distances(points: Tensor, members: Tensor) -> Tensor:
    # From differences, so equal members have the distance 0.
    return torch.cdist(points, members, compute_mode="donot_use_mm_for_euclid_dist").square()


def _k_means(members: Tensor, is_member: Tensor, centres: Tensor) -> Tensor:
    """Lloyd's iteration of (c, n, d) members until no member changes its centre, 300 times at most."""
    found, counted = centres.clone(), is_member.to(members.dtype)[:, :, None]
    moving = torch.arange(len(members), device=members.device)
    nearest = torch.full(is_member.shape, -1, device=members.device)
    for _ in range(_MOST_ITERATIONS):
        before = nearest
        # The square of the member itself is the same for all centres.
        nearest = (centres.square().sum(2)[:, None] - members @ (2 * centres.mT)).argmin(dim=2)
        has_moved = ((nearest != before) & (counted[:, :, 0] > 0)).any(dim=1)
        if not has_moved.any():
            break
        shares = torch.zeros_like(members[:, :, :1]).expand(-1, -1, centres.shape[1]).clone()
        shares.scatter_(2, nearest[:, :, None], counted)
        sizes = shares.sum(dim=1)[:, :, None]
        centres = torch.where(sizes > 0, shares.mT @ members / sizes.clamp_min(1), centres)
        found[moving] = centres
        if has_moved.sum() <= len(has_moved) // 2:
            moving, members, counted = moving[has_moved], members[has_moved], counted[has_moved]
            centres, nearest = centres[has_moved], nearest[has_moved]
    return found
