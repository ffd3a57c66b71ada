"""Composing a configuration from presets, and saying clearly what is wrong with one."""

import copy
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from pml_potential.benchmark.loss_building import check_names
from pml_potential.benchmark.nearest import did_you_mean
from pml_potential.benchmark.schema import Config, ConfigError, SearchRange

KINDS = {"protocol": "protocols", "dataset": "datasets", "model": "models", "loss": "losses"}
"""The kinds of presets, with their folders, in the order in which they are laid over each other."""


def presets_folder() -> Path:
    """Folder of the presets: inside an installed package, or at the top of a checkout."""
    package = Path(str(files("pml_potential")))
    installed = package / "benchmarker_configs"
    return installed if installed.is_dir() else package.parent / "benchmarker_configs"


def preset_names(kind: str) -> list[str]:
    """Names of the presets of a kind.

    Examples:
        >>> "potential_field" in preset_names("loss")
        True
    """
    return sorted(path.stem for path in (presets_folder() / KINDS[kind]).glob("*.yaml"))


def compose(presets: Mapping[str, str], assignments: Sequence[str] = ()) -> Config:
    """Lay presets over each other, then single values, and check the whole.

    Args:
        presets: for each kind (``protocol``, ``dataset``, ``model``, ``loss``) the name of a preset
            or the path of a YAML file.
        assignments: ``dotted.path=value``, with the value as in YAML. ``search.PATH=null`` takes a
            hyperparameter out of the search.

    Returns:
        The configuration.

    Raises:
        ConfigError: A preset does not exist, a key is unknown, or a value is not allowed.

    Examples:
        >>> presets = {"protocol": "quick", "dataset": "glyphs", "model": "small_cnn"}
        >>> config = compose(presets | {"loss": "potential_field"}, ["loss.params.alpha=2.0"])
        >>> config.loss.params["alpha"]
        2.0
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for kind in KINDS:
        path = _preset_path(kind, presets[kind])
        _lay_over(values, _read(path), origins, str(path))
    for assignment in assignments:
        dotted, separator, text = assignment.partition("=")
        if not separator or not dotted:
            raise ConfigError(f"--set {assignment}: write it as dotted.path=value")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {assignment}: the value is no YAML: {error}") from error
        ranges = values.get("search")
        searched = list(ranges) if isinstance(ranges, dict) else []
        keys = _keys_of(dotted, searched)
        if value is None and keys[0] == "search" and len(keys) == 2 and keys[1] not in searched:
            raise ConfigError(
                f"--set {assignment}: {keys[1]!r} is not searched{did_you_mean(keys[1], searched)}; "
                f"searched are: {', '.join(searched)}"
            )
        nested: Any = value
        for key in reversed(keys):
            nested = {key: nested}
        _lay_over(values, nested, origins, f"--set {assignment}")
    ranges = values.get("search")
    if isinstance(ranges, dict):
        values["search"] = {path: found for path, found in ranges.items() if found is not None}
    protocol = values.get("protocol")
    if isinstance(protocol, dict) and "study" in protocol and protocol["study"] is None:
        # Presets of losses bring ranges along, of no use to a protocol that searches nothing.
        values["search"] = {}
    config = _validated(values, origins)
    try:
        check_names(config)
    except ConfigError as error:
        raise ConfigError(f"{_origin(origins, error.keys)}: {error}", error.keys) from None
    for found, limits in config.search.items():
        try:
            check_names(with_values(config, {found: limits.low}))
        except ConfigError as error:
            raise ConfigError(
                f"{_origin(origins, ('search', found))}: search.{found}: {error}"
            ) from None
    return config


def with_values(config: Config, values: Mapping[str, Any]) -> Config:
    """Return the configuration with some values replaced, by dotted path.

    Raises:
        ConfigError: A path does not exist, or a value is not allowed there.
    """
    nested = config.model_dump()
    for dotted, value in values.items():
        *parents, last = dotted.split(".")
        section: Any = nested
        for key in parents:
            section = section.get(key) if isinstance(section, dict) else None
        if not isinstance(section, dict):
            raise ConfigError(f"there is no section {'.'.join(parents)!r} in the configuration")
        section[last] = value
    return _validated(nested, {})


def read_saved(path: Path) -> Config:
    """Read a composed configuration that a run saved.

    Raises:
        ConfigError: The file cannot be read or holds no valid configuration.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    _lay_over(values, _read(path), origins, str(path))
    return _validated(values, origins)


def to_yaml(config: Config) -> str:
    """Write a configuration as YAML that ``read_saved`` reads."""
    return yaml.safe_dump(config.model_dump(), sort_keys=False, allow_unicode=True)


def differences(first: Config, second: Config) -> list[str]:
    """Name every value in which two configurations differ, a line each."""
    one, other = _flat(first.model_dump()), _flat(second.model_dump())
    shown = [
        (path, *(repr(flat[path]) if path in flat else "nothing" for flat in (one, other)))
        for path in sorted(one.keys() | other.keys())
    ]
    return [f"{path}: {left} and {right}" for path, left, right in shown if left != right]


def _flat(section: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in section.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _keys_of(dotted: str, searched: Sequence[str]) -> list[str]:
    """Split a dotted path; below ``search`` the keys are dotted paths themselves."""
    section, _, rest = dotted.partition(".")
    if section != "search" or not rest:
        return dotted.split(".")
    path, _, last = rest.rpartition(".")
    is_part_of_range = path in searched or last in SearchRange.model_fields
    return ["search", path, last] if is_part_of_range else ["search", rest]


def _preset_path(kind: str, name: str) -> Path:
    if name.endswith((".yaml", ".yml")):
        return Path(name)
    path = presets_folder() / KINDS[kind] / f"{name}.yaml"
    if not path.is_file():
        names = preset_names(kind)
        near = did_you_mean(name, names)
        raise ConfigError(
            f"there is no {kind} {name!r}{near}; there are: {', '.join(names)}. A file of your own "
            "is given by its path, ending in .yaml"
        )
    return path


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no YAML: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds {type(values).__name__}; it must hold keys and values")
    return values


def _lay_over(
    base: dict[str, Any],
    top: Mapping[str, Any],
    origins: dict[str, str],
    origin: str,
    prefix: tuple[str, ...] = (),
) -> None:
    for key, value in top.items():
        location = (*prefix, str(key))
        below = base.get(key)
        goes_on_top = isinstance(below, dict) and isinstance(value, dict)
        if below is not None and goes_on_top and not _is_another(str(key), value, below):
            _lay_over(below, value, origins, origin, location)
        else:
            base[key] = copy.deepcopy(value)
            for path in [path for path in origins if path.startswith(".".join(location) + ".")]:
                del origins[path]
        origins[".".join(location)] = origin


def _is_another(key: str, value: Mapping[str, Any], below: Mapping[str, Any]) -> bool:
    """Whether a section names another optimizer or loss, which does not inherit the old arguments."""
    if key != "loss" and not key.endswith("optimizer"):
        return False
    return bool(value.get("name", below.get("name")) != below.get("name"))


def _validated(values: dict[str, Any], origins: Mapping[str, str]) -> Config:
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        lines = [_explain(dict(problem), origins) for problem in error.errors()]
        raise ConfigError("\n".join(dict.fromkeys(lines))) from None


def _explain(problem: dict[str, Any], origins: Mapping[str, str]) -> str:
    location = tuple(str(part) for part in problem["loc"])
    keys = tuple(part for part in location if part not in {"bool", "int", "float"})
    where = f"{_origin(origins, keys)}: " if origins else ""
    path = ".".join(keys)
    value = problem["input"]
    if problem["type"] == "extra_forbidden":
        allowed = _keys_allowed_at(keys[:-1])
        return (
            f"{where}unknown key {path!r}{did_you_mean(keys[-1], allowed)}; allowed here: "
            f"{', '.join(allowed)}"
        )
    if problem["type"] == "missing":
        return f"{where}{path!r} is missing"
    message = problem["msg"].removeprefix("Value error, ")
    if len(keys) < len(location):
        message = "it must be a number"
    if isinstance(value, str) and _is_number(value):
        return (
            f"{where}{path}: {value!r} is text in YAML; write it without quotes, small numbers as 1.0e-5"
        )
    if isinstance(value, dict):
        return f"{where}{path}: {message}" if path else f"{where}{message}"
    return f"{where}{path}: {message}, got {value!r}"


def _origin(origins: Mapping[str, str], keys: tuple[str, ...]) -> str:
    for length in range(len(keys), 0, -1):
        if origin := origins.get(".".join(keys[:length])):
            return origin
    return "the composed configuration"


def _keys_allowed_at(keys: tuple[str, ...]) -> list[str]:
    section: Any = Config
    for key in keys:
        field = section.model_fields.get(key)
        annotation = field.annotation if field else section
        section = next(part for part in (annotation, *get_args(annotation)) if _is_section(part))
    return list(section.model_fields)


def _is_section(candidate: Any) -> bool:
    return isinstance(candidate, type) and issubclass(candidate, BaseModel)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
