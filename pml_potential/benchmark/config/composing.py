"""Compose a configuration from presets, and say clearly what is wrong with one."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from pml_potential.benchmark.config.nearest import did_you_mean
from pml_potential.benchmark.config.presets import KINDS, preset_path
from pml_potential.benchmark.config.recipes import Recipe, find_recipe
from pml_potential.benchmark.config.schema import (
    Component,
    Config,
    ConfigError,
    Loss,
    Optimizer,
    SearchRange,
)
from pml_potential.benchmark.config.yaml_text import read_yaml, read_yaml_file

_ASSIGNED = "--set "
"""Prefix of the origin of an assigned value."""

_NULLS = {"", "~", "null", "Null", "NULL"}

_IN_YAML = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    date: "a date",
    datetime: "a time",
    dict: "keys and values",
    list: "a list",
    type(None): "nothing",
}
"""What YAML makes of text without quotes."""

_NAMED = (Component, Optimizer, Loss)
"""Sections that name a class: with another name the old arguments make no sense."""


def compose(
    presets: Mapping[str, str],
    assignments: Sequence[str] = (),
    check: Callable[[Config], None] = lambda _config: None,
) -> Config:
    """Merge presets, then single values, and check the whole.

    Args:
        presets: for each kind (``protocol``, ``dataset``, ``model``, ``loss``) the name of a preset
            or the path of a YAML file; or the name of a recipe alone, as ``recipe``.
        assignments: ``dotted.path=value``, with the value as in YAML; text, such as a path, is taken as
            typed and needs no quotes. ``search.PATH=null`` takes a hyperparameter out of the search.
        check: raises ``ConfigError`` for what the schema cannot know, such as the arguments of a class.
            It is called with the configuration, then with each end or choice of each search range. The
            commands pass ``check_names`` of ``training.names``.

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
    for origin, layer in _layers(presets):
        _lay_over(values, layer, origins, origin)
    for assignment in assignments:
        dotted, separator, text = assignment.partition("=")
        if not separator or not dotted:
            raise ConfigError(f"--set {assignment}: write it as dotted.path=value")
        ranges = values.get("search")
        searched = list(ranges) if isinstance(ranges, dict) else []
        keys = _keys_of(dotted, searched)
        value = _assigned(text, keys, f"--set {assignment}: the value")
        if value is None and keys[0] == "search" and len(keys) == 2 and keys[1] not in searched:
            near = did_you_mean(keys[1], searched)
            raise ConfigError(
                f"--set {assignment}: {keys[1]!r} is not searched{near}; searched are: "
                f"{', '.join(searched)}"
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
        # Presets of losses have search ranges, which a protocol without a search does not use.
        values["search"] = {}
    config = _validated(values, origins)
    try:
        check(config)
    except ConfigError as error:
        raise ConfigError(f"{_origin(origins, error.keys)}: {error}", error.keys) from None
    for found, limits in config.search.items():
        for value in limits.extremes:
            try:
                check(with_values(config, {found: value}))
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
        # A copy, as a later path may lead into it.
        section[last] = copy.deepcopy(value)
    return _validated(nested, {})


def read_saved(path: Path) -> Config:
    """Read a composed configuration that a run saved.

    Raises:
        ConfigError: The file cannot be read or holds no valid configuration.
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    _lay_over(values, read_yaml_file(path), origins, str(path))
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


def _layers(presets: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The layers to merge, in order: origin and values."""
    recipe = find_recipe(presets["recipe"]) if "recipe" in presets else Recipe(dict(presets), [])
    for kind in KINDS:
        if kind in recipe.presets:
            path = preset_path(kind, recipe.presets[kind])
            yield str(path), read_yaml_file(path)
    yield from recipe.layers


def _flat(section: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in section.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _assigned(text: str, keys: Sequence[str], what: str) -> Any:
    """The value of an assignment: YAML, or the text as typed where text is expected.

    A path such as ``imgs #2``, ``2024-01-05`` or ``no`` would be something else in YAML. Quotes around
    the whole are removed, and ``null`` is null.
    """
    typed = text.strip()
    is_quoted = len(typed) > 1 and typed[0] == typed[-1] and typed[0] in "'\""
    if is_quoted or typed in _NULLS or not _takes_text(keys):
        return read_yaml(text, what)
    return typed


def _takes_text(keys: Sequence[str]) -> bool:
    section = _section_at(tuple(keys[:-1]))
    field = None if section is None else section.model_fields.get(keys[-1])
    types = [] if field is None else _types_in(field.annotation)
    holds_others = any(_is_section(each) or get_origin(each) in {dict, tuple} for each in types)
    return str in types and not holds_others


def _keys_of(dotted: str, searched: Sequence[str]) -> list[str]:
    """Split a dotted path; below ``search`` the keys are dotted paths themselves."""
    section, _, rest = dotted.partition(".")
    if section != "search" or not rest:
        return dotted.split(".")
    path, _, last = rest.rpartition(".")
    is_part_of_range = path in searched or last in SearchRange.model_fields
    return ["search", path, last] if is_part_of_range else ["search", rest]


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
        if (
            isinstance(below, dict)
            and isinstance(value, dict)
            and not _is_another_search(location, value, below)
        ):
            if _names_another(location, value, below):
                _forget_arguments(below, origins, location)
            _lay_over(below, value, origins, origin, location)
        else:
            base[key] = copy.deepcopy(value)
            for path in [path for path in origins if path.startswith(".".join(location) + ".")]:
                del origins[path]
        origins[".".join(location)] = origin


def _is_another_search(
    location: tuple[str, ...], value: Mapping[str, Any], below: Mapping[str, Any]
) -> bool:
    """Whether choices replace a range, or a range replaces choices."""
    is_search = location[:1] == ("search",) and len(location) == 2
    return is_search and ("choices" in value) != ("choices" in below)


def _names_another(
    location: tuple[str, ...], value: Mapping[str, Any], below: Mapping[str, Any]
) -> bool:
    """Whether a section names another class, which does not inherit the arguments of the old one."""
    if value.get("name", below.get("name")) == below.get("name"):
        return False
    section = _section_at(location)
    return section is not None and issubclass(section, _NAMED)


def _forget_arguments(
    section: dict[str, Any], origins: dict[str, str], location: tuple[str, ...]
) -> None:
    """Remove all values that a preset gave; assigned values stay, in any order."""
    for key in list(section):
        path = (*location, str(key))
        if isinstance(section[key], dict):
            _forget_arguments(section[key], origins, path)
            was_assigned = bool(section[key])
        else:
            was_assigned = origins.get(".".join(path), "").startswith(_ASSIGNED)
        if not was_assigned:
            del section[key]
            origins.pop(".".join(path), None)


def _validated(values: dict[str, Any], origins: Mapping[str, str]) -> Config:
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        lines = [_explain(dict(problem), origins) for problem in error.errors()]
        raise ConfigError("\n".join(dict.fromkeys(lines))) from None


def _explain(problem: dict[str, Any], origins: Mapping[str, str]) -> str:
    location = tuple(str(part) for part in problem["loc"])
    keys = tuple(part for part in location if part not in {"bool", "int", "float", "str"})
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
    is_choice = "choices" in keys and len(keys) < len(location)
    # A choice may be other than text; among what YAML converts, only a date was surely meant as text.
    misses_quotes = isinstance(value, date) if is_choice else problem["type"] == "string_type"
    if misses_quotes and type(value) in _IN_YAML:
        return (
            f"{where}{path}: {str(value)!r} is {_IN_YAML[type(value)]} in YAML, where text is "
            f"expected; put it in quotes"
        )
    message = problem["msg"].removeprefix("Value error, ")
    if len(keys) < len(location):
        message = "it must be a number" + " or text" * is_choice
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
    section = _section_at(keys)
    return [] if section is None else list(section.model_fields)


def _section_at(keys: tuple[str, ...]) -> type[BaseModel] | None:
    """Class of the section at a path; below ``search`` that of a range. None: no section is there."""
    section: type[BaseModel] = Config
    for key in keys:
        field = section.model_fields.get(key)
        if field is None:
            # A path of the search, whose class was found one key before.
            return section if section is SearchRange else None
        found = next(filter(_is_section, _types_in(field.annotation)), None)
        if found is None:
            return None
        section = found
    return section


def _types_in(annotation: Any) -> list[Any]:
    """The annotation, and the types that it is made of."""
    return [annotation, *(inner for part in get_args(annotation) for inner in _types_in(part))]


def _is_section(candidate: Any) -> bool:
    return isinstance(candidate, type) and issubclass(candidate, BaseModel)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
