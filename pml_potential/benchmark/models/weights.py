"""Weights of a network: read from a file, fitted to it, and named by a hash."""

import hashlib
import logging
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pml_potential.benchmark.config.optional_library import import_library
from pml_potential.benchmark.config.reasons import reason_of
from pml_potential.benchmark.config.schema import ConfigError

LOGGER = logging.getLogger(__name__)

_CONTAINERS = ("state_dict", "model", "teacher")
"""Keys under which training scripts save a state dict."""

_PREFIXES = ("module.", "backbone.", "trunk.", "_orig_mod.")
"""Prefixes that wrappers add to a network's names: DataParallel, heads, this package, compile."""

_HEADS = {"fc", "_fc", "last_linear", "classifier", "head", "heads", "head_dist"}
_HEADS |= {"AuxLogits", "aux1", "aux2"}
"""First part of the names of classifiers, which trunks do not have."""

_SHOWN = 5


class WeightsError(ConfigError):
    """Weights that cannot be read, or do not fit the network."""

    def __init__(self, message: str) -> None:
        super().__init__(message, ("model", "weights"))


def load_weights(module: nn.Module, path: str | Path) -> None:
    """Load a file of weights into a network.

    Args:
        module: the network, changed in place only if all goes well.
        path: a safetensors file, or one that ``torch.save`` wrote: a state dict, or one under
            ``state_dict``, ``model`` or ``teacher``. Code in it is never run. Prefixes ``module.``,
            ``backbone.``, ``trunk.`` and ``_orig_mod.`` are removed if the network has none.

    Raises:
        WeightsError: The file is missing, unreadable, holds code, or does not fit.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise WeightsError(f"there is no weights file {str(path)!r}")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    fit_weights(module, content, str(path))


def fit_weights(module: nn.Module, content: Any, source: str) -> None:
    """Copy weights into a network, under the network's own names.

    Weights of a classifier may be left over; a log message names them.

    Args:
        module: the network, changed in place only if all goes well.
        content: a state dict, bare or inside what a training script saved.
        source: where it comes from, for errors.

    Raises:
        WeightsError: A weight is missing, unknown, given twice or of another shape.
    """
    own = module.state_dict()
    found: dict[str, Tensor] = {}
    left_over, problems = [], []
    for key, value in _state_dict(content, source).items():
        name = _name_in(own, key)
        if name in found:
            problems.append(f"{key} and another entry are both {name}")
        elif name in own and value.shape != own[name].shape:
            problems.append(f"{name} is {tuple(value.shape)}, not {tuple(own[name].shape)}")
        elif name in own:
            found[name] = value
        elif name.partition(".")[0] in _HEADS:
            left_over.append(name)
        else:
            problems.append(f"{name} is not in the network")
    missing = [name for name in own if name not in found and not _is_counter(name)]
    problems = [*(f"{name} is missing" for name in missing), *problems]
    if problems:
        raise WeightsError(f"{source} does not fit the network: {_some_of(problems)}")
    # Not strict because of the counters, which files from before torch 0.4.1 do not have.
    module.load_state_dict(found, strict=False)
    if left_over:
        LOGGER.info("%s: the classifier is left out: %s", source, ", ".join(left_over))


def weights_hash(module: nn.Module) -> str:
    """Hash a network with its weights and buffers, as a key for its outputs.

    Layers count as their ``repr`` shows them, as pooling has no weights and changes all features.

    Returns:
        SHA-256 over the layers and over name, type, shape and bytes of each entry of the state dict,
        in sorted order; the same in every process.

    Examples:
        >>> layer = nn.Linear(2, 2)
        >>> before = weights_hash(layer)
        >>> _ = nn.init.zeros_(layer.bias)
        >>> weights_hash(layer) == before
        False
    """
    # The repr of functions among the layers contains their memory addresses.
    layers = re.sub(r" at 0x[0-9a-f]+", "", repr(module))
    digest = hashlib.sha256(layers.encode())
    for name, value in sorted(module.state_dict().items()):
        tensor = value.detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _read_safetensors(path: Path) -> Any:
    library = import_library("safetensors.torch", "safetensors", f"the file {str(path)!r}")
    errors = import_library("safetensors", "safetensors", f"the file {str(path)!r}")
    try:
        # Not by its path, which safetensors takes in UTF-8 only.
        return library.load(path.read_bytes())
    except (OSError, errors.SafetensorError) as error:
        raise WeightsError(
            f"{str(path)!r} cannot be read as safetensors: {reason_of(error)}; is it complete?"
        ) from error


def _read_pickle(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        reason = (
            f"holds {found[1]!r} besides tensors, and reading that could run code; save only its state "
            "dict"
            if found
            else "is not a file of weights, or is damaged"
        )
        raise WeightsError(f"{str(path)!r} {reason}") from error
    except (EOFError, KeyError, OSError, RuntimeError, ValueError) as error:
        raise WeightsError(
            f"{str(path)!r} cannot be read: {reason_of(error)}; is it complete?"
        ) from error


def _state_dict(content: Any, source: str) -> Mapping[str, Tensor]:
    candidates = [content]
    if isinstance(content, Mapping):
        candidates += [content[key] for key in _CONTAINERS if key in content]
    for candidate in candidates:
        if isinstance(candidate, Mapping) and candidate:
            entries = candidate.items()
            if all(isinstance(key, str) and isinstance(value, Tensor) for key, value in entries):
                return candidate
    holds = _some_of([str(key) for key in content]) if isinstance(content, Mapping) else type(content)
    raise WeightsError(
        f"{source} holds no state dict, neither bare nor under {', '.join(_CONTAINERS)}; it holds "
        f"{holds}"
    )


def _name_in(own: Mapping[str, Tensor], key: str) -> str:
    while key not in own:
        prefix = next((prefix for prefix in _PREFIXES if key.startswith(prefix)), None)
        if prefix is None:
            break
        key = key.removeprefix(prefix)
    return key


def _is_counter(name: str) -> bool:
    return name.endswith("num_batches_tracked")


def _some_of(lines: list[str]) -> str:
    more = len(lines) - _SHOWN
    return "; ".join(lines[:_SHOWN]) + (f"; and {more} more" if more > 0 else "")
