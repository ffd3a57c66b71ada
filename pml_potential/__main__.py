"""The command line: ``pml-potential``, or ``python -m pml_potential``."""

import sys


def main() -> None:
    """Run the command line, or say which extra it needs."""
    try:
        from pml_potential.benchmark.commands.app import app
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "pml_potential":
            raise
        sys.exit(
            f"pml-potential needs {error.name!r}, which the extra 'benchmark' brings. In the folder of "
            "its source:\n"
            '    pip install -e ".[benchmark]"'
        )
    app()


if __name__ == "__main__":
    main()
