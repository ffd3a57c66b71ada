"""Data-initialised linear heads, which start on the principal axes of their features."""

import warnings

import torch
from torch import Tensor, nn

from pml_potential.functional.validation import check_embeddings

_ROWS_AT_A_TIME = 4096


@torch.no_grad()
def initialize_head(linear: nn.Linear, features: Tensor) -> None:
    """Initialise a linear head from the data, with the principal axes of the centred training features.

        W = s V_k^T,  b = -W mu,  so that  W f + b = s V_k^T (f - mu)

    mu is the mean of the features, V_k holds the k leading eigenvectors of their covariance as columns,
    those of the largest variance first, and k is ``linear.out_features``. The features of a pretrained
    trunk share a large mean, so with random weights all embeddings point in about the same direction.
    Here the mean is removed, and the embeddings preserve the distances between features as well as k
    dimensions can: before its first step the network retrieves about as well as its features.

    Call it before the first step, and before ``initialize_proxies``, which needs the initial
    embeddings. s is the root mean square length of the head's previous rows (a zero becomes 1), so
    learning rates keep their meaning; normalised embeddings do not depend on s. The largest entry of
    each axis is positive. Sums and eigenvectors are computed in float64 on the CPU, without random
    numbers.

    Features of rank r < k, such as those of r + 1 samples, have r axes. The last k - r rows then keep
    their weights, with the same centring, and a ``UserWarning`` says so. An optimizer that has already
    stepped holds moments of the old weights: delete its state for them.

    Args:
        linear: the head, with a bias; its weights (k, width) and its bias (k,) are overwritten in place.
        features: (n, width), input of the head for the training set or a sample of it, computed as in
            evaluation: without random crops, from a trunk in evaluation mode.

    Raises:
        TypeError: ``linear`` is not a ``torch.nn.Linear``, or the features are not a floating tensor.
        ValueError: The head has no bias, or its weights are parametrised; or the features do not fit
            it, hold NaN or infinity, or are all the same.

    Examples:
        >>> features = torch.tensor([[9.0, 8.0], [9.0, 6.0], [9.1, 7.0], [8.9, 7.0]])
        >>> head = torch.nn.Linear(2, 2)
        >>> _ = torch.nn.init.eye_(head.weight)
        >>> initialize_head(head, features)
        >>> head(features).detach().round(decimals=4) + 0.0
        tensor([[ 1.0000,  0.0000],
                [-1.0000,  0.0000],
                [ 0.0000,  0.1000],
                [ 0.0000, -0.1000]])
    """
    if not isinstance(linear, nn.Linear):
        raise TypeError(f"linear is a {type(linear).__name__}; it must be a torch.nn.Linear")
    if linear.bias is None:
        raise ValueError(
            "linear has no bias, which is needed to remove the mean of the features; build it with "
            "bias=True"
        )
    if not isinstance(linear.weight, nn.Parameter):
        raise ValueError(
            "linear.weight is computed by a parametrization; call initialize_head before registering it"
        )
    check_embeddings("features", features, linear.in_features)
    mean, axes = _principal_axes(features, linear.out_features)
    rank = len(axes)
    if rank == 0:
        raise ValueError(
            f"all {len(features)} features are the same, so they have no principal axes; give features "
            "of many different images"
        )
    if rank < linear.out_features:
        warnings.warn(
            f"the {len(features)} features have rank {rank} around their mean, and the head has "
            f"{linear.out_features} outputs; the last {linear.out_features - rank} keep their weights",
            # Past the decorator, to the caller's line.
            stacklevel=3,
        )
    weight = linear.weight.detach().cpu().double()
    length = weight.square().sum(dim=1).mean().sqrt()
    weight = torch.cat([axes * (length if length > 0 else 1), weight[rank:]])
    linear.weight.copy_(weight.to(linear.weight.dtype))
    linear.bias.copy_((-weight @ mean).to(linear.bias.dtype))


def _principal_axes(features: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """The mean, (width,), and the axes, ``most`` of them at most, (rank, width)."""
    parts = features.detach().cpu().split(_ROWS_AT_A_TIME)
    mean = torch.stack([part.double().sum(dim=0) for part in parts]).sum(dim=0) / len(features)
    scatter = mean.new_zeros(len(mean), len(mean))
    for part in parts:
        centred = part.double() - mean
        scatter.addmm_(centred.T, centred)
    # Ascending. A variance within rounding, of the features or of these sums, counts as zero.
    variances, vectors = torch.linalg.eigh(scatter)
    given, own = torch.finfo(features.dtype).eps, torch.finfo(scatter.dtype).eps
    squares = scatter.trace() + len(features) * mean.square().sum()
    rounding = squares * (given**2 + max(features.shape) * own**2)
    rounding += variances[-1] * max(features.shape) * own
    rank = min(int((variances > rounding).sum()), most)
    axes = vectors.T.flip(0)[:rank]
    largest = axes.gather(1, axes.abs().argmax(dim=1, keepdim=True))
    return mean, axes * largest.sign()
