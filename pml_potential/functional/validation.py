"""Checks of a loss's input: every error quotes the value and says what is allowed."""

import math
from collections.abc import Mapping
from functools import reduce
from numbers import Integral, Real
from typing import NamedTuple

import torch
from torch import Tensor
from torch._compile import _disable_dynamo


class NonFiniteError(ValueError):
    """Embeddings or parameters of a loss hold NaN or infinity: training has diverged."""


class Range(NamedTuple):
    """The range of a numeric argument, as ``check_number`` takes it."""

    low: float
    high: float
    low_is_allowed: bool = True


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


def check_input(
    embeddings: Tensor,
    labels: Tensor | None,
    ref_emb: Tensor | None,
    ref_labels: Tensor | None,
    parameters: Mapping[str, Tensor],
    num_classes: int | None,
    embedding_size: int | None,
    check_finite: bool,
) -> Tensor:
    """Check a loss's input, with references if there are any, and return its labels.

    Args:
        embeddings: of the batch, as users pass them.
        labels: of the batch.
        ref_emb: further embeddings.
        ref_labels: labels of the further embeddings.
        parameters: parameters of the loss, by name.
        num_classes: labels must be smaller; None for any labels.
        embedding_size: of each embedding; None for any size.
        check_finite: whether to check values, and not only their form.
    """
    check_form_of_embeddings("embeddings", embeddings, embedding_size)
    all_embeddings = {"embeddings": embeddings}
    labels = check_form_of_labels("labels", labels, len(embeddings))
    all_labels = {"labels": labels}
    if ref_emb is not None and ref_labels is not None:
        check_form_of_embeddings("ref_emb", ref_emb, embeddings.shape[1])
        all_embeddings["ref_emb"] = ref_emb
        all_labels["ref_labels"] = check_form_of_labels("ref_labels", ref_labels, len(ref_emb))
    elif ref_emb is not None or ref_labels is not None:
        missing = "ref_labels" if ref_labels is None else "ref_emb"
        raise ValueError(f"{missing} is None; ref_emb and ref_labels go together")
    for name, parameter in parameters.items():
        check_device(name, parameter, embeddings)
    check_no_transform(embeddings, *parameters.values())
    if check_finite:
        check_values(all_embeddings, all_labels, parameters, num_classes)
    return labels


def dtype_to_compute_in(*tensors: Tensor) -> torch.dtype:
    """float32, or float64 if a tensor is.

    Examples:
        >>> dtype_to_compute_in(torch.zeros(1, dtype=torch.float16))
        torch.float32
    """
    return reduce(torch.promote_types, [tensor.dtype for tensor in tensors], torch.float32)


def check_flag(name: str, value: object) -> bool:
    """Return ``value`` if it is a bool."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}; it must be True or False")
    return value


def check_no_transform(*tensors: Tensor) -> None:
    """Raise inside a transform of ``torch.func``, which the losses do not support."""
    is_wrapped = torch._C._functorch.is_functorch_wrapped_tensor
    if not torch.compiler.is_compiling() and any(map(is_wrapped, tensors)):
        raise RuntimeError(
            "this loss cannot be transformed by torch.func (grad, vmap, jvp); take its gradient with "
            "backward() or torch.autograd.grad"
        )


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


def check_form_of_embeddings(
    name: str, embeddings: Tensor, embedding_size: int | None, rows: str = "batch_size"
) -> None:
    """Raise unless ``embeddings`` is a floating (n, embedding_size) tensor with n of at least 1.

    ``rows`` names n in the message.
    """
    if not isinstance(embeddings, Tensor):
        raise TypeError(f"{name} is a {type(embeddings).__name__}; it must be a torch.Tensor")
    if not embeddings.is_floating_point():
        raise TypeError(f"{name} has dtype {embeddings.dtype}; it must be a floating dtype")
    width = "embedding_size" if embedding_size is None else embedding_size
    wrong_width = embedding_size is not None and embeddings.shape[-1:] != (embedding_size,)
    if embeddings.ndim != 2 or wrong_width:
        raise ValueError(f"{name} has shape {tuple(embeddings.shape)}; it must be ({rows}, {width})")
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


@_disable_dynamo
def check_values(
    embeddings: dict[str, Tensor],
    labels: dict[str, Tensor],
    parameters: Mapping[str, Tensor],
    num_classes: int | None,
) -> None:
    """Raise if a value is not finite or a label is out of range.

    A first check takes few operations, and makes a GPU wait once. It may suspect valid values, which
    the checks after it accept.
    """
    sums = [
        torch.linalg.vector_norm(each.detach(), dtype=_dtype_of_norms(each))
        for each in embeddings.values()
    ]
    sums += [parameter.detach().sum() for parameter in parameters.values()]
    ends: list[Tensor] = []
    for classes in labels.values():
        smallest, largest = classes.long().aminmax()
        ends += [smallest, largest if num_classes is None else num_classes - 1 - largest]
    numbers = torch.stack([number.to(sums[0].device, torch.float32) for number in (*sums, *ends)])
    found = numbers.tolist()
    if all(map(math.isfinite, found)) and min(found[len(sums) :]) >= 0:
        return
    for name, own in embeddings.items():
        check_embeddings(name, own, None)
    for name, classes in labels.items():
        check_labels(name, classes, len(classes), num_classes)
    for name, parameter in parameters.items():
        check_finite(name, parameter)


def _norms(embeddings: Tensor) -> Tensor:
    """The norms that losses divide by; they also overflow for numbers beyond about 1e19."""
    norms: Tensor = torch.linalg.vector_norm(
        embeddings.detach(), dim=1, dtype=_dtype_of_norms(embeddings)
    )
    return norms


def _dtype_of_norms(embeddings: Tensor) -> torch.dtype:
    return torch.promote_types(embeddings.dtype, torch.float32)


def check_finite(name: str, parameter: Tensor) -> None:
    """Raise if a parameter of a loss holds NaN or infinity, which a field would silently skip."""
    # One pass without a copy; if there is a NaN, it is both the smallest and the largest number.
    if parameter.numel() > 0 and not all(end.isfinite() for end in parameter.detach().aminmax()):
        raise NonFiniteError(
            f"the loss's {name} hold NaN or infinity; lower the learning rate of their optimizer"
        )


def check_device(name: str, parameter: Tensor, embeddings: Tensor) -> None:
    """Raise unless the loss is on the device of the embeddings."""
    if parameter.device != embeddings.device:
        raise ValueError(
            f"the loss's {name} are on {parameter.device} and the embeddings on "
            f"{embeddings.device}; move the loss with loss.to({str(embeddings.device)!r}) before its "
            "optimizer is made"
        )
