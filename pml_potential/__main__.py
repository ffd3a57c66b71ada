"""The command line: ``pml-potential``, or ``python -m pml_potential``."""

import sys


def main() -> None:
    """Run the command line, or say which extra it needs."""
    from pml_potential.benchmark.config.missing_extra import advice_on, is_of_extra

    try:
        from pml_potential.benchmark.commands.app import app
    except ModuleNotFoundError as error:
        if not is_of_extra(error):
            raise
        sys.exit(advice_on(error))
    app()


if __name__ == "__main__":
    main()
