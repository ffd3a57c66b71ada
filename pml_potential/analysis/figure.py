"""An empty figure, or an error that says how to install matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plain(text: str) -> str:
    r"""Text that a figure shows literally: dollar signs and characters that are no text are escaped.

    Examples:
        >>> plain("10$ and 20$")
        '10\\$ and 20\\$'
    """
    return text.encode(errors="backslashreplace").decode().replace("$", r"\$")


def new_figure(width: float, height: float) -> Figure:
    """Make a figure outside of pyplot, so no window opens.

    Args:
        width: in inches.
        height: in inches.

    Returns:
        A matplotlib figure; ``figure.savefig(path)`` writes it, and a notebook shows it.

    Raises:
        ModuleNotFoundError: matplotlib is not installed.

    Examples:
        >>> new_figure(4, 3).get_size_inches().tolist()
        [4.0, 3.0]
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"figures need {error.name!r}, which is not installed: pip install matplotlib",
            name=error.name,
        ) from error
    return Figure(figsize=(width, height), layout="constrained")
