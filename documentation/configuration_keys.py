"""Writes the reference of all configuration keys from the schema of the configuration."""

import json
from typing import Any

from pml_potential.benchmark.config.schema import Config

_HEADER = """\
---
search: {boost: 0.5}
fold: 2
---

# Configuration keys

Every key that a YAML file of `benchmarker_configs`, a file of your own or `--set PATH=VALUE` may hold.
An unknown key is an error that names the nearest allowed one; text instead of a number is one, too.
[Running the benchmark](../benchmark.md) describes how presets, files and `--set` are merged.

A key without a default is required; the presets give a value to every such key. Keys below `loss`,
`model` and `sampler` can be searched.
"""
_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
_KINDS = {"string": "text"}


def configuration_page() -> str:
    """Write the top keys, and a section for each of those that hold others."""
    schema = Config.model_json_schema()
    known = schema["$defs"]
    parts = [_HEADER, _keys("", schema, known)]
    parts += [
        f"## {path}\n\n{_description(value, known)}\n\n{_keys(path, section, known)}"
        for path, value, section in _sections("", schema, known)
    ]
    return "\n".join(parts)


def _sections(
    path: str, section: dict[str, Any], known: dict[str, Any]
) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Path, key and contents of each section below a section, followed by those below it in turn."""
    found = []
    for name, value in section["properties"].items():
        inner = _joined(path, name)
        below = _section_at(value, known)
        if below is None and isinstance(value.get("additionalProperties"), dict):
            inner = _joined(inner, "PATH")
            below = _section_at(value["additionalProperties"], known)
        if below is not None:
            found += [(inner, value, below), *_sections(inner, below, known)]
    return found


def _keys(path: str, section: dict[str, Any], known: dict[str, Any]) -> str:
    entries = []
    for name, value in section["properties"].items():
        key = _joined(path, name)
        kind = f"{_type(value, key, known)}{_default(value)}"
        entries.append(f"`{key}`: {kind}\n:   {_description(value, known)}\n")
    if isinstance(section.get("additionalProperties"), dict):
        further = _type(section["additionalProperties"], path, known)
        entries.append(f"`{path}.ARGUMENT`: {further}\n:   Any other argument of the class.\n")
    return "\n".join(entries)


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _default(value: dict[str, Any]) -> str:
    """The default; that of a whole section follows from the defaults of its own keys."""
    if "default" not in value or (value["default"] and isinstance(value["default"], dict)):
        return ""
    rounded = json.loads(
        json.dumps(value["default"]), parse_float=lambda text: float(f"{float(text):.4g}")
    )
    return f", by default `{json.dumps(rounded)}`"


def _description(value: dict[str, Any], known: dict[str, Any]) -> str:
    """The description of a section, and that of the key for its use."""
    section = _section_at(value, known) or {}
    texts = [each["description"] for each in (section, value) if "description" in each]
    return " ".join(texts).replace("``", "`")


def _variants(value: dict[str, Any]) -> list[dict[str, Any]]:
    variants: list[dict[str, Any]] = value.get("anyOf", value.get("allOf", [value]))
    return variants


def _section_at(value: dict[str, Any], known: dict[str, Any]) -> dict[str, Any] | None:
    names = [each["$ref"].rpartition("/")[2] for each in _variants(value) if "$ref" in each]
    return known[names[0]] if names else None


def _type(value: dict[str, Any], path: str, known: dict[str, Any]) -> str:
    *others, last = [_one_type(variant, path, known) for variant in _variants(value)]
    return f"{', '.join(others)} or {last}" if others else last


def _one_type(value: dict[str, Any], path: str, known: dict[str, Any]) -> str:
    if "$ref" in value:
        return f"[section](#{path.replace('.', '').lower()})"
    if "enum" in value:
        return ", ".join(f"`{each}`" for each in value["enum"])
    if value["type"] == "object":
        return f"mapping of names to: {_type(value['additionalProperties'], f'{path}.PATH', known)}"
    if value["type"] == "array":
        entries = value.get("prefixItems", [value.get("items")])
        length = f" of {len(entries)}" if "prefixItems" in value else ""
        return f"list{length}, each: {_type(entries[0], path, known)}"
    bounds = [f"{sign} {value[bound]:g}" for bound, sign in _BOUNDS.items() if bound in value]
    return f"{_KINDS.get(value['type'], value['type'])} {' and '.join(bounds)}".strip()
