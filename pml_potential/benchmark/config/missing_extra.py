"""What to do if a library of the extra ``benchmark`` is not installed."""


def is_of_extra(error: ModuleNotFoundError) -> bool:
    """Whether a library is missing, and not a module of this package."""
    return error.name is not None and error.name.partition(".")[0] != "pml_potential"


def advice_on(error: ModuleNotFoundError) -> str:
    """Name the library, and the line that installs it.

    Examples:
        >>> advice_on(ModuleNotFoundError(name="optuna")).splitlines()[-1].strip()
        'pip install -e ".[benchmark]"'
    """
    return (
        f"pml-potential needs {error.name!r}, which the extra 'benchmark' installs. In a checkout of "
        'pml-potential:\n    pip install -e ".[benchmark]"'
    )
