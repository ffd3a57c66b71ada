"""One loss over a batch whose activations do not fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from pml_potential.functional.validation import check_integer

Inputs = Tensor | Mapping[str, Tensor]
"""Input of a network: a tensor, or a mapping of names to tensors, with one row for each embedding."""

_LARGEST_DIFFERENCE = 0.01
"""Largest allowed difference between the two passes, as a share of the largest coordinate."""


class GradientCache:
    """The loss of a whole batch, in the memory of a part of the batch (GradCache).

    Losses of pairs, fields and classes need all embeddings of a batch at once; the network does not. A
    call embeds the batch in chunks without keeping activations, and returns the loss L of all
    embeddings z. Its ``backward`` computes dL / dz, embeds each chunk again, and backpropagates chunk
    by chunk:

        dL / d(network) = Σ_chunks (dL / dz_chunk) (dz_chunk / d(network))

    The gradients, also those of the loss's own parameters, equal those of
    ``loss_func(network(inputs), ...).backward()`` up to rounding. Memory is that of one chunk, the
    inputs and the loss; the time of one forward pass is added. It works with any loss, with autocast
    and ``GradScaler``, and in any loop that calls ``backward`` on the loss.

    - **Random numbers.** Dropout draws the same numbers in both passes, from torch's CPU and CUDA
      generators, chunk by chunk. ``backward`` raises an error if the second pass gives different
      embeddings, for example because the network has its own generator.
    - **Batch normalisation** in training mode computes its statistics per chunk, not per batch, as it
      does per GPU in data parallelism: these gradients are not those of the whole batch. Its running
      averages are updated once per chunk, in the first pass; the second pass leaves all buffers
      unchanged. Freeze it with ``eval()``, or use a network without it.
    - **Miners** need embeddings: pass a function,
      ``lambda embeddings, labels: loss_func(embeddings, labels, miner(embeddings, labels))``.
    - **Many processes.** ``network`` is the ``DistributedDataParallel``, and ``loss_func`` a
      ``pml_potential.DistributedLossWrapper``. Gradients are averaged once, with the last chunk.
    - Gradients arrive in ``.grad`` of the network's parameters; ``torch.autograd.grad`` does not find
      them. Hooks of a parameter see the gradient of each chunk.

    Args:
        network: returns one embedding for each row of its input, a tensor.
        loss_func: called with the embeddings and with all arguments after the inputs.
        chunk_size: rows that the network sees at a time, at least 1.

    Raises:
        ValueError: ``chunk_size`` is smaller than 1; inputs are empty, of different lengths or need a
            gradient themselves; or the network does not return a row for each input.
        TypeError: An argument or the inputs have the wrong type.
        RuntimeError: In ``backward``: the second pass gives different embeddings.

    Source:
        Gao, Zhang, Han & Callan, "Scaling Deep Contrastive Learning Batch Size under Memory Limited
        Setup", RepL4NLP 2021, arXiv 2101.06983.

    Examples:
        >>> from pml_potential import GradientCache
        >>> from pml_potential.functional import class_wise_multi_similarity_loss
        >>> network = torch.nn.Linear(784, 64)
        >>> loss_of = GradientCache(network, class_wise_multi_similarity_loss, chunk_size=32)
        >>> loss = loss_of(torch.randn(512, 784), torch.randint(10, (512,)))
        >>> loss.backward()
        >>> network.weight.grad.shape
        torch.Size([64, 784])
    """

    def __init__(self, network: nn.Module, loss_func: Callable[..., Any], chunk_size: int) -> None:
        if not isinstance(network, nn.Module):
            raise TypeError(f"network is a {type(network).__name__}; it must be a torch.nn.Module")
        if not callable(loss_func):
            raise TypeError(f"loss_func is a {type(loss_func).__name__}; it must be a loss or function")
        self.network = network
        self.loss_func = loss_func
        self.chunk_size = check_integer("chunk_size", chunk_size, 1)

    def __call__(self, inputs: Inputs, *arguments: Any, **keywords: Any) -> Any:
        """Compute ``loss_func(embeddings, *arguments, **keywords)`` for the embeddings of the inputs.

        Args:
            inputs: a tensor, (batch_size, ...), or a mapping of names to such tensors; the network gets
                the same, with ``chunk_size`` rows at most.
            *arguments: passed to the loss, usually labels.
            **keywords: passed to the loss.

        Returns:
            The return value of ``loss_func``.
        """
        chunks = _chunks(inputs, self.chunk_size)
        passes = _TwoPasses(self.network, chunks)
        if torch.is_grad_enabled() and any(each.requires_grad for each in self.network.parameters()):
            # Autograd calls ``backward`` only if an input requires a gradient.
            embeddings: Tensor = _Embeddings.apply(torch.ones((), requires_grad=True), passes)
        else:
            embeddings = passes.first()
        return self.loss_func(embeddings, *arguments, **keywords)


class _Embeddings(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, _: Tensor, passes: _TwoPasses) -> Tensor:
        ctx.passes = passes
        return passes.first()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None]:
        ctx.passes.second(gradient)
        return None, None


class _TwoPasses:
    """A network that embeds the same chunks twice, under the same conditions."""

    def __init__(self, network: nn.Module, chunks: list[Inputs]) -> None:
        self._network = network
        self._chunks = chunks
        tensors = [*_tensors(chunks[0]), *network.parameters()]
        self._cuda = sorted({each.device.index for each in tensors if each.device.type == "cuda"})
        self._autocasts = [
            (kind, torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind))
            for kind in sorted({each.device.type for each in tensors})
            if torch.amp.is_autocast_available(kind)
        ]
        self._random_states: list[tuple[Tensor, list[Tensor]]] = []

    @torch.no_grad()
    def first(self) -> Tensor:
        """Embed all chunks, and record random states and changed buffers."""
        before = {name: buffer.clone() for name, buffer in self._network.named_buffers()}
        embeddings = []
        for chunk in self._chunks:
            self._random_states.append(
                (torch.get_rng_state(), [torch.cuda.get_rng_state(index) for index in self._cuda])
            )
            embeddings.append(self._embed(chunk))
        buffers = dict(self._network.named_buffers())
        self._moved = {
            name: buffer for name, buffer in before.items() if not buffers[name].equal(buffer)
        }
        self._embeddings = torch.cat(embeddings)
        return self._embeddings.clone()

    def second(self, gradient: Tensor) -> None:
        """Embed each chunk again, and backpropagate its part of the gradient."""
        sizes = [len(_tensors(chunk)[0]) for chunk in self._chunks]
        parts = zip(
            self._chunks,
            self._random_states,
            self._embeddings.split(sizes),
            gradient.split(sizes),
            strict=True,
        )
        last = len(sizes) - 1
        with self._buffers_as_before(), torch.random.fork_rng(self._cuda), torch.enable_grad():
            for number, (chunk, random_state, expected, own) in enumerate(parts):
                on_cpu, on_cuda = random_state
                torch.set_rng_state(on_cpu)
                for index, state in zip(self._cuda, on_cuda, strict=True):
                    torch.cuda.set_rng_state(state, index)
                with self._without_exchange() if number < last else nullcontext():
                    embeddings = self._embed(chunk)
                    _check_same(embeddings.detach(), expected)
                    embeddings.backward(own)

    def _embed(self, chunk: Inputs) -> Tensor:
        with ExitStack() as stack:
            for kind, dtype, enabled in self._autocasts:
                # A cast that is cached without a gradient must not be reused where one is needed.
                stack.enter_context(torch.autocast(kind, dtype, enabled, cache_enabled=False))
            embeddings = self._network(chunk)
        rows = len(_tensors(chunk)[0])
        if not isinstance(embeddings, Tensor):
            raise TypeError(
                f"the network returned a {type(embeddings).__name__}; it must return a torch.Tensor"
            )
        if embeddings.shape[:1] != (rows,):
            raise ValueError(
                f"the network returned shape {tuple(embeddings.shape)} for {rows} inputs; it must "
                "return one row for each"
            )
        return embeddings

    def _without_exchange(self) -> Any:
        """Suspend the network's exchange of gradients between processes, if it has one."""
        no_sync = getattr(self._network, "no_sync", None)
        return nullcontext() if no_sync is None else no_sync()

    @contextmanager
    def _buffers_as_before(self) -> Iterator[None]:
        """Begin with the buffers of the first pass, and restore the current ones at the end."""
        buffers = dict(self._network.named_buffers())
        now = {name: buffers[name].clone() for name in self._moved}
        _copy(self._moved, buffers)
        try:
            yield
        finally:
            _copy(now, dict(self._network.named_buffers()))


@torch.no_grad()
def _copy(values: Mapping[str, Tensor], buffers: Mapping[str, Tensor]) -> None:
    for name, value in values.items():
        buffers[name].copy_(value)


def _check_same(again: Tensor, expected: Tensor) -> None:
    difference = (again - expected).abs().max() / expected.abs().max()
    if difference > _LARGEST_DIFFERENCE:
        raise RuntimeError(
            f"the network's embeddings differ by {difference.item():.2g} of the largest coordinate from "
            "those that the loss saw; call backward before the network changes, and draw random numbers "
            "from torch's own generators"
        )


def _tensors(inputs: Inputs) -> list[Tensor]:
    return [inputs] if isinstance(inputs, Tensor) else list(inputs.values())


def _chunks(inputs: Inputs, size: int) -> list[Inputs]:
    """Check that inputs can be split, and split them along their rows."""
    if not isinstance(inputs, Tensor | Mapping) or not all(
        isinstance(each, Tensor) for each in _tensors(inputs)
    ):
        raise TypeError(
            f"inputs is a {type(inputs).__name__}; it must be a torch.Tensor, or a mapping of names to "
            "tensors"
        )
    shapes = [tuple(each.shape) for each in _tensors(inputs)]
    if len({shape[:1] for shape in shapes}) != 1 or not shapes[0] or shapes[0][0] == 0:
        raise ValueError(
            f"inputs have the shapes {shapes}; they must have one row for each embedding, at least one"
        )
    if any(each.requires_grad for each in _tensors(inputs)):
        raise ValueError(
            "inputs require a gradient, which would not reach them; call detach() on them, or make the "
            "module that computes them a part of the network"
        )
    if isinstance(inputs, Tensor):
        return list(inputs.split(size))
    parts = zip(*(each.split(size) for each in inputs.values()), strict=True)
    return [dict(zip(inputs, part, strict=True)) for part in parts]
