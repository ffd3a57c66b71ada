"""The papers' recipes: one file a paper, whose rows are complete configurations by name."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pml_potential.benchmark.config.nearest import did_you_mean
from pml_potential.benchmark.config.presets import first_comment, presets_folder
from pml_potential.benchmark.config.schema import ConfigError
from pml_potential.benchmark.config.yaml_text import read_yaml_file

PREFIX = "recipes/"
"""Prefix of a recipe's name where a preset's name could stand."""

Kind = Literal["protocol", "dataset", "model", "loss"]
Words = tuple[str, ...]


class Part(BaseModel):
    """Presets and values of all rows whose names contain certain words.

    Attributes:
        words: the words; none: all rows.
        presets: presets to build on, by kind.
        values: merged over the presets and over the values of the parts before.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    words: Words = Field(default=(), alias="for")
    presets: dict[Kind, str] = {}
    values: dict[str, Any] = {}


class Paper(BaseModel):
    """A file of recipes.

    Attributes:
        rows: tables of the paper. A table is a list of choices of words, and has a row for each way to
            take one word of each choice.
        parts: what the rows are made of, in the order of merging.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: tuple[tuple[Words, ...], ...]
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Recipe:
    """What one row of a paper is composed of.

    Attributes:
        presets: names of presets, by kind, which are merged first.
        layers: merged over them in order: origin and values.
    """

    presets: dict[str, str]
    layers: list[tuple[str, dict[str, Any]]]


def recipe_names() -> list[str]:
    """Names of all recipes.

    Examples:
        >>> "pfml-cub200-resnet50" in recipe_names()
        True
    """
    return sorted("-".join(row) for _, _, row in _rows())


def recipe_paper(name: str) -> str:
    """The paper of a recipe, in a line: the comment on the first line of its file.

    Examples:
        >>> recipe_paper("pfml-sop-resnet50")
        '"Potential Field Based Deep Metric Learning" (Bhatnagar & Ahuja, CVPR 2025, arXiv...'
    """
    (path,) = {path for path, _, row in _rows() if "-".join(row) == name}
    return first_comment(path)


def find_recipe(name: str) -> Recipe:
    """What a recipe is composed of.

    Args:
        name: of the recipe, without ``recipes/``.

    Raises:
        ConfigError: There is no such recipe.

    Examples:
        >>> find_recipe("pfml-sop-resnet50").presets
        {'protocol': 'traditional_sop', 'model': 'resnet50', 'dataset': 'sop'}
    """
    for path, paper, row in _rows():
        if "-".join(row) == name:
            parts = [part for part in paper.parts if set(part.words) <= set(row)]
            return Recipe(
                {kind: preset for part in parts for kind, preset in part.presets.items()},
                [(str(path), part.values) for part in parts if part.values],
            )
    near = did_you_mean(name, recipe_names())
    raise ConfigError(f"there is no recipe {name!r}{near}; `pml-potential presets recipes` lists them")


def _rows() -> Iterator[tuple[Path, Paper, tuple[str, ...]]]:
    for path in sorted((presets_folder() / "recipes").glob("*.yaml")):
        paper = _paper(path)
        for table in paper.rows:
            for row in product(*table):
                yield path, paper, row


@cache
def _paper(path: Path) -> Paper:
    return Paper.model_validate(read_yaml_file(path))
