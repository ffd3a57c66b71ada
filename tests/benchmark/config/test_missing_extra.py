"""A missing library is named with the line that installs it; tests/test_package.py types commands."""

from pml_potential.benchmark.config.missing_extra import advice_on, is_of_extra


def test_a_module_of_this_package_is_none_of_the_extra() -> None:
    assert is_of_extra(ModuleNotFoundError(name="optuna"))
    assert not is_of_extra(ModuleNotFoundError(name="pml_potential.gone"))
    assert not is_of_extra(ModuleNotFoundError("no name"))


def test_the_library_is_named() -> None:
    assert advice_on(ModuleNotFoundError(name="optuna")).startswith("pml-potential needs 'optuna'")
