"""Checks of what a user hands to a loss: every error quotes the value and says what is allowed."""

import math
from numbers import Integral, Real

import torch
from pytorch_metric_learning.distances import BaseDistance, CosineSimilarity, LpDistance
from torch import Tensor


class NonFiniteError(ValueError):
    """Embeddings or parameters of a loss hold NaN or infinity: training has diverged."""


def check_integer(name: str, value: object, smallest: int) -> int:
    """Return ``value`` if it is an integer of at least ``smallest``."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} is {value!r}; it must be an integer")
    if value < smallest:
        raise ValueError(f"{name} is {value}; it must be at least {smallest}")
    return int(value)


def check_number(
    name: str, value: object, low: float, high: float, low_is_allowed: bool = True
) -> float:
    """Return ``value`` as a float if it is a number in [low, high], or in (low, high]."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} is {value!r}; it must be a number")
    number = float(value)
    above = number >= low if low_is_allowed else number > low
    if not (above and number <= high and math.isfinite(number)):
        bracket = "[" if low_is_allowed else "("
        closing = "]" if math.isfinite(high) else ")"
        raise ValueError(f"{name} is {value}; it must lie in {bracket}{low:g}, {high:g}{closing}")
    return number


def check_embeddings(name: str, embeddings: Tensor, embedding_size: int | None) -> None:
    """Raise unless ``embeddings`` is a finite (n, embedding_size) tensor with n of at least 1."""
    check_form_of_embeddings(name, embeddings, embedding_size)
    norms = _norms(embeddings)
    if not bool(norms.isfinite().all()):
        row = int((~norms.isfinite()).nonzero()[0])
        raise NonFiniteError(
            f"{name}[{row}] has the norm {norms[row].item()}: it holds NaN or infinity, or numbers "
            f"too large to square in {norms.dtype}; lower the learning rate or look for the layer that "
            "diverges"
        )


def check_form_of_embeddings(name: str, embeddings: Tensor, embedding_size: int | None) -> None:
    """Raise unless ``embeddings`` is a floating (n, embedding_size) tensor with n of at least 1."""
    if not isinstance(embeddings, Tensor):
        raise TypeError(f"{name} is a {type(embeddings).__name__}; it must be a torch.Tensor")
    if not embeddings.is_floating_point():
        raise TypeError(f"{name} has dtype {embeddings.dtype}; it must be a floating dtype")
    width = "embedding_size" if embedding_size is None else embedding_size
    wrong_width = embedding_size is not None and embeddings.shape[-1:] != (embedding_size,)
    if embeddings.ndim != 2 or wrong_width:
        raise ValueError(f"{name} has shape {tuple(embeddings.shape)}; it must be (batch_size, {width})")
    if 0 in embeddings.shape:
        raise ValueError(f"{name} has shape {tuple(embeddings.shape)}; it must not be empty")


def check_labels(name: str, labels: Tensor | None, length: int, num_classes: int | None) -> Tensor:
    """Return ``labels`` if they are ``length`` integers in 0 .. num_classes - 1."""
    labels = check_form_of_labels(name, labels, length)
    # Some unsigned dtypes have no min and max.
    smallest, largest = int(labels.long().min()), int(labels.long().max())
    if smallest < 0:
        raise ValueError(f"{name} holds {smallest}; classes are numbered from 0")
    if num_classes is not None and largest >= num_classes:
        raise ValueError(
            f"{name} holds {largest}; with num_classes={num_classes} the largest label is "
            f"{num_classes - 1}"
        )
    return labels


def check_form_of_labels(name: str, labels: Tensor | None, length: int) -> Tensor:
    """Return ``labels`` if they are ``length`` integers."""
    if labels is None:
        raise ValueError(f"{name} is None; this loss needs the class of each embedding")
    if not isinstance(labels, Tensor):
        raise TypeError(f"{name} is a {type(labels).__name__}; it must be a torch.Tensor")
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise TypeError(f"{name} has dtype {labels.dtype}; it must be an integer dtype")
    if labels.shape != (length,):
        raise ValueError(
            f"{name} has shape {tuple(labels.shape)}; it must be ({length},), one for each embedding"
        )
    return labels


def values_are_valid(
    embeddings: list[Tensor], labels: list[Tensor], num_classes: int | None, parameters: list[Tensor]
) -> bool:
    """Whether ``check_embeddings``, ``check_labels`` and ``check_finite`` find nothing, in one answer.

    A GPU is asked once, instead of once for each of them.
    """
    facts = [_norms(each).isfinite().all() for each in embeddings]
    for each in labels:
        smallest, largest = each.long().aminmax()
        facts.append((smallest >= 0) & (num_classes is None or largest < num_classes))
    for each in parameters:
        lowest, highest = each.detach().aminmax()
        facts.append(lowest.isfinite() & highest.isfinite())
    return all(torch.stack([fact.to(embeddings[0].device) for fact in facts]).tolist())


def _norms(embeddings: Tensor) -> Tensor:
    """What the losses divide by: it overflows for numbers beyond about 1e19, too."""
    dtype = torch.promote_types(embeddings.dtype, torch.float32)
    norms: Tensor = torch.linalg.vector_norm(embeddings.detach(), dim=1, dtype=dtype)
    return norms


def check_finite(name: str, parameter: Tensor) -> None:
    """Raise if a parameter of a loss holds NaN or infinity, which a field would silently skip."""
    # One pass without a copy; NaN is both the smallest and the largest of whatever it is part of.
    if parameter.numel() > 0 and not all(end.isfinite() for end in parameter.detach().aminmax()):
        raise NonFiniteError(
            f"the loss's {name} hold NaN or infinity; lower the learning rate of their optimizer"
        )


def check_device(name: str, parameter: Tensor, embeddings: Tensor) -> None:
    """Raise unless the loss lives where the embeddings are."""
    if parameter.device != embeddings.device:
        raise ValueError(
            f"the loss's {name} are on {parameter.device} and the embeddings on "
            f"{embeddings.device}; move the loss with loss.to({str(embeddings.device)!r}) before its "
            "optimizer is made"
        )


def check_distance(
    loss: str, distance: BaseDistance, allowed: type[LpDistance] | type[CosineSimilarity]
) -> None:
    """Raise unless ``distance`` is the one that the loss is defined on, of normalised embeddings."""
    fits = type(distance) is allowed and distance.normalize_embeddings and distance.power == 1
    if not fits or distance.p != 2:
        of = {name: getattr(distance, name, None) for name in ("normalize_embeddings", "p", "power")}
        arguments = ", ".join(f"{name}={value}" for name, value in of.items())
        raise ValueError(
            f"distance is {type(distance).__name__}({arguments}); {loss} is defined on "
            f"{allowed.__name__}() of normalised embeddings, with p=2 and power=1"
        )
