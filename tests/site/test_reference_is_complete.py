"""The reference has a place for everything public."""

import importlib
import inspect
from collections import defaultdict
from typing import Any

import pytest

from tests.site.built_site import Site

PACKAGES = [
    "pml_potential",
    "pml_potential.functional",
    "pml_potential.losses",
    "pml_potential.analysis",
    "pml_potential.benchmark",
    "pml_potential.benchmark.data.datasets",
    "pml_potential.benchmark.models",
    "pml_potential.benchmark.data",
    "pml_potential.benchmark.experiments.studies",
]
PUBLIC = {
    f"{package}.{name}": getattr(importlib.import_module(package), name)
    for package in PACKAGES
    for name in importlib.import_module(package).__all__
    if name != "__version__"
}
CLASSES = [path for path, public in PUBLIC.items() if inspect.isclass(public)]


def is_in_the_reference(places: set[str], site: Site) -> bool:
    return any(places & parsed.anchors for parsed in site.pages.values())


def places_of(public: Any) -> set[str]:
    """Where something may stand: where it is defined, or where a package hands it on."""
    places = {path for path, each in PUBLIC.items() if each is public}
    return places | ({f"{public.__module__}.{public.__qualname__}"} if callable(public) else set())


def methods_of(public: type) -> dict[str, set[str]]:
    """Where each method may stand that a class or its bases bring, but for those that PML tells of."""
    ours = [each for each in public.__mro__ if each.__module__.startswith("pml_potential.")]
    others = [each for each in public.__mro__ if each not in ours]
    found: dict[str, set[str]] = defaultdict(set)
    for each in ours:
        for name, value in vars(each).items():
            known = any(hasattr(other, name) for other in others)
            if inspect.isfunction(value) and name[0] != "_" and not known:
                found[name] |= {f"{place}.{name}" for place in places_of(each) | places_of(public)}
    return found


@pytest.mark.parametrize("path", PUBLIC)
def test_a_public_name_has_a_place(path: str, site: Site) -> None:
    assert is_in_the_reference(places_of(PUBLIC[path]), site)


@pytest.mark.parametrize("path", CLASSES)
def test_methods_of_a_public_class_have_places(path: str, site: Site) -> None:
    methods = methods_of(PUBLIC[path])
    assert [name for name, places in methods.items() if not is_in_the_reference(places, site)] == []


def test_methods_are_found_along_the_bases() -> None:
    methods = methods_of(PUBLIC["pml_potential.PotentialFieldLoss"])
    assert {"add_classes", "initialize_proxies", "get_logits"} <= set(methods)
    assert "forward" not in methods


def test_what_is_not_public_has_no_place(site: Site) -> None:
    assert not is_in_the_reference({"pml_potential.losses.PotentialFieldLoss.absent"}, site)
