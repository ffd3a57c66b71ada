"""Processes that torchrun started to train one network on large batches, each with its own GPU.

Rank 0 leads: it searches, records, validates and writes as a single process does. The others follow:
they take its state before each epoch, and their share of each batch. Every process computes the loss of
the whole batch, so losses and miners work as in a single process.
"""

import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, distributed, nn

from pml_potential.benchmark.config.schema import Config, ConfigError

_LONGEST_STEP = timedelta(minutes=30)
"""Timeout of a step: the first step of a fold waits for the slowest process to load the data."""

_LONGEST_PAUSE = timedelta(days=7)
"""Timeout between epochs, in which rank 0 validates and may wait for others. Ends show at once."""

_messages: distributed.ProcessGroup | None = None


@contextmanager
def process_group() -> Iterator[None]:
    """Join the processes that torchrun started with this one, if it did.

    Raises:
        ConfigError: There are more of them on this machine than GPUs.
    """
    if not distributed.is_torchelastic_launched() or int(os.environ["WORLD_SIZE"]) == 1:
        yield
        return
    on_gpus = torch.cuda.is_available()
    if on_gpus:
        here, gpus = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
        if here > gpus:
            raise ConfigError(
                f"torchrun started {here} processes on a machine with {gpus} GPUs; each needs its own"
            )
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    # Imported later, its functions would keep the group of all processes as a default after the end.
    import_module("torch.distributed.nn.functional")
    distributed.init_process_group("nccl" if on_gpus else "gloo", timeout=_LONGEST_STEP)
    global _messages
    # A separate group, for the long pauses, and because messages are read on the CPU.
    _messages = _new_group(_LONGEST_PAUSE)
    yield
    # Not after an error: torchrun ends the others.
    tell_followers(None)
    distributed.destroy_process_group()
    # A group ends its threads with its last reference; if Python ends before them, they crash.
    _messages = None


def _new_group(timeout: timedelta) -> distributed.ProcessGroup:
    group = distributed.new_group(backend="gloo", timeout=timeout)
    assert isinstance(group, distributed.ProcessGroup)
    return group


def number_of_processes() -> int:
    """How many share each batch."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Number of this process; 0 leads."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def tell_followers(message: Any) -> None:
    """Send tensors, numbers and text from rank 0 to all others; elsewhere this does nothing.

    Args:
        message: of tensors, numbers and text, in dictionaries and lists. Receivers refuse anything else,
            such as code.
    """
    if number_of_processes() > 1 and rank() == 0:
        buffer = io.BytesIO()
        torch.save(message, buffer)
        content = torch.frombuffer(buffer.getbuffer(), dtype=torch.uint8)
        distributed.broadcast(torch.tensor(len(content)), src=0, group=_messages)
        distributed.broadcast(content, src=0, group=_messages)


def told_by_leader() -> Any:
    """Wait for a message of rank 0; its tensors arrive on the CPU."""
    length = torch.tensor(0)
    distributed.broadcast(length, src=0, group=_messages)
    content = torch.empty(int(length), dtype=torch.uint8)
    distributed.broadcast(content, src=0, group=_messages)
    return torch.load(io.BytesIO(content.numpy().tobytes()), map_location="cpu", weights_only=True)


def whole_batch(share: Tensor) -> Tensor:
    """Concatenate the shares of all processes, in the order of the batch.

    The gradient of a loss of the whole batch reaches only this process's share; ``sum_gradients`` adds
    up the network's gradients of all shares.
    """
    if number_of_processes() == 1:
        return share
    shares = [torch.empty_like(share) for _ in range(number_of_processes())]
    distributed.all_gather(shares, share.detach().contiguous())
    shares[rank()] = share
    return torch.cat(shares)


def mean_of_processes(value: Tensor) -> Tensor:
    """Mean over processes of a tensor that differs only by rounding: bitwise the same in all."""
    if number_of_processes() == 1:
        return value
    mean = value.detach().clone()
    distributed.all_reduce(mean)
    return mean / number_of_processes()


def sum_gradients(network: Iterable[nn.Parameter], loss: Iterable[nn.Parameter]) -> None:
    """Add up the gradients of the network, and keep those of the loss equal despite rounding.

    Args:
        network: its parameters, of which each process has the gradient by its share.
        loss: its parameters, of which each process has the whole gradient.
    """
    if number_of_processes() == 1:
        return
    of_loss = [parameter.grad for parameter in loss if parameter.grad is not None]
    for gradient in of_loss:
        gradient /= number_of_processes()
    of_network = [parameter.grad for parameter in network if parameter.grad is not None]
    gradients = of_network + of_loss
    together = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(together)
    parts = together.split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def synchronize_batchnorm(trunk: nn.Module) -> nn.Module:
    """Make BatchNorm take its statistics from the whole batch; the weights keep their names."""
    if number_of_processes() == 1 or not torch.cuda.is_available():
        return trunk
    # Not torch's, which would drop the activations that timm's layers hold.
    from timm.layers.norm_act import convert_sync_batchnorm

    synchronized: nn.Module = convert_sync_batchnorm(trunk)
    return synchronized


def check_shared(config: Config, trunk: nn.Module) -> None:
    """Raise unless the processes can share each batch of a configuration.

    Raises:
        ConfigError: The batch is not divisible, would be embedded in chunks, or BatchNorm would see only
            a share of it.
    """
    processes, model = number_of_processes(), config.model
    if config.protocol.batch_size % processes:
        raise ConfigError(
            f"protocol.batch_size is {config.protocol.batch_size} and torchrun started {processes} "
            "processes, which take equal shares of each batch; it must be divisible by their number"
        )
    if processes > 1 and model.chunk_size is not None:
        raise ConfigError(
            f"model.chunk_size is {model.chunk_size} and torchrun started {processes} processes, which "
            "share each batch already; set it to null, or take a single process"
        )
    if processes == 1 or torch.cuda.is_available() or model.freeze_batchnorm or model.freeze_trunk:
        return
    if any("BatchNorm" in type(module).__name__ for module in trunk.modules()):
        raise ConfigError(
            f"model.freeze_batchnorm is false and {model.trunk} has BatchNorm, whose statistics are not "
            f"those of the whole batch in {processes} processes without GPUs; set it to true"
        )


def check_fold_processes(fold_processes: int) -> None:
    """Raise if folds are to be trained in parallel by processes that train each fold together.

    Raises:
        ConfigError: They are.
    """
    if number_of_processes() > 1 and fold_processes > 1:
        raise ConfigError(
            f"--fold-processes is {fold_processes} and torchrun started {number_of_processes()} "
            "processes; they train one fold together; leave out one of the two"
        )
