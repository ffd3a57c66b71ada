"""A trunk cut in two at a block: the part before it is frozen, the rest is trained."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from torch import Tensor, fx, nn

from pml_potential.benchmark.config.nearest import did_you_mean
from pml_potential.benchmark.config.schema import ConfigError, Crop, Model
from pml_potential.benchmark.models.traced_values import NotConstantError, Shape, TracedValues

_FEWEST_SHOWN = 3
"""Blocks at one depth of a network that make a list worth showing."""


class CutTrunk(nn.Module):
    """A trunk that takes the input of one of its blocks, and computes the rest from there on.

    All weights stay where they are, so its state is that of the whole network.

    Args:
        network: the whole trunk, from (n, channels, height, width) to (n, features). If it has a method
            ``features_from(path, activations)``, that is called first, and may return None.
        block: name of the block: a path of ``network.named_modules()``, or one of the names that the
            network gives its blocks in ``block_names``.
        shape: channels, height and width of the images, on which the code of some networks depends.
            None: of any size, with which those networks cannot be cut.

    Attributes:
        network: the whole trunk.

    Raises:
        ConfigError: The network has no such block, or cannot be cut there.
    """

    def __init__(self, network: nn.Module, block: str, shape: Shape | None = None) -> None:
        super().__init__()
        self.network = network
        path = _own_names(network).get(block, block)
        try:
            # Modules that contain the block may behave differently in training (functional dropout).
            halves = {training: _halves(network, path, shape, training) for training in (True, False)}
        except _NotACutError as error:
            names = _blocks(network, None)
            if len(names) < _FEWEST_SHOWN:
                # Few networks need the shape, and this takes longer.
                names = _blocks(network, shape)
            near = did_you_mean(block, names)
            raise ConfigError(
                f"model.freeze_until: the trunk cannot be cut at {block!r}: {error}{near}; there are: "
                f"{', '.join(names) or 'none'}",
                ("model", "freeze_until"),
            ) from error
        self._block = block
        self._path = path
        self._front = halves[False][0]
        self._back = {training: back for training, (_, back) in halves.items()}

    @property
    def front(self) -> "Front":
        """The part before the block, from images to the block's input."""
        return Front(self.network, self._front, self._block)

    def forward(self, activations: Tensor) -> Tensor:
        """Features (n, features) from the block's input."""
        faster = getattr(self.network, "features_from", None)
        features: Tensor | None = None if faster is None else faster(self._path, activations)
        if features is None:
            features = fx.Interpreter(self.network, graph=self._back[self.training]).run(activations)
        return features


def image_shape(model: Model, crop: Crop) -> Shape | None:
    """Shape of the images that a configuration's trunk takes; None for whole images of any size."""
    return None if model.input is None else (3, crop.size, crop.size)


class Front(nn.Module):
    """The part of a trunk before a block, in evaluation mode; it shares the trunk's weights.

    Args:
        network: the whole trunk.
        graph: of its computation.
        block: name of the block, shown by ``repr``, as other blocks take other activations.
    """

    def __init__(self, network: nn.Module, graph: fx.Graph, block: str) -> None:
        super().__init__()
        self.network = network
        self._graph = graph
        self._block = block

    def forward(self, images: Tensor) -> Tensor:
        """The block's input for images (n, channels, height, width)."""
        activations: Tensor = fx.Interpreter(self.network, graph=self._graph).run(images)
        return activations

    def extra_repr(self) -> str:
        """Return the name of the block."""
        return f"before {self._block}"


class _NotACutError(Exception):
    """A network cannot be cut at a place."""


class _AroundBlock(fx.Tracer):
    """Traces into the modules that hold a block, and takes all others as leaves."""

    def __init__(self, path: str, network: nn.Module, shape: Shape | None) -> None:
        super().__init__()
        self._path = path
        self._network = network
        self._shape = shape
        self._values: TracedValues | None = None
        self._is_deciding = False

    @property
    def values(self) -> TracedValues:
        """Values of the graph's nodes, for images of the shape."""
        if self._values is None:
            self._values = TracedValues(self._network, self.graph, self._shape)
        return self._values

    def is_leaf_module(self, _module: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module is taken as a leaf."""
        return not self._path.startswith(f"{module_qualified_name}.")

    def to_bool(self, obj: fx.Proxy) -> bool:
        """Decide as the network does for images of the shape."""
        self._is_deciding = True
        try:
            return bool(self.values.constant(obj.node))
        finally:
            self._is_deciding = False

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Record a call, unless it is made for a decision."""
        if self._is_deciding:
            return forward(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict[str, Any]) -> Any:
        """Record the use of a parameter, unless it is for a decision."""
        if self._is_deciding:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)


def _halves(
    network: nn.Module, path: str, shape: Shape | None, training: bool
) -> tuple[fx.Graph, fx.Graph]:
    """Graphs of the part before a block and of the part from there on."""
    if path not in dict(network.named_modules()) or not path:
        raise _NotACutError("it has no block of this name")
    was_training = network.training
    network.train(training)
    try:
        tracer = _AroundBlock(path, network, shape)
        graph = tracer.trace(network, _further_arguments(network))
    # Tracing runs the network's own code on symbols, which may fail in any way.
    except Exception as error:
        raise _NotACutError(f"its code cannot be traced to there ({error})") from error
    finally:
        network.train(was_training)
    _register_constants(network, graph)
    calls = [node for node in graph.nodes if node.op == "call_module" and node.target == path]
    if len(calls) != 1 or not calls[0].args or not isinstance(calls[0].args[0], fx.Node):
        raise _NotACutError(f"it is called {len(calls)} times")
    entry = calls[0].args[0]
    (images, *_), (output,) = ([*graph.find_nodes(op=op)] for op in ("placeholder", "output"))
    before, behind = _needed([entry], []), _needed([output], [entry])
    constants: dict[fx.Node, Any] = {}
    if images in behind:
        crossing = [node for node in behind if before.issuperset(node.all_input_nodes)]
        constants = _constants(tracer.values, crossing)
        behind = _needed([output], [entry, *constants])
    if images in behind:
        raise _NotACutError("later layers also take outputs from before it")
    shared = _parameters(network, before) & _parameters(network, behind)
    if entry is images or not _parameters(network, before):
        raise _NotACutError("there are no weights before it to freeze")
    if shared:
        raise _NotACutError("layers before it share weights with later ones")
    front, back = fx.Graph(), fx.Graph()
    copies = _copy(graph, before, {}, front)
    front.output(copies[entry])
    _copy(graph, behind, {entry: back.placeholder("activations")} | constants, back)
    return front, back


def _register_constants(network: nn.Module, graph: fx.Graph) -> None:
    """Make tensors that tracing has attached to a network move with it between devices."""
    for node in graph.find_nodes(op="get_attr"):
        if isinstance(vars(network).get(node.target), Tensor):
            network.register_buffer(node.target, vars(network).pop(node.target), persistent=False)


def _constants(values: TracedValues, nodes: Iterable[fx.Node]) -> dict[fx.Node, Any]:
    """Values that depend only on the images' shape, such as their number of patches."""
    found: dict[fx.Node, Any] = {}
    for node in nodes:
        # Modules give tensors, or outputs from which a separate step takes values.
        if node.op in {"call_function", "call_method"}:
            with suppress(NotConstantError):
                found[node] = values.constant(node)
    return found


def _further_arguments(network: nn.Module) -> dict[str, object]:
    """Arguments besides the images, at their defaults, as the network's code may branch on them."""
    given = list(inspect.signature(network.forward).parameters.values())[1:]
    return {each.name: each.default for each in given if each.default is not each.empty}


def _needed(ends: Iterable[fx.Node], given: Iterable[fx.Node]) -> set[fx.Node]:
    """The ends and all nodes that they are computed from, without those that are given."""
    found, left, known = set(), list(ends), set(given)
    while left:
        node = left.pop()
        if node not in found and node not in known:
            found.add(node)
            left += node.all_input_nodes
    return found


def _parameters(network: nn.Module, nodes: Iterable[fx.Node]) -> set[int]:
    """Identities of the parameters that nodes use."""
    found: set[int] = set()
    for node in nodes:
        if node.op == "call_module":
            found |= {id(each) for each in network.get_submodule(str(node.target)).parameters()}
        elif node.op == "get_attr":
            parent, _, name = str(node.target).rpartition(".")
            value = getattr(network.get_submodule(parent), name)
            found |= {id(value)} if isinstance(value, nn.Parameter) else set()
    return found


def _copy(
    graph: fx.Graph, nodes: set[fx.Node], given: Mapping[fx.Node, Any], part: fx.Graph
) -> Mapping[fx.Node, Any]:
    """Copy some of the nodes to another graph, in which the given ones are replaced."""
    copies = dict(given)
    for node in graph.nodes:
        if node in nodes:
            copies[node] = part.node_copy(node, copies.__getitem__)
    return copies


def _own_names(network: nn.Module) -> Mapping[str, str]:
    names: Mapping[str, str] = getattr(network, "block_names", {})
    return names


def _blocks(network: nn.Module, shape: Shape | None) -> list[str]:
    """Names to choose from: the outermost blocks where the network can be cut, in its order."""
    if own := _own_names(network):
        outermost = [name for name in own if name.count(".") == 1]
        return [name for name in outermost if _can_be_cut(network, own[name], shape)]
    parts = {name: module for name, module in network.named_modules() if name and _has_weights(module)}
    composed = [name for name, part in parts.items() if any(map(_has_weights, part.children()))]
    found: list[str] = []
    for names in (composed, list(parts)):
        for depth in sorted({name.count(".") for name in names}):
            here = [name for name in names if name.count(".") == depth]
            here = [name for name in here if _can_be_cut(network, name, shape)]
            found = max(found, here, key=len)
            if len(found) >= _FEWEST_SHOWN:
                return found
    return found


def _has_weights(module: nn.Module) -> bool:
    return any(True for _ in module.parameters())


def _can_be_cut(network: nn.Module, path: str, shape: Shape | None) -> bool:
    try:
        _halves(network, path, shape, training=False)
    except _NotACutError:
        return False
    return True
