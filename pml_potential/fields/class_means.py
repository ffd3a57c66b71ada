"""Means over the members of classes in log space, for numbers that overflow otherwise."""

import torch
from torch import Tensor
from torch.nn.functional import softplus

LOG_OF_ZERO = -1e30
"""Stands for minus infinity, whose differences and their derivatives would be NaN; exp gives 0."""

_LOST_IN_ROUNDING = 80
"""x above which log(1 + e^x) is x in float64, while e^x is still within float32."""


def log_mean_exp_by_group(
    exponents: Tensor, groups: Tensor, group_count: int, log_weights: Tensor | None = None
) -> Tensor:
    """Logarithm of the weighted mean of exp(exponents) over the rows of each group.

        out_{gk} = log [ Σ_{i in g} w_i exp(x_{ik}) / Σ_{i in g} w_i ]

    Finite and accurate for exponents of any size, even if exp would overflow, as are the first and
    second derivatives.

    Args:
        exponents: x, (n, k).
        groups: group of each row, (n,), integers in 0 .. group_count - 1.
        group_count: number of groups.
        log_weights: log w, (n,); -inf leaves a row out. Default: all weights are 1.

    Returns:
        (group_count, k); ``LOG_OF_ZERO`` for a group without rows, whose mean is taken as zero.

    Examples:
        >>> log_mean_exp_by_group(torch.tensor([[1000.0], [1000.0]]), torch.tensor([0, 0]), 1)
        tensor([[1000.]])
    """
    if log_weights is None:
        log_weights = exponents.new_zeros(len(exponents))
    counted = log_weights > -torch.inf
    exponents, groups, log_weights = exponents[counted], groups[counted], log_weights[counted]
    weighted = exponents + log_weights[:, None]
    largest = exponents.new_full((group_count, exponents.shape[1]), -torch.inf)
    index = groups[:, None].expand_as(weighted)
    largest = largest.scatter_reduce(0, index, weighted.detach(), "amax")
    empty = largest == -torch.inf
    shift = largest.masked_fill(empty, 0)
    total = torch.zeros_like(shift).index_add(0, groups, (weighted - shift[groups]).exp())
    weight = exponents.new_zeros(group_count).index_add(0, groups, log_weights.exp())
    log_total = total.masked_fill(empty, 1).log() + shift
    log_weight = weight.masked_fill(weight == 0, 1).log()
    return (log_total - log_weight[:, None]).masked_fill(empty, LOG_OF_ZERO)


def log_add_exp(one: Tensor, other: Tensor) -> Tensor:
    """log(e^x + e^y); unlike ``torch.logaddexp``, its second derivatives do not overflow."""
    return torch.logsumexp(torch.stack(torch.broadcast_tensors(one, other)), dim=0)


def log1p_exp(exponents: Tensor) -> Tensor:
    """log(1 + exp(x)), exact to rounding for every x, as are its first and second derivatives."""
    return softplus(exponents, threshold=_LOST_IN_ROUNDING)


def first_of_group(groups: Tensor, group_count: int) -> Tensor:
    """Index of the first row of each group.

    Args:
        groups: group of each row, (n,), integers in 0 .. group_count - 1, none of them empty.
        group_count: number of groups.

    Returns:
        (group_count,).

    Examples:
        >>> first_of_group(torch.tensor([1, 0, 1, 0]), 2)
        tensor([1, 0])
    """
    rows = torch.arange(len(groups), device=groups.device)
    return rows.new_zeros(group_count).scatter_reduce(0, groups, rows, "amin", include_self=False)
